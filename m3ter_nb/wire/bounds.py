"""What one request may take: seconds in all, seconds for each step, bytes. Kept at every read and write of its socket.

There is one mechanism for head, body, chunks, ``100 Continue`` and the answer of a proxy: each of them is read through
a file of ours that first gives the socket the time that is left; each address of a host, and the handshake of TLS, is
given that too. What has no end of its own is the look-up of a host's name, and what a SOCKS proxy says before the
connection stands: there each byte has its own time-out.
"""

from __future__ import annotations

import io
import socket
from contextvars import ContextVar
from functools import cache, partial
from http import HTTPStatus
from http.client import BadStatusLine, HTTPConnection, HTTPResponse, parse_headers
from typing import TYPE_CHECKING, Any, NamedTuple

from urllib3 import exceptions as u3
from urllib3.util.connection import allowed_gai_family

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

__all__ = ["Allowance", "Deadline", "TooLong", "bounded"]

# Bytes of an answer that are not its body: http.client takes 100 lines of 65,536 (each for every 100 Continue).
_FRAMING = 8_000_000


class TooLong(Exception):
    """An answer has more bytes than it may."""


class Deadline:
    """The moment by which a request is over, its repeats and the waits between them included.

    Args:
        seconds: from now on.
        monotonic: the clock.

    Attributes:
        seconds: as given.
    """

    __slots__ = ("_end", "_monotonic", "seconds")

    def __init__(self, seconds: float, monotonic: Callable[[], float]) -> None:
        self.seconds = seconds
        self._monotonic = monotonic
        self._end = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left; 0 or less where it has passed."""
        return self._end - self._monotonic()


class Allowance:
    """What one attempt may take.

    Args:
        deadline: of the whole request.
        step: seconds for each read or write.
        longest: bytes of the longest body.
    """

    __slots__ = ("_before", "_bytes_left", "deadline", "longest", "step")

    _before: Token[Allowance | None]

    def __init__(self, deadline: Deadline, step: float, longest: int) -> None:
        self.deadline = deadline
        self.step = step
        self.longest = longest
        # Chunks of a few bytes each are longer on the wire than what they carry.
        self._bytes_left = 2 * longest + _FRAMING

    def seconds(self) -> float:
        """Return how long the next read or write may take.

        Raises:
            TimeoutError: no time is left.
        """
        left = self.deadline.left()
        if left <= 0:
            raise TimeoutError
        return min(self.step, left)

    def spend(self, count: int) -> None:
        """Count bytes that have come.

        Raises:
            TooLong: they are more than any answer that may come.
        """
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise TooLong

    def __enter__(self) -> None:
        self._before = _allowances.set(self)

    def __exit__(self, *exc_info: object) -> None:
        _allowances.reset(self._before)


# Of the request that this thread makes: connections outlive requests, and are handed out inside urllib3.
_allowances: ContextVar[Allowance | None] = ContextVar("allowance", default=None)


def _read_within(allowance: Allowance, sock: socket.socket, buffer: Any) -> int:
    """Read what a socket brings, within an allowance."""
    sock.settimeout(allowance.seconds())
    count = sock.recv_into(buffer)
    allowance.spend(count)
    return count


class _BoundedSource(NamedTuple):
    """A socket as an answer of http.client sees it: the file that it reads from, within an allowance."""

    sock: socket.socket
    allowance: Allowance

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Stand in for the method of a socket; only answers are read through it."""
        # In place of the file's own way to read, for a file around the file would cost each call a hundredth.
        raw: Any = self.sock.makefile("rb", buffering=0)
        raw.readinto = partial(_read_within, self.allowance, self.sock)
        return io.BufferedReader(raw)


class _FinalResponse(HTTPResponse):
    """The final answer, behind any that only announce it (RFC 9110 section 15.2).

    http.client skips 100 alone, and would take 103 for the answer, and the answer for that to the next request.
    """

    def _read_status(self) -> tuple[str, int, str]:
        status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]  # not in typeshed
        while HTTPStatus.OK > status[1] > HTTPStatus.CONTINUE:
            if status[1] == HTTPStatus.SWITCHING_PROTOCOLS:
                raise BadStatusLine("a protocol that nobody asked for")
            parse_headers(self.fp)
            status = super()._read_status()  # type: ignore[misc]  # likewise
        return status

    def begin(self) -> None:
        super().begin()
        # urllib3 would log what is malformed in the headers, an echo of ours perhaps, and the whole URL.
        self.msg.defects.clear()
        self.msg.set_payload("")


class _Bounded:
    """Makes a connection keep to the allowance of the request that it carries, and print nothing.

    http.client prints whole requests, Authorization included, where a user has set ``debuglevel`` on its class.
    """

    debuglevel = 0
    sock: socket.socket | None
    timeout: float | None
    _dns_host: str

    def send(self, data: Any) -> None:
        allowance = _allowances.get()
        if self.sock is not None and allowance is not None:
            self.sock.settimeout(allowance.seconds())
        super().send(data)  # type: ignore[misc]  # of the connection that it is mixed into

    def response_class(self, sock: socket.socket, *args: Any, **options: Any) -> HTTPResponse:
        """Stand where http.client looks for the class of an answer: also of a proxy's to CONNECT."""
        allowance = _allowances.get()
        source: Any = sock if allowance is None else _BoundedSource(sock, allowance)
        return _FinalResponse(source, *args, **options)


class _BoundedThroughout(_Bounded):
    """Connects in the time that is left, too: urllib3 gives each address of a host all of it."""

    port: int
    timeout: float
    _dns_host: str

    def _new_conn(self) -> socket.socket:
        allowance, name = _allowances.get(), self._dns_host
        addresses = _addresses(name, self.port)
        if allowance is None or not addresses:
            return self._connect(name)  # which says what is wrong with the name
        for address in addresses:
            self.timeout = min(self.timeout, allowance.seconds())
            try:
                sock = self._connect(address)
            except (u3.ConnectTimeoutError, u3.NewConnectionError):
                if address == addresses[-1]:
                    raise
            else:
                sock.settimeout(allowance.seconds())  # for the handshake of TLS
                break
        return sock

    def _connect(self, address: str) -> socket.socket:
        name, self._dns_host = self._dns_host, address
        try:
            sock: socket.socket = super()._new_conn()  # type: ignore[misc]  # as in send
        finally:
            self._dns_host = name
        return sock


def _addresses(name: str, port: int) -> list[str]:
    """Return the addresses of a host, none where it is not known."""
    try:
        found = socket.getaddrinfo(name.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@cache
def bounded(pool: type[Any]) -> type[Any]:
    """Return a class of urllib3's pools whose connections keep to the allowance of the request that they carry."""
    connection = pool.ConnectionCls
    if not issubclass(connection, HTTPConnection):  # in a browser, which has no sockets
        return pool
    # Through a SOCKS proxy another package connects.
    mixin = _BoundedThroughout if connection.__module__ == "urllib3.connection" else _Bounded
    kept = type(f"Bounded{connection.__name__}", (mixin, connection), {})
    return type(f"Bounded{pool.__name__}", (pool,), {"ConnectionCls": kept})
