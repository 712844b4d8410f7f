"""The usage query: what was ingested, filtered, grouped and aggregated.

Source: the OpenAPI document (PostUsageDataQuery). The keys of the rows are not documented; ours are an assumption.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flask import request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_json
from m3ter_nb.sandbox.ingest import CATEGORIES, seconds_of
from m3ter_nb.sandbox.surface import load, rule
from m3ter_nb.sandbox.world import moment, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.store import Store
    from m3ter_nb.sandbox.world import World

__all__ = ["register"]

_MOST_ROWS = 20_000
_NUMERIC = ("MEASURE", "INCOME", "COST")
_TEXT = tuple(category for category in CATEGORIES if category not in _NUMERIC)
_ALLOWED = {"MEASURE": ("SUM", "MIN", "MAX", "COUNT", "LATEST", "MEAN"), "DIMENSION": ("COUNT", "UNIQUE")}
_FREQUENCIES = ("HOUR", "DAY", "WEEK", "MONTH", "QUARTER")

#: Each function over the values of a field, oldest first; never called with none.
_FUNCTIONS: Mapping[str, Callable[[list[Any]], Any]] = {
    "SUM": sum,
    "MIN": min,
    "MAX": max,
    "COUNT": len,
    "LATEST": lambda values: values[-1],
    "MEAN": lambda values: sum(values) / len(values),
    "UNIQUE": lambda values: len(set(values)),
}


@dataclass(frozen=True)
class _Usage:
    """One measurement as the query sees it."""

    meter_id: str
    meter: str
    account_id: str
    account: str
    ts: float
    texts: Mapping[str, str]
    numbers: Mapping[str, float]
    uid: str | None


def register(app: Flask, world: World) -> None:
    """Add the route of the query."""
    app.add_url_rule(
        rule("usage/query"),
        "PostUsageDataQuery",
        lambda: _query(world),
        methods=["POST"],
        provide_automatic_options=False,
    )


def _query(world: World) -> Response:
    """Answer a query.

    Raises:
        Refusal: 400, where it asks for groups without aggregations, or a function that the field type does not have.
    """
    wanted = load().bodies["UsageQueryRequest"].check(parse_json(request.get_data()))
    aggregations, groups = wanted.get("aggregations", []), wanted.get("groups", [])
    if groups and not aggregations:
        raise Refusal(400, "groups need aggregations")
    for aggregation in aggregations:
        if aggregation["function"] not in _ALLOWED[aggregation["fieldType"]]:
            raise Refusal(
                400, f"{aggregation['function']} cannot be applied to a {aggregation['fieldType']} field"
            )
    for group in groups:
        _check_group(group)
    usage = [row for row in _read(world.store, wanted) if _matches(row, wanted.get("dimensionFilters", []))]
    rows = (
        _aggregate(usage, aggregations, groups) if aggregations else [_plain(row) for row in reversed(usage)]
    )
    limit = wanted.get("limit", _MOST_ROWS)
    return json_answer({"data": rows[:limit], "hasMoreData": len(rows) > limit})


def _read(store: Store, wanted: Mapping[str, Any]) -> list[_Usage]:
    """Return the measurements of the period, meters and accounts asked for, oldest first."""
    for name in ("startDate", "endDate"):
        if name not in wanted:
            raise Refusal(400, f"{name} is required")
    period = [seconds_of(wanted[name], name) for name in ("startDate", "endDate")]
    with store.transaction() as db:
        ids = {
            (collection, code): entity_id
            for collection, code, entity_id in db.execute(
                "SELECT collection, code, id FROM entities WHERE collection IN ('meters', 'accounts')"
            )
        }
        rows = db.execute(
            "SELECT meter, account, ts, uid, body FROM measurements WHERE ts >= ? AND ts < ? ORDER BY ts, seq",
            period,
        ).fetchall()
    result = []
    for meter, account, ts, uid, body in rows:
        meter_id, account_id = ids.get(("meters", meter), ""), ids.get(("accounts", account), "")
        if wanted.get("meterIds") and meter_id not in wanted["meterIds"]:
            continue
        if wanted.get("accountIds") and account_id not in wanted["accountIds"]:
            continue
        given = json.loads(body)
        texts, numbers = _fields(given, _TEXT), _fields(given, _NUMERIC)
        result.append(_Usage(meter_id, meter, account_id, account, ts, texts, numbers, uid))
    return result


def _fields(measurement: Mapping[str, Any], categories: Sequence[str]) -> dict[str, Any]:
    """Return the values that a measurement has in some categories."""
    return {name: value for part in categories for name, value in measurement.get(part.lower(), {}).items()}


def _matches(row: _Usage, filters: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether a measurement has one of the values that each filter of its meter names."""
    return all(
        row.texts.get(wanted["fieldCode"]) in wanted["values"]
        for wanted in filters
        if wanted["meterId"] == row.meter_id
    )


