"""How long the kernel had nothing to do before a cell: time in which messages of the front end came through."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IdleWatch"]


class IdleWatch:
    """Measures the time between two cells.

    Args:
        clock: returns seconds.

    Attributes:
        seconds: between the end of the cell before and the start of this one.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._ended = clock()
        self.seconds = 0.0

    def before_cell(self) -> None:
        """Take note that a cell starts."""
        self.seconds = self._clock() - self._ended

    def after_cell(self) -> None:
        """Take note that a cell has ended."""
        self._ended = self._clock()
