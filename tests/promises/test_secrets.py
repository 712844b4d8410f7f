"""Neither secret nor token shows anywhere: every public path is driven with marked ones, and everything is searched.

A mark is any piece of the API Secret, of its HTTP Basic form, or of the claims or the signature of a token that the
sandbox issued. What is searched: all that was printed, displayed, logged, saved, set in the environment, sent to a widget,
or raised, with every local of every frame that an error passed through.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import traceback
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import comm
import nbformat
import pytest
from comm.base_comm import BaseComm
from IPython.core.displaypub import CapturingDisplayPublisher
from nbclient import NotebookClient

import m3ter_nb
from m3ter_nb.auth.settings import find_settings
from m3ter_nb.errors import M3terError, TokenExpired
from m3ter_nb.form import LoginForm
from m3ter_nb.notebook.front_end import FrontEnd
from m3ter_nb.notebook.log_in import Desk, LoginFlow
from m3ter_nb.notebook.login_options import LoginOptions
from m3ter_nb.notebook.logins import Logins
from m3ter_nb.notebook.twin import SandboxControl
from m3ter_nb.sandbox import DEMO_ORG_ID
from odd_servers import OddServer, answer, json_answer, reset, token_answer
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from clocks import TwoClocks
    from m3ter_nb.sandbox import Sandbox

ORDINARY_LOG_RECORD = logging.makeLogRecord({}).__dict__.keys()


class Marks:
    """What must show nowhere: one key's secret, and every token of the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        key = sandbox.keys.create_key()
        self._sandbox = sandbox
        sandbox.keys._issued.clear()  # other tests' tokens are no marks, nor taken any more
        self.key_id, self.secret = key.key_id, key.secret

    @property
    def environ(self) -> dict[str, str]:
        """The variables to log in with."""
        return {
            "M3TER_BASE_URL": self._sandbox.url,
            "M3TER_API_KEY": self.key_id,
            "M3TER_API_SECRET": self.secret,
        }

    def found_in(self, text: str) -> list[str]:
        """Return what of it shows in a text, by name."""
        basic = base64.b64encode(f"{self.key_id}:{self.secret}".encode()).decode()
        marks = {"the secret": pieces(self.secret), "the Basic form": pieces(basic.rstrip("="))}
        for token in self._sandbox.keys._issued:
            _, claims, signature = token.split(".")
            for name, part in (("a token's claims", claims), ("a token's signature", signature)):
                marks.setdefault(name, []).extend(pieces(part))
        return sorted(name for name, parts in marks.items() if any(part in text for part in parts))


def pieces(mark: str) -> list[str]:
    """Cut a mark into pieces of 14 to 20 characters: what prints values cuts long ones, and shows their ends."""
    size = 14 if len(mark) < 60 else 20
    return [mark[max(0, end - size) : end] for end in range(len(mark), size - 1, -size)]


def shown(value: object) -> str:
    """Return the repr of a value, as a verbose traceback does: one that fails is left out."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - of an object whose __init__ has failed, for example
        return "<repr failed>"


def told_by(error: BaseException | None) -> str:
    """Return what can be printed of an error: texts, chain, and the locals of every frame but this file's."""
    printed: list[str] = []
    while error is not None:
        printed += [repr(error), str(error), repr(error.args), repr(getattr(error, "__dict__", {}))]
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        ours = [frame.f_locals for frame in frames if frame.f_code.co_filename != __file__]
        printed += [f"{name} = {shown(value)}" for values in ours for name, value in values.items()]
        error = error.__cause__ or error.__context__
    return "\n".join(printed)


