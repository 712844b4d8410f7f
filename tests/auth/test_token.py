"""The Token value: whatever shows it shows a mask, whatever uses it uses the token."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import io
import json
import logging
import os
import pickle
import pprint
import reprlib
import sys
import traceback
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import requests
import rich
from rich.pretty import pretty_repr

from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.grant import fetch_token
from m3ter_nb.auth.token import Token, ready_token, time_left
from m3ter_nb.errors import InvalidArgument, TokenExpired, UnexpectedAnswer
from m3ter_nb.wire.transport import Transport
from odd_servers import OddServer, answer
from unsigned import jwt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from clocks import TwoClocks

PLAIN = "plain.opaque-token_8471"
MASK = "<m3ter token …, 5 h 00 min left; .reveal() shows it>"


@pytest.fixture
def token(clocks: TwoClocks) -> Token:
    """Return a fresh token of five hours."""
    return Token(PLAIN, 18_000, clock=clocks.clock)


@pytest.fixture
def shell(shell: InteractiveShell, home: Path) -> InteractiveShell:
    """Return a shell that keeps what it stores in a place of its own: its profile is that of all tests."""
    shell.db = type(shell.db)(str(home / "db"))
    return shell


def printed(value: object, show: Callable[[Any], None] = print) -> str:
    """Return what ``print``, or another function that prints, writes."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        show(value)
    return text.getvalue()


def rich_shown(value: object) -> str:
    """Return what ``rich.print`` writes."""
    text = io.StringIO()
    rich.print(value, file=text)
    return text.getvalue()


