"""Plain ``requests`` on a login: what goes where, and what shows."""

from __future__ import annotations

import copy
import io
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import requests

import m3ter_nb
from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.bridges.requests_session import LoginSession
from m3ter_nb.errors import (
    ConnectionFailed,
    ConnectionTimeout,
    InvalidArgument,
    NotLoggedIn,
    UnsafeDestination,
)
from m3ter_nb.wire.transport import Transport
from odd_servers import OddServer, Seen, answer, json_answer, make_certificate, reset, stall, token_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.sandbox import Sandbox

TOKEN = "marked-opaque-token-8471"


@pytest.fixture
def session(sandbox: Sandbox, credentials: Credentials) -> Iterator[M3terSession]:
    """Return a session with the sandbox."""
    with m3ter_nb.login(credentials, base_url=sandbox.url) as opened:
        yield opened


def in_turn(*turns: Any) -> OddServer:
    """Return a server that gives a token when asked for one, and otherwise these answers in turn."""
    waiting = [turn if isinstance(turn, list) else [turn] for turn in turns]

    def respond(seen: Seen) -> list[Any]:
        if seen.target == "/oauth/token":
            return [token_answer(TOKEN)]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return OddServer(respond)


def logged_in(server: OddServer, **options: Any) -> M3terSession:
    """Return a session with an odd server."""
    return login(Credentials("k", "s"), base_url=server.url, org_id="o", **options)


