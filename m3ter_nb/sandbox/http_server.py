"""The HTTP server beneath the application: Werkzeug's threaded server, with connections that stay open.

Werkzeug's own handler closes every connection after one answer. Ours reads each body whole, so that it can keep the
connection (HTTP/1.1, RFC 9112), and sends head and body in one write, so that no answer waits for a delayed ACK.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import run_wsgi_app

from m3ter_nb.sandbox.app import SANDBOX_HEADER, WIRE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

__all__ = ["CannotListen", "Server", "listen"]

_BACKLOG = 128
#: A longer body is cut off; what is left tells the application that it was over-long.
_READ_AT_MOST = 16_000_000


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


class Server(ThreadedWSGIServer):
    """Serves one application on a listening socket, a thread per connection.

    Args:
        listening: the socket; the server takes it over.
        app: the application.
        record: called with method, path and status before each answer is sent (0: dropped without one).
    """

    daemon_threads = True

    def __init__(self, listening: socket.socket, app: Flask, record: Callable[[str, str, int], None]) -> None:
        host, port = listening.getsockname()[:2]
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        self.record = record
        super().__init__(host, port, app, _Handler, fd=listening.fileno())
        listening.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread; :meth:`close_connections` knows it from here on."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._open.discard(request)
                self._changed.notify_all()

    def close_connections(self, patience: float) -> None:
        """End the connections that clients keep open, and wait so many seconds for the work on them to end."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, patience)


class _Handler(WSGIRequestHandler):
    """Answers the requests of one connection, one after the other."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    @property
    def server_version(self) -> str:  # type: ignore[override]  # http.server declares an attribute
        """The ``Server`` header: what this is, and no versions."""
        return "m3ter_nb-sandbox"

    def version_string(self) -> str:
        """Return the ``Server`` header without the version of Python."""
        return self.server_version

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - Werkzeug's name
        """Write nothing: the request log of the sandbox is the one to read."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Write nothing, and do not look at the URL: Werkzeug's way of showing it fails for a broken one."""

    def end_headers(self) -> None:
        """Sign what the server itself refuses before the application sees it."""
        self.send_header(SANDBOX_HEADER, "m3ter_nb")
        super().end_headers()

    def run_wsgi(self) -> None:
        """Answer one request."""
        try:
            environ = self.make_environ()
            body, whole = self._read_body(environ)
        except ConnectionError:
            self.close_connection = True
            return
        except (ValueError, OSError):
            self.send_error(400)  # it closes the connection, too
            return
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        wire: list[str] = []
        environ[WIRE] = wire
        chunks, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        content = b"".join(chunks)
        code = int(status.split(" ", 1)[0])
        self.server.record(self.command, environ["PATH_INFO"], 0 if "drop" in wire else code)
        if "drop" in wire:
            self.close_connection = True
            return
        if "cut" in wire or not whole:
            self.close_connection = True
        head = [f"HTTP/1.1 {status}", f"Server: {self.version_string()}", f"Date: {self.date_time_string()}"]
        head += [f"{name}: {value}" for name, value in headers if name.lower() != "content-length"]
        head.append(f"Content-Length: {len(content)}")
        if self.close_connection:
            head.append("Connection: close")
        if "cut" in wire:
            content = content[: len(content) // 2]
        if self.command == "HEAD":
            content = b""
        self.wfile.write("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + content)

    def _read_body(self, environ: dict[str, Any]) -> tuple[bytes, bool]:
        """Return the body and whether that is all of it."""
        stream = environ["wsgi.input"]
        if environ.get("wsgi.input_terminated"):
            body = stream.read(_READ_AT_MOST)
            return body, len(body) < _READ_AT_MOST
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length < 0:
            raise ValueError(length)
        body = stream.read(min(length, _READ_AT_MOST))
        if len(body) < min(length, _READ_AT_MOST):
            raise ConnectionError("the client closed the connection in the middle of its request")
        return body, length <= _READ_AT_MOST
