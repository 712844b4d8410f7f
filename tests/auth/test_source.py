"""A token's life: renewed ahead of its end, once for all threads, by two clocks; and the variable that follows it."""

from __future__ import annotations

import base64
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from m3ter_nb.api.login import login, open_session
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.grant import fetch_token
from m3ter_nb.auth.settings import Settings
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import ConnectionFailed, Forbidden, LoginRefused, NotLoggedIn, TokenExpired
from m3ter_nb.notebook.logins import Logins
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET, Sandbox
from m3ter_nb.wire.transport import Transport
from odd_servers import OddServer, Seen, answer, json_answer, token_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession


FIVE_HOURS = 18_000


@pytest.fixture
def waits() -> list[float]:
    """Return the seconds that were waited, in turn; nobody really waits."""
    return []


@pytest.fixture
def told() -> list[str]:
    """Return what the person was told, in turn."""
    return []


@pytest.fixture
def open_login(
    sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks, waits: list[float], told: list[str]
) -> Callable[..., M3terSession]:
    """Return a function that logs in to the sandbox, on the settable clocks."""

    def opened(*, refresh: bool = True) -> M3terSession:
        return login(
            credentials,
            base_url=sandbox.url,
            refresh=refresh,
            clock=clocks.clock._replace(sleep=waits.append),
            notify=told.append,
        )

    return opened


@pytest.fixture
def session(open_login: Callable[..., M3terSession]) -> Iterator[M3terSession]:
    """Return a session with the sandbox that renews its token."""
    with open_login() as opened:
        yield opened


def calls(sandbox: Sandbox) -> list[str]:
    """Return the requests so far, as ``GET products 200``."""
    return [
        f"{record.method} {record.path.removeprefix(f'/organizations/{DEMO_ORG_ID}/')} {record.status}"
        for record in sandbox.log
    ]


def token_requests(sandbox: Sandbox) -> int:
    """Return how many tokens were asked for."""
    return sum(record.path == "/oauth/token" for record in sandbox.log)


# Freshness


def test_a_fresh_token_is_used_again(session: M3terSession, sandbox: Sandbox, clocks: TwoClocks) -> None:
    clocks.advance(FIVE_HOURS - 301)

    session.get("products")

    assert calls(sandbox) == ["POST /oauth/token 200", "GET products 200"]


