"""The journal: which rows m3ter has accepted, so that a run that was cut short goes on where it stopped.

What counts once rests on the uids; the journal spares sending again, and knows a row that was changed since. It holds
digests only, never rows and never the source's own ids.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager
from functools import cached_property
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import numpy as np

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.digests import Index, pairs
from m3ter_nb.usage.journal_file import NoJournal, make_private
from m3ter_nb.usage.measurements import DIGEST_BYTES, FORMAT, digest
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from m3ter_nb.usage.measurements import Batch

__all__ = ["UNKNOWN", "Journal", "Run", "open_journal"]

#: In place of the digest of a content that m3ter had before this journal knew of it.
UNKNOWN: Final = bytes(DIGEST_BYTES)
# m3ter drops a uid that it has had within 35 days; a day less, for clocks and time zones.
_OLDEST_RUN: Final = 34 * 24 * 3600.0
_BUSY_SECONDS: Final = 10.0
_TABLES: Final = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, confirmed REAL)",
    "CREATE TABLE sent (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, uids BLOB NOT NULL, contents BLOB NOT NULL)",
    "CREATE TABLE events (id TEXT PRIMARY KEY) WITHOUT ROWID",
)


_Found = TypeVar("_Found")


class Run(NamedTuple):
    """One submission.

    Attributes:
        id: its number in the journal.
        since: when the first run began that was not confirmed, this one included; seconds since 1970.
        goes_on: whether there is such a run before this one.
    """

    id: int
    since: float
    goes_on: bool


def _split(digests: bytes) -> list[bytes]:
    return [digests[first : first + DIGEST_BYTES] for first in range(0, len(digests), DIGEST_BYTES)]


class Journal:
    """A journal that is open. Safe to share between threads.

    Where the file cannot be used any more (the disk is full, another process does not let go of it, it is damaged), the
    journal is given up: that is said once, nothing more is noted, and the submission goes on.

    Args:
        path: of the file; it is made where it is not there.
        about: host, organization and meter that it is for.
        notify: is told where the journal is given up.
        wall: returns the time in seconds since 1970.

    Attributes:
        was_empty: whether it knew no row when it was opened; then there is nothing to look up.
        given_up: whether nothing more is noted.

    Raises:
        InvalidArgument: it is of another host, organization, meter or format, or holds an unfinished run that is too
            old to go on with.
        NoJournal: it cannot be kept there, or is somebody else's.
    """

    def __init__(
        self,
        path: Path,
        about: dict[str, str],
        notify: Callable[[str], None],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.path = path
        self.given_up = False
        self._notify = notify
        self._wall = wall
        self._lock = threading.Lock()
        self._known: _Known | None = None
        make_private(path)
        try:
            self._db = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._prepare()
            self._check({**about, "format": str(FORMAT)})
            self.was_empty = self._db.execute("SELECT 1 FROM sent LIMIT 1").fetchone() is None
        except sqlite3.DatabaseError as error:
            raise NoJournal(f"{path} cannot be used as a journal ({error})") from None

    def _prepare(self) -> None:
        """Make the tables where there are none; of a database with others nothing is changed."""
        db = self._db
        db.execute("PRAGMA trusted_schema = OFF")
        self._has_tables()
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise NoJournal(f"{self.path} is where SQLite cannot keep a journal")
        db.execute("PRAGMA synchronous = NORMAL")
        with self._writing():
            for table in () if self._has_tables() else _TABLES:
                db.execute(table)

    def _has_tables(self) -> bool:
        found = {made for (made,) in self._db.execute("SELECT sql FROM sqlite_master")}
        if found and found != set(_TABLES):
            raise NoJournal(f"{self.path} is the database of another program, or of another version")
        return bool(found)

    def _check(self, wanted: dict[str, str]) -> None:
        """Hold the journal to what it is for."""
        db = self._db
        with self._writing():
            kept = dict(db.execute("SELECT name, value FROM about"))
            if not kept:
                db.executemany("INSERT INTO about VALUES (?, ?)", wanted.items())
                kept = wanted
        for name, value in wanted.items():
            if kept.get(name) != value:
                db.close()
                raise InvalidArgument(
                    f"The journal {self.path} is of another {name} ({kept.get(name)}, not {value}). "
                    f"Name another file with {option('journal')}. Nothing was sent."
                )
        oldest = db.execute("SELECT min(started) FROM runs WHERE finished IS NULL").fetchone()[0]
        if oldest is not None and self._wall() - oldest > _OLDEST_RUN:
            db.close()
            raise InvalidArgument(
                f"The journal {self.path} holds an unfinished run of {time.strftime('%Y-%m-%d', time.gmtime(oldest))}. "
                "m3ter remembers uids for 35 days, so what was under way then might be counted twice now. See with "
                f"usage/query what is in, then name another file with {option('journal')}. Nothing was sent."
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _try(self, use: Callable[[], _Found], otherwise: _Found) -> _Found:
        """Use the file, or give it up."""
        with self._lock:
            if self.given_up:
                return otherwise
            try:
                return use()
            except sqlite3.ProgrammingError:  # closed meanwhile, by an interrupt
                return otherwise
            except sqlite3.DatabaseError as error:
                self.given_up = True
                why = str(error)
        self._notify(
            f"The journal {self.path} cannot be used any more ({why}). What is accepted from here on will be sent again "
            "when it is run again, and counted once."
        )
        return otherwise

    def begin(self, way: str) -> Run:
        """Note that a submission begins.

        Args:
            way: in which its uids are made.
        """
        now = self._wall()

        def note() -> Run:
            with self._writing():
                since = self._db.execute("SELECT min(started) FROM runs WHERE confirmed IS NULL").fetchone()[
                    0
                ]
                number = self._db.execute("INSERT INTO runs (started) VALUES (?)", (now,)).lastrowid
                self._db.execute(
                    "INSERT OR REPLACE INTO about VALUES (?, ?)", (f"way {number}", _hidden(way))
                )
            return Run(number or 0, now if since is None else since, since is not None)

        return self._try(note, Run(0, now, goes_on=False))

    def finish(self) -> None:
        """Note that all runs so far have been gone through to their end: this one has sent what was left."""
        self._note_time("UPDATE runs SET finished = ? WHERE finished IS NULL")

    def confirm(self) -> None:
        """Note that what has been sent so far was counted."""
        self._note_time("UPDATE runs SET confirmed = ? WHERE confirmed IS NULL")

    def _note_time(self, statement: str) -> None:
        self._try(lambda: self._db.execute(statement, (self._wall(),)), None)

    def handled(self) -> set[str]:
        """Return the ids of the failure events that earlier runs have read."""
        return self._try(lambda: {event for (event,) in self._db.execute("SELECT id FROM events")}, set())

    def add(self, batch: Batch, run: Run) -> None:
        """Note the rows of a request that m3ter has accepted; nothing once the journal is closed."""
        # In one piece: in a table by uid every request would touch, and write again, every page of it.
        uids, contents = b"".join(batch.digests), b"".join(batch.contents)
        row = (run.id, uids, b"" if contents == uids else contents)
        self._try(
            lambda: self._db.execute("INSERT INTO sent (run, uids, contents) VALUES (?, ?, ?)", row), None
        )

    def note_events(
        self, events: Sequence[str], *, refused: Sequence[bytes], unclear: Sequence[bytes]
    ) -> None:
        """Note what failure events have told.

        Args:
            events: their ids, so that they are not held against mended rows.
            refused: digests of uids that m3ter has refused after all; forgotten, so that mended rows may be sent.
            unclear: digests of uids that m3ter had before; with which content is not known.
        """

        def note() -> None:
            with self._writing():
                if refused or unclear:
                    self._change(frozenset(refused), frozenset(unclear))
                self._db.executemany(
                    "INSERT OR IGNORE INTO events VALUES (?)", [(event,) for event in events]
                )

        self._try(note, None)

    def _change(self, refused: frozenset[bytes], unclear: frozenset[bytes]) -> None:
        for number, few, theirs in self._db.execute("SELECT id, uids, contents FROM sent").fetchall():
            names = _split(few)
            if refused.isdisjoint(names) and unclear.isdisjoint(names):
                continue
            keep = [name not in refused for name in names]
            contents = [
                UNKNOWN if name in unclear else content
                for name, content in zip(names, _split(theirs or few), strict=True)
            ]
            left = b"".join(compress(names, keep)), b"".join(compress(contents, keep)), number
            self._db.execute("UPDATE sent SET uids = ?, contents = ? WHERE id = ?", left)

    def contents(self, uids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the digests of content of those of these rows that m3ter had accepted when this was first asked."""
        return {} if self.was_empty else self._read().contents(uids)

    def accepted(self, uids: Sequence[bytes]) -> dict[bytes, bool]:
        """Return those of these rows that m3ter had accepted, and whether it is known with what content.

        It is not where several runs have sent different contents under the uid: m3ter has one of them.
        """
        if self.was_empty:
            return {}
        known = self._read()
        return {
            uid: content != UNKNOWN and uid not in known.disputed
            for uid, content in known.contents(uids).items()
        }

    def sent_under(self, uids: Collection[bytes]) -> dict[bytes, Counter[bytes]]:
        """Return of each of these uids what m3ter has accepted under it by now, by whichever run, and how often.

        Args:
            uids: digests.
        """

        def read() -> dict[bytes, Counter[bytes]]:
            found, wanted = dict[bytes, Counter[bytes]](), frozenset(uids)
            for few, theirs in self._db.execute("SELECT uids, contents FROM sent"):
                for name, content in zip(_split(few), _split(theirs or few), strict=True):
                    if name in wanted:
                        found.setdefault(name, Counter())[content] += 1
            return found

        return self._try(read, {})

    def sent_otherwise(self, contents: Sequence[bytes], way: str, *, by_content: bool) -> list[bool]:
        """Tell of each content whether m3ter had accepted it under a uid that was made in another way.

        Args:
            contents: digests.
            way: in which uids are made now.
            by_content: whether that is as digests of content.
        """
        if self.was_empty:
            return [False] * len(contents)
        known = self._read()
        if by_content:
            return known.have(contents, known.under_own_uids)
        sent = zip(
            known.have(contents, known.uids),
            known.have(contents, known.under_other(_hidden(way))),
            strict=True,
        )
        return [any(each) for each in sent]

    def _read(self) -> _Known:
        if self._known is None:  # not before: what only notes events has no use for it
            self._known = self._try(lambda: _Known(self._db), None) or _Known()
        return self._known

    def close(self) -> None:
        """Close the file."""
        with self._lock, closing(self._db):
            pass


