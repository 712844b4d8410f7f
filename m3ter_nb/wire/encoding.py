"""How values travel: a query in a URL, a JSON body, and the value of an answer's body.

One rule for single values, in a query and in a body alike (:func:`plain_value`). Values of numpy and pandas are known
by how they behave: neither is imported.
"""

from __future__ import annotations

import json
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Never, TypeGuard
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid4

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.spelling import MASK, holds_mask, is_mask
from m3ter_nb.wire.digits import Digits, read_float

__all__ = [
    "LONGEST_BODY",
    "check_query",
    "decode_body",
    "encode_body",
    "json_text",
    "plain_value",
    "query_of",
    "query_pairs",
    "settle_query",
]

#: Bytes: m3ter's firewall answers 403 to any longer body (https://docs.m3ter.com/guides/m3ter-apis/waf-rules-for-http-requests).
LONGEST_BODY = 512_000
# Most values are one of these, and hold no other.
_SINGLE = frozenset({str, int, float, bool, type(None), Digits})
# Of Python's own float.
_FLOAT_BYTES = 8
_NO_FILTER = "by which nothing is filtered: leave the parameter out, or say what is meant"


class _Settled(list[tuple[str, str]]):
    """The texts of a query, found to be ones that filter."""

    __slots__ = ()


class _NoForm(TypeError):
    """A value that neither a body nor a query can hold; its text fits after "holds"."""


def plain_value(value: object) -> str | int | float | bool | None:
    """Return a single value as JSON has it: dates as ISO 8601 text, an enum's value, numpy's numbers plain ones.

    Raises:
        TypeError: JSON has no form for it; a missing value (NaN, pandas' NaT and NA) has none.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, Digits)):
        return value
    if isinstance(value, numbers.Real) and not _is_duration(value):
        return _plain_number(value)
    if isinstance(value, (str, UUID)):
        return str.__str__(value) if isinstance(value, str) else str(value)
    if isinstance(value, date) and value == value:  # noqa: PLR0124 - pandas' NaT is a datetime, unequal to itself
        return value.date().isoformat() if _is_pandas_day(value) else value.isoformat()
    # numpy's own bool is no number to Python.
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item") and isinstance(value.item(), bool):
        return bool(value.item())
    raise _NoForm(f"a value of type {type(value).__name__}, which has no JSON form: use {_advice(value)}")


def _is_duration(value: object) -> bool:
    """Tell whether a value is numpy's timedelta64, which passes for a whole number (of nanoseconds, perhaps)."""
    return getattr(getattr(value, "dtype", None), "kind", "") == "m"


def _is_pandas_day(value: Any) -> TypeGuard[datetime]:
    """Tell whether a value is a day as pandas has it, which knows no days: a time stamp of midnight without a zone."""
    return (
        isinstance(value, datetime) and hasattr(value, "nanosecond") and value.isoformat()[10:] == "T00:00:00"
    )


def _plain_number(value: numbers.Real) -> int | float:
    """Return a number of Python that has the digits of another; one that no float holds is refused."""
    if isinstance(value, numbers.Integral):
        return int(value)
    # The float next to numpy's 0.1 of 32 bits is 0.10000000149011612.
    is_narrow = getattr(value, "itemsize", _FLOAT_BYTES) < _FLOAT_BYTES
    number = float(str(value)) if is_narrow else float(value)
    if not math.isfinite(number):
        raise _NoForm(f"{number}, which JSON cannot hold")
    if not is_narrow and number != value:
        raise _NoForm(f"a {type(value).__name__} that no float equals: use float(...) or str(...)")
    return number


def _advice(value: Any) -> str:
    if _is_missing(value):
        return "None where a value is missing"
    if isinstance(value, Decimal):
        return "float(...) or str(...)"
    if getattr(value, "ndim", None) == 0:
        return "str(...)" if value.dtype.kind in "mM" else ".item()"
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return '.to_dict("records")'
    if hasattr(value, "tolist"):
        return ".tolist()"
    is_several = isinstance(value, (set, frozenset, range))
    return (
        "list(...)" if is_several else "a dict, a list, text or a number, and None where a value is missing"
    )