def _plain(row: _Usage) -> dict[str, Any]:
    """Return a measurement as a row of its own."""
    return {
        "meterId": row.meter_id,
        "meterCode": row.meter,
        "accountId": row.account_id,
        "accountCode": row.account,
        "ts": timestamp(row.ts),
        "uid": row.uid,
        **{f"{row.meter}.{name}": value for name, value in (*row.texts.items(), *row.numbers.items())},
    }


def _aggregate(
    usage: Sequence[_Usage], aggregations: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for each group, the latest period first."""
    keyed: defaultdict[tuple[tuple[str, Any], ...], list[_Usage]] = defaultdict(list)
    for row in usage:
        keyed[tuple(item for group in groups for item in _group(row, group))].append(row)
    result = []
    for key, members in keyed.items():
        values = {}
        for aggregation in aggregations:
            code, function = aggregation["fieldCode"], aggregation["function"]
            found = [
                (row.meter, fields[code])
                for row in members
                if row.meter_id == aggregation["meterId"]
                and code in (fields := row.numbers if aggregation["fieldType"] == "MEASURE" else row.texts)
            ]
            if found:
                value = _FUNCTIONS[function]([field for _, field in found])
                overflown = isinstance(value, float) and not math.isfinite(value)
                values[f"{found[0][0]}.{code}.{function}"] = None if overflown else value
        if values:
            result.append({**dict(key), **values})
    result.sort(key=lambda row: str(row.get("startTime", "")), reverse=True)
    return result


def _check_group(group: Mapping[str, Any]) -> None:
    """Hold a group to what its type requires.

    Raises:
        Refusal: 400, naming what is missing or wrong.
    """
    kind = group.get("groupType")
    needed = {"ACCOUNT": (), "TIME": ("frequency",), "DIMENSION": ("meterId", "fieldCode")}.get(str(kind))
    if needed is None:
        raise Refusal(400, "groupType must be ACCOUNT, TIME or DIMENSION")
    for name in needed:
        if not isinstance(group.get(name), str):
            raise Refusal(400, f"A group of type {kind} needs {name}")
    if kind == "TIME" and group["frequency"] not in _FREQUENCIES:
        raise Refusal(400, f"frequency must be one of {', '.join(_FREQUENCIES)}")


def _group(row: _Usage, group: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return what tells a measurement's group from others."""
    if group["groupType"] == "ACCOUNT":
        return [("accountId", row.account_id), ("accountCode", row.account)]
    if group["groupType"] == "TIME":
        start, end = _period(row.ts, group["frequency"])
        return [("startTime", start), ("endTime", end)]
    code = group["fieldCode"]
    return [(code, row.texts.get(code) if row.meter_id == group["meterId"] else None)]


def _period(ts: float, frequency: str) -> tuple[str, str]:
    """Return the beginning and the end of the period around a moment, in UTC; a week begins on Monday."""
    at = moment(ts)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if frequency == "HOUR":
        start, end = day.replace(hour=at.hour), day.replace(hour=at.hour) + timedelta(hours=1)
    elif frequency == "DAY":
        start, end = day, day + timedelta(days=1)
    elif frequency == "WEEK":
        start = day - timedelta(days=at.weekday())
        end = start + timedelta(days=7)
    else:
        months = 1 if frequency == "MONTH" else 3
        first = (at.month - 1) // months * months
        start = day.replace(month=first + 1, day=1)
        end = start.replace(year=at.year + (first + months) // 12, month=(first + months) % 12 + 1)
    return timestamp(start.timestamp()), timestamp(end.timestamp())
