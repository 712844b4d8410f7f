"""The usage query: what was ingested, filtered, grouped and aggregated.

Source: the OpenAPI document (PostUsageDataQuery). The keys of the rows are not documented; ours are an assumption.
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from flask import request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_json
from m3ter_nb.sandbox.moments import micros_of, moment, timestamp
from m3ter_nb.sandbox.surface import load, rule
from m3ter_nb.sandbox.usage_sql import NUMERIC, TEXT, Query

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.world import World

__all__ = ["register"]

_MOST_ROWS = 20_000
_ALLOWED = {"MEASURE": ("SUM", "MIN", "MAX", "COUNT", "LATEST", "MEAN"), "DIMENSION": ("COUNT", "UNIQUE")}
_FREQUENCIES = ("HOUR", "DAY", "WEEK", "MONTH", "QUARTER")
_LENGTHS = {"HOUR": timedelta(hours=1), "DAY": timedelta(days=1), "WEEK": timedelta(days=7)}


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
    _check(aggregations, groups)
    period = _period_of(wanted)
    limit = wanted.get("limit", _MOST_ROWS)
    with world.store.transaction() as db:
        meters = _meters(db)
        query = Query(wanted, meters, period, world.latest_shown())
        if aggregations:
            known = [aggregation for aggregation in aggregations if aggregation["meterId"] in meters]
            rows = query.aggregates(db, known, groups, limit + 1) if known else []
            named = _named_rows(rows, groups, known, meters)
            found = [row for row in named if row]
        else:
            codes = {code: meter_id for meter_id, (code, _) in meters.items()}
            found = [_plain(codes, row) for row in query.rows(db, limit + 1)]
        _add_account_ids(db, found)
    return json_answer({"data": found[:limit], "hasMoreData": len(found) > limit})


def _check(aggregations: Sequence[Mapping[str, Any]], groups: Sequence[Mapping[str, Any]]) -> None:
    if groups and not aggregations:
        raise Refusal(400, "groups need aggregations")
    for aggregation in aggregations:
        if aggregation["function"] not in _ALLOWED[aggregation["fieldType"]]:
            raise Refusal(
                400, f"{aggregation['function']} cannot be applied to a {aggregation['fieldType']} field"
            )
    for group in groups:
        _check_group(group)


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


def _period_of(wanted: Mapping[str, Any]) -> tuple[int, int]:
    for name in ("startDate", "endDate"):
        if name not in wanted:
            raise Refusal(400, f"{name} is required")
    return micros_of(wanted["startDate"], "startDate"), micros_of(wanted["endDate"], "endDate")


def _meters(db: sqlite3.Connection) -> dict[str, tuple[str, dict[str, str]]]:
    """Return the code and the categories by field code of every meter, by its id."""
    rows = db.execute("SELECT id, code, body FROM entities WHERE collection = 'meters' AND code IS NOT NULL")
    return {
        meter_id: (code, {field["code"]: field["category"] for field in json.loads(body)["dataFields"]})
        for meter_id, code, body in rows
    }


def _plain(codes: Mapping[str, str], row: tuple[str, str, int, str | None, str]) -> dict[str, Any]:
    """Return a measurement as a row of its own."""
    meter, account, ts, uid, body = row
    measurement = json.loads(body)
    return {
        "meterId": codes.get(meter, ""),
        "meterCode": meter,
        "accountId": "",
        "accountCode": account,
        "ts": timestamp(ts / 1_000_000),
        "uid": uid,
        **{
            f"{meter}.{name}": value
            for category in (*TEXT, *NUMERIC)
            for name, value in measurement.get(category.lower(), {}).items()
        },
    }


def _named_rows(
    rows: Sequence[Sequence[Any]],
    groups: Sequence[Mapping[str, Any]],
    aggregations: Sequence[Mapping[str, Any]],
    meters: Mapping[str, tuple[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a statement with their names; an empty one where no measurement has a value."""
    # A period is in as many rows as there are accounts.
    keys: list[Callable[[Any], dict[str, Any]]] = [cache(partial(_named_key, group)) for group in groups]
    names = [
        f"{meters[aggregation['meterId']][0]}.{aggregation['fieldCode']}.{aggregation['function']}"
        for aggregation in aggregations
    ]
    counted = [aggregation["function"] in ("COUNT", "UNIQUE") for aggregation in aggregations]
    for row in rows:
        values = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value, counts in zip(names, row[len(groups) :], counted, strict=True)
            if value is not None and not (counts and value == 0)
        }
        named: dict[str, Any] = {}
        if values:
            for key, value in zip(keys, row, strict=False):
                named |= key(value)
        yield named | values


def _named_key(group: Mapping[str, Any], value: Any) -> dict[str, Any]:
    if group["groupType"] == "ACCOUNT":
        return {"accountId": "", "accountCode": value}
    if group["groupType"] == "TIME":
        start, end = _period(value, group["frequency"])
        return {"startTime": timestamp(start.timestamp()), "endTime": timestamp(end.timestamp())}
    return {group["fieldCode"]: value}


def _period(value: Any, frequency: str) -> tuple[datetime, datetime]:
    """Return the beginning and the end of a period, in UTC; a week begins on Monday."""
    if frequency in _LENGTHS:
        start = moment(value // 1_000_000)
        return start, start + _LENGTHS[frequency]
    months = 1 if frequency == "MONTH" else 3
    year, _, number = value.partition("-")
    first = (int(number) - 1) * months
    start = moment(0).replace(year=int(year), month=first + 1)
    following = first + months
    return start, start.replace(year=start.year + following // 12, month=following % 12 + 1)


def _add_account_ids(db: sqlite3.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Fill in the ids of the accounts that the rows name by code."""
    codes = json.dumps(list({row["accountCode"] for row in rows if "accountId" in row}))
    ids = dict(
        db.execute(
            "SELECT code, id FROM entities "
            "WHERE collection = 'accounts' AND code IN (SELECT value FROM json_each(?))",
            [codes],
        )
    )
    for row in rows:
        if "accountId" in row:
            row["accountId"] = ids.get(row["accountCode"], "")
