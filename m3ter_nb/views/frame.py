"""Decoded JSON as a pandas DataFrame that loses nothing: no digit, no day, no field.

Columns are built whole, one after the other, level by level: no row is copied, and a row costs the same however many
there are.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import MAXYEAR, MINYEAR
from decimal import Decimal, InvalidOperation
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from m3ter_nb.extras import missing_extra
from m3ter_nb.views.columns import column_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd

__all__ = ["frame_of"]

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Up to nanoseconds: pandas drops further digits.
_DATE_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_DATE_NAME: Final = re.compile(
    r"(^|\.)(dt[A-Z]\w*|e?ts|date|\w*(Date|Dates|DateTimeUTC|Time|Epoch|DateStart|DateEnd))$"
)
_FREE_TEXT: Final = frozenset({"id", "name", "code"})
# Every whole number in it is a float too.
_EXACT_IN_FLOATS: Final = range(-(2**53), 2**53 + 1)
_DEEPEST: Final = 50
_NOTHING: Final = type(None)
_NO_OBJECT: Final[Mapping[str, Any]] = {}

_Path = tuple[str, ...]


class _Column(NamedTuple):
    """The values of a field, None where a row has none, and their types."""

    cells: list[Any]
    kinds: set[type]


def frame_of(rows: Sequence[Any]) -> pd.DataFrame:
    """Return the rows as a DataFrame; ``Records.to_frame`` says what becomes of the values.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise missing_extra("to_frame() needs pandas, which is not installed", "pandas") from error
    columns = _flat_columns(_as_objects(rows))
    order = column_order(columns, nested=[name for name in columns if "." in name])
    series = {name: _series(name, columns[name]) for name in order}
    return pd.DataFrame(series, index=pd.RangeIndex(len(rows)), copy=False)


def _as_objects(rows: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
    if _all_objects(set(map(type, rows))):
        return rows
    return [row if isinstance(row, dict) else {"value": row} for row in rows]


def _flat_columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, _Column]:
    """Return the columns; an object gives one per field, named with dots.

    Where two fields would share a name (``{"a.b": 1, "a": {"b": 2}}``), the object stays whole.
    """
    whole: set[str] = set()
    while True:
        fields = list(_fields_of(rows, (), whole))
        names = Counter(".".join(path) for path, _ in fields)
        clashing = {path[0] for path, _ in fields if len(path) > 1 and names[".".join(path)] > 1}
        if not clashing:
            return {".".join(path): column for path, column in fields}
        whole |= clashing


def _fields_of(
    rows: Sequence[Mapping[str, Any]], above: _Path, whole: set[str]
) -> Iterator[tuple[_Path, _Column]]:
    for field, values in _values_of(rows).items():
        path, column = (*above, str(field)), _Column(values, set(map(type, values)))
        if path[0] in whole or len(path) > _DEEPEST or not _holds_objects(column):
            yield path, column
        elif _all_objects(column.kinds):
            yield from _fields_of(values, path, whole)
        else:
            beside = [None if isinstance(value, dict) else value for value in values]
            if (kinds := set(map(type, beside))) != {_NOTHING}:
                yield path, _Column(beside, kinds)
            objects = [value if isinstance(value, dict) else _NO_OBJECT for value in values]
            yield from _fields_of(objects, path, whole)


def _values_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of each field, in the order in which the fields first appear."""
    if len(set(map(len, rows))) == 1:
        try:
            return {field: list(map(itemgetter(field), rows)) for field in rows[0]}
        except KeyError:
            pass
    return {field: [row.get(field) for row in rows] for field in dict.fromkeys(chain.from_iterable(rows))}


def _all_objects(kinds: Iterable[type]) -> bool:
    return all(issubclass(kind, dict) for kind in kinds)


def _holds_objects(column: _Column) -> bool:
    """Tell whether one is an object that is not empty: of empty ones alone the field would be lost."""
    return any(issubclass(kind, dict) for kind in column.kinds) and any(
        isinstance(value, dict) and value for value in column.cells
    )


def _series(name: str, column: _Column) -> pd.Series[Any]:
    """Return one column, of the narrowest type that holds each of its values exactly."""
    import pandas as pd

    values, kinds = column.cells, column.kinds - {_NOTHING}
    if kinds == {int}:
        return _whole_numbers(values, gaps=kinds != column.kinds)
    if kinds == {float} or (kinds == {int, float} and _exact_as_floats(values)):
        return pd.Series(values, dtype="float64")
    if kinds == {str}:
        return _texts(name, values)
    if any(issubclass(kind, float) and kind is not float for kind in kinds):
        values = [_decimal(value) if isinstance(value, float) else value for value in values]
    return pd.Series(values, dtype=bool if column.kinds == {bool} else object)


def _whole_numbers(values: list[int | None], *, gaps: bool) -> pd.Series[Any]:
    import numpy as np
    import pandas as pd

    try:
        if not gaps:
            return pd.Series(np.array(values, dtype="int64"))
        numbers = np.array([0 if value is None else value for value in values], dtype="int64")
    except OverflowError:
        return pd.Series(values, dtype=object)
    missing = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
    return pd.Series(pd.arrays.IntegerArray(numbers, missing))


def _exact_as_floats(values: Iterable[Any]) -> bool:
    return all(value in _EXACT_IN_FLOATS for value in values if type(value) is int)


def _decimal(number: float) -> Decimal | str:
    """Return a number that has more digits than a float: pandas makes floats of all that are floats in part."""
    try:
        return Decimal(repr(number))
    except InvalidOperation:  # 1e999999999999999999999
        return repr(number)


def _texts(name: str, values: list[str | None]) -> pd.Series[Any]:
    import pandas as pd

    try:
        column = pd.Series(values)
    except UnicodeEncodeError:  # half of a surrogate pair, which Arrow's texts cannot hold
        return pd.Series(values, dtype=object)
    if name.rpartition(".")[2] in _FREE_TEXT:
        return column
    texts = [value for value in values if value is not None]
    if _DATE_NAME.search(name) and _all_match(_DAY, texts):
        dates = pd.to_datetime(column, format="%Y-%m-%d", errors="coerce")
    elif _all_match(_DATE_TIME, texts):
        dates = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
    else:
        return column
    # A date that pandas cannot hold (the year 9999 in pandas 2) must not silently become "no date", nor one of a
    # year that Python does not have (the last hours of 9999, west of Greenwich), which pandas cannot show.
    is_whole = dates.isna().equals(column.isna()) and dates.dt.year.dropna().between(MINYEAR, MAXYEAR).all()
    return dates if is_whole else column


def _all_match(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    return pattern.fullmatch(texts[0]) is not None and (
        _same_shape(texts) or all(map(pattern.fullmatch, texts))
    )


def _same_shape(texts: Sequence[str]) -> bool:
    """Tell whether texts are equal but for their digits, by looking at one place of all of them at a time."""
    length = len(texts[0])
    if set(map(len, texts)) != {length}:
        return False
    joined = "".join(texts)
    if not joined.isascii():
        return False
    places = (joined[start::length] for start in range(length))
    return all(
        place.isdecimal() if char.isdecimal() else place == char * len(texts)
        for char, place in zip(texts[0], places, strict=True)
    )
