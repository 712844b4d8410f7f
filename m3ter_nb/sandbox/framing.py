"""Where a request begins and ends: HTTP/1.1 (RFC 9112) from bytes that anybody may have sent.

Strict where the RFC lets a server choose: a bare line feed, a folded header, a second length, or a length beside
chunks is refused, for that is what request smuggling is made of. Every read is bounded, in bytes and in time.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

__all__ = ["Body", "Head", "Incoming", "Malformed", "read_head"]

_MOST_HEAD_BYTES = 65_536
_MOST_HEADERS = 100
_MOST_TRAILER_BYTES = 8_192
_MOST_CHUNK_LINE = 256
_RECEIVE = 65_536

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")
_ABSOLUTE = re.compile(r"https?://((?:\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)(?::[0-9]*)?)([/?].*)?", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")
# A chunk's extensions are read over (RFC 9112, section 7.1.1).
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
#: Two of these could say two things; of others, the values are joined.
_ONCE = frozenset(
    {"authorization", "content-length", "content-type", "expect", "host", "origin", "transfer-encoding"}
)


class Malformed(Exception):
    """What arrived is no request, or it came to no end.

    Attributes:
        status: the HTTP status that answers it.
    """

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


class Incoming:
    """The bytes that arrive on one connection.

    Args:
        connection: a connected socket.
        clock: returns monotonic seconds.
    """

    def __init__(self, connection: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._buffer = bytearray()
        self._ends = 0.0

    def allow(self, seconds: float) -> None:
        """Let all reads from now on take so many seconds together."""
        self._ends = self._clock() + seconds

    def wait(self) -> bool:
        """Wait for a first byte; tell whether one came in time."""
        return bool(self._buffer) or self._receive() > 0

    def until(self, mark: bytes, at_most: int) -> bytes:
        """Return what comes before ``mark``, and read over the mark.

        Raises:
            Malformed: the mark does not come within so many bytes, or in time, or ever.
        """
        searched = 0
        while (found := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) >= at_most + len(mark):
                raise Malformed("The head of the request, or a line of its body, is too long")
            searched = max(0, len(self._buffer) - len(mark) + 1)
            self._need_more()
        if found > at_most:
            raise Malformed("The head of the request, or a line of its body, is too long")
        text = bytes(self._buffer[:found])
        del self._buffer[: found + len(mark)]
        return text

    def some(self, at_most: int) -> bytes:
        """Return from 1 to ``at_most`` bytes.

        Raises:
            Malformed: none comes in time, or ever.
        """
        if not self._buffer:
            self._need_more()
        piece = bytes(self._buffer[:at_most])
        del self._buffer[:at_most]
        return piece

    def _need_more(self) -> None:
        try:
            received = self._receive()
        except TimeoutError:
            raise Malformed("The request took too long", HTTPStatus.REQUEST_TIMEOUT) from None
        except OSError:
            received = 0
        if not received:
            raise Malformed("The connection was closed in the middle of the request")

    def _receive(self) -> int:
        """Add what has arrived to the buffer; return how much, 0 at the end.

        Raises:
            TimeoutError: nothing came in the time allowed.
        """
        left = self._ends - self._clock()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        piece = self._connection.recv(_RECEIVE)
        self._buffer += piece
        return len(piece)


@dataclass(frozen=True)
class Head:
    """The request line and the headers.

    Attributes:
        method: as sent, often upper case.
        target: the path with its query.
        version: ``"1.0"`` or ``"1.1"``.
        headers: by lower-case name; the values of a repeated one are joined by commas.
    """

    method: str
    target: str
    version: str
    headers: Mapping[str, str]

    @property
    def is_chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return "transfer-encoding" in self.headers

    @property
    def length(self) -> int:
        """The length of the body as announced; 0 where there is none, or where it comes in chunks."""
        return int(self.headers.get("content-length", "0"))

    @property
    def waits(self) -> bool:
        """Whether the client sends the body only after ``100 Continue`` (RFC 9110, section 10.1.1)."""
        return self.version == "1.1" and self.headers.get("expect", "").lower() == "100-continue"

    @property
    def closes(self) -> bool:
        """Whether the connection ends after the answer."""
        options = {option.strip().lower() for option in self.headers.get("connection", "").split(",")}
        return "close" in options or (self.version == "1.0" and "keep-alive" not in options)


def read_head(incoming: Incoming) -> Head:
    """Read the head of a request.

    Raises:
        Malformed: 400 for whatever breaks the rules, 408 where it takes too long.
    """
    text = incoming.until(b"\r\n\r\n", _MOST_HEAD_BYTES)
    # One empty line before a request is read over (RFC 9112, section 2.2).
    first, *lines = text.removeprefix(b"\r\n").split(b"\r\n")
    matched = _REQUEST_LINE.fullmatch(first)
    if matched is None:
        raise Malformed("The request line is none of HTTP/1.1")
    method, target, version = (part.decode("latin-1") for part in matched.groups())
    headers = _headers(lines)
    head = Head(method, _place(target, headers), version, headers)
    _check_framing(head)
    return head


def _place(target: str, headers: dict[str, str]) -> str:
    """Return the path and query of a target; an absolute URL names the host, too (RFC 9112, section 3.2.2)."""
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        headers["host"], target = absolute[1], absolute[2] or "/"
        return target if target.startswith("/") else f"/{target}"
    if not target.startswith("/") and target != "*":
        raise Malformed("The request line names no path")
    return target


def _headers(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > _MOST_HEADERS:
        raise Malformed(f"The request has more than {_MOST_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        matched = _HEADER.fullmatch(line)
        if matched is None:
            raise Malformed("A header line is malformed")
        name, value = matched[1].decode("ascii").lower(), matched[2].strip(b" \t").decode("latin-1")
        if name in headers and name in _ONCE:
            raise Malformed(f"The header {name} is there twice")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _check_framing(head: Head) -> None:
    """Refuse a request whose end can be understood in two ways."""
    if head.version == "1.1" and "host" not in head.headers:
        raise Malformed("The header Host is missing")
    if head.is_chunked:
        if head.headers["transfer-encoding"].lower() != "chunked" or head.version == "1.0":
            raise Malformed("Of transfer encodings, only chunked is understood, in HTTP/1.1")
        if "content-length" in head.headers:
            raise Malformed("Content-Length beside Transfer-Encoding")
    elif not _LENGTH.fullmatch(head.headers.get("content-length", "0")):
        raise Malformed("Content-Length is no length")


class Body:
    """The body of one request, read when it is asked for: the ``wsgi.input`` of the application.

    Args:
        head: of the request.
        incoming: where the body follows.
        keep: the most bytes that are ever handed out; a reader that gets so many knows that the body is over-long.
        proceed: called before the first byte is read of a body that waits for ``100 Continue``.
        hold: called with a number of bytes before they are kept.

    Attributes:
        is_read: whether its end was reached.
        is_awaited: whether the client waits for ``100 Continue`` still.
        is_broken: whether it broke the rules, or off.
    """

    def __init__(
        self,
        head: Head,
        incoming: Incoming,
        keep: int,
        proceed: Callable[[], None] = lambda: None,
        hold: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._incoming = incoming
        self._keep = keep
        self._proceed = proceed
        self._hold = hold
        self._chunked = head.is_chunked
        self._left = 0 if head.is_chunked else head.length
        self.is_read = not head.is_chunked and head.length == 0
        self.is_awaited = head.waits
        self.is_broken = False

    def read(self, size: int = -1) -> bytes:
        """Return at most ``size`` bytes; fewer at the end.

        Raises:
            Malformed: the body breaks the rules, or off.
        """
        wanted = self._keep if size < 0 else min(size, self._keep)
        data = bytearray()
        while len(data) < wanted and (piece := self._piece(wanted - len(data))):
            self._hold(len(piece))
            data += piece
        self._keep -= len(data)
        return bytes(data)

    def skip(self, at_most: int) -> bool:
        """Read the rest without keeping it; tell whether its end came within so many bytes.

        Raises:
            Malformed: the body breaks the rules, or off.
        """
        skipped = 0
        while skipped <= at_most and (piece := self._piece(_RECEIVE)):
            skipped += len(piece)
        return self.is_read

    def _piece(self, at_most: int) -> bytes:
        if self.is_read:
            return b""
        try:
            if self.is_awaited:
                self.is_awaited = False
                self._proceed()
            return self._next_piece(at_most)
        except Malformed:
            self.is_broken = True
            raise

    def _next_piece(self, at_most: int) -> bytes:
        """Return at least one byte of a body that goes on, ``b""`` at its end."""
        if not self._left and self._chunked:
            self._left = self._chunk_size()
            if not self._left:
                self._read_trailers()
                self.is_read = True
                return b""
        piece = self._incoming.some(min(at_most, self._left))
        self._left -= len(piece)
        if self._chunked and not self._left:
            if self._incoming.until(b"\r\n", 0):
                raise Malformed("A chunk is longer than it says")
        elif not self._left:
            self.is_read = True
        return piece

    def _chunk_size(self) -> int:
        line = _CHUNK_LINE.fullmatch(self._incoming.until(b"\r\n", _MOST_CHUNK_LINE))
        if line is None:
            raise Malformed("A chunk has no size")
        return int(line[1], 16)

    def _read_trailers(self) -> None:
        read = 0
        while line := self._incoming.until(b"\r\n", _MOST_TRAILER_BYTES - read):
            read += len(line) + 2
            if read >= _MOST_TRAILER_BYTES or not _HEADER.fullmatch(line):
                raise Malformed("The trailers of the body are malformed")
