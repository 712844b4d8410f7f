"""Clocks that move only when a test says so."""

from __future__ import annotations

import time

from m3ter_nb.wire.clock import Clock


class TwoClocks:
    """A wall clock and a monotonic clock that move only when a test says so."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.monotonic = 5_000.0
        self.clock = Clock(lambda: self.wall, lambda: self.monotonic)

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += seconds
        self.monotonic += seconds


def short_waits(times: float) -> Clock:
    """Return a clock that is true, but for its waits, which take a fraction of their time."""
    skipped = [0.0]

    def sleep(seconds: float) -> None:
        time.sleep(seconds / times)
        skipped[0] += seconds - seconds / times

    return Clock(time.time, lambda: time.monotonic() + skipped[0], sleep)


def fast_clock(times: float) -> Clock:
    """Return a clock that runs so many times as fast as the real one."""
    wall, monotonic = time.time(), time.monotonic()
    return Clock(
        lambda: wall + (time.monotonic() - monotonic) * times,
        lambda: monotonic + (time.monotonic() - monotonic) * times,
        lambda seconds: time.sleep(seconds / times),
    )
