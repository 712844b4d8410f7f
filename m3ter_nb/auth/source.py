"""The source that keeps a token fresh.

A token is renewed ahead of its end, by one request however many threads wait; what fails is said once.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from m3ter_nb.auth.token import Token, time_left
from m3ter_nb.errors import M3terError, NotLoggedIn, TokenExpired
from m3ter_nb.hiding import Hidden
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock, Moment

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_MARGIN", "REFUSED", "TokenSource"]

#: The statuses with which a token may have been refused.
REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
#: Seconds before its end at which a token is renewed, where nothing else is set.
DEFAULT_MARGIN = 300.0
# A token of a few seconds must not be renewed before every call.
_MARGIN_OF_LIFETIME = 0.1
# Seconds after a failed renewal in which nobody tries again, unless a call needs a token and this one has ended.
_RENEWAL_PAUSE = 30.0


class TokenSource:
    """Gives a token that is fresh, and asks for a new one where it is not: once, however many threads wait.

    Args:
        token: the token to start with, or None to fetch the first one when it is needed.
        fetch: asks for a new token; None where the token cannot be renewed.
        margin: seconds before its end at which a token is renewed; at most a tenth of its lifetime.
        clock: where time comes from.
        notify: is told, once, when a renewal failed while the token is still valid.
        identity: tells the key that the token was issued to from others, without telling what it is.

    Attributes:
        identity: as given.
    """

    def __init__(
        self,
        token: Token | None = None,
        fetch: Callable[[], Token] | None = None,
        *,
        margin: float = DEFAULT_MARGIN,
        clock: Clock = SYSTEM_CLOCK,
        notify: Callable[[str], None] | None = None,
        identity: int | None = None,
    ) -> None:
        self.identity = identity
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
        self._clocks_agree = True
        self._absence = "There is no token; log in first (%m3ter_login, or m3ter_nb.login())."

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

    @property
    def failure(self) -> M3terError | None:
        """Why the last renewal failed; None where it did not."""
        return self._failure

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

    def authorization(self) -> Hidden:
        """Return the Authorization header of a call (RFC 6750 section 2.1), with a token that is good for it.

        Raises:
            As :meth:`token`.
        """
        return Hidden("Bearer " + self.token())

    def renew(self, stale: Token | None) -> Token:
        """Return a newer token than ``stale``; of several threads with the same stale token, one asks.

        Raises:
            As :meth:`token`.
        """
        return self._renewed(stale, forced=True)

    def after_refusal(self, token: Token) -> Token | None:
        """Return a newer token than one that was refused; None where its age cannot be the reason.

        Args:
            token: that a call carried, and that was answered with 401 or 403.

        Raises:
            As :meth:`token`.
        """
        too_old = self._token is not token or self.near_end() or self._past_exp(token)
        if not (self.renews and too_old):
            return None
        newer = self.renew(token)
        # A new token that has already ended by its claim tells that our clock and m3ter's differ by hours: from now
        # on the claim says nothing, or every refusal would cost a token.
        self._clocks_agree = self._clocks_agree and not self._past_exp(newer)
        return newer

    def _past_exp(self, token: Token) -> bool:
        if token.exp is None or not self._clocks_agree:
            return False
        return token.exp <= self._clock.wall() + self.margin

    def forget(self, reason: str = "") -> None:
        """Drop the token and what could renew it.

        Args:
            reason: what whoever asks for a token from now on is told.
        """
        with self._lock:
            self._token = self._fetch = None
            self._absence = reason or self._absence

    def adopt(self, newer: TokenSource) -> None:
        """Go on with the token of a later login and with what renews it, as does everyone who holds this source."""
        with self._lock:
            self._token, self._fetch = newer._token, newer._fetch
            self._margin, self._clock, self._notify = newer._margin, newer._clock, newer._notify
            self._failed_at, self._failure, self._said_so = None, None, False
            self._clocks_agree = newer._clocks_agree

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
            raise NotLoggedIn(self._absence)
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
