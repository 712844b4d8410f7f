"""The words that can stand next on a line of ``%m3ter``, for Tab: from the table of the API, without a network."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from m3ter_nb.api.facts import METHODS, fields_of, find, has_free_keys, is_server_set, operations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["completions", "docs_completions"]

_SHOWABLE = ("curl", "python")
_READING = ("--all", "--limit")
_WRITING = ("--body", "--yes")
_EDITING = ("--set", "--unset", "--diff")
_ALWAYS = ("--name", "--show")
_LISTS = ("--set", "--unset")


def completions(line: str, cursor: int | None = None, *, logins: Iterable[str] = ()) -> list[str]:
    """Return the words that can stand where the cursor is.

    Args:
        line: the line, with or without the leading ``%m3ter`` or ``%%m3ter``.
        cursor: its position in the line; None is the end.
        logins: the names that ``--name`` takes.
    """
    before = re.sub(r"^.*?%{1,2}m3ter(?=\s)", "", line[:cursor])
    words = before.split()
    word = "" if not before or before[-1].isspace() else words.pop()
    if words[:1] == ["help"]:
        return docs_completions(before.replace("help", "", 1))
    return [each for each in _next(words, word, logins) if each.lower().startswith(word.lower())]


def docs_completions(before: str) -> list[str]:
    """Return the words that can stand next on a line of ``%m3ter_docs``.

    Args:
        before: what stands between its name and the cursor.
    """
    words = before.split()
    word = "" if not before or before[-1].isspace() else words.pop()
    found: Iterable[str] = ()
    if not words:
        found = [*METHODS, *_paths(None, word)]
    elif len(words) == 1 and words[0].upper() in METHODS:
        found = _paths(words[0].upper(), word)
    return [each for each in found if each.lower().startswith(word.lower())]


def _next(words: Sequence[str], word: str, logins: Iterable[str]) -> Iterable[str]:
    values = {"--show": _SHOWABLE, "--name": logins, "--body": (), "--limit": ()}
    if not words:
        return METHODS
    if words[-1] in values:
        return values[words[-1]]
    method = words[0].upper()
    if len(words) == 1:
        return _paths(method, word)
    option = next((each for each in reversed(words) if each.startswith("-")), "")
    if option in _LISTS and not word.startswith("-"):
        return [*_fields(words[1], word, option), *(_options(method, words) if not word else ())]
    return [*_filters(method, words, word), *_options(method, words)]


def _options(method: str, words: Sequence[str]) -> list[str]:
    """Return the options that go with a method and are not there yet."""
    fitting = {"GET": _READING, "PUT": (*_WRITING, *_EDITING)}.get(method, _WRITING)
    return [option for option in sorted((*fitting, *_ALWAYS)) if option not in words]


def _paths(method: str | None, typed: str) -> list[str]:
    """Return how a path can go on, up to the next id: only paths that have the method."""
    *done, _ = typed.split("/")
    found: dict[str, None] = {}
    for operation in operations():
        pieces = operation.path.split("/")
        fits = len(pieces) > len(done) and all(
            piece == own or (piece.startswith("{") and bool(own))
            for piece, own in zip(pieces, done, strict=False)
        )
        if not fits or method not in (None, operation.method) or operation.path.startswith("/"):
            continue
        rest = pieces[len(done) :]
        literal = list(takewhile(lambda piece: not piece.startswith("{"), rest))
        if literal:
            path = "/".join([*done, *literal])
            found[path if len(literal) == len(rest) else f"{path}/"] = None
    return [path for path in sorted(found) if not (path.endswith("/") and path[:-1] in found)]


def _filters(method: str, words: Sequence[str], word: str) -> Iterator[str]:
    """Yield the filters of an operation that are not there yet, or the values of the one that is being typed."""
    operation = find(method, words[1])
    if operation is None or word.startswith("-"):
        return
    name, equals, _ = word.partition("=")
    if equals:
        yield from _values(name, operation.query.get(name, {}))
        return
    given = {each.partition("=")[0] for each in words[2:]}
    yield from (f"{name}=" for name in operation.query if name not in given)


def _fields(path: str, word: str, option: str) -> Iterator[str]:
    """Yield the fields that ``--set`` or ``--unset`` can name, or the values of the one that is being typed."""
    operation = find("PUT", path)
    if operation is None or operation.body is None:
        return
    key, equals, _ = word.partition("=")
    for name, shape in _dotted(operation.body, ""):
        if equals and name == key:
            yield from _values(name, shape)
        elif not equals:
            yield name if option == "--unset" else f"{name}="


def _dotted(shape: Mapping[str, Any], within: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, field in fields_of(shape).items():
        if within or not (is_server_set(name) and name in ("id", "version")):
            yield f"{within}{name}", field
        if field.get("type") == "object" and not has_free_keys(field):
            yield from _dotted(field, f"{within}{name}.")


def _values(name: str, shape: Mapping[str, Any]) -> Iterator[str]:
    values = shape.get("enum") or shape.get("items", {}).get("enum") or ()
    if shape.get("type") == "boolean":
        values = ("true", "false")
    yield from (f"{name}={value}" for value in values)
