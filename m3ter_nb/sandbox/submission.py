"""The measurements of one submission by columns: what a thousand share is looked at once."""

from __future__ import annotations

import json
from functools import cached_property
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.columns import columns_of
from m3ter_nb.sandbox.moments import all_micros_of, micros_of
from m3ter_nb.sandbox.usage_sql import NUMERIC, TEXT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from m3ter_nb.sandbox.store import Store

__all__ = ["Submission"]

#: A measurement has one map of values for each category of fields.
_MAPS = tuple(category.lower() for category in (*TEXT, *NUMERIC))
_NAMES = ("uid", "meter", "account", "ts", "ets", *_MAPS)

# From the list to the table, not the other way round: SQLite would sort the list first, at twice the cost.
_KNOWN_UIDS = "SELECT uid FROM json_each(?) CROSS JOIN measurements WHERE uid = value AND received > ?"
_NEW_ACCOUNTS = (
    "SELECT value FROM json_each(?) "
    "WHERE NOT EXISTS (SELECT 1 FROM entities WHERE collection = 'accounts' AND code = value)"
)
_INSERT = "INSERT INTO measurements (uid, received, meter, account, ts, body) VALUES (?, ?, ?, ?, ?, ?)"
# Many rows in one statement cost a third less; older versions of SQLite have 999 placeholders.
_AT_ONCE = 100
_INSERT_MANY = _INSERT + ", (?, ?, ?, ?, ?, ?)" * (_AT_ONCE - 1)
# As text, not as escapes: the paths of a usage query are compared with what is written here. JSON holds no circles.
_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",\n", ":"), allow_nan=False, check_circular=False
).encode
_SAME_UID_SECONDS = 35 * 24 * 3600
_MAX_METADATA = 256


class Submission:
    """The measurements of one submission, and what they meet, each read once.

    Args:
        db: the database, held alone.
        store: the same.
        now: the time of their receipt, in seconds since 1970.
        measurements: one at least; they meet their schema.

    Attributes:
        times: of each the microseconds since 1970.
        uids: that were taken within the days in which one counts once.
        new_accounts: codes of accounts that are not there.

    Raises:
        Refusal: 400, where one does not meet what its schema does not say.
    """

    def __init__(
        self, db: sqlite3.Connection, store: Store, now: float, measurements: Sequence[Mapping[str, Any]]
    ) -> None:
        self.now = now
        self.measurements = measurements
        self._columns = columns_of(measurements, _NAMES)
        self.times = _times(measurements, self._columns)
        self._store = store
        self._fields: dict[str, list[tuple[str, str]] | None] = {}
        self._sent = self._columns.get("uid", [])
        since = now - _SAME_UID_SECONDS
        self.uids = {uid for (uid,) in db.execute(_KNOWN_UIDS, (json.dumps(self._sent), since))}
        codes = json.dumps(list(set(self._columns["account"])))
        self.new_accounts = {code for (code,) in db.execute(_NEW_ACCOUNTS, (codes,))}

    @cached_property
    def _folded(self) -> set[str]:
        """All account codes without the differences that make a near miss: read where a code is new."""
        return {_fold(code) for code in self._store.codes("accounts")}

    def fields(self, meter: str) -> list[tuple[str, str]] | None:
        """Return the data fields that a measurement of this meter must have: map and code; None for no such meter."""
        if meter not in self._fields:
            entity = self._store.by_code("meters", meter)
            self._fields[meter] = None if entity is None else _needed(entity)
        return self._fields[meter]

    def maps(self, number: int) -> dict[str, Any]:
        """Return the maps of fields of one measurement."""
        measurement = self.measurements[number]
        return {name: measurement[name] for name in _MAPS if name in measurement}

    def is_near_miss(self, code: str) -> bool:
        """Say whether the code of an account that is not there differs from a known one in case and spaces only."""
        return _fold(code) in self._folded

    def add_account(self, code: str) -> None:
        """Remember an account that has just been made."""
        self.new_accounts.discard(code)
        self._folded.add(_fold(code))

    def all_pass(self, latest: float) -> bool:
        """Say whether every measurement passes for sure."""
        return (
            not self.uids
            and not self.new_accounts
            and len(set(self._sent)) == len(self._sent)
            and max(self.times) <= latest
            and self._all_have_their_fields()
        )

    def _all_have_their_fields(self) -> bool:
        """Say whether every measurement has each field of every meter named here, and none twice."""
        maps = {name: column for name, column in self._columns.items() if name in _MAPS}
        somewhere = [set[str]().union(*column) for column in maps.values()]
        if len(set[str]().union(*somewhere)) < sum(map(len, somewhere)):
            return False
        everywhere = {
            name: set(column[0]).intersection(*column)
            for name, column in maps.items()
            if len(column) == len(self.measurements)
        }
        return all(
            (fields := self.fields(meter)) is not None
            and all(code in everywhere.get(name, ()) for name, code in fields)
            for meter in set(self._columns["meter"])
        )

    def insert(self, db: sqlite3.Connection, passed: Sequence[int]) -> None:
        """Store these measurements, given by their numbers."""
        rows = list(self._rows(passed))
        whole = len(rows) - len(rows) % _AT_ONCE
        for start in range(0, whole, _AT_ONCE):
            db.execute(_INSERT_MANY, list(chain.from_iterable(rows[start : start + _AT_ONCE])))
        db.executemany(_INSERT, rows[whole:])

    def _rows(self, passed: Sequence[int]) -> Iterable[tuple[Any, ...]]:
        """Return what is stored of these measurements: the columns of ``_INSERT``."""
        rows, columns = self.measurements, self._columns
        if len(passed) < len(rows):
            rows = [rows[number] for number in passed]
            columns = columns_of(rows, _NAMES)

        def fill(name: str, otherwise: Any) -> Sequence[Any]:
            column = columns.get(name, ())
            return column if len(column) == len(rows) else [row.get(name, otherwise) for row in rows]

        maps = {name: fill(name, {}) for name in _MAPS if name in columns}
        return zip(
            fill("uid", None),
            repeat(self.now, len(rows)),
            fill("meter", None),
            fill("account", None),
            [self.times[number] for number in passed],
            _write(maps) if maps else repeat("{}", len(rows)),
            strict=True,
        )


def _times(measurements: Sequence[Mapping[str, Any]], columns: Mapping[str, list[Any]]) -> list[int]:
    """Hold measurements to what their schema does not say; return their times in microseconds since 1970."""
    if "ets" in columns or "metadata" in columns:
        for number, measurement in enumerate(measurements):
            if "ets" in measurement:
                micros_of(measurement["ets"], f"measurements[{number}].ets")
            if any(len(text) > _MAX_METADATA for text in measurement.get("metadata", {}).values()):
                raise Refusal(
                    400, f"measurements[{number}].metadata has a text of more than {_MAX_METADATA} characters"
                )
    return all_micros_of(columns["ts"], "measurements[%d].ts")


def _write(maps: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Write the maps of each row as one JSON object: a column in one go, for a call for each costs twice as much."""
    # A line break is in no text of JSON, and a brace after it begins a row: the values in a map are no objects.
    columns = [_encode(column)[len("[{") : -len("]")].split(",\n{") for column in maps.values()]
    row = ",".join([f'"{name}":{{%s' for name in maps])
    return [f"{{{row}}}" % values for values in zip(*columns, strict=True)]


def _needed(meter: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(field["category"].lower(), field["code"]) for field in meter["dataFields"]]


def _fold(code: str) -> str:
    """Return a code without the differences that make a near miss: case and spaces."""
    return "".join(code.split()).casefold()
