"""HTTP as bytes, for what no client library would send."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.sandbox import Sandbox

__all__ = ["connected", "exchange", "place_of", "reset", "status_of"]


def place_of(sandbox: Sandbox) -> tuple[str, int]:
    """Return host and port of a sandbox."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    return host, int(port)


@contextlib.contextmanager
def connected(place: tuple[str, int], timeout: float = 10) -> Iterator[socket.socket]:
    """Yield a connection, closed at the end."""
    with socket.create_connection(place, timeout=timeout) as connection:
        yield connection


def exchange(place: tuple[str, int], text: bytes, *, ends: bool = True, timeout: float = 10) -> bytes:
    """Send bytes on a connection of their own, and return all that comes back until the other side closes.

    Args:
        place: host and port.
        text: what is sent.
        ends: whether the sending side is closed afterwards, so that a request that goes on breaks off.
        timeout: seconds without a byte until the test fails.
    """
    with connected(place, timeout) as connection:
        # The other side may have closed before all was sent: what it said still counts.
        with contextlib.suppress(OSError):
            connection.sendall(text)
            if ends:
                connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65_536):
                answer += piece
        return answer


def reset(place: tuple[str, int], text: bytes) -> None:
    """Send bytes and reset the connection at once, without reading."""
    with connected(place) as connection, contextlib.suppress(ConnectionError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(text)


def status_of(answer: bytes) -> int:
    """Return the status of the first answer; 0 where there is none."""
    line = answer.partition(b"\r\n")[0]
    return int(line.split(b" ")[1]) if line.startswith(b"HTTP/1.1 ") else 0
