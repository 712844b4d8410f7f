"""The HTTP server beneath the application: a thread per connection, and a bound on all that a client can ask for.

The kernel of a notebook lives in the same process, so nothing that reaches the port may end it, hang it or make it
grow: connections, their idle time, heads and bodies are limited, and a body is read when the application asks for it,
which is after it has looked at the token.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import threading
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.exchange import FOREIGN, Answer, ask, is_local, path_of, refusal
from m3ter_nb.sandbox.framing import Body, Head, Incoming, Malformed, read_head
from m3ter_nb.sandbox.limits import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed.wsgi import WSGIApplication

__all__ = ["Bounds", "CannotListen", "Server", "listen"]

_BACKLOG = 128
_SERVER = "m3ter_nb-sandbox"
_POLL_SECONDS = 0.05
_STOP_SECONDS = 5.0
_GOODBYE_SECONDS = 1.0
_READ_OVER = 65_536


class CannotListen(OSError):
    """The port is taken, or may not be used; its text is the whole story, without ``[Errno]``."""

    def __str__(self) -> str:
        return str(self.strerror)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a loopback address.

    Raises:
        ValueError: the host is not loopback, or the port is none.
        CannotListen: the port is taken or may not be used.
    """
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError(f"The sandbox listens on loopback only (127.0.0.1 or ::1), not on {host!r}.")
    if not 0 <= port <= 65_535:
        raise ValueError(f"A port is a number from 0 to 65535, not {port}.")
    address = "::1" if host == "::1" else "127.0.0.1"
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Without it, a port cannot be used again within a minute of the last stop; on Windows it means "share".
        if os.name != "nt":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListen(
            error.errno,
            f"The sandbox cannot listen on {address}:{port} ({error.strerror}): "
            "choose another port, or 0 for any free one",
        ) from None
    return listening


@dataclass(frozen=True)
class Bounds:
    """What one server gives at most to all who come.

    Attributes:
        connections: that are open at once; the one idle for longest makes room for a new one.
        idle: seconds that a connection waits for a request.
        request: seconds from the first byte of a request to its last.
        held: bytes of all bodies that are kept at once.
    """

    connections: int = 128
    idle: float = 30.0
    request: float = 30.0
    held: int = 32_000_000


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves one application on a listening socket, a thread per connection.

    Args:
        listening: the socket; the server takes it over.
        app: the application.
        record: called with method, path and status before each answer is sent (0: dropped without one).
        bounds: on what clients can make it hold.
    """

    daemon_threads = True

    def __init__(
        self,
        listening: socket.socket,
        app: WSGIApplication,
        record: Callable[[str, str, int], None],
        bounds: Bounds | None = None,
    ) -> None:
        address = listening.getsockname()
        super().__init__(address, _Connection, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.host, self.port = address[:2]
        self.app = app
        self.record = record
        self.bounds = bounds or Bounds()
        # Each open connection and whether it is idle, the one that has rested for longest first.
        self._open: dict[socket.socket, bool] = {}
        self._changed = threading.Condition()
        self._held = 0
        self._process = os.getpid()
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name="m3ter-sandbox", daemon=True
        )

    @property
    def is_inherited(self) -> bool:
        """Whether this is a forked child's copy: the threads that answer are the parent's."""
        return self._process != os.getpid()

    def begin(self) -> None:
        """Answer from now on, from a daemon thread."""
        self._thread.start()

    def end(self) -> None:
        """Answer no more: close every connection, and wait a while for the work on them to end."""
        self.shutdown()
        self.server_close()
        self.close_connections(_STOP_SECONDS)
        self._thread.join(_STOP_SECONDS)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread; :meth:`close_connections` knows it from here on."""
        with self._changed:
            admitted = self._make_room()
            if admitted:
                self._open[request] = True
        if not admitted:
            request.settimeout(_GOODBYE_SECONDS)
            text = "The sandbox has too many open connections"
            with contextlib.suppress(OSError):
                request.sendall(_written(refusal(HTTPStatus.SERVICE_UNAVAILABLE, text), closes=True))
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started now
            self._forget(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def _forget(self, connection: socket.socket) -> None:
        with self._changed:
            self._open.pop(connection, None)
            self._changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing in the kernel's output of a client that went away."""

    def close_connections(self, patience: float) -> None:
        """End the connections that clients keep open, and wait so many seconds for the work on them to end."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, patience)

    def set_idle(self, connection: socket.socket, *, idle: bool) -> None:
        """Note whether a connection only waits: then it makes room for others."""
        with self._changed:
            if self._open.pop(connection, None) is not None:
                self._open[connection] = idle

    @contextlib.contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Yield what counts the bytes of a body that is kept, and forget them at the end.

        Raises:
            Refusal: from the yielded function: 503, where all bodies together are too large.
        """
        own = 0

        def hold(number: int) -> None:
            nonlocal own
            with self._changed:
                if self._held + number > self.bounds.held:
                    raise Refusal(503, "The sandbox holds too many request bodies at once")
                self._held += number
                own += number

        try:
            yield hold
        finally:
            with self._changed:
                self._held -= own

    def _make_room(self) -> bool:
        """Close the connection that has been idle for longest, if one more is too many; tell if there is room."""
        if len(self._open) >= self.bounds.connections:
            idle = next((connection for connection, rests in self._open.items() if rests), None)
            if idle is None:
                return False
            self._open[idle] = False
            with contextlib.suppress(OSError):
                idle.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: len(self._open) < self.bounds.connections, _GOODBYE_SECONDS)
        return len(self._open) < self.bounds.connections


