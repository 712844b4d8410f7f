"""Trouble on the network: what is tried again, what is not, how long is waited, and what the person is told.

Waits are injected. The only real waits are read and connect timeouts of a fifth of a second.
"""

from __future__ import annotations

import email.utils
import gc
import gzip
import signal
import socket
import threading
import time
import traceback
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.api.login import login
from m3ter_nb.api.session import M3terSession
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import (
    ApiError,
    BadRequest,
    ConnectionBroken,
    ConnectionFailed,
    ConnectionTimeout,
    InvalidArgument,
    LoginRefused,
    M3terError,
    NotFound,
    RateLimited,
    ServerError,
    UnexpectedAnswer,
    VersionConflict,
)
from m3ter_nb.sandbox import DEMO_ORG_ID
from m3ter_nb.wire.transport import Timeout, Transport
from odd_servers import (
    Connection,
    OddServer,
    Seen,
    answer,
    json_answer,
    press_ctrl_c,
    reset,
    stall,
    token_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clocks import TwoClocks
    from m3ter_nb.sandbox import Sandbox

SECRET = "marked-secret-8471"
BASIC = "YS1rZXktaWQ6bWFya2VkLXNlY3JldC04NDcx"
TOKEN = "marked-opaque-token-8471"

#: Long enough for loopback, short enough that a bug shows as a failure and not as a hang.
ENOUGH = Timeout(20.0, 20.0)

PRODUCT = {"name": "API calls", "code": "api_calls"}
MEASUREMENT = {"meter": "calls", "account": "acme", "ts": "2023-01-02T03:04:05.000Z", "measure": {"n": 1}}


@pytest.fixture
def patient(clocks: TwoClocks, waits: list[float], told: list[str]) -> Callable[..., M3terSession]:
    """Return ``login`` with injected waits."""

    def opened(credentials: Credentials, url: str, timeout: Timeout = ENOUGH) -> M3terSession:
        return login(
            credentials,
            base_url=url,
            timeout=timeout,
            clock=clocks.clock._replace(sleep=waits.append),
            notify=told.append,
            org_id="o" if "127.0.0.1" in url and credentials.key_id == "a-key-id" else None,
        )

    return opened


@pytest.fixture
def session(
    patient: Callable[..., M3terSession], sandbox: Sandbox, credentials: Credentials
) -> Iterator[M3terSession]:
    """Return a session with the sandbox, whose waits are injected."""
    with patient(credentials, sandbox.url) as opened:
        yield opened


@pytest.fixture
def marked() -> Credentials:
    """Return credentials with a marked secret."""
    return Credentials("a-key-id", SECRET)


@pytest.fixture
def odd(marked: Credentials, patient: Callable[..., M3terSession]) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a session with an odd server, which gives a token and then these steps in turn."""
    with ExitStack() as stack:

        def opened(*turns: Any, timeout: Timeout = ENOUGH) -> tuple[M3terSession, OddServer]:
            waiting = [turn if isinstance(turn, list) else [turn] for turn in turns]

            def respond(seen: Seen) -> list[Any]:
                if seen.target == "/oauth/token":
                    return [token_answer(TOKEN)]
                return waiting.pop(0) if len(waiting) > 1 else waiting[0]

            server = stack.enter_context(OddServer(respond))
            return stack.enter_context(patient(marked, server.url, timeout)), server

        yield opened


def statuses(sandbox: Sandbox) -> list[int]:
    """Return the statuses of the calls so far, the token request left out; 0 is a dropped connection."""
    return [record.status for record in sandbox.log if record.path != "/oauth/token"]


def all_of(error: BaseException | None) -> str:
    """Return what a verbose traceback can print of an error: texts, chain, the locals of every frame but the test's."""
    printed: list[str] = []
    while error is not None:
        printed += [repr(error), str(error), *map(str, getattr(error, "__notes__", ()))]
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        printed += [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename != __file__]
        error = error.__cause__ or error.__context__
    return "\n".join(printed)


# What is tried again


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_call_that_changes_nothing_twice_is_tried_again(
    session: M3terSession, sandbox: Sandbox, method: str, status: int
) -> None:
    product = session.post("products", json=PRODUCT)
    sandbox.faults.fail(status, times=2)

    answered = session.request(
        method, f"products/{product['id']}", json={**product, "name": "New"} if method == "PUT" else None
    )

    assert answered["id"] == product["id"]
    assert statuses(sandbox) == [200, status, status, 200]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_post_is_not_tried_again(session: M3terSession, sandbox: Sandbox, status: int) -> None:
    sandbox.faults.fail(status)

    with pytest.raises(ServerError, match="on m3ter's side"):
        session.post("products", json=PRODUCT)

    assert statuses(sandbox) == [status]


def test_a_post_that_was_refused_for_the_rate_is_tried_again(session: M3terSession, sandbox: Sandbox) -> None:
    sandbox.faults.fail(429)

    assert session.post("products", json=PRODUCT)["code"] == "api_calls"
    assert statuses(sandbox) == [429, 200]


@pytest.mark.parametrize("fault", ["drop", "cut"])
def test_a_broken_connection_is_tried_again_for_a_get(
    session: M3terSession, sandbox: Sandbox, fault: str
) -> None:
    getattr(sandbox.faults, fault)()

    assert session.get("products")["data"] == []
    assert len(statuses(sandbox)) == 2


@pytest.mark.parametrize("fault", ["drop", "cut"])
def test_a_broken_connection_is_not_tried_again_for_a_post(
    session: M3terSession, sandbox: Sandbox, fault: str
) -> None:
    getattr(sandbox.faults, fault)()

    with pytest.raises(ConnectionBroken, match="check before you repeat it"):
        session.post("products", json=PRODUCT)

    assert len(statuses(sandbox)) == 1


def test_measurements_with_uids_are_tried_again(session: M3terSession, sandbox: Sandbox) -> None:
    sandbox.faults.cut()

    answered = session.post("measurements", json={"measurements": [{**MEASUREMENT, "uid": "1"}]})

    assert answered == {"result": "accepted"}
    assert statuses(sandbox) == [200, 200]


@pytest.mark.parametrize(
    "measurements",
    [[MEASUREMENT], [{**MEASUREMENT, "uid": "1"}, MEASUREMENT], [{**MEASUREMENT, "uid": ""}]],
    ids=["none has a uid", "one has none", "an empty uid"],
)
def test_measurements_without_a_uid_are_not_tried_again(
    session: M3terSession, sandbox: Sandbox, measurements: list[object]
) -> None:
    sandbox.faults.cut()

    with pytest.raises(ConnectionBroken):
        session.post("measurements", json={"measurements": measurements})

    assert len(statuses(sandbox)) == 1


def test_a_post_that_only_asks_is_tried_again(session: M3terSession, sandbox: Sandbox) -> None:
    sandbox.faults.fail(503)
    query = {"startDate": "2023-01-01T00:00:00Z", "endDate": "2023-02-01T00:00:00Z"}

    assert session.post("usage/query", json=query)["data"] == []
    assert statuses(sandbox) == [503, 200]


@pytest.mark.parametrize("fault", [429, 502, 503, 504, "drop", "cut"])
def test_the_token_request_is_tried_again(
    patient: Callable[..., M3terSession], credentials: Credentials, sandbox: Sandbox, fault: int | str
) -> None:
    if isinstance(fault, int):
        sandbox.faults.fail(fault, times=3)
    else:
        getattr(sandbox.faults, fault)(times=3)

    with patient(credentials, sandbox.url) as session:
        assert session.org_id == DEMO_ORG_ID

    assert len(sandbox.log) == 4


def test_a_refused_login_is_not_tried_again(
    patient: Callable[..., M3terSession], sandbox: Sandbox, waits: list[float]
) -> None:
    with pytest.raises(LoginRefused):
        patient(Credentials("sandbox-demo-key-id", SECRET), sandbox.url)

    assert (len(sandbox.log), waits) == (1, [])


@pytest.mark.parametrize("status", [400, 404, 409, 500, 501])
def test_other_statuses_are_not_tried_again(session: M3terSession, sandbox: Sandbox, status: int) -> None:
    sandbox.faults.fail(status)

    with pytest.raises(ApiError) as caught:
        session.get("products")

    assert caught.value.status == status
    assert statuses(sandbox) == [status]


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerError)])
def test_after_four_attempts_it_gives_up(
    session: M3terSession, sandbox: Sandbox, status: int, kind: type[ApiError]
) -> None:
    sandbox.faults.fail(status, times=9)

    with pytest.raises(kind, match="Try again in a minute"):
        session.get("products")

    assert statuses(sandbox) == [status] * 4


