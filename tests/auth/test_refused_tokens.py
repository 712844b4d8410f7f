"""A token that was refused: when it is renewed, when it is not, and what that may cost."""

from __future__ import annotations

import asyncio
import io
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

import m3ter_nb.auth.source
from children import forks, in_a_child
from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import ConnectionTimeout, Forbidden, InvalidArgument, LoginRefused
from odd_servers import OddServer, Seen, answer, json_answer, token_answer

if TYPE_CHECKING:
    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession

INVALID = 'Bearer realm="m3ter", error="invalid_token", error_description="The access token expired"'
PRODUCTS = "/organizations/o/products"


def server_of(accepted: str, status: int, **headers: str) -> OddServer:
    """Return a server that hands out token-1, token-2 and so on, and refuses calls with any but one of them."""
    given: list[str] = []

    def respond(seen: Seen) -> list[Any]:
        if seen.target == "/oauth/token":
            given.append(f"token-{len(given) + 1}")
            return [token_answer(given[-1])]
        if seen.headers["authorization"] == f"Bearer {accepted}":
            return [json_answer({"data": []})]
        return [json_answer({"message": "Unauthorized"}, status, **headers)]

    return OddServer(respond)


def tokens_asked_for(server: OddServer) -> int:
    """Return how many token requests a server has seen."""
    return [seen.target for seen in server.seen].count("/oauth/token")


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("challenge", [INVALID, "Bearer error=invalid_token", 'bearer ERROR="INVALID_TOKEN"'])
def test_a_refusal_that_names_the_token_renews_it_however_young_it_is(
    clocks: TwoClocks, status: int, challenge: str
) -> None:
    with (
        server_of("token-2", status, WWW_Authenticate=challenge) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
    ):
        answered = session.get("products")

    assert answered == {"data": []}
    assert (tokens_asked_for(server), len(server.seen)) == (2, 4)


def test_one_call_renews_once_however_often_the_token_is_named(clocks: TwoClocks) -> None:
    with (
        server_of("none", 401, WWW_Authenticate=INVALID) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
        pytest.raises(Forbidden),
    ):
        session.get("products")

    assert (tokens_asked_for(server), len(server.seen)) == (2, 4)


@pytest.mark.parametrize(
    "challenge", ['Bearer error="insufficient_scope"', "Bearer", 'Basic realm="invalid_token"', " " * 60_000]
)
def test_a_young_token_is_not_renewed_for_another_reason(clocks: TwoClocks, challenge: str) -> None:
    with (
        server_of("token-2", 403, WWW_Authenticate=challenge) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
        pytest.raises(Forbidden),
    ):
        session.get("products")

    assert tokens_asked_for(server) == 1


@pytest.mark.parametrize(("age", "tokens"), [(60, 1), (61, 2)])
def test_a_plain_refusal_renews_a_token_that_is_more_than_a_minute_old(
    clocks: TwoClocks, age: float, tokens: int
) -> None:
    with (
        server_of("none", 403) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
    ):
        clocks.advance(age)
        with pytest.raises(Forbidden):
            session.get("products")

    assert tokens_asked_for(server) == tokens


def test_a_missing_permission_does_not_cost_a_token_a_call(clocks: TwoClocks) -> None:
    with (
        server_of("none", 403) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
    ):
        clocks.advance(3_600)
        for _ in range(50):
            with pytest.raises(Forbidden):
                session.get("products")
            clocks.advance(1)

    assert tokens_asked_for(server) == 2


@pytest.mark.parametrize("challenge", ["", INVALID])
@pytest.mark.parametrize("by_sdk", [False, True])
def test_a_refusal_that_no_newer_token_helps_against_costs_fewer_and_fewer_tokens(
    clocks: TwoClocks, *, challenge: str, by_sdk: bool
) -> None:
    headers = {"WWW_Authenticate": challenge} if challenge else {}
    with (
        server_of("none", 403, **headers) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
    ):
        call = session.sdk(max_retries=0).products.retrieve if by_sdk else session.get
        for minute in range(20):
            clocks.advance(61)
            with pytest.raises(Exception, match=r"(?i)permi|403|refused"):
                call(f"{'' if by_sdk else 'products/'}{minute}")

    # The first, one after a minute, and then after 2, 4 and 8 minutes more; one for each of the calls before.
    assert tokens_asked_for(server) <= 5


def as_called(kind: str, session: M3terSession) -> Any:
    """Call for the products by one of the ways that a login can be used; return what came, or raise what did."""
    url = session.url("products")
    match kind:
        case "get":
            return session.get("products")
        case "pages":
            return list(session.pages("products"))
        case "requests":
            return session.requests().get(url).json()
        case "auth":
            return requests.get(url, auth=session.auth, timeout=5).json()
        case "sdk":
            return session.sdk().products.list()
        case _:
            return asyncio.run(session.async_sdk().with_options(timeout=5).get(url, cast_to=object))


WAYS = ["get", "pages", "requests", "auth", "sdk", "async"]


@pytest.mark.parametrize("way", WAYS)
def test_a_token_that_was_ended_early_is_renewed_in_every_way_of_calling(way: str) -> None:
    with (
        server_of("token-2", 401, WWW_Authenticate=INVALID) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as session,
    ):
        assert as_called(way, session) is not None

        assert [seen.target.partition("?")[0] for seen in server.seen] == [
            "/oauth/token",
            PRODUCTS,
            "/oauth/token",
            PRODUCTS,
        ]


