"""The official SDK's clients on our token source.

The SDK (0.9.0) asks for a new token before every call, its async client never logs in, and its debug log prints the
key and the secret. Here the token comes from the session's source through ``httpx``'s own hook for authentication:
one token request for any number of calls, renewed near its end, and no secret in the SDK's hands.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from m3ter_nb.auth.signed_call import REFUSED
from m3ter_nb.errors import M3terError, UnsafeDestination
from m3ter_nb.extras import missing_extra
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.certificates import trusting
from m3ter_nb.wire.failures import unusable_proxy
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, origin

try:
    import httpx
    from m3ter import (
        DEFAULT_CONNECTION_LIMITS,
        APIConnectionError,
        APIStatusError,
        AsyncM3ter,
        DefaultAsyncHttpxClient,
        DefaultHttpxClient,
        M3ter,
    )
except ImportError:
    raise missing_extra("The official SDK is not installed", "sdk") from None

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator

    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.auth.token import Token
    from m3ter_nb.wire.transport import Transport

__all__ = ["async_sdk_client", "sdk_client"]

# The SDK's constructor insists on both; nothing reads them, for its login is replaced.
_UNUSED = "kept by m3ter_nb"
# What stands in a request once it has been answered: errors and answers of the SDK hold their request.
_SENT = "Bearer <hidden>"
# Under which a request keeps the error of a renewal.
_FAILURE = "m3ter_nb_failure"


class _Client(DefaultHttpxClient):
    # As the SDK's own: nobody closes a client in a notebook.
    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


class _OwnOfProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Connections that a forked child does not share: two processes on one socket read each other's answers.

    Args:
        open_: opens a transport of ``httpx``, plain or async.
    """

    def __init__(self, open_: Callable[[], Any]) -> None:
        self._open = open_
        self._process = os.getpid()
        self._opened = open_()

    def _mine(self) -> Any:
        if self._process != os.getpid():
            # The parent's is left as it is: another thread's lock on it would never be given back here.
            self._process, self._opened = os.getpid(), self._open()
        return self._opened

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = self._mine().handle_request(request)
        return answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer: httpx.Response = await self._mine().handle_async_request(request)
        return answer

    def close(self) -> None:
        self._mine().close()

    async def aclose(self) -> None:
        await self._mine().aclose()


class _SessionAuth(httpx.Auth):
    """Gives each request the session's token, and one more try with a new one where it ended on the way."""

    # A retry sends the body again, so it must be at hand.
    requires_request_body = True

    def __init__(self, source: TokenSource, transport: Transport) -> None:
        self.source = source
        self._transport = transport

    def check(self, request: httpx.Request) -> None:
        """Let a request pass that goes to the session's own API.

        Raises:
            UnsafeDestination: it goes elsewhere.
        """
        if origin(str(request.url)) not in self._transport.origins:
            raise UnsafeDestination(
                f"The m3ter token goes to {self._transport.host} only, not to {request.url.host}."
            )

    async def get_token(self) -> Token:
        """Return a fresh token. A renewal is blocking I/O: in a thread, the event loop (and the widgets) go on."""
        return await asyncio.to_thread(self.source.token) if self.source.near_end() else self.source.token()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self.source.token()
        try:
            self._sign(request, token)
            response = yield request
            if response.status_code not in REFUSED:
                return
            challenge, call = response.headers.get("WWW-Authenticate"), f"{request.method} {request.url}"
            newer = None
            with _kept_for_the_end(request):
                newer = self.source.after_refusal(token, challenge, call=call)
            if newer is not None:
                self._sign(request, newer)
                again = yield request
                self.source.note_answer(call, challenge, refused=again.status_code in REFUSED)
        finally:
            request.headers["Authorization"] = _SENT

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self.get_token()
        try:
            self._sign(request, token)
            response = yield request
            if response.status_code not in REFUSED:
                return
            challenge, call = response.headers.get("WWW-Authenticate"), f"{request.method} {request.url}"
            newer = None
            with _kept_for_the_end(request):
                newer = await asyncio.to_thread(self.source.after_refusal, token, challenge, call=call)
            if newer is not None:
                self._sign(request, newer)
                again = yield request
                self.source.note_answer(call, challenge, refused=again.status_code in REFUSED)
        finally:
            request.headers["Authorization"] = _SENT

    def _sign(self, request: httpx.Request, token: Token) -> None:
        self.check(request)
        request.headers["Authorization"] = "Bearer " + token


class _OnSession:
    """What both clients do in place of the SDK's own login."""

    session_auth: _SessionAuth

    @property
    def custom_auth(self) -> httpx.Auth:
        return self.session_auth

    @property
    def auth_headers(self) -> dict[str, str]:
        return {}

    def _validate_headers(self, headers: Any, custom_headers: Any) -> None:
        """Let a request pass without Authorization: ``custom_auth`` sets it later."""