def test_after_four_broken_connections_it_gives_up(session: M3terSession, sandbox: Sandbox) -> None:
    sandbox.faults.drop(times=9)

    with pytest.raises(ConnectionBroken):
        session.get("products")

    assert statuses(sandbox) == [0] * 4


def test_a_token_endpoint_that_stays_away_is_an_error_that_names_its_status(
    patient: Callable[..., M3terSession], credentials: Credentials, sandbox: Sandbox
) -> None:
    sandbox.faults.fail(503, times=9)

    with pytest.raises(ConnectionFailed, match=r"cannot give a token now \(503\). Try again in a minute"):
        patient(credentials, sandbox.url)


def test_a_delete_that_may_have_been_done_says_so(session: M3terSession, sandbox: Sandbox) -> None:
    product = session.post("products", json=PRODUCT)
    sandbox.faults.cut()

    with pytest.raises(NotFound, match="may have deleted it"):
        session.delete(f"products/{product['id']}")


def test_a_put_that_may_have_been_done_says_so(session: M3terSession, sandbox: Sandbox) -> None:
    product = session.post("products", json=PRODUCT)
    sandbox.faults.cut()

    with pytest.raises(VersionConflict, match="may have succeeded"):
        session.put(f"products/{product['id']}", json=product)


# How long is waited


