"""The usage query in plain Python over a list of measurements: what the sandbox's SQL is held to."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Meter", "answer"]

_NUMERIC = ("measure", "income", "cost")
_TEXT = ("who", "where", "what", "other", "metadata")

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
class Meter:
    """A meter as the query names it."""

    id: str
    code: str


@dataclass(frozen=True)
class _Usage:
    """One measurement as the query sees it."""

    meter: Meter
    account: str
    ts: datetime
    texts: Mapping[str, str]
    numbers: Mapping[str, float]


def answer(
    measurements: Sequence[Mapping[str, Any]],
    meters: Mapping[str, Meter],
    accounts: Mapping[str, str],
    wanted: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Return the rows of an aggregation, in no order.

    Args:
        measurements: in the order of their acceptance.
        meters: by code.
        accounts: id by code.
        wanted: the body of the request.
    """
    period = [datetime.fromisoformat(wanted[name]) for name in ("startDate", "endDate")]
    usage = [
        _Usage(
            meters[given["meter"]],
            given["account"],
            datetime.fromisoformat(given["ts"]),
            {name: value for part in _TEXT for name, value in given.get(part, {}).items()},
            {name: value for part in _NUMERIC for name, value in given.get(part, {}).items()},
        )
        for given in measurements
    ]
    usage = [
        row
        for row in sorted(usage, key=lambda row: row.ts)
        if period[0] <= row.ts < period[1]
        and (not wanted.get("meterIds") or row.meter.id in wanted["meterIds"])
        and (not wanted.get("accountIds") or accounts[row.account] in wanted["accountIds"])
        and all(
            row.texts.get(limit["fieldCode"]) in limit["values"]
            for limit in wanted.get("dimensionFilters", [])
            if limit["meterId"] == row.meter.id
        )
    ]
    return _aggregated(usage, accounts, wanted["aggregations"], wanted["groups"])


def _aggregated(
    usage: Sequence[_Usage],
    accounts: Mapping[str, str],
    aggregations: Sequence[Mapping[str, Any]],
    groups: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    keyed: defaultdict[tuple[tuple[str, Any], ...], list[_Usage]] = defaultdict(list)
    for row in usage:
        keyed[tuple(item for group in groups for item in _group(row, accounts, group))].append(row)
    result = []
    for key, members in keyed.items():
        values = {}
        for aggregation in aggregations:
            code, function = aggregation["fieldCode"], aggregation["function"]
            found = [
                (row.meter.code, fields[code])
                for row in members
                if row.meter.id == aggregation["meterId"]
                and code in (fields := row.numbers if aggregation["fieldType"] == "MEASURE" else row.texts)
            ]
            if found:
                value = _FUNCTIONS[function]([field for _, field in found])
                overflown = isinstance(value, float) and not math.isfinite(value)
                values[f"{found[0][0]}.{code}.{function}"] = None if overflown else value
        if values:
            result.append({**dict(key), **values})
    return result


def _group(row: _Usage, accounts: Mapping[str, str], group: Mapping[str, Any]) -> list[tuple[str, Any]]:
    if group["groupType"] == "ACCOUNT":
        return [("accountId", accounts[row.account]), ("accountCode", row.account)]
    if group["groupType"] == "TIME":
        return list(
            zip(("startTime", "endTime"), _period(row.ts.astimezone(UTC), group["frequency"]), strict=True)
        )
    code = group["fieldCode"]
    return [(code, row.texts.get(code) if row.meter.id == group["meterId"] else None)]


def _period(at: datetime, frequency: str) -> tuple[str, str]:
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
    first_text, last_text = (moment.isoformat(timespec="milliseconds") for moment in (start, end))
    return first_text.replace("+00:00", "Z"), last_text.replace("+00:00", "Z")
