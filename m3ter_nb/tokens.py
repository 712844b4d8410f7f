"""Bearer tokens: the value, and the grant that fetches one.

The grant is OAuth 2.0 client credentials (RFC 6749 section 4.4) as m3ter documents it
(https://docs.m3ter.com/api/authentication): ``POST {base}/oauth/token``, HTTP Basic of ``key id:secret``, the form
body ``grant_type=client_credentials``. There is no refresh token: a token is renewed by asking for another.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any, Never, Self

from m3ter_nb.errors import (
    ConnectionFailed,
    InvalidArgument,
    LoginRefused,
    M3terError,
    TokenExpired,
    UnexpectedAnswer,
)
from m3ter_nb.hiding import Hidden, without_frames
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock, Moment
from m3ter_nb.wire.encoding import decode_body
from m3ter_nb.wire.transport import Transport, retry_after

if TYPE_CHECKING:
    from m3ter_nb.credentials import Credentials
    from m3ter_nb.wire.transport import Answer

__all__ = ["Token", "fetch_token", "ready_token", "time_left"]

# A documented answer is about 1 kB; more than this is not a token.
_LONGEST_ANSWER = 1_000_000
# m3ter's own lifetime, used where an answer does not say (docs: "expires after 18,000 seconds").
_DOCUMENTED_LIFETIME = 18_000.0

_HTTP_OK = 200
_HTTP_REDIRECT = 300
_HTTP_ERROR = 400
_HTTP_SERVER_ERROR = 500


class Token(str):
    """A bearer token: showing it shows a mask, using it uses the token.

    A ``str``, so that the documented code works as printed: ``f"Bearer {token}"``, ``"Bearer " + token``, a header,
    ``json.dumps``, ``os.environ[...] = token``. Whatever only shows it (``print``, ``repr``, ``str``, ``%whos``, the
    cell's output) gets a mask that tells the time left. The mask holds ``…``, which no HTTP header can carry, so a
    masked value used by mistake (``"%s" % token``) fails at once.
    """

    __slots__ = ("_clock", "_lifetime", "_received")

    _clock: Clock
    _lifetime: float | None
    _received: Moment

    def __new__(
        cls, access_token: str, expires_in: float | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Wrap an access token.

        Args:
            access_token: the text that goes into the Authorization header.
            expires_in: seconds until it ends, counted from now. None: by its ``exp`` claim, where it has one.
            clock: where time comes from.
        """
        self = super().__new__(cls, access_token)
        self._clock = clock
        self._received = clock.now()
        if expires_in is None and self.exp is not None:
            expires_in = self.exp - self._received.wall
        self._lifetime = expires_in
        return self

    def reveal(self) -> str:
        """Return the token in clear, as a plain ``str``."""
        return str.__str__(self)

    @property
    def lifetime(self) -> float | None:
        """Seconds between its receipt and its end; None if unknown."""
        return self._lifetime

    @property
    def expires_at(self) -> float | None:
        """When it ends, in seconds since 1970; None if unknown."""
        return None if self._lifetime is None else self._clock.wall() + (self.seconds_left or 0.0)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it ends, never less than 0; None if unknown."""
        if self._lifetime is None:
            return None
        return max(0.0, self._lifetime - self._clock.elapsed(self._received))

    @property
    def expired(self) -> bool:
        """Whether it has ended, as far as is known."""
        return self.seconds_left == 0.0

    @property
    def claims(self) -> dict[str, Any]:
        """What the token says of itself, decoded but not verified; empty where it is no JWT (RFC 7519)."""
        parts = self.reveal().split(".")
        if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
            return {}
        try:
            payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (binascii.Error, ValueError, RecursionError):
            return {}
        return payload if isinstance(payload, dict) else {}

    @property
    def exp(self) -> float | None:
        """When it ends by its own claim ``exp`` (RFC 7519 section 4.1.4), in seconds since 1970; None if unknown."""
        exp = self.claims.get("exp")
        if isinstance(exp, bool) or not isinstance(exp, (int, float)):
            return None
        try:
            return float(exp) if math.isfinite(exp) else None
        except OverflowError:
            return None

    @property
    def org_id(self) -> str | None:
        """The organization it is for (claim ``orgId``), where it says."""
        org_id = self.claims.get("orgId")
        return org_id if isinstance(org_id, str) and org_id else None

    @property
    def permissions(self) -> tuple[str, ...]:
        """The actions it allows, e.g. ``MEASUREMENTS_UPLOAD``, sorted; empty where it does not say.

        m3ter writes them into the token as ``SERVICE#ACTION#ITEM#id`` (https://docs.m3ter.com/api/auth/get-token).
        """
        permissions = self.claims.get("permissions")
        granted = (
            [str(name) for name, on in permissions.items() if on] if isinstance(permissions, dict) else []
        )
        return tuple(sorted({name.split("#")[1] if "#" in name else name for name in granted}))

    def __str__(self) -> str:
        return f"<m3ter token …, {time_left(self.seconds_left)}; .reveal() shows it>"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(self.reveal(), spec)

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument(
            "A m3ter token is not pickled or stored: it would be written in clear. Use .reveal() if you mean it.",
        )

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Token:
        return self


def time_left(seconds: float | None) -> str:
    """Say how long a token lasts: ``4 h 59 min left``, ``12 s left``, ``expired``."""
    if seconds is None:
        return "end unknown"
    if seconds <= 0:
        return "expired"
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.0f} s left"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min left"


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
        content_type="application/x-www-form-urlencoded",
        repeatable=True,  # asking twice gives two tokens and changes nothing
        max_bytes=_LONGEST_ANSWER,
    )
    return _token_of(answer, transport.host, credentials, clock)


def _token_of(answer: Answer, host: str, credentials: Credentials, clock: Clock) -> Token:
    """Read the documented answer; its text is never repeated, for it may hold a token."""
    if answer.status != _HTTP_OK:
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
    if not _fits_a_header(access_token):
        raise UnexpectedAnswer(
            f"{host} sent an access_token that no HTTP header can carry. Check the base URL."
        )
    if str(fields.get("token_type") or "bearer").lower() != "bearer":
        raise UnexpectedAnswer(f"{host} sent a token that is not a bearer token. Check the base URL.")
    return Token(access_token, _lifetime(fields.get("expires_in"), host), clock=clock)


def _fits_a_header(token: str) -> bool:
    return token.isascii() and token.isprintable() and " " not in token


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
    if _HTTP_REDIRECT <= status < _HTTP_ERROR:
        return UnexpectedAnswer(
            f"{host} sent the token request elsewhere ({status}). The secret does not follow redirects; "
            "check the base URL.",
        )
    wait = retry_after(answer)
    if status >= _HTTP_SERVER_ERROR or status == 429:  # noqa: PLR2004 - too many requests
        when = f"in {wait:.0f} s" if wait else "in a minute"
        return ConnectionFailed(f"{host} cannot give a token now ({status}). Log in again {when}.")
    return LoginRefused(
        f"{host} does not accept the Access Key id and Api Secret from {credentials.source} ({status}). "
        "Check that both belong together, are not swapped, and that the key is ACTIVE in the Console "
        "(Settings > Access > Service Users).",
        status=status,
    )


@without_frames
def ready_token(text: str, *, source: str, clock: Clock = SYSTEM_CLOCK) -> Token:
    """Take a token that somebody else fetched (``M3TER_API_TOKEN``).

    Raises:
        TokenExpired: its ``exp`` has passed.
        InvalidArgument: it cannot be a bearer token.
    """
    text = text.strip().removeprefix("Bearer ").strip()
    if not text or not _fits_a_header(text):
        raise InvalidArgument(f"The token from {source} is not one a header can carry; copy it again.")
    token = Token(text, clock=clock)
    if token.expired:
        raise TokenExpired(
            f"The token from {source} has ended; get a new one, or set a key id and secret instead."
        )
    return token
