"""One operation in words of a few letters: its fields as rows, a body to start from, and the line to type."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from m3ter_nb.api.facts import fields_of, find, has_free_keys, is_server_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from m3ter_nb.api.facts import Operation

__all__ = ["FieldRow", "answered", "draft_of", "field_rows", "is_to_fill", "line_for", "parameter_rows"]

_DEEPEST: Final = 4
_EXAMPLES: Final = {"date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "email": "name@example.com"}
_TO_FILL: Final = re.compile(r"<[\w.-]+>")
_WRITTEN_BY_CELL: Final = ("POST", "PUT")
# Of a list, the lines whose ids are at hand: {{id}} is a variable of the notebook.
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


class FieldRow(NamedTuple):
    """One parameter or field.

    Attributes:
        name: dotted where it is within another; ``[]`` stands for each item of a list.
        kind: its type, as ``text``, ``number``, ``list of text``.
        required: whether a call without it is refused.
        limits: what is known of its values, or ``""``.
    """

    name: str
    kind: str
    required: bool
    limits: str


def parameter_rows(parameters: Mapping[str, Mapping[str, Any]], *, required: bool = False) -> list[FieldRow]:
    """Return a row for each parameter of a path or a query.

    Args:
        parameters: name and shape of each.
        required: whether all are, as those of a path.
    """
    return [
        FieldRow(name, _kind(shape), required or bool(shape.get("required") is True), _limits(shape))
        for name, shape in parameters.items()
    ]


def field_rows(shape: Mapping[str, Any] | None) -> list[FieldRow]:
    """Return a row for each field of a body, and for the fields within it; what is required comes first."""
    return list(_rows(shape or {}, "", _DEEPEST))


def answered(operation: Operation) -> str:
    """Return what an operation answers, in one line: ``a page of: id, version, name``."""
    names = ", ".join(fields_of(operation.answer))
    how = {"pages": "pages of: ", "list": "a list of: "}.get(operation.many, "")
    return f"{how}{names}" if names else "an object" if operation.answer is not None else "nothing documented"


def draft_of(operation: Operation) -> Any:
    """Return a body to start from: the required fields, or where none is required the plain ones; None without a body.

    What is to be filled in is written ``<name>``; everything else is a value that the operation accepts.
    """
    if operation.body is None:
        return None
    draft = _draft(operation.body, "", required_only=True)
    if not draft:
        draft = _draft(operation.body, "", required_only=False)
    if operation.method == "PUT" and "version" in fields_of(operation.body):
        draft = {**draft, "version": 1}
    return draft


def is_to_fill(text: object) -> bool:
    """Tell whether a value of a draft is a place to fill in."""
    return isinstance(text, str) and _TO_FILL.fullmatch(text) is not None


def line_for(operation: Operation) -> str:
    """Return what to type for an operation: a line, or a cell with the body to start from."""
    if operation.path.startswith("/"):
        return "%m3ter_login"
    path = _PLACEHOLDER.sub(r"{{\1}}", operation.path)
    line = f"%m3ter {operation.method} {path}"
    if operation.method == "GET" and operation.many == "pages" and operation.largest_page:
        return f"{line} --all"
    if operation.method == "PUT" and find("GET", operation.path) is not None:
        return f"{line} {_set_example(operation)} --diff"
    draft = draft_of(operation)
    if draft is not None and operation.method in _WRITTEN_BY_CELL:
        return f"%{line}\n{json.dumps(draft, indent=2, ensure_ascii=False)}"
    return line


def _set_example(operation: Operation) -> str:
    names = [row.name for row in field_rows(operation.body) if not is_server_set(row.name)]
    chosen = operation.put_only or ("name",) if "name" in names else tuple(names[:1]) or ("field",)
    return "--set " + " ".join(f"{name}=..." for name in chosen)


def _rows(shape: Mapping[str, Any], within: str, depth: int) -> Iterator[FieldRow]:
    required = _required_of(shape)
    fields = fields_of(shape)
    for name in sorted(fields, key=lambda name: name not in required):
        field = fields[name]
        yield FieldRow(f"{within}{name}", _kind(field), name in required, _limits(field))
        if depth:
            items = field.get("items", {})
            inner, mark = (items, "[].") if fields_of(items) else (field, ".")
            yield from _rows(inner, f"{within}{name}{mark}", depth - 1)


def _required_of(shape: Mapping[str, Any]) -> set[str]:
    """Return what is required: of a shape with variants, what every variant requires."""
    required = set(shape.get("required", ()))
    variants = [set(variant.get("required", ())) for variant in shape.get("oneOf", ())]
    return required | (set.intersection(*variants) if variants else set())


def _kind(shape: Mapping[str, Any]) -> str:
    kind = shape.get("type")
    if kind == "array":
        return f"list of {_kind(shape.get('items', {}))}"
    if shape.get("format") in ("date", "date-time"):
        return "date" if shape["format"] == "date" else "date-time"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    if kind in names:
        return names[kind]
    if "enum" in shape:
        return "text"
    return "object" if fields_of(shape) else "object of free keys" if kind == "object" else "any"


def _limits(shape: Mapping[str, Any]) -> str:
    parts = []
    if "enum" in shape:
        parts.append(", ".join(map(str, shape["enum"])))
    elif shape.get("items", {}).get("enum"):
        parts.append("each of " + ", ".join(map(str, shape["items"]["enum"])))
    is_text = shape.get("type") == "string"
    for low, high, unit in (
        # The document gives the length of an id as minimum and maximum of a text.
        ("minimum", "maximum", " characters" if is_text else ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", " items" if shape.get("type") == "array" else " keys"),
    ):
        if "enum" in shape:
            continue
        parts += _span(shape.get(low), shape.get(high), unit, above=bool(shape.get("exclusiveMinimum")))
    if shape.get("uniqueItems"):
        parts.append("each once")
    return "; ".join(parts)


def _span(least: Any, most: Any, unit: str, *, above: bool) -> list[str]:
    if least is None and most is None:
        return []
    if least is not None and least == most:
        return [f"{least}{unit}"]
    if most is None and least == 1 and not above:
        return ["not empty"]
    if most is None:
        return [f"{'more than' if above else 'at least'} {least}{unit}"]
    if least is None:
        return [f"at most {most:,}{unit}"]
    return [f"{least} to {most:,}{unit}"]


def _draft(shape: Mapping[str, Any], name: str, *, required_only: bool) -> Any:
    value: Any
    if "oneOf" in shape:
        value = _draft(shape["oneOf"][0], name, required_only=required_only)
    elif "enum" in shape:
        value = shape["enum"][0]
    elif shape.get("type") in _DRAFTED:
        value = _DRAFTED[shape["type"]](shape, name)
    elif has_free_keys(shape):
        value = {}
    else:
        required = _required_of(shape)
        value = {
            key: _draft(field, key, required_only=True)
            for key, field in fields_of(shape).items()
            if key in required or not (required_only or _may_stay_away(key, field))
        }
    return value


def _may_stay_away(name: str, shape: Mapping[str, Any]) -> bool:
    """Tell whether a field has no place in a draft: any number or flag of ours would mean something."""
    return is_server_set(name) or shape.get("type") in ("integer", "number", "boolean")


def _draft_text(shape: Mapping[str, Any], name: str) -> str:
    example = _EXAMPLES.get(shape.get("format", ""), f"<{name}>")
    return example.replace("-01-", "-02-", 1) if name.startswith("end") else example


def _draft_list(shape: Mapping[str, Any], name: str) -> list[Any]:
    count: int = shape.get("minItems", 0)
    return [_draft(shape.get("items", {}), name, required_only=True) for _ in range(count)]


def _least_number(shape: Mapping[str, Any], _name: str) -> float:
    least: float = shape.get("minimum", 1)
    return least + 1 if shape.get("exclusiveMinimum") else least


_DRAFTED: Final[Mapping[str, Callable[[Mapping[str, Any], str], Any]]] = {
    "string": _draft_text,
    "integer": _least_number,
    "number": _least_number,
    "boolean": lambda _shape, _name: False,
    "array": _draft_list,
}
