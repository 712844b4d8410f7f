"""Columns of a frame as lists of what measurements hold, with what is wrong in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from m3ter_nb.usage.ids import key_texts, uid_text
from m3ter_nb.usage.values import Fragments, Rounded, is_missing, iso_text, number, number_of_text, text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m3ter_nb.usage.meter import Columns, Field, Meter

__all__ = ["Cells", "Fault", "Reading", "moments_of"]

# See the values: beyond, a whole number may be no double.
_WHOLE: Final = 2**53
_LONGEST_CODE: Final = 80
_LONGEST_METADATA: Final = 256
_FIRST_YEAR, _LAST_YEAR = np.datetime64("0001-01-01"), np.datetime64("9999-12-31T23:59:59.999")
# Taken as they are written: 0.1 in a column of them is not the double that is nearest to it.
_SMALL_FLOATS: Final = (np.dtype(np.float16), np.dtype(np.float32))
_Numbers = np.ndarray[Any, Any]
_Moments = np.ndarray[Any, np.dtype[np.datetime64]]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one column of some rows.

    Attributes:
        kind: one word, as m3ter has them where it has one.
        column: the column's name.
        rows: positions within the piece.
        is_problem: whether such a row cannot be sent.
    """

    kind: str
    column: str
    rows: Sequence[int]
    is_problem: bool = True


@dataclass(slots=True)
class Cells:
    """One piece of a source, read: lists of JSON, one for each part of a measurement.

    Attributes:
        rows: how many.
        parts: for each part of the template in turn (account, ts, ets, fields) the JSON of every row; None where it
            cannot be sent.
        uids: the source's own ids as texts, or None.
        keys: of each row the JSON of its key columns, or None.
        moments: the times, as ``datetime64[ms]`` in UTC; NaT where there is none.
        faults: what is wrong.
    """

    rows: int
    parts: list[list[Any]]
    uids: list[Any] | None
    keys: list[Any] | None
    moments: _Moments
    faults: list[Fault] = field(default_factory=list)

    def reasons(self) -> dict[int, str]:
        """Return the rows that cannot be sent, each with the first reason: ``"MissingField region"``."""
        found: dict[int, str] = {}
        for fault in self.faults:
            if fault.is_problem:
                reason = f"{fault.kind} {fault.column}".rstrip()
                for row in fault.rows:
                    found.setdefault(row, reason)
        return found


