"""How the sandbox writes its answers: compact JSON, and the two error shapes of the API."""

from __future__ import annotations

import json
import math
from typing import Any

from werkzeug.wrappers import Response

__all__ = ["Refusal", "json_answer", "parse_json", "parse_rows", "too_deep"]

#: Whole numbers stay well within the range of a double, so that sums with fractions cannot overflow.
_MOST_DIGITS = 300


class Refusal(Exception):
    """A request that is answered with an error; caught by the application, never seen by a caller.

    Attributes:
        status: the HTTP status.
        body: the decoded JSON of the answer: ``{"message": ...}``, or the OAuth shape for the token endpoint.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message} if body is None else body
        self.headers = headers or {}


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return ``value`` as an ``application/json`` answer in UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8"), status, headers, content_type="application/json")


def parse_json(data: bytes) -> Any:
    """Decode a request body (RFC 8259).

    Raises:
        Refusal: 400, naming the place where the text stops being JSON.
    """
    return _decoded(data, careful=True)


def parse_rows(data: bytes) -> Any:
    """Decode a request body of many small rows, at a third of the cost of :func:`parse_json`.

    Whoever writes a row out again meets numbers out of range (ValueError) and too deep a nesting (RecursionError).

    Raises:
        Refusal: 400, naming the place where the text stops being JSON.
    """
    # An escape may stand for half a character.
    return _decoded(data, careful=b"\\u" in data)


def too_deep() -> Refusal:
    """Return the refusal of a body whose nesting Python cannot follow."""
    return Refusal(400, "Malformed JSON: nested too deeply")


def _decoded(data: bytes, *, careful: bool) -> Any:
    try:
        text = data.decode("utf-8")
        if not careful:
            return json.loads(text, parse_constant=_reject_constant)
        value = json.loads(text, parse_constant=_reject_constant, parse_float=_finite, parse_int=_whole)
        # A lone surrogate is JSON, yet no text; and an answer wraps the value in a few more levels.
        json.dumps([[[[[[[[value]]]]]]]], ensure_ascii=False).encode("utf-8")
    except UnicodeError:
        raise Refusal(400, "Malformed JSON: the body is not UTF-8 text") from None
    except RecursionError:
        raise too_deep() from None
    except ValueError as error:
        raise Refusal(400, f"Malformed JSON: {error}") from None
    return value


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError("a number is out of range")
    return int(text)
