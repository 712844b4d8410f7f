"""The magics in a real terminal: IPython on a pseudo-terminal, answered by a person of code."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET
from worn import in_full_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from m3ter_nb.sandbox import Sandbox

pytestmark = pytest.mark.slow

pexpect = pytest.importorskip("pexpect", reason="a pseudo-terminal is a Unix thing")

_PROMPT = r"In \[\d+\]: "


class Terminal:
    """IPython in a pseudo-terminal; everything it showed is kept."""

    def __init__(self, environ: dict[str, str], columns: int = 200) -> None:
        self.shown = ""
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--simple-prompt", "--no-banner", "--no-confirm-exit", "--colors=NoColor"],
            env={**os.environ, "TERM": "dumb", "COLUMNS": str(columns), **environ},
            encoding="utf-8",
            timeout=60,
            dimensions=(50, columns),
        )
        self.expect(_PROMPT)

    def expect(self, pattern: str) -> str:
        """Wait for a text, and return what was shown before it."""
        self.child.expect(pattern)
        self.shown += self.child.before + self.child.after
        return str(self.child.before)

    def run(self, line: str, until: str = _PROMPT) -> str:
        """Type a line, and return what was shown until the next prompt."""
        self.child.sendline(line)
        return self.expect(until)


@pytest.fixture
def terminal(sandbox: Sandbox) -> Iterator[Terminal]:
    """Return a terminal with the extension loaded; only the host is in its environment."""
    opened = Terminal({"M3TER_BASE_URL": sandbox.url})
    opened.run("%load_ext m3ter_nb")
    yield opened
    opened.child.close(force=True)


def test_login_asks_and_the_secret_is_never_shown(terminal: Terminal, sandbox: Sandbox) -> None:
    terminal.run("%m3ter_login", "Access Key ID: ")
    terminal.run(DEMO_KEY_ID, r"API Secret \(hidden\): ")
    said = terminal.run(DEMO_SECRET)
    called = terminal.run("m3ter_session.get('products')")
    shown = terminal.run("print(m3ter_token); m3ter_token")
    terminal.run("%whos")
    terminal.run("%history")

    assert "Credentials from  the prompt" in said
    assert "{'data': []}" in called
    assert "<m3ter token" in shown
    assert DEMO_SECRET not in terminal.shown
    assert "eyJ" not in terminal.shown


@pytest.mark.parametrize(
    "wear",
    [
        "\u201c{}\u201d,".format,
        " '{}' ".format,
        "\ufeff{}\u200b".format,
        "M3TER_API_KEY={}".format,
        in_full_width,
    ],
)
def test_what_is_typed_is_cleaned_as_what_is_pasted(terminal: Terminal, wear: Callable[[str], str]) -> None:
    terminal.run("%m3ter_login", "Access Key ID: ")
    terminal.run(wear(DEMO_KEY_ID), r"API Secret \(hidden\): ")
    said = terminal.run(wear(DEMO_SECRET))

    assert "Credentials from  the prompt" in said
    assert DEMO_SECRET not in terminal.shown


def test_the_history_of_ipython_holds_no_secret(terminal: Terminal) -> None:
    terminal.run("%m3ter_login", "Access Key ID: ")
    terminal.run(DEMO_KEY_ID, r"API Secret \(hidden\): ")
    terminal.run(DEMO_SECRET)
    terminal.child.sendline("exit")
    terminal.child.expect(pexpect.EOF)

    database = Path.home() / ".ipython" / "profile_default" / "history.sqlite"
    with sqlite3.connect(database) as history:
        lines = [line for (line,) in history.execute("select source_raw from history")]
    assert "%m3ter_login" in lines
    assert not [line for line in lines if DEMO_SECRET in line or DEMO_KEY_ID in line]


@pytest.mark.parametrize("keys", ["\x03", "\x04"], ids=["Ctrl-C", "Ctrl-D"])
def test_leaving_the_key_id_prompt_leaves_a_clean_prompt(
    terminal: Terminal, sandbox: Sandbox, keys: str
) -> None:
    terminal.run("%m3ter_login", "Access Key ID: ")
    terminal.child.send(keys)
    said = terminal.expect(_PROMPT)

    assert "NotLoggedIn: Cancelled: nothing was sent." in said
    assert "Traceback" not in said
    assert "2" in terminal.run("1 + 1")
    assert sandbox.log == []


def test_leaving_half_way_through_a_secret_leaves_a_clean_prompt(
    terminal: Terminal, sandbox: Sandbox
) -> None:
    terminal.run("%m3ter_login", "Access Key ID: ")
    terminal.run(DEMO_KEY_ID, r"API Secret \(hidden\): ")
    terminal.child.send("half-of-it")
    terminal.child.send("\x03")
    said = terminal.expect(_PROMPT)

    assert "\nNotLoggedIn: Cancelled" in said
    assert "Traceback" not in said
    assert "visible again" in terminal.run("print('visible', 'again')")
    assert "half-of-it" not in terminal.shown
    assert sandbox.log == []


def test_a_wrong_secret_is_one_line_and_the_next_try_works(terminal: Terminal) -> None:
    for secret, answer in (("wrong-8471", "LoginRefused"), (DEMO_SECRET, DEMO_ORG_ID)):
        terminal.run("%m3ter_login", "Access Key ID: ")
        terminal.run(DEMO_KEY_ID, r"API Secret \(hidden\): ")
        said = terminal.run(secret)

        assert answer in said
        assert "Traceback" not in said
    assert "wrong-8471" not in terminal.shown


def test_a_host_that_only_a_dotenv_names_is_asked_about_before_anything_is_typed(sandbox: Sandbox) -> None:
    Path(".env").write_text("M3TER_BASE_URL=https://billing.example\n")
    opened = Terminal({})
    opened.run("%load_ext m3ter_nb")
    opened.run("%m3ter_login --prompt", r"Send to billing.example\? \[y/N\] ")
    said = opened.run("")

    opened.child.close(force=True)
    assert "NotLoggedIn: Nothing was sent." in said
    assert "Access Key ID" not in opened.shown


@pytest.mark.parametrize(
    "line",
    [
        "%m3ter_login --fom",
        "%m3ter_sandbox stauts",
        "%m3ter_logout",
        "%m3ter_login --base-url http://a.example",
    ],
)
def test_a_narrow_terminal_is_not_left_to_break_words(line: str) -> None:
    opened = Terminal({"M3TER_API_KEY": "k", "M3TER_API_SECRET": "s"}, columns=40)
    opened.run("%load_ext m3ter_nb")

    said = opened.run(line).split("\r\n")[1:]

    opened.child.close()
    assert len([each for each in said if each]) > 1
    assert [each for each in said if len(each) > 40] == []
