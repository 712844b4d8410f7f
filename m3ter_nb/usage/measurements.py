"""Measurements as bytes: the canonical JSON of a row, its uid, and requests of at most 1,000 rows and 500,000 bytes.

The uid of a row is a digest of all that is sent (or of ``key=``, or the source's own), so that sending twice counts
once: m3ter drops a measurement whose uid it has had within 35 days
(https://develop.d7sdjc0cnoxgl.amplifyapp.com/docs/faqs/faqs-metering).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from m3ter_nb.usage.values import Spelled

if TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from m3ter_nb.usage.columns import Cells
    from m3ter_nb.usage.meter import Columns, Meter

__all__ = [
    "DIGEST_BYTES",
    "FORMAT",
    "LONGEST_UID",
    "MOST_BYTES",
    "MOST_ROWS",
    "Batch",
    "Writer",
    "Written",
    "batch_ends",
    "batches",
    "digest",
]

#: Changes when the same row gets another uid than before: a journal of another format is of no use.
FORMAT: Final = 1
#: Of a digest: 128 bits, of which two of 10^10 rows are equal once in 10^19 times.
DIGEST_BYTES: Final = 16
#: Characters (OpenAPI document, MeasurementRequest.uid).
LONGEST_UID: Final = 50
#: Measurements of one request (OpenAPI document, SubmitMeasurementsRequest).
MOST_ROWS: Final = 1000
#: Of one request; the documentation says "less than 512,000".
MOST_BYTES: Final = 500_000
_HEAD, _TAIL = b'{"measurements":[', b"]}"


@dataclass(slots=True)
class Batch:
    """One request, or what is being gathered for one.

    Attributes:
        positions: of its rows in the source, from 0.
        digests: of their uids: what the journal knows them by.
        contents: of each the digest of all but the uid.
        measurements: their JSON.
    """

    positions: list[int]
    digests: list[bytes]
    contents: list[bytes]
    measurements: list[bytes]

    def __len__(self) -> int:
        return len(self.positions)

    def body(self) -> bytes:
        """Return what is posted."""
        return _HEAD + b",".join(self.measurements) + _TAIL

    def part(self, first: int, last: int) -> Batch:
        """Return some of the rows, as a slice does."""
        return Batch(
            self.positions[first:last],
            self.digests[first:last],
            self.contents[first:last],
            self.measurements[first:last],
        )

    def joined(self, other: Batch) -> Batch:
        """Return these rows and others behind them."""
        return Batch(
            self.positions + other.positions,
            self.digests + other.digests,
            self.contents + other.contents,
            self.measurements + other.measurements,
        )

    def chosen(self, keep: Sequence[bool]) -> Batch:
        """Return the rows for which ``keep`` is true."""
        return Batch(
            list(compress(self.positions, keep)),
            list(compress(self.digests, keep)),
            list(compress(self.contents, keep)),
            list(compress(self.measurements, keep)),
        )


def digest(content: bytes) -> bytes:
    """Return the 128-bit digest of bytes."""
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


class Written(NamedTuple):
    """Rows of a piece, written.

    Attributes:
        names: of each row the digest of its uid, but for the number of a repeated row.
        bodies: of each row the JSON of all but the uid, without the brace before it; of a bad row something.
    """

    names: list[bytes]
    bodies: list[bytes]

    def mark(self) -> bytes:
        """Return what tells whether a piece that is read again is the same."""
        return digest(b"".join(self.names) + b"\n".join(self.bodies))


class Writer:
    """Writes rows as measurements.

    Args:
        meter: the meter.
        columns: which column holds what; with neither uid nor key a uid is a digest of all that is sent.
    """

    def __init__(self, meter: Meter, columns: Columns) -> None:
        self._template = _template(meter, columns)
        self._key_head = f"{encode_basestring(meter.code)},".encode()
        self._by_uid = columns.uid is not None
        self._by_key = columns.key is not None

    @property
    def by_content(self) -> bool:
        """Whether uids are digests of all that is sent."""
        return not (self._by_uid or self._by_key)

    def bodies(self, cells: Cells) -> list[bytes]:
        """Return of each row the JSON of all but the uid, without the brace before it; of a bad row something."""
        return self._lines(cells.parts)

    def _lines(self, parts: list[list[Any]]) -> list[bytes]:
        return [line.encode() for line in map(self._template.__mod__, zip(*parts, strict=True))]

    def names(self, cells: Cells, bodies: list[bytes]) -> list[bytes]:
        """Return of each row the digest of its uid, but for the number of a repeated row."""
        if cells.uids is not None:
            return [digest(_sent_uid(uid).encode()) if uid else digest(b"") for uid in cells.uids]
        if cells.keys is not None:
            return [digest(self._key_head + key.encode(errors="surrogatepass")) for key in cells.keys]
        return self.contents(cells, bodies)

    def contents(self, cells: Cells, bodies: list[bytes]) -> list[bytes]:
        """Return of each row the digest of all but the uid, the same whatever file it is read from."""
        parts = [
            [each.whole if type(each) is Spelled else each for each in part]
            if Spelled in set(map(type, part))
            else part
            for part in cells.parts
        ]
        same = all(one is other for one, other in zip(parts, cells.parts, strict=True))
        return [digest(body) for body in (bodies if same else self._lines(parts))]

    def written(self, cells: Cells) -> Written:
        """Return the rows of a piece, written."""
        bodies = self.bodies(cells)
        return Written(self.names(cells, bodies), bodies)

    def rows(
        self,
        cells: Cells,
        first: int,
        left_out: set[int],
        repeated: Collection[bytes],
        seen: defaultdict[bytes, int],
        *,
        written: Written | None = None,
    ) -> Batch:
        """Return the rows of a piece that can be sent, as one batch of any length.

        Args:
            cells: of the piece.
            first: position of its first row.
            left_out: rows of the piece that are not sent; those that share a key are added.
            repeated: digests that more than one row of the source has.
            seen: how many rows of each of these came before; it is counted on.
            written: the piece, where it is written already.
        """
        names, bodies = written or self.written(cells)
        digests = list(names)
        contents = digests if self.by_content else self.contents(cells, bodies)
        uids = (
            [_sent_uid(uid) if uid else "" for uid in cells.uids]
            if cells.uids is not None
            else [each.hex() for each in digests]
        )
        if repeated:
            self._number(digests, uids, repeated, seen, left_out)
        if self._by_uid:
            uids = [encode_basestring(uid)[1:-1] for uid in uids]
        measurements = [
            b'{"uid":"%s",%s' % (uid.encode(), body) for uid, body in zip(uids, bodies, strict=True)
        ]
        batch = Batch(list(range(first, first + cells.rows)), digests, contents, measurements)
        return batch.chosen([row not in left_out for row in range(cells.rows)]) if left_out else batch

    def _number(
        self,
        digests: list[bytes],
        uids: list[str],
        repeated: Collection[bytes],
        seen: defaultdict[bytes, int],
        left_out: set[int],
    ) -> None:
        """Give the second and later of identical rows a number, or leave those out that share a key."""
        for row, name in enumerate(digests):
            if name not in repeated or row in left_out:
                continue
            number = seen[name]
            seen[name] += 1
            if number and not self.by_content:
                left_out.add(row)
            elif number:
                uids[row] = f"{uids[row]}-{number}"
                digests[row] = digest(uids[row].encode())


def batches(pieces: Iterable[Batch]) -> Iterator[Batch]:
    """Yield requests of at most 1,000 rows and 500,000 bytes from rows that come in pieces of any length."""
    rest = Batch([], [], [], [])
    for piece in pieces:
        rest = rest.joined(piece)
        first = 0
        for last in batch_ends([len(each) for each in rest.measurements]):
            yield rest.part(first, last)
            first = last
        rest = rest.part(first, len(rest))
    if len(rest):
        yield rest


def batch_ends(lengths: list[int]) -> Iterator[int]:
    """Yield where each full request ends, given the bytes of each row; what is behind the last one waits for more."""
    size, first = len(_HEAD) + len(_TAIL), 0
    total = size
    for index, length in enumerate(lengths):
        total += length + 1
        if index > first and (index - first >= MOST_ROWS or total > MOST_BYTES):
            yield index
            first, total = index, size + length + 1


def _sent_uid(uid: str) -> str:
    """Return the source's own id as it is sent: one that is too long by its digest."""
    return uid if len(uid) <= LONGEST_UID else digest(uid.encode()).hex()


def _template(meter: Meter, columns: Columns) -> str:
    """Return the JSON of a measurement without its uid, with ``%s`` for each part in the order of ``Cells.parts``."""
    maps: dict[str, list[str]] = {}
    for each in meter.fields:
        maps.setdefault(each.category.lower(), []).append(f"{_name(each.code)}:%s")
    ends = ',"ets":"%s"' if columns.ets is not None else ""
    head = f'"meter":{_name(meter.code)},"account":%s,"ts":"%s"{ends}'
    body = "".join(f",{_name(name)}:{{{','.join(fields)}}}" for name, fields in maps.items())
    return f"{head}{body}}}"


def _name(name: str) -> str:
    return encode_basestring(name).replace("%", "%%")