def test_the_waits_grow(session: M3terSession, sandbox: Sandbox, waits: list[float]) -> None:
    sandbox.faults.fail(503, times=3)

    session.get("products")

    assert waits[0] == 0
    assert 1 <= waits[1] <= 1.25
    assert 2 <= waits[2] <= 2.25


def test_retry_after_in_seconds_is_waited(
    session: M3terSession, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.faults.fail(429, retry_after=7)

    session.get("products")

    assert waits == [7]


def test_retry_after_as_a_date_is_waited(session: M3terSession, sandbox: Sandbox, waits: list[float]) -> None:
    sandbox.faults.fail(503, retry_after=email.utils.formatdate(time.time() + 30, usegmt=True))

    session.get("products")

    assert 27 < waits[0] <= 30


def test_without_retry_after_the_second_of_the_rate_limit_is_waited(
    session: M3terSession, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.faults.fail(429)

    session.get("products")

    assert waits == [1]


@pytest.mark.parametrize(
    "retry_after",
    ["soon", "-5", "1.5", "", "Fri, 99 Foo 2023 25:61:61 GMT", "Mon, 01 Jan 99999999 00:00:00 GMT"],
)
def test_an_odd_retry_after_is_as_none(
    session: M3terSession, sandbox: Sandbox, waits: list[float], retry_after: str
) -> None:
    sandbox.faults.fail(429, retry_after=retry_after)

    session.get("products")

    assert waits == [1]


def test_a_retry_after_in_the_past_is_no_wait(
    session: M3terSession, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.faults.fail(503, retry_after="Fri, 31 Dec 1999 23:59:59 GMT")

    session.get("products")

    assert waits == [0]


@pytest.mark.parametrize(
    ("retry_after", "says"), [("61", "Try again in 61 s."), ("3600", "Try again in 60 minutes.")]
)
@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (503, ServerError)])
def test_a_retry_after_of_more_than_a_minute_is_an_error_that_says_when(  # noqa: PLR0917 - a table of cases
    session: M3terSession,
    sandbox: Sandbox,
    waits: list[float],
    status: int,
    kind: type[ApiError],
    retry_after: str,
    says: str,
) -> None:
    sandbox.faults.fail(status, retry_after=retry_after)

    with pytest.raises(kind) as caught:
        session.get("products")

    assert str(caught.value).endswith(says)
    assert getattr(caught.value, "retry_after", float(retry_after)) == float(retry_after)
    assert (statuses(sandbox), waits) == ([status], [])


def test_a_long_retry_after_of_the_token_endpoint_says_when(
    patient: Callable[..., M3terSession], credentials: Credentials, sandbox: Sandbox, waits: list[float]
) -> None:
    sandbox.faults.fail(429, retry_after=90)

    with pytest.raises(ConnectionFailed, match=r"Try again in 90 s\."):
        patient(credentials, sandbox.url)

    assert waits == []


def test_a_wait_of_more_than_three_seconds_is_told(
    session: M3terSession, sandbox: Sandbox, told: list[str]
) -> None:
    sandbox.faults.fail(429, retry_after=3)
    sandbox.faults.fail(429, retry_after=4)

    session.get("products")

    assert told == [f"{session.host} answered 429: trying again in 4 s (Interrupt stops the wait)."]


# Odd answers


ODD_TOKEN_ANSWERS = {
    "HTML": (answer(200, b"<!DOCTYPE html><title>Log in</title>", Content_Type="text/html"), "a web page"),
    "an empty body": (answer(200), "not JSON"),
    "truncated JSON": (answer(200, f'{{"access_token": "{TOKEN}", "expi'.encode()), "not JSON"),
    "not UTF-8": (answer(200, b'{"access_token": "\xff"}'), "not JSON"),
    "nested without end": (answer(200, b"[" * 10_000), "not JSON"),
    "10 MB": (answer(200, TOKEN.encode() + b"x" * 10_000_000), "more than 1,000,000 bytes"),
    "10 MB packed": (
        answer(200, gzip.compress(b'"' + b"x" * 10_000_000 + b'"'), Content_Encoding="gzip"),
        "more than 1,000,000 bytes",
    ),
    "broken compression": (answer(200, b"not gzip", Content_Encoding="gzip"), "compression is broken"),
}


@pytest.fixture
def no_garbage(request: pytest.FixtureRequest) -> None:
    """Collect what earlier tests have left: its finalizers fail where JSON that is nested too deep is being read."""
    if "nested" in request.node.name:
        gc.collect()


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize(("said", "why"), ODD_TOKEN_ANSWERS.values(), ids=ODD_TOKEN_ANSWERS)
def test_an_odd_answer_to_the_token_request_is_named(
    patient: Callable[..., M3terSession], marked: Credentials, said: bytes, why: str
) -> None:
    with OddServer.saying(said) as server, pytest.raises(UnexpectedAnswer, match=why) as caught:
        patient(marked, server.url)

    assert len(server.seen) == 1
    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC, TOKEN))


