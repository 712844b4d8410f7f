"""Bearer tokens: the value, the grant that fetches one, and the source that keeps one fresh.

The grant is OAuth 2.0 client credentials (RFC 6749 section 4.4) as m3ter documents it
(https://docs.m3ter.com/api/authentication): ``POST {base}/oauth/token``, HTTP Basic of ``key id:secret``, the form
body ``grant_type=client_credentials``. There is no refresh token: a token is renewed by asking for another.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import threading
from typing import TYPE_CHECKING, Any, Never, Self

from requests.auth import AuthBase

from m3ter_nb.bodies import decode_body
from m3ter_nb.clock import SYSTEM_CLOCK, Clock, Moment
from m3ter_nb.errors import (
    ConnectionFailed,
    InvalidArgument,
    LoginRefused,
    M3terError,
    NotLoggedIn,
    TokenExpired,
    UnexpectedAnswer,
    UnsafeDestination,
)
from m3ter_nb.frames import without_frames
from m3ter_nb.transport import Transport, origin, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from m3ter_nb.credentials import Credentials

__all__ = ["Clock", "Token", "TokenAuth", "TokenSource", "fetch_token", "time_left"]

#: Seconds before its end at which a token is renewed, where nothing else is set.
DEFAULT_MARGIN = 300.0
# A token of a few seconds must not be renewed before every call.
_MARGIN_OF_LIFETIME = 0.1
# Seconds after a failed renewal in which nobody tries again, unless a call needs a token and this one has ended.
_RENEWAL_PAUSE = 30.0
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


class _Hidden(str):
    """The value of an Authorization header: sent as it is, and hidden where a traceback shows the headers."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<hidden>'"


