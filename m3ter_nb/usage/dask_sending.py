"""The rows of a Dask frame by partition: what each worker is to leave out, and what the journal is told."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from m3ter_nb.usage.dask_worker import Task
from m3ter_nb.usage.measurements import DIGEST_BYTES, Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m3ter_nb.usage.journal import Journal
    from m3ter_nb.usage.survey import Survey

__all__ = ["Partitions"]


class Partitions:
    """The partitions as they were examined.

    Args:
        marks: of each what tells it from another, and its rows.
        found: what was found in them.
        journal: what was accepted before, or None.
    """

    def __init__(self, marks: Sequence[tuple[bytes, int]], found: Survey, journal: Journal | None) -> None:
        self._marks = marks
        self._found = found
        self._journal = journal if journal is not None and not journal.was_empty else None
        self._starts = list(accumulate((rows for _, rows in marks), initial=0))
        self._unverified: list[list[int]] = []
        self._tasks = self._made()

    def tasks(self) -> list[Task]:
        """Return what is to be done with each."""
        return self._tasks

    def first(self, number: int) -> int:
        """Return the position of a partition's first row."""
        return self._starts[number]

    def to_be_sent(self, number: int) -> list[int]:
        """Return the positions of the rows of a partition that are not left out."""
        task, first = self._tasks[number], self._starts[number]
        left_out = task.bad.keys() | task.same | task.already
        return [first + row for row in range(self._marks[number][1]) if row not in left_out]

    def unverified(self, number: int) -> list[int]:
        """Return the rows of a partition that m3ter had before the journal, with what content is not known."""
        return self._unverified[number]

    def batch(self, positions: list[int]) -> Batch:
        """Return rows as the journal knows them."""
        digests, contents = (
            [bytes(kept[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES]) for row in positions]
            for kept in (self._found.digests, self._found.contents)
        )
        return Batch(positions, digests, contents, [])

    def _made(self) -> list[Task]:
        seen, tasks = set[bytes](), list[Task]()
        for number, (mark, rows) in enumerate(self._marks):
            first = self._starts[number]
            names = self.batch(list(range(first, first + rows))).digests
            bad = {row: self._found.bad[first + row] for row in range(rows) if first + row in self._found.bad}
            same = set[int]()
            for row, name in enumerate(names if self._found.repeated else ()):
                if name in self._found.repeated and row not in bad:
                    same |= {row} if name in seen else set()
                    seen.add(name)
            known = self._journal.accepted(names) if self._journal is not None else {}
            already = frozenset(
                row for row, name in enumerate(names) if name in known and row not in same and row not in bad
            )
            self._unverified.append([row for row in sorted(already) if not known[names[row]]])
            tasks.append(Task(number, mark, bad, frozenset(same), already))
        return tasks
