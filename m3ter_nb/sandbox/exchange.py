"""One request and its answer, between whatever carries them and the application (WSGI, PEP 3333)."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from werkzeug.test import run_wsgi_app

from m3ter_nb.sandbox.answers import json_answer
from m3ter_nb.sandbox.app import SANDBOX_HEADER, WIRE

if TYPE_CHECKING:
    from http import HTTPStatus

    from _typeshed.wsgi import WSGIApplication

    from m3ter_nb.sandbox.framing import Head

__all__ = ["FOREIGN", "Answer", "ask", "is_local", "path_of", "refusal"]

FOREIGN = "Forbidden: the sandbox answers programs and pages of this machine only"

_LOCAL = r"(?:127\.0\.0\.1|localhost|\[::1\])(?::[0-9]{0,5})?"
_LOCAL_HOST = re.compile(_LOCAL, re.IGNORECASE)
_LOCAL_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]*://{_LOCAL}", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a client gets.

    Attributes:
        status: the code and the phrase, as ``"200 OK"``.
        headers: without those of the connection and without the length.
        content: the body.
        wire: what a fault does to the connection: nothing, ``"drop"`` or ``"cut"``.
    """

    status: str
    headers: tuple[tuple[str, str], ...]
    content: bytes
    wire: frozenset[str] = frozenset()

    @property
    def code(self) -> int:
        """The status as a number."""
        return int(self.status.split(" ", 1)[0])


def is_local(head: Head) -> bool:
    """Say whether a request names this machine, and comes from no page of another one.

    A page of a stranger can be made to resolve its own name to 127.0.0.1 (DNS rebinding); its requests still carry
    that name as their Host, and most carry its Origin (RFC 6454, section 7; ``null`` tells of no origin at all).
    """
    origin = head.headers.get("origin")
    return bool(_LOCAL_HOST.fullmatch(head.headers.get("host", ""))) and (
        origin is None or bool(_LOCAL_ORIGIN.fullmatch(origin))
    )


def ask(app: WSGIApplication, head: Head, body: Any, *, host: str, port: int, peer: str) -> Answer:
    """Have the application answer a request.

    Args:
        app: the application.
        head: the request line and headers.
        body: a binary file that ends where the body does.
        host: where the application is served.
        port: the same.
        peer: the address of the client.
    """
    wire: list[str] = []
    environ = _environ(head) | {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "REMOTE_ADDR": peer,
        WIRE: wire,
    }
    chunks, status, headers = run_wsgi_app(app, environ, buffered=True)
    kept = tuple((name, value) for name, value in headers if name.lower() != "content-length")
    return Answer(status, kept, b"".join(chunks), frozenset(wire))


def refusal(status: HTTPStatus, message: str) -> Answer:
    """Return the answer to a request that never reaches the application."""
    response = json_answer({"message": message}, status)
    headers = (("Content-Type", "application/json"), (SANDBOX_HEADER, "m3ter_nb"))
    return Answer(response.status, headers, response.get_data())


def path_of(head: Head) -> str:
    """Return the path of a request as WSGI has it: decoded, each byte a character."""
    return unquote_to_bytes(head.target.partition("?")[0].encode("latin-1")).decode("latin-1")


def _environ(head: Head) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path_of(head),
        "QUERY_STRING": head.target.partition("?")[2],
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
    }
    for name, value in head.headers.items():
        # X_Y would pass for X-Y, and the length of chunks is not known.
        if "_" not in name and name != "transfer-encoding":
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