class _BasicAuth(AuthBase):
    """HTTP Basic of ``key id:secret`` in UTF-8 (RFC 7617), without the secret in a variable of any frame of ours."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = _Hidden(
            "Basic "
            + base64.b64encode(
                f"{self._credentials.key_id}:{self._credentials.reveal_secret()}".encode(),
            ).decode("ascii"),
        )
        return r


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
    response = transport.send(
        "POST",
        f"{transport.base_url}/oauth/token",
        auth=_BasicAuth(credentials),
        body="grant_type=client_credentials",
        content_type="application/x-www-form-urlencoded",
        repeatable=True,  # asking twice gives two tokens and changes nothing
        max_bytes=_LONGEST_ANSWER,
    )
    return _token_of(response, transport.host, credentials, clock)


def _token_of(response: requests.Response, host: str, credentials: Credentials, clock: Clock) -> Token:
    """Read the documented answer; its text is never repeated, for it may hold a token."""
    status = response.status_code
    if status != _HTTP_OK:
        raise _refusal(response, host, credentials)
    answer, is_json = decode_body(response.content)
    if not is_json:
        what = "a web page" if response.content.lstrip()[:1] == b"<" else "text that is not JSON"
        raise UnexpectedAnswer(
            f"{host} answered the token request with {what}; is it a m3ter API? Check the base URL "
            "(a captive portal or a proxy can also stand between).",
        )
    access_token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(access_token, str) or not access_token.strip():
        raise UnexpectedAnswer(
            f"{host} answered without an access_token; is it a m3ter API? Check the base URL."
        )
    if not access_token.isascii() or any(c.isspace() or not c.isprintable() for c in access_token):
        raise UnexpectedAnswer(
            f"{host} sent an access_token that no HTTP header can carry. Check the base URL."
        )
    if str(answer.get("token_type") or "bearer").lower() != "bearer":
        raise UnexpectedAnswer(f"{host} sent a token that is not a bearer token. Check the base URL.")
    return Token(access_token, _lifetime(answer.get("expires_in"), host), clock=clock)


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


def _refusal(response: requests.Response, host: str, credentials: Credentials) -> M3terError:
    """Return the error for a token request that was not answered with 200."""
    status = response.status_code
    if _HTTP_REDIRECT <= status < _HTTP_ERROR:
        return UnexpectedAnswer(
            f"{host} sent the token request elsewhere ({status}). The secret does not follow redirects; "
            "check the base URL.",
        )
    wait = retry_after(response)
    if status >= _HTTP_SERVER_ERROR or status == 429:  # noqa: PLR2004 - too many requests
        when = f"in {wait:.0f} s" if wait else "in a minute"
        return ConnectionFailed(f"{host} cannot give a token now ({status}). Log in again {when}.")
    return LoginRefused(
        f"{host} does not accept the Access Key id and Api Secret from {credentials.source} ({status}). "
        "Check that both belong together, are not swapped, and that the key is ACTIVE in the Console "
        "(Settings > Access > Service Users).",
        status=status,
    )


class TokenSource:
    """Gives a token that is fresh, and asks for a new one where it is not: once, however many threads wait.

    Args:
        token: the token to start with, or None to fetch the first one when it is needed.
        fetch: asks for a new token; None where the token cannot be renewed.
        margin: seconds before its end at which a token is renewed; at most a tenth of its lifetime.
        clock: where time comes from.
        notify: is told, once, when a renewal failed while the token is still valid.
    """

    def __init__(
        self,
        token: Token | None = None,
        fetch: Callable[[], Token] | None = None,
        *,
        margin: float = DEFAULT_MARGIN,
        clock: Clock = SYSTEM_CLOCK,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        self._token = token
        self._fetch = fetch
        self._margin = margin
        self._clock = clock
        self._notify = notify
        self._lock = threading.Lock()
        self._failures = 0
        self._failure: M3terError | None = None
        self._failed_at: Moment | None = None
        self._said_so = False

    @property
    def current(self) -> Token | None:
        """The token as it is, fresh or not; nothing is fetched."""
        return self._token

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._clock

    @property
    def renews(self) -> bool:
        """Whether a token near its end is renewed."""
        return self._fetch is not None

    @property
    def margin(self) -> float:
        """Seconds before the end of the present token at which it is renewed."""
        lifetime = self._token.lifetime if self._token is not None else None
        return self._margin if lifetime is None else min(self._margin, lifetime * _MARGIN_OF_LIFETIME)

    def near_end(self) -> bool:
        """Whether the present token is within the margin of its end, or past it."""
        left = self._token.seconds_left if self._token is not None else 0.0
        return left is not None and left <= self.margin

    def due(self) -> bool:
        """Whether :meth:`token` would ask for a new token now. Costs about a microsecond."""
        return self._fetch is not None and self.near_end() and not self._pausing()

    def token(self) -> Token:
        """Return a token that is good for a call.

        Raises:
            NotLoggedIn: there is none, and nothing to get one with.
            TokenExpired: it has ended, and nothing is left to renew it with.
            LoginRefused, ConnectionFailed: it has ended, and the renewal failed.
        """
        token = self._token
        if token is not None and not self.near_end():
            return token
        return self._renewed(token, forced=False)

    def renew(self, stale: Token | None) -> Token:
        """Return a newer token than ``stale``; of several threads with the same stale token, one asks.

        Raises:
            As :meth:`token`.
        """
        return self._renewed(stale, forced=True)

    def forget(self) -> None:
        """Drop the token and what could renew it."""
        with self._lock:
            self._token = self._fetch = None

    def _pausing(self) -> bool:
        return self._failed_at is not None and self._clock.elapsed(self._failed_at) < _RENEWAL_PAUSE

    def _renewed(self, stale: Token | None, *, forced: bool) -> Token:
        usable = stale is not None and not stale.expired and not forced
        failures = self._failures
        # While another thread asks, a token that is still valid serves; one that is not has to wait.
        if not self._lock.acquire(blocking=not usable):
            assert stale is not None  # noqa: S101 - usable says so
            return stale
        try:
            token = self._token
            if token is not None and token is not stale and not self.near_end():
                return token
            if self._fetch is None:
                return self._without_renewal(token)
            if usable and token is not None and self._pausing():
                return token
            if self._failures != failures and self._failure is not None:
                raise self._failure.with_traceback(None)  # it came while this thread waited its turn
            return self._fetched(token, keep=usable)
        finally:
            self._lock.release()

    def _without_renewal(self, token: Token | None) -> Token:
        if token is None:
            raise NotLoggedIn("There is no token; log in first (%m3ter_login, or m3ter_nb.login()).")
        if token.expired:
            raise TokenExpired(
                "The token has ended and cannot be renewed, for no key and secret were kept. Log in again "
                "(%m3ter_login, or m3ter_nb.login()).",
            )
        return token

    def _fetched(self, token: Token | None, *, keep: bool) -> Token:
        assert self._fetch is not None  # noqa: S101 - the caller asked
        try:
            self._token = self._fetch()
        except M3terError as error:
            self._failures += 1
            self._failed_at, self._failure = self._clock.now(), error
            if not keep or token is None:
                raise
            if self._notify is not None and not self._said_so:
                self._notify(
                    f"The token could not be renewed and has {time_left(token.seconds_left)}: {error}"
                )
            self._said_so = True
            return token
        self._failed_at, self._failure, self._said_so = None, None, False
        return self._token


class TokenAuth(AuthBase):
    """Sets ``Authorization: Bearer`` on requests to the API that issued the token, and to no other host.

    For use with plain ``requests``: ``requests.get(url, auth=m3ter_session.auth)``. Given as ``auth``, it also keeps
    ``~/.netrc`` from replacing the token.

    Args:
        source: gives the token.
        origins: where it may go, as :func:`m3ter_nb.transport.origin` gives them.
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
        r.headers["Authorization"] = _Hidden("Bearer " + token)
        return r

    def __repr__(self) -> str:
        return "TokenAuth(token hidden)"


@without_frames
def ready_token(text: str, *, source: str, clock: Clock = SYSTEM_CLOCK) -> Token:
    """Take a token that somebody else fetched (``M3TER_API_TOKEN``).

    Raises:
        TokenExpired: its ``exp`` has passed.
        InvalidArgument: it cannot be a bearer token.
    """
    text = text.strip().removeprefix("Bearer ").strip()
    if not text or not text.isascii() or any(c.isspace() or not c.isprintable() for c in text):
        raise InvalidArgument(f"The token from {source} is not one a header can carry; copy it again.")
    token = Token(text, clock=clock)
    if token.expired:
        raise TokenExpired(
            f"The token from {source} has ended; get a new one, or set a key id and secret instead."
        )
    return token
