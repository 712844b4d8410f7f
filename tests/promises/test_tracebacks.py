"""Whatever is raised through the public functions, no tool that prints frames shows a secret or a token.

The tools: IPython's Verbose mode, ``traceback`` with locals, rich, stackprinter, Sentry's serializer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import m3ter_nb
from m3ter_nb.api.session import M3terSession
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.wire.clock import Clock
from m3ter_nb.wire.connections import Connections
from m3ter_nb.wire.transport import Timeout, Transport
from odd_servers import OddServer, answer, json_answer
from tellers import TELLERS, hold, without_leading_frames

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "8471-marked-8471-marked-8471"
SECRET = f"secret-{MARK}"
TOKEN = f"token-{MARK}-{'x' * 200}"


def told_by(teller: str, call: Callable[[], object]) -> str:
    """Return what a tool shows of what a call raises; what this file holds is left out."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - each of them
        return TELLERS[teller](without_leading_frames(error, __file__))
    pytest.fail("nothing was raised")


def fail() -> None:
    """Raise something that nobody expects."""
    raise RuntimeError("unexpected")


# The search can fail


@pytest.mark.parametrize("teller", [teller for teller in TELLERS if teller != "its attributes"])
@pytest.mark.parametrize(
    "held", [SECRET, ("key", SECRET), {"Authorization": SECRET}], ids=["text", "pair", "dict"]
)
def test_each_tool_finds_a_secret_in_a_frame(teller: str, held: object) -> None:
    assert "8471" in told_by(teller, lambda: hold(held, ValueError()))


@pytest.mark.parametrize("teller", TELLERS)
def test_each_tool_finds_a_secret_in_an_error(teller: str) -> None:
    assert "8471" in told_by(teller, lambda: hold(None, ValueError(SECRET)))


# What takes a secret


def bad_clock() -> Clock:
    """Return a clock that has stopped."""
    return Clock(wall=lambda: 1 / 0)


def log_in(**options: Any) -> M3terSession:
    """Log in to nobody, with a marked secret."""
    given = {"base_url": "http://127.0.0.1:1", "clock": Clock(sleep=lambda _: None), **options}
    return m3ter_nb.login(m3ter_nb.Credentials("key", SECRET), **given)


ENTRIES: dict[str, Callable[[], object]] = {
    "a wrong keyword": lambda: m3ter_nb.Credentials("key", api_secret=SECRET),  # type: ignore[call-arg]  # the mistake that is meant
    "too many arguments": lambda: m3ter_nb.Credentials("key", SECRET, "x", (), SECRET),  # type: ignore[call-arg]  # the mistake that is meant
    "a key that is None": lambda: m3ter_nb.Credentials(None, SECRET),  # type: ignore[arg-type]  # the mistake that is meant
    "a secret in a list": lambda: m3ter_nb.Credentials("key", [SECRET]),  # type: ignore[arg-type]  # the mistake that is meant
    "bytes": lambda: m3ter_nb.Credentials("key", SECRET.encode()),  # type: ignore[arg-type]  # the mistake that is meant
    "pasted None": lambda: m3ter_nb.Credentials.pasted(None, SECRET, source="x"),  # type: ignore[arg-type]  # the mistake that is meant
    "a pair": lambda: m3ter_nb.login(("key", SECRET)),  # type: ignore[arg-type]  # the mistake that is meant
    "a dict": lambda: m3ter_nb.login({"key": SECRET}),  # type: ignore[arg-type]  # the mistake that is meant
    "a text": lambda: m3ter_nb.login(SECRET),  # type: ignore[arg-type]  # the mistake that is meant
    "a host": lambda: log_in(base_url=SECRET),
    "a host in a list": lambda: log_in(base_url=[SECRET]),
    "an organization": lambda: log_in(org_id=SECRET + " "),
    "an organization in a list": lambda: log_in(org_id=[SECRET]),
    "a file": lambda: m3ter_nb.login(dotenv=SECRET),
    "a timeout": lambda: log_in(timeout=SECRET),
    "a total timeout": lambda: log_in(total_timeout=SECRET),
    "a margin": lambda: log_in(margin=SECRET),
    "an unknown argument": lambda: log_in(secret=SECRET),
    "nobody there": log_in,
    "a clock that stopped": lambda: log_in(clock=bad_clock()),
    "a token": lambda: Token(TOKEN, 60, clock=bad_clock()),
}


@pytest.mark.parametrize("teller", TELLERS)
@pytest.mark.parametrize("call", ENTRIES.values(), ids=ENTRIES)
def test_no_way_in_shows_what_it_was_given(call: Callable[[], object], teller: str) -> None:
    assert "8471" not in told_by(teller, call)


