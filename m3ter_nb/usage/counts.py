"""m3ter's own count of a meter's measurements, whole, and by account and day where that tells more.

A count cannot tell whose row it has counted: where others submit usage of the same meter and period, what they add may
hide what is missing. By account and day there is less to hide behind.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.submission import EXPECTED, Fate
from m3ter_nb.usage.values import ISO_8601

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from m3ter_nb.usage.channel import Reader
    from m3ter_nb.usage.meter import Meter
    from m3ter_nb.usage.survey import Survey

__all__ = ["Group", "Ours", "Tally", "count", "missing"]

#: Account code and day in UTC.
Group = tuple[str, str]
# Rows of an answer (OpenAPI document, DataExplorerRequest.limit).
_MOST_GROUPS: Final = 20_000
_BY: Final = ({"groupType": "ACCOUNT"}, {"groupType": "TIME", "frequency": "DAY"})


@dataclass(frozen=True)
class Tally:
    """What m3ter has counted.

    Attributes:
        total: measurements.
        groups: of each account and day; None where there are too many, or the answer does not tell.
    """

    total: int
    groups: Mapping[Group, int] | None


@dataclass
class Ours:
    """Rows of the source by account and day.

    Attributes:
        expected: that m3ter should have.
        new: of them, those of this run.
    """

    expected: Counter[Group] = field(default_factory=Counter)
    new: Counter[Group] = field(default_factory=Counter)

    def add(
        self, accounts: Iterable[Any], moments: np.ndarray[Any, Any], fates: np.ndarray[Any, Any]
    ) -> None:
        """Count rows.

        Args:
            accounts: of each row the account code as JSON, or None.
            moments: of each row the time.
            fates: of each row what has become of it.
        """
        days = np.datetime_as_string(moments, unit="D").tolist()
        groups = Counter(zip(accounts, days, fates.tolist(), strict=True))
        for (account, day, fate), rows in groups.items():
            if fate in EXPECTED and account is not None:
                group = json.loads(account), day
                self.expected[group] += rows
                self.new[group] += rows if fate == Fate.ACCEPTED else 0

    def join(self, other: Ours) -> None:
        """Add what was counted elsewhere."""
        self.expected.update(other.expected)
        self.new.update(other.new)


def count(reader: Reader, meter: Meter, found: Survey) -> Tally:
    """Return how many measurements m3ter has in the period of the rows (usage/query, COUNT of one field).

    Raises:
        InvalidArgument: the meter has no field to count by.
        ApiError, ConnectionFailed: m3ter could not be asked.
    """
    if not meter.fields:
        raise InvalidArgument(f"meter {meter.code} has no field to count by.")
    if found.start is None or found.end is None:
        return Tally(0, {})
    days = (found.end - found.start) // np.timedelta64(1, "D") + 2
    ask = _asker(reader, meter, found)
    if found.report.accounts * int(days) <= _MOST_GROUPS:
        rows = ask({"groups": list(_BY), "limit": _MOST_GROUPS})
        if len(rows) < _MOST_GROUPS:
            return Tally(sum(map(_number, rows)), _groups(rows))
    return Tally(sum(map(_number, ask({}))), None)


def missing(before: Tally, after: Tally, ours: Ours) -> Counter[Group]:
    """Return of each account and day how many of our rows m3ter has not counted; of both tallies the groups are known."""
    then, now = before.groups or {}, after.groups or {}
    short = {
        group: max(ours.new[group] - (now.get(group, 0) - then.get(group, 0)), expected - now.get(group, 0))
        for group, expected in ours.expected.items()
    }
    return Counter({group: rows for group, rows in short.items() if rows > 0})


def _asker(reader: Reader, meter: Meter, found: Survey) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    one = next((each for each in meter.fields if each.is_numeric), meter.fields[0])
    end = found.end + np.timedelta64(1, "ms") if found.end is not None else found.end
    query = {
        "startDate": _text(found.start),
        "endDate": _text(end),
        "meterIds": [meter.id],
        "aggregations": [
            {
                "meterId": meter.id,
                "fieldCode": one.code,
                # Every category of numbers is one of these two (OpenAPI document, DataExplorerFieldType).
                "fieldType": "MEASURE" if one.is_numeric else "DIMENSION",
                "function": "COUNT",
            }
        ],
    }

    def ask(more: dict[str, Any]) -> list[dict[str, Any]]:
        answer = reader.request("POST", "usage/query", json={**query, **more})
        rows = answer.get("data") if isinstance(answer, dict) else None
        return list(rows or ())

    return ask


def _number(row: Mapping[str, Any]) -> int:
    # The keys of a row are not documented: with one aggregation there is one number.
    return int(
        sum(
            value for value in row.values() if isinstance(value, (int, float)) and not isinstance(value, bool)
        )
    )


def _groups(rows: Iterable[Mapping[str, Any]]) -> Mapping[Group, int] | None:
    """Return the count of each account and day; what is no time is a name of the account, id and code alike."""
    found: Counter[Group] = Counter()
    for row in rows:
        texts = [value for value in row.values() if isinstance(value, str)]
        times = [each for each in texts if ISO_8601.fullmatch(each)]
        if not times:
            return None
        for name in set(texts).difference(times):
            found[name, min(times)[:10]] += _number(row)
    return found


def _text(moment: np.datetime64 | None) -> str:
    return str(np.datetime_as_string(moment, unit="ms", timezone="UTC")) if moment is not None else ""
