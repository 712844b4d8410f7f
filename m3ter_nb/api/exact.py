"""JSON that comes back as it was: what is read, changed in one place and sent again differs in that place alone."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from m3ter_nb.wire.digits import Digits, read_number

__all__ = ["decode_exactly", "is_same"]


def decode_exactly(content: str | bytes) -> Any:
    """Decode JSON without losing a digit.

    Raises:
        ValueError: it is no JSON, or holds NaN or Infinity.
    """
    return json.loads(content, parse_float=Digits, parse_int=read_number, parse_constant=_refuse)


def is_same(one: Any, other: Any) -> bool:
    """Tell whether two values are the same JSON: 1.10 and 1.1 are one number, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool) or one is None or other is None:
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return _decimal(one) == _decimal(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return type(one) is type(other) and bool(one == other)


def _decimal(number: float) -> Decimal | str:
    try:
        return Decimal(number if isinstance(number, int) else repr(number))
    except InvalidOperation:  # 1e999999999999999999999 is JSON all the same
        return repr(number)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
