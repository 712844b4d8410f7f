"""JSON that comes back as it was: what is read, changed in one place and sent again differs in that place alone.

A float cannot hold 0.10 or 12345678901234567.89, and a bill may. Numbers are read as floats that remember how they
were written; whole numbers of any length are exact in Python anyway.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Self

from m3ter_nb.wire.encoding import encode_body

__all__ = ["Digits", "decode_exactly", "encode_exactly", "is_same", "read_number"]


class Digits(float):
    """A number that remembers how it was written.

    Attributes:
        text: as JSON has it.
    """

    __slots__ = ("text",)

    text: str

    def __new__(cls, text: str) -> Self:
        """Read a number as JSON writes it."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __repr__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type[Digits], tuple[str]]:
        return Digits, (self.text,)


def read_number(text: str) -> int | Digits:
    """Return a whole number of JSON: minus zero is none in Python."""
    return Digits(text) if text == "-0" else int(text)


def decode_exactly(content: str | bytes) -> Any:
    """Decode JSON without losing a digit.

    Raises:
        ValueError: it is no JSON, or holds NaN or Infinity.
    """
    return json.loads(content, parse_float=Digits, parse_int=read_number, parse_constant=_refuse)


def encode_exactly(value: Any) -> bytes:
    """Encode a value as a JSON body: numbers as they were written, fields in their order.

    Raises:
        InvalidArgument: as :func:`m3ter_nb.wire.encoding.encode_body`.
    """
    encode_body(_without_digits(value))  # it refuses what must not travel
    return _text(value).encode()


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


def _without_digits(value: Any) -> Any:
    """Return a value with 0 for the numbers that were read, of which some are beyond every float."""
    if isinstance(value, dict):
        return {name: _without_digits(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_digits(item) for item in value]
    return 0 if isinstance(value, Digits) else value


def _text(value: Any) -> str:
    if isinstance(value, Digits):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(name)}:{_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(_text, value)) + "]"
    return encode_body(value).decode()


def _decimal(number: float) -> Decimal:
    return Decimal(number if isinstance(number, int) else repr(number))


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