class Reading:
    """Reads pieces of one source for one meter; values that come again are converted once.

    Args:
        meter: the meter.
        columns: which column holds what.
        zone: of times that have none.
        from_text: whether numbers come as text (a CSV).
    """

    def __init__(self, meter: Meter, columns: Columns, *, zone: str, from_text: bool) -> None:
        self._meter = meter
        self._columns = columns
        self._zone = zone
        self._from_text = from_text
        self._texts = Fragments(text)
        self._accounts = Fragments(_account)
        self._numbers = Fragments(number_of_text if from_text else number)

    def read(self, frame: pd.DataFrame) -> Cells:
        """Read a piece."""
        columns, faults = self._columns, list[Fault]()
        accounts, codes = frame[columns.account].tolist(), self.codes(frame)
        _note(
            faults,
            codes,
            columns.account,
            accounts,
            lambda value: "MissingAccount" if is_missing(value) else "BadCode",
        )
        moments, ts = self._times(frame, columns.ts, faults)
        parts = [codes, ts]
        if columns.ets is not None:
            ends, ets = self._times(frame, columns.ets, faults)
            early = np.flatnonzero(ends < moments).tolist()
            if early:
                faults.append(Fault("EndsBeforeStart", columns.ets, early))
            parts.append(ets)
        parts += [self._field(frame, each, faults) for each in self._meter.fields]
        return Cells(len(frame), parts, self._uids(frame, faults), self._keys(frame, faults), moments, faults)

    def codes(self, frame: pd.DataFrame) -> list[Any]:
        """Return the account code of each row as JSON; None where there is none."""
        return self._accounts.of(frame[self._columns.account].tolist())

    def _field(self, frame: pd.DataFrame, each: Field, faults: list[Fault]) -> list[Any]:
        name = self._columns.of(each.code)
        series = frame[name]
        if not each.is_numeric:
            values = series.tolist()
            made = self._texts.of(values)
            _note(faults, made, name, values, _why_no_text)
            if each.category == "METADATA":
                long = [
                    row
                    for row, value in enumerate(values)
                    if isinstance(value, str) and len(value) > _LONGEST_METADATA
                ]
                if long:
                    faults.append(Fault("TooLong", name, long))
            return made
        made = self._measures(series)
        if None in made:
            _note(faults, made, name, series.tolist(), partial(_why_no_number, from_text=self._from_text))
        rounded = (
            [row for row, value in enumerate(made) if type(value) is Rounded]
            if Rounded in set(map(type, made))
            else []
        )
        if rounded:
            faults.append(Fault("Rounded", name, rounded, is_problem=False))
        widened = _widened(made)
        if widened:
            faults.append(Fault("SinglePrecision", name, widened, is_problem=False))
        return made

    def _measures(self, series: pd.Series[Any]) -> list[Any]:
        # Of a nullable column, or one of Arrow, that of the values that are there.
        kind: Any = getattr(series.dtype, "numpy_dtype", series.dtype)
        if kind in _SMALL_FLOATS:
            return _floats(series.to_numpy(kind, na_value=np.nan).astype(str))
        if isinstance(series.dtype, np.dtype):
            if series.dtype.kind in "iu" and (
                series.empty or max(-int(series.min()), int(series.max())) <= _WHOLE
            ):
                return list(series.tolist())
            if series.dtype.kind == "f":
                return _floats(series.to_numpy())
            if series.dtype.kind == "b":
                return [None] * len(series)
        values = series.tolist()
        if self._from_text:
            return self._numbers.of(values)
        return [number(value) for value in values]

    def _times(self, frame: pd.DataFrame, name: str, faults: list[Fault]) -> tuple[_Moments, list[Any]]:
        moments, naive, unclear = moments_of(frame[name], self._zone)
        wrong = np.isnat(moments) | (moments < _FIRST_YEAR) | (moments > _LAST_YEAR)
        texts: list[Any] = np.datetime_as_string(moments, unit="ms", timezone="UTC").tolist()
        if naive:
            faults.append(Fault("NoTimeZone", name, naive, is_problem=False))
        if wrong.any():
            values = frame[name].tolist()
            rows: dict[str, list[int]] = {}
            for row in np.flatnonzero(wrong).tolist():
                texts[row] = None
                kind = (
                    "MissingTime"
                    if is_missing(values[row])
                    else "UnclearTime"
                    if row in unclear
                    else "BadTime"
                )
                rows.setdefault(kind, []).append(row)
            faults += [Fault(kind, name, found) for kind, found in rows.items()]
        return moments, texts

    def _uids(self, frame: pd.DataFrame, faults: list[Fault]) -> list[Any] | None:
        name = self._columns.uid
        if name is None:
            return None
        values = frame[name].tolist()
        made = [uid_text(value) for value in values]
        _note(faults, made, name, values, lambda value: "MissingUid" if is_missing(value) else "WrongType")
        return made

    def _keys(self, frame: pd.DataFrame, faults: list[Fault]) -> list[Any] | None:
        """Return the key of each row as one text; an empty cell is a value like any other here."""
        if self._columns.key is None:
            return None
        made = [self._key_column(frame[name], name, faults) for name in self._columns.key]
        return [",".join(values) for values in zip(*made, strict=True)]

    def _key_column(self, series: pd.Series[Any], name: str, faults: list[Fault]) -> list[str]:
        if name in (self._columns.ts, self._columns.ets):
            moments, _, _ = moments_of(series, self._zone)
            return list(np.datetime_as_string(moments, unit="ms").tolist())
        fields = {self._columns.of(each.code): each for each in self._meter.fields}
        values = series.tolist()
        if name in fields and fields[name].is_numeric:
            measures = self._measures(series)
            return [f'"{value}"' if value is not None else "null" for value in measures]
        made = key_texts(values)
        unclear = [row for row, value in enumerate(made) if value is None]
        if unclear:
            faults.append(Fault("UnclearKey", name, unclear))
        return [value or "null" for value in made]


