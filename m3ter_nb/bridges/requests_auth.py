"""The token for a user's own calls with ``requests``, where a session on the login will not do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from requests.auth import AuthBase

from m3ter_nb.auth.signed_call import REFUSED
from m3ter_nb.errors import UnsafeDestination
from m3ter_nb.hiding import Hidden
from m3ter_nb.wire.hosts import origin

if TYPE_CHECKING:
    import requests

    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.auth.token import Token

__all__ = ["TokenAuth"]

# What stands in a request once it has been answered.
_SENT = "Bearer <hidden>"


class TokenAuth(AuthBase):
    """Sets ``Authorization: Bearer`` on requests to the API that issued the token, and to no other host.

    For tools that take an ``auth`` and make their own ``requests.Session``. A token that is to blame for a refusal is
    renewed, and the request sent once more, unless its body is a stream. Given as ``auth``, it also keeps
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
        token = self._source.token()
        r.headers["Authorization"] = Hidden("Bearer " + token)
        r.hooks["response"].append(partial(self._settle, r, token))
        return r

    def _settle(
        self, signed: requests.PreparedRequest, token: Token, response: requests.Response, **options: Any
    ) -> requests.Response:
        """Take the header back; where the token was to blame, return the answer to one more try with a newer one."""
        request = response.request
        request.headers["Authorization"] = _SENT
        # Once is enough: a hook that holds the token would keep the answer from being pickled. A list of its own, for
        # requests goes through the other.
        request.hooks["response"] = [hook for hook in request.hooks["response"] if not self._is_ours(hook)]
        # Of a redirect, which has the hooks of the request before it, the token is no concern.
        if request is not signed or response.status_code not in REFUSED or not _can_be_repeated(signed):
            return response
        call, challenge = f"{signed.method} {signed.url}", response.headers.get("WWW-Authenticate")
        newer = self._source.after_refusal(token, challenge, call=call)
        if newer is None:
            return response
        _ = response.content  # read, so that its connection can be used again
        response.close()
        repeated = signed.copy()
        repeated.headers["Authorization"] = Hidden("Bearer " + newer)
        again: requests.Response = response.connection.send(repeated, **options)
        repeated.headers["Authorization"] = _SENT
        again.history.append(response)
        self._source.note_answer(call, challenge, refused=again.status_code in REFUSED)
        return again

    def _is_ours(self, hook: Any) -> bool:
        return isinstance(hook, partial) and hook.func == self._settle

    def __repr__(self) -> str:
        return "TokenAuth(token hidden)"


def _can_be_repeated(request: requests.PreparedRequest) -> bool:
    """Tell whether the body of a request is at hand once more; what was read from a file or a generator is not."""
    return request.body is None or isinstance(request.body, (bytes, str))
