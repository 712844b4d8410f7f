"""``{{expression}}`` in a path, a query and a JSON body takes a value from the user's namespace.

Where a value lands decides its form: one percent-encoded segment in a path, text or a list in a query, JSON in a body,
JSON-escaped text inside a JSON string. A literal ``{{`` is written ``{{"{{"}}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote, unquote_plus

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.expressions import evaluate, placeholder_end, show
from m3ter_nb.wire.encoding import json_text, plain_value

__all__ = [
    "check_filled",
    "fill_path",
    "fill_query",
    "fill_text",
    "json_value",
    "split_query",
    "text_value",
]

# What RFC 3986 section 3.3 allows in a path, the slash, a percent sign that is already there, and an IPv6 host.
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~[]"
# What a shell, IPython in other magics, and Python would fill in. Terms of a search are joined by a dollar (a:1$b:2).
_FILLED_ELSEWHERE: Final = re.compile(r"\$\{?[^\W\d](?![\w.]*[:<>])|\{[^{}]*\}|%\(\w+\)s")
# A text that is nothing but such a name.
_NAME_ELSEWHERE: Final = re.compile(r"\$\{?([^\W\d]\w*)\}?|\{\s*([^\W\d]\w*)[^{}]*\}")


def fill_path(text: str, namespace: Mapping[str, Any]) -> str:
    """Fill a path and percent-encode it; a value stays within its one segment, whatever it holds.

    Raises:
        InvalidArgument: a value that is no text or number, is empty or is a token; a ``.`` or ``..`` segment; a query.
    """
    parts = []
    for literal, expression in _parts(text):
        if any(mark in literal for mark in "?#"):
            raise InvalidArgument(
                "A path holds no # and no second ?: write the query behind it, as key=value (pageSize=10)."
            )
        if any(mark in literal for mark in "{}"):
            raise InvalidArgument(
                f"{show(text)}: a value is written {{{{name}}}}. A path without a leading slash is already under "
                "/organizations/{orgId}/: 'products' is enough."
            )
        if _FILLED_ELSEWHERE.search(literal):
            raise InvalidArgument(f"{show(text)}: a value is written {{{{name}}}}.")
        parts.append(_quoted(literal, _PATH_SAFE))
        if expression is not None:
            written = f"{{{{{expression}}}}}"
            value = text_value(evaluate(expression, namespace, written=written), written)
            if not value:
                raise InvalidArgument(f"{show(written)} is empty: the path would name something else.")
            parts.append(_quoted(value, ""))
    path = "".join(parts)
    if any(unquote(segment) in {".", ".."} for segment in path.split("/")):
        raise InvalidArgument(
            f"{show(text)} climbs out of its place with a '.' or '..' segment: write the path out."
        )
    return path


def fill_query(text: str, namespace: Mapping[str, Any]) -> str | list[str]:
    """Fill the value of a query parameter; a value that is one list alone stays a list of texts.

    Raises:
        InvalidArgument: a value that is no text, number, date or list of these, is None, an empty list or a token.
    """
    parts: list[str] = []
    pieces = list(_parts(text))
    for literal, expression in pieces:
        parts.append(literal)
        if expression is None:
            continue
        written = f"{{{{{expression}}}}}"
        value = evaluate(expression, namespace, written=written)
        if not isinstance(value, (list, tuple)):
            parts.append(text_value(value, written))
            continue
        items = [text_value(item, written) for item in value]
        if not items:
            raise InvalidArgument(f"{show(written)} is an empty list: the call would not be filtered by it.")
        if any("," in item for item in items):
            raise InvalidArgument(
                f"{show(written)} holds an item with a comma, which separates the items of a list."
            )
        if text == written:
            return items
        parts.append(",".join(items))
    if any(_FILLED_ELSEWHERE.search(literal) for literal, _ in pieces):
        raise InvalidArgument(_elsewhere(text))
    filled = "".join(parts)
    _quoted(filled, "")
    return filled


def fill_text(text: str, namespace: Mapping[str, Any]) -> str:
    """Fill a text; a value is written as text, and everything around it stays as it is.

    Raises:
        InvalidArgument: a value that is no text, number or date, or is a token.
    """
    parts = []
    for literal, expression in _parts(text):
        parts.append(literal)
        if expression is not None:
            written = f"{{{{{expression}}}}}"
            parts.append(text_value(evaluate(expression, namespace, written=written), written))
    return "".join(parts)


def check_filled(text: str, namespace: Mapping[str, Any]) -> None:
    """Hold back a text that another language would have filled in (``$code``, ``{code}``): it would be stored as it is.

    Args:
        text: as the user wrote it.
        namespace: the user's variables; a name that is none of them may be meant as text.

    Raises:
        InvalidArgument: it is nothing but the name of a variable.
    """
    found = _NAME_ELSEWHERE.fullmatch(text)
    if found and (found[1] or found[2]) in namespace:
        raise InvalidArgument(_elsewhere(text))


def _elsewhere(text: str) -> str:
    return f'{show(text)}: a value is written {{{{name}}}}, and text that holds {{ or $ as {{{{"text"}}}}.'


def split_query(text: str) -> tuple[str, list[str]]:
    """Split a path from the query behind it, which is decoded: ``products?ids=a%20b`` and ``["ids=a b"]``.

    A question mark or an ampersand within ``{{expression}}`` is part of the expression.
    """
    pieces = [""]
    asked = False
    for literal, expression in _parts(text):
        for mark in re.split(r"([?&])", literal):
            if (mark == "?" and not asked) or (mark == "&" and asked):
                asked = True
                pieces.append("")
            else:
                pieces[-1] += unquote_plus(mark) if asked else mark
        if expression is not None:
            pieces[-1] += f"{{{{{expression}}}}}"
    path, *pairs = pieces
    return path, [pair for pair in pairs if pair]


def json_value(value: Any, written: str) -> Any:
    """Return a value of the namespace as plain JSON data; dates become ISO 8601 text, numpy's numbers plain ones.

    Args:
        value: what the expression gave.
        written: the expression as the user wrote it, for messages.

    Raises:
        InvalidArgument: JSON cannot hold it, or it is a token.
    """
    try:
        return _plain(value, written)
    except RecursionError:
        raise InvalidArgument(f"{show(written)} is nested too deeply, or holds itself.") from None


def _plain(value: Any, written: str) -> Any:
    if value is None or type(value) in {bool, int, str}:
        return value
    if hasattr(value, "reveal"):
        raise InvalidArgument(
            f"{show(written)} is a token or a secret: it does not belong into a request. The session sends the token "
            "by itself, as a header."
        )
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise InvalidArgument(
                    f"{show(written)} has a key of type {type(name).__name__}; JSON wants text."
                )
        return {str(name): _plain(item, written) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, written) for item in value]
    return _plain_scalar(value, written)


def _plain_scalar(value: Any, written: str) -> Any:
    try:
        return plain_value(value)
    except TypeError as error:
        raise InvalidArgument(f"{show(written)} holds {error}.") from None


def text_value(value: Any, written: str) -> str:
    """Return a value as it stands in a path, a query or a JSON string.

    Raises:
        InvalidArgument: it has no text, or is a token.
    """
    if value is None:
        raise InvalidArgument(f"{show(written)} is None: it has no text.")
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    plain = json_value(value, written)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, (dict, list)):
        raise InvalidArgument(
            f"{show(written)} is a {type(value).__name__}; text or a number is needed here."
        )
    try:
        return json_text(plain)
    except ValueError as error:
        raise InvalidArgument(f"{show(written)} has no text: {error}.") from None


def _parts(text: str) -> list[tuple[str, str | None]]:
    """Split a text into pairs of literal text and the expression that follows it; the last has none."""
    parts: list[tuple[str, str | None]] = []
    copied = 0
    while (start := text.find("{{", copied)) >= 0:
        end = placeholder_end(text, start)
        parts.append((text[copied:start], text[start + 2 : end - 2]))
        copied = end
    return [*parts, (text[copied:], None)]


def _quoted(text: str, safe: str) -> str:
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        raise InvalidArgument(f"{show(ascii(text))} holds half a character, which no URL can hold.") from None