class Watch:
    """Runs cells in a shell, and keeps all that comes of them."""

    def __init__(
        self,
        shell: InteractiveShell,
        marks: Marks,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        self.marks = marks
        self.shell = shell
        self.errors: list[BaseException] = []
        self._capfd = capfd
        self._caplog = caplog
        self._before = dict(os.environ)
        self._kept: list[str] = []
        shell.display_pub = CapturingDisplayPublisher(shell=shell)

    def run(self, *cells: str) -> None:
        """Run cells; an error of one ends nothing."""
        for cell in cells:
            result = self.shell.run_cell(cell, store_history=True)
            for error in (result.error_before_exec, result.error_in_exec):
                if error is not None:
                    self.note(error)
            if result.result is not None:
                data, metadata = self.shell.display_formatter.format(result.result)
                self._kept.append(f"{data} {metadata} {result.result!r}")

    def note(self, error: BaseException) -> None:
        """Keep an error, and all that can be told by it."""
        self.errors.append(error)
        self._kept.append(told_by(error))

    def keep(self, text: object) -> None:
        """Keep something else that was to be seen."""
        self._kept.append(str(text))

    def everything(self) -> str:
        """Return all that was to be seen so far."""
        captured = self._capfd.readouterr()
        self._kept += [captured.out, captured.err, str(self.shell.display_pub.outputs)]
        for record in self._caplog.records:
            more = {name: value for name, value in vars(record).items() if name not in ORDINARY_LOG_RECORD}
            self._kept.append(
                f"{record.name} {record.getMessage()} {record.args!r} {record.exc_text} {more!r}"
            )
            if record.exc_info:
                self._kept.append(told_by(record.exc_info[1]))
        changed = {name: value for name, value in os.environ.items() if self._before.get(name) != value}
        return "\n".join([*self._kept, str(changed)])

    def leaks(self) -> list[str]:
        """Return which marks were to be seen."""
        return self.marks.found_in(self.everything())


@pytest.fixture
def marks(sandbox: Sandbox) -> Marks:
    """Return a key of the sandbox with a secret that is nowhere else."""
    return Marks(sandbox)


@pytest.fixture
def watch(
    shell: InteractiveShell,
    marks: Marks,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Watch]:
    """Return a watched shell in Verbose mode, with the marked credentials in the environment and logs at DEBUG."""
    for name, value in marks.environ.items():
        monkeypatch.setenv(name, value)
    shell.run_cell("%xmode Verbose")
    with caplog.at_level(logging.DEBUG):
        yield Watch(shell, marks, capfd, caplog)


# The search can fail


PLANTED = {
    "printed": "print(leak)",
    "printed to stderr": "import sys; print(leak, file=sys.stderr)",
    "written by a child": "import subprocess; subprocess.run(['echo', leak])",
    "the cell's output": "leak",
    "inside an output": "[{'a': (leak,)}]",
    "an HTML view": "class View:\n    def _repr_html_(self):\n        return f'<b>{leak}</b>'\nView()",
    "displayed": "display({'text/html': leak}, raw=True)",
    "logged": "import logging; logging.getLogger('deep.down').debug('x %s', leak)",
    "an extra of a log record": "import logging; logging.getLogger('x').debug('x', extra={'header': leak})",
    "raised": "raise ValueError(leak)",
    "raised by a cause": "try:\n    raise KeyError(leak)\nexcept KeyError as e:\n    raise ValueError from e",
    "raised by a hidden context": "try:\n    raise KeyError(leak)\nexcept KeyError:\n    raise ValueError from None",
    "an attribute of an error": "e = ValueError()\ne.request = leak\nraise e",
    "a local of a frame": "def f(text):\n    raise ValueError\nf(leak)",
    "a local of a caught error's frame": "def f(text):\n    raise ValueError\ntry:\n    f(leak)\nexcept ValueError as e:\n    raise KeyError from e",
    "set in the environment": "import os; os.environ['PLANTED'] = leak",
}


@pytest.mark.parametrize("cell", PLANTED.values(), ids=PLANTED)
def test_a_planted_secret_is_found(watch: Watch, monkeypatch: pytest.MonkeyPatch, cell: str) -> None:
    monkeypatch.setenv("PLANTED", "")
    watch.shell.user_ns["leak"] = f"around {watch.marks.secret} it"

    watch.run(cell)

    assert watch.leaks() == ["the secret"]


def test_a_planted_token_in_a_verbose_traceback_is_found(watch: Watch) -> None:
    watch.run("%m3ter_login", "headers = {'A': 'x' * 99, 'Authorization': f'Bearer {m3ter_token}'}")
    watch.shell.run_cell("def f(headers):\n    raise ValueError\nf(headers)")  # printed, not noted

    assert "a token's signature" in watch.leaks()


def test_a_planted_basic_form_and_token_are_found(watch: Watch) -> None:
    watch.run("%m3ter_login")
    basic = base64.b64encode(f"{watch.marks.key_id}:{watch.marks.secret}".encode()).decode()
    watch.shell.user_ns["leak"] = f"Basic {basic}"

    watch.run("print(leak, f'Bearer {m3ter_token}')")

    assert watch.leaks() == ["a token's claims", "a token's signature", "the Basic form"]


# Successes, in a shell


SHOWN = {
    "login": ["%m3ter_login"],
    "an assigned login": ["login = %m3ter_login", "login", "vars(login)"],
    "login without renewal": ["%m3ter_login --no-refresh", "%m3ter_status"],
    "two logins": ["%m3ter_login", "%m3ter_login --name staging", "%m3ter_status --name staging", "%whos"],
    "status": ["%m3ter_login", "%m3ter_status", "status = %m3ter_status", "print(status)"],
    "logout": ["%m3ter_login", "%m3ter_logout", "%m3ter_logout", "%m3ter_status"],
    "the token": [
        "%m3ter_login",
        "m3ter_token",
        "print(m3ter_token)",
        "[m3ter_token]",
        "m3ter_token.expires_at",
    ],
    "the session": ["%m3ter_login", "m3ter_session", "print(m3ter_session)", "vars(m3ter_session)"],
    "what the session holds": [
        "%m3ter_login",
        "vars(m3ter_session.source)",
        "vars(m3ter_session.auth)",
        "vars(m3ter_session._transport)",
        "m3ter_session.source._fetch",
        "m3ter_session.whoami()",
    ],
    "the magics": [
        "%m3ter_login",
        "vars(get_ipython().magics_manager.registry['M3terMagics'])",
        "%config M3terMagics",
    ],
    "the logins": [
        "%m3ter_login",
        "l = get_ipython().magics_manager.registry['M3terMagics']._logins",
        "list(l)",
        "vars(l)",
    ],
    "%whos and friends": [
        "%m3ter_login",
        "%whos",
        "%who_ls",
        "m3ter_token?",
        "m3ter_session?",
        "m3ter_token??",
    ],
    "the namespace": ["%m3ter_login", "str(vars(m3ter_session)) + str(globals().get('m3ter_token'))"],
    "a call": [
        "%m3ter_login",
        "%m3ter GET products",
        "%m3ter GET /organizations/{{m3ter_session.org_id}}/meters",
    ],
    "a list": ["%m3ter_login", "%m3ter GET products --all", "%m3ter GET products --limit 3"],
    "writes": [
        "%m3ter_login",
        '%%m3ter POST products\n{"name": "P", "code": "p"}',
        "p = %m3ter GET products",
        "p",
        "%m3ter DELETE products/{{p['data'][0]['id']}}",
    ],
    "--show": [
        "%m3ter_login",
        "%m3ter_login --show curl",
        "%m3ter_login --show python",
        "%m3ter GET products --show curl",
        "%m3ter GET products --show python",
        "%%m3ter POST products --show curl\n{}",
    ],
    "the sdk": [
        "%m3ter_login",
        "sdk = m3ter_session.sdk()",
        "sdk",
        "vars(sdk)",
        "sdk.products.list()",
        "sdk.close()",
    ],
    "the async sdk": [
        "%m3ter_login",
        "sdk = m3ter_session.async_sdk()",
        "vars(sdk)",
        "await sdk.products.list()",
    ],
    "the login in Python": [
        "import m3ter_nb",
        "s = m3ter_nb.login()",
        "s",
        "s.token",
        "s.get('products')",
        "s.close()",
    ],
    "settings": [
        "from m3ter_nb.auth.settings import *",
        "s = find_settings()",
        "s",
        "s.credentials",
        "print(s)",
        "{s: 1}",
    ],
    "help": ["%m3ter_login", "help(m3ter_session)", "%m3ter_login?", "%m3ter?"],
    "unloading": ["%m3ter_login", "%reload_ext m3ter_nb", "%m3ter_login", "m3ter_token"],
    "configured debugging": ["%m3ter_login", "%config M3terMagics.read_timeout = 9", "%m3ter_login"],
}


@pytest.mark.parametrize("cells", SHOWN.values(), ids=SHOWN)
def test_what_works_shows_neither_secret_nor_token(watch: Watch, sandbox: Sandbox, cells: list[str]) -> None:
    watch.run(*cells)

    assert watch.errors == []
    assert watch.leaks() == []


def test_a_login_from_a_file_shows_neither_secret_nor_token(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, home: Path, tmp_path: Path
) -> None:
    lines = [f"{name}={value}" for name, value in watch.marks.environ.items()]
    for name in watch.marks.environ:
        monkeypatch.delenv(name)
    (home / ".env").write_text("\n".join(lines))
    (tmp_path / "other.env").write_text("\n".join(lines))

    watch.run(
        "%m3ter_login", "%m3ter_status", f"%m3ter_login --env {tmp_path / 'other.env'}", "%m3ter_logout"
    )

    assert watch.errors == []
    assert watch.leaks() == []


class Terminal:
    """A standard input that somebody types at."""

    def isatty(self) -> bool:
        """Say that this is a terminal."""
        return True


@pytest.fixture
def typed(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str | BaseException]]:
    """Return what a person types at the prompts, in turn: a text, or an error that typing it raises."""
    answers: list[str | BaseException] = []

    def prompt(text: str = "") -> str:
        watch.keep(text)
        given = answers.pop(0)
        if isinstance(given, BaseException):
            raise given
        return given

    for name in watch.marks.environ:
        if name != "M3TER_BASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", prompt)
    monkeypatch.setattr("getpass.getpass", prompt)
    yield answers
    assert answers == []


