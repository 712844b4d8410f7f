"""The pace of requests: evenly spaced within m3ter's limits, and one pause for all threads where m3ter asks for one.

Limits: 50 requests a second of the organization, 5,000 in five minutes from one address
(https://www.m3ter.com/docs/guides/m3ter-apis/ingest-api-limits). Evenly spaced, because what leaves in a burst
arrives in another second than it left in.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from m3ter_nb.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEFAULT_RATE", "WINDOW", "Pace", "Stopped", "checked_rate", "seconds_for"]

#: Requests a second, and in five minutes: below both limits.
DEFAULT_RATE: Final = (45.0, 4950)
#: Seconds of the second limit.
WINDOW: Final = 300.0
# Seconds of sleep at a time, so that a stop is met soon.
_NAP: Final = 0.25
_PAUSES: Final = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0)


class Stopped(Exception):
    """The run has ended while this thread waited for its turn."""


class Pace:
    """Gives each request its turn. Safe to share between threads.

    Args:
        rate: requests a second, and in five minutes.
        monotonic: returns the time in seconds.
        sleep: waits a number of seconds.
    """

    def __init__(
        self, rate: tuple[float, int], *, monotonic: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        self._gap = 1.0 / rate[0]
        self._most = rate[1]
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0
        self._turns: deque[float] = deque()
        self._pauses = 0
        self._paused_until = 0.0
        self.stopping = threading.Event()

    def change(self, rate: tuple[float, int]) -> None:
        """Go on at another rate."""
        with self._lock:
            self._gap = 1.0 / rate[0]
            self._most = rate[1]

    def turn(self) -> None:
        """Wait for the next turn.

        Raises:
            Stopped: the run has ended.
        """
        with self._lock:
            now = self._monotonic()
            at = max(now, self._next)
            while self._turns and self._turns[0] <= at - WINDOW:
                self._turns.popleft()
            # More than one turn is over the limit where the rate was changed to less.
            while len(self._turns) >= self._most:
                at = max(at, self._turns.popleft() + WINDOW)
            self._next = at + self._gap
            self._turns.append(at)
        self.wait_until(at)
        # A pause that began meanwhile holds for those who wait already.
        while (until := self._paused_until) > self._monotonic():
            self.wait_until(until)

    def pause(self, began: float, asked: float | None = None) -> float:
        """Hold all threads: longer each time until :meth:`resume`; return the seconds.

        Args:
            began: when the request that was refused had its turn: those of before a pause add none.
            asked: seconds that m3ter asks for, where it does.
        """
        with self._lock:
            now = self._monotonic()
            if self._paused_until > began:
                return max(0.0, self._paused_until - now)
            seconds = max(_PAUSES[min(self._pauses, len(_PAUSES) - 1)], asked or 0.0)
            self._pauses += 1
            self._paused_until = now + seconds
            self._next = max(self._next, self._paused_until)
            return seconds

    def resume(self) -> None:
        """Note that a request has come through."""
        self._pauses = 0

    def wait_until(self, moment: float) -> None:
        """Sleep, in short naps.

        Raises:
            Stopped: the run has ended.
        """
        while (left := moment - self._monotonic()) > 0:
            if self.stopping.is_set():
                raise Stopped
            self._sleep(min(left, _NAP))
        if self.stopping.is_set():
            raise Stopped


def checked_rate(rate: object) -> tuple[float, int]:
    """Return a rate if it is one: requests a second, and in five minutes.

    Raises:
        InvalidArgument: it is none.
    """
    if isinstance(rate, (tuple, list)) and len(rate) == 2:
        second, window = rate
        numbers = all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in rate)
        if numbers and 0 < second <= 1000 and 1 <= window <= 300_000:
            return float(second), int(window)
    raise InvalidArgument(
        "rate= is two numbers: requests a second, and requests in five minutes, as (45, 4950)."
    )


def seconds_for(requests: int, rate: tuple[float, int]) -> float:
    """Return how long the limits make so many requests take."""
    if requests < 2:
        return 0.0
    windows, rest = divmod(requests - 1, rate[1])
    return windows * max(WINDOW, rate[1] / rate[0]) + rest / rate[0]
