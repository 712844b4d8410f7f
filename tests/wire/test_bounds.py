"""Every wait ends and every answer has a bound, wherever a server dawdles; clocks are injected, nobody really waits."""

from __future__ import annotations

import gzip
import socket
import threading
import tracemalloc
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.errors import ConnectionFailed, ConnectionTimeout, InvalidArgument, M3terError, UnexpectedAnswer
from m3ter_nb.wire.clock import Clock
from m3ter_nb.wire.transport import Timeout, Transport
from odd_servers import (
    Connection,
    DrippingProxy,
    OddServer,
    Seen,
    answer,
    json_answer,
    make_certificate,
    token_answer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = "marked-opaque-token-8471"
#: For each piece; what drips never meets it.
PIECE = Timeout(2.0, 2.0)


class HurryingClock:
    """A monotonic clock on which a second passes with each look, once it is told to hurry."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.step = 0.0
        self.clock = Clock(monotonic=self, sleep=self.sleep)

    def __call__(self) -> float:
        """Look."""
        self.now += self.step
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def hurrying() -> HurryingClock:
    """Return a clock that a test can tell to hurry."""
    return HurryingClock()


def drip(*heads: bytes, piece: bytes) -> list[Any]:
    """Return steps that send what is given, and then one piece after another until the client has had enough."""

    def endlessly(connection: Connection) -> None:
        for _ in range(200_000):
            if connection.closing.is_set():
                return
            connection.sock.sendall(piece)
            connection.closing.wait(0.0005)

    return [*heads, endlessly]


OK = b"HTTP/1.1 200 OK\r\n"
DRIPPING = {
    "in the status line": drip(b"HTTP/1.1 200 ", piece=b"O"),
    "in a header": drip(OK + b"X: ", piece=b"x"),
    "between headers": drip(OK + b"X: ", piece=b"x"),
    "behind 100 Continue": drip(piece=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "behind 103 Early Hints": drip(piece=b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    "in the body": drip(OK + b"Content-Length: 100000\r\n\r\n", piece=b" "),
    "in a body without a length": drip(OK + b"Connection: close\r\n\r\n", piece=b" "),
    "in chunks": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", piece=b"1\r\n \r\n"),
    "in the length of a chunk": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", piece=b"0"),
    "in trailers": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", piece=b"X: x\r\n"),
    "in gzip": drip(
        OK + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n" + gzip.compress(b"")[:10],
        piece=b"\x00",
    ),
}


@pytest.fixture
def dawdling(hurrying: HurryingClock) -> Iterator[Callable[..., Any]]:
    """Return a function that logs in to a server which answers each call with these steps."""
    with ExitStack() as stack:

        def opened(steps: list[Any], **options: Any) -> Any:
            def respond(seen: Seen) -> list[Any]:
                return [token_answer(TOKEN)] if seen.target == "/oauth/token" else steps

            server = stack.enter_context(OddServer(respond))
            session = login(
                Credentials("k", "s"),
                base_url=server.url,
                org_id="o",
                timeout=PIECE,
                clock=hurrying.clock,
                **options,
            )
            return stack.enter_context(session)

        yield opened


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("steps", DRIPPING.values(), ids=DRIPPING)
def test_a_server_that_dawdles_is_left_at_the_deadline(
    dawdling: Callable[..., Any], hurrying: HurryingClock, steps: list[Any], method: str
) -> None:
    session = dawdling(steps, total_timeout=50)
    hurrying.step = 1.0

    with pytest.raises(ConnectionTimeout, match=r"within 50 s in all.*total_timeout") as caught:
        session.request(method, "products")

    assert "check before you repeat it" in str(caught.value) or method == "GET"
    hurrying.step = 0.0


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_of_many_addresses_that_take_no_connection_is_left_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch, hurrying: HurryingClock, scheme: str
) -> None:
    tried: list[tuple[str, float | None]] = []
    look_up = socket.getaddrinfo

    def find_many(host: str, *args: Any, **options: Any) -> list[Any]:
        hosts = [f"127.0.0.{n}" for n in range(1, 50)] if host == "localhost" else [host]
        return [found for each in hosts for found in look_up(each, *args, **options)]

    def take_all_the_time(sock: socket.socket, address: Any) -> None:
        tried.append((address[0], sock.gettimeout()))
        hurrying.now += sock.gettimeout() or 0
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", find_many)
    monkeypatch.setattr(socket.socket, "connect", take_all_the_time)
    transport = Transport(
        f"{scheme}://localhost:1", timeout=Timeout(4.0, 4.0), total_timeout=10.0, clock=hurrying.clock
    )

    with pytest.raises(ConnectionTimeout, match="within 10 s in all"):
        transport.send("GET", f"{transport.base_url}/", authorization=str)

    assert tried == [("127.0.0.1", 4.0), ("127.0.0.2", 4.0), ("127.0.0.3", 2.0)]


def test_the_next_address_of_a_host_is_tried_where_one_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = socket.getaddrinfo

    def find_two(host: str, *args: Any, **options: Any) -> list[Any]:
        hosts = ["127.0.0.9", "127.0.0.1"] if host == "localhost" else [host]
        return [found for each in hosts for found in look_up(each, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", find_two)
    with OddServer.saying(json_answer({})) as server:
        transport = Transport(server.url.replace("127.0.0.1", "localhost"))

        answer = transport.send("GET", f"{transport.base_url}/", authorization=str)

    assert answer.status == 200
    assert server.seen[0].headers["host"] == transport.host


def test_a_token_takes_a_minute_at_most(hurrying: HurryingClock) -> None:
    hurrying.step = 1.0

    with (
        OddServer(lambda _: drip(OK + b"Content-Length: 100000\r\n\r\n", piece=b" ")) as server,
        pytest.raises(ConnectionTimeout, match="within 60 s in all"),
    ):
        login(Credentials("k", "s"), base_url=server.url, timeout=PIECE, clock=hurrying.clock)


def test_a_proxy_that_dawdles_is_left_at_the_deadline(
    hurrying: HurryingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurrying.step = 1.0
    with DrippingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectionFailed, match=r"60 s in all|proxy"):
            login(
                Credentials("k", "s"),
                base_url="https://api.example.invalid",
                timeout=PIECE,
                clock=hurrying.clock,
            )

    assert hurrying.now < 1_000 + 300


def test_a_server_that_dawdles_behind_tls_is_left_at_the_deadline(
    hurrying: HurryingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, ca = make_certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    hurrying.step = 1.0

    with (
        OddServer(lambda _: drip(OK + b"X: ", piece=b"x"), certificate=certificate) as server,
        pytest.raises(ConnectionTimeout, match="60 s in all"),
    ):
        login(Credentials("k", "s"), base_url=server.url, timeout=PIECE, clock=hurrying.clock)


def test_repeats_and_their_waits_count(hurrying: HurryingClock) -> None:
    def respond(seen: Seen) -> list[Any]:
        return [token_answer(TOKEN) if seen.target == "/oauth/token" else answer(503, Retry_After="40")]

    with (
        OddServer(respond) as server,
        login(
            Credentials("k", "s"),
            base_url=server.url,
            org_id="o",
            total_timeout=100,
            clock=hurrying.clock,
            notify=lambda _: None,
        ) as session,
        pytest.raises(M3terError, match="refused with 503"),
    ):
        session.get("products")

    assert [seen.method for seen in server.seen] == ["POST", "GET", "GET", "GET"]
    assert hurrying.now == 1_000 + 80


def test_threads_behind_a_renewal_that_dawdles_end_with_it(
    dawdling: Callable[..., Any], hurrying: HurryingClock
) -> None:
    session = dawdling([json_answer({"data": []})])
    source = session.source
    stale = source.token()
    asked, failures = threading.Event(), []

    def fetch() -> Any:
        asked.wait(10)
        transport = Transport(session.base_url, timeout=PIECE, clock=hurrying.clock)
        hurrying.step = 1.0
        return transport.send("GET", f"{session.base_url}/x", authorization=lambda: "x", total_timeout=60)

    with OddServer(lambda _: drip(OK + b"X: ", piece=b"x")) as server:
        session._transport.base_url = server.url
        source._fetch = fetch

        def renew() -> None:
            try:
                source.renew(stale)
            except ConnectionFailed as error:
                failures.append(error)

        threads = [threading.Thread(target=renew) for _ in range(4)]
        for thread in threads:
            thread.start()
        asked.set()
        for thread in threads:
            thread.join(10)
        hurrying.step = 0.0

    assert len(failures) == 4


# Bytes


def bomb(size: int, piece: bytes = b" ") -> bytes:
    """Return a gzip answer that becomes ``size`` bytes."""
    return answer(200, gzip.compress(piece * size), Content_Encoding="gzip")


LONG = {
    "plain": answer(200, b" " * 1_000_001),
    "without a length": OK + b"Connection: close\r\n\r\n" + b" " * 1_100_000,
    "in chunks": OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 65_536 + b"\r\n",
    "packed": bomb(1_000_001),
}


@pytest.mark.parametrize("said", LONG.values(), ids=LONG)
def test_an_answer_that_is_too_long_is_refused(dawdling: Callable[..., Any], said: bytes) -> None:
    steps: list[Any] = [said]
    if b"chunked" in said:
        head, _, chunk = said.partition(b"\r\n\r\n")
        steps = drip(head + b"\r\n\r\n", piece=chunk)
    session = dawdling(steps, max_answer_bytes=1_000_000)

    with pytest.raises(UnexpectedAnswer, match=r"more than 1,000,000 bytes.*larger max_answer_bytes"):
        session.get("products")


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_of_just_the_bound_is_read(
    dawdling: Callable[..., Any],
    packed: bool,  # noqa: FBT001 - a switch of the test
) -> None:
    body = b'"' + b"x" * 999_998 + b'"'
    said = answer(200, gzip.compress(body), Content_Encoding="gzip") if packed else answer(200, body)
    session = dawdling([said], max_answer_bytes=1_000_000)

    assert len(session.get("products")) == 999_998


@pytest.mark.slow
def test_a_few_bytes_that_become_gigabytes_take_no_more_memory_than_the_bound(
    dawdling: Callable[..., Any],
) -> None:
    session = dawdling([bomb(60_000_000)], max_answer_bytes=2_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedAnswer, match="more than 2,000,000 bytes"):
            session.get("products")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 6_000_000


ENDLESS = {
    "the length of a chunk": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", piece=b"0" * 100_000),
    "trailers": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", piece=b"X: x\r\n" * 20_000),
    "100 Continue": drip(piece=b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("steps", ENDLESS.values(), ids=ENDLESS)
def test_what_is_around_a_body_does_not_go_on_for_ever(
    dawdling: Callable[..., Any], steps: list[Any]
) -> None:
    session = dawdling(steps, max_answer_bytes=1_000_000)

    with pytest.raises(ConnectionFailed):
        session.post("products", {})


PACKED = gzip.compress(b'{"data": [1]}')
COMPRESSED = {
    "of two members": gzip.compress(b'{"data"') + gzip.compress(b": [1]}"),
    "of one": PACKED,
}


@pytest.mark.parametrize("body", COMPRESSED.values(), ids=COMPRESSED)
@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
def test_gzip_is_read(dawdling: Callable[..., Any], body: bytes, name: str) -> None:
    session = dawdling([answer(200, body, Content_Encoding=name)])

    assert session.get("products") == {"data": [1]}


BROKEN = {
    "a byte short": (PACKED[:-1], "gzip"),
    "without its end": (PACKED[:-9], "gzip"),
    "and rubbish": (PACKED + b"rubbish", "gzip"),
    "rubbish alone": (b"rubbish", "gzip"),
    "of another kind": (PACKED, "br"),
    "packed twice": (PACKED, "gzip, gzip"),
    "deflate": (PACKED, "deflate"),
}


@pytest.mark.parametrize(("body", "name"), BROKEN.values(), ids=BROKEN)
def test_compression_that_is_broken_or_was_not_asked_for_is_an_error(
    dawdling: Callable[..., Any], body: bytes, name: str
) -> None:
    session = dawdling([answer(200, body, Content_Encoding=name)])

    with pytest.raises(UnexpectedAnswer, match="compression is broken, or was not asked for"):
        session.get("products")


# What the bounds are


@pytest.mark.parametrize(
    "options",
    [
        {"total_timeout": 0},
        {"total_timeout": float("nan")},
        {"total_timeout": "300"},
        {"total_timeout": True},
        {"max_answer_bytes": 0},
        {"max_answer_bytes": 1.5},
        {"max_answer_bytes": True},
        {"timeout": "5"},
        {"timeout": (1,)},
        {"timeout": None},
        {"margin": -5},
        {"margin": "x"},
        {"notify": "x"},
        {"base_url": 5},
        {"base_url": b"https://api.m3ter.com"},
        {"org_id": 5},
    ],
)
def test_an_argument_that_is_none_is_refused_where_it_enters(options: dict[str, Any]) -> None:
    with OddServer.saying(token_answer(TOKEN)) as server, pytest.raises(InvalidArgument) as caught:
        login(Credentials("k", "s"), **{"base_url": server.url, **options})

    assert caught.value.__context__ is None