ODD_ANSWERS = {
    "HTML": (answer(200, b"\n<html><body>Welcome</body></html>", Content_Type="text/html"), "a web page"),
    "truncated JSON": (answer(200, b'{"data": [{"id": '), "not whole JSON"),
    "not UTF-8": (answer(200, b'{"a": "\xff"}'), "not whole JSON"),
    "nested without end": (answer(200, b"[" * 10_000), "not whole JSON"),
    "broken compression": (answer(200, b"not gzip", Content_Encoding="gzip"), "compression is broken"),
}


@pytest.mark.usefixtures("no_garbage")
@pytest.mark.parametrize(("said", "why"), ODD_ANSWERS.values(), ids=ODD_ANSWERS)
def test_an_odd_answer_to_a_call_is_named(odd: Callable[..., Any], said: bytes, why: str) -> None:
    session, server = odd(said)

    with pytest.raises(UnexpectedAnswer, match=why) as caught:
        session.get("products")

    assert len(server.seen) == 2
    assert TOKEN not in all_of(caught.value)


def test_ten_megabytes_of_data_are_read_whole(odd: Callable[..., Any]) -> None:
    session, _ = odd(json_answer({"data": ["x" * 10_000_000]}))

    assert len(session.get("products")["data"][0]) == 10_000_000


