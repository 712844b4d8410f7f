"""Whatever of ours is printed can be written to standard output, whichever encoding that has."""

from __future__ import annotations

import ast
import io
import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from m3ter_nb import errors
from m3ter_nb.api.docs_index import Page
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.env_file import EnvFile
from m3ter_nb.auth.keychain import Entry
from m3ter_nb.auth.platforms import PlatformSecrets
from m3ter_nb.auth.profiles import Profile
from m3ter_nb.auth.settings import Settings
from m3ter_nb.bridges import snippets
from m3ter_nb.errors import ApiError, InvalidArgument, M3terWarning
from m3ter_nb.form import LoginCard, LoginForm
from m3ter_nb.notebook import magics
from m3ter_nb.notebook.call import WriteGuard
from m3ter_nb.notebook.logins import NotYet
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET
from m3ter_nb.usage.report import Finding, UsageReport
from m3ter_nb.usage.submission import Submission
from m3ter_nb.views.card import Card
from m3ter_nb.views.records import Record, Records, as_records
from m3ter_nb.views.reference import Link, Reference, Section

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox

#: Beyond every old code page, a terminal's escape sequence, a line break, a turned direction, half a pair.
ODD = "計測…•\x1b[2J\n\u202e\u2028\ud83d"
ONE_LINE = {
    "Profile": Profile("default", "https://x.example", organization=ODD),
    "Settings": Settings(source=ODD),
    "PlatformSecrets": PlatformSecrets(ODD, {}),
    "Credentials": Credentials("key", "secret", source=ODD),
    "Entry": Entry(ODD, Credentials("key", "secret"), "https://x.example"),
    "EnvFile": EnvFile(ODD, {}, ()),
    "Page": Page(ODD, "https://x.example"),
    "Finding": Finding("NewAccount", ODD, 1, [0], [ODD]),
    "M3terError": ApiError(ODD, status=400, method="GET", path=ODD, reason=ODD),
    "M3terWarning": M3terWarning(ODD),
    "NotYet": NotYet(lambda: ODD),
}
REPORT = UsageReport(
    ODD, rows=1, accounts=1, start=ODD, end=ODD, notes=[ODD], found_problems=[Finding("NotANumber", ODD, 9)]
)
ENTITY = {"name": ODD, "secret": "s3cr3t", ODD: [{ODD: ODD}], "count": 1}
SEVERAL_LINES = {
    "Record": Record(ENTITY),
    "Records": Records([ENTITY, ENTITY]),
    "_Shown": as_records({"data": [ENTITY], "nextToken": "x"}),
    "Card": Card(ODD, ((ODD, ODD),), (ODD,), ODD),
    "Reference": Reference(ODD, ODD, [Section(ODD, [(ODD, Link(ODD, ODD))], ODD)], notes=[ODD]),
    "UsageReport": REPORT,
    "Submission": Submission(ODD, 0, REPORT, notes=[ODD]),
}
CARD = LoginCard(ODD, ((ODD, ODD),), ODD, (ODD,))
#: Of these the text is ASCII by its making, or tests of their own hold it.
ASCII = {"Hidden", "Sealed", "TokenAuth", "TokenPlugin", "Token", "Digits", "LoginForm"}
#: Of a session, which needs a server to be one.
OF_A_SESSION = {"M3terSession", "Transport", "LoginHandle"}


in_every_encoding = pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "utf-8"])


