"""The source that keeps a token fresh.

A token is renewed ahead of its end, by one request however many threads wait; what fails is said once.
"""

from __future__ import annotations

import math
import os
import re
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from m3ter_nb.auth.challenge import blames_the_token
from m3ter_nb.auth.token import Token, bearer, time_left
from m3ter_nb.errors import (
    ConnectionTimeout,
    InvalidArgument,
    LoginRefused,
    M3terError,
    NotLoggedIn,
    TokenExpired,
)
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock, Moment, is_seconds
from m3ter_nb.wording import either

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.hiding import Hidden

__all__ = ["DEFAULT_MARGIN", "TokenSource", "check_margin"]

#: Seconds before its end at which a token is renewed, where nothing else is set.
DEFAULT_MARGIN = 300.0
# A token of a few seconds must not be renewed before every call.
_MARGIN_OF_LIFETIME = 0.1
# Seconds after a failed renewal in which nobody tries again, unless a call needs a token and this one has ended. A key
# that is refused again and again is asked about less and less, twice as long each time, and then the calls wait, too.
_RENEWAL_PAUSE = 30.0
_MOST_DOUBLINGS = 7
# Seconds: a token as young as this that is refused without a reason is not to blame.
_YOUNG = 60.0
# Seconds: from this age on a token is doubted again, however often a newer one did not help.
_OLD = 3_600.0
# Calls that are told from each other; more are forgotten, which costs a token.
_MOST_CALLS = 1_000
# Seconds that a thread waits for another's renewal, which has an end of its own before that.
_LONGEST_WAIT = 90.0
# A piece of a path with a digit in it, behind the host.
_ID = re.compile(r"(?<![:/])/[^/]*\d[^/]*")

_all: weakref.WeakSet[TokenSource] = weakref.WeakSet()


