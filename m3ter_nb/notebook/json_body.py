"""A JSON body with ``{{expression}}`` in it, and where its mistakes stand in what the user wrote."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.expressions import evaluate, placeholder_end, show
from m3ter_nb.notebook.json_mistakes import Mistake, find_mistake
from m3ter_nb.notebook.placeholders import check_filled, json_value, text_value
from m3ter_nb.wire.digits import read_float, read_number
from m3ter_nb.wire.encoding import json_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["fill_json"]

_MARKS: Final = re.compile(r'\\.|"|\{\{', re.DOTALL)
# A text that is nothing but a name as another language writes it, in a literal piece of JSON.
_JSON_TEXT: Final = re.compile(r'[:\[,]\s*"([${][^"\\]*)"\s*(?=[,\]}]|\Z)')


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
        return json.dumps(text_value(value, written))
    return json_text(json_value(value, written))


def _check_literals(parts: Iterable[str], namespace: Mapping[str, Any]) -> None:
    for part in parts:
        for found in _JSON_TEXT.finditer(part):
            check_filled(found[1], namespace)


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
    shown = f" The line is: {show(excerpt)}" if excerpt else ""
    return InvalidArgument(f"{message}{hint} Nothing was sent.{shown}")


def _culprit(character: str) -> str:
    """Name a character that looks as if it belonged there: around its texts JSON is ASCII (RFC 8259, section 2)."""
    if character.isascii():
        return ""
    name = unicodedata.name(character, "a character without a name")
    return f" There stands U+{ord(character):04X} ({name}), which JSON takes inside a text only."
