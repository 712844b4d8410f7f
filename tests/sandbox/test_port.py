"""What may reach the sandbox's port: every malformed framing, strangers, hoarders. Raw sockets only."""

from __future__ import annotations

import select
import socket
import threading
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
import requests

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Sandbox
from m3ter_nb.sandbox.http_server import Bounds, Server, listen
from m3ter_nb.sandbox.identity import Identity
from raw_http import connected, exchange, place_of, status_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox_fixtures import Client

PRODUCTS = f"/organizations/{DEMO_ORG_ID}/products"
BASIC = b64encode(f"{DEMO_KEY_ID}:{DEMO_SECRET}".encode()).decode()


def request(*lines: str, method: str = "POST", target: str = "/", body: bytes = b"") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body


def local(*lines: str, **more: Any) -> bytes:
    return request("Host: localhost", *lines, **more)


CHUNKED = "Transfer-Encoding: chunked"

MALFORMED = {
    "a chunk of a gigabyte, cut": local(CHUNKED, body=b"40000000\r\nx"),
    "a chunk of 2**60, cut": local(CHUNKED, body=b"1000000000000000\r\nx"),
    "a chunk without a size": local(CHUNKED, body=b"\r\nx\r\n0\r\n\r\n"),
    "a chunk that is no number": local(CHUNKED, body=b"zz\r\n"),
    "a negative chunk": local(CHUNKED, body=b"-1\r\nx\r\n"),
    "a chunk in 0x": local(CHUNKED, body=b"0x1\r\nx\r\n0\r\n\r\n"),
    "a chunk of underscores": local(CHUNKED, body=b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"),
    "a chunk with a plus": local(CHUNKED, body=b"+1\r\nx\r\n0\r\n\r\n"),
    "a chunk's endless size": local(CHUNKED, body=b"0" * 100_000),
    "a chunk's endless extension": local(CHUNKED, body=b"1;" + b"a" * 100_000),
    "a chunk after a bare LF": local(CHUNKED, body=b"1\nx\n0\n\n"),
    "a chunk that is longer than it says": local(CHUNKED, body=b"1\r\nxyz\r\n0\r\n\r\n"),
    "a chunk that is cut": local(CHUNKED, body=b"5\r\nxy"),
    "chunks without an end": local(CHUNKED, body=b"1\r\nx\r\n"),
    "chunks that end without a trailer's end": local(CHUNKED, body=b"1\r\nx\r\n0\r\n"),
    "a trailer that is none": local(CHUNKED, body=b"0\r\nno trailer\r\n\r\n"),
    "endless trailers": local(CHUNKED, body=b"0\r\n" + b"a: b\r\n" * 10_000),
    "a length beside chunks": local(CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n"),
    "chunks twice": local(CHUNKED, CHUNKED, body=b"0\r\n\r\n"),
    "an unknown transfer encoding": local("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "a transfer encoding in disguise": local("Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is no number": local("Content-Length: many"),
    "a negative length": local("Content-Length: -1"),
    "a length with a plus": local("Content-Length: +1", body=b"x"),
    "an empty length": local("Content-Length:"),
    "a length of 4,000 digits": local("Content-Length: " + "9" * 4_000),
    "a length in other digits": local("Content-Length: \xb2", body=b"xx"),
    "two lengths": local("Content-Length: 1", "Content-Length: 2", body=b"xx"),
    "the same length twice": local("Content-Length: 1", "Content-Length: 1", body=b"x"),
    "a list of lengths": local("Content-Length: 1, 1", body=b"x"),
    "a body that is cut": local("Content-Length: 10", body=b"ab"),
    "no host": request(),
    "two hosts": local("Host: localhost"),
    "a space before the colon": local("Content-Length : 0"),
    "a folded header": local("X: a", " b"),
    "a header without a colon": local("nonsense"),
    "a header without a name": local(": x"),
    "a NUL in a header": local("X: a\x00b"),
    "a bare CR in a header": local("X: a\rY: b"),
    "a bare LF in a header": local("X: a\nY: b"),
    "bare LF throughout": b"GET / HTTP/1.1\nHost: localhost\n\n",
    "200 headers": local(*(f"X-{number}: x" for number in range(200))),
    "a header of a megabyte": local("X: " + "x" * 1_000_000),
    "a path of a megabyte": local(target="/" + "x" * 1_000_000),
    "a head without an end": b"GET / HTTP/1.1\r\nHost: localhost\r\n",
    "a megabyte without a line": b"x" * 1_000_000,
    "a request line with a space too many": b"GET / or so HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a request line without a version": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "NULs": bytes(1_000),
    "a broken URL": b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a URL without a host": b"GET http:/// HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path without a slash": b"GET users/me HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method in brackets": b"<GET> / HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_framing_is_400_and_closes_and_leaves_the_sandbox_well(
    api: Client, sandbox: Sandbox, text: bytes
) -> None:
    answer = exchange(place_of(sandbox), text)

    assert status_of(answer) == 400
    assert b"X-M3ter-Sandbox: m3ter_nb\r\n" in answer
    assert b"Connection: close\r\n" in answer
    assert answer.count(b"HTTP/1.1 ") == 1  # nothing after it was taken for a request
    assert api.get("products").status_code == 200


@pytest.mark.parametrize("token", [True, False], ids=["token", "no token"])
def test_a_body_is_held_to_the_rules_with_and_without_a_token(
    api: Client, sandbox: Sandbox, *, token: bool
) -> None:
    lines = [f"Authorization: {api.session.headers['Authorization']}"] if token else []
    text = local(CHUNKED, *lines, target=PRODUCTS, body=b"40000000\r\nx")

    assert status_of(exchange(place_of(sandbox), text)) == 400


@pytest.mark.parametrize(
    "text",
    [
        local(CHUNKED, body=b"A;name=value\r\n0123456789\r\n0\r\nX: trailer\r\n\r\n"),
        local("Content-Length: 0"),
        b"\r\n" + local(method="GET"),
        b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        local("Connection: close", method="GET"),
    ],
    ids=["chunks", "empty", "after an empty line", "absolute", "close"],
)
def test_odd_but_legal_requests_reach_the_application(sandbox: Sandbox, text: bytes) -> None:
    answer = exchange(place_of(sandbox), text)

    assert (status_of(answer), answer.endswith(b'{"message":"Unauthorized"}')) == (403, True)


def test_a_connection_stays_open_between_requests(sandbox: Sandbox) -> None:
    with connected(place_of(sandbox)) as connection:
        stream = connection.makefile("rb")
        for _ in range(2):
            connection.sendall(local("Content-Length: 3", body=b"abc"))
            assert stream.readline() == b"HTTP/1.1 403 FORBIDDEN\r\n"
            head = dict(line.split(b": ") for line in iter(stream.readline, b"\r\n"))
            stream.read(int(head[b"Content-Length"]))


def test_a_chunked_body_is_understood(api: Client) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"name": "P", '
        yield b'"code": "p"}'

    assert api.call("POST", "products", data=chunks()).json()["code"] == "p"


def test_a_very_long_body_is_403_and_not_a_broken_pipe(api: Client) -> None:
    assert api.call("POST", "products", data=b"x" * 20_000_000).status_code == 403
    assert api.call("POST", "products", data=iter([b"x" * 100_000] * 20)).status_code == 403
    assert api.get("products").status_code == 200


def test_a_body_waits_for_100_continue_and_comes_only_if_it_is_wanted(api: Client, sandbox: Sandbox) -> None:
    body = b'{"name": "P", "code": "p"}'
    lines = ["Expect: 100-continue", f"Content-Length: {len(body)}", "Connection: close"]
    authorization = f"Authorization: {api.session.headers['Authorization']}"
    with connected(place_of(sandbox)) as connection:
        connection.sendall(local(*lines, authorization, target=PRODUCTS))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        made = connection.recv(65_536)
    refused = exchange(place_of(sandbox), local(*lines, target=PRODUCTS), ends=False)

    assert (status_of(made), status_of(refused)) == (200, 403)


# Who may ask: Host and Origin.

FOREIGN_HOSTS = [
    "x",
    "",
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example:80",
    "evil.example:127.0.0.1",
    "user@localhost",
    "localhost@evil.example",
    "localhost.",
    "127.1",
    "127.0.0.2",
    "0.0.0.0",
    "2130706433",
    "::1",
    "[::1]evil",
    "[::]",
    "localhost:port",
    "localhost, evil.example",
]


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_403_before_the_body_is_read(sandbox: Sandbox, host: str) -> None:
    answer = exchange(
        place_of(sandbox), request(f"Host: {host}", "Content-Length: 10"), ends=False, timeout=5
    )

    assert status_of(answer) == 403
    assert b"programs and pages of this machine only" in answer


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8888", "localhost:"]
)
def test_this_machines_names_are_answered_on_any_port(sandbox: Sandbox, host: str) -> None:
    text = request(
        f"Host: {host}", f"Authorization: Basic {BASIC}", "Content-Length: 0", target="/oauth/token"
    )

    assert status_of(exchange(place_of(sandbox), text)) == 400  # known credentials, no grant_type


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "https://localhost.evil.example",
        "http://evil.example:8888",
        "localhost",
        "",
    ],
)
def test_a_foreign_origin_is_403_before_the_body_is_read(sandbox: Sandbox, origin: str) -> None:
    text = local(
        f"Origin: {origin}", f"Authorization: Basic {BASIC}", "Content-Length: 10", target="/oauth/token"
    )

    assert status_of(exchange(place_of(sandbox), text, ends=False, timeout=5)) == 403


