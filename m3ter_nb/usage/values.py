"""Values as measurements have them: one form for each value, whatever type of column it came from.

A uid is a digest of what is sent, so 1983, 1983.0 and Decimal("1983.00") must be the same number, and a time the same
text from a frame, a CSV or a Parquet file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from datetime import date
from decimal import Decimal, InvalidOperation
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from m3ter_nb.wire.digits import Digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "ISO_8601",
    "Fragments",
    "Rounded",
    "Spelled",
    "is_missing",
    "iso_text",
    "number",
    "number_of_text",
    "text",
    "without_zeros",
]

# Up to here every whole number is a double; a larger one is written as the nearest, whatever type it came in.
_WHOLE: Final = 2**53
# Decimals of as many digits are all told apart by a double.
_EXACT_DIGITS: Final = 15
# Digits of a Decimal that is an id; no database has more.
_LONGEST_ID: Final = 80
_REMEMBERED: Final = 65_536
_WITH_ZEROS: Final = re.compile(rf"(-?(?:0|[1-9]\d{{0,{_LONGEST_ID - 1}}}))\.0{{1,{_LONGEST_ID}}}", re.ASCII)
# Not the longdouble, which Python has no number for.
_NUMPY_NUMBERS: Final = frozenset(
    f"{kind}{size}" for kind in ("int", "uint", "float") for size in (16, 32, 64)
) | {
    "int8",
    "uint8",
}
# Taken as they are written: 0.1 in a column of them is not the double that is nearest to it.
_SMALL_FLOATS: Final = frozenset({"float16", "float32"})
_TRUTHS: Final = frozenset({"bool", "bool_"})
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
#: Dates, and date-times with or without an offset; the form with slashes that pandas would take is none of them.
ISO_8601: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?P<zone>Z|z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)


class Rounded(float):
    """A number that had more digits than a double holds."""

    __slots__ = ()


class Spelled(str):
    """The JSON of a text that reads as a whole number with a fraction of zeros, as ``7.0``.

    It is sent as it stands, and its uid is that of ``7``: a column of floats is sent as whole numbers, and written to a
    CSV with the fraction.
    """

    __slots__ = ()

    @property
    def whole(self) -> str:
        """The JSON of the number without its fraction."""
        return f'"{without_zeros(self[1:-1])}"'


class Fragments(dict[Hashable, Any]):
    """The JSON of values, each made once; None for a value that cannot be sent.

    Args:
        convert: returns the JSON of a value, or None.
    """

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, value: Hashable) -> Any:
        if len(self) >= _REMEMBERED:
            self.clear()
        made = self[value] = self._convert(value)
        return made

    def of(self, values: Iterable[Any]) -> list[Any]:
        """Return the JSON of each."""
        values = list(values)
        if any(each.__name__ in _TRUTHS for each in set(map(type, values))):
            # True would be found where 1 is kept, and is another value: no part of a measurement.
            values = [None if type(value).__name__ in _TRUTHS else value for value in values]
        try:
            return [self[value] for value in values]
        except TypeError:  # a list or a dict has no hash, and is no value either
            return [self[value] if isinstance(value, Hashable) else None for value in values]


def is_missing(value: object) -> bool:
    """Tell whether a cell is empty: None, NaN, NaT, pandas' NA, or a text of white space."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(value, (float, Decimal)):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType")


def text(value: Any) -> str | None:
    """Return a dimension's value as JSON; whole numbers are texts as good as any, truth values are none."""
    if isinstance(value, str):
        return _quoted(value)
    if type(value) is int or isinstance(value, UUID):  # an id has as many digits as it likes
        return f'"{value}"'
    if isinstance(value, Decimal):
        return _digits(value)
    plain = _plain(value)
    if plain is not value:
        return text(plain)
    found = number(value)
    return f'"{found}"' if isinstance(found, int) else None


def _quoted(value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None
    if is_missing(value):
        return None
    made = encode_basestring(value)
    return Spelled(made) if _WITH_ZEROS.fullmatch(value) else made


def without_zeros(value: str) -> str:
    """Return a text that reads as a whole number with a fraction of zeros as :func:`text` has the number; others as they are."""
    found = _WITH_ZEROS.fullmatch(value)
    if found is None:
        return value
    return "0" if found[1] == "-0" else found[1]


def _digits(value: Decimal) -> str | None:
    """Return a whole Decimal with every digit, as its integer has them: ids of databases come as such.

    One with an exponent is none, for it is written to a CSV as ``1E+3``.
    """
    if not value.is_finite() or value.adjusted() >= _LONGEST_ID or value != value.to_integral_value():
        return None
    if "E" in str(value):
        return None
    return f'"{int(value)}"'


def number(value: Any) -> int | float | None:
    """Return a measure as it is written in JSON; None where it is none.

    Whole numbers are written without a fraction: one empty cell turns a column of integers into floats.
    """
    if type(value) is float:
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) <= _WHOLE else value
    if type(value) is int:
        return value if abs(value) <= _WHOLE else _nearest(value)
    if isinstance(value, Decimal):
        return _of_decimal(value)
    if isinstance(value, Digits):
        return number_of_text(value.text)
    plain = _plain(value)
    return number(plain) if plain is not value else None


def _plain(value: Any) -> Any:
    """Return a number of NumPy as Python has it; a time of nanoseconds would become an integer."""
    kind = str(getattr(value, "dtype", "")) if type(value).__module__ == "numpy" else ""
    if kind in _SMALL_FLOATS:
        return float(str(value))
    return value.item() if kind in _NUMPY_NUMBERS and not value.ndim else value


def number_of_text(value: Any) -> int | float | None:
    """Return a measure that a CSV holds, as :func:`number`."""
    bare = value.strip() if isinstance(value, str) else ""
    if not _NUMBER.fullmatch(bare):
        return None
    try:
        return _of_decimal(Decimal(bare))
    except InvalidOperation:
        return None


def iso_text(value: Any) -> str | None:
    """Return a time as text in ISO 8601; None where it is none, or not in that form."""
    if isinstance(value, str):
        bare = value.strip()
        return bare if ISO_8601.fullmatch(bare) else None
    return value.isoformat() if isinstance(value, date) and not is_missing(value) else None


def _of_decimal(value: Decimal) -> int | float | None:
    if not value.is_finite():
        return None
    if abs(value) <= _WHOLE and value == value.to_integral_value():
        return int(value)
    made = float(value)
    if len(value.as_tuple().digits) <= _EXACT_DIGITS or Decimal(repr(made)) == value:
        return made if math.isfinite(made) else None
    return Rounded(made) if math.isfinite(made) else None


def _nearest(value: int) -> float | None:
    try:
        made = float(value)
    except OverflowError:
        return None
    return made if int(made) == value else Rounded(made)
