"""What the check keeps of one piece of the source, so that the piece itself can stay where it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from m3ter_nb.usage.columns import Fault
from m3ter_nb.usage.measurements import LONGEST_UID, MOST_BYTES, digest

if TYPE_CHECKING:
    from m3ter_nb.usage.columns import Cells
    from m3ter_nb.usage.measurements import Writer
    from m3ter_nb.usage.meter import Columns

__all__ = ["Piece", "examine", "mark_of"]

# Bytes of a row but for its uid and what a request has around it.
_LARGEST: Final = MOST_BYTES - 500


@dataclass(slots=True)
class Piece:
    """One piece of the source, examined.

    Attributes:
        rows: how many.
        accounts: of each row the account code as JSON; None where there is none.
        faults: what is wrong, by rows of the piece.
        reasons: the rows that cannot be sent, each with the first reason.
        names: of each row the digest of its uid.
        contents: of each row the digest of all but the uid; empty where nobody compares them.
        sizes: bytes of each row that can be sent.
        start, end: the earliest and the latest time, or None.
        mark: tells whether the piece is the same when it is read again.
    """

    rows: int
    accounts: list[Any]
    faults: list[Fault]
    reasons: dict[int, str]
    names: list[bytes]
    contents: list[bytes]
    sizes: list[int]
    start: np.datetime64 | None
    end: np.datetime64 | None
    mark: bytes


def examine(
    cells: Cells, writer: Writer, columns: Columns, latest: np.datetime64, *, with_contents: bool
) -> Piece:
    """Examine a piece.

    Args:
        cells: the piece, read.
        writer: of the meter.
        columns: which column holds what.
        latest: a row of a later time cannot be sent.
        with_contents: whether the contents are wanted.
    """
    faults = list(cells.faults)
    late = np.flatnonzero(cells.moments > latest).tolist()
    if late:
        faults.append(Fault("FutureTimestamp", columns.ts, late))
    written = writer.written(cells)
    bodies = written.bodies
    large = [row for row, body in enumerate(bodies) if len(body) > _LARGEST]
    if large:
        faults.append(Fault("TooLarge", "", large))
    cells.faults = faults
    reasons = cells.reasons()
    long = [row for row, uid in enumerate(cells.uids or ()) if uid and len(uid) > LONGEST_UID]
    if long:
        faults.append(Fault("LongUid", columns.uid or "", long, is_problem=False))
    moments = cells.moments[~np.isnat(cells.moments)]
    return Piece(
        cells.rows,
        cells.parts[0],
        faults,
        reasons,
        written.names,
        writer.contents(cells, bodies) if with_contents else [],
        # Of a uid: its 32 or at most 50 characters, two quotes, the key and a comma.
        [len(body) + LONGEST_UID for row, body in enumerate(bodies) if row not in reasons],
        moments.min() if moments.size else None,
        moments.max() if moments.size else None,
        written.mark(),
    )


def mark_of(names: list[bytes], contents: list[bytes]) -> bytes:
    """Return what tells whether a piece that is read again is the same."""
    return digest(b"".join(names) + b"".join(contents))