class _Connection(socketserver.BaseRequestHandler):
    """Answers the requests of one connection, one after the other."""

    server: Server
    request: socket.socket

    def handle(self) -> None:
        """Answer until one side ends the connection."""
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.incoming = Incoming(self.request)
        with contextlib.suppress(OSError):
            while self._comes() and self._answer_next():
                self.server.set_idle(self.request, idle=True)

    def _comes(self) -> bool:
        """Wait for the next request; tell whether one begins."""
        self.incoming.allow(self.server.bounds.idle)
        comes = self.incoming.wait()
        self.server.set_idle(self.request, idle=False)
        return comes

    def _answer_next(self) -> bool:
        """Answer one request; tell whether the connection goes on."""
        self.incoming.allow(self.server.bounds.request)
        try:
            head = read_head(self.incoming)
        except Malformed as error:
            self._send(refusal(error.status, str(error)))
            return False
        if not is_local(head):
            self.server.record(head.method, path_of(head), HTTPStatus.FORBIDDEN)
            self._send(refusal(HTTPStatus.FORBIDDEN, FOREIGN))
            return False
        return self._answer(head)

    def _answer(self, head: Head) -> bool:
        with self.server.holding() as hold:
            body = Body(head, self.incoming, MAX_BODY_BYTES + 1, self._proceed, hold)
            peer, host, port = str(self.client_address[0]), self.server.host, self.server.port
            try:
                answer = ask(self.server.app, head, body, host=host, port=port, peer=peer)
            except Malformed as error:
                answer = refusal(error.status, str(error))
        if "drop" in answer.wire:
            self.server.record(head.method, path_of(head), 0)
            return False
        goes_on, answer = self._finish(head, body, answer)
        goes_on = goes_on and not head.closes and "cut" not in answer.wire
        self.server.record(head.method, path_of(head), answer.code)
        self._send(answer, closes=not goes_on, empty=head.method == "HEAD")
        return goes_on

    def _finish(self, head: Head, body: Body, answer: Answer) -> tuple[bool, Answer]:
        """Read over what the application left of the body; tell whether another request can follow."""
        if body.is_broken or body.is_awaited or head.length > MAX_BODY_BYTES:
            return body.is_read, answer
        try:
            return body.skip(MAX_BODY_BYTES), answer
        except Malformed as error:
            return False, refusal(error.status, str(error))

    def _proceed(self) -> None:
        try:
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        except OSError:
            raise Malformed("The connection was closed in the middle of the request") from None

    def _send(self, answer: Answer, *, closes: bool = True, empty: bool = False) -> None:
        self.request.settimeout(self.server.bounds.request)
        self.request.sendall(_written(answer, closes=closes, empty=empty))
        if closes:
            self._see_off()

    def _see_off(self) -> None:
        """Read over what still comes: a connection closed with unread bytes takes its answer along (RFC 9112, 9.6)."""
        self.request.shutdown(socket.SHUT_WR)
        self.server.set_idle(self.request, idle=True)
        self.incoming.allow(self.server.bounds.request)
        with contextlib.suppress(Malformed):
            while True:
                self.incoming.some(_READ_OVER)


def _written(answer: Answer, *, closes: bool, empty: bool = False) -> bytes:
    """Return an answer as it goes over the wire, in one piece, so that no part waits for a delayed ACK."""
    head = [f"HTTP/1.1 {answer.status}", f"Server: {_SERVER}", f"Date: {formatdate(usegmt=True)}"]
    head += [f"{name}: {value}" for name, value in answer.headers]
    head.append(f"Content-Length: {len(answer.content)}")
    if closes:
        head.append("Connection: close")
    content = answer.content[: len(answer.content) // 2] if "cut" in answer.wire else answer.content
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (b"" if empty else content)
