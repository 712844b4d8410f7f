"""m3ter's own count of a meter's measurements, whole, and by account and day where that tells more.

A count cannot tell whose row it has counted: where others submit usage of the same meter and period, what they add may
hide what is missing. By account and day there is less to hide behind.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.submission import EXPECTED, Fate
from m3ter_nb.usage.values import ISO_8601

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from m3ter_nb.usage.channel import Reader
    from m3ter_nb.usage.meter import Field, Meter
    from m3ter_nb.usage.survey import Survey

__all__ = [
    "Added",
    "Group",
    "Ours",
    "Sums",
    "Tally",
    "count",
    "groups_of",
    "missing",
    "names_accounts",
    "odd_sum",
    "sums",
]

#: Account code and day in UTC.
Group = tuple[str, str]
#: Of each numeric field the sum by account and day.
Sums = dict[str, dict[Group, float]]
# By which part of what is added a sum may differ, for elsewhere it is added in another order.
_INEXACT: Final = 1e-9
# Up to here sums of whole numbers are exact, in whatever order and as doubles, too.
_EXACT: Final = 2**53
_BEGINS_A_DAY: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]00:00(?::00(?:\.0+)?)?(?:[Zz]|[+-]00(?::?00)?)?)?", re.ASCII
)
# Account codes that one request asks for.
_ASKED: Final = 50
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
        self, accounts: Sequence[Any], moments: np.ndarray[Any, Any], fates: np.ndarray[Any, Any]
    ) -> None:
        """Count rows.

        Args:
            accounts: of each row the account code as JSON, or None.
            moments: of each row the time.
            fates: of each row what has become of it.
        """
        groups = Counter(zip(groups_of(accounts, moments), fates.tolist(), strict=True))
        for (group, fate), rows in groups.items():
            if fate in EXPECTED and group is not None:
                self.expected[group] += rows
                self.new[group] += rows if fate == Fate.ACCEPTED else 0

    def join(self, other: Ours) -> None:
        """Add what was counted elsewhere."""
        self.expected.update(other.expected)
        self.new.update(other.new)


@dataclass
class Added:
    """Numbers of the source by field, account and day.

    Attributes:
        amounts: their sums.
        sizes: the sums of their absolute values, for numbers that make up for one another leave a sum inexact that is far
            smaller than they are.
    """

    amounts: Sums = field(default_factory=dict)
    sizes: Sums = field(default_factory=dict)

    def add(
        self, name: str, groups: Iterable[Group | None], values: Iterable[Any], fates: np.ndarray[Any, Any]
    ) -> None:
        """Add the numbers of a field, of those rows that m3ter should have."""
        amounts, sizes = (each.setdefault(name, {}) for each in (self.amounts, self.sizes))
        for group, value, fate in zip(groups, values, fates.tolist(), strict=True):
            if fate in EXPECTED and group is not None:
                amounts[group] = amounts.get(group, 0) + value
                sizes[group] = sizes.get(group, 0) + abs(value)

    def inexact(self, name: str, group: Group) -> float:
        """Return by how much m3ter's sum of the same numbers may differ."""
        size = self.sizes[name][group]
        return 0 if isinstance(self.amounts[name][group], int) and size <= _EXACT else _INEXACT * size


def groups_of(accounts: Sequence[Any], moments: np.ndarray[Any, Any]) -> list[Group | None]:
    """Return the account and the day of each row; None where it has no account.

    Args:
        accounts: of each row the account code as JSON, or None.
        moments: of each row the time.
    """
    days = np.datetime_as_string(moments, unit="D").tolist()
    codes: dict[Any, Any] = {each: None if each is None else json.loads(each) for each in set(accounts)}
    return [
        None if account is None else (codes[account], day)
        for account, day in zip(accounts, days, strict=True)
    ]


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
    one = next((each for each in meter.fields if each.is_numeric), meter.fields[0])
    ask = _asker(reader, meter, found, one, "COUNT")
    if _can_be_grouped(found):
        rows = ask({"groups": list(_BY), "limit": _MOST_GROUPS})
        if len(rows) < _MOST_GROUPS:
            return Tally(int(sum(map(_number, rows))), _groups(rows))
    return Tally(int(sum(map(_number, ask({})))), None)