NOT_HTTP = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    "a thousand headers": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1_000 + b"\r\n",
    "a length that is no number": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
}


@pytest.mark.parametrize("said", NOT_HTTP.values(), ids=NOT_HTTP)
def test_what_is_not_http_is_one_of_our_errors(odd: Callable[..., Any], said: bytes) -> None:
    session, _ = odd([said, reset])

    with pytest.raises(ConnectionFailed) as caught:
        session.get("products")

    assert TOKEN not in all_of(caught.value)


def test_an_unknown_status_is_an_error_all_the_same(odd: Callable[..., Any]) -> None:
    session, _ = odd(b"HTTP/1.1 799 Odd\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(ServerError, match="refused with 799"):
        session.get("products")


def test_an_empty_answer_is_none(odd: Callable[..., Any]) -> None:
    session, _ = odd(answer(200))

    assert session.delete("products/1") is None


def test_a_reason_that_echoes_the_token_is_not_repeated(odd: Callable[..., Any]) -> None:
    session, _ = odd(json_answer({"message": f"Bad header: Bearer {TOKEN} is not allowed"}, 400))

    with pytest.raises(BadRequest, match="Bearer <token> is not allowed") as caught:
        session.get("products")

    assert TOKEN not in all_of(caught.value) + caught.value.reason


def test_the_reason_of_a_gateway_s_page_is_its_title(session: M3terSession, sandbox: Sandbox) -> None:
    sandbox.faults.fail(500, html=True)

    with pytest.raises(ServerError, match="refused with 500: 500 Internal Server Error"):
        session.get("products")


# Timeouts, resets, hosts that are not there


BRIEF = Timeout(connect=0.2, read=0.2)


@pytest.mark.parametrize(
    "turn",
    [[stall], [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", stall]],
    ids=["at once", "in mid-body"],
)
@pytest.mark.parametrize(
    ("method", "advice"), [("GET", "Run the cell again"), ("POST", "check before you repeat it")]
)
def test_a_stall_ends_at_the_read_timeout_and_is_not_tried_again(
    odd: Callable[..., Any], method: str, advice: str, turn: list[Any], waits: list[float]
) -> None:
    session, server = odd(turn, timeout=BRIEF)

    with pytest.raises(ConnectionTimeout, match=rf"did not answer within 0\.2 s.*{advice}") as caught:
        session.request(method, "products")

    assert len(server.seen) == 2
    assert waits == []
    assert TOKEN not in all_of(caught.value)


def test_a_stall_of_the_token_endpoint_ends_at_the_read_timeout(
    patient: Callable[..., M3terSession], marked: Credentials
) -> None:
    with OddServer(lambda _: [stall]) as server, pytest.raises(ConnectionTimeout) as caught:
        patient(marked, server.url, BRIEF)

    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC))


def test_a_host_that_takes_no_connection_ends_at_the_connect_timeout(
    patient: Callable[..., M3terSession], marked: Credentials
) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # the kernel drops what does not fit into the queue
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(full.getsockname())
        with pytest.raises(ConnectionTimeout, match=r"did not take the connection within 0\.2 s"):
            patient(marked, f"http://127.0.0.1:{full.getsockname()[1]}", BRIEF)


@pytest.mark.parametrize(
    "turn",
    [[reset], [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", reset], [b"HTTP/1.1 20", reset]],
    ids=["at once", "in mid-body", "in mid-head"],
)
def test_a_reset_is_tried_again_for_a_get_alone(odd: Callable[..., Any], turn: list[Any]) -> None:
    session, server = odd(turn, turn, json_answer({"data": [1]}), turn)

    assert session.get("products") == {"data": [1]}
    with pytest.raises(ConnectionBroken) as caught:
        session.post("products", json=PRODUCT)

    assert [seen.method for seen in server.seen] == ["POST", "GET", "GET", "GET", "POST"]
    assert TOKEN not in all_of(caught.value)


def test_a_compressed_refusal_is_read_and_at_hand(odd: Callable[..., Any]) -> None:
    body = gzip.compress(b'{"message": "no such field"}')
    session, _ = odd(answer(400, body, Content_Encoding="gzip"))

    with pytest.raises(BadRequest, match="no such field") as caught:
        session.get("products")

    assert caught.value.response is not None
    assert caught.value.response.json() == {"message": "no such field"}
    assert caught.value.response.headers["Content-Encoding"] == "gzip"
    assert caught.value.response.request.headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    "charset", ["iso-8859-1", '"ISO-8859-1"; q=1', "no-such-charset", "idna", "undefined", "\0"]
)
def test_a_refusal_in_another_character_set_is_read(odd: Callable[..., Any], charset: str) -> None:
    session, _ = odd(
        answer(503, "<h1>Préparation</h1>".encode("iso-8859-1"), Content_Type=f"text/html; charset={charset}")
    )

    with pytest.raises(ServerError, match="Préparation"):
        session.get("products")


def test_a_chunked_answer_that_breaks_off_is_tried_again(odd: Callable[..., Any]) -> None:
    session, _ = odd(
        [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"da', reset], json_answer({"data": [1]})
    )

    assert session.get("products") == {"data": [1]}


def test_a_connection_that_was_closed_while_idle_is_not_used_for_a_post(odd: Callable[..., Any]) -> None:
    closed = threading.Event()

    def close(connection: Connection) -> None:
        connection.sock.shutdown(socket.SHUT_RDWR)
        closed.set()

    session, server = odd([json_answer({"data": []}), close], json_answer({"id": "1"}))
    session.get("products")
    assert closed.wait(5)

    assert session.post("products", json=PRODUCT) == {"id": "1"}
    assert server.accepted == 2


@pytest.mark.parametrize("kind", [ImportError, TimeoutError, ConnectionRefusedError, UnicodeError])
def test_what_the_caller_handles_already_is_no_part_of_a_failure(
    odd: Callable[..., Any], kind: type[Exception]
) -> None:
    session, server = odd(reset, json_answer({"data": [1]}))

    def fail() -> None:
        raise kind

    try:
        fail()
    except kind:
        answered = session.get("products")

    assert answered == {"data": [1]}
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 100000000000000000000\r\n\r\n",
        b"Content-Length: 10000000000000\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
    ],
)
def test_a_length_that_no_answer_has_is_a_broken_connection(
    odd: Callable[..., Any], head: bytes, waits: list[float]
) -> None:
    session, _ = odd([b"HTTP/1.1 200 OK\r\n" + head + b'{"data": [', reset])

    with pytest.raises(ConnectionFailed):
        session.get("products")


def test_the_two_timeouts_are_not_mixed_up(odd: Callable[..., Any]) -> None:
    session, _ = odd([stall], timeout=Timeout(9.0, 0.2))

    with pytest.raises(ConnectionTimeout, match=r"did not answer within 0\.2 s"):
        session.get("products")


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 1e10, "x"])
def test_a_timeout_that_is_none_is_refused_before_anything_is_sent(marked: Credentials, seconds: Any) -> None:
    with pytest.raises(InvalidArgument, match="a number of seconds"):
        login(marked, base_url="http://127.0.0.1:9", timeout=seconds)


