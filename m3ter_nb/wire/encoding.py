"""How values travel: a query in a URL, a JSON body, and the value of an answer's body."""

from __future__ import annotations

import json
from datetime import date
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from m3ter_nb.errors import InvalidArgument

__all__ = ["LONGEST_BODY", "decode_body", "encode_body", "query_of"]

#: Bytes: m3ter's firewall answers 403 to any longer body (https://docs.m3ter.com/guides/m3ter-apis/waf-rules-for-http-requests).
LONGEST_BODY = 512_000
# How a view shows a secret and a signed URL, at the end of a JSON text: sent back, it would overwrite the value.
_MASKED_VALUES = ('"••••"', '?••••"')


def encode_body(value: Any) -> bytes:
    """Encode a value as a JSON body in UTF-8; dates and date-times become ISO 8601 text.

    Raises:
        InvalidArgument: it holds something JSON cannot (NaN included), or the mask that a view shows for a secret, or
            is longer than 512,000 bytes.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_as_json)
        body = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArgument(f"The body is not JSON: {error}. Nothing was sent.") from None
    if any(masked in text for masked in _MASKED_VALUES):
        raise InvalidArgument(
            "The body holds a mask (••••) where a secret was: it was copied from a view. "
            "Put the secret itself there. Nothing was sent.",
        )
    if len(body) > LONGEST_BODY:
        raise InvalidArgument(
            f"The body has {len(body):,} bytes; m3ter refuses more than {LONGEST_BODY:,}. "
            "Send it in several parts. Nothing was sent.",
        )
    return body


def decode_body(content: bytes) -> tuple[Any, bool]:
    """Decode a JSON body; return the value, and whether it was one.

    Told by a value, and not by an error: the error of a parser holds the whole text, which may hold a token.
    """
    try:
        return json.loads(content), True
    except (ValueError, RecursionError):
        return None, False


def _as_json(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def query_of(params: Any) -> str:
    """Return a query as it stands in a URL: lists joined by commas, as the official SDKs send them.

    Booleans are written as JSON does, and what is None is left out.

    Args:
        params: a mapping, pairs, or text, which is taken as it is.

    Raises:
        InvalidArgument: a lone surrogate.
    """
    if params is None or isinstance(params, str):
        return (params or "").removeprefix("?")
    if isinstance(params, bytes):
        return params.decode("latin-1").removeprefix("?")
    pairs = params.items() if hasattr(params, "items") else params
    try:
        return urlencode([(key, _query_value(value)) for key, value in pairs if value is not None])
    except UnicodeEncodeError:
        raise InvalidArgument("The query holds a character that no URL can carry.") from None


def _query_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return _query_value(value.value)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return value
    return ",".join(str(_query_value(item)) for item in value)