@pytest.mark.parametrize("teller", TELLERS)
@pytest.mark.parametrize("said", ["refused", "a page", "half a token", "nothing"])
def test_a_login_by_a_ready_token_or_a_pair_that_fails_shows_neither(
    monkeypatch: pytest.MonkeyPatch, teller: str, said: str
) -> None:
    answers = {
        "refused": answer(401, b"{}"),
        "a page": answer(200, b"<html>"),
        "half a token": answer(200, f'{{"access_token": "{TOKEN}'.encode()),
        "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    }
    with OddServer.saying(answers[said]) as server:
        assert "8471" not in told_by(teller, lambda: log_in(base_url=server.url))
    monkeypatch.setenv("M3TER_API_TOKEN", TOKEN)
    assert "8471" not in told_by(teller, lambda: m3ter_nb.login(base_url="http://api.m3ter.com"))
    monkeypatch.setenv("M3TER_ORG_ID", "a b")
    assert "8471" not in told_by(teller, m3ter_nb.login)


@pytest.mark.parametrize("teller", TELLERS)
@pytest.mark.parametrize("kind", [RuntimeError, MemoryError, KeyboardInterrupt, SystemExit, RecursionError])
def test_what_nobody_expects_in_the_middle_of_a_login_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, teller: str, kind: type[BaseException]
) -> None:
    def exchange(*_args: object, **_options: object) -> None:
        raise kind

    monkeypatch.setattr(Connections, "exchange", exchange)

    assert "8471" not in told_by(teller, log_in)


def a_session(url: str = "http://127.0.0.1:1", notify: Callable[[str], None] | None = None) -> M3terSession:
    """Return a session with a marked token."""
    transport = Transport(url, timeout=Timeout(1.0, 0.1), notify=notify, clock=Clock(sleep=lambda _: None))
    return M3terSession(TokenSource(Token(TOKEN, 600)), transport, org_id="o")


CALLS: dict[str, Callable[[M3terSession], object]] = {
    "get": lambda session: session.get("products"),
    "get an odd path": lambda session: session.get(f"../{TOKEN}"),
    "get a path that is none": lambda session: session.get([TOKEN]),  # type: ignore[arg-type]  # the mistake that is meant
    "get another host": lambda session: session.get("https://example.com/", params={"x": object()}),
    "a query of the secret": lambda session: session.get("products", {SECRET: object()}),
    "a body of the secret": lambda session: session.post("products", {"name": SECRET, "code": object()}),
    "an unknown method": lambda session: session.request(SECRET, "products"),
    "an unknown argument": lambda session: session.post("products", body=SECRET),  # type: ignore[call-arg]  # the mistake that is meant
    "pages": lambda session: list(session.pages("products")),
    "put": lambda session: session.put("products/1", {"name": "P", "code": "p"}),
    "delete": lambda session: session.delete("products/1"),
    "whoami": lambda session: session.whoami(),
    "requests": lambda session: session.requests().get(session.url("products")),
    "the SDK": lambda session: session.sdk(max_retries=0).products.list(),
}


@pytest.mark.filterwarnings("ignore:products has no filter:m3ter_nb.M3terWarning")
@pytest.mark.parametrize("teller", TELLERS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_no_call_that_fails_shows_the_token(call: Callable[[M3terSession], object], teller: str) -> None:
    session = a_session()

    assert "8471" not in told_by(teller, lambda: call(session))


@pytest.mark.parametrize("teller", TELLERS)
@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 503])
def test_no_refusal_that_echoes_the_token_shows_it(teller: str, status: int) -> None:
    with OddServer.saying(json_answer({"message": f"Bearer {TOKEN}"}, status)) as server:
        session = a_session(server.url)

        for call in (CALLS["get"], CALLS["pages"]):
            assert "8471" not in told_by(teller, partial(call, session))


@pytest.mark.parametrize("teller", TELLERS)
def test_an_error_status_of_requests_shows_no_token(teller: str) -> None:
    with OddServer.saying(json_answer({}, 404)) as server:
        session = a_session(server.url)
        response = session.requests().get(session.url("products"))

    assert "8471" not in told_by(teller, response.raise_for_status)


@pytest.mark.parametrize("teller", TELLERS)
def test_a_listener_of_the_user_s_own_that_fails_shows_no_token(teller: str) -> None:
    def notify(_text: str) -> None:
        fail()

    with OddServer.saying(answer(503, Retry_After="9")) as server:
        session = a_session(server.url, notify)

        told = told_by(teller, lambda: session.get("products"))

    assert "8471" not in told
    assert "unexpected" in told
