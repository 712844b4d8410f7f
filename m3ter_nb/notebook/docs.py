"""What ``%m3ter_docs`` finds: the resources, what matches a few words, or one operation whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from m3ter_nb.api.describe import answered, draft_of, field_rows, line_for, parameter_rows
from m3ter_nb.api.facts import METHODS, find, methods_of, operations, template_of
from m3ter_nb.api.search import is_known, matching_operations, matching_titles, near_path, near_words, tokens
from m3ter_nb.errors import ConnectionFailed, InvalidArgument
from m3ter_nb.notebook.call_line import near_method, unknown_method
from m3ter_nb.views.reference import Link, Reference, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from m3ter_nb.api.describe import FieldRow
    from m3ter_nb.api.docs_index import Page
    from m3ter_nb.api.facts import Operation

__all__ = ["look_up"]

_MOST_OPERATIONS: Final = 15
_MOST_PAGES: Final = 10
_HINT: Final = "%m3ter_docs GET bills shows one of them whole."
_REQUIRED: Final = "required"


def look_up(text: str, pages: Callable[[], Sequence[Page]] = tuple) -> Reference:
    """Return what is known about a method and a path, about some words, or an overview.

    Args:
        text: what follows the magic.
        pages: returns the pages of the documentation's index; asked for words alone.

    Raises:
        InvalidArgument: nothing is known by that name.
    """
    words = text.replace("{{", "{").replace("}}", "}").rstrip("? ").split()
    if not words:
        return _overview()
    method, *rest = words
    if method.upper() in METHODS:
        if not rest:
            return _all_with(method.upper())
        # "delete meter" is words, "DELETE meter" a path that is misspelt.
        if method.isupper() or methods_of(rest[0]):
            return _of_path(rest[0], method.upper())
    # So is "GTE products"; "credit line items" is words.
    if rest and methods_of(rest[0]) and not is_known(method) and (near_method(method) or method == "PATCH"):
        raise InvalidArgument(unknown_method(method))
    if len(words) == 1 and "/" in method:
        return _of_path(method, None)
    return _matching(" ".join(words), pages)


def _overview() -> Reference:
    """Return the resources, each with what can be done with it."""
    by_resource: dict[str, dict[str, None]] = {}
    for operation in operations():
        if not operation.path.startswith("/"):
            by_resource.setdefault(operation.path.split("/")[0], {}).update({operation.method: None})
    rows = [
        (resource, " ".join(method for method in METHODS if method in methods))
        for resource, methods in sorted(by_resource.items())
    ]
    return Reference(
        f"The m3ter API: {len(operations())} operations on {len(rows)} resources",
        "https://docs.m3ter.com/api",
        [Section("Resources", rows)],
        operations(),
        notes=[f"%m3ter_docs bills shows what can be called there; {_HINT}"],
    )


def _all_with(method: str) -> Reference:
    found = [operation for operation in operations() if operation.method == method]
    return Reference(
        f"{len(found)} operations are {method}", sections=[_list_of(found)], operations=found, notes=[_HINT]
    )


def _of_path(path: str, method: str | None) -> Reference:
    methods = methods_of(path)
    if method is None and len(methods) > 1:
        return _at(path, methods)
    found = find(method or (methods[0] if methods else "GET"), path)
    if found is not None:
        return _whole(found)
    if methods:
        raise InvalidArgument(f"{template_of(path)} has {' and '.join(methods)}, no {method}.")
    meant = near_path(method or "GET", path)
    raise InvalidArgument(
        "The API has no such path."
        + (f" Did you mean {meant}?" if meant else " %m3ter_docs alone lists what there is.")
    )


def _at(path: str, methods: Sequence[str]) -> Reference:
    """Return what can be called at one path, and below it."""
    template = template_of(path)
    at = [operation for method in methods if (operation := find(method, path)) is not None]
    below = [operation for operation in operations() if operation.path.startswith(f"{template}/")]
    return Reference(
        f"What can be called at {template}",
        sections=[_list_of(at), *([_list_of(below, "Below it")] if below else [])],
        operations=[*at, *below],
        notes=[_HINT],
    )


def _matching(words: str, pages: Callable[[], Sequence[Page]]) -> Reference:
    """Return what matches some words; those that nothing knows are not repeated: they may be a secret."""
    found = matching_operations(words)
    unknown = [word for word in tokens(words) if not is_known(word)]
    notes = [_HINT] if found else ["%m3ter_docs alone lists the resources."]
    if len(found) > _MOST_OPERATIONS:
        notes.insert(
            0,
            f"{len(found) - _MOST_OPERATIONS} more match: .operations has them all; another word narrows it.",
        )
    if unknown:
        meant = near_words(words)
        notes.insert(0, f"Did you mean %m3ter_docs {meant}?" if meant else "Some of these words nothing has.")
    read, note = _pages_about(words, pages)
    what = "these words" if unknown else words
    count = {0: "Nothing of the API matches", 1: "One operation matches"}
    sections = [_list_of(found[:_MOST_OPERATIONS])] if found else []
    if len(read) > _MOST_PAGES:
        notes.append(f"{len(read) - _MOST_PAGES} more pages match: .pages has them all.")
    if read:
        sections.append(
            Section("Pages", [(page.title, Link(page.url, page.url)) for page in read[:_MOST_PAGES]])
        )
    return Reference(
        f"{count.get(len(found), f'{len(found)} operations match')} {what}",
        sections=sections,
        operations=found,
        pages=read,
        notes=[*notes, *([note] if note else [])],
    )


def _pages_about(words: str, pages: Callable[[], Sequence[Page]]) -> tuple[list[Page], str]:
    """Return the pages whose title has the words, and a sentence where the index could not be had."""
    try:
        return matching_titles(words, pages(), lambda page: page.title), ""
    except (ConnectionFailed, InvalidArgument) as error:
        return [], f"{error} Shown is what ships with m3ter_nb."


def _whole(operation: Operation) -> Reference:
    """Return one operation with all that is known about it."""
    draft = draft_of(operation)
    line = line_for(operation)
    body = "" if draft is None else json.dumps(draft, indent=2, ensure_ascii=False)
    sections = [
        Section("In the path", _rows(parameter_rows(operation.parameters, required=True))),
        Section("Filters" if operation.many else "Parameters", _rows(parameter_rows(operation.query))),
        Section("Body", _rows(field_rows(operation.body))),
        Section("Answer", [(answered(operation),)]),
        Section("To type", code=line),
        Section("A body to start from", code=body if body and body not in line else ""),
    ]
    notes = ["The document calls it deprecated."] if operation.is_deprecated else []
    if operation.put_only and operation.method == "PUT":
        notes.append(f"GET does not give {', '.join(operation.put_only)}: a PUT without them loses them.")
    return Reference(
        f"{operation.method} {operation.path} ({operation.name})",
        operation.docs,
        [section for section in sections if section.rows or section.code],
        [operation],
        notes=notes,
    )


def _list_of(found: Iterable[Operation], heading: str = "Operations") -> Section:
    return Section(
        heading,
        [(operation.method, operation.path, Link(operation.name, operation.docs)) for operation in found],
    )


def _rows(rows: Iterable[FieldRow]) -> list[tuple[str, ...]]:
    return [(row.name, row.kind, _REQUIRED if row.required else "", row.limits) for row in rows]