class Alarm(Exception):
    """What a user's own signal handler raises."""


def test_an_exception_out_of_a_signal_s_handler_passes_without_the_frames_that_hold_headers(
    marked: Credentials,
) -> None:
    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with (
            OddServer(
                lambda _: [
                    lambda connection: (
                        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1),
                        stall(connection),
                    )
                ]
            ) as server,
            pytest.raises(Alarm) as caught,
        ):
            login(marked, base_url=server.url, timeout=ENOUGH)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC))
    assert caught.value.__context__ is None


def test_a_token_that_no_header_can_carry_is_not_repeated() -> None:
    session = M3terSession(TokenSource(Token(TOKEN + "\n", 60)), Transport("http://127.0.0.1:9"), org_id="o")

    with pytest.raises(InvalidArgument) as caught:
        session.get("products")

    assert TOKEN not in all_of(caught.value)


def test_a_port_where_nobody_listens_is_named(
    patient: Callable[..., M3terSession], marked: Credentials, waits: list[float]
) -> None:
    with OddServer.saying(answer(200)) as gone:
        pass

    with pytest.raises(ConnectionFailed, match=f"127.0.0.1:{gone.port} refused the connection"):
        patient(marked, gone.url)
    assert waits == []


def test_a_host_that_is_not_known_is_named(
    patient: Callable[..., M3terSession], marked: Credentials, waits: list[float]
) -> None:
    with pytest.raises(ConnectionFailed, match=r"The host nowhere\.invalid is not known"):
        patient(marked, "https://nowhere.invalid")
    assert waits == []


