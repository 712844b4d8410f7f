"""The token for a user's own calls with ``requests``."""

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

    For use with plain ``requests``: ``requests.get(url, auth=m3ter_session.auth)``. Given as ``auth``, it also keeps
    ``~/.netrc`` from replacing the token.

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
        return r

    def __repr__(self) -> str:
        return "TokenAuth(token hidden)"
