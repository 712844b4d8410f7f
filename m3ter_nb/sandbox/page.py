"""The sandbox in a browser page (JupyterLite): no sockets and no threads there, so its calls never leave the process.

In Pyodide urllib3 hands every request to the browser through two functions of ``urllib3.contrib.emscripten``. While a
sandbox runs, they look at the address first, and give to it what is meant for it: what m3ter_nb sends, and what plain
``requests`` sends.
"""

from __future__ import annotations

import io
import sys
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from m3ter_nb.sandbox.exchange import FOREIGN, Answer, ask, is_local, path_of, refusal
from m3ter_nb.sandbox.framing import Head

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIApplication
    from urllib3.contrib.emscripten.request import EmscriptenRequest
    from urllib3.contrib.emscripten.response import EmscriptenResponse

__all__ = ["Door", "is_page"]

_FIRST_PORT = 49_152
_HOSTS = ("127.0.0.1", "localhost", "::1")
_HOOKED = ("send_request", "send_streaming_request")

#: The doors that are open, by port, and the functions of urllib3 that stand aside for them.
_doors: dict[int, Door] = {}
_before: dict[str, Callable[[EmscriptenRequest], EmscriptenResponse | None]] = {}


def is_page() -> bool:
    """Say whether this Python runs in a browser page."""
    return sys.platform == "emscripten"


class Door:
    """Answers the requests of this process for one application, as :class:`http_server.Server` those of others.

    Args:
        port: of its URL, which nobody listens on; 0 for any that no other door has.
        app: the application.
        record: called with method, path and status of each request (0: dropped without an answer).
    """

    host = "127.0.0.1"

    def __init__(self, port: int, app: WSGIApplication, record: Callable[[str, str, int], None]) -> None:
        self.port = port or next(number for number in range(_FIRST_PORT, 2**16) if number not in _doors)
        self._app = app
        self._record = record

    def begin(self) -> None:
        """Take the requests of this process from now on.

        Raises:
            OSError: another sandbox of this page has the port.
        """
        if self.port in _doors:
            raise OSError(
                f"Another sandbox of this page has port {self.port}: choose another one, or 0 for any"
            )
        _doors[self.port] = self
        _hook()

    def end(self) -> None:
        """Take no more requests."""
        if _doors.get(self.port) is self:
            del _doors[self.port]
        if not _doors:
            _unhook()

    def answer(self, head: Head, body: bytes) -> Answer:
        """Answer a request, and log it."""
        if is_local(head):
            file = io.BytesIO(body)
            answer = ask(self._app, head, file, host=self.host, port=self.port, peer=self.host)
        else:
            answer = refusal(HTTPStatus.FORBIDDEN, FOREIGN)
        self._record(head.method, path_of(head), 0 if "drop" in answer.wire else answer.code)
        return answer


def _hook() -> None:
    from urllib3.contrib.emscripten import connection

    for name in _HOOKED:
        if name not in _before:
            _before[name] = getattr(connection, name)
            setattr(connection, name, _sending(_before[name]))


def _unhook() -> None:
    from urllib3.contrib.emscripten import connection

    while _before:
        setattr(connection, *_before.popitem())


def _sending(
    otherwise: Callable[[EmscriptenRequest], EmscriptenResponse | None],
) -> Callable[[EmscriptenRequest], EmscriptenResponse | None]:
    """Return what sends a request to a door of this page, or to the browser as before."""

    def send(request: EmscriptenRequest) -> EmscriptenResponse | None:
        url = urlsplit(request.url)
        door = _doors.get(url.port or 80) if url.hostname in _HOSTS and url.scheme == "http" else None
        return otherwise(request) if door is None else _send(door, request)

    return send


def _send(door: Door, request: EmscriptenRequest) -> EmscriptenResponse:
    """Have a door answer, and fail as the browser does where the answer does not arrive whole, or in time."""
    from urllib3.contrib.emscripten.fetch import _RequestError, _TimeoutError
    from urllib3.contrib.emscripten.response import EmscriptenResponse

    url, body, started = urlsplit(request.url), _bytes_of(request.body), time.monotonic()
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers |= {"host": url.netloc.rpartition("@")[2], "content-length": str(len(body))}
    headers.pop("transfer-encoding", None)
    target = f"{url.path or '/'}?{url.query}" if url.query else url.path or "/"
    answer = door.answer(Head(request.method, target, "1.1", headers), body)
    if request.timeout and time.monotonic() - started > request.timeout:
        raise _TimeoutError("The sandbox took longer than the timeout", request=request)
    if answer.wire:
        raise _RequestError("The sandbox closed the connection", request=request)
    content = b"" if request.method == "HEAD" else answer.content
    named = dict(answer.headers) | {"Content-Length": str(len(answer.content))}
    return EmscriptenResponse(answer.code, named, content, request)


def _bytes_of(body: Any) -> bytes:
    """Return the body of a request, whatever form urllib3 takes it in."""
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if hasattr(body, "read"):
        return _bytes_of(body.read())
    return b"".join(map(_bytes_of, body))
