"""The official SDK's clients on our token source.

The SDK (0.9.0) asks for a new token before every call, its async client never logs in, and its debug log prints the
key and the secret. Here the token comes from the session's source through ``httpx``'s own hook for authentication:
one token request for any number of calls, renewed near its end, and no secret in the SDK's hands.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import MissingExtra, UnsafeDestination
from m3ter_nb.transport import DEFAULT_BASE_URL, origin

try:
    import httpx
    from m3ter import AsyncM3ter, M3ter
except ImportError:
    raise MissingExtra("The official SDK is not installed; run: %pip install 'm3ter-nb[sdk]'") from None

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from m3ter_nb.session import M3terSession

__all__ = ["async_sdk_client", "sdk_client"]

_REFUSED = (401, 403)
# The SDK's constructor insists on both; nothing reads them, for its login is replaced.
_UNUSED = "kept by m3ter_nb"


class _SessionAuth(httpx.Auth):
    """Gives each request the session's token, and one more try with a new one where it ended on the way."""

    # A retry sends the body again, so it must be at hand.
    requires_request_body = True

    def __init__(self, session: M3terSession) -> None:
        self._session = session

    def _signed(self, request: httpx.Request, token: str) -> None:
        if origin(str(request.url)) not in self._session.origins:
            raise UnsafeDestination(
                f"The m3ter token goes to {self._session.host} only, not to {request.url.host}."
            )
        request.headers["Authorization"] = "Bearer " + token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._session.token
        self._signed(request, token)
        response = yield request
        if response.status_code in _REFUSED and self._session.ended(token):
            self._signed(request, self._session.source.renew(token))
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        # A renewal is blocking I/O: in a thread, the event loop (and the notebook's widgets) go on.
        token = await asyncio.to_thread(lambda: self._session.token)
        self._signed(request, token)
        response = yield request
        if response.status_code in _REFUSED and self._session.ended(token):
            self._signed(request, await asyncio.to_thread(self._session.source.renew, token))
            yield request


class _OnSession:
    """What both clients do in place of the SDK's own login."""

    _session_auth: _SessionAuth

    @property
    def custom_auth(self) -> httpx.Auth:
        return self._session_auth

    @property
    def auth_headers(self) -> dict[str, str]:
        return {}

    def _validate_headers(self, headers: Any, custom_headers: Any) -> None:
        """Let a request pass without Authorization: ``custom_auth`` sets it later."""


class _SessionM3ter(_OnSession, M3ter):
    def _prepare_options(self, options: Any) -> Any:
        """Leave out the SDK's own login."""
        return options


class _SessionAsyncM3ter(_OnSession, AsyncM3ter):
    pass


def sdk_client(session: M3terSession, **options: Any) -> M3ter:
    """Return ``m3ter.M3ter`` on a session's token source.

    Args:
        session: gives token, organization and host.
        options: further arguments of ``m3ter.M3ter``.
    """
    client = _SessionM3ter(**_arguments(session), **options)
    _adopt(client, session)
    return client


def async_sdk_client(session: M3terSession, **options: Any) -> AsyncM3ter:
    """Return ``m3ter.AsyncM3ter`` on a session's token source.

    Args:
        session: gives token, organization and host.
        options: further arguments of ``m3ter.AsyncM3ter``.
    """
    client = _SessionAsyncM3ter(**_arguments(session), **options)
    _adopt(client, session)
    return client


def _arguments(session: M3terSession) -> dict[str, Any]:
    return {
        "api_key": _UNUSED,
        "api_secret": _UNUSED,
        "token": _UNUSED,
        "org_id": session.org_id,
        # Named, so that M3TER_BASE_URL does not send the client of one login to the host of another.
        "base_url": session.base_url,
    }


def _adopt(client: _SessionM3ter | _SessionAsyncM3ter, session: M3terSession) -> None:
    client._session_auth = _SessionAuth(session)  # noqa: SLF001 - our own subclass
    if session.base_url == DEFAULT_BASE_URL:
        # With a base URL that somebody gave, the SDK would post measurements to it, and not to the ingest host.
        client._base_url_overridden = False  # noqa: SLF001 - no public way