def check_margin(margin: object) -> None:
    """Make sure that a margin is one.

    Raises:
        InvalidArgument: it is no number of seconds.
    """
    if not is_seconds(margin, zero=True):
        name = either("The margin", "%config M3terMagics.refresh_margin")
        raise InvalidArgument(f"{name} is a number of seconds, from 0 to a day.")


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

    Raises:
        InvalidArgument: the margin is no number of seconds.
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
        check_margin(margin)
        self.identity = identity
        self._token = token
        self._fetch = fetch
        self._margin = margin
        self._clock = clock
        self._notify = notify
        self._lock = threading.RLock()
        self._failures = 0
        self._refusals = 0
        self._failure: M3terError | None = None
        self._failed_at: Moment | None = None
        self._said_so = False
        self._clocks_agree = True
        self._in_vain: dict[tuple[str, bool], int] = {}
        self._absence = "There is no token; log in first (%m3ter_login, or m3ter_nb.login())."
        _all.add(self)

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
        """Why the last renewal failed, and when the next is tried at the earliest; None where it did not fail."""
        return self._failure and self._with_wait(self._failure)

    def near_end(self) -> bool:
        """Whether the present token is within the margin of its end, or past it."""
        left = self._token.seconds_left if self._token is not None else 0.0
        # The margin of a token is this one or less, and takes longer to find.
        return left is not None and left <= self._margin and left <= self.margin

    def due(self) -> bool:
        """Whether :meth:`token` would ask for a new token now. Costs about a microsecond."""
        return self._fetch is not None and self.near_end() and not self._pausing()

    def token(self) -> Token:
        """Return a token that is good for a call.

        Raises:
            NotLoggedIn: there is none, and nothing to get one with.
            TokenExpired: it has ended, and nothing is left to renew it with.
            LoginRefused: it has ended, and the key is refused, now or a short time ago: half a minute after the first
                refusal, twice as long after each further one, up to an hour.
            ConnectionFailed: it has ended, and the renewal failed.
        """
        token = self._token
        if token is not None and not self.near_end():
            return token
        return self._take_turn(token, forced=False)

    def authorization(self) -> Hidden:
        """Return the Authorization header of a call (RFC 6750 section 2.1), with a token that is good for it.

        Raises:
            As :meth:`token`.
        """
        return bearer(self.token())

    def renew(self, stale: Token | None) -> Token:
        """Return a newer token than ``stale``; of several threads with the same stale token, one asks.

        Raises:
            As :meth:`token`.
        """
        return self._take_turn(stale, forced=True)

    def after_refusal(self, token: Token, challenge: str | None = None, *, call: str = "") -> Token | None:
        """Return a newer token than one that was refused; None where the token cannot be the reason.

        A refusal that names the token (RFC 6750 section 3.1) is believed. One that does not may be a missing
        permission, which must not cost a token a call: then a token is to blame that has ended by one of the clocks,
        or that is more than a minute old. Where a newer token did not help (:meth:`note_answer`), neither kind of refusal
        is taken for the token's fault before it is two minutes old; then four, and so on, up to an hour.

        Args:
            token: that a call carried, and that was answered with 401 or 403.
            challenge: the ``WWW-Authenticate`` of that answer, where it has one.
            call: tells calls apart, by method and URL; ids in it do not count.

        Raises:
            As :meth:`token`.
        """
        if not self.renews or not self._is_to_blame(token, challenge, call):
            return None
        newer = self.renew(token)
        # A new token that has already ended by its claim tells that our clock and m3ter's differ by hours: from now
        # on the claim says nothing, or every refusal would cost a token.
        self._clocks_agree = self._clocks_agree and not self._past_exp(newer)
        return newer

    def note_answer(self, call: str, challenge: str | None = None, *, refused: bool) -> None:
        """Take note of how a call was answered that was made again with a newer token.

        Args:
            call: as of :meth:`after_refusal`.
            challenge: likewise.
            refused: whether the newer token was refused, too.
        """
        named = blames_the_token(challenge)
        before = self._in_vain.pop((_kind_of(call), named), 0)
        if refused:
            if len(self._in_vain) >= _MOST_CALLS:
                self._in_vain.clear()
            self._in_vain[_kind_of(call), named] = before + 1

    def _is_to_blame(self, token: Token, challenge: str | None, call: str) -> bool:
        if self._token is not token or self.near_end() or self._past_exp(token):
            return True
        named = blames_the_token(challenge)
        in_vain = self._in_vain.get((_kind_of(call), named), 0)
        return (named and not in_vain) or token.age > min(_YOUNG * 2**in_vain, _OLD)

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
            if self._token is not None or self._fetch is not None:  # the first reason is the true one
                self._absence = reason or self._absence
            self._token = self._fetch = None

    def adopt(self, newer: TokenSource) -> None:
        """Go on with the token of a later login and with what renews it, as does everyone who holds this source."""
        with self._lock:
            self._token, self._fetch = newer._token, newer._fetch
            self._margin, self._clock, self._notify = newer._margin, newer._clock, newer._notify
            self._failed_at, self._failure, self._said_so = None, None, False
            self._refusals = 0
            self._clocks_agree = newer._clocks_agree

    def renew_lock(self) -> None:
        """Take a lock of one's own, in a child process: the thread that held the parent's is not in there."""
        self._lock = threading.RLock()

    def _pausing(self) -> bool:
        return self._pause_left() > 0

    def _pause_left(self) -> float:
        """Return the seconds in which no renewal is tried."""
        if self._failed_at is None:
            return 0.0
        doublings = min(max(self._refusals - 1, 0), _MOST_DOUBLINGS)
        pause = min(_RENEWAL_PAUSE * (1 << doublings), _OLD)
        return pause - self._clock.elapsed(self._failed_at)

    def _with_wait(self, error: M3terError) -> M3terError:
        """Return the refusal of a key with the time until the next try; any other error as it is."""
        left = math.ceil(self._pause_left())
        if not isinstance(error, LoginRefused) or left <= 0:
            return error
        return LoginRefused(
            f"{error} This login asks again in {left} s at the earliest.", status=error.status
        )

    def _take_turn(self, stale: Token | None, *, forced: bool) -> Token:
        """Return a token that is good for a call: this thread's, or that of another that asked meanwhile."""
        usable = stale is not None and not stale.expired and not forced
        failures = self._failures
        # Taken within the try, and one that knows its thread: what interrupts this anywhere leaves it to the others.
        try:
            # While another thread asks, a token that is still valid serves; one that is not has to wait.
            if stale is not None and usable:
                if not self._lock.acquire(blocking=False):
                    return stale
            elif not self._lock.acquire(timeout=_LONGEST_WAIT):
                raise ConnectionTimeout(
                    f"Another thread has been asking for a new token for {_LONGEST_WAIT:g} s. Run the cell again."
                )
            token = self._token
            if token is not None and token is not stale and not self.near_end():
                return token
            if self._fetch is None:
                return self._without_renewal(token)
            if usable and token is not None and self._pausing():
                return token
            # It came while this thread waited its turn, or the key was refused a short time ago.
            if self._failure is not None and (
                self._failures != failures or (self._refusals and self._pausing())
            ):
                raise self._with_wait(self._failure).with_traceback(None)
            return self._ask(token, keep=usable)
        finally:
            with suppress(RuntimeError):  # it was not taken
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

    def _ask(self, token: Token | None, *, keep: bool) -> Token:
        assert self._fetch is not None  # noqa: S101 - the caller asked
        try:
            self._token = self._fetch()
        except M3terError as error:
            self._failures += 1
            self._refusals = self._refusals + 1 if isinstance(error, LoginRefused) else 0
            self._failed_at, self._failure = self._clock.now(), error
            if not keep or token is None:
                raise self._with_wait(error) from None
            if self._notify is not None and not self._said_so:
                self._notify(
                    f"The token could not be renewed and has {time_left(token.seconds_left)}: {self._with_wait(error)}"
                )
            self._said_so = True
            return token
        self._failed_at, self._failure, self._said_so = None, None, False
        self._refusals = 0
        return self._token


def _kind_of(call: str) -> str:
    """Return a call without its query and without ids: 403 for one product is 403 for the next."""
    return _ID.sub("/*", call.partition("?")[0])


def _after_fork() -> None:
    for source in list(_all):
        source.renew_lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
