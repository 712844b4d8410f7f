"""``{{expression}}`` in a path, a query and a JSON body takes a value from the user's namespace.

The expressions are Python, evaluated in the user's own kernel, as IPython's ``{expression}`` is. Where a value lands
decides its form: one percent-encoded segment in a path, text or a list in a query, JSON in a body, JSON-escaped text
inside a JSON string. A literal ``{{`` is written ``{{"{{"}}``.
"""

from __future__ import annotations

import builtins
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, NoReturn
from urllib.parse import quote, unquote, unquote_plus

from m3ter_nb.errors import InvalidArgument, M3terError, excerpt
from m3ter_nb.notebook.json_mistakes import Mistake, find_mistake
from m3ter_nb.wire.digits import read_float, read_number
from m3ter_nb.wire.encoding import json_text, plain_value

__all__ = [
    "check_filled",
    "evaluate",
    "fill_json",
    "fill_path",
    "fill_query",
    "fill_text",
    "json_value",
    "placeholder_end",
    "split_query",
]

LONGEST_EXPRESSION: Final = 2_000
"""Characters between ``{{`` and ``}}``."""

_JSON_NAMES: Final = {"true": "True", "false": "False", "null": "None"}
_NO_JSON: Final = frozenset({"nan", "NaN", "inf", "Infinity", "undefined"})
# White space beyond ASCII, and format characters: zero-width, of direction, the byte order mark.
_UNSEEN: Final = re.compile(r"[^\S\t-\r ]|[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_MARKS: Final = re.compile(r'\\.|"|\{\{', re.DOTALL)
# What RFC 3986 section 3.3 allows in a path, the slash, a percent sign that is already there, and an IPv6 host.
_PATH_SAFE: Final = "/%:@!$&'()*+,;=~[]"
# What a shell, IPython in other magics, and Python would fill in. Terms of a search are joined by a dollar (a:1$b:2).
_FILLED_ELSEWHERE: Final = re.compile(r"\$\{?[^\W\d](?![\w.]*[:<>])|\{[^{}]*\}|%\(\w+\)s")
# A text that is nothing but such a name, and one in a literal piece of JSON.
_NAME_ELSEWHERE: Final = re.compile(r"\$\{?([^\W\d]\w*)\}?|\{\s*([^\W\d]\w*)[^{}]*\}")
_JSON_TEXT: Final = re.compile(r'[:\[,]\s*"([${][^"\\]*)"\s*(?=[,\]}]|\Z)')
_SHOWN_CHARS: Final = 200


def placeholder_end(text: str, start: int) -> int:
    """Return the index behind the placeholder that starts at ``start`` (where ``{{`` stands).

    It ends at the first ``}}`` that leaves a whole Python expression, so that ``{{ {"a": {"b": 1}}["a"] }}`` works.

    Raises:
        InvalidArgument: it is not closed, or no such expression is found.
    """
    first = end = text.find("}}", start + 2, start + LONGEST_EXPRESSION)
    problem = ""
    while end >= 0:
        try:
            _compiled(text[start + 2 : end])
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            problem = problem or getattr(error, "msg", None) or str(error)
        else:
            return end + 2
        end = text.find("}}", end + 1, start + LONGEST_EXPRESSION)
    if first < 0:
        raise InvalidArgument(
            f'{_excerpt(text[start:])} is not closed: write {{{{name}}}}. A literal {{{{ is written {{{{"{{{{"}}}}.'
        )
    written = text[start : first + 2]
    if not written.strip("{} \t\r\n"):
        raise InvalidArgument(
            f"{written} is empty: put the name of a variable, or an expression, between the braces."
        )
    raise InvalidArgument(f"{_excerpt(written)} holds no Python expression: {problem}.")


def evaluate(expression: str, namespace: Mapping[str, Any], *, written: str) -> Any:
    """Evaluate a Python expression in the user's namespace, without changing the namespace.

    Args:
        expression: Python source.
        namespace: the user's variables.
        written: the expression as the user wrote it, for messages.

    Raises:
        InvalidArgument: it does not compile, names something undefined, or raises.
        M3terError: one that the expression itself raised, such as "not logged in yet", unchanged.
    """
    try:
        return eval(_compiled(expression), dict(namespace))  # noqa: S307 - the user's own code in the user's own kernel
    except M3terError:
        raise
    except NameError as error:
        if error.name is None or error.name in namespace:
            raise _failed(written, error) from error
        raise InvalidArgument(
            f"{_excerpt(written)}: the name {error.name!r} is not defined.{_near_name(error.name, expression, namespace)}"
        ) from error
    except SyntaxError as error:
        raise InvalidArgument(
            f"{_excerpt(written)} is no Python expression: {error.msg}.{_hint(written)}"
        ) from error
    except Exception as error:
        raise _failed(written, error) from error


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
                f"{_excerpt(text)}: a value is written {{{{name}}}}. A path without a leading slash is already under "
                "/organizations/{orgId}/: 'products' is enough."
            )
        if _FILLED_ELSEWHERE.search(literal):
            raise InvalidArgument(f"{_excerpt(text)}: a value is written {{{{name}}}}.")
        parts.append(_quoted(literal, _PATH_SAFE))
        if expression is not None:
            written = f"{{{{{expression}}}}}"
            value = _text(evaluate(expression, namespace, written=written), written)
            if not value:
                raise InvalidArgument(f"{_excerpt(written)} is empty: the path would name something else.")
            parts.append(_quoted(value, ""))
    path = "".join(parts)
    if any(unquote(segment) in {".", ".."} for segment in path.split("/")):
        raise InvalidArgument(
            f"{_excerpt(text)} climbs out of its place with a '.' or '..' segment: write the path out."
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
            parts.append(_text(value, written))
            continue
        items = [_text(item, written) for item in value]
        if not items:
            raise InvalidArgument(
                f"{_excerpt(written)} is an empty list: the call would not be filtered by it."
            )
        if any("," in item for item in items):
            raise InvalidArgument(
                f"{_excerpt(written)} holds an item with a comma, which separates the items of a list."
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
            parts.append(_text(evaluate(expression, namespace, written=written), written))
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


def _check_literals(parts: Iterable[str], namespace: Mapping[str, Any]) -> None:
    for part in parts:
        for found in _JSON_TEXT.finditer(part):
            check_filled(found[1], namespace)


def _elsewhere(text: str) -> str:
    return (
        f'{_excerpt(text)}: a value is written {{{{name}}}}, and text that holds {{ or $ as {{{{"text"}}}}.'
    )


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


def fill_json(cell: str, namespace: Mapping[str, Any], *, first_line: int = 1) -> Any:
    """Fill and decode a JSON body.

    ``"name": {{name}}`` takes the value as JSON, ``"id-{{n}}"`` its text, escaped for the string that it stands in.

    Args:
        cell: the text.
        namespace: the user's variables.
        first_line: the number of the text's first line, as the user counts.

    Raises:
        InvalidArgument: malformed JSON, with line and column as the user sees them; a value that JSON cannot hold.
    """
    parts: list[str] = []
    origins: list[tuple[int, int, bool]] = []
    length = 0
    in_string = False

    def add(part: str, source: int, *, literal: bool) -> None:
        nonlocal length
        if not part:
            return
        origins.append((length, source, literal))
        parts.append(part)
        length += len(part)

    position = copied = 0
    while mark := _MARKS.search(cell, position):
        position = mark.end()
        if mark[0] == '"':
            in_string = not in_string
        elif mark[0] == "{{":
            position = placeholder_end(cell, mark.start())
            written = cell[mark.start() : position]
            value = evaluate(written[2:-2], namespace, written=written)
            add(cell[copied : mark.start()], copied, literal=True)
            encoded = _encoded(value, written, in_string=in_string)
            # The spaces keep a number apart from a digit beside it: 1{{n}} is malformed, not another number.
            add(encoded[1:-1] if in_string else f" {encoded} ", mark.start(), literal=False)
            copied = position
        elif not in_string:
            position = mark.start() + 1
    add(cell[copied:], copied, literal=True)
    _check_literals((part for part, (*_, literal) in zip(parts, origins, strict=True) if literal), namespace)
    filled = "".join(parts)
    try:
        return json.loads(
            filled,
            parse_float=read_float,
            parse_int=read_number,
            parse_constant=_refuse,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise InvalidArgument("The body is nested too deeply. Nothing was sent.") from None
    except ValueError as error:
        mistake = find_mistake(filled) or Mistake(0, str(error))
    raise _malformed(cell, mistake, partial(_origin, origins=origins), first_line)


def _encoded(value: Any, written: str, *, in_string: bool) -> str:
    """Return the JSON of a value, or of its text where it stands within one."""
    if in_string:
        return json.dumps(_text(value, written))
    return json_text(json_value(value, written))


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
        raise InvalidArgument(f"{_excerpt(written)} is nested too deeply, or holds itself.") from None


def _plain(value: Any, written: str) -> Any:
    if value is None or type(value) in {bool, int, str}:
        return value
    if hasattr(value, "reveal"):
        raise InvalidArgument(
            f"{_excerpt(written)} is a token or a secret: it does not belong into a request. The session sends the token "
            "by itself, as a header."
        )
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise InvalidArgument(
                    f"{_excerpt(written)} has a key of type {type(name).__name__}; JSON wants text."
                )
        return {str(name): _plain(item, written) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, written) for item in value]
    return _plain_scalar(value, written)


def _plain_scalar(value: Any, written: str) -> Any:
    try:
        return plain_value(value)
    except TypeError as error:
        raise InvalidArgument(f"{_excerpt(written)} holds {error}.") from None


def _text(value: Any, written: str) -> str:
    """Return a value as it stands in a path, a query or a JSON string."""
    if value is None:
        raise InvalidArgument(f"{_excerpt(written)} is None: it has no text.")
    if isinstance(value, Decimal) and value.is_finite():
        return str(value)
    plain = json_value(value, written)
    if isinstance(plain, str):
        return plain
    if isinstance(plain, (dict, list)):
        raise InvalidArgument(
            f"{_excerpt(written)} is a {type(value).__name__}; text or a number is needed here."
        )
    try:
        return json_text(plain)
    except ValueError as error:
        raise InvalidArgument(f"{_excerpt(written)} has no text: {error}.") from None


def _parts(text: str) -> list[tuple[str, str | None]]:
    """Split a text into pairs of literal text and the expression that follows it; the last has none."""
    parts: list[tuple[str, str | None]] = []
    copied = 0
    while (start := text.find("{{", copied)) >= 0:
        end = placeholder_end(text, start)
        parts.append((text[copied:start], text[start + 2 : end - 2]))
        copied = end
    return [*parts, (text[copied:], None)]


def _compiled(expression: str) -> Any:
    return compile(expression.strip(), "<m3ter_nb>", "eval", dont_inherit=True)


def _quoted(text: str, safe: str) -> str:
    try:
        return quote(text, safe=safe)
    except UnicodeEncodeError:
        raise InvalidArgument(
            f"{_excerpt(ascii(text))} holds half a character, which no URL can hold."
        ) from None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; of a name that stands in it twice, nobody knows which value is meant (RFC 8259, section 4)."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return fields


def _origin(position: int, *, origins: list[tuple[int, int, bool]]) -> int:
    """Return where a position of the filled text stands in the cell; inside a value, where its placeholder starts."""
    start, source, literal = max(origin for origin in origins if origin[0] <= position)
    return source + position - start if literal else source


def _malformed(cell: str, mistake: Mistake, origin: Callable[[int], int], first_line: int) -> InvalidArgument:
    at = origin(mistake.position)

    def place(position: int) -> str:
        line = cell.count("\n", 0, position) + first_line
        return f"line {line}, column {position - cell.rfind(chr(10), 0, position)}"

    seen = f" ({mistake.seen[0]} at {place(origin(mistake.seen[1]))})" if mistake.seen else ""
    message = f"The body is malformed JSON at {place(at)}: {mistake.told}{seen}.{_culprit(cell[at : at + 1])}"
    hint = " --body takes it as Python." if mistake.is_python else ""
    excerpt = cell[cell.rfind("\n", 0, at) + 1 :].partition("\n")[0].strip()
    shown = f" The line is: {_excerpt(excerpt)}" if excerpt else ""
    return InvalidArgument(f"{message}{hint} Nothing was sent.{shown}")


def _culprit(character: str) -> str:
    """Name a character that looks as if it belonged there: around its texts JSON is ASCII (RFC 8259, section 2)."""
    if character.isascii():
        return ""
    name = unicodedata.name(character, "a character without a name")
    return f" There stands U+{ord(character):04X} ({name}), which JSON takes inside a text only."


def _failed(written: str, error: Exception) -> InvalidArgument:
    return InvalidArgument(
        f"{_excerpt(written)} raised {type(error).__name__}: {_excerpt(str(error))}.{_hint(written)}"
    )


def _hint(written: str) -> str:
    if written.startswith("{{") or "{{" not in written:
        return ""
    return " The whole of it is Python: write name there, not {{name}}."


def _near_name(name: str, expression: str, namespace: Mapping[str, Any]) -> str:
    if name in _JSON_NAMES:
        return f" In Python it is {_JSON_NAMES[name]}."
    if name in _NO_JSON:
        return " JSON has no such value: leave the field out, or give None."
    if re.search(rf"[{{,]\s*{re.escape(name)}\s*:", expression):
        return " The name of a field stands in quotes."
    known = [known for known in namespace if not known.startswith("_")]
    near = get_close_matches(name, known + dir(builtins), n=1)
    return f" Did you mean {near[0]!r}?" if near else " Run the cell that defines it first."


def _excerpt(text: str) -> str:
    """Return a text as a message shows it: on one line, cut, and with a name for what nobody sees."""
    return excerpt(_UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text), _SHOWN_CHARS)
