"""%m3ter_submit: a few lines over the session."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pandas", reason="usage needs the extra 'pandas'")

import pandas as pd

from m3ter_nb import Submission, UsageReport
from m3ter_nb.errors import ConfirmationNeeded, InvalidArgument, M3terError
from m3ter_nb.sandbox import Sandbox
from usage_frames import usage, used_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from usage_frames import Used

LINE = "df --meter api_requests --uid event_id"


@pytest.fixture
def used(shell: InteractiveShell, sandbox_environ: Sandbox) -> Used:
    """Return a logged-in notebook with a frame ``df``, and its session."""
    shell.run_line_magic("m3ter_login", "")
    shell.user_ns["df"] = usage(30)
    return used_of(shell.user_ns["m3ter_session"], sandbox_environ)


@pytest.fixture
def production(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Used]:
    """Return the same on a PRODUCTION organization."""
    with Sandbox(limits=False, organization_type="PRODUCTION") as sandbox:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        shell.run_line_magic("m3ter_login", "")
        shell.user_ns["df"] = usage(30)
        yield used_of(shell.user_ns["m3ter_session"], sandbox)


def test_a_check_is_a_report_and_a_submission_counts(shell: InteractiveShell, used: Used) -> None:
    report = shell.run_line_magic("m3ter_submit", f"{LINE} --check")
    sent = shell.run_line_magic("m3ter_submit", LINE)

    assert isinstance(report, UsageReport)
    assert report.ok
    assert isinstance(sent, Submission)
    assert sent.confirmed
    assert used.asked("COUNT") == 30


def test_columns_are_mapped_and_a_path_is_a_source(shell: InteractiveShell, used: Used) -> None:
    frame = usage(5).rename(columns={"region": "zone", "account": "who"})
    frame.to_csv("usage.csv", index=False)

    sent = shell.run_line_magic(
        "m3ter_submit", "usage.csv --meter api_requests --account who --map region=zone --key event_id"
    )

    assert sent.confirmed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("df", "Name the meter"),
        ("df api_requests", r"^%m3ter_submit: the meter is given with --meter CODE\. %m3ter_submit\? shows"),
        ("df --uid event_id --check api_requests", "the meter is given with --meter CODE"),
        ("df --meter api_requests more", "it does not take what is written there"),
        ("nothing --meter api_requests", "no name of this notebook"),
        ("df --meter api_requests --map region", "--map takes pairs"),
    ],
)
def test_a_line_that_makes_no_sense_says_what_does(
    shell: InteractiveShell, used: Used, line: str, said: str
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        shell.run_line_magic("m3ter_submit", line)


#: An argument of Python, or what a name of ours would hold in Python.
PYTHONS = re.compile(r"\b[a-z_]+=(?!COLUMN)|\b(?:error|sent|session)\.\w")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def as_it_is(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def of_an_unknown_account(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(account="no-such")


def renamed(**names: str) -> Change:
    return lambda frame: frame.rename(columns=names)


SAID: list[tuple[Change, str, dict[str, Any], str, str]] = [
    (of_an_unknown_account, "", {}, "--new-accounts create if it", 'new_accounts="create" if it'),
    (of_an_unknown_account, "", {}, "--invalid skip leaves them out", 'invalid="skip" leaves them out'),
    (of_an_unknown_account, "", {}, "--check says the same", "error.report says the same"),
    (
        as_it_is,
        "--uid event_id --key region",
        {"uid": "event_id", "key": "region"},
        "--uid and --key exclude",
        "uid= and key= exclude",
    ),
    (as_it_is, "--map regoin=region", {"columns": {"regoin": "region"}}, "Mend --map", "Mend columns="),
    (renamed(region="zone"), "", {}, "--map region=COLUMN names", 'columns={"region": "..."} names'),
    (renamed(account="who"), "", {}, "--account COLUMN names", 'account="..." names'),
    (as_it_is, "--uid evnt_id", {"uid": "evnt_id"}, "--uid and --key name", "uid= and key= name"),
    (as_it_is, "--confirm -1", {"confirm": -1}, "--confirm is a number", "confirm= is a number"),
]


@pytest.mark.parametrize(("change", "line", "options", "on_line", "in_python"), SAID)
def test_an_error_names_options_as_they_were_typed(
    shell: InteractiveShell,
    used: Used,
    change: Change,
    line: str,
    options: dict[str, Any],
    *,
    on_line: str,
    in_python: str,
) -> None:
    shell.user_ns["df"] = frame = change(usage(30))
    with pytest.raises(M3terError) as of_magic:
        shell.run_line_magic("m3ter_submit", f"df --meter api_requests {line}")
    with pytest.raises(M3terError) as of_python:
        used.session.submit_usage(frame, "api_requests", **options)

    assert on_line in str(of_magic.value)
    assert not PYTHONS.search(str(of_magic.value))
    assert in_python in str(of_python.value)
    assert "--" not in str(of_python.value)


def test_a_report_names_options_as_they_were_typed_whenever_it_is_read(
    shell: InteractiveShell, used: Used
) -> None:
    shell.user_ns["df"] = frame = pd.concat([usage(30)] * 2).assign(ts="2026-01-01T00:00:00")
    of_magic = shell.run_line_magic("m3ter_submit", "df --meter api_requests --check")
    of_python = used.session.check_usage(frame, "api_requests")

    assert "taken as in --timezone" in repr(of_magic)
    assert "with --uid or --key it would not be" in repr(of_magic)
    assert not PYTHONS.search(repr(of_magic))
    assert "taken as in timezone=" in repr(of_python)
    assert "--" not in repr(of_python)


def test_refused_rows_are_where_the_error_says_they_are(shell: InteractiveShell, used: Used) -> None:
    shell.user_ns["df"] = frame = usage(30)
    frame.loc[7, "account"] = "ACCT-1"

    result = shell.run_cell(f"%m3ter_submit {LINE} --new-accounts create")

    assert "sys.last_value.submission.refused shows them" in str(result.error_in_exec)
    shown = shell.run_cell("import sys; sys.last_value.submission.refused['row'].tolist()")
    assert shown.result == [7]


WORD = "5ecret-8471-marked"


@pytest.mark.parametrize(
    "line",
    [
        f"{WORD} --meter api_requests",
        f"{WORD}.csv --meter api_requests",
        f"df {WORD} --meter api_requests",
        f"df --meter {WORD}",
        f"df --meter api_requests --uid {WORD}",
        f"df --meter api_requests --key {WORD}",
        f"df --meter api_requests --account {WORD}",
        f"df --meter api_requests --ts {WORD}",
        f"df --meter api_requests --map {WORD}",
        f"df --meter api_requests --map {WORD}=region",
        f"df --meter api_requests --map region={WORD}",
        f"df --meter api_requests --new-accounts {WORD}",
        f"df --meter api_requests --timezone {WORD}",
        f"df --meter api_requests --confirm {WORD}",
        f"df --meter api_requests --name {WORD}",
    ],
)
def test_no_word_that_it_does_not_know_is_repeated(
    shell: InteractiveShell, used: Used, capfd: pytest.CaptureFixture[str], line: str
) -> None:
    result = shell.run_cell(f"%m3ter_submit {line}")

    assert isinstance(result.error_in_exec, M3terError)
    assert "8471" not in f"{result.error_in_exec} {capfd.readouterr()}"


def test_it_asks_each_time_before_rows_go_to_production_and_no_is_the_default(
    shell: InteractiveShell, production: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answers = iter(["", "y", "no"])

    def answer(question: str) -> str:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr("m3ter_nb.notebook.front_end.can_prompt", lambda _shell: True)
    monkeypatch.setattr("builtins.input", answer)

    with pytest.raises(ConfirmationNeeded):
        shell.run_line_magic("m3ter_submit", LINE)
    assert production.requests() == 0
    shell.run_line_magic("m3ter_submit", LINE)
    with pytest.raises(ConfirmationNeeded):
        shell.run_line_magic("m3ter_submit", LINE)

    assert "30 rows of 10 accounts, 2026-01-01" in asked[0]
    assert "PRODUCTION organization" in asked[0]
    assert len(asked) == 3


def test_where_nobody_can_answer_it_wants_yes(shell: InteractiveShell, production: Used) -> None:
    with pytest.raises(ConfirmationNeeded, match="--yes"):
        shell.run_line_magic("m3ter_submit", LINE)

    assert shell.run_line_magic("m3ter_submit", f"{LINE} --yes").confirmed


def test_tab_completes_frames_columns_and_meters_without_asking_anybody(
    shell: InteractiveShell, used: Used
) -> None:
    shell.run_cell("meters = %m3ter GET meters --all").raise_error()
    before = len(used.sandbox.log)

    def completed(text: str) -> list[str]:
        return [each for each in shell.complete(text, text, len(text))[1] if not each.startswith("%")]

    assert "df" in completed("%m3ter_submit d")
    assert "event_id" in completed("%m3ter_submit df --uid ev")
    assert "api_requests" in completed("%m3ter_submit df --meter api")
    assert "--invalid" in completed("%m3ter_submit df --inv")
    assert len(used.sandbox.log) == before


def test_a_progress_text_is_gone_when_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    from m3ter_nb.usage import progress

    shown: list[str] = []
    monkeypatch.setattr(progress, "_DELAY", 0)
    monkeypatch.setattr(progress, "_PAUSE", 0)
    monkeypatch.setattr(progress, "_in_kernel", lambda: True)
    monkeypatch.setattr(progress.Progress, "_show_in_notebook", lambda _self, text: shown.append(text))

    with progress.Progress("accepted", 100) as told:
        told(10)
        told(50)

    assert shown == ["accepted: 10 of 100 rows", "accepted: 60 of 100 rows", ""]
