"""Times: as the API writes them, and as the sandbox counts them (whole microseconds since 1970)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from m3ter_nb.sandbox.answers import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "all_micros_of",
    "are_moments",
    "is_date",
    "is_moment",
    "micros_at",
    "micros_of",
    "moment",
    "timestamp",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DATE_SHAPE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT_LINES = re.compile(
    rf"(?:{_DATE_SHAPE.pattern}[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d)\n)+", re.ASCII
)
#: Microseconds of years whose periods all have a beginning and an end in Python's calendar: 1000 to 9998.
_YEARS = range(*((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND for year in (1000, 9999)))


@lru_cache(4_096)  # a filtered list looks at the same dates of its entities each time
def _micros(text: str) -> int | None:
    """Return an ISO 8601 date and time with its offset from UTC (RFC 3339, section 5.6) as microseconds, or None."""
    found = _count([text])
    return None if found is None else found[0]


@lru_cache(4)  # a submission's times are looked at by their schema, and again when they are stored
def _all_micros(texts: tuple[str, ...]) -> list[int] | None:
    """Return many times as microseconds, or None where one of them is none."""
    return _count(texts)


def _count(texts: Sequence[str]) -> list[int] | None:
    """Count the microseconds of times, in one go: a call for each costs twice as much."""
    lines = "\n".join(texts) + "\n"
    if lines.count("\n") != len(texts) or not _MOMENT_LINES.fullmatch(lines):
        return None
    try:
        all_since = [at - _EPOCH for at in map(datetime.fromisoformat, lines.upper().split())]
    except ValueError:
        return None
    # A division by a timedelta of a microsecond costs twice as much.
    return [(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds for since in all_since]


def is_moment(text: str) -> bool:
    """Say whether a text is a date and time with an offset from UTC."""
    return _micros(text) is not None


def are_moments(texts: Sequence[str]) -> bool:
    """Say whether every text is a date and time with an offset from UTC."""
    return _all_micros(tuple(texts)) is not None


def is_date(text: str) -> bool:
    """Say whether a text is a plain date."""
    try:
        return bool(_DATE_SHAPE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def micros_of(text: str, name: str) -> int:
    """Return an ISO 8601 time as microseconds since 1970.

    Raises:
        Refusal: 400, where there is no such moment.
    """
    found = _micros(text)
    if found is None or found not in _YEARS:
        raise Refusal(400, f"{name} must be a date and time in ISO 8601, as 2024-01-31T12:00:00Z")
    return found


def all_micros_of(texts: Sequence[str], name: str) -> list[int]:
    """Return many times as :func:`micros_of`; the name has ``%d`` for the number of the text."""
    found = _all_micros(tuple(texts))
    if found is not None and min(found) in _YEARS and max(found) in _YEARS:
        return found
    return [micros_of(text, name % number) for number, text in enumerate(texts)]


def micros_at(text: str | None) -> int | None:
    """Return a date (its midnight in UTC), or a date and time, as microseconds since 1970; None for anything else."""
    if text is None:
        return None
    return _micros(f"{text}T00:00:00Z" if is_date(text) else text)


def moment(seconds: float) -> datetime:
    """Return seconds since 1970, before or after, as a time in UTC."""
    return _EPOCH + timedelta(seconds=seconds)


def timestamp(seconds: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, with milliseconds and ``Z``."""
    return moment(seconds).isoformat(timespec="milliseconds").replace("+00:00", "Z")
