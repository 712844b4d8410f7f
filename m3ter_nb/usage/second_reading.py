"""The second reading of a source: what of each piece is to be sent, and how the rows are spread over accounts and days."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import InvalidArgument, M3terError
from m3ter_nb.usage.columns import Reading
from m3ter_nb.usage.counts import Added, Ours, groups_of
from m3ter_nb.usage.measurements import Writer
from m3ter_nb.usage.submission import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from m3ter_nb.usage.columns import Cells
    from m3ter_nb.usage.job import Job
    from m3ter_nb.usage.journal import Journal
    from m3ter_nb.usage.measurements import Batch, Written
    from m3ter_nb.usage.submission import Submission
    from m3ter_nb.usage.survey import Survey

__all__ = ["SecondReading"]


class SecondReading:
    """Reads a source again that was checked, and sends on no piece that has changed since.

    Args:
        job: the source and how it is read.
        found: what the check has found.
        submission: is told of the rows that are not sent.
    """

    def __init__(self, job: Job, found: Survey, submission: Submission) -> None:
        self._job = job
        self._found = found
        self._submission = submission
        self._writer = Writer(job.meter, job.columns)

    def to_be_sent(self, journal: Journal | None) -> Iterator[Batch]:
        """Yield what is to be sent of each piece: not what is bad, and not what the journal knows.

        Raises:
            InvalidArgument: the source cannot be read, or has changed.
        """
        seen: defaultdict[bytes, int] = defaultdict(int)
        first = 0
        for cells, written in self._pieces():
            if written is None:
                raise self._changed(first)
            left_out = self._left_out(cells.parts[0], first)
            same = set(left_out)
            rows = self._writer.rows(cells, first, same, self._found.repeated, seen, written=written)
            self._submission.mark([first + row for row in same - left_out], Fate.SAME)
            yield self._without_known(rows, journal)
            first += cells.rows
        if first < self._submission.rows:
            raise self._changed(first)

    def by_account_and_day(self) -> Ours | None:
        """Count the rows that m3ter should have; None where the source is gone, or has changed."""
        ours, first, done = Ours(), 0, self._submission
        try:
            for cells, written in self._pieces():
                if written is None:
                    return None
                ours.add(cells.parts[0], cells.moments, done.fates[first : first + cells.rows])
                first += cells.rows
        except InvalidArgument:
            return None
        return ours

    def sums(self) -> tuple[Ours, Added] | None:
        """Add up the rows that m3ter should have; None where the source is gone, or has changed."""
        ours, added, first, fields = Ours(), Added(), 0, self._job.meter.fields
        try:
            for cells, written in self._pieces():
                if written is None:
                    return None
                fates = self._submission.fates[first : first + cells.rows]
                ours.add(cells.parts[0], cells.moments, fates)
                groups = groups_of(cells.parts[0], cells.moments)
                for each, values in zip(fields, cells.parts[-len(fields) :], strict=True):
                    if each.is_numeric:
                        added.add(each.code, groups, values, fates)
                first += cells.rows
        except InvalidArgument:
            return None
        return ours, added

    def _pieces(self) -> Iterator[tuple[Cells, Written | None]]:
        """Yield each piece, and how it is written; None for that where it is another one than was checked."""
        job, marks = self._job, self._found.marks
        reading = Reading(job.meter, job.columns, zone=job.options.timezone, from_text=job.source.is_text)
        for number, frame in enumerate(self._frames()):
            cells = reading.read(frame)
            written = self._writer.written(cells)
            is_same = number < len(marks) and written.mark() == marks[number]
            yield cells, written if is_same else None

    def _frames(self) -> Iterator[pd.DataFrame]:
        """Yield the pieces a second time; whatever keeps them from being read ends the run as one error.

        Raises:
            InvalidArgument: they cannot be read.
        """
        source = self._job.source
        try:
            yield from source.pieces(self._job.columns.needed(self._job.meter))
        except M3terError:
            raise
        except Exception as error:
            raise InvalidArgument(
                f"The source could be read for the check, and not again for the sending ({type(error).__name__})."
            ) from error

    def _changed(self, first: int) -> InvalidArgument:
        return InvalidArgument(
            f"The source has changed since it was checked: from row {first:,} on it holds other rows than the "
            f"{self._submission.rows:,} that were checked, so none of these was sent."
        )

    def _left_out(self, accounts: list[Any], first: int) -> set[int]:
        found = self._found
        left_out = set[int]()
        if found.bad or found.refused_accounts:
            for row, account in enumerate(accounts):
                reason = found.bad.get(first + row) or (
                    "NewAccount" if account in found.refused_accounts else ""
                )
                if reason:
                    left_out.add(row)
                    self._submission.refuse(first + row, reason, fate=Fate.LEFT_OUT)
        return left_out

    def _without_known(self, rows: Batch, journal: Journal | None) -> Batch:
        known = journal.accepted(rows.digests) if journal is not None else {}
        if not known:
            return rows
        for position, name in zip(rows.positions, rows.digests, strict=True):
            if name in known:
                self._submission.mark([position], Fate.ALREADY if known[name] else Fate.THERE)
        return rows.chosen([name not in known for name in rows.digests])