def test_a_prompt_shows_neither_secret_nor_token(watch: Watch, typed: list[str | BaseException]) -> None:
    typed += [watch.marks.key_id, f'  "{watch.marks.secret}"\u200b', watch.marks.key_id, watch.marks.secret]

    watch.run("%m3ter_login", "%m3ter_status", "%m3ter_login --prompt --name other", "%m3ter GET products")

    assert watch.errors == []
    assert watch.leaks() == []


# Failures, in a shell: as they are, and where the user's own error is raised from them


def chained(cell: str) -> str:
    """Return a cell that raises an error of the user's own from that of a cell."""
    if cell.startswith("%%"):
        first, _, body = cell.partition("\n")
        magic, _, line = first[2:].partition(" ")
        cell = f"get_ipython().run_cell_magic({magic!r}, {line!r}, {body!r})"
    return (
        "def mine():\n    try:\n"
        + textwrap.indent(cell, " " * 8)
        + "\n    except BaseException as error:\n        raise ValueError('mine') from error\nmine()"
    )


def fails(watch: Watch, cell: str) -> None:
    """Run a cell that fails, alone and as the cause of the user's own error."""
    watch.run(cell, chained(cell))
    assert len(watch.errors) == 2, f"{cell!r} did not fail twice"
    assert isinstance(watch.errors[1].__cause__, type(watch.errors[0]))
    assert watch.leaks() == []


