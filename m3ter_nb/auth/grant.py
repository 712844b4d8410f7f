"""The grant that gets a bearer token.

OAuth 2.0 client credentials (RFC 6749 section 4.4) as m3ter documents it
(https://docs.m3ter.com/api/authentication): ``POST {base}/oauth/token``, HTTP Basic of ``key id:secret``, the form
body ``grant_type=client_credentials``. There is no refresh token: a token is renewed by asking for another.
"""

from __future__ import annotations

import base64
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

from m3ter_nb.auth.token import Token, fits_a_header
from m3ter_nb.errors import ConnectionFailed, LoginRefused, M3terError, UnexpectedAnswer
from m3ter_nb.hiding import Hidden, without_frames
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock
from m3ter_nb.wire.encoding import decode_body
from m3ter_nb.wire.retry import retry_after
from m3ter_nb.wire.statuses import advice_for
from m3ter_nb.wire.transport import Transport

if TYPE_CHECKING:
    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.wire.answer import Answer

__all__ = ["fetch_token"]

# A documented answer is about 1 kB; more than this is not a token.
_LONGEST_ANSWER = 1_000_000
# Seconds: threads that need a token wait for it, and so does the first cell of a notebook.
_LONGEST_WAIT = 60.0
# What is said of the credentials: RFC 6749 section 5.2 has 400 and 401, m3ter's documentation 403.
_OF_THE_KEY = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_REDIRECTS = frozenset(range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST)) - {HTTPStatus.NOT_MODIFIED}
# Whose advice is about what is stored, or about what a call sends.
_OF_ENTITIES = frozenset(
    {
        HTTPStatus.GONE,
        HTTPStatus.PRECONDITION_FAILED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.LOCKED,
        HTTPStatus.PRECONDITION_REQUIRED,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
_NO_TOKENS = "It gives no tokens there; is it a m3ter API? Check the base URL."
_NOT_M3TER = "m3ter does not answer so: check the base URL, and what stands on the way, such as a proxy."
# m3ter's own lifetime, used where an answer does not say (docs: "expires after 18,000 seconds").
_DOCUMENTED_LIFETIME = 18_000.0


def _basic(credentials: Credentials) -> Hidden:
    """Return HTTP Basic of ``key id:secret`` in UTF-8 (RFC 7617), without the secret in a variable of any frame."""
    return Hidden(
        "Basic "
        + base64.b64encode(f"{credentials.key_id}:{credentials.reveal_secret()}".encode()).decode("ascii")
    )


@without_frames
def fetch_token(
    credentials: Credentials, transport: Transport | None = None, *, clock: Clock = SYSTEM_CLOCK
) -> Token:
    """Ask m3ter for a bearer token by the client-credentials grant.

    Args:
        credentials: of a service user.
        transport: to the API that issues the token; None for production.
        clock: where time comes from.

    Raises:
        LoginRefused: m3ter does not accept the key id and the secret.
        ConnectionFailed: and its kinds; the host could not be reached, or did not answer as m3ter does.

    Source: https://docs.m3ter.com/api/authentication, https://docs.m3ter.com/api/auth/get-token
    """
    transport = transport or Transport()
    answer = transport.send(
        "POST",
        f"{transport.base_url}/oauth/token",
        authorization=partial(_basic, credentials),
        body=b"grant_type=client_credentials",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        repeatable=True,  # asking twice gives two tokens and changes nothing
        total_timeout=min(_LONGEST_WAIT, transport.total_timeout),
        max_bytes=min(_LONGEST_ANSWER, transport.max_answer_bytes),
    )
    return _token_of(answer, transport.host, credentials, clock)


def _token_of(answer: Answer, host: str, credentials: Credentials, clock: Clock) -> Token:
    """Read the documented answer; its text is never repeated, for it may hold a token."""
    if answer.status != HTTPStatus.OK:
        raise _refusal(answer, host, credentials)
    fields, is_json = decode_body(answer.content)
    if not is_json:
        what = "a web page" if answer.content.lstrip()[:1] == b"<" else "text that is not JSON"
        raise UnexpectedAnswer(
            f"{host} answered the token request with {what}; is it a m3ter API? Check the base URL "
            "(a captive portal or a proxy can also stand between).",
        )
    access_token = fields.get("access_token") if isinstance(fields, dict) else None
    if not isinstance(access_token, str) or not access_token.strip():
        raise UnexpectedAnswer(
            f"{host} answered without an access_token; is it a m3ter API? Check the base URL."
        )
    if not fits_a_header(access_token):
        raise UnexpectedAnswer(
            f"{host} sent an access_token that no HTTP header can carry. Check the base URL."
        )
    if str(fields.get("token_type") or "bearer").lower() != "bearer":
        raise UnexpectedAnswer(f"{host} sent a token that is not a bearer token. Check the base URL.")
    return Token(access_token, _lifetime(fields.get("expires_in"), host), clock=clock)


def _lifetime(expires_in: object, host: str) -> float | None:
    """Return the lifetime in seconds; a number written as text is accepted, an absent one is the documented one."""
    if expires_in is None:
        return _DOCUMENTED_LIFETIME
    try:
        seconds = float(str(expires_in))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise UnexpectedAnswer(
            f"{host} sent an expires_in that is not a number of seconds. Check the base URL."
        )
    return seconds


def _refusal(answer: Answer, host: str, credentials: Credentials) -> M3terError:
    """Return the error for a token request that was not answered with 200."""
    status = answer.status
    if status in _REDIRECTS:
        return UnexpectedAnswer(
            f"{host} sent the token request elsewhere ({status}). The secret does not follow redirects; "
            "check the base URL.",
        )
    if status < HTTPStatus.BAD_REQUEST:
        return UnexpectedAnswer(f"{host} answered the token request with {status}. {_NOT_M3TER}")
    wait = retry_after(answer)
    advice = "" if status in _OF_ENTITIES else advice_for(answer)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and advice:
        return ConnectionFailed(f"{host} gave no token ({status}). {advice}")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        when = f"in {wait:.0f} s" if wait else "in a minute"
        return ConnectionFailed(f"{host} cannot give a token now ({status}). Try again {when}.")
    if status not in _OF_THE_KEY:
        return UnexpectedAnswer(
            f"{host} refused the token request with {status}. {_NO_TOKENS if status in _NOT_THERE else advice or _NOT_M3TER}"
        )
    return LoginRefused(
        f"{host} does not accept the Access Key ID and API Secret from {credentials.source} ({status}). "
        "Check that both belong together, are not swapped, and that the key is ACTIVE in the Console "
        "(Settings > Access > Service Users).",
        status=status,
    )
