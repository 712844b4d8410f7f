"""The token for a user's own calls with ``requests``, where a session on the login will not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests.auth import AuthBase

from m3ter_nb.errors import UnsafeDestination
from m3ter_nb.wire.hosts import origin

if TYPE_CHECKING:
    import requests

    from m3ter_nb.auth.source import TokenSource

__all__ = ["TokenAuth"]


class TokenAuth(AuthBase):
    """Sets ``Authorization: Bearer`` on requests to the API that issued the token, and to no other host.

    For tools that take an ``auth`` and make their own ``requests.Session``. Given as ``auth``, it also keeps
    ``~/.netrc`` from replacing the token, and the answer's ``request`` is left without it, so that no redirect carries it.

    It cannot keep the token out of what ``requests`` and ``http.client`` hold while they send: where a connection fails,
    a verbose traceback shows the plain request, and ``error.request`` has the header. ``m3ter_session.requests()`` has
    neither fault.

    Args:
        source: gives the token.
        origins: where it may go, as :func:`m3ter_nb.wire.hosts.origin` gives them.
    """

    def __init__(self, source: TokenSource, origins: frozenset[tuple[str, str, int]]) -> None:
        self._source = source
        self._origins = origins

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header (RFC 6750 section 2.1).

        Raises:
            UnsafeDestination: the request goes to another origin.
            NotLoggedIn, LoginRefused, ConnectionFailed: as :meth:`TokenSource.token`.
        """
        if origin(r.url or "") not in self._origins:
            hosts = ", ".join(sorted(host for _, host, _ in self._origins))
            raise UnsafeDestination(
                f"The m3ter token goes to {hosts} only, not to {origin(r.url or '')[1] or 'this URL'}."
            )
        # Asked for on a line of its own: a verbose traceback evaluates r.headers, which may hold the last token.
        authorization = self._source.authorization()
        r.headers["Authorization"] = authorization
        r.hooks["response"].append(_take_back)
        return r

    def __repr__(self) -> str:
        return "TokenAuth(token hidden)"


def _take_back(response: requests.Response, *_args: object, **_options: object) -> None:
    response.request.headers["Authorization"] = "Bearer <hidden>"