@pytest.mark.parametrize("way", WAYS)
def test_a_renewal_that_is_refused_is_asked_for_once_a_call_and_is_our_error(way: str) -> None:
    tokens = [token_answer("token-1"), json_answer({"error": "invalid_client"}, 401)]

    def respond(seen: Seen) -> list[Any]:
        if seen.target == "/oauth/token":
            return [tokens.pop(0) if len(tokens) > 1 else tokens[0]]
        return [json_answer({"message": "Unauthorized"}, 401, WWW_Authenticate=INVALID)]

    with (
        OddServer(respond) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as session,
    ):
        with pytest.raises(
            LoginRefused, match="no longer accepts the key from arguments, which it took before"
        ):
            as_called(way, session)

        assert tokens_asked_for(server) == 2


@pytest.mark.parametrize(
    ("body", "status"), [({"json": {"a": 1}}, 200), ({"data": io.BytesIO(b"read once")}, 401)]
)
def test_plain_requests_send_a_body_once_more_where_it_is_at_hand(body: dict[str, Any], status: int) -> None:
    with (
        server_of("token-2", 401, WWW_Authenticate=INVALID) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as session,
    ):
        answer = requests.post(session.url("products"), auth=session.auth, timeout=5, **body)

        bodies = [seen.body for seen in server.seen if seen.target == PRODUCTS]
    assert answer.status_code == status
    assert bodies == ([b'{"a": 1}'] * 2 if status == 200 else [b"read once"])
    assert "token-" not in f"{answer.request.headers}{[each.request.headers for each in answer.history]}"


@pytest.mark.parametrize("accepted", ["token-1", "token-2"])
def test_an_answer_to_plain_requests_is_pickled_without_a_token(accepted: str) -> None:
    heard: list[int] = []
    hooks = {"response": lambda response, **_: heard.append(response.status_code)}
    with (
        server_of(accepted, 401, WWW_Authenticate=INVALID) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as session,
    ):
        answer = requests.get(session.url("products"), auth=session.auth, timeout=5)
        requests.get(session.url("products"), auth=session.auth, hooks=hooks, timeout=5)

    stored = pickle.dumps(answer)
    assert pickle.loads(stored).json() == {"data": []}
    assert b"token-" not in stored
    assert len(answer.history) == int(accepted == "token-2")
    assert heard == [200]


def test_plain_requests_carry_no_newer_token_along_a_redirect() -> None:
    def respond(seen: Seen) -> list[Any]:
        if seen.target == "/oauth/token":
            return [token_answer(f"token-{tokens_asked_for(server)}")]
        if seen.target == PRODUCTS:
            return [answer(307, Location="/elsewhere")]
        return [json_answer({"message": "Unauthorized"}, 401, WWW_Authenticate=INVALID)]

    with (
        OddServer(respond) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as session,
    ):
        requests.get(session.url("products"), auth=session.auth, timeout=5)

        assert tokens_asked_for(server) == 1
        assert [seen.headers.get("authorization") for seen in server.seen if seen.target == "/elsewhere"] == [
            "Bearer <hidden>"
        ]


def test_a_token_that_stays_invalid_is_explained_as_one_and_not_as_a_missing_permission() -> None:
    with (
        server_of("none", 401, WWW_Authenticate=INVALID) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as session,
        pytest.raises(Forbidden, match=r"calls the token invalid: log in again\.") as caught,
    ):
        session.get("products")

    assert "permission" not in str(caught.value)


def test_another_call_is_not_held_to_what_a_newer_token_did_not_help_against(clocks: TwoClocks) -> None:
    def respond(seen: Seen) -> list[Any]:
        if seen.target == "/oauth/token":
            return [token_answer(f"token-{len(server.seen)}")]
        forbidden = "accounts" in seen.target or seen.headers["authorization"] == "Bearer token-1"
        return [json_answer({"data": []}, 403 if forbidden else 200)]

    with (
        OddServer(respond) as server,
        login(Credentials("k", "s"), base_url=server.url, clock=clocks.clock, org_id="o") as session,
    ):
        clocks.advance(61)
        with pytest.raises(Forbidden):
            session.get("accounts/1")

        assert session.get("products") == {"data": []}


@pytest.mark.parametrize("margin", [float("nan"), float("inf"), -5, "300", None, True])
def test_a_margin_that_is_no_number_of_seconds_is_refused(margin: Any) -> None:
    with pytest.raises(InvalidArgument, match="margin"):
        TokenSource(margin=margin)


def test_a_thread_behind_a_renewal_that_does_not_end_has_an_end(
    clocks: TwoClocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m3ter_nb.auth.source, "_LONGEST_WAIT", 0.05)
    asked, answered = threading.Event(), threading.Event()

    def fetch() -> Token:
        asked.set()
        answered.wait(10)
        return Token("new", 60, clock=clocks.clock)

    source = TokenSource(None, fetch, clock=clocks.clock)
    renewing = threading.Thread(target=source.token)
    renewing.start()
    assert asked.wait(10)

    with pytest.raises(ConnectionTimeout, match="Another thread"):
        source.token()

    answered.set()
    renewing.join()
    assert source.token().reveal() == "new"


@forks
def test_a_child_that_was_forked_during_a_renewal_gets_its_token(clocks: TwoClocks) -> None:
    asked, answered = threading.Event(), threading.Event()

    def fetch() -> Token:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
            answered.wait(10)
        return Token(f"of {threading.current_thread().name}", 60, clock=clocks.clock)

    source = TokenSource(None, fetch, clock=clocks.clock)
    renewing = threading.Thread(target=source.token, name="the other thread")
    renewing.start()
    assert asked.wait(10)

    in_child = in_a_child(lambda: source.token().reveal())

    answered.set()
    renewing.join()
    assert in_child == "of MainThread"
    assert source.token().reveal() == "of the other thread"
