"""What of a call the API does not know: told before the call is sent, and no reason not to send it.

m3ter ignores a filter that an operation does not have, and answers with everything: a total that is wrong and green.
"""

from __future__ import annotations

import inspect
import math
import re
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.api.facts import field_at, fields_of, find, has_free_keys, is_server_set, methods_of
from m3ter_nb.errors import M3terWarning
from m3ter_nb.wire.encoding import query_pairs
from m3ter_nb.wording import either

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from m3ter_nb.api.facts import Operation

__all__ = [
    "doubts",
    "heard_by",
    "leaves",
    "near_path_advice",
    "tell_doubts",
    "tell_unknown_changes",
    "unknown_fields",
]

_PACKAGE: Final = __name__.partition(".")[0]
# Said before anybody knows whether the call goes through.
_SENDING: Final = "Sending it all the same."
_IGNORED: Final = "m3ter would ignore it."
_LONGEST_NAME: Final = 60
# The table of the API has dates as plain texts, but for one.
_DATE_NAME: Final = re.compile(r"(?:^d|D)ate(?:[A-Z]|$)")
# A text for format(), or of an f-string without its f.
_UNFILLED: Final = re.compile(r"\{\s*[A-Za-z_][^{}]*\}")

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)


@contextmanager
def heard_by(say: Callable[[str], None]) -> Iterator[None]:
    """Let somebody hear doubts, in place of the warnings that would show them.

    Args:
        say: is told each, as a sentence.
    """
    before = _listener.set(say)
    try:
        yield
    finally:
        _listener.reset(before)


def tell_doubts(method: str, path: Any, params: Any, json: Any) -> None:
    """Warn of what a call holds that the API does not know, each time anew.

    Args:
        method: upper case.
        path: as :meth:`m3ter_nb.M3terSession.url` takes it.
        params: the query, as :meth:`m3ter_nb.M3terSession.request` takes it.
        json: the body.
    """
    if not isinstance(path, str) or (not params and json is None and "?" not in path):
        return
    for doubt in doubts(method, path, params, json):
        _tell(f"{doubt} {_SENDING}")


