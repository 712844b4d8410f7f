"""A ``requests.Session`` on the login: it goes to the login's own API, and shows the token nowhere.

Everything that ``requests`` would do itself with a token (headers of its own, redirects, ``.netrc``, the environment's
proxies, frames of an error) is left out: a request goes through the transport of the login, which adds the token where
the bytes are written.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Never

import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from m3ter_nb.auth.signed_call import send_signed
from m3ter_nb.errors import ConnectionFailed, ConnectionTimeout, InvalidArgument
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.digits import holds_digits
from m3ter_nb.wire.encoding import json_text
from m3ter_nb.wire.transport import Timeout

if TYPE_CHECKING:
    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.wire.answer import Answer
    from m3ter_nb.wire.transport import Transport

__all__ = ["LoginSession", "NoConnection", "NoConnectionInTime", "response_of"]

# A request that changes nothing may be sent again where the connection broke.
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# What the transport writes itself.
_NOT_SENT = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding"})


class NoConnection(ConnectionFailed, requests.ConnectionError):
    """As :class:`~m3ter_nb.errors.ConnectionFailed`, and what code for ``requests`` expects."""


class NoConnectionInTime(ConnectionTimeout, requests.Timeout):
    """As :class:`~m3ter_nb.errors.ConnectionTimeout`, and what code for ``requests`` expects."""


class LoginSession(requests.Session):
    """``requests`` on a login: ``session.get(url)`` with the token, to the login's own API and nowhere else.

    The token is in none of ``headers``, ``auth``, ``response.request`` and ``error.request``. A redirect is not followed,
    ``.netrc`` and cookies of other hosts play no part, and proxies, certificates and the bounds on time and size are those
    of the login: ``verify``, ``cert``, ``proxies`` and ``stream`` change nothing. ``timeout`` is heard.

    Args:
        source: gives the token.
        transport: to the API.

    Raises:
        UnsafeDestination: from each call to another origin; nothing is sent.
        NotLoggedIn, LoginRefused: from each call, as :meth:`TokenSource.token`.
        NoConnection, NoConnectionInTime: from each call; both are errors of ``requests`` too.
    """

    def __init__(self, source: TokenSource, transport: Transport) -> None:
        super().__init__()
        self.trust_env = False
        # What requests would say of itself; the transport says what is true.
        self.headers.clear()
        self.adapters.clear()
        self.mount(
            "", _LoginAdapter(source, transport)
        )  # whatever the scheme: it knows where the token may go

    @without_frames
    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send a request, as :meth:`requests.Session.request`."""
        return super().request(method, url, *args, **options)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request, as :meth:`requests.Session.prepare_request`; numbers of an answer keep their digits."""
        prepared = super().prepare_request(request)
        if not request.data and not request.files and holds_digits(request.json):
            prepared.prepare_body(json_text(request.json).encode(), None)
        return prepared

    @without_frames
    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send a prepared request, as :meth:`requests.Session.send`."""
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow no redirect."""

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("A session on a login is not pickled or copied: log in where it is needed.")


class _LoginAdapter(BaseAdapter):
    """Sends through the transport of a login."""

    def __init__(self, source: TokenSource, transport: Transport) -> None:
        super().__init__()
        self._source = source
        self._transport = transport

    @without_frames
    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        method = (request.method or "GET").upper()
        # Of the user's own (auth=, a header): it is not sent, and not left where answers and errors show it.
        request.headers.pop("Authorization", None)
        headers = {
            name.title(): value for name, value in request.headers.items() if name.lower() not in _NOT_SENT
        }
        try:
            answer, _token = send_signed(
                self._source,
                self._transport,
                method,
                request.url or "",
                body=_bytes_of(request.body),
                headers=headers,
                repeatable=method in _SAFE,
                timeout=self._timeout(options.get("timeout")),
            )
        except ConnectionTimeout as error:
            raise NoConnectionInTime(str(error), request=request) from None
        except ConnectionFailed as error:
            raise NoConnection(str(error), request=request) from None
        return response_of(answer, request)

    def close(self) -> None:
        """Leave the connections open: they are the login's."""

    def _timeout(self, asked: Any) -> Timeout | None:
        if asked is None:
            return None
        connect, read = asked if isinstance(asked, tuple) and len(asked) == 2 else (asked, asked)
        own = self._transport.timeout
        return Timeout.of((own.connect if connect is None else connect, own.read if read is None else read))


def _bytes_of(body: Any) -> bytes | None:
    """Return a body whole: m3ter takes half a megabyte, so that nothing is won by sending it in pieces."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read()) if hasattr(body, "read") else b"".join(body)


def response_of(answer: Answer, request: requests.PreparedRequest | None = None) -> requests.Response:
    """Return an answer as people know it from ``requests``.

    Args:
        answer: what came.
        request: that it answers; None for one made of what the answer knows, its Authorization masked.
    """
    # The body has been decompressed already.
    headers = HTTPHeaderDict(answer.headers)
    encoding = headers.pop("Content-Encoding", None)
    raw = HTTPResponse(
        io.BytesIO(answer.content),
        headers,
        answer.status,
        reason=answer.reason,
        preload_content=False,
        decode_content=False,
        enforce_content_length=False,
    )
    response: requests.Response = HTTPAdapter().build_response(request or _request_of(answer), raw)
    _ = response.content  # the property reads the body
    if encoding is not None:
        response.headers["Content-Encoding"] = encoding
    return response


def _request_of(answer: Answer) -> requests.PreparedRequest:
    return requests.Request(
        answer.method,
        answer.url,
        headers={**answer.sent_headers, "Authorization": "Bearer <hidden>"},
        data=answer.sent or None,
        auth=lambda prepared: prepared,  # or a user name in the URL would replace the mask
    ).prepare()
