"""What names a row, in one form for each value: the source's own ids, and the values of key columns.

A uid is made of it, so the same id must be the same text from a frame, a Parquet file, a CSV or a dict: else what is
sent again from another file counts twice. What has no such form is refused.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from m3ter_nb.usage.values import is_missing, iso_text, text, without_zeros

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["key_texts", "uid_text"]

#: Of a key's empty cell.
_EMPTY: Final = "null"


def uid_text(value: Any) -> str | None:
    """Return a uid of the source as text, or None where it is none: a fraction, a time, a truth value, a list."""
    if isinstance(value, str):
        made = text(value)
        return None if made is None else without_zeros(value)
    made = text(value)
    return None if made is None else made[1:-1]


def key_texts(values: Sequence[Any]) -> list[str | None]:
    """Return the values of a key column, each as JSON; None for what has no form of its own.

    A whole number is the text of its digits, a time the same instant in UTC (without an offset it is taken as UTC), a
    truth value is ``true`` or ``false``, an empty cell ``null``. A fraction has none: it is 1.5 in one file and 1.50 in the next.
    """
    made = [_key_text(value) for value in values]
    rows = [row for row, value in enumerate(values) if made[row] is None or _may_be_time(value)]
    for row, instant in zip(rows, _instants([values[row] for row in rows]), strict=True):
        made[row] = instant or made[row]
    return made


def _key_text(value: Any) -> str | None:
    if isinstance(value, str):
        if value in ("True", "False"):
            return f'"{value.lower()}"'
        return _EMPTY if is_missing(value) else text(without_zeros(value))
    if is_missing(value):
        return _EMPTY
    if isinstance(value, (bool, np.bool_)):
        return f'"{str(bool(value)).lower()}"'
    return text(value)


def _may_be_time(value: Any) -> bool:
    return isinstance(value, str) and value[4:5] == "-" and iso_text(value) is not None


def _instants(values: Sequence[Any]) -> list[str | None]:
    """Return times in UTC with as many digits as they need; None for what is none."""
    if not values:
        return []
    given = [_isoformat(value) for value in values]
    index = pd.DatetimeIndex(
        pd.to_datetime(pd.Series(given, dtype=object), format="ISO8601", utc=True, errors="coerce")
    )
    texts: list[str] = np.datetime_as_string(index.tz_localize(None).to_numpy()).tolist()
    return [None if each == "NaT" else f'"{_short(each)}Z"' for each in texts]


def _isoformat(value: Any) -> str | None:
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    return iso_text(value) if isinstance(value, (str, date)) else None


def _short(instant: str) -> str:
    return instant.rstrip("0").rstrip(".") if "." in instant else instant
