"""A quick check of many rows, column by column: made from their JSON Schema, and as strict.

A schema looks at every value of every row. A thousand measurements repeat their codes, and the types of a column are
found without a loop of our own, so that this costs a fifth; what it does not pass, the schema itself explains.
"""

from __future__ import annotations

from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Check = Callable[[Sequence[Any]], bool]

__all__ = ["Columns", "columns_of"]

_TYPES: Mapping[str, frozenset[type]] = {"string": frozenset({str}), "number": frozenset({int, float})}
_UNDERSTOOD = {
    "string": {"type", "minLength", "maxLength", "pattern", "format"},
    "object": {"type", "additionalProperties"},
}


class Columns:
    """Checks rows that are objects of texts, and of maps of texts or of numbers.

    Args:
        schema: of the list of rows (JSON Schema, draft 4).
        passing: returns what says whether all of a column of texts meet a schema.

    Raises:
        ValueError: the schema asks for more than is understood here.
    """

    def __init__(self, schema: Mapping[str, Any], passing: Callable[[Mapping[str, Any]], Check]) -> None:
        row = schema["items"]
        if set(schema) - {"type", "items", "minItems", "maxItems"} or set(row) - {
            "type",
            "properties",
            "required",
        }:
            raise ValueError("the rows have more than properties")
        self._numbers = range(schema.get("minItems", 0), schema.get("maxItems", 2**31) + 1)
        self._required: Sequence[str] = row.get("required", ())
        self._checks = {name: _check(part, passing) for name, part in row["properties"].items()}

    def hold(self, rows: Any) -> bool:
        """Say whether the rows meet their schema for sure."""
        if type(rows) is not list or len(rows) not in self._numbers or set(map(type, rows)) - {dict}:
            return False
        columns = columns_of(rows, self._checks)
        return all(len(columns.get(name, ())) == len(rows) for name in self._required) and all(
            self._checks[name](column) for name, column in columns.items()
        )


def columns_of(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, list[Any]]:
    """Return the values under each of these names that a row has at all, of the rows that have it."""
    present = set[str]().union(*rows)
    return {name: _column(rows, name) for name in names if name in present}


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    try:
        return list(map(itemgetter(name), rows))  # most often all rows have it
    except KeyError:
        return [row[name] for row in rows if name in row]


def _check(schema: Mapping[str, Any], passing: Callable[[Mapping[str, Any]], Check]) -> Check:
    """Return the check of one column."""
    kind = str(schema.get("type"))
    if kind not in _UNDERSTOOD or set(schema) - _UNDERSTOOD[kind]:
        raise ValueError(f"a column of {kind} has more than is understood")
    if kind == "object":
        values = schema.get("additionalProperties", {})
        if set(values) != {"type"} or values["type"] not in _TYPES:
            raise ValueError("the values of a map have more than a type")
        return _map_check(_TYPES[values["type"]])
    return _text_check(schema, passing(schema))


def _map_check(types: frozenset[type]) -> Check:
    def check(column: Sequence[Any]) -> bool:
        if set(map(type, column)) != {dict}:
            return False
        return bool(set(map(type, chain.from_iterable(map(dict.values, column)))) <= types)

    return check


def _text_check(schema: Mapping[str, Any], passes: Check) -> Check:
    shortest: int = schema.get("minLength", 0)
    longest: int = schema.get("maxLength", 2**31)
    only_length = not schema.keys() & {"pattern", "format"}

    def check(column: Sequence[Any]) -> bool:
        if set(map(type, column)) != {str}:
            return False
        if only_length:
            lengths = set(map(len, column))
            return min(lengths) >= shortest and max(lengths) <= longest
        return passes(column)

    return check
