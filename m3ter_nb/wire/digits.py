"""Numbers of JSON that keep the digits in which they were written, where a float would not.

A float cannot hold 0.10 or 12345678901234567.89, and a bill may; whole numbers of any length are exact in Python anyway.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, Final, Self

__all__ = ["Digits", "holds_digits", "read_float", "read_number"]

# Of 15 digits any number is held by a float (DBL_DIG of C), and there is a point among them.
_ALWAYS_HELD: Final = 16
_NOT_ZERO: Final = re.compile(r"\A[-0.]*[1-9]")


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


def read_float(text: str) -> float:
    """Return a number of JSON: a plain float where that is the same number, else its digits."""
    number = float(text)
    is_short = len(text) <= _ALWAYS_HELD and "e" not in text and "E" not in text
    if is_short or repr(number) == text:
        return number
    if not number:  # of a number too small for a float nothing is left
        return Digits(text) if _NOT_ZERO.search(text) else number
    is_equal = math.isfinite(number) and Decimal(repr(number)) == Decimal(text)
    return number if is_equal else Digits(text)


def holds_digits(value: Any) -> bool:
    """Tell whether a value that is JSON holds a number of which no float has the digits.

    Raises:
        RecursionError: it is nested too deeply, or holds itself.
    """
    if isinstance(value, dict):
        return any(map(holds_digits, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(holds_digits, value))
    return isinstance(value, Digits)