def _hidden(way: str) -> str:
    return digest(way.encode()).hex()


class _Known:
    """The rows that a journal holds; none without a database."""

    def __init__(self, db: sqlite3.Connection | None = None) -> None:
        uids, contents, ways = bytearray(), bytearray(), list[tuple[str, int]]()
        way_of = dict(db.execute("SELECT name, value FROM about")) if db is not None else {}
        rows = db.execute("SELECT run, uids, contents FROM sent ORDER BY id") if db is not None else ()
        for run, few, theirs in rows:
            if len(few) % DIGEST_BYTES or len(theirs) not in (0, len(few)):
                raise sqlite3.DatabaseError("its rows are damaged")
            uids += few
            contents += theirs or few  # a uid that is a digest of the content
            # Of a run that has noted none, nobody knows.
            ways.append((way_of.get(f"way {run}", ""), len(few) // DIGEST_BYTES))
        self.uids, self._names, self._contents, self._ways = Index(uids), uids, contents, ways
        self._others: tuple[str, Index] | None = None

    @cached_property
    def under_own_uids(self) -> Index:
        """The contents of rows whose uid is no digest of them."""
        return Index(pairs(self._contents)[self._are_own()].tobytes())

    def under_other(self, way: str) -> Index:
        """Return the contents of rows whose uid is no digest of them, and was made in another way than this."""
        if self._others is None or self._others[0] != way:
            others = [bool(each) and each != way for each, _ in self._ways]
            rows = np.repeat(np.array(others, bool), [rows for _, rows in self._ways])
            self._others = way, Index(pairs(self._contents)[rows & self._are_own()].tobytes())
        return self._others[1]

    def _are_own(self) -> np.ndarray[Any, Any]:
        return np.asarray((pairs(self._names) != pairs(self._contents)).any(axis=1))

    @cached_property
    def disputed(self) -> frozenset[bytes]:
        """The uids that were sent with more than one content."""
        names, contents = pairs(self._names), pairs(self._contents)
        order = np.lexsort((names[:, 1], names[:, 0]))
        names, contents = names[order], contents[order]
        differ = (names[1:] == names[:-1]).all(axis=1) & (contents[1:] != contents[:-1]).any(axis=1)
        return frozenset(_split(names[1:][differ].tobytes()))

    def have(self, contents: Sequence[bytes], index: Index) -> list[bool]:
        """Tell of each whether it is in an index."""
        return [place >= 0 for place in index.find(contents)]

    def contents(self, uids: Sequence[bytes]) -> dict[bytes, bytes]:
        size = DIGEST_BYTES
        return {
            uid: bytes(self._contents[place * size : (place + 1) * size])
            for uid, place in zip(uids, self.uids.find(uids), strict=True)
            if place >= 0
        }


def open_journal(
    path: Path, about: dict[str, str], notify: Callable[[str], None], *, wall: Callable[[], float] = time.time
) -> Journal | None:
    """Open a journal; where it cannot be kept, say so and return None.

    Raises:
        InvalidArgument: as :class:`Journal`.
    """
    try:
        return Journal(path, about, notify, wall=wall)
    except (NoJournal, OSError) as error:
        why = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        notify(
            f"No journal is kept: {why}. What is cut short will be sent again from the start, and counted once."
        )
        return None
