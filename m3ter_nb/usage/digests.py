"""Finding rows by digests, in memory that is 16 bytes a row, and another 16 while somebody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Index", "pairs"]


def pairs(digests: bytes | bytearray) -> np.ndarray[Any, Any]:
    """Return digests of 16 bytes as two numbers each."""
    return np.frombuffer(digests, "<u8").reshape(-1, 2)


class Index:
    """Says where digests stand in a row of many.

    Args:
        digests: 16 bytes each, one behind the other.
    """

    def __init__(self, digests: bytes | bytearray) -> None:
        self._pairs = pairs(digests)
        self._order = np.argsort(self._pairs[:, 0], kind="stable")
        self._sorted = self._pairs[:, 0][self._order]

    def __len__(self) -> int:
        return len(self._order)

    def find(self, digests: Sequence[bytes]) -> list[int]:
        """Return the first place of each digest, or -1."""
        wanted = pairs(b"".join(digests))
        places = np.searchsorted(self._sorted, wanted[:, 0])
        found = np.full(len(wanted), -1)
        inside = np.flatnonzero(places < len(self._sorted))
        rows = self._order[places[inside]]
        there = self._pairs[rows, 0] == wanted[inside, 0]
        same = there & (self._pairs[rows, 1] == wanted[inside, 1])
        found[inside[same]] = rows[same]
        for number in inside[there & ~same].tolist():  # two digests that begin alike
            found[number] = self._place(int(places[number]), wanted[number], 0)
        return list(found.tolist())

    def find_nth(self, digest: bytes, number: int) -> int:
        """Return the place of a digest that stands there several times, counted from 0, or -1."""
        wanted = pairs(digest)[0]
        return self._place(int(np.searchsorted(self._sorted, wanted[0])), wanted, number)

    def _place(self, at: int, wanted: np.ndarray[Any, Any], number: int) -> int:
        while at < len(self._order) and self._sorted[at] == wanted[0]:
            if self._pairs[self._order[at], 1] == wanted[1]:
                if not number:
                    return int(self._order[at])
                number -= 1
            at += 1
        return -1
