"""List filters by date, as conditions of the store.

Source: the OpenAPI document. ``...Start`` includes its date and ``...End`` excludes it ("equal to or later than",
"earlier than"); ``date`` of pricings and commitments means active on that day.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.moments import micros_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from m3ter_nb.sandbox.surface import Collection

__all__ = ["date_condition"]

#: Lists whose ``date`` asks for what is active then; that of account plans is said to give inactive ones as well.
_ACTIVE_ON = ("commitments", "counterpricings", "pricings")
_COMPARATORS = {"Start": ">=", "End": "<"}


def date_condition(collection: Collection, name: str, text: str) -> tuple[str, Sequence[Any]] | None:
    """Return the condition that a filter by date stands for, or None where the filter is not one that is played.

    Args:
        collection: that is listed.
        name: of the filter, from the table of operations, never from the request.
        text: its value: a date, or a date and time with its offset.

    Raises:
        Refusal: 400, where the value is neither.
    """
    if name == "date" and collection.path in _ACTIVE_ON:
        ends = _field("endDate")
        condition = f"({_field('startDate')} <= ? AND ({ends} IS NULL OR {ends} > ?))"
        return condition, [_moment(name, text)] * 2
    for suffix, comparator in _COMPARATORS.items():
        field = name.removesuffix(suffix)
        if field != name and field.lower().endswith(("date", "datecreated")) and _has(collection, field):
            end = _balance_end() if (collection.path, field) == ("balances", "endDate") else _field(field)
            return f"{end} {comparator} ?", [_moment(name, text)]
    return None


def _has(collection: Collection, field: str) -> bool:
    """Say whether an entity has this field; of what clients cannot write the table knows no fields."""
    return collection.body is None or field in collection.body.properties


def _field(name: str) -> str:
    return f"micros_at(json_extract(body, '$.{name}'))"


def _balance_end() -> str:
    """Return the end of a balance: that of its rollover, where a rollover amount is configured."""
    rolls = "json_extract(body, '$.rolloverAmount') IS NOT NULL"
    return f"CASE WHEN {rolls} THEN {_field('rolloverEndDate')} ELSE {_field('endDate')} END"


def _moment(name: str, text: str) -> int:
    at = micros_at(text)
    if at is None:
        raise Refusal(400, f"{name} must be a date in ISO 8601, as 2024-01-31 or 2024-01-31T12:00:00Z")
    return at
