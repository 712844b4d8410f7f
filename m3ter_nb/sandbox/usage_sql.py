"""A usage query as one SQL statement over the measurements, so that a million rows never are Python objects.

The rows are extracted in an inner query, of which ``LIMIT -1`` keeps SQLite from merging it into the outer one: what it
then sorts by group is a few short columns, not whole measurements.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["NUMERIC", "TEXT", "Query", "register_functions"]

#: The categories of a field, for each type of field that a query knows.
NUMERIC = ("MEASURE", "INCOME", "COST")
TEXT = ("WHO", "WHERE", "WHAT", "OTHER", "METADATA")

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
_AGGREGATES = {
    "SUM": "SUM({0})",
    "MIN": "MIN({0})",
    "MAX": "MAX({0})",
    "COUNT": "COUNT({0})",
    "UNIQUE": "COUNT(DISTINCT {0})",
    "MEAN": "AVG({0})",
    "LATEST": "latest(ts, seq, {0})",
}
_WIDE = {**_AGGREGATES, "SUM": "CASE WHEN COUNT({0}) THEN TOTAL({0}) END"}


class _Latest:
    """The SQL aggregate ``latest(ts, seq, value)``: the value of the last row that has one."""

    def __init__(self) -> None:
        self._at = (-(2**63), 0)
        self._value: Any = None

    def step(self, *row: Any) -> None:
        """Look at one row: its time, its number, and its value or None."""
        ts, seq, value = row
        if value is not None and (ts, seq) > self._at:
            self._at, self._value = (ts, seq), value

    def finalize(self) -> Any:
        """Return the value, or None."""
        return self._value


def _field_of(body: str, categories: str, code: str) -> Any:
    """Return a field whose code no JSON path of SQLite can name."""
    measurement = json.loads(body)
    for category in categories.split(","):
        value = measurement.get(category, {}).get(code)
        if value is not None:
            return value if isinstance(value, str) else _number(value)
    return None


def _number(value: Any) -> Any:
    """Return a number as SQLite has it: beyond 64 bits a floating-point number, perhaps an infinite one."""
    if isinstance(value, float) or -(2**63) <= value < 2**63:
        return value
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def register_functions(db: sqlite3.Connection) -> None:
    """Give a connection the functions that the statements use."""
    db.create_aggregate("latest", 3, _Latest)
    db.create_function("field_of", 3, _field_of, deterministic=True)


def _floor(at: str, size: int, origin: int = 0) -> str:
    """Return SQL for the start of the period around a time; ``%`` alone has the sign of the dividend."""
    return f"({at} - (({at} - {origin}) % {size} + {size}) % {size})"


def _month(form: str) -> str:
    return f"strftime('{form}', {_floor('m.ts', _DAY)} / 1000000, 'unixepoch')"


#: SQL for what tells the periods apart: the start in microseconds, or the year with the month or the quarter.
_PERIODS = {
    "HOUR": _floor("m.ts", _HOUR),
    "DAY": _floor("m.ts", _DAY),
    "WEEK": _floor("m.ts", 7 * _DAY, -3 * _DAY),  # 1969-12-29 was a Monday
    "MONTH": _month("%Y-%m"),
    "QUARTER": f"{_month('%Y')} || '-' || (({_month('%m')} + 2) / 3)",
}


class Query:
    """One usage query.

    Args:
        wanted: the checked body of the request.
        meters: code and categories by field code, of each meter by its id.
        period: start and end in microseconds since 1970.
        received: the latest receipt, in seconds since 1970, that shows; None for any.
    """

    def __init__(
        self,
        wanted: Mapping[str, Any],
        meters: Mapping[str, tuple[str, Mapping[str, str]]],
        period: tuple[int, int],
        received: float | None,
    ) -> None:
        self._meters = meters
        self._values: dict[str, Any] = {}
        self._texts: dict[str, str] = {}
        self._inner: dict[str, str] = {}
        start, end = map(self._bind, period)
        self._conditions = [f"m.ts >= {start}", f"m.ts < {end}"]
        if received is not None:
            self._conditions.append(f"m.received <= {self._bind(received)}")
        self._restrict(wanted)

    def rows(self, db: sqlite3.Connection, limit: int) -> list[tuple[Any, ...]]:
        """Return the latest measurements: meter, account, microseconds, uid and body."""
        sql = (
            f"SELECT m.meter, m.account, m.ts, m.uid, m.body FROM measurements AS m WHERE {self._where()} "
            f"ORDER BY m.ts DESC, m.seq DESC LIMIT {self._bind(limit)}"
        )
        return db.execute(sql, self._values).fetchall()

    def aggregates(
        self,
        db: sqlite3.Connection,
        aggregations: Sequence[Mapping[str, Any]],
        groups: Sequence[Mapping[str, Any]],
        limit: int,
    ) -> list[tuple[Any, ...]]:
        """Return a row for each group, the latest period first: its keys, then the value of each aggregation.

        Args:
            db: the database.
            aggregations: those of the request whose meter exists, one at least.
            groups: those of the request.
            limit: at most so many rows.
        """
        self._restrict_meters({self._meters[aggregation["meterId"]][0] for aggregation in aggregations})
        keys = [self._column(self._group(group)) for group in groups]
        fields = [self._column(self._field(aggregation)) for aggregation in aggregations]
        times = [key for key, group in zip(keys, groups, strict=True) if group["groupType"] == "TIME"]
        order = [f"{key} DESC" for key in times[-1:]] + keys
        counted = " + ".join(f"COUNT({field})" for field in fields)
        grouping = (
            f" GROUP BY {', '.join(keys)} HAVING {counted} > 0 ORDER BY {', '.join(order)}" if keys else ""
        )
        functions = [aggregation["function"] for aggregation in aggregations]
        inner = self._inner_query(needs_place="LATEST" in functions)
        rest = f" FROM ({inner}){grouping} LIMIT {self._bind(limit)}"
        try:
            return db.execute(_select(keys, fields, functions, _AGGREGATES) + rest, self._values).fetchall()
        except db.OperationalError as error:
            if "integer overflow" not in str(error):
                raise
            return db.execute(_select(keys, fields, functions, _WIDE) + rest, self._values).fetchall()

    def _bind(self, value: Any) -> str:
        name = f"v{len(self._values)}"
        self._values[name] = value
        return f":{name}"

    def _bind_list(self, values: Iterable[Any]) -> str:
        """Return a list of any length as a table of one column."""
        return f"(SELECT value FROM json_each({self._bind(json.dumps(sorted(values)))}))"

    def _where(self) -> str:
        return " AND ".join(self._conditions)

    def _restrict(self, wanted: Mapping[str, Any]) -> None:
        if wanted.get("meterIds"):
            self._restrict_meters({self._meters[key][0] for key in wanted["meterIds"] if key in self._meters})
        if wanted.get("accountIds"):
            known = "SELECT code FROM entities WHERE collection = 'accounts' AND id IN "
            self._conditions.append(f"m.account IN ({known}{self._bind_list(wanted['accountIds'])})")
        for dimension in wanted.get("dimensionFilters", []):
            if dimension["meterId"] in self._meters:
                code = self._bind(self._meters[dimension["meterId"]][0])
                field = self._extract(dimension, TEXT)
                self._conditions.append(
                    f"(m.meter <> {code} OR {field} IN {self._bind_list(dimension['values'])})"
                )

    def _restrict_meters(self, codes: set[str]) -> None:
        self._conditions.append(f"m.meter IN {self._bind_list(codes)}")

    def _column(self, expression: str) -> str:
        """Return the inner query's name of an expression, which is computed once a row."""
        return self._inner.setdefault(expression, f"c{len(self._inner)}")

    def _inner_query(self, *, needs_place: bool) -> str:
        columns = [f"{expression} AS {name}" for expression, name in self._inner.items()]
        if needs_place:
            columns += ["m.ts AS ts", "m.seq AS seq"]
        return f"SELECT {', '.join(columns)} FROM measurements AS m WHERE {self._where()} LIMIT -1"

    def _group(self, group: Mapping[str, Any]) -> str:
        if group["groupType"] == "ACCOUNT":
            return "m.account"
        if group["groupType"] == "TIME":
            return _PERIODS[group["frequency"]]
        return self._of_meter(group, TEXT)

    def _field(self, aggregation: Mapping[str, Any]) -> str:
        return self._of_meter(aggregation, NUMERIC if aggregation["fieldType"] == "MEASURE" else TEXT)

    def _of_meter(self, named: Mapping[str, Any], categories: Sequence[str]) -> str:
        """Return SQL for a field of one meter, NULL for the measurements of others."""
        if named["meterId"] not in self._meters:
            return "NULL"
        code = self._meters[named["meterId"]][0]
        return f"CASE m.meter WHEN {self._text(code)} THEN {self._extract(named, categories)} END"

    def _extract(self, named: Mapping[str, Any], categories: Sequence[str]) -> str:
        """Return SQL for a field of a measurement; it is in one category only, most likely in the meter's own."""
        code = named["fieldCode"]
        own = self._meters[named["meterId"]][1].get(code)
        parts = [category.lower() for category in sorted(categories, key=lambda category: category != own)]
        if '"' in code or "\\" in code or not code.isprintable():
            return f"field_of(m.body, {self._text(','.join(parts))}, {self._text(code)})"
        paths = [self._text(f'$.{part}."{code}"') for part in parts]
        return f"COALESCE({', '.join(f'json_extract(m.body, {path})' for path in paths)})"

    def _text(self, value: str) -> str:
        """Return the placeholder of a text, the same for the same text, so that equal expressions are equal."""
        if value not in self._texts:
            self._texts[value] = self._bind(value)
        return self._texts[value]


def _select(
    keys: Sequence[str], fields: Sequence[str], functions: Sequence[str], aggregates: Mapping[str, str]
) -> str:
    values = [aggregates[function].format(field) for field, function in zip(fields, functions, strict=True)]
    return f"SELECT {', '.join([*keys, *values])}"