def moments_of(series: pd.Series[Any], zone: str) -> tuple[_Moments, list[int], set[int]]:
    """Return times as ``datetime64[ms]`` in UTC, the rows without a time zone, and those that a change of clocks made unclear.

    What is no time, or not in ISO 8601, is NaT.
    """
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        index = pd.DatetimeIndex(series)
        if index.tz is not None:
            return _in_ms(index.tz_convert("UTC").tz_localize(None)), [], set()
        return _from_naive(index, zone, np.arange(len(index)))
    texts = [iso_text(value) for value in series.tolist()]
    # The offset is behind the time of day; without one there is nothing but digits and separators.
    aware = np.fromiter((each is not None and _has_zone(each) for each in texts), bool, len(texts))
    given = np.fromiter((each is not None for each in texts), bool, len(texts))
    moments = np.full(len(texts), "NaT", "datetime64[ms]")
    bare = np.array(texts, object)
    if aware.any():
        moments[aware] = _in_ms(
            pd.DatetimeIndex(
                pd.to_datetime(bare[aware], utc=True, format="ISO8601", errors="coerce")
            ).tz_localize(None)
        )
    local = np.flatnonzero(given & ~aware)
    naive: list[int] = []
    unclear: set[int] = set()
    if local.size:
        index = pd.DatetimeIndex(pd.to_datetime(bare[local], format="ISO8601", errors="coerce"))
        moments[local], naive, unclear = _from_naive(index, zone, local)
    return moments, naive, unclear


def _has_zone(text_: str) -> bool:
    return text_[-1] in "Zz" or (len(text_) > 16 and ("+" in text_[16:] or "-" in text_[16:]))


def _from_naive(index: pd.DatetimeIndex, zone: str, rows: _Numbers) -> tuple[_Moments, list[int], set[int]]:
    there: _Numbers = np.asarray(index.notna())
    naive = rows[there].tolist()
    if zone == "UTC":
        return _in_ms(index), naive, set()
    local = index.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    unclear = set(rows[there & np.asarray(local.isna())].tolist())
    return _in_ms(local.tz_convert("UTC").tz_localize(None)), naive, unclear


def _in_ms(index: pd.DatetimeIndex) -> _Moments:
    return index.to_numpy().astype("datetime64[ms]")


def _floats(values: np.ndarray[Any, Any]) -> list[Any]:
    """Return floats as JSON has them, by the whole column where all are whole."""
    values = values.astype(np.float64, copy=False)
    with np.errstate(invalid="ignore"):
        if bool(np.all((values == np.rint(values)) & (np.abs(values) <= _WHOLE))):
            return list(values.astype(np.int64).tolist())
    return [number(value) for value in values.tolist()]


def _widened(made: list[Any]) -> list[int]:
    """Return the rows of numbers in single precision that were made double before anybody could see how they were written."""
    rows = [row for row, value in enumerate(made) if type(value) is float and not value.is_integer()]
    if not rows or not _is_single(np.array([made[rows[0]]])):
        return []
    if not _is_single(np.array([made[row] for row in rows])):
        return []
    return [row for row in rows if float(str(np.float32(made[row]))) != made[row]]


def _is_single(values: np.ndarray[Any, Any]) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.all(values.astype(np.float32).astype(np.float64) == values))


def _account(value: Any) -> str | None:
    """Return an account code as JSON; its form is that of the OpenAPI document (``MeasurementRequest.account``)."""
    made = text(value)
    code = str(value) if isinstance(value, str) else _bare(made) or ""
    if not 0 < len(code) <= _LONGEST_CODE or code != code.strip():
        return None
    if any(letter != " " and (letter.isspace() or not letter.isprintable()) for letter in code):
        return None
    return made


def _bare(fragment: str | None) -> str | None:
    return None if fragment is None else fragment[1:-1]


def _note(
    faults: list[Fault], made: list[Any], name: str, values: list[Any], why: Callable[[Any], str]
) -> None:
    """Add what is wrong with the values that nothing was made of."""
    if None not in made:
        return
    rows: dict[str, list[int]] = {}
    for row, (fragment, value) in enumerate(zip(made, values, strict=True)):
        if fragment is None:
            rows.setdefault(why(value), []).append(row)
    faults += [Fault(kind, name, found) for kind, found in rows.items()]


def _why_no_text(value: Any) -> str:
    return "MissingField" if is_missing(value) else "WrongType"


def _why_no_number(value: Any, *, from_text: bool) -> str:
    if is_missing(value):
        return "MissingField"
    return (
        "NotANumber"
        if from_text or (isinstance(value, (float, int)) and not isinstance(value, bool))
        else "WrongType"
    )