# Ctrl-C


def test_ctrl_c_ends_a_wait(marked: Credentials, clocks: TwoClocks) -> None:
    def sleep(_seconds: float) -> None:
        raise KeyboardInterrupt

    with (
        OddServer.saying(token_answer(TOKEN), answer(503), json_answer({"data": []})) as server,
        login(marked, base_url=server.url, org_id="o", clock=clocks.clock._replace(sleep=sleep)) as session,
        pytest.raises(KeyboardInterrupt) as caught,
    ):
        session.get("products")

    assert len(server.seen) == 2
    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC, TOKEN))


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], ids=["head", "body"]
)
def test_ctrl_c_ends_a_read_and_the_session_goes_on(odd: Callable[..., Any], said: bytes) -> None:
    session, _ = odd([said, press_ctrl_c], json_answer({"data": [1]}))

    with pytest.raises(KeyboardInterrupt) as caught:
        session.get("products")

    assert TOKEN not in all_of(caught.value)
    assert caught.value.__context__ is None
    assert session.get("products") == {"data": [1]}


def test_ctrl_c_ends_a_login(patient: Callable[..., M3terSession], marked: Credentials) -> None:
    with OddServer(lambda _: [press_ctrl_c]) as server, pytest.raises(KeyboardInterrupt) as caught:
        patient(marked, server.url)

    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC))
    assert caught.value.__context__ is None


def test_ctrl_c_in_a_renewal_leaves_a_source_that_renews_later(
    marked: Credentials, clocks: TwoClocks
) -> None:
    def respond(seen: Seen) -> list[Any]:
        if len(server.seen) == 2:
            return [press_ctrl_c]
        return (
            [token_answer(TOKEN, expires_in=60)]
            if seen.target == "/oauth/token"
            else [json_answer({"data": []})]
        )

    with (
        OddServer(respond) as server,
        login(marked, base_url=server.url, org_id="o", clock=clocks.clock) as session,
    ):
        clocks.advance(60)
        with pytest.raises(KeyboardInterrupt) as caught:
            session.get("products")
        answered = session.get("products")

    assert answered == {"data": []}
    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC, TOKEN))


def test_a_network_error_prints_no_secret_in_any_frame(
    patient: Callable[..., M3terSession], marked: Credentials
) -> None:
    with OddServer(lambda _: [reset]) as server, pytest.raises(M3terError) as caught:
        patient(marked, server.url)

    assert not any(text in all_of(caught.value) for text in (SECRET, BASIC))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