def _tell(doubt: str) -> None:
    """Warn of one doubt: the listener hears it, or a :class:`~m3ter_nb.M3terWarning` shows it, whatever was shown before."""
    listener = _listener.get()
    if listener is not None:
        listener(doubt)
        return
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        frame = frame.f_back
    where = ("<m3ter_nb>", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
    # Without a registry of what was shown: a cell that is run again warns again.
    warnings.warn_explicit(doubt, M3terWarning, *where, module=frame and frame.f_globals.get("__name__"))


def doubts(method: str, path: str, params: Any, json: Any) -> list[str]:
    """Return what of a call the API does not know, as sentences; empty where the path itself is not known."""
    operation = find(method, path)
    if operation is None:
        return []
    found = [
        doubt for name, value in _pairs(path, params) if (doubt := _of_parameter(operation, name, value))
    ]
    return found + [_of_field(operation, key, near_to) for key, near_to in unknown_fields(operation, json)]


def unknown_fields(operation: Operation, json: Any) -> Iterable[tuple[str, tuple[str, ...]]]:
    """Return the dotted keys of a body that an operation does not take, each once, with the names that can be written there."""
    if operation.body is None or not isinstance(json, dict):
        return []
    found: dict[str, str] = {}
    _look(_known(operation), json, "", found)
    return [(key, _writable(operation, above)) for key, above in found.items()]


def tell_unknown_changes(
    operation: Operation, changes: Mapping[str, Any], remove: Iterable[str] = ()
) -> None:
    """Warn of changes to fields that a PUT does not take: m3ter would ignore them.

    Args:
        operation: the PUT.
        changes: dotted keys with their values.
        remove: dotted keys that go.
    """
    for key in (*leaves(changes), *remove):
        keys = key.split(".")
        if field_at(operation.body, keys) is None:
            above = [part for part in keys[:-1] if not part.isdecimal()]
            _tell(f"{_of_field(operation, key, _writable(operation, '.'.join(above)))} {_IGNORED}")


def leaves(changes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the dotted keys of changes, those within objects too."""
    for key, value in changes.items():
        if isinstance(value, dict) and value:
            yield from (f"{key}.{inner}" for inner in leaves(value))
        else:
            yield key


def near_path_advice(method: str, path: str) -> str:
    """Return what to do about a path that was not found: what is near, where the API has no such path; else ``""``."""
    from m3ter_nb.api.search import near_path

    if find(method, path) is not None:
        return ""
    if methods := methods_of(path):
        return f"The API has {' and '.join(methods)} there, no {method}."
    meant = near_path(method, path)
    return "The API has no such path. " + (
        f"Did you mean {meant}?" if meant else "%m3ter_docs lists what there is."
    )


class _Names:
    """The fields that may stand in one place of a body."""

    __slots__ = ("fields", "is_free", "within")

    def __init__(self, shapes: list[Mapping[str, Any]], *, more: Iterable[str] = ()) -> None:
        fields: dict[str, list[Mapping[str, Any]]] = {name: [] for name in more}
        for shape in shapes:
            for name, field in fields_of(shape).items():
                fields.setdefault(name, []).append(field)
        self.fields = frozenset(fields)
        self.is_free = all(has_free_keys(shape) for shape in shapes)
        self.within = {
            name: inner
            for name, parts in fields.items()
            if (inner := _names_below(parts)) is not None and not inner.is_free
        }


def _names_below(parts: list[Mapping[str, Any]]) -> _Names | None:
    below = [part.get("items", part) for part in parts]
    return _Names(below) if any(fields_of(shape) for shape in below) else None


@cache
def _known(operation: Operation) -> _Names:
    """Return what a body may hold: its own fields, and in a PUT what GET gave, for an entity is put back whole."""
    shapes = [operation.body or {}]
    read = find("GET", operation.path)
    answered = operation.answer if read is None else read.answer
    if operation.method == "PUT" and answered is not None:
        shapes.append(answered)
    return _Names(shapes, more=("id", "version", *filter(is_server_set, fields_of(answered))))


def _look(names: _Names, value: Any, above: str, found: dict[str, str]) -> None:
    """Find the keys that are not known, each with the dotted key of the object that it is in."""
    if isinstance(value, list):
        for item in value:
            _look(names, item, above, found)
        return
    if not isinstance(value, dict) or names.is_free:
        return
    if not names.fields.issuperset(value):
        for name in value:
            if name not in names.fields:
                found.setdefault(_joined(above, name), above)
    for name, inner in names.within.items():
        if name in value:
            _look(inner, value[name], _joined(above, name), found)


def _joined(above: str, name: Any) -> str:
    return f"{above}.{name}" if above else str(name)


def _writable(operation: Operation, above: str) -> tuple[str, ...]:
    """Return the fields of an object in a body that are not m3ter's own.

    Args:
        operation: whose body.
        above: the dotted key of the object, without places of lists; ``""`` for the body itself.
    """
    shape: Mapping[str, Any] = operation.body or {}
    for name in above.split(".") if above else ():
        shape = fields_of(shape).get(name, {})
        shape = shape.get("items", shape)
    # An id within an entity may be the caller's own.
    return tuple(name for name in fields_of(shape) if above or name not in ("id", "version"))


def _pairs(path: str, params: Any) -> Iterable[tuple[str, str]]:
    """Yield the parameters of a call as texts, those of the path's own query first."""
    query = path.partition("?")[2]
    if isinstance(params, (str, bytes)):
        query = f"{query}&{params if isinstance(params, str) else params.decode('latin-1')}"
        params = ()
    if query:
        from urllib.parse import parse_qsl

        yield from parse_qsl(query.lstrip("?&"), keep_blank_values=True)
    if params:
        yield from query_pairs(params)


def _of_parameter(operation: Operation, name: str, value: str) -> str:
    known = operation.query
    if name in known:
        return _of_value(operation, name, value)
    kind = "filter" if operation.many else "parameter"
    if name in _writable(operation, ""):
        body = either("json=", "--body or the cell below %%m3ter")
        change = either(" (session.update changes it alone)", " (--set changes it alone)")
        alone = change if operation.method == "PUT" else ""
        return f"{operation.path} has no {kind} {name}; as a field it goes into the body: {body}{alone}."
    return f"{operation.path} has no {kind} {_shown(name)}; {_instead(name, known)}"


def _of_value(operation: Operation, name: str, value: str) -> str:
    """Return a doubt about a value that a parameter does not take; the value is not repeated."""
    texts = value.split(",")
    if "{" in value and any(map(_UNFILLED.search, texts)):
        return f"{name} of {operation.path} holds braces that nothing filled: is the f before the quotes missing?"
    takes, allowed, fits = _expected(operation, name)
    odd = next((text for text in texts if not fits(text)), None)
    if odd is None:
        return ""
    from m3ter_nb.api.search import near

    meant = near(odd, allowed)
    hint = f" Did you mean {meant}?" if meant else ""
    return f"{name} of {operation.path} takes {takes}.{hint}"


@cache
def _expected(operation: Operation, name: str) -> tuple[str, Sequence[str], Callable[[str], bool]]:
    """Return what a parameter takes, in words; the texts that it takes, where they are few; and what tells of a text."""
    shape = operation.query[name]
    kind = shape.get("type")
    allowed = shape.get("enum") or (("true", "false") if kind == "boolean" else ())
    if allowed:
        return (
            " or ".join(allowed) if kind == "boolean" else ", ".join(allowed),
            allowed,
            allowed.__contains__,
        )
    if kind == "integer":
        low, high = shape.get("minimum", 0), shape.get("maximum", math.inf)
        limits = f" from {low} to {high}" if "maximum" in shape else ""
        return f"a whole number{limits}", (), lambda text: text.isdecimal() and low <= int(text[:20]) <= high
    if _DATE_NAME.search(name):
        return "a date in ISO 8601, such as 2026-11-01", (), _is_date
    return "", (), lambda _: True


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _of_field(operation: Operation, key: str, near_to: tuple[str, ...]) -> str:
    *_, name = key.split(".")
    return f"{operation.method} {operation.path} has no field {_shown(key)}; {_instead(name, near_to)}"


def _instead(name: Any, known: Iterable[str]) -> str:
    """Return what there is instead: the name that was most likely meant, or all of them."""
    from m3ter_nb.api.search import near

    names = [each for each in known if each not in ("pageSize", "nextToken")]
    meant = near(str(name), known)
    if meant:
        return f"did you mean {meant}?"
    shown = ", ".join(sorted(names)[:12]) + (", …" if len(names) > 12 else "")
    return f"it has {shown}." if shown else "it has none."


def _shown(name: Any) -> str:
    """Return a name as a sentence may hold it; what does not look like one may be a secret, and is not repeated."""
    text = str(name)
    plain = text.replace(".", "").replace("_", "").replace("-", "")
    return text if plain.isalnum() and plain.isascii() and len(text) <= _LONGEST_NAME else "of that name"