def sums(reader: Reader, meter: Meter, found: Survey) -> Sums | None:
    """Return what m3ter has added up in the period of the rows; None where there is too much of it.

    Raises:
        ApiError, ConnectionFailed: m3ter could not be asked.
    """
    if not _can_be_grouped(found):
        return None
    summed = Sums()
    for each in meter.fields:
        if each.is_numeric:
            rows = _asker(reader, meter, found, each, "SUM")({"groups": list(_BY), "limit": _MOST_GROUPS})
            groups = _groups(rows)
            if groups is None or len(rows) == _MOST_GROUPS:
                return None
            summed[each.code] = dict(groups)
    return summed or None


def names_accounts(reader: Reader, counted: Mapping[Group, int], expected: Mapping[Group, int]) -> bool:
    """Tell whether a count names accounts by their codes, which is not documented: by one of ours, or by any that m3ter has.

    Raises:
        ApiError, ConnectionFailed: m3ter could not be asked.
    """
    named = {name for name, _ in counted}
    if not named.isdisjoint(code for code, _ in expected):
        return True
    few = sorted(name for name in named if "," not in name)[:_ASKED]
    return bool(few) and any(True for _ in reader.pages("accounts", codes=few))


def odd_sum(theirs: Sums, ours: Added, counted: Mapping[Group, int], expected: Mapping[Group, int]) -> str:
    """Say where m3ter has something else than these rows hold; ``""`` where counts and sums are the same."""
    for (code, day), rows in expected.items():
        there = counted.get((code, day), 0)
        if there != rows:
            return f"of {code} on {day} m3ter has counted {there:,} rows, and these are {rows:,}"
    for name, groups in ours.amounts.items():
        for (code, day), amount in groups.items():
            summed = theirs.get(name, {}).get((code, day), 0)
            if abs(summed - amount) > ours.inexact(name, (code, day)):
                where = f"the sum of {name} of {code} on {day}"
                return f"{where} is {summed:,.10g} at m3ter, and {amount:,.10g} in these rows"
    return ""


def _can_be_grouped(found: Survey) -> bool:
    if found.start is None or found.end is None:
        return False
    days = (found.end - found.start) // np.timedelta64(1, "D") + 2
    return found.report.accounts * int(days) <= _MOST_GROUPS


def missing(before: Tally, after: Tally, ours: Ours) -> Counter[Group]:
    """Return of each account and day how many of our rows m3ter has not counted; of both tallies the groups are known."""
    then, now = before.groups or {}, after.groups or {}
    short = {
        group: max(ours.new[group] - (now.get(group, 0) - then.get(group, 0)), expected - now.get(group, 0))
        for group, expected in ours.expected.items()
    }
    return Counter({group: rows for group, rows in short.items() if rows > 0})


def _asker(
    reader: Reader, meter: Meter, found: Survey, one: Field, function: str
) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
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
                "function": function,
            }
        ],
    }

    def ask(more: dict[str, Any]) -> list[dict[str, Any]]:
        answer = reader.request("POST", "usage/query", json={**query, **more})
        rows = answer.get("data") if isinstance(answer, dict) else None
        return list(rows or ())

    return ask


def _number(row: Mapping[str, Any]) -> Any:
    # The keys of a row are not documented: with one aggregation there is one number.
    return sum(
        value for value in row.values() if isinstance(value, (int, float)) and not isinstance(value, bool)
    )


def _groups(rows: Iterable[Mapping[str, Any]]) -> Mapping[Group, Any] | None:
    """Return the number of each account and day; what is no time is a name of the account, id and code alike."""
    found: defaultdict[Group, Any] = defaultdict(int)
    for row in rows:
        texts = [value for value in row.values() if isinstance(value, str)]
        times = [each for each in texts if ISO_8601.fullmatch(each)]
        start = min(times, default="")
        # In which time zone days begin is not documented either; those of another are none to compare with.
        if not _BEGINS_A_DAY.fullmatch(start):
            return None
        for name in set(texts).difference(times):
            found[name, start[:10]] += _number(row)
    return found


def _text(moment: np.datetime64 | None) -> str:
    return str(np.datetime_as_string(moment, unit="ms", timezone="UTC")) if moment is not None else ""
