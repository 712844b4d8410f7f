"""The journal: what it knows, whom it trusts, and that a run that is cut short loses nothing."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from m3ter_nb.errors import Interrupted, InvalidArgument
from m3ter_nb.usage.journal import Journal, Run, journal_path
from usage_frames import usage

if TYPE_CHECKING:
    from m3ter_nb.usage.measurements import Batch
    from usage_frames import Used

ABOUT = {"host": "https://api.m3ter.com", "organization": "o", "meter": "m"}
SCRIPT = """
import sys
import m3ter_nb
sys.path.insert(0, {helpers!r})
from usage_frames import usage
with m3ter_nb.login() as session:
    print("ready", flush=True)
    session.submit_usage(usage({rows}), "api_requests", rate=({rate}, 300000), confirm=0, journal="run.sqlite")
"""


def start(used: Used, rows: int, rate: int) -> subprocess.Popen[str]:
    """Start a process that submits rows."""
    code = SCRIPT.format(helpers=str(Path(__file__).parents[1] / "helpers"), rows=rows, rate=rate)
    environ = os.environ | used.sandbox.environ
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_kills_at_any_moment_lose_and_double_nothing(used: Used) -> None:
    frame = usage(12_000)
    when = random.Random(7)
    for kills in range(2):
        process = start(used, 12_000, 4)
        used.wait_for_requests(2 + used.requests() + kills)
        time.sleep(when.random() / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=10)

    assert used.asked("COUNT") < 12_000
    sent = used.submit(frame, journal="run.sqlite")

    assert used.counted() == (12_000, frame["requests"].sum())
    assert sent.confirmed
    assert 0 < sent.already < 12_000


@pytest.mark.slow
def test_two_processes_at_once_count_each_row_once(used: Used) -> None:
    frame = usage(6000)
    processes = [start(used, 6000, 50) for _ in range(2)]
    for process in processes:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said

    assert used.counted() == (6000, frame["requests"].sum())


@pytest.mark.slow
def test_ctrl_c_ends_the_run_in_the_middle_and_says_how_many_rows_are_in(used: Used) -> None:
    frame = usage(20_000)

    def press() -> None:
        used.wait_for_requests(3)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(
        Interrupted, match=r"m3ter has accepted 1?\d,\d+ of 20,000 rows.*goes on where it stopped"
    ):
        used.submit(frame, rate=(5, 4950))
    presser.join()

    assert used.submit(frame).confirmed
    assert used.counted() == (20_000, frame["requests"].sum())


def test_the_journal_holds_digests_only(used: Used) -> None:
    sent = used.submit(usage(50), uid="event_id")
    assert sent.journal is not None

    held = b"".join(path.read_bytes() for path in sent.journal.parent.glob("*.sqlite*"))

    assert b"e1-7" not in held
    assert b"acct-" not in held
    assert b"eu-west-1" not in held


def test_the_journal_is_in_a_folder_of_its_own_that_git_leaves_alone(used: Used) -> None:
    sent = used.submit(usage(5))
    assert sent.journal is not None

    assert sent.journal == Path.cwd() / ".m3ter" / "usage-5a4db0c5-api_requests.sqlite"
    assert (sent.journal.parent / ".gitignore").read_text() == "*\n"
    assert sent.journal.parent.stat().st_mode & 0o777 == 0o700
    assert sent.journal.stat().st_mode & 0o777 == 0o600


def test_the_journal_of_files_is_beside_them(used: Used, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    usage(5).to_csv(folder / "usage.csv", index=False)

    sent = used.submit(folder / "usage.csv")

    assert sent.journal is not None
    assert sent.journal.parent == folder / ".m3ter"


@pytest.mark.parametrize("name", ["host", "organization", "meter"])
def test_a_journal_of_another_place_is_refused(tmp_path: Path, name: str) -> None:
    Journal(tmp_path / "j.sqlite", ABOUT).close()

    with pytest.raises(InvalidArgument, match=f"of another {name}"):
        Journal(tmp_path / "j.sqlite", {**ABOUT, name: "other"})


def aged(path: Path, days: int, *, finished: bool) -> None:
    """Open a journal with one run, so many days after it began."""
    journal = Journal(path, ABOUT, wall=lambda: 1e9)
    journal.begin()
    if finished:
        journal.finish()
    journal.close()
    Journal(path, ABOUT, wall=lambda: 1e9 + days * 86_400).close()


def test_only_an_unfinished_run_that_m3ter_has_forgotten_is_refused(tmp_path: Path) -> None:
    aged(tmp_path / "young.sqlite", 33, finished=False)
    aged(tmp_path / "whole.sqlite", 90, finished=True)

    with pytest.raises(InvalidArgument, match="unfinished run of 2001-09-09"):
        aged(tmp_path / "old.sqlite", 35, finished=False)


@pytest.mark.parametrize("spoil", ["mode", "link", "folder", "bytes"])
def test_a_file_that_is_not_to_be_trusted_is_no_journal_and_the_rows_are_sent(
    used: Used, tmp_path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.sqlite"
    if spoil == "mode":
        sqlite3.connect(path).close()
        path.write_bytes(b"")
        path.chmod(0o666)
    elif spoil == "link":
        (tmp_path / "other").write_bytes(b"")
        path.symlink_to(tmp_path / "other")
    elif spoil == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"no database at all" * 100)
        path.chmod(0o600)

    sent = used.submit(usage(5), journal=path)

    assert (sent.journal, sent.confirmed) == (None, True)
    assert "No journal is kept" in caplog.text


def test_a_folder_that_cannot_be_written_means_no_journal(
    used: Used, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    sent = used.submit(usage(5), journal=tmp_path / "file" / "j.sqlite")

    assert (sent.journal, sent.confirmed) == (None, True)
    assert "No journal is kept" in caplog.text


def test_a_journal_that_cannot_be_written_any_more_ends_no_run_and_is_told_once(
    used: Used, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    frame = usage(5000)
    add, written = Journal.add, [0]

    def full(self: Journal, batch: Batch, run: Run) -> None:
        written[0] += 1
        if written[0] > 2:
            raise sqlite3.OperationalError("database or disk is full")
        add(self, batch, run)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", full)
        sent = used.submit(frame)
    again = used.submit(frame)

    assert (sent.confirmed, again.confirmed) == (True, True)
    assert used.counted() == (5000, frame["requests"].sum())
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


def test_the_check_makes_no_journal(used: Used) -> None:
    used.session.check_usage(usage(5), "api_requests")

    assert not (Path.cwd() / ".m3ter").exists()


def test_meters_with_names_that_no_file_can_have_get_journals_of_their_own() -> None:
    paths = {
        journal_path(None, "org-id-of-36", code).name for code in ("a/b", "a b", "a_b", "../x", "é", "x" * 80)
    }

    assert len(paths) == 6
    assert all("/" not in name for name in paths)