def told_by(error: BaseException) -> str:
    """Return all that a traceback with locals shows, and the error's own request and response, but for this file."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    lines = [line for line in told.format() if __file__ not in line]
    return "".join(lines) + everything_in(getattr(error, "request", None), getattr(error, "response", None))


def everything_in(*parts: object) -> str:
    """Return the values of all attributes of requests and responses, the headers in clear."""
    shown = ""
    for part in parts:
        values = getattr(part, "__dict__", {})
        shown += f"{values} {[[*map(str, pair)] for pair in dict(values.get('headers') or {}).items()]}"
    return shown


def test_a_call_carries_the_token_and_shows_it_nowhere() -> None:
    with in_turn(json_answer({"data": [1]})) as server, logged_in(server) as session:
        plain = session.requests()
        response = plain.get(session.url("products"), params={"a": "b c"})

        assert response.json() == {"data": [1]}
        assert server.seen[1].headers["authorization"] == f"Bearer {TOKEN}"
        assert server.seen[1].target == "/organizations/o/products?a=b+c"
        assert TOKEN not in everything_in(response, response.request, plain, plain.adapters[""])
        assert TOKEN not in f"{dict(plain.headers)} {plain.auth} {plain!r}"


def test_entities_are_created_read_and_deleted(session: M3terSession) -> None:
    with session.requests() as plain:
        made = plain.post(session.url("products"), json={"name": "P", "code": "p"})
        url = session.url(f"products/{made.json()['id']}")
        read = plain.get(url)
        head = plain.head(url)
        gone = plain.delete(url)

    assert (made.status_code, read.json(), head.content, gone.ok) == (200, made.json(), b"", True)
    assert session.get("products") == {"data": []}  # its connections are still there


@pytest.mark.parametrize("body", [b'{"a": 1}', '{"a": 1}', io.BytesIO(b'{"a": 1}'), iter([b'{"a"', b": 1}"])])
def test_a_body_arrives_however_it_is_given(body: Any) -> None:
    with in_turn(json_answer({})) as server, logged_in(server) as session:
        session.requests().post(session.url("products"), data=body, headers={"content-type": "x/y"})

    assert (server.seen[1].body, server.seen[1].headers["content-type"]) == (b'{"a": 1}', "x/y")


def test_a_number_of_an_answer_is_sent_with_its_digits() -> None:
    content = b'{"price": 0.1234567890123456789}'
    with in_turn(answer(200, content), json_answer({})) as server, logged_in(server) as session:
        session.requests().post(session.url("products"), json=session.get("products"))

    sent = server.seen[-1]
    assert (sent.body, sent.headers["content-type"]) == (content.replace(b" ", b""), "application/json")


@pytest.mark.parametrize("give", ["headers", "auth", "session headers", "session auth"])
def test_another_authorization_does_not_replace_the_token(give: str) -> None:
    with in_turn(json_answer({})) as server, logged_in(server) as session:
        plain = session.requests()
        options: dict[str, Any] = {}
        if give == "headers":
            options["headers"] = {"authorization": "Basic x"}
        elif give == "auth":
            options["auth"] = ("somebody", "else")
        elif give == "session auth":
            plain.auth = ("somebody", "else")
        else:
            plain.headers["Authorization"] = "Basic x"
        plain.get(session.url("products"), **options)

    assert server.seen[1].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "url", ["{elsewhere}/x", "ftp://127.0.0.1/x", "https://api.m3ter.com/x", "file:///etc/x"]
)
def test_anything_else_than_the_login_s_own_api_is_refused(session: M3terSession, url: str) -> None:
    with OddServer.saying(answer(200)) as elsewhere:
        for method in ("GET", "POST"):
            with pytest.raises(UnsafeDestination):
                session.requests().request(method, url.format(elsewhere=elsewhere.url))

    assert elsewhere.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["elsewhere", "on the same host"])
def test_no_redirect_is_followed(status: int, where: str) -> None:
    with OddServer.saying(answer(200)) as elsewhere:
        to = f"{elsewhere.url}/x" if where == "elsewhere" else "/x"
        with in_turn(answer(status, Location=to)) as server, logged_in(server) as session:
            response = session.requests().get(session.url("products"), allow_redirects=True)

    assert (response.status_code, response.headers["Location"]) == (status, to)
    assert elsewhere.seen == []
    assert len(server.seen) == 2


def test_netrc_and_the_environment_s_proxies_play_no_part(
    session: M3terSession, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    assert session.requests().get(session.url("products")).status_code == 200
    assert [record.status for record in sandbox.log] == [200, 200]


def test_verify_false_does_not_switch_the_certificates_off(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "127.0.0.1")
    with OddServer(lambda _: [answer(200)], certificate=certificate) as server:
        plain = LoginSession(TokenSource(Token(TOKEN, 60)), Transport(server.url))
        plain.verify = False
        with pytest.raises(requests.ConnectionError, match="certificate"):
            plain.get(f"{server.url}/x", verify=False)

    assert server.seen == []


@pytest.mark.parametrize("step", [reset, stall], ids=["reset", "stall"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_failure_is_one_of_requests_and_of_ours_and_shows_no_token(
    step: Any, method: str, clocks: TwoClocks
) -> None:
    kinds: tuple[type[Exception], ...] = (
        (ConnectionFailed, requests.ConnectionError)
        if step is reset
        else (ConnectionTimeout, requests.Timeout)
    )
    clock = clocks.clock._replace(sleep=clocks.advance)
    with in_turn([step]) as server, logged_in(server, clock=clock) as session:
        for kind in kinds:
            with pytest.raises(kind) as caught:
                session.requests().request(method, session.url("products"), timeout=(2, 0.1))
            assert isinstance(caught.value.request, requests.PreparedRequest)  # type: ignore[attr-defined]  # it is one of requests, too
            assert TOKEN not in told_by(caught.value)


@pytest.mark.parametrize("fault", [reset, json_answer({}, 404), json_answer({})], ids=["reset", "404", "200"])
@pytest.mark.parametrize("give", ["auth", "headers", "the session's auth"])
def test_an_authorization_of_the_user_s_own_is_not_left_in_requests_answers_and_errors(
    fault: Any, give: str
) -> None:
    with in_turn(fault) as server:
        session = logged_in(server)
        ours = session.requests()
        options: dict[str, Any] = {"auth": session.auth} if give == "auth" else {}
        if give == "headers":
            options = {"headers": {"Authorization": f"Bearer {session.token}"}}
        elif give == "the session's auth":
            ours.auth = session.auth
        try:
            response = ours.post(session.url("products"), json={}, **options)
            told = everything_in(response, response.request)
            response.raise_for_status()
        except requests.RequestException as error:
            # A header that is given in clear is in the frame of requests' own function, too.
            told = everything_in(error.request, error.response) if give == "headers" else told_by(error)

    assert TOKEN not in told


def test_an_error_status_shows_no_token() -> None:
    with in_turn(json_answer({"message": "no"}, 400)) as server, logged_in(server) as session:
        response = session.requests().get(session.url("products"))
        with pytest.raises(requests.HTTPError) as caught:
            response.raise_for_status()

    assert TOKEN not in told_by(caught.value)


def test_the_search_finds_the_token_where_plain_requests_is_given_it() -> None:
    with in_turn([reset]) as server, logged_in(server) as session:
        headers = {"Authorization": f"Bearer {session.token}"}
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(session.url("products"), headers=headers, timeout=2)

    assert TOKEN in told_by(caught.value)


def test_a_refused_token_is_renewed_once(clocks: TwoClocks) -> None:
    refusal = json_answer({}, 401, WWW_Authenticate='Bearer error="invalid_token"')
    with (
        in_turn(refusal, json_answer({"data": []})) as server,
        logged_in(server, clock=clocks.clock) as session,
    ):
        response = session.requests().get(session.url("products"))

    assert response.json() == {"data": []}
    assert [seen.target for seen in server.seen].count("/oauth/token") == 2


def test_a_closed_login_is_our_error(session: M3terSession) -> None:
    plain = session.requests()
    session.close()

    with pytest.raises(NotLoggedIn):
        plain.get(session.url("products"))


@pytest.mark.parametrize("keep", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_neither_pickled_nor_copied(session: M3terSession, keep: Any) -> None:
    with pytest.raises(InvalidArgument):
        keep(session.requests())


@pytest.mark.parametrize("timeout", [0, -1, "x", (1, 2, 3), float("nan")])
def test_a_timeout_that_is_none_is_refused(session: M3terSession, timeout: Any) -> None:
    with pytest.raises(InvalidArgument):
        session.requests().get(session.url("products"), timeout=timeout)
