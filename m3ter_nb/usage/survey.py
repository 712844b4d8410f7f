"""The check: one reading of the whole source, before anything is sent."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.columns import Fault, Reading
from m3ter_nb.usage.digests import pairs
from m3ter_nb.usage.journal import UNKNOWN
from m3ter_nb.usage.measurements import DIGEST_BYTES, Writer, batch_ends, digest
from m3ter_nb.usage.pace import seconds_for
from m3ter_nb.usage.piece import examine
from m3ter_nb.usage.report import MANY_ROWS, Finding, UsageReport, duration
from m3ter_nb.usage.sources import rows_at
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from m3ter_nb.usage.channel import Reader
    from m3ter_nb.usage.journal import Journal
    from m3ter_nb.usage.meter import Columns, Meter
    from m3ter_nb.usage.piece import Piece
    from m3ter_nb.usage.source import Source

__all__ = ["Survey", "survey"]

_CODES_A_REQUEST: Final = 100
_CODES_LENGTH: Final = 6000


@dataclass
class Survey:
    """What the first reading has found, and what the second one needs.

    Attributes:
        report: for the person.
        digests: of the uid of each row, 16 bytes each; a row that cannot be sent has one of its own.
        contents: of each row the digest of all but the uid, where the pieces were examined elsewhere.
        marks: of each piece what tells whether it is the same when it is read again.
        repeated: digests that more than one row has.
        bad: positions of the rows that cannot be sent, each with the reason.
        refused_accounts: account codes, as JSON, whose rows cannot be sent either.
        start, end: the earliest and the latest time, as ``datetime64[ms]``, or None.
    """

    report: UsageReport
    digests: bytearray = field(default_factory=bytearray)
    contents: bytearray = field(default_factory=bytearray)
    marks: list[bytes] = field(default_factory=list)
    repeated: set[bytes] = field(default_factory=set)
    bad: dict[int, str] = field(default_factory=dict)
    refused_accounts: frozenset[str] = frozenset()
    start: np.datetime64 | None = None
    end: np.datetime64 | None = None


class _Tally:
    """Gathers findings over pieces."""

    def __init__(self) -> None:
        self.problems: dict[tuple[str, str], Finding] = {}
        self.warnings: dict[tuple[str, str], Finding] = {}

    def add(self, fault: Fault, first: int = 0) -> None:
        kept = self.problems if fault.is_problem else self.warnings
        key = (fault.kind, fault.column)
        if key not in kept:
            kept[key] = Finding(*key)
        kept[key].add(fault.rows, first)


class _Accounts:
    """Counts the account codes of the rows, and finds those that m3ter does not know."""

    def __init__(self) -> None:
        self.rows: Counter[Any] = Counter()
        self.bad: Counter[Any] = Counter()
        self.first: dict[str, int] = {}

    def add(self, codes: list[Any], first: int, bad: Iterable[int]) -> None:
        self.rows.update(codes)
        self.bad.update(codes[row] for row in bad)
        for code in set(codes) - self.first.keys():
            self.first[code] = first + codes.index(code)

    def codes(self) -> dict[str, str]:
        """Return each code, and how it is written in JSON."""
        return {json.loads(each): each for each in self.rows if each is not None}

    def unknown(self, reader: Reader) -> list[str]:
        """Return the codes that m3ter does not know, in the order of their first rows."""
        codes = self.codes()
        with_comma = any("," in code for code in codes)
        known = set[str]()
        # A comma in a filter divides two codes.
        for few in [()] if with_comma else _in_groups(list(codes)):
            filters = {"codes": list(few)} if few else {}
            known.update(str(each.get("code")) for each in reader.pages("accounts", **filters))
        return sorted(codes.keys() - known, key=lambda code: self.first[codes[code]])


def survey(
    source: Source,
    meter: Meter,
    columns: Columns,
    reader: Reader,
    *,
    zone: str,
    new_accounts: str,
    rate: tuple[float, int],
    journal: Journal | None,
    now: Callable[[], float],
    told: Callable[[int], None],
    examined: Callable[[np.datetime64], Iterable[Piece]] | None = None,
) -> Survey:
    """Read the whole source and say what is wrong with it; m3ter is asked for its accounts only.

    Raises:
        InvalidArgument: too many rows for uids by content.
        ApiError, ConnectionFailed: m3ter could not be asked.
    """
    check = _Check(source, meter, columns, zone, journal, keeps_contents=examined is not None)
    latest = np.datetime64(int(now() * 1000), "ms")
    check.read(latest, told, examined(latest) if examined is not None else None)
    check.note_repeats()
    check.note_accounts(reader, create=new_accounts == "create")
    return check.finished(rate)


class _Check:
    """A check under way."""

    def __init__(
        self,
        source: Source,
        meter: Meter,
        columns: Columns,
        zone: str,
        journal: Journal | None,
        *,
        keeps_contents: bool,
    ) -> None:
        self._source = source
        self._columns = columns
        self._needed = columns.needed(meter)
        self._keeps_contents = keeps_contents
        self._journal = journal
        self._reading = Reading(meter, columns, zone=zone, from_text=source.is_text)
        self._writer = Writer(meter, columns)
        self._found = Survey(UsageReport(meter.code))
        self._tally, self._accounts, self._sizes = _Tally(), _Accounts(), _Sizes()

    def read(
        self, latest: np.datetime64, told: Callable[[int], None], pieces: Iterable[Piece] | None = None
    ) -> None:
        """Read the source, piece by piece, or take pieces that were examined elsewhere."""
        report = self._found.report
        for piece in self._examined(latest) if pieces is None else pieces:
            self._take(piece)
            for fault in piece.faults:
                self._tally.add(fault, report.rows)
            self._accounts.add(piece.accounts, report.rows, piece.reasons)
            self._extend_period(piece)
            report.rows += piece.rows
            told(piece.rows)
            if self._writer.by_content and report.rows > MANY_ROWS:
                raise InvalidArgument(
                    f"More than {MANY_ROWS:,} rows need {option('uid')} or {option('key')}: without, a digest of every row is "
                    f"kept in memory. Name the column of the source's own ids with {option('uid')}. Nothing was sent."
                )

    def _examined(self, latest: np.datetime64) -> Iterator[Piece]:
        compares = self._journal is not None and not self._writer.by_content and not self._journal.was_empty
        for frame in self._source.pieces(self._needed):
            cells = self._reading.read(frame)
            yield examine(cells, self._writer, self._columns, latest, with_contents=compares)

    def _take(self, piece: Piece) -> None:
        names, first = piece.names, self._found.report.rows
        self._found.marks.append(piece.mark)
        self._note_sent(piece)
        for row, reason in piece.reasons.items():
            names[row] = digest(b"row %d" % (first + row))
            self._found.bad[first + row] = reason
        self._found.digests += b"".join(names)
        if self._keeps_contents:
            self._found.contents += b"".join(piece.contents)
        self._sizes.add(piece.sizes)

    def _note_sent(self, piece: Piece) -> None:
        """Find rows that differ from what was sent under their uid, and rows that were sent under another one."""
        journal, by_content = self._journal, self._writer.by_content
        if journal is None or journal.was_empty:
            return
        contents = piece.names if by_content else piece.contents
        sent = journal.contents(piece.names)
        changed, again = list[int](), list[int]()
        otherwise = journal.sent_otherwise(contents, self._columns.way, by_content=by_content)
        for row, (name, content) in enumerate(zip(piece.names, contents, strict=True)):
            if name not in sent:
                if otherwise[row]:
                    again.append(row)
            elif sent[name] not in (content, UNKNOWN):
                changed.append(row)
        for kind, rows in (("DiffersFromSent", changed), ("SentWithOtherUid", again)):
            if rows:
                fault = Fault(kind, self._columns.named, rows)
                piece.faults.append(fault)
                for row in rows:
                    piece.reasons.setdefault(row, f"{kind} {fault.column}".rstrip())

    def _extend_period(self, piece: Piece) -> None:
        found = self._found
        if piece.start is not None and piece.end is not None:
            found.start = min(piece.start, found.start) if found.start is not None else piece.start
            found.end = max(piece.end, found.end) if found.end is not None else piece.end

    def note_repeats(self) -> None:
        """Find rows that share a uid."""
        rows = sorted(_later(self._found))
        if not rows:
            return
        if self._writer.by_content:
            self._tally.add(Fault("Identical", "", rows, is_problem=False))
            return
        kind = "RepeatedUid" if self._columns.uid is not None else "DifferentUnderKey"
        wrong = rows if self._columns.uid is not None else sorted(self._different())
        if wrong:
            self._tally.add(Fault(kind, self._columns.named, wrong))
            added = [row for row in wrong if row not in self._found.bad]
            self._accounts.bad.update(self._reading.codes(rows_at(self._source, added)))
            self._found.bad |= dict.fromkeys(wrong, f"{kind} {self._columns.named}")
        same = sorted(set(rows).difference(wrong))
        if same:
            self._tally.add(Fault("RepeatedKey", self._columns.named, same, is_problem=False))

    def _different(self) -> Iterator[int]:
        """Yield the rows that share the key of an earlier row, but not its content."""
        contents: dict[bytes, bytes] = {}
        found = self._found
        for row, name, content in self._named_contents():
            if (
                name in found.repeated
                and row not in found.bad
                and contents.setdefault(name, content) != content
            ):
                yield row

    def _named_contents(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield of each row its position, the digest of its uid, and that of its content."""
        if self._found.contents:
            for row, first in enumerate(range(0, len(self._found.digests), DIGEST_BYTES)):
                at = slice(first, first + DIGEST_BYTES)
                yield row, bytes(self._found.digests[at]), bytes(self._found.contents[at])
            return
        position = 0
        for frame in self._source.pieces(self._needed):
            cells = self._reading.read(frame)
            bodies = self._writer.bodies(cells)
            names, contents = self._writer.names(cells, bodies), self._writer.contents(cells, bodies)
            for name, content in zip(names, contents, strict=True):
                yield position, name, content
                position += 1

    def note_accounts(self, reader: Reader, *, create: bool) -> None:
        """Ask m3ter which of the account codes it knows."""
        report, accounts = self._found.report, self._accounts
        codes = accounts.codes()
        report.accounts = len(codes)
        report.new_accounts = accounts.unknown(reader)
        if not report.new_accounts:
            return
        fragments = [codes[code] for code in report.new_accounts]
        finding = Finding("NewAccount", self._columns.account, codes=report.new_accounts)
        finding.rows = sum(accounts.rows[each] for each in fragments)
        finding.first = [accounts.first[each] for each in fragments[:5]]
        kept = self._tally.warnings if create else self._tally.problems
        kept[finding.kind, finding.column] = finding
        if not create:
            self._found.refused_accounts = frozenset(fragments)
            report.bad_rows += finding.rows - sum(accounts.bad[each] for each in fragments)

    def _note_places(self, findings: Sequence[Finding]) -> None:
        """Say of the first rows of each finding where in their file they are."""
        rows = sorted({row for finding in findings for row in finding.first})
        places = self._source.places(rows) if rows else {}
        for finding in findings if places else ():
            finding.places = [places.get(row, "?") for row in finding.first]

    def finished(self, rate: tuple[float, int]) -> Survey:
        """Return what was found."""
        found, report = self._found, self._found.report
        report.bad_rows += len(found.bad)
        report.requests = self._sizes.requests()
        report.seconds = seconds_for(report.requests, rate)
        report.start, report.end = (_shown(each) for each in (found.start, found.end))
        report.found_problems = list(self._tally.problems.values())
        report.found_warnings = list(self._tally.warnings.values())
        self._note_places([*report.found_problems, *report.found_warnings])
        if report.rows > MANY_ROWS:
            report.notes.append(
                f"m3ter's limits make this take {duration(report.seconds)} from one address. For so many rows m3ter has a "
                "file upload, which is not built in here: POST fileuploads/measurements/generateUploadUrl."
            )
        return found


