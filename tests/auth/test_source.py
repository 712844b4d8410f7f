"""A token's life: renewed ahead of its end, once for all threads, by two clocks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from calls_made import FIVE_HOURS, calls, token_requests
from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.grant import fetch_token
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import ConnectionFailed, Forbidden, LoginRefused, NotLoggedIn, TokenExpired
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET, Sandbox
from m3ter_nb.wire.transport import Transport
from odd_servers import OddServer, Seen, answer, json_answer, token_answer
from unsigned import jwt

if TYPE_CHECKING:
    from collections.abc import Callable

    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.notebook.logins import Logins


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