def test_a_token_is_renewed_five_minutes_before_its_end(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.advance(FIVE_HOURS - 300)

    session.get("products")

    assert calls(sandbox) == ["POST /oauth/token 200", "POST /oauth/token 200", "GET products 200"]


def test_a_laptop_that_slept_has_an_old_token(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.wall += FIVE_HOURS  # the monotonic clock stood still

    assert session.source.due()
    assert session.token.seconds_left == FIVE_HOURS
    assert token_requests(sandbox) == 2


def test_a_clock_set_back_does_not_lengthen_a_token(session: M3terSession, clocks: TwoClocks) -> None:
    clocks.monotonic += FIVE_HOURS
    clocks.wall -= 86_400

    assert session.source.due()


def test_the_margin_of_a_short_token_is_a_tenth_of_its_lifetime(
    clocks: TwoClocks, credentials: Credentials
) -> None:
    with (
        Sandbox(token_lifetime=60) as sandbox,
        login(credentials, base_url=sandbox.url, clock=clocks.clock) as short,
    ):
        clocks.advance(53.9)
        before = short.source.due()
        clocks.advance(0.1)

        assert (before, short.source.due()) == (False, True)


def test_the_margin_can_be_set(clocks: TwoClocks, credentials: Credentials, sandbox: Sandbox) -> None:
    with login(credentials, base_url=sandbox.url, clock=clocks.clock, margin=600) as session:
        clocks.advance(FIVE_HOURS - 600)

        assert session.source.due()


def test_a_token_of_unknown_end_is_never_due() -> None:
    source = TokenSource(Token("opaque"), lambda: Token("another"))

    assert not source.due()
    assert source.token().reveal() == "opaque"


# Single flight


@pytest.mark.parametrize("age", [FIVE_HOURS, FIVE_HOURS - 100], ids=["ended", "near its end"])
def test_sixteen_threads_make_one_token_request(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks, age: float
) -> None:
    clocks.advance(age)
    start = threading.Barrier(16)
    statuses: list[object] = []

    def call() -> None:
        start.wait()
        statuses.append(session.get("products")["data"])

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [[]] * 16
    assert token_requests(sandbox) == 2


def test_sixteen_threads_that_were_refused_make_one_token_request(
    clocks: TwoClocks, credentials: Credentials, sandbox: Sandbox
) -> None:
    stale = Token("stale", FIVE_HOURS, clock=clocks.clock)
    source = TokenSource(
        stale,
        lambda: fetch_token(credentials, Transport(sandbox.url), clock=clocks.clock),
        clock=clocks.clock,
    )
    start = threading.Barrier(16)
    tokens: list[Token] = []

    def renew() -> None:
        start.wait()
        tokens.append(source.renew(stale))

    threads = [threading.Thread(target=renew) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({token.reveal() for token in tokens}) == 1
    assert token_requests(sandbox) == 1


def test_a_valid_token_is_handed_out_while_another_thread_renews_it(clocks: TwoClocks) -> None:
    asked, answered = threading.Event(), threading.Event()

    def fetch() -> Token:
        asked.set()
        assert answered.wait(10)
        return Token("new", FIVE_HOURS, clock=clocks.clock)

    source = TokenSource(Token("old", FIVE_HOURS, clock=clocks.clock), fetch, clock=clocks.clock)
    clocks.advance(FIVE_HOURS - 100)
    renewing = threading.Thread(target=source.token)
    renewing.start()
    assert asked.wait(10)

    meanwhile = source.token().reveal()
    answered.set()
    renewing.join()

    assert (meanwhile, source.token().reveal()) == ("old", "new")


# A renewal that fails


def test_a_failed_renewal_says_so_once_and_keeps_the_valid_token(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks, told: list[str]
) -> None:
    clocks.advance(FIVE_HOURS - 250)
    sandbox.faults.refuse_key(DEMO_KEY_ID)

    for _ in range(5):
        session.get("products")
        clocks.advance(31)

    assert len(told) == 1
    assert told[0].startswith("The token could not be renewed and has 4 min left: ")
    assert [call for call in calls(sandbox) if call.startswith("GET")] == ["GET products 200"] * 5


def test_after_a_failed_renewal_nobody_tries_for_half_a_minute(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.advance(FIVE_HOURS - 250)
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    session.get("products")
    clocks.advance(29)
    session.get("products")
    paused = token_requests(sandbox)
    clocks.advance(1)
    session.get("products")

    assert (paused, token_requests(sandbox)) == (2, 3)


def test_a_renewal_recovers(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks, told: list[str]
) -> None:
    clocks.advance(FIVE_HOURS - 250)
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    session.get("products")
    sandbox.faults.accept_key(DEMO_KEY_ID)
    clocks.advance(30)

    assert session.token.seconds_left == FIVE_HOURS
    assert len(told) == 1


def test_a_second_outage_is_told_too(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks, told: list[str]
) -> None:
    for _ in range(2):
        clocks.advance(FIVE_HOURS - 250)
        sandbox.faults.refuse_key(DEMO_KEY_ID)
        session.get("products")
        sandbox.faults.accept_key(DEMO_KEY_ID)
        clocks.advance(30)
        session.get("products")

    assert len(told) == 2


def test_an_ended_token_that_cannot_be_renewed_is_the_renewal_s_error(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks, told: list[str]
) -> None:
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)

    with pytest.raises(LoginRefused, match="ACTIVE in the Console"):
        session.get("products")

    assert told == []


def test_a_key_that_is_refused_is_asked_about_less_and_less_and_each_error_says_when_next(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    asked, pauses = 1, (30, 60, 120, 240, 480, 960, 1920, 3600, 3600)

    for pause in pauses:
        asked += 1
        for waited in (0, pause - 1):
            clocks.advance(waited)
            with pytest.raises(
                LoginRefused, match=f"asks again in {pause - waited} s at the earliest"
            ) as caught:
                session.get("products")
            assert str(session.source.failure) == str(caught.value)
            assert caught.value.status == 401
        assert token_requests(sandbox) == asked
        clocks.advance(1)

    sandbox.faults.accept_key(DEMO_KEY_ID)
    assert session.get("products") == {"data": []}
    assert session.source.failure is None


def test_a_refusal_of_the_key_keeps_nobody_from_logging_in_again(
    logins: Logins,
    open_login: Callable[..., M3terSession],
    sandbox: Sandbox,
    clocks: TwoClocks,
) -> None:
    session = open_login()
    logins.add("m3ter", session, typed=False)
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    for _ in range(3):
        with pytest.raises(LoginRefused):
            session.get("products")
        with pytest.raises(LoginRefused, match="swapped"):
            open_login()
    sandbox.faults.accept_key(DEMO_KEY_ID)
    logins.add("m3ter", open_login(), typed=False)

    assert session.get("products") == {"data": []}
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    with pytest.raises(LoginRefused, match="asks again in 30 s"):
        session.get("products")


def test_a_host_that_gives_no_token_now_is_asked_by_every_call_that_needs_one(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    with pytest.raises(LoginRefused):
        session.get("products")
    clocks.advance(30)
    sandbox.faults.fail(501, path="/oauth/token")
    with pytest.raises(ConnectionFailed):
        session.get("products")
    sandbox.faults.accept_key(DEMO_KEY_ID)

    assert session.get("products") == {"data": []}


def test_without_refresh_the_end_is_an_error_that_says_what_to_do(
    open_login: Callable[..., M3terSession], sandbox: Sandbox, clocks: TwoClocks
) -> None:
    session = open_login(refresh=False)
    clocks.advance(FIVE_HOURS - 1)
    session.get("products")
    clocks.advance(1)

    with pytest.raises(TokenExpired, match="Log in again"):
        session.get("products")
    assert token_requests(sandbox) == 1


def test_a_forgotten_source_asks_for_a_login(session: M3terSession) -> None:
    session.source.forget()

    with pytest.raises(NotLoggedIn, match="log in first"):
        session.source.token()
    with pytest.raises(NotLoggedIn, match="log in first"):
        session.source.renew(None)


# 401 and 403


def test_a_token_at_its_end_that_is_refused_is_renewed_and_the_call_made_once_more(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.advance(FIVE_HOURS - 250)
    sandbox.faults.fail(503, times=4, path="/oauth/token")
    sandbox.faults.expire_tokens()

    answered = session.post("products", json={"name": "API calls", "code": "api_calls"})

    assert answered["code"] == "api_calls"
    assert calls(sandbox) == [
        "POST /oauth/token 200",
        *["POST /oauth/token 503"] * 4,
        "POST products 403",
        "POST /oauth/token 200",
        "POST products 200",
    ]


def jwt(claims: dict[str, object]) -> str:
    """Return an unsigned JWT with these claims."""
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{middle}.x"


def server_of(tokens: list[str], accepted: str, status: int) -> OddServer:
    """Return a server that hands out tokens in turn and refuses calls with any but one of them."""

    def respond(seen: Seen) -> list[bytes]:
        if seen.target == "/oauth/token":
            return [token_answer(tokens.pop(0))]
        if seen.headers["authorization"] == f"Bearer {accepted}":
            return [json_answer({"data": []})]
        return [json_answer({"message": "Unauthorized"}, status)]

    return OddServer(respond)


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_past_its_own_exp_is_renewed_once(
    clocks: TwoClocks, credentials: Credentials, status: int
) -> None:
    old, new = jwt({"exp": clocks.wall + 300, "orgId": "o"}), jwt({"exp": clocks.wall + 9_999, "orgId": "o"})
    with (
        server_of([old, new], new, status) as server,
        login(credentials, base_url=server.url, clock=clocks.clock) as session,
    ):
        session.get("products")

    assert [seen.target for seen in server.seen] == [
        "/oauth/token",
        "/organizations/o/products",
        "/oauth/token",
        "/organizations/o/products",
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_a_new_token_that_is_refused_too_is_not_renewed_again(
    clocks: TwoClocks, credentials: Credentials, status: int
) -> None:
    tokens = [jwt({"exp": clocks.wall, "orgId": "o", "n": n}) for n in range(9)]
    with (
        server_of(tokens, "none of them", status) as server,
        login(credentials, base_url=server.url, clock=clocks.clock) as session,
        pytest.raises(Forbidden),
    ):
        session.get("products")

    assert len(server.seen) == 4


@pytest.mark.parametrize("status", [401, 403])
def test_a_fresh_token_that_is_refused_is_not_renewed(
    clocks: TwoClocks, credentials: Credentials, status: int
) -> None:
    tokens = [jwt({"exp": clocks.wall + 301, "orgId": "o", "n": n}) for n in range(9)]
    with (
        server_of(tokens, "none of them", status) as server,
        login(credentials, base_url=server.url, clock=clocks.clock) as session,
        pytest.raises(Forbidden),
    ):
        session.get("products")

    assert [seen.target for seen in server.seen] == ["/oauth/token", "/organizations/o/products"]


@pytest.mark.parametrize(
    ("credentials", "first"),
    [
        (Credentials(NARROW_KEY_ID, NARROW_SECRET), "lacks the permission (its token allows"),
        (Credentials(DEMO_KEY_ID, DEMO_SECRET), "the token is no longer accepted, though its time is not up"),
    ],
    ids=["narrow", "all"],
)
def test_a_fresh_token_that_is_refused_gives_the_causes_in_order(
    sandbox: Sandbox, credentials: Credentials, first: str
) -> None:
    with login(credentials, base_url=sandbox.url) as session:
        sandbox.faults.fail(403)
        with pytest.raises(Forbidden) as caught:
            session.get("products")

    message = str(caught.value)
    causes = [first, "made inactive or its policy changed", "the firewall"]
    assert sorted(causes, key=message.index) == causes


def test_a_token_that_another_thread_has_renewed_is_tried_without_a_third(
    session: M3terSession, sandbox: Sandbox
) -> None:
    old = session.token
    sandbox.faults.expire_tokens()
    new = session.source.renew(old)

    assert session.source.renew(old) is new
    assert token_requests(sandbox) == 2


# The variable


def test_the_variable_is_rebound_before_a_cell(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    logins.add("m3ter", session, typed=False)
    old = namespace["m3ter_token"]
    clocks.advance(FIVE_HOURS - 300)

    logins.before_cell()

    assert namespace["m3ter_token"] is session.source.current
    assert namespace["m3ter_token"] is not old
    assert token_requests(sandbox) == 2


def test_there_is_nothing_to_do_before_most_cells(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    logins.add("m3ter", session, typed=False)
    before = dict(namespace)
    clocks.advance(FIVE_HOURS - 301)

    logins.before_cell()

    assert namespace == before
    assert token_requests(sandbox) == 1


def test_a_name_that_the_user_rebound_keeps_his_value(session: M3terSession, clocks: TwoClocks) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    logins.add("m3ter", session, typed=False)
    namespace["m3ter_token"] = "mine"

    for _ in range(2):
        clocks.advance(FIVE_HOURS - 300)
        logins.before_cell()
    logins.remove("m3ter")

    assert namespace == {"m3ter_token": "mine"}


def test_a_name_that_the_user_deleted_stays_deleted(session: M3terSession, clocks: TwoClocks) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    logins.add("m3ter", session, typed=False)
    del namespace["m3ter_token"]
    clocks.advance(FIVE_HOURS - 300)

    logins.before_cell()

    assert "m3ter_token" not in namespace


def test_a_new_login_each_renewal_and_the_end_are_told_to_listeners_once(
    session: M3terSession, clocks: TwoClocks
) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    told: list[tuple[str, bool]] = []
    logins.on_change(lambda name, login: told.append((name, login is not None)))
    logins.add("m3ter", session, typed=False)
    namespace["m3ter_token"] = "mine"
    clocks.advance(FIVE_HOURS - 300)

    for _ in range(3):
        logins.before_cell()
    logins.remove("m3ter")

    assert told == [("m3ter", True), ("m3ter", True), ("m3ter", False)]


def test_a_session_that_the_user_closed_leaves_the_token_variable_alone(session: M3terSession) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    logins.add("m3ter", session, typed=False)
    token = namespace["m3ter_token"]
    session.close()

    logins.before_cell()

    assert namespace["m3ter_token"] is token


def test_a_renewal_before_a_cell_that_fails_is_told_and_raises_nothing(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    said: list[str] = []
    logins = Logins({}, said.append)
    logins.add("m3ter", session, typed=False)
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)

    for _ in range(3):
        logins.before_cell()

    assert len(said) == 1
    assert said[0].startswith("m3ter_token: ")


def test_the_end_of_a_token_that_is_not_renewed_is_announced_once(
    open_login: Callable[..., M3terSession], clocks: TwoClocks
) -> None:
    said: list[str] = []
    logins = Logins({}, said.append)
    logins.add("staging", open_login(refresh=False), typed=False)
    logins.before_cell()
    clocks.advance(FIVE_HOURS - 300)

    for _ in range(3):
        logins.before_cell()
        clocks.advance(200)

    assert said == [
        "staging_token ends in 300 s and cannot be renewed: run %m3ter_login --name staging again.",
    ]


def test_the_end_of_a_ready_token_is_announced(sandbox: Sandbox, clocks: TwoClocks) -> None:
    said: list[str] = []
    logins = Logins({}, said.append)
    ready = Settings(token=Token(jwt({"exp": clocks.wall + 500, "orgId": "o"})), base_url=sandbox.url)
    logins.add("m3ter", open_session(ready, clock=clocks.clock), typed=False)
    clocks.advance(500)

    logins.before_cell()

    assert said == ["m3ter_token has ended and cannot be renewed: run %m3ter_login again."]


# A second login


@pytest.fixture
def logins() -> Logins:
    """Return the logins of an empty namespace."""
    return Logins({}, lambda _text: None)


def test_what_was_made_from_the_first_login_goes_on_with_a_second_of_the_same_key(
    logins: Logins, open_login: Callable[..., M3terSession], sandbox: Sandbox
) -> None:
    first = open_login()
    logins.add("m3ter", first, typed=False)
    for number in range(3):
        first.post("products", json={"name": f"p{number}", "code": f"p{number}"})
    sdk, auth, pages, taken = first.sdk(), first.auth, first.pages("products", pageSize=1), first.token
    read = [next(pages)]

    sandbox.faults.expire_tokens()
    second = open_login()
    logins.add("m3ter", second, typed=False)

    assert first.token is second.token is not taken
    assert len(first.get("products")["data"]) == 3
    assert len(sdk.products.list().data) == 3
    url = f"{sandbox.url}/organizations/{DEMO_ORG_ID}/products"
    assert requests.get(url, auth=auth, timeout=5).status_code == 200
    assert len([*read, *pages]) == 3


def test_a_renewal_serves_the_first_login_and_the_second(
    logins: Logins, open_login: Callable[..., M3terSession], sandbox: Sandbox, clocks: TwoClocks
) -> None:
    sessions = [open_login() for _ in range(3)]
    for session in sessions:
        logins.add("m3ter", session, typed=False)
    asked = token_requests(sandbox)
    clocks.advance(18_000)

    assert sessions[0].token is sessions[1].token is sessions[2].token
    assert token_requests(sandbox) == asked + 1


def test_a_logout_ends_what_the_first_login_was_taken_over_by(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first, second = open_login(), open_login()
    logins.add("m3ter", first, typed=False)
    logins.add("m3ter", second, typed=False)

    logins.remove("m3ter")

    with pytest.raises(NotLoggedIn, match="was logged out"):
        first.get("products")


@pytest.mark.parametrize(
    "other",
    [
        {"credentials": Credentials(NARROW_KEY_ID, NARROW_SECRET, "a test")},
        {"base_url": "the same machine by another name"},
    ],
    ids=["key", "host"],
)
def test_another_key_or_host_closes_the_first_login_and_the_error_says_so(
    logins: Logins, sandbox: Sandbox, other: dict[str, Any]
) -> None:
    if "base_url" in other:
        other = {"base_url": sandbox.url.replace("127.0.0.1", "localhost")}
    credentials = Credentials(DEMO_KEY_ID, DEMO_SECRET, "a test")
    first = login(credentials, base_url=sandbox.url)
    logins.add("m3ter", first, typed=False)

    second = login(**{"credentials": credentials, "base_url": sandbox.url, **other})
    logins.add("m3ter", second, typed=False)

    with pytest.raises(NotLoggedIn, match=r"A later login as m3ter closed this session.*m3ter_session"):
        first.get("products")
    assert second.token.permissions


def test_what_is_left_of_a_logout_says_so_after_the_next_login_too(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first = open_login()
    logins.add("staging", first, typed=False)
    begun = first.pages("products")
    logins.remove("staging")
    logins.add("staging", open_login(), typed=False)

    said = r"was logged out\. Go on with staging_session, once .*%m3ter_login --name staging"
    for use in (
        lambda: first.get("products"),
        lambda: first.token,
        lambda: next(begun),
        first.sdk().products.list,
    ):
        with pytest.raises(NotLoggedIn, match=said):
            use()


def test_a_session_that_was_closed_by_hand_says_so_whatever_is_logged_in_later(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first = open_login()
    logins.add("m3ter", first, typed=False)
    first.close()
    logins.add("m3ter", open_login(), typed=False)

    with pytest.raises(NotLoggedIn, match="This session is closed"):
        first.get("products")


def test_closing_an_older_session_leaves_the_later_login_of_the_same_key_alone(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    oldest, older, later = (open_login() for _ in range(3))
    for each in (oldest, older, later):
        logins.add("m3ter", each, typed=False)
    client = older.sdk()
    oldest.close()
    with older:
        pass

    for closed in (oldest, older):
        with pytest.raises(NotLoggedIn, match="This session is closed"):
            closed.get("products")
    assert later.get("products") == {"data": []}
    assert list(client.products.list()) == []
    later.close()
    with pytest.raises(NotLoggedIn, match="This session is closed"):
        later.get("products")


def test_a_later_logout_ends_the_older_session_too(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    older = open_login()
    logins.add("m3ter", older, typed=False)
    logins.add("m3ter", open_login(), typed=False)
    logins.remove("m3ter")
    older.close()

    with pytest.raises(NotLoggedIn):
        older.get("products")


def test_a_ready_token_given_twice_is_one_login(logins: Logins, sandbox: Sandbox) -> None:
    token = login(Credentials(DEMO_KEY_ID, DEMO_SECRET, "a test"), base_url=sandbox.url).token
    first, second = (open_session(Settings(token=token, base_url=sandbox.url)) for _ in range(2))
    logins.add("m3ter", first, typed=False)
    logins.add("m3ter", second, typed=False)

    assert first.get("products") == second.get("products")


def test_a_login_whose_session_the_user_closed_stays_closed(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first = open_login()
    logins.add("m3ter", first, typed=False)
    first.close()
    logins.add("m3ter", open_login(), typed=False)

    with pytest.raises(NotLoggedIn):
        first.get("products")


def test_the_documented_code_run_as_printed_leaves_a_login_that_works(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%m3ter_login --show python")
    shell.run_cell(capsys.readouterr().out)
    assert os.environ.get("M3TER_API_TOKEN")
    try:
        shell.run_cell("%m3ter_login\nproducts = m3ter_session.get('products')")
    finally:
        del os.environ["M3TER_API_TOKEN"]

    assert shell.user_ns["products"]["data"] == []
    assert "M3TER_API_TOKEN in the environment is not used" in capsys.readouterr().out


# A real shell


@pytest.fixture
def logged_in_shell(shell: InteractiveShell, session: M3terSession, sandbox: Sandbox) -> InteractiveShell:
    """Return a shell with a login on the settable clocks."""
    shell.magics_manager.registry["M3terMagics"]._logins.add("m3ter", session, typed=False)
    shell.user_ns |= {"requests": requests, "url": f"{sandbox.url}/organizations/{DEMO_ORG_ID}/products"}
    return shell


def test_plain_requests_code_works_in_a_notebook_left_open_over_night(
    logged_in_shell: InteractiveShell, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    cell = "status = requests.get(url, headers={'Authorization': f'Bearer {m3ter_token}'}, timeout=9).status_code"
    clocks.wall += 12 * 3_600  # the laptop slept
    sandbox.faults.expire_tokens()

    logged_in_shell.run_cell(cell).raise_error()

    assert logged_in_shell.user_ns["status"] == 200
    assert calls(sandbox) == ["POST /oauth/token 200", "POST /oauth/token 200", "GET products 200"]


def test_a_rebound_name_survives_the_cells_of_a_shell(
    logged_in_shell: InteractiveShell, clocks: TwoClocks
) -> None:
    logged_in_shell.run_cell("m3ter_token = 'mine'").raise_error()
    clocks.advance(FIVE_HOURS)

    logged_in_shell.run_cell("kept = m3ter_token").raise_error()

    assert logged_in_shell.user_ns["kept"] == "mine"


def test_a_magic_call_renews_on_its_way(
    logged_in_shell: InteractiveShell, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    def slept() -> None:
        clocks.advance(FIVE_HOURS)
        sandbox.faults.expire_tokens()

    logged_in_shell.user_ns["slept"] = slept
    logged_in_shell.run_cell("slept()\nproducts = %m3ter GET products").raise_error()

    assert calls(sandbox) == ["POST /oauth/token 200", "POST /oauth/token 200", "GET products 200"]


def test_an_outage_before_a_cell_lets_the_cell_run(
    logged_in_shell: InteractiveShell,
    sandbox: Sandbox,
    clocks: TwoClocks,
    capsys: pytest.CaptureFixture[str],
    waits: list[float],
) -> None:
    clocks.advance(FIVE_HOURS)
    sandbox.faults.fail(503, times=4, path="/oauth/token")

    logged_in_shell.run_cell("ran = True").raise_error()

    assert logged_in_shell.user_ns["ran"]
    assert capsys.readouterr().out.startswith("m3ter_token: ")
    assert len(waits) == 3


def test_ctrl_c_in_a_renewal_before_a_cell_ends_it_and_runs_the_cell(
    shell: InteractiveShell,
    sandbox: Sandbox,
    credentials: Credentials,
    clocks: TwoClocks,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    session = login(credentials, base_url=sandbox.url, clock=clocks.clock._replace(sleep=interrupt))
    shell.magics_manager.registry["M3terMagics"]._logins.add("m3ter", session, typed=False)
    clocks.advance(FIVE_HOURS)
    sandbox.faults.fail(503, path="/oauth/token", times=4)

    shell.run_cell("ran = True").raise_error()

    captured = capsys.readouterr()
    assert captured.out == "m3ter_token: its renewal was interrupted; the next cell tries again.\n"
    assert captured.err == ""
    assert shell.user_ns["ran"]


def test_a_host_that_is_down_is_a_connection_error_where_the_token_has_ended(
    credentials: Credentials, clocks: TwoClocks
) -> None:
    with OddServer.saying(token_answer(expires_in=10), answer(200, b"{}")) as server:
        session = login(credentials, base_url=server.url, clock=clocks.clock, org_id="o")
    session._transport.close()
    clocks.advance(10)

    with pytest.raises(ConnectionFailed):
        session.get("products")


class CountingLock:
    """A lock that tells when a number of threads have come to it."""

    def __init__(self, expected: int) -> None:
        self._lock, self._guard = threading.Lock(), threading.Lock()
        self._missing = expected
        self.all_here = threading.Event()

    def acquire(self, *, blocking: bool = True, timeout: float = -1) -> bool:
        """Count the caller, then acquire."""
        with self._guard:
            self._missing -= 1
            if self._missing == 0:
                self.all_here.set()
        return self._lock.acquire(blocking=blocking, timeout=timeout)

    def release(self) -> None:
        """Release."""
        self._lock.release()


def test_a_failure_is_shared_by_the_threads_that_waited_for_it(clocks: TwoClocks) -> None:
    asked: list[int] = []
    lock = CountingLock(16)

    def fetch() -> Token:
        asked.append(1)
        lock.all_here.wait(10)
        raise ConnectionFailed("the host is down")

    source = TokenSource(None, fetch, clock=clocks.clock)
    source._lock = lock
    failures: list[ConnectionFailed] = []

    def ask() -> None:
        try:
            source.token()
        except ConnectionFailed as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert (len(asked), len(failures)) == (1, 16)


@pytest.mark.parametrize("status", [401, 403])
def test_a_clock_hours_ahead_costs_one_token_not_one_for_each_refusal(
    clocks: TwoClocks, credentials: Credentials, status: int
) -> None:
    tokens = [jwt({"exp": clocks.wall - 9_000, "orgId": "o", "n": n}) for n in range(9)]
    with (
        server_of(tokens, "none of them", status) as server,
        login(credentials, base_url=server.url, clock=clocks.clock) as session,
    ):
        for _ in range(5):
            with pytest.raises(Forbidden):
                session.get("products")

        assert [seen.target for seen in server.seen].count("/oauth/token") == 2
