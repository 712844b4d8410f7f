"""A call with the token of a source, and once more with a newer one where the token was to blame."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from m3ter_nb.auth.token import bearer

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.auth.token import Token
    from m3ter_nb.wire.answer import Answer
    from m3ter_nb.wire.transport import Transport

__all__ = ["REFUSED", "send_signed"]

#: The statuses with which a token may have been refused.
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def send_signed(
    source: TokenSource, transport: Transport, method: str, url: str, **request: Any
) -> tuple[Answer, Token]:
    """Send a request with a fresh token; return the answer, and the token that it was given to.

    Args:
        source: gives the token.
        transport: to the API.
        method: upper case.
        url: absolute.
        request: further arguments of :meth:`Transport.send`.

    Raises:
        NotLoggedIn, LoginRefused: as :meth:`TokenSource.token`.
        ConnectionFailed, UnsafeDestination: as :meth:`Transport.send`.
    """
    token = source.token()
    answer = transport.send(method, url, authorization=_signing(source, token), **request)
    if answer.status in REFUSED:
        call, challenge = f"{method} {url}", answer.headers.get("WWW-Authenticate")
        newer = source.after_refusal(token, challenge, call=call)
        if newer is not None:
            answer = transport.send(method, url, authorization=source.authorization, **request)
            source.note_answer(call, challenge, refused=answer.status in REFUSED)
            return answer, newer
    return answer, token


def _signing(source: TokenSource, token: Token) -> Callable[[], str]:
    """Return what signs the first attempt with a token, and each later one with a token that is good by then."""
    first = [bearer(token)]
    return lambda: first.pop() if first else source.authorization()
