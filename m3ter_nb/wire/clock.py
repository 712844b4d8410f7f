"""Where time comes from: a wall clock, a monotonic clock and a way to wait, injected by tests."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYSTEM_CLOCK", "Clock", "Moment", "is_seconds"]


class Moment(NamedTuple):
    """One instant, read from both clocks, in seconds."""

    wall: float
    monotonic: float


class Clock(NamedTuple):
    """Where time comes from; tests give their own.

    Attributes:
        wall: seconds since 1970 (jumps when somebody sets the clock).
        monotonic: seconds since some start (on many systems it stands still while the machine sleeps).
        sleep: waits a number of seconds.
    """

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def now(self) -> Moment:
        """Read both clocks."""
        return Moment(self.wall(), self.monotonic())

    def elapsed(self, since: Moment) -> float:
        """Return the seconds passed since a moment, by the clock that says more has passed.

        A laptop that slept through the night must not think its token is fresh (the monotonic clock may have
        stood still), nor must one whose clock was set back (the wall clock went the other way).
        """
        return max(self.wall() - since.wall, self.monotonic() - since.monotonic)


SYSTEM_CLOCK = Clock()

# What a socket takes has an end.
_LONGEST = 86_400.0


def is_seconds(value: object, *, zero: bool = False) -> bool:
    """Tell whether a value is a number of seconds, above 0 (or, with ``zero``, from 0 on) and at most a day."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value <= _LONGEST and (value > 0 or (zero and value == 0))
