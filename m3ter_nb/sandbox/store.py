"""Where the sandbox keeps its entities: one SQLite database, in memory or in a file."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from m3ter_nb.sandbox.locks import Lock
from m3ter_nb.sandbox.moments import micros_at
from m3ter_nb.sandbox.usage_sql import register_functions

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

__all__ = ["Store"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entities (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    id TEXT NOT NULL,
    code TEXT,
    body TEXT NOT NULL,
    UNIQUE (collection, id)
);
CREATE INDEX IF NOT EXISTS newest_first ON entities (collection, seq);
CREATE INDEX IF NOT EXISTS by_code ON entities (collection, code);
CREATE TABLE IF NOT EXISTS measurements (
    seq INTEGER PRIMARY KEY,
    uid TEXT,
    received REAL NOT NULL,
    meter TEXT NOT NULL,
    account TEXT NOT NULL,
    ts INTEGER NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_uid ON measurements (uid, received);
"""
#: Of the tables above; a file of another one would be misread.
_VERSION = 1


class Store:
    """Entities as JSON text, ordered by creation. Safe to use from several threads.

    SQLite has one connection here, guarded by a lock: an in-memory database belongs to its connection, and a query
    takes microseconds.

    Args:
        path: a file that outlives the sandbox, or None for memory.

    Raises:
        OSError: the file cannot be opened, or is no database of the sandbox.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._lock = Lock(threading.RLock)
        try:
            self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
            if path is not None:
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = NORMAL")
            self._set_up()
        except sqlite3.Error as error:
            raise OSError(f"The sandbox cannot keep its data in {path}: {error}.") from None

    def _set_up(self) -> None:
        tables = self._db.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if tables and version != _VERSION:
            raise sqlite3.DatabaseError("it is the file of another version, or of another program")
        self._db.executescript(f"{_SCHEMA}PRAGMA user_version = {_VERSION};")
        register_functions(self._db)
        self._db.create_function("micros_at", 1, micros_at, deterministic=True)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hold the database alone; all or nothing of what is written becomes visible."""
        with self._lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the database; a file keeps what was written."""
        with self._lock:
            self._db.close()

    def clear(self) -> None:
        """Forget everything."""
        with self.transaction() as db:
            db.execute("DELETE FROM entities")
            db.execute("DELETE FROM measurements")

    def get(self, collection: str, entity_id: str) -> dict[str, Any] | None:
        """Return one entity, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM entities WHERE collection = ? AND id = ?", (collection, entity_id)
            ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def by_code(self, collection: str, code: str) -> dict[str, Any] | None:
        """Return the oldest entity with exactly this code, or None."""
        with self._lock:
            row = self._db.execute(
                "SELECT body FROM entities WHERE collection = ? AND code = ? ORDER BY seq LIMIT 1",
                (collection, code),
            ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def codes(self, collection: str) -> list[str]:
        """Return the codes of all entities of a collection."""
        with self._lock:
            rows = self._db.execute(
                "SELECT code FROM entities WHERE collection = ? AND code IS NOT NULL", (collection,)
            ).fetchall()
        return [row[0] for row in rows]

    def put(self, collection: str, entity: dict[str, Any]) -> None:
        """Insert an entity, or replace the one with its id; a replaced entity keeps its place."""
        code = entity.get("code")
        row = (
            collection,
            entity["id"],
            code if isinstance(code, str) else None,
            json.dumps(entity, allow_nan=False),
        )
        with self._lock:
            self._db.execute(
                "INSERT INTO entities (collection, id, code, body) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (collection, id) DO UPDATE SET code = excluded.code, body = excluded.body",
                row,
            )

    def delete(self, collection: str, entity_id: str) -> None:
        """Remove an entity."""
        with self._lock:
            self._db.execute("DELETE FROM entities WHERE collection = ? AND id = ?", (collection, entity_id))

    def page(
        self,
        collection: str,
        *,
        size: int,
        before: int | None = None,
        where: Sequence[tuple[str, Sequence[Any]]] = (),
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return one page, newest first, and the place of its last entity where older ones follow.

        A place is the entity's own number, never an offset: what is inserted or deleted between two pages can
        neither repeat nor skip an entity that stays.

        Args:
            collection: the collection.
            size: at most so many entities.
            before: the place that the previous page ended at.
            where: pairs of a condition with placeholders and its values.
        """
        sql = ["SELECT seq, body FROM entities WHERE collection = ?"]
        values: list[Any] = [collection]
        if before is not None:
            sql.append("AND seq < ?")
            values.append(before)
        for condition, arguments in where:
            sql.append(f"AND {condition}")
            values.extend(arguments)
        sql.append("ORDER BY seq DESC LIMIT ?")
        values.append(size + 1)
        with self._lock:
            rows = self._db.execute(" ".join(sql), values).fetchall()
        entities = [json.loads(body) for _, body in rows[:size]]
        return entities, rows[size - 1][0] if len(rows) > size else None

    def select(
        self, collection: str, where: str, values: Sequence[Any], *, order: str, limit: int, offset: int
    ) -> list[dict[str, Any]]:
        """Return the entities that meet a condition, in an order, from an offset on."""
        # Conditions and orders are built from names in our own tables or checked to be plain names.
        sql = f"SELECT body FROM entities WHERE collection = ? AND ({where or '1'}) ORDER BY {order} LIMIT ? OFFSET ?"
        with self._lock:
            rows = self._db.execute(sql, [collection, *values, limit, offset]).fetchall()
        return [json.loads(row[0]) for row in rows]