class _Sizes:
    """Counts the requests that rows of these sizes take."""

    def __init__(self) -> None:
        self._full = 0
        self._rest: list[int] = []

    def add(self, sizes: Iterable[int]) -> None:
        self._rest += sizes
        ends = list(batch_ends(self._rest))
        self._full += len(ends)
        del self._rest[: ends[-1] if ends else 0]

    def requests(self) -> int:
        return self._full + bool(self._rest)


def _later(found: Survey) -> set[int]:
    """Return the positions of the second and later rows of each digest, and keep the digests of more than one."""
    names = pairs(found.digests)
    if not len(names):
        return set()
    ordered = np.sort(names[:, 0])
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not twice.size:
        return set()
    later, seen = set[int](), set[bytes]()
    for row in np.flatnonzero(np.isin(names[:, 0], twice)).tolist():
        name = bytes(found.digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES])
        if name in seen:
            later.add(row)
            found.repeated.add(name)
        seen.add(name)
    return later


def _in_groups(codes: list[str]) -> Iterator[list[str]]:
    """Yield codes in groups that a URL can hold."""
    group: list[str] = []
    for code in codes:
        if len(group) == _CODES_A_REQUEST or sum(map(len, group)) + len(code) > _CODES_LENGTH:
            yield group
            group = []
        group.append(code)
    if group:
        yield group


def _shown(moment: np.datetime64 | None) -> str | None:
    if moment is None:
        return None
    return f"{np.datetime_as_string(moment, unit='s').replace('T', ' ')} UTC"