class _SessionM3ter(_OnSession, M3ter):
    @without_frames
    def request(self, cast_to: Any, options: Any, **more: Any) -> Any:
        try:
            return super().request(cast_to, options, **more)
        except (APIConnectionError, APIStatusError) as error:
            raise _name_cause(error) from error.__cause__

    def _prepare_options(self, options: Any) -> Any:
        """Instead of the SDK's own login: have a fresh token, or raise here, where the SDK retries nothing."""
        self.session_auth.source.token()
        return _follow_no_redirect(options)

    def _prepare_request(self, request: httpx.Request) -> None:
        self.session_auth.check(request)

    def copy(self, **options: Any) -> Self:
        client = super().copy(**options)
        client.session_auth = self.session_auth
        return client

    with_options = copy


class _SessionAsyncM3ter(_OnSession, AsyncM3ter):
    @without_frames
    async def request(self, cast_to: Any, options: Any, **more: Any) -> Any:
        try:
            return await super().request(cast_to, options, **more)
        except (APIConnectionError, APIStatusError) as error:
            raise _name_cause(error) from error.__cause__

    async def _prepare_options(self, options: Any) -> Any:
        """Have a fresh token, or raise here, where the SDK retries nothing."""
        await self.session_auth.get_token()
        return _follow_no_redirect(options)

    async def _prepare_request(self, request: httpx.Request) -> None:
        self.session_auth.check(request)

    def copy(self, **options: Any) -> Self:
        client = super().copy(**options)
        client.session_auth = self.session_auth
        return client

    with_options = copy


def sdk_client(source: TokenSource, transport: Transport, org_id: str, **options: Any) -> M3ter:
    """Return ``m3ter.M3ter`` on a token source.

    Args:
        source: gives the token.
        transport: names the host, and how to reach it.
        org_id: the organization.
        options: further arguments of ``m3ter.M3ter``.
    """
    client = _SessionM3ter(**_arguments(transport, org_id, _Client, httpx.HTTPTransport, options))
    _adopt(client, source, transport)
    return client


def async_sdk_client(source: TokenSource, transport: Transport, org_id: str, **options: Any) -> AsyncM3ter:
    """Return ``m3ter.AsyncM3ter`` on a token source; arguments as for :func:`sdk_client`."""
    client = _SessionAsyncM3ter(
        **_arguments(transport, org_id, DefaultAsyncHttpxClient, httpx.AsyncHTTPTransport, options)
    )
    _adopt(client, source, transport)
    return client


def _arguments(
    transport: Transport,
    org_id: str,
    client: Callable[..., Any],
    way: Callable[..., Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    ways = _find_ways(transport, way)
    return {
        "api_key": _UNUSED,
        "api_secret": _UNUSED,
        "token": _UNUSED,
        "org_id": org_id,
        # Named, so that M3TER_BASE_URL does not send the client of one login to the host of another.
        "base_url": transport.base_url,
        "http_client": client(trust_env=False, transport=next(iter(ways.values())), mounts=ways),
        **options,
    }


def _find_ways(transport: Transport, way: Callable[..., Any]) -> dict[str, Any]:
    """Return ``httpx``'s transport to each origin: through the proxy and with the certificates of the session.

    Raises:
        ConnectionFailed: a proxy cannot be used.
    """
    # To a plain http origin there is nothing to verify, so that nothing need be loaded.
    loopback = transport.base_url.startswith("http:")
    checks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if loopback else trusting(transport.ca_bundle)
    ways = {}
    for (scheme, host, port), proxy in transport.proxies.items():
        name = f"[{host}]" if ":" in host else host
        try:
            ways[f"{scheme}://{name}:{port}"] = _OwnOfProcess(
                partial(
                    way,
                    verify=checks,
                    trust_env=False,
                    limits=DEFAULT_CONNECTION_LIMITS,
                    proxy=None if proxy is None else _proxy_of(proxy, checks),
                )
            )
        except ImportError:
            raise unusable_proxy(host, "httpx[socks]") from None
        except (httpx.InvalidURL, ValueError):
            raise unusable_proxy(host) from None
    return ways


def _proxy_of(url: str, checks: ssl.SSLContext) -> httpx.Proxy:
    parts = urlsplit(url)  # more strict than httpx, and as the session is
    return httpx.Proxy(str.__str__(url), ssl_context=checks if parts.scheme == "https" else None)


def _follow_no_redirect(options: Any) -> Any:
    """Return the options of a call that follows no redirect: a body is not for another host either."""
    options.follow_redirects = False
    return options


@contextmanager
def _kept_for_the_end(request: httpx.Request) -> Iterator[None]:
    """Keep an error of ours with the request: the SDK takes one for a broken connection, and tries three times."""
    try:
        yield
    except M3terError as error:
        request.extensions[_FAILURE] = error


def _name_cause(error: APIConnectionError | APIStatusError) -> BaseException:
    """Return our own error where that was the cause, else the SDK's."""
    cause = error.request.extensions.get(_FAILURE, error.__cause__)
    return cause if isinstance(cause, M3terError) else error


def _adopt(client: _SessionM3ter | _SessionAsyncM3ter, source: TokenSource, transport: Transport) -> None:
    client.session_auth = _SessionAuth(source, transport)
    if transport.base_url == DEFAULT_BASE_URL:
        # With a base URL that somebody gave, the SDK would post measurements to it, and not to the ingest host.
        client._base_url_overridden = False  # noqa: SLF001 - no public way