@pytest.mark.parametrize("origin", ["http://localhost:8888", "https://127.0.0.1", "http://[::1]:1"])
def test_a_page_of_this_machine_is_answered(sandbox: Sandbox, origin: str) -> None:
    answer = requests.get(f"{sandbox.url}/", headers={"Origin": origin}, timeout=30)

    assert answer.json() == {"message": "Unauthorized"}


def test_an_absolute_target_names_the_host_whatever_the_header_says(sandbox: Sandbox) -> None:
    text = b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n"

    assert b"this machine only" in exchange(place_of(sandbox), text)


def test_a_request_of_http_1_0_without_a_host_is_refused(sandbox: Sandbox) -> None:
    assert b"this machine only" in exchange(place_of(sandbox), b"GET / HTTP/1.0\r\n\r\n")


# What is held: bodies, connections, threads, the log.


@pytest.mark.parametrize(
    ("lines", "status"),
    [(["Content-Length: 15000000"], 403), (["Content-Length: 999999999999999999"], 403)],
)
def test_an_over_long_body_is_refused_before_it_comes(
    sandbox: Sandbox, lines: list[str], status: int
) -> None:
    assert status_of(exchange(place_of(sandbox), local(*lines), ends=False, timeout=5)) == status


def test_nobody_without_a_token_or_the_right_credentials_has_a_body_read_by_the_application(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    monkeypatch.setattr("m3ter_nb.sandbox.framing.Body.read", lambda *_: held.append(1) or b"")
    for target in (PRODUCTS, "/oauth/token", "/", f"/organizations/{DEMO_ORG_ID}/measurements"):
        for more in ([], ["Authorization: Bearer x"], ["Authorization: Basic eDp5"]):
            text = local("Content-Length: 5", *more, target=target, body=b"abcde")
            assert status_of(exchange(place_of(sandbox), text)) in (401, 403)
    assert held == []
    exchange(place_of(sandbox), local(f"Authorization: Basic {BASIC}", target="/oauth/token"))

    assert held != []


@pytest.fixture
def small() -> Iterator[Callable[..., tuple[str, int]]]:
    """Return what serves an application that echoes the length of its body, within bounds of the test's own."""
    servers: list[Server] = []

    def app(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        length = len(environ["wsgi.input"].read())
        start("200 OK", [])
        return [b"%d" % length]

    def serve(**bounds: Any) -> tuple[str, int]:
        server = Server(listen("127.0.0.1", 0), app, lambda *_: None, Bounds(**bounds))
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server.host, server.port

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()
        server.close_connections(5)
        assert not server._open


def test_an_idle_connection_is_closed_in_time(small: Callable[..., tuple[str, int]]) -> None:
    place = small(idle=0.1)

    assert exchange(place, b"", ends=False) == b""
    assert exchange(place, local(), ends=False).endswith(b"0")  # and so it is after an answer


@pytest.mark.parametrize(
    "text", [b"GET / HT", local("Content-Length: 9", body=b"ab"), local(CHUNKED, body=b"5\r\n")]
)
def test_a_request_that_does_not_come_in_time_is_408(
    small: Callable[..., tuple[str, int]], text: bytes
) -> None:
    assert status_of(exchange(small(request=0.1), text, ends=False)) == 408


def test_slow_bytes_do_not_prolong_a_request(small: Callable[..., tuple[str, int]]) -> None:
    place = small(request=0.3)
    with connected(place) as connection:
        answer = b""
        connection.settimeout(0.02)
        for _ in range(100):
            try:
                connection.sendall(b"x")
                answer = connection.recv(100)
            except TimeoutError:
                continue
            break

    assert status_of(answer) == 408


def test_one_connection_more_than_the_bound_closes_the_one_that_rests_longest(
    small: Callable[..., tuple[str, int]],
) -> None:
    place = small(connections=5)
    before = threading.active_count()
    resting = [socket.create_connection(place, timeout=10) for _ in range(5)]
    others = []
    for number in range(50):
        others.append(socket.create_connection(place, timeout=10))
        others[-1].sendall(local())
        assert others[-1].recv(1_000).startswith(b"HTTP/1.1 200")
        if number < 5:
            assert resting[number].recv(1_000) == b""

    # Which of these rested first is not seen from here: each rests a moment after its answer has come.
    open_ones: list[socket.socket] = others
    ends = time.monotonic() + 10
    while len(open_ones) > 5 and time.monotonic() < ends:
        closed = select.select(others, [], [], 0.1)[0]
        open_ones = [connection for connection in others if connection not in closed]
    assert len(open_ones) == 5
    ends = time.monotonic() + 1
    while threading.active_count() > before + 5 and time.monotonic() < ends:
        time.sleep(0.01)  # a thread ends a moment after its connection
    assert threading.active_count() <= before + 5
    for connection in (*resting, *others):
        connection.close()


def test_connections_for_which_no_thread_could_be_started_take_no_room(
    small: Callable[..., tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = small(connections=2)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as without_threads:
        without_threads.setattr(threading.Thread, "start", refuse)
        refused = [exchange(place, local()) for _ in range(5)]

    assert refused == [b""] * 5
    assert exchange(place, local()).endswith(b"0")


def test_where_every_connection_is_at_work_one_more_is_503(small: Callable[..., tuple[str, int]]) -> None:
    place = small(connections=2)
    with connected(place) as first, connected(place) as second:
        for connection in (first, second):
            connection.sendall(local(CHUNKED, "Expect: 100-continue"))
            assert b"100 Continue" in connection.recv(100)

        assert status_of(exchange(place, local())) == 503


def test_a_body_is_kept_up_to_the_firewalls_limit_and_read_over_beyond(
    small: Callable[..., tuple[str, int]],
) -> None:
    chunk = b"%x\r\n%s\r\n" % (400_000, b"x" * 400_000)
    answer = exchange(small(), local(CHUNKED, body=chunk * 2 + b"0\r\n\r\n"))

    assert answer.endswith(b"512001")


def test_all_bodies_together_are_bounded(
    api: Client, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sandbox._server is not None
    monkeypatch.setattr(sandbox._server, "bounds", Bounds(held=100))
    refused = api.post("products", {"name": "n" * 100, "code": "p"})
    taken = api.post("products", {"name": "n", "code": "p"})

    assert (refused.status_code, taken.status_code, sandbox._server._held) == (503, 200, 0)


def test_the_log_keeps_no_endless_paths(sandbox: Sandbox) -> None:
    exchange(place_of(sandbox), local(method="GET", target="/" + "x" * 60_000))

    assert [len(record.path) for record in sandbox.log] == [256]


@pytest.mark.slow
def test_tokens_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3ter_nb.sandbox.identity._MOST_TOKENS", 2)
    tokens = iter(["t1", "t2", "t3"])
    monkeypatch.setattr("m3ter_nb.sandbox.signing._Rsa.sign", lambda *_: next(tokens))
    keys = Identity(lambda: 0.0, 60)
    for _ in range(3):
        keys.issue(DEMO_KEY_ID, DEMO_SECRET)

    assert list(keys._issued) == ["t2", "t3"]