def stdout_in(encoding: str, monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """Set standard output to one of an encoding, and return what is written to it."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding, newline="\n", write_through=True))
    return raw


@in_every_encoding
@pytest.mark.parametrize(
    "value", [*ONE_LINE.values(), *SEVERAL_LINES.values()], ids=[*ONE_LINE, *SEVERAL_LINES]
)
def test_a_value_can_be_printed_in_any_encoding_however_it_is_held(
    monkeypatch: pytest.MonkeyPatch, encoding: str, value: object
) -> None:
    stdout = stdout_in(encoding, monkeypatch)
    sys.stdout.write(f"{value!r} {[value]} { {'a': value} } {(value,)}")
    if not isinstance(value, NotYet):  # any use of it says what to do
        sys.stdout.write(f"{value}" + str(value))

    written = stdout.getvalue()
    assert b"\x1b" not in written
    assert b"s3cr3t" not in written


@pytest.mark.parametrize("value", ONE_LINE.values(), ids=ONE_LINE)
def test_what_is_one_line_stays_one_whatever_its_parts_hold(value: object) -> None:
    assert repr(value).isprintable()
    if isinstance(value, (errors.M3terError, M3terWarning)):
        assert str(value).isprintable()


@pytest.mark.parametrize("value", SEVERAL_LINES.values(), ids=SEVERAL_LINES)
def test_of_several_lines_none_deceives(value: object) -> None:
    html = getattr(value, "_repr_html_", lambda: "")()

    assert all(line.isprintable() for line in str(value).split("\n"))
    assert html.replace("\n", "").isprintable()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_a_literal_reads_back_as_the_same_value_or_as_its_mask(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))

    assert ast.literal_eval(repr(Records([{"name": ODD}]))) == [{"name": ODD}]
    assert ast.literal_eval(repr(Record({"secret": "s3cr3t"}))) == {"secret": "••••"}


@in_every_encoding
def test_what_a_magic_says_can_be_written(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stdout = stdout_in(encoding, monkeypatch)
    magics._say("計測 …")
    magics._say("計測\n…")

    assert stdout.getvalue().count(b"\n") == 3


@in_every_encoding
def test_a_session_and_its_login_can_be_printed(
    monkeypatch: pytest.MonkeyPatch, encoding: str, sandbox_environ: Sandbox
) -> None:
    stdout = stdout_in(encoding, monkeypatch)
    session = m3ter_nb.login(Credentials(DEMO_KEY_ID, DEMO_SECRET, source=ODD))

    sys.stdout.write(f"{[session]} {session} {[session.token]} {session.token!s}")

    assert b"M3terSession(" in stdout.getvalue()


@pytest.mark.slow
def test_every_value_that_says_how_it_is_shown_is_among_these() -> None:
    root = Path(m3ter_nb.__file__).parent
    shown = {
        node.name
        for path in root.rglob("*.py")
        if "sandbox" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and _says_how(node)
    }

    assert shown == {*ONE_LINE, *SEVERAL_LINES, *ASCII, *OF_A_SESSION} - {"Record", "Records"}


def _says_how(node: ast.ClassDef) -> bool:
    names = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    decorated = any(
        isinstance(each, ast.Name) and each.id == "with_literal_repr" for each in node.decorator_list
    )
    return decorated or bool(names & {"__repr__", "__str__"})


def test_the_question_before_a_write_is_one_line_that_can_be_written(sandbox: Sandbox) -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "y"

    session = m3ter_nb.login(Credentials(DEMO_KEY_ID, DEMO_SECRET), base_url=sandbox.url)
    login = SimpleNamespace(session=session, organization=ODD, organization_type="PRODUCTION")
    WriteGuard(lambda: ask, lambda: "").check_each(login, f"PUT products/x writes {ODD}", yes=False)  # type: ignore[arg-type]  # as far as it is asked

    (question,) = asked
    assert question.isprintable()
    assert question.encode()
    assert "\\x1b" in question


def test_the_card_of_the_form_holds_nothing_that_deceives() -> None:
    form = LoginForm(host="api.m3ter.com", on_submit=lambda _key_id, _secret: CARD)
    form.show_card(CARD)

    shown = form.card
    texts = [shown["title"], shown["badge"], *shown["notes"], *shown["rows"][0]]
    assert all(text.isprintable() for text in texts)
    form.close()


def test_a_body_that_is_shown_as_code_is_the_body_and_moves_no_cursor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = {"name": "計測 \x9b31m \u202e \u2028 \x7f \u3000 it's"}
    magics._say(snippets.curl("POST", "https://x.example", json=body))

    code = capsys.readouterr().out
    assert code.replace("\n", "").isprintable()
    (argument,) = (word for word in shlex.split(code) if word.startswith("{"))
    assert json.loads(argument) == body


def test_an_error_keeps_its_text_as_it_was_made() -> None:
    assert InvalidArgument(ODD).args == (ODD,)


def test_a_message_quotes_a_name_as_it_is_and_on_one_line() -> None:
    name = "山田\u3000商事 Société\u00a0Générale \U0001f469\u200d\U0001f4bb"

    assert errors.excerpt(f" {name}\r\n\u2028\tx ", 100) == f"{name} x"
    assert str(InvalidArgument(name)) == name