@pytest.mark.slow
def test_a_refused_login_shows_no_secret(watch: Watch, sandbox: Sandbox) -> None:
    sandbox.faults.refuse_key(watch.marks.key_id)

    fails(watch, "%m3ter_login")


@pytest.mark.slow
def test_a_login_for_another_organization_shows_neither_secret_nor_token(watch: Watch) -> None:
    fails(watch, "%m3ter_login --org-id 81c49a54-dfcd-4da5-bbf3-d2885ec025dd")


BAD_ENVIRONMENTS = {
    "a control character": {"M3TER_API_SECRET": "{secret}\x01"},
    "a line break": {"M3TER_API_SECRET": "{secret}\n{secret}"},
    "a token as secret": {"M3TER_API_SECRET": "eyJ{secret}.x.y"},
    "a token as key": {"M3TER_API_KEY": "eyJ{secret}.x.y"},
    "both in one field": {"M3TER_API_KEY": "key:{secret}"},
    "one text twice": {"M3TER_API_KEY": "{secret}"},
    "no key": {"M3TER_API_KEY": ""},
    "no secret, the key field holds it": {"M3TER_API_KEY": "{secret}", "M3TER_API_SECRET": ""},
    "white space alone": {"M3TER_API_KEY": "\u00a0"},
    "a token and half a pair": {"M3TER_API_TOKEN": "{secret}", "M3TER_API_KEY": ""},
    "a token of two words": {
        "M3TER_API_TOKEN": "{secret} {secret}",
        "M3TER_API_KEY": "",
        "M3TER_API_SECRET": "",
    },
    "a token that ended": {
        "M3TER_API_TOKEN": "eyJ{secret}.eyJleHAiOiAxfQ.{secret}",
        "M3TER_API_KEY": "",
        "M3TER_API_SECRET": "",
    },
    "plain http": {"M3TER_BASE_URL": "http://api.m3ter.com"},
    "no URL": {"M3TER_BASE_URL": "api.m3ter.com"},
    "a host that is not known": {"M3TER_BASE_URL": "https://nowhere.invalid"},
    "a port where nobody listens": {"M3TER_BASE_URL": "http://127.0.0.1:1"},
}


@pytest.mark.slow
@pytest.mark.parametrize("variables", BAD_ENVIRONMENTS.values(), ids=BAD_ENVIRONMENTS)
@pytest.mark.parametrize(
    "cell", ["%m3ter_login", "import m3ter_nb; m3ter_nb.login()"], ids=["magic", "Python"]
)
def test_a_bad_environment_shows_no_secret(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], cell: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(secret=watch.marks.secret))
    watch._before = dict(os.environ)

    fails(watch, cell)


