"""The journal: which rows m3ter has accepted, so that a run that was cut short goes on where it stopped.

What counts once rests on the uids; the journal spares sending again, and knows a row that was changed since. It holds
digests only, never rows and never the source's own ids.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import threading
import time
from contextlib import closing, contextmanager, suppress
from hashlib import blake2b
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.digests import Index
from m3ter_nb.usage.measurements import DIGEST_BYTES, FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from m3ter_nb.usage.measurements import Batch

__all__ = ["UNKNOWN", "Journal", "NoJournal", "Run", "journal_path", "open_journal"]

#: In place of the digest of a content that m3ter had before this journal knew of it.
UNKNOWN: Final = bytes(DIGEST_BYTES)
# m3ter drops a uid that it has had within 35 days; a day less, for clocks and time zones.
_OLDEST_RUN: Final = 34 * 24 * 3600.0
_BUSY_SECONDS: Final = 10.0
#: File systems on which SQLite's locks or shared memory do not work.
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs"}
)
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, confirmed REAL);
CREATE TABLE IF NOT EXISTS sent (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, uids BLOB NOT NULL, contents BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class NoJournal(Exception):
    """A journal cannot be kept here; the text says why."""


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

    Args:
        path: of the file; it is made where it is not there.
        about: host, organization and meter that it is for.
        wall: returns the time in seconds since 1970.

    Attributes:
        was_empty: whether it knew no row when it was opened; then there is nothing to look up.

    Raises:
        InvalidArgument: it is of another host, organization, meter or format, or holds an unfinished run that is too
            old to go on with.
        NoJournal: it cannot be kept there, or is somebody else's.
    """

    def __init__(self, path: Path, about: dict[str, str], *, wall: Callable[[], float] = time.time) -> None:
        self.path = path
        self._wall = wall
        self._lock = threading.Lock()
        _make_private(path)
        try:
            self._db = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            self._prepare(about)
        except sqlite3.DatabaseError as error:
            raise NoJournal(f"{path} cannot be used as a journal ({error})") from None
        self._known, self._contents = self._read()
        self.was_empty = not len(self._known)

    def _prepare(self, about: dict[str, str]) -> None:
        db = self._db
        db.execute("PRAGMA trusted_schema = OFF")
        if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            raise NoJournal(f"{self.path} is where SQLite cannot keep a journal")
        db.execute("PRAGMA synchronous = NORMAL")
        db.executescript(_TABLES)
        wanted = {**about, "format": str(FORMAT)}
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
                    "Name another file with journal=. Nothing was sent."
                )
        oldest = db.execute("SELECT min(started) FROM runs WHERE finished IS NULL").fetchone()[0]
        if oldest is not None and self._wall() - oldest > _OLDEST_RUN:
            db.close()
            raise InvalidArgument(
                f"The journal {self.path} holds an unfinished run of {time.strftime('%Y-%m-%d', time.gmtime(oldest))}. "
                "m3ter remembers uids for 35 days, so what was under way then might be counted twice now. See with "
                "usage/query what is in, then name another file with journal=. Nothing was sent."
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

    def begin(self) -> Run:
        """Note that a submission begins."""
        with self._lock, self._writing():
            now = self._wall()
            since = self._db.execute("SELECT min(started) FROM runs WHERE confirmed IS NULL").fetchone()[0]
            number = self._db.execute("INSERT INTO runs (started) VALUES (?)", (now,)).lastrowid
            return Run(number or 0, now if since is None else since, since is not None)

    def finish(self) -> None:
        """Note that all runs so far have been gone through to their end: this one has sent what was left."""
        with self._lock, self._writing():
            self._db.execute("UPDATE runs SET finished = ? WHERE finished IS NULL", (self._wall(),))

    def confirm(self) -> None:
        """Note that what has been sent so far was counted."""
        with self._lock, self._writing():
            self._db.execute("UPDATE runs SET confirmed = ? WHERE confirmed IS NULL", (self._wall(),))

    def handled(self) -> set[str]:
        """Return the ids of the failure events that earlier runs have read."""
        with self._lock:
            return {event for (event,) in self._db.execute("SELECT id FROM events")}

    def _read(self) -> tuple[Index, bytes]:
        uids, contents = bytearray(), bytearray()
        for few, theirs in self._db.execute("SELECT uids, contents FROM sent ORDER BY id"):
            uids += few
            contents += theirs or few  # a uid that is a digest of the content
        return Index(uids), bytes(contents)

    def add(self, batch: Batch, run: Run) -> None:
        """Note the rows of a request that m3ter has accepted; nothing once the journal is closed."""
        # In one piece: in a table by uid every request would touch, and write again, every page of it.
        uids, contents = b"".join(batch.digests), b"".join(batch.contents)
        with self._lock, suppress(sqlite3.ProgrammingError):  # closed meanwhile, by an interrupt
            self._db.execute(
                "INSERT INTO sent (run, uids, contents) VALUES (?, ?, ?)",
                (run.id, uids, b"" if contents == uids else contents),
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
        with self._lock, self._writing():
            if refused or unclear:
                self._change(frozenset(refused), frozenset(unclear))
            self._db.executemany("INSERT OR IGNORE INTO events VALUES (?)", [(event,) for event in events])

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
        """Return the digests of content of those of these rows that m3ter had accepted when the journal was opened."""
        places = self._known.find(uids)
        size = DIGEST_BYTES
        return {
            uid: self._contents[place * size : (place + 1) * size]
            for uid, place in zip(uids, places, strict=True)
            if place >= 0
        }

    def __len__(self) -> int:
        return len(self._known)

    def close(self) -> None:
        """Close the file."""
        with self._lock, closing(self._db):
            pass


def journal_path(folder: Path | None, org_id: str, meter: str) -> Path:
    """Return where the journal of a meter is kept: below the files' folder, else the working directory."""
    name = re.sub(r"[^\w-]", "_", meter)[:60]
    if name != meter:  # of two codes that differ in what a file's name cannot hold, each has its own
        name += f"-{blake2b(meter.encode(), digest_size=4).hexdigest()}"
    return (folder or Path.cwd()) / ".m3ter" / f"usage-{org_id[:8]}-{name}.sqlite"


def open_journal(
    path: Path, about: dict[str, str], notify: Callable[[str], None], *, wall: Callable[[], float] = time.time
) -> Journal | None:
    """Open a journal; where it cannot be kept, say so and return None.

    Raises:
        InvalidArgument: as :class:`Journal`.
    """
    try:
        return Journal(path, about, wall=wall)
    except (NoJournal, OSError) as error:
        why = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
        notify(
            f"No journal is kept: {why}. What is cut short will be sent again from the start, and counted once."
        )
        return None


def _make_private(path: Path) -> None:
    """Make the file and a folder of its own, readable by nobody else; trust no file of another user.

    Raises:
        NoJournal: the file is a link or no file, or others may write it.
        OSError: it cannot be made.
    """
    folder = path.parent
    if folder.name == ".m3ter" and not folder.exists():
        folder.mkdir(mode=0o700, parents=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")
    kind = _file_system(folder)
    if kind in _NETWORK:
        raise NoJournal(f"{folder} is on a network file system ({kind})")
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise NoJournal(f"{path} is no plain file")
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise NoJournal(f"{path} can be read or written by others (chmod 600 it if it is yours)")


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, or ``""`` where the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    where, kind = "", ""
    real = f"{folder.resolve()}/"
    for line in mounts:
        _, point, of_kind, *_ = line.split(" ")
        inside = real.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= len(where):
            where, kind = point, of_kind
    return kind