def _is_missing(value: Any) -> bool:
    """Tell whether a value stands for none: its text ("NaT", "NaN", "--") must not be stored in its place."""
    if isinstance(value, Decimal):
        return value.is_nan()
    if getattr(value, "ndim", None) != 0:
        return False
    return hasattr(value, "mask") or (value.dtype.kind in "mM" and str(value) == "NaT")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON text, compact unless it is to be indented.

    Raises:
        InvalidArgument: it holds something JSON cannot (NaN included).
    """
    try:
        text = _dumps(value, indent, allow_nan=True)  # first: it finds a list that holds itself
        items = _every_item(value)
        _refuse_odd_names(items)
        if Digits in set(map(type, items)) or "NaN" in text or "Infinity" in text:
            text = _dumps_exactly(value, indent)
        text.encode()
    except _NoForm as error:
        raise InvalidArgument(f"The body holds {error}. Nothing was sent.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"The body is not JSON: {error}. Nothing was sent.") from None
    return text


def _dumps(value: Any, indent: int | None, *, allow_nan: bool) -> str:
    separators = (",", ":") if indent is None else None
    return json.dumps(
        value,
        ensure_ascii=False,
        allow_nan=allow_nan,
        separators=separators,
        indent=indent,
        default=plain_value,
    )


def _dumps_exactly(value: Any, indent: int | None) -> str:
    """Return JSON text in which numbers stand in the digits that they were written in, and each is one."""
    held: list[str] = []
    mark = uuid4().hex
    text = _dumps(_set_aside(value, mark, held), indent, allow_nan=False)
    return re.sub(f'"{mark}-([0-9]+)"', lambda found: held[int(found[1])], text)


def _set_aside(value: Any, mark: str, held: list[str]) -> Any:
    """Return a value with marked texts for the numbers whose digits json would lose, which go to the end of ``held``."""
    if isinstance(value, dict):
        return {name: _set_aside(item, mark, held) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_set_aside(item, mark, held) for item in value]
    if not isinstance(value, Digits):
        return value
    held.append(value.text)
    return f"{mark}-{len(held) - 1}"


def _every_item(value: Any) -> list[Any]:
    """Return a value that is JSON, and whatever it holds."""
    items = [value]
    for item in items:  # grows meanwhile
        if type(item) in _SINGLE:
            continue
        if isinstance(item, dict):
            items += item.values()
        elif isinstance(item, (list, tuple)):
            items += item
    return items


def _refuse_odd_names(items: list[Any]) -> None:
    """Raise where the name of a field is no text: json would send None as "null", and 1 beside "1" twice."""
    names = {kind for item in items if isinstance(item, dict) for kind in map(type, item)}
    if not all(issubclass(kind, str) for kind in names):
        raise _NoForm("a field whose name is no text")


def _shows_mask(value: Any) -> bool:
    """Tell whether a text in a value that is JSON, or the name of a field, is a mask."""
    items = _every_item(value)
    names = (name for item in items if isinstance(item, dict) for name in item)
    return any(isinstance(text, str) and is_mask(text) for text in (*items, *names))


def encode_body(value: Any) -> bytes:
    """Encode a value as a JSON body in UTF-8.

    Raises:
        InvalidArgument: it holds something JSON cannot (NaN included), or the mask that a view shows for a secret, or
            is longer than 512,000 bytes.
    """
    text = json_text(value)
    if holds_mask(text) and _shows_mask(value):
        raise InvalidArgument(
            f"The body holds what a view shows ({MASK}, …) in place of a value: it was copied from there. "
            "Put the value itself there. Nothing was sent.",
        )
    body = text.encode()
    if len(body) > LONGEST_BODY:
        raise InvalidArgument(
            f"The body has {len(body):,} bytes; m3ter refuses more than {LONGEST_BODY:,}. "
            "Send it in several parts. Nothing was sent.",
        )
    return body


def _refuse(_constant: str) -> Never:
    raise ValueError("NaN and Infinity are no values of JSON")


# As json.loads makes one for each call.
_DECODER = json.JSONDecoder(parse_float=read_float, parse_constant=_refuse)


def decode_body(content: bytes) -> tuple[Any, bool]:
    """Decode a JSON body; return the value, and whether it was one.

    Told by a value, and not by an error: the error of a parser holds the whole text, which may hold a token.
    """
    try:
        return _DECODER.decode(content.decode(json.detect_encoding(content), "surrogatepass")), True
    except (ValueError, RecursionError):
        return None, False


def query_of(params: Any) -> str:
    """Return a query as it stands in a URL.

    Args:
        params: a mapping, pairs, or text, which is taken as it is.

    Raises:
        InvalidArgument: as :func:`query_pairs` and :func:`check_query`; or a lone surrogate.
    """
    if params is None or isinstance(params, str):
        query = (params or "").removeprefix("?").replace("#", "%23")  # or it would end the URL
        check_query(query)
        return query
    if isinstance(params, bytes):
        return query_of(params.decode("latin-1"))
    try:
        return urlencode(query_pairs(params))
    except UnicodeEncodeError:
        raise InvalidArgument("The query holds a character that no URL can carry.") from None


def check_query(query: str) -> None:
    """Hold the text of a query to what filters: ``ids=`` would give all rows, and look as if it had.

    Raises:
        InvalidArgument: a parameter in it has no value.
    """
    for _, value in parse_qsl(query, keep_blank_values=True) if query else ():
        try:
            _filtering(value)
        except _NoForm as error:
            raise InvalidArgument(f"The query holds {error}. Nothing was sent.") from None


def query_pairs(params: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    """Return the texts of a query: lists joined by commas, as the official SDKs send them.

    Values are written as JSON has them, text without quotes; what is None is left out.

    Raises:
        InvalidArgument: it is neither a mapping nor pairs; a value that is missing (NaN, NaT, NA), a dict, an empty text,
            a list that is empty or holds a list, None or an item with a comma: m3ter would not filter by it, and answer
            with other rows than were meant.
    """
    if isinstance(params, _Settled):
        return params
    try:
        return [(_parameter(name), _query_text(value)) for name, value in _pairs(params) if value is not None]
    except _NoForm as error:
        raise InvalidArgument(f"The query holds {error}. Nothing was sent.") from None


def settle_query(params: Any) -> str | list[tuple[str, str]] | None:
    """Return a query that can be read more than once: an iterator, or a value that is one, runs dry.

    Args:
        params: as :func:`query_of` takes it.

    Raises:
        InvalidArgument: as :func:`query_pairs`.
    """
    if isinstance(params, bytes):
        return params.decode("latin-1")
    return params if params is None or isinstance(params, str) else _Settled(query_pairs(params))


def _pairs(params: Any) -> Iterable[tuple[Any, Any]]:
    if type(params) is dict:
        return params.items()
    with suppress(TypeError, ValueError):
        pairs = list(params.items() if isinstance(params, Mapping) else params)
        if not any(
            isinstance(pair, (str, bytes)) for pair in pairs
        ):  # one of two letters would pass for a pair
            return [(name, value) for name, value in pairs]
    raise InvalidArgument("The query is neither a mapping, nor pairs, nor text. Nothing was sent.")


def _parameter(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise _NoForm("a parameter whose name is no text, or empty")
    return name


def _query_text(value: Any) -> str:
    if type(value) is str:  # most are: of a query that is settled, all
        return _filtering(value)
    if isinstance(value, Mapping) or hasattr(value, "columns"):
        raise _NoForm("a dict or a table, which no parameter takes")
    if _is_single(value):
        return _filtering(_single_text(value))
    items = [_filtering(_single_text(item)) for item in value]
    if not items:
        raise _NoForm(f"an empty list, {_NO_FILTER}")
    if len(items) > 1 and any("," in item for item in items):
        raise _NoForm("a list of which an item has a comma in it, which separates the items")
    return ",".join(items)


def _is_single(value: object) -> bool:
    """Tell whether a value is one though it may be iterated: text, flags, an array without a dimension."""
    return (
        isinstance(value, (str, bytes, bytearray, memoryview, Enum, type))
        or not isinstance(value, Iterable)
        or getattr(value, "ndim", None) == 0
    )


def _says_something(text: str) -> bool:
    """Tell whether text filters: commas alone separate nothing."""
    return bool(text.strip(", \t\r\n"))


def _filtering(text: str) -> str:
    if not _says_something(text):
        raise _NoForm(f"an empty text, {_NO_FILTER}")
    if holds_mask(text) and any(map(is_mask, text.split(","))):
        raise _NoForm(f"what a view shows ({MASK}, …) in place of a value: give the value itself")
    return text


def _single_text(value: Any) -> str:
    if value is None:
        raise _NoForm("a list with None in it")
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    plain = plain_value(value)
    if isinstance(plain, (str, Digits)):
        return plain if isinstance(plain, str) else plain.text
    return json.dumps(plain)