@pytest.mark.parametrize(
    "url", ["ftp://user:{secret}@host", "https://{secret}@host", "https://host?{secret}"]
)
def test_a_secret_in_the_base_url_is_not_repeated(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", url.format(secret=watch.marks.secret))

    with pytest.raises(M3terError) as caught:
        m3ter_nb.login()

    assert watch.marks.found_in(str(caught.value)) == []


BAD_FILES = {
    "half a pair": b"M3TER_API_SECRET={secret}\n",
    "half a pair and a token": b"M3TER_API_SECRET={secret}\nM3TER_API_TOKEN={secret}\n",
    "not UTF-8": b"M3TER_API_KEY=k\xff\nM3TER_API_SECRET={secret}\n",
    "both in one": b"M3TER_API_KEY=k:{secret}\nM3TER_API_SECRET={secret}\n",
    "a key that is none": b"M3TER_API_KEY={secret}\nM3TER_API_SECRET={secret}\n",
    "nothing": b"OTHER={secret}\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
@pytest.mark.parametrize("named", [True, False], ids=["named", "found"])
def test_a_bad_file_shows_no_secret(
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
    content: bytes,
    named: bool,  # noqa: FBT001 - a switch of the test
) -> None:
    for name in watch.marks.environ:
        monkeypatch.delenv(name)
    path = home / ("bad.env" if named else ".env")
    path.write_bytes(content.replace(b"{secret}", watch.marks.secret.encode()))

    fails(watch, f"%m3ter_login --env {path}" if named else "%m3ter_login --env")


@pytest.mark.slow
def test_halves_in_two_places_show_no_secret(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.delenv("M3TER_API_KEY")
    (home / ".env").write_text(f"M3TER_API_KEY=k\nM3TER_API_SECRET=x{watch.marks.secret}\n")

    fails(watch, "%m3ter_login")


BAD_TYPING = {
    "both in one field": ["k:{secret}", "{secret}"],
    "the same twice": ["{secret}", "{secret}"],
    "an empty secret": ["{secret}", " "],
    "a control character": ["k", "{secret}\x02x"],
    "a token": ["k", "eyJ{secret}.x.y"],
    "Ctrl-C at the key": [KeyboardInterrupt()],
    "Ctrl-C at the secret": ["{secret}", KeyboardInterrupt()],
    "Ctrl-D at the secret": ["{secret}", EOFError()],
    "refused": ["k", "x{secret}"],
}


@pytest.mark.slow
@pytest.mark.parametrize("answers", BAD_TYPING.values(), ids=BAD_TYPING)
def test_bad_typing_at_a_prompt_shows_no_secret(
    watch: Watch, typed: list[str | BaseException], answers: list[str | BaseException]
) -> None:
    filled = [
        given.format(secret=watch.marks.secret) if isinstance(given, str) else given for given in answers
    ]
    typed += [*filled, *filled]

    fails(watch, "%m3ter_login")


ODD_SERVERS = {
    "HTML": [answer(200, b"<html>", Content_Type="text/html")],
    "truncated JSON": [answer(200, b'{"access_token": "{secret}", "ex')],
    "a token of another kind": [token_answer("{secret}", token_type="mac")],
    "a lifetime that is none": [token_answer("{secret}", expires_in="soon")],
    "a token that no header can carry": [token_answer("{secret} {secret}")],
    "an echo of the request": [answer(400, b'{"message": "Basic {basic} is wrong, {secret} too"}')],
    "an echo in HTML": [answer(403, b"<h1>Basic {basic}</h1>", Content_Type="text/html")],
    "an echo where a header should be": [
        b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\nwas sent: Basic {basic}\r\n{basic}\r\n\r\n"
    ],
    "too many": [answer(429, b"{basic}", Retry_After="3600")],
    "a gateway's error": [answer(503, b"{basic}", Retry_After="0")],
    "a redirect": [answer(302, b"{basic}", Location="https://evil.invalid/{secret}")],
    "10 MB": [answer(200, b"{secret}" * 100_000)],
    "broken compression": [answer(200, b"{secret}", Content_Encoding="gzip")],
}


@pytest.mark.slow
@pytest.mark.parametrize("steps", ODD_SERVERS.values(), ids=ODD_SERVERS)
def test_an_odd_token_endpoint_shows_no_secret(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, steps: list[bytes]
) -> None:
    basic = base64.b64encode(f"{watch.marks.key_id}:{watch.marks.secret}".encode())

    def filled(step: bytes) -> bytes:
        step = step.replace(b"{basic}", basic).replace(b"{secret}", watch.marks.secret.encode())
        head, _, body = step.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        kept = [line for line in lines if not line.startswith(b"Content-Length")]
        # In front: behind a line that is no header nobody reads it, and waits for the end instead.
        return b"\r\n".join([status, b"Content-Length: %d" % len(body), *kept]) + b"\r\n\r\n" + body

    with OddServer(lambda _: [filled(step) for step in steps]) as server:
        monkeypatch.setenv("M3TER_BASE_URL", server.url)
        watch._before = dict(os.environ)

        fails(watch, "%m3ter_login")


FAILING_CALLS = {
    "not found": "%m3ter GET products/81c49a54-dfcd-4da5-bbf3-d2885ec025dd",
    "a bad request": '%%m3ter POST products\n{"name": 1}',
    "another organization": "%m3ter GET /organizations/81c49a54-dfcd-4da5-bbf3-d2885ec025dd/products",
    "another host": "%m3ter GET https://api.example.invalid/products",
    "a path that climbs": "%m3ter GET ../oauth/token",
    "an unknown method": "%m3ter PATCH products",
    "an unknown option": "%m3ter GET products --nothing",
    "an unknown login": "%m3ter GET products --name nobody",
    "no list": "%m3ter GET users/me --all",
    "a body that is no JSON": "%%m3ter POST products\n{",
    "a body that cannot be one": "%m3ter POST products --body {1: object()}",
    "a body that is too long": "%m3ter POST products --body {'x':'x'*600000}",
    "an expression that fails": "%m3ter GET products/{{nothing}}",
    "a session's call": "m3ter_session.get('nothing/at/all')",
    "a session's pages": "list(m3ter_session.pages('users/me'))",
    "a pickle of the token": "import pickle; pickle.dumps(m3ter_token)",
    "a pickle of the session": "import pickle; pickle.dumps(m3ter_session)",
    "a deep copy of the session": "import copy; copy.deepcopy(m3ter_session)",
    "a mask in a header": "import requests; requests.get(m3ter_session.base_url, headers={'Authorization': 'Bearer %s' % m3ter_token})",
    "plain requests to another host": "import requests; requests.get('http://127.0.0.1:1', auth=m3ter_session.auth)",
    "the SDK": "m3ter_session.sdk(max_retries=0).products.retrieve('81c49a54-dfcd-4da5-bbf3-d2885ec025dd')",
    "the SDK to another host": "m3ter_session.sdk(max_retries=0, base_url='http://127.0.0.1:1').products.list()",
    "the user's own error": "def f(token, session):\n    raise ValueError(token, session)\nf(m3ter_token, m3ter_session)",
}


@pytest.mark.slow
@pytest.mark.parametrize("cell", FAILING_CALLS.values(), ids=FAILING_CALLS)
def test_a_failing_call_shows_neither_secret_nor_token(watch: Watch, cell: str) -> None:
    watch.run("%m3ter_login")

    fails(watch, cell)


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 502, 503])
@pytest.mark.parametrize("cell", ["%m3ter GET products", "m3ter_session.sdk(max_retries=0).products.list()"])
def test_a_refused_call_shows_neither_secret_nor_token(
    watch: Watch, sandbox: Sandbox, status: int, cell: str
) -> None:
    watch.run("%m3ter_login")
    sandbox.faults.fail(status, times=2, retry_after=3600)

    fails(watch, cell)


@pytest.mark.parametrize("fault", ["drop", "cut"])
def test_a_broken_write_shows_neither_secret_nor_token(watch: Watch, sandbox: Sandbox, fault: str) -> None:
    watch.run("%m3ter_login")
    getattr(sandbox.faults, fault)(times=2, path="/products")

    fails(watch, '%%m3ter POST products\n{"name": "P", "code": "p"}')


@pytest.mark.parametrize("cell", ["m3ter_session.sdk(max_retries=0).products.list()"])
def test_a_host_that_went_away_shows_no_token(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    turns: list[Any] = []

    def respond(_seen: object) -> list[Any]:
        turns.append(1)
        answers = [token_answer(watch.marks.secret), json_answer({})]
        return [answers[len(turns) - 1] if len(turns) <= len(answers) else reset]

    with OddServer(respond) as server:
        monkeypatch.setenv("M3TER_BASE_URL", server.url)
        monkeypatch.setenv("M3TER_ORG_ID", DEMO_ORG_ID)
        watch._before = dict(os.environ)
        watch.run("%m3ter_login")

        fails(watch, cell)


def test_a_token_that_ends_between_two_attempts_is_not_shown(
    watch: Watch, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    session = m3ter_nb.login(clock=clocks.clock._replace(sleep=clocks.advance), refresh=False)
    clocks.advance(18_000 - 70)
    sandbox.faults.fail(503, times=2, retry_after=40)
    watch.shell.user_ns["session"] = session

    watch.run(chained("session.get('products')"))

    (error,) = watch.errors
    assert isinstance(error.__cause__, TokenExpired)
    assert watch.leaks() == []


def test_a_revoked_key_shows_neither_secret_nor_token(watch: Watch, sandbox: Sandbox) -> None:
    watch.run("%m3ter_login")
    sandbox.faults.refuse_key(watch.marks.key_id)

    fails(watch, "m3ter_session.source.renew(m3ter_token)")


def test_without_a_login_nothing_shows(watch: Watch) -> None:
    fails(watch, "%m3ter GET products")


MISTYPED = [
    "%m3ter_login {key} {secret}",
    "%m3ter_login --secret {secret}",
    "%m3ter_login --secret={secret}",
    "%m3ter_login --env '{secret}",
    "%m3ter_login --form --prompt {secret}",
    "%m3ter_login --name x --nothing {secret}",
    "%m3ter_login --show {secret}",
]


@pytest.mark.parametrize("line", MISTYPED)
@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Minimal"])
def test_a_secret_on_a_magic_s_line_is_not_repeated(
    shell: InteractiveShell, marks: Marks, capfd: pytest.CaptureFixture[str], line: str, mode: str
) -> None:
    shell.run_cell(f"%xmode {mode}")

    result = shell.run_cell(line.format(key=marks.key_id, secret=marks.secret))

    captured = capfd.readouterr()
    assert isinstance(result.error_in_exec, M3terError)
    assert result.error_in_exec.__context__ is None
    assert marks.found_in(captured.out + captured.err + str(result.error_in_exec)) == []


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose", "Minimal"])
def test_no_traceback_mode_shows_a_token(watch: Watch, mode: str) -> None:
    watch.run(
        "%m3ter_login",
        f"%xmode {mode}",
        "%m3ter GET nothing/at/all",
        chained("%m3ter GET nothing/at/all"),
        "%tb",
    )

    assert len(watch.errors) == 2
    assert watch.leaks() == []


# The form


class RecordingComm(BaseComm):
    """A comm that keeps what is sent to the front end."""

    sent: list[str]

    def publish_msg(self, *args: Any, **message: Any) -> None:
        """Keep a message."""
        self.sent.append(repr((args, message)))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return all that widgets send to the front end."""
    messages: list[str] = []

    def create(*args: Any, **options: Any) -> RecordingComm:
        RecordingComm.sent = messages
        return RecordingComm(*args, **options)

    monkeypatch.setattr(comm, "create_comm", create)
    return messages


@pytest.fixture
def forms(watch: Watch, sent: list[str]) -> Iterator[list[LoginForm]]:
    """Return the form that a login showed, as a list of one."""
    shown: list[Any] = []
    logins = Logins(watch.shell.user_ns, watch.keep)
    flow = LoginFlow(logins, SandboxControl(), Desk(watch.keep, shown.append))
    flow.login(LoginOptions(way="form"), FrontEnd(shows_forms=True, echoes=True, waits=True))
    yield shown
    flow.close()


def search_form(watch: Watch, form: LoginForm, sent: list[str]) -> list[str]:
    """Return what shows of the marks in a form: its state, its view, what it sent, all else that was to be seen."""
    watch.keep([form.get_state(), repr(form), form._repr_mimebundle_(), sent, vars(form)])
    return watch.leaks()


FORM_MESSAGES = {
    "a login": ({"type": "submit"}, {"key_id": "{key}", "secret": "{secret}"}, "in"),
    "a login with white space": ({"type": "submit"}, {"key_id": " {key}", "secret": "\t'{secret}'\n"}, "in"),
    "a login in the content": ({"type": "submit", "key_id": "{key}", "secret": "{secret}"}, None, "in"),
    "a wrong key": ({"type": "submit"}, {"key_id": "other", "secret": "{secret}"}, "refused"),
    "both in one field": ({"type": "submit"}, {"key_id": "{key}:{secret}", "secret": "x"}, "refused"),
    "the secret twice": ({"type": "submit"}, {"key_id": "{secret}", "secret": "{secret}"}, "refused"),
    "an empty key": ({"type": "submit"}, {"key_id": "", "secret": "{secret}"}, "refused"),
    "a control character": ({"type": "submit"}, {"key_id": "{key}", "secret": "{secret}\x01x"}, "refused"),
    "a list": ({"type": "submit"}, ["{secret}"], "refused"),
    "a number": ({"type": "submit"}, {"key_id": 1, "secret": "{secret}"}, "refused"),
    "an unknown message": ({"type": "{secret}", "secret": "{secret}"}, None, "empty"),
    "an old turn": ({"type": "submit", "turn": -1}, {"key_id": "{key}", "secret": "{secret}"}, "empty"),
}


def filled(value: Any, marks: Marks) -> Any:
    """Put key and secret into a message."""
    text = json.dumps(value).replace("{key}", marks.key_id).replace("{secret}", marks.secret)
    return json.loads(text)


@pytest.mark.parametrize(("content", "fields", "phase"), FORM_MESSAGES.values(), ids=FORM_MESSAGES)
def test_the_form_shows_neither_secret_nor_token(  # noqa: PLR0917 - a table of messages
    watch: Watch, forms: list[LoginForm], sent: list[str], content: dict[str, Any], fields: object, phase: str
) -> None:
    (form,) = forms
    buffers = [] if fields is None else [memoryview(json.dumps(filled(fields, watch.marks)).encode())]

    form._handle_custom_msg(filled(content, watch.marks), buffers)

    assert form.phase == phase
    assert search_form(watch, form, sent) == []


@pytest.mark.parametrize("fault", ["HTML", "an error", "nobody there"])
def test_the_form_shows_no_secret_where_the_host_fails(
    watch: Watch, forms: list[LoginForm], sent: list[str], sandbox: Sandbox, fault: str
) -> None:
    (form,) = forms
    if fault == "nobody there":
        sandbox.faults.fail(503, times=9, retry_after=3600)
    else:
        sandbox.faults.fail(500, html=fault == "HTML")
    fields = {"key_id": watch.marks.key_id, "secret": watch.marks.secret}

    form._handle_custom_msg({"type": "submit"}, [json.dumps(fields).encode()])

    assert form.phase == "unreachable"
    assert search_form(watch, form, sent) == []


@pytest.mark.parametrize(
    "text", ['{{"secret": "{}', "[" * 100_000 + '"{}"', '{{"key_id": "{}", "secret": 1}}', '"{}"', "{}\0"]
)
def test_bytes_that_are_no_message_show_nothing(
    watch: Watch, forms: list[LoginForm], sent: list[str], text: str
) -> None:
    (form,) = forms

    form._handle_custom_msg({"type": "submit"}, [text.format(watch.marks.secret).encode()])

    assert form.phase == "refused"
    assert search_form(watch, form, sent) == []


@pytest.mark.parametrize(
    "error",
    [RuntimeError, KeyboardInterrupt, UnicodeError, MemoryError, SystemExit, GeneratorExit, RecursionError],
)
def test_an_unexpected_error_behind_the_form_shows_no_secret(
    watch: Watch, sent: list[str], error: type[BaseException]
) -> None:
    def submit(_key_id: str, secret: str) -> Any:
        raise error(secret)

    form = LoginForm(host="a-host", on_submit=submit)
    fields = {"key_id": watch.marks.key_id, "secret": watch.marks.secret}

    form._handle_custom_msg({"type": "submit"}, [json.dumps(fields).encode()])

    assert form.phase == "unreachable"
    assert search_form(watch, form, sent) == []
    form.close()


def test_a_planted_secret_in_a_form_is_found(watch: Watch, forms: list[LoginForm], sent: list[str]) -> None:
    (form,) = forms

    form.message = watch.marks.secret

    assert any(watch.marks.secret in message for message in sent)
    assert search_form(watch, form, sent) == ["the secret"]


# What is saved


CELLS = [
    "import os, json\nimport m3ter_nb.notebook.front_end as front_end\nfront_end.can_show_form = lambda shell: True",
    "%load_ext m3ter_nb\n%m3ter_login --form",
    (
        "flow = get_ipython().magics_manager.registry['M3terMagics']._workbench.flow\n"
        "message = json.dumps({'key_id': os.environ['M3TER_API_KEY'], 'secret': os.environ['M3TER_API_SECRET']})\n"
        "flow._forms[0].widget._handle_custom_msg({'type': 'submit'}, [message.encode()])\n"
        "del message"
    ),
    "print('logged in:', flow._forms[0].widget.phase)\nm3ter_token",
    "print(m3ter_token)\n%whos",
    "%m3ter_status",
    "%m3ter GET products",
    "%xmode Verbose\n%m3ter GET nothing/at/all",
    chained("%m3ter GET nothing/at/all"),
    "m3ter_session.sdk().products.list()",
    "def f(token):\n    raise ValueError(token)\nf(m3ter_token)",
    "%m3ter_login --env",
    "%m3ter_login --env --org-id 81c49a54-dfcd-4da5-bbf3-d2885ec025dd",
    "%m3ter GET products --show curl",
    "%m3ter_logout",
]


def saved_by(cells: list[str], marks: Marks, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Run a notebook in a kernel that logs at DEBUG; return it as saved, and all files that the kernel left."""
    home = Path.home()
    for name, value in {**marks.environ, "IPYTHONDIR": str(home / ".ipython")}.items():
        monkeypatch.setenv(name, value)
    profile = home / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_kernel_config.py").write_text(
        "c = get_config()\nc.HistoryManager.db_log_output = True\nc.HistoryManager.db_cache_size = 0\n"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook,
        timeout=60,
        kernel_name="python3",
        allow_errors=True,
        store_widget_state=True,
        extra_arguments=["--debug", f"--HistoryManager.hist_file={home / 'history.sqlite'}"],
    )
    client.execute(env=dict(os.environ))
    left = b"\n".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    return nbformat.writes(notebook), left.decode("utf-8", "replace")


@pytest.mark.notebook
def test_a_saved_notebook_its_history_and_the_kernel_s_log_hold_neither_secret_nor_token(
    marks: Marks, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    notebook, files = saved_by(CELLS, marks, monkeypatch)

    captured = capfd.readouterr()
    assert "logged in: in" in notebook  # the form did log in
    assert "application/vnd.jupyter.widget-state+json" in notebook
    assert "print(m3ter_token)" in files  # the history was written
    assert "execute_request" in captured.err  # the kernel logged at DEBUG
    assert [marks.found_in(text) for text in (notebook, files, captured.out, captured.err)] == [
        [],
        [],
        [],
        [],
    ]


REMEMBERED = [
    "import keyring, keychains\nkeyring.set_keyring(keychains.MemoryKeyring())",
    "%load_ext m3ter_nb\n%m3ter_login --env --remember",
    "%m3ter_logout\nimport os\ndel os.environ['M3TER_API_KEY'], os.environ['M3TER_API_SECRET']",
    "%m3ter_login",
    "print(m3ter_session.credentials_source)\nm3ter_token",
    "%m3ter_status",
    "import m3ter_nb\nm3ter_nb.profiles()",
    "%xmode Verbose\n%m3ter GET nothing/at/all",
    chained("%m3ter GET nothing/at/all"),
    "%m3ter_login --profile default --base-url https://api.m3ter.com",
    "%m3ter_login --profile elsewhere",
    "broken = keychains.RaisingKeyring(RuntimeError)\nbroken.entries.update(keyring.get_keyring().entries)",
    "keyring.set_keyring(broken)",
    "%m3ter_login --profile default",
    "m3ter_nb.login(profile='default')",
    "%m3ter_logout --forget",
    "%whos",
]


@pytest.mark.notebook
def test_a_notebook_that_remembers_and_is_saved_holds_neither_secret_nor_token(
    marks: Marks, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(ROOT / "tests" / "helpers"), os.environ.get("PYTHONPATH", "")])
    )

    notebook, files = saved_by(REMEMBERED, marks, monkeypatch)

    captured = capfd.readouterr()
    assert "the profile default in the keychain" in notebook  # it was remembered, and logged in from there
    assert notebook.count("KeychainUnavailable") >= 2  # the keychain that raises was asked
    assert '"default"' in files  # the list of profiles was written
    assert [marks.found_in(text) for text in (notebook, files, captured.out, captured.err)] == [
        [],
        [],
        [],
        [],
    ]


@pytest.mark.notebook
def test_a_planted_secret_in_a_notebook_and_its_history_is_found(
    marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = ["import os; os.environ['M3TER_API_SECRET']"]

    notebook, files = saved_by(cells, marks, monkeypatch)

    assert (marks.found_in(notebook), marks.found_in(files)) == (["the secret"], ["the secret"])


def test_pickles_of_what_holds_a_secret_are_refused(marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in marks.environ.items():
        monkeypatch.setenv(name, value)
    with m3ter_nb.login() as session:
        holders = [
            find_settings(),
            find_settings().credentials,
            session.token,
            session,
            session.source,
            session.auth,
        ]
        for holder in holders:
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                with pytest.raises((M3terError, TypeError)):  # a lock's TypeError is a refusal too
                    pickle.dumps(holder, protocol)


SCRIPT = """
    import faulthandler, logging, sys, m3ter_nb
    logging.basicConfig(level=logging.DEBUG)
    faulthandler.enable()
    session = m3ter_nb.login()
    print(session, session.token, session.get("products"))
    session.get("nothing/at/all")
"""


def test_a_script_that_fails_prints_neither_secret_nor_token(marks: Marks) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(SCRIPT)],
        env={**os.environ, **marks.environ, "M3TER_LOG": "debug"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "NotFound" in done.stderr
    assert marks.found_in(done.stdout + done.stderr + urllib.parse.unquote(done.stderr)) == []