def logged(value: object) -> str:
    """Return what a log handler writes for a value."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logger = logging.Logger("a test")  # noqa: LOG001 - pytest's own handlers stay out
    logger.addHandler(handler)
    logger.warning(value)
    logger.warning("with %s and %r", value, value)
    return text.getvalue()


def raised(value: object) -> str:
    """Return a traceback that prints every local."""

    def fail(shown: object) -> None:
        raise ValueError(shown)

    try:
        fail(value)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError("unreachable")


SHOWN: dict[str, Callable[[Token], str]] = {
    "repr": repr,
    "str": str,
    "print": printed,
    "%s": lambda token: "%s" % token,  # noqa: UP031 - this is the claim
    "%r": lambda token: "%r" % token,  # noqa: UP031 - this is the claim
    "!s": lambda token: f"{token!s}",
    "!r": lambda token: f"{token!r}",
    "=": lambda token: f"{token=}",
    "in a list": lambda token: str([token]),
    "in a dict": lambda token: str({"token": token}),
    "pprint": pprint.pformat,
    "a log": logged,
    "a traceback": raised,
    "an exception": lambda token: repr(ValueError(token)) + str(ValueError(token)),
    "vars of a holder": lambda token: str(vars(type("Holder", (), {"token": token})())),
    "rich": rich_shown,
    "rich, in a list": lambda token: rich_shown([token]),
    "rich, cut short": lambda token: pretty_repr({"token": token}, max_string=5),
    "help": lambda token: printed(token, help),
    "reprlib": lambda token: reprlib.repr([token]),
    "a slice of all": lambda token: repr(token[:]) + str(token[:5]),
    "one character after the other": lambda token: str([token[place] for place in range(len(token))]),
    "stripped": lambda token: repr(token.strip()) + str(token.strip()),
    "upper case": lambda token: repr(token.upper().lower()),
    "a prefix removed": lambda token: repr(token.removeprefix("x")),
    "replaced": lambda token: repr(token.replace("?", "")),
    "in a column": lambda token: repr(token.ljust(90)),
    "split": lambda token: repr(token.split(".")) + repr(token.partition(".")),
    "repeated": lambda token: repr(token * 1) + repr(2 * token),
    "a copy": lambda token: str(copy.copy(token)),
    "a deep copy": lambda token: str(copy.deepcopy([token])),
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_showing_a_token_shows_a_mask(token: Token, shown: Callable[[Token], str]) -> None:
    assert PLAIN not in shown(token)


USED: dict[str, tuple[Callable[[Token], str], str]] = {
    "f-string": (lambda token: f"Bearer {token}", f"Bearer {PLAIN}"),
    "f-string with a width": (lambda token: f"{token:>25}", f"  {PLAIN}"),
    "format": ("Bearer {}".format, f"Bearer {PLAIN}"),
    "concatenation": (lambda token: "Bearer " + token, f"Bearer {PLAIN}"),
    "concatenation before": (lambda token: token + "!", f"{PLAIN}!"),
    "join": (lambda token: " ".join(["Bearer", token]), f"Bearer {PLAIN}"),  # noqa: FLY002 - this is the claim
    "json.dumps": (lambda token: json.dumps({"token": token}), f'{{"token": "{PLAIN}"}}'),
    "encode": (lambda token: token.encode().decode(), PLAIN),
    "a slice": (lambda token: token[:5], "plain"),
    "reveal": (lambda token: token.reveal(), PLAIN),
}


@pytest.mark.parametrize(("used", "expected"), USED.values(), ids=USED)
def test_using_a_token_uses_the_token(token: Token, used: Callable[[Token], str], expected: str) -> None:
    assert used(token) == expected


def test_a_revealed_token_is_a_plain_str(token: Token) -> None:
    assert type(token.reveal()) is str


def test_the_environment_takes_the_token(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TEST_TOKEN", token)

    assert os.environ["A_TEST_TOKEN"] == PLAIN


@pytest.mark.parametrize(
    "header",
    [lambda token: f"Bearer {token}", lambda token: "Bearer " + token],
    ids=["f-string", "concatenation"],
)
@pytest.mark.parametrize("send", [requests.get, httpx.get], ids=["requests", "httpx"])
def test_a_header_really_sent_holds_the_token(
    token: Token, send: Callable[..., Any], header: Callable[[Token], str]
) -> None:
    with OddServer.saying(answer(200, b"{}")) as server:
        send(server.url, headers={"Authorization": header(token)}, timeout=5)

    assert server.seen[0].headers["authorization"] == f"Bearer {PLAIN}"


@pytest.mark.parametrize(
    ("send", "error"),
    [(requests.get, UnicodeEncodeError), (httpx.get, UnicodeEncodeError)],
    ids=["requests", "httpx"],
)
def test_a_mask_in_a_header_fails_before_anything_is_sent(
    token: Token, send: Callable[..., Any], error: type[Exception]
) -> None:
    with OddServer.saying(answer(200, b"{}")) as server, pytest.raises(error):
        send(server.url, headers={"Authorization": "Bearer %s" % token}, timeout=5)  # noqa: UP031 - the mistake

    assert server.seen == []


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_token_is_not_pickled(token: Token, protocol: int) -> None:
    with pytest.raises(InvalidArgument, match="written in clear"):
        pickle.dumps({"token": token}, protocol)


def test_what_pickle_would_ask_a_token_for_is_refused(token: Token) -> None:
    with pytest.raises(InvalidArgument, match="written in clear"):
        token.__getnewargs__()


def test_credentials_are_not_pickled(credentials: Credentials) -> None:
    with pytest.raises(InvalidArgument, match="written in clear"):
        pickle.dumps([credentials])


def test_credentials_compare_and_hash_by_value_and_show_no_secret() -> None:
    one, same, other = (Credentials("a-key-id", secret) for secret in ("secret-1", "secret-1", "secret-2"))

    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert "secret-1" not in f"{one!r} {one} {[one]} {raised(one)} {pprint.pformat(one)}"


SHOWN_BY_IPYTHON = {
    "the cell's output": "m3ter_token",
    "print": "print(m3ter_token)",
    "in a list": "[m3ter_token]",
    "in a dict": "{'token': m3ter_token}",
    "display": "display(m3ter_token)",
    "%whos": "%whos",
    "%who_ls": "%who_ls",
    "%pinfo": "%pinfo m3ter_token",
    "?": "m3ter_token?",
    "%page": "%page m3ter_token",
    "%pprint": "%pprint\nm3ter_token",
    "an error in Verbose mode": "%xmode Verbose\ndef fail(shown):\n    local = shown\n    raise ValueError(local, shown)\nfail(m3ter_token)",
    "an error in Context mode": "%xmode Context\nraise ValueError(m3ter_token)",
    "an error in Plain mode": "%xmode Plain\nraise ValueError(m3ter_token)",
    "an error in Minimal mode": "%xmode Minimal\nraise ValueError(m3ter_token)",
    "%store": "%load_ext storemagic\n%store m3ter_token",
}


@pytest.mark.parametrize("cell", SHOWN_BY_IPYTHON.values(), ids=SHOWN_BY_IPYTHON)
def test_ipython_shows_a_mask(
    token: Token, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    shell.user_ns["m3ter_token"] = token

    shell.run_cell(cell)

    captured = capsys.readouterr()
    assert PLAIN not in captured.out + captured.err
    assert captured.out


def test_store_leaves_nothing_of_the_token_on_disk(token: Token, shell: InteractiveShell, home: Path) -> None:
    shell.user_ns["m3ter_token"] = token
    shell.user_ns["harmless"] = "harmless-8471"

    shell.run_cell("%load_ext storemagic\n%store harmless\n%store m3ter_token")

    stored = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"harmless-8471" in stored
    assert PLAIN.encode() not in stored


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii"])
def test_the_mask_can_be_printed_on_any_stdout_and_sent_in_no_header(
    token: Token, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))

    sys.stdout.write(f"{token!s}\n")
    sys.stdout.flush()

    assert "5 h 00 min left; .reveal() shows it>" in raw.getvalue().decode(encoding)
    assert PLAIN not in raw.getvalue().decode(encoding)
    header = f"Bearer {token!s}"
    connection = http.client.HTTPConnection("127.0.0.1")
    connection.putrequest("GET", "/")
    with pytest.raises(ValueError, match=r"header|latin-1"):
        connection.putheader("Authorization", header)


def test_the_mask_tells_the_time_left(token: Token, clocks: TwoClocks) -> None:
    shown = [str(token)]
    clocks.advance(18_000 - 42)
    shown.append(str(token))
    clocks.advance(42)
    shown.append(str(token))

    assert shown == [
        MASK,
        "<m3ter token …, 42 s left; .reveal() shows it>",
        "<m3ter token …, expired; .reveal() shows it>",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "end unknown"),
        (0, "expired"),
        (12.4, "12 s left"),
        (60, "1 min left"),
        (3_599, "59 min left"),
        (17_999, "4 h 59 min left"),
    ],
)
def test_time_left_reads_as_people_say_it(seconds: float | None, text: str) -> None:
    assert time_left(seconds) == text


def test_claims_are_decoded(clocks: TwoClocks) -> None:
    token = Token(
        jwt({"orgId": "org-1", "permissions": {"CONFIG#CONFIG_CREATE#ITEM#*": True, "A#B#C#d": False}}),
        clock=clocks.clock,
    )

    assert (token.org_id, token.permissions) == ("org-1", ("CONFIG_CREATE",))


ODD_TOKENS = {
    "no dots": "opaque",
    "two parts": "a.b",
    "garbage base64": "eyJ.!!!.x",
    "a wrong length": "eyJ.abcde.x",
    "not UTF-8": f"eyJ.{base64.urlsafe_b64encode(bytes([255, 254])).decode()}.x",
    "not JSON": f"eyJ.{base64.urlsafe_b64encode(b'{').decode()}.x",
    "no dict": jwt(["orgId"]),
    "a string": jwt("orgId"),
    "nested without end": f"eyJ.{base64.urlsafe_b64encode(b'[' * 100_000).decode()}.x",
}


@pytest.mark.parametrize("text", ODD_TOKENS.values(), ids=ODD_TOKENS)
def test_a_token_that_is_no_jwt_has_no_claims(text: str) -> None:
    token = Token(text)

    assert (token.claims, token.org_id, token.permissions, token.seconds_left) == ({}, None, (), None)


@pytest.mark.parametrize("exp", ["soon", None, True, [1], float("nan"), float("inf"), 10**400])
def test_an_odd_exp_means_that_the_end_is_unknown(exp: object) -> None:
    token = Token(jwt({"exp": exp}))

    assert token.seconds_left is None
    assert str(token) == "<m3ter token …, end unknown; .reveal() shows it>"


def test_without_expires_in_the_end_is_the_exp_claim(clocks: TwoClocks) -> None:
    token = Token(jwt({"exp": clocks.wall + 90}), clock=clocks.clock)

    assert (token.seconds_left, token.expires_at) == (90, clocks.wall + 90)


@pytest.mark.parametrize(
    ("expires_in", "lifetime"), [("18000", 18_000), (60, 60), (0.5, 0.5), (None, 18_000), ("1e3", 1_000)]
)
def test_expires_in_may_be_text_or_missing(
    credentials: Credentials, clocks: TwoClocks, expires_in: object, lifetime: float
) -> None:
    fetched = _fetched({"access_token": PLAIN, "expires_in": expires_in}, credentials, clocks)

    assert fetched.lifetime == lifetime


@pytest.mark.parametrize("expires_in", ["soon", 0, -1, "NaN", "Infinity", [], {}, True])
def test_an_odd_expires_in_is_an_error(
    credentials: Credentials, clocks: TwoClocks, expires_in: object
) -> None:
    with pytest.raises(UnexpectedAnswer, match="expires_in"):
        _fetched({"access_token": PLAIN, "expires_in": expires_in}, credentials, clocks)


@pytest.mark.parametrize(
    "answered",
    [
        {},
        [],
        "text",
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": None},
        {"access_token": "two words"},
        {"access_token": "line\nbreak"},
        {"access_token": "täglich"},
        {"access_token": PLAIN, "token_type": "mac"},
    ],
)
def test_an_answer_without_a_usable_token_is_an_error(
    credentials: Credentials, clocks: TwoClocks, answered: object
) -> None:
    with pytest.raises(UnexpectedAnswer, match="Check the base URL"):
        _fetched(answered, credentials, clocks)


def _fetched(answered: object, credentials: Credentials, clocks: TwoClocks) -> Token:
    body = json.dumps(answered).encode()
    with OddServer.saying(answer(200, body)) as server:
        return fetch_token(credentials, Transport(server.url), clock=clocks.clock)


def test_the_token_request_is_the_documented_one(clocks: TwoClocks) -> None:
    with OddServer.saying(answer(200, b'{"access_token": "abc"}')) as server:
        fetch_token(Credentials("kéy", "sécret:with:colons"), Transport(server.url), clock=clocks.clock)

    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/oauth/token", b"grant_type=client_credentials")
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.headers["authorization"] == "Basic a8OpeTpzw6ljcmV0OndpdGg6Y29sb25z"


@pytest.mark.parametrize("text", ["abc", "  abc\n", "Bearer abc"])
def test_a_ready_token_is_taken_as_it_is_pasted(text: str) -> None:
    assert ready_token(text, source="a test").reveal() == "abc"


@pytest.mark.parametrize("text", ["", "  ", "a b", "täglich"])
def test_a_ready_token_that_no_header_can_carry_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="copy it again"):
        ready_token(text, source="a test")


def test_a_ready_token_that_has_ended_is_refused(clocks: TwoClocks) -> None:
    with pytest.raises(TokenExpired, match="The token from a test has ended"):
        ready_token(jwt({"exp": clocks.wall}), source="a test", clock=clocks.clock)
