"""The journal: what it knows, whom it trusts, and that a run that is cut short loses nothing."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from m3ter_nb.errors import Interrupted, InvalidArgument
from m3ter_nb.usage import journal as journals
from m3ter_nb.usage.journal import Journal
from m3ter_nb.usage.journal_file import journal_path
from usage_frames import usage, used_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usage_frames import Used

ABOUT = {"host": "https://api.m3ter.com", "organization": "o", "meter": "m"}
SCRIPT = """
import sys
import m3ter_nb
sys.path.insert(0, {helpers!r})
from usage_frames import usage, used_of
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [7, pytest.param(8, marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow)]
)
def test_kills_at_any_moment_lose_and_double_nothing(used: Used, seed: int) -> None:
    frame = usage(12_000)
    when = random.Random(seed)
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

    assert (
        sent.journal
        == Path.cwd() / ".m3ter" / f"usage-5a4db0c5-api_requests-{urlsplit(used.sandbox.url).port}.sqlite"
    )
    assert (sent.journal.parent / ".gitignore").read_text() == "*\n"
    assert sent.journal.parent.stat().st_mode & 0o777 == 0o700
    assert sent.journal.stat().st_mode & 0o777 == 0o600


def test_rows_go_without_a_journal_where_the_working_directory_is_gone(
    used: Used, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Path.cwd() / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()

    assert used.submit(usage(5)).confirmed
    assert "No journal is kept" in caplog.text
    monkeypatch.undo()  # or whatever asks for the directory meanwhile fails


def test_the_journal_of_files_is_beside_them(used: Used, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    usage(5).to_csv(folder / "usage.csv", index=False)

    sent = used.submit(folder / "usage.csv")

    assert sent.journal is not None
    assert sent.journal.parent == folder / ".m3ter"


@pytest.mark.parametrize("name", ["host", "organization", "meter"])
def test_a_journal_of_another_place_is_refused(tmp_path: Path, name: str) -> None:
    Journal(tmp_path / "j.sqlite", ABOUT, pytest.fail).close()

    with pytest.raises(InvalidArgument, match=f"of another {name}"):
        Journal(tmp_path / "j.sqlite", {**ABOUT, name: "other"}, pytest.fail)


def aged(path: Path, days: int, *, finished: bool) -> None:
    """Open a journal with one run, so many days after it began."""
    journal = Journal(path, ABOUT, pytest.fail, wall=lambda: 1e9)
    journal.begin("content")
    if finished:
        journal.finish()
    journal.close()
    Journal(path, ABOUT, pytest.fail, wall=lambda: 1e9 + days * 86_400).close()


def test_only_an_unfinished_run_that_m3ter_has_forgotten_is_refused(tmp_path: Path) -> None:
    aged(tmp_path / "young.sqlite", 33, finished=False)
    aged(tmp_path / "whole.sqlite", 90, finished=True)

    with pytest.raises(InvalidArgument, match="unfinished run of 2001-09-09"):
        aged(tmp_path / "old.sqlite", 35, finished=False)


def foreign(path: Path, spoil: str) -> None:
    """Make of a journal that knows nothing a file that is not to be trusted, or none."""
    path.unlink()
    if spoil == "mode":
        path.write_bytes(b"")
        path.chmod(0o666)
    elif spoil == "link":
        path.with_name("other").write_bytes(b"")
        path.symlink_to(path.with_name("other"))
    elif spoil == "loose link":
        path.symlink_to(path.with_name("nowhere"))
    elif spoil == "folder":
        path.mkdir()
    elif spoil == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes({"bytes": b"no database at all" * 100, "cut": b"SQLite format 3\0"}[spoil])
        path.chmod(0o600)


def damaged(path: Path, spoil: str) -> None:
    """Damage a journal that holds rows."""
    with sqlite3.connect(path, isolation_level=None) as db:
        if spoil == "length":
            db.execute("UPDATE sent SET uids = substr(uids, 1, 1003)")
        elif spoil == "contents":
            db.execute("UPDATE sent SET contents = x'00'")
        elif spoil == "columns":
            db.execute("ALTER TABLE sent RENAME COLUMN uids TO ids")
        elif spoil == "trigger":
            db.execute("CREATE TRIGGER t AFTER INSERT ON sent BEGIN DELETE FROM sent; END")
        elif spoil == "view":
            db.executescript("DROP TABLE events; CREATE VIEW events AS SELECT 'x' AS id;")
    db.close()
    if spoil == "pages":
        held = path.read_bytes()
        path.write_bytes(held[:4096] + b"\xff" * (len(held) - 4096))


@pytest.mark.parametrize("spoil", ["mode", "link", "loose link", "folder", "pipe", "bytes", "cut"])
def test_a_file_that_is_not_to_be_trusted_is_no_journal_and_the_rows_are_sent(
    used: Used, tmp_path: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.sqlite"
    path.write_bytes(b"")
    foreign(path, spoil)

    sent = used.submit(usage(5), journal=path)

    assert (sent.journal, sent.confirmed) == (None, True)
    assert "No journal is kept" in caplog.text
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("beside", ["-wal", "-shm", "-journal"])
@pytest.mark.parametrize("spoil", ["mode", "link", "loose link", "pipe"])
def test_what_stands_beside_the_journal_is_trusted_no_more_than_the_journal(
    used: Used, tmp_path: Path, beside: str, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.sqlite"
    used.submit(usage(5), journal=path)
    planted = path.with_name(path.name + beside)
    planted.write_bytes(b"")
    foreign(planted, spoil)

    sent = used.submit(usage(5), journal=path)

    assert (sent.journal, sent.already, sent.confirmed) == (None, 5, True)
    assert "No journal is kept" in caplog.text


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_belongs_to_somebody_else_is_no_journal(
    used: Used, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "folder" / "j.sqlite"
    path.parent.mkdir()
    used.submit(usage(5), journal=path)
    if os.getuid() == 0:
        os.chown(path if what == "file" else path.parent, 12_345, 12_345)
    else:  # nobody but root can give a file away
        monkeypatch.setattr(os, "getuid", lambda: 12_345)

    sent = used.submit(usage(5), journal=path)

    assert (sent.journal, sent.already, sent.confirmed) == (None, 5, True)
    assert "No journal is kept" in caplog.text


def test_a_folder_that_everybody_can_write_holds_no_journal(
    used: Used, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o777)

    assert used.submit(usage(5), journal=tmp_path / "j.sqlite").journal is None
    assert "can be written by everybody" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"uid": "event_id"}], ids=["content", "uid"])
@pytest.mark.parametrize("spoil", ["length", "contents", "columns", "trigger", "view", "pages"])
def test_a_damaged_journal_ends_no_run_and_makes_no_row_count_twice(
    used: Used, tmp_path: Path, spoil: str, how: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    frame = usage(3000)
    used.submit(frame.head(2000), journal=tmp_path / "j.sqlite", **how)
    damaged(tmp_path / "j.sqlite", spoil)

    sent = used.submit(frame, journal=tmp_path / "j.sqlite", **how)

    assert (sent.confirmed, sent.already, sent.accepted) == (True, 2000, 1000)
    assert used.counted() == (3000, frame["requests"].sum())
    assert re.search("No journal is kept|cannot be used any more", caplog.text)


def test_the_database_of_another_program_is_left_as_it_is(
    used: Used, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "mine.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()
    path.chmod(0o600)
    before = path.read_bytes()

    sent = used.submit(usage(5), journal=path)

    assert (sent.journal, sent.confirmed, path.read_bytes()) == (None, True, before)
    assert "the database of another program" in caplog.text


def test_a_folder_that_cannot_be_written_means_no_journal(
    used: Used, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")

    sent = used.submit(usage(5), journal=tmp_path / "file" / "j.sqlite")

    assert (sent.journal, sent.confirmed) == (None, True)
    assert "No journal is kept" in caplog.text


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Let no file grow beyond 100 kB: writing more fails, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_a_disk_that_is_full_ends_no_run_and_is_told_once(
    used: Used, small_disk: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = usage(20_000)

    sent = used.submit(frame, uid="event_id", journal=tmp_path / "j.sqlite")
    again = used.submit(frame, uid="event_id", journal=None)

    assert (sent.confirmed, again.confirmed) == (True, True)
    assert used.counted() == (20_000, frame["requests"].sum())
    assert sum("cannot be used any more" in record.message for record in caplog.records) == 1


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "check", "sending"])
def test_a_journal_that_another_process_does_not_let_go_of_ends_no_run(
    used: Used, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journals, "_BUSY_SECONDS", 0.05)
    frame, path = usage(3000), tmp_path / "j.sqlite"
    used.submit(frame.head(500), journal=path)
    other = sqlite3.connect(path, isolation_level=None)
    if moment == "before":
        other.execute("BEGIN IMMEDIATE")

    def hold(_: object) -> None:
        if moment == "check":
            other.execute("BEGIN IMMEDIATE")

    begin = Journal.begin

    def begin_and_hold(self: Journal, way: str) -> object:
        run = begin(self, way)
        if moment == "sending":
            other.execute("BEGIN IMMEDIATE")
        return run

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "begin", begin_and_hold)
        sent = used.submit(frame, journal=path, approve=hold)
    other.execute("ROLLBACK")
    other.close()

    assert sent.confirmed
    assert used.counted() == (3000, frame["requests"].sum())
    assert sum("ournal" in record.message for record in caplog.records) == 1
    assert used.submit(frame, journal=path).confirmed


def test_the_check_makes_no_journal(used: Used) -> None:
    used.session.check_usage(usage(5), "api_requests")

    assert not (Path.cwd() / ".m3ter").exists()


def test_meters_with_names_that_no_file_can_have_get_journals_of_their_own() -> None:
    paths = {
        journal_path(None, "org-id-of-36", code, "https://api.m3ter.com").name
        for code in ("a/b", "a b", "a_b", "../x", "é", "x" * 80)
    }

    assert len(paths) == 6
    assert all("/" not in name for name in paths)


def test_each_sandbox_has_a_journal_of_its_own() -> None:
    ports = {journal_path(None, "o", "m", f"http://127.0.0.1:{port}").name for port in (8000, 8001)}

    assert len(ports) == 2


def test_rows_that_m3ter_has_forgotten_are_told_from_rows_that_show_late(used: Used) -> None:
    frame = usage(20)
    used.submit(frame)
    used.sandbox.reset()
    used_of(used.session, used.sandbox)

    sent = used.submit(frame, confirm=0.1)
    late = used.submit(usage(5, seed=2), confirm=0.1)

    assert (sent.already, sent.ingested, sent.confirmed) == (20, 0, False)
    assert "another journal= sends them again" in repr(sent)
    assert "another journal=" not in repr(late)
    assert used.submit(frame, journal="other.sqlite").accepted == 20
