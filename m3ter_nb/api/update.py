"""Change a few fields of an entity and lose none: read it whole, change it, PUT it whole with its version.

A PUT of m3ter is a full replacement: what it leaves out is gone (OpenAPI document, ``PutProduct`` and its siblings).
So nothing is sent where the whole is not known: where GET does not give what PUT takes, or gives a mask.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from m3ter_nb.api.doubts import leaves, tell_unknown_changes
from m3ter_nb.api.exact import decode_exactly, is_same
from m3ter_nb.api.facts import fields_of, find, is_server_set, methods_of, relative, template_of
from m3ter_nb.errors import InvalidArgument, UnexpectedAnswer, VersionConflict
from m3ter_nb.wire.encoding import encode_body, json_text, plain_value
from m3ter_nb.wording import either

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.api.facts import Operation
    from m3ter_nb.wire.answer import Answer

__all__ = ["ABSENT", "Calls", "Change", "Edit", "differences", "read_edit"]

ABSENT: Final = object()
"""Stands for a field that is not there."""

_ALWAYS_SET_BY_SERVER: Final = frozenset({"id", "version"})
# Stars or bullets, alone or with the first and last letters of what they hide.
_MASKED: Final = re.compile(r"\S{0,8}[*•●]{3,}\S{0,8}")


class Calls(Protocol):
    """What an edit needs of a :class:`~m3ter_nb.M3terSession`."""

    def exchange(
        self, method: str, path: str, params: Any = None, json: Any = None, *, body: bytes | None = None
    ) -> Answer:
        """Make one call, and return the answer as it came."""

    def decode(self, answer: Answer) -> Any:
        """Return the JSON of an answer."""


@dataclass(frozen=True, repr=False)
class Change:
    """One field that differs.

    Attributes:
        key: dotted; a number is a place in a list.
        before: its value, or ``ABSENT``.
        after: likewise.
    """

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, repr=False)
class Edit:
    """An entity as it was read, and as it shall be.

    Attributes:
        path: where it is.
        operation: that replaces it, or None where the table does not know it.
        before: as it was read, numbers with their digits.
        after: as it shall be.
        asked: the dotted keys of what was to change, and of what was to go.
        answer: what GET answered, decoded as any other answer.
    """

    path: str
    operation: Operation | None
    before: dict[str, Any]
    after: dict[str, Any]
    asked: tuple[tuple[str, ...], tuple[str, ...]]
    answer: Any = field(compare=False)

    @property
    def changes(self) -> list[Change]:
        """What differs, field by field."""
        return list(differences(self.before, self.after))

    @property
    def unchanged(self) -> tuple[list[str], list[str]]:
        """What was to change and is so already, and what was to go and is not there."""
        changed = [change.key for change in self.changes]
        same, gone = (
            [
                key
                for key in keys
                if not any(_is_within(key, each) or _is_within(each, key) for each in changed)
            ]
            for keys in self.asked
        )
        return same, gone

    def carry_out(self, session: Calls) -> Any:
        """Send the entity; where nothing differs, nothing is sent. Return it as it is stored now.

        Raises:
            VersionConflict: somebody else changed it; ``changes`` holds what. Nothing was overwritten.
            ApiError, ConnectionFailed: as :meth:`M3terSession.request`.
        """
        if not self.changes:
            return self.answer
        try:
            answer = session.exchange("PUT", self.path, json=self.after, body=encode_body(self.after))
        except VersionConflict as error:
            conflict = error
        else:
            return session.decode(answer)
        stored = session.exchange("GET", self.path)
        now = _entity(stored.content, self.path)
        if _holds(now, self.after, self.operation):
            # An answer was lost on its way, and the PUT that was sent again met its own success.
            return session.decode(stored)
        theirs = list(differences(self.before, now))
        if theirs:
            conflict.changes = theirs
            conflict.args = (_conflict_text(self, now, theirs),)
        raise conflict


def read_edit(session: Calls, path: str, changes: Mapping[str, Any], remove: Iterable[str] = ()) -> Edit:
    """Read an entity and return it with its changes; nothing is sent yet.

    Args:
        session: whose entity it is.
        path: of one entity, e.g. ``"products/ID"``.
        changes: dotted keys with their values; a dict is merged into the object that is there (RFC 7396), but None
            is a value like any other.
        remove: dotted keys that go.

    Raises:
        InvalidArgument: what is asked for cannot be done without harm. Nothing was changed.
        ApiError, ConnectionFailed: as :meth:`M3terSession.request`.
    """
    _check_kinds(changes, remove)
    json_text([*changes.values()])  # what holds itself has no leaves
    removed = (remove,) if isinstance(remove, str) else tuple(remove)
    operation = _operation(path)
    _check_keys(changes, removed, operation)
    answer = session.exchange("GET", path)
    before = _entity(answer.content, path)
    after = copy.deepcopy(before)
    for key, value in changes.items():
        _set(after, key.split("."), value, key)
    for key in sorted(removed, key=_from_the_end, reverse=True):
        _remove(after, key.split("."))
    _check_whole(before, after, {_head(key) for key in (*changes, *removed)}, operation)
    if operation is not None:
        tell_unknown_changes(operation, changes, removed)
    asked = tuple(leaves(changes)), removed
    return Edit(path, operation, before, after, asked, session.decode(answer))


def differences(before: Any, after: Any, key: str = "") -> Iterator[Change]:
    """Yield what differs between two values, as deep as objects and lists of one length go."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in dict.fromkeys([*before, *after]):
            yield from differences(
                before.get(name, ABSENT), after.get(name, ABSENT), f"{key}.{name}" if key else name
            )
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from differences(old, new, f"{key}.{index}")
    elif before is not after and (before is ABSENT or after is ABSENT or not is_same(before, after)):
        yield Change(key, before, after)


def _operation(path: str) -> Operation | None:
    """Return the operation that replaces what is at a path, or None where the path is not known.

    Raises:
        InvalidArgument: nothing there can be read and replaced.
    """
    if not isinstance(path, str):
        raise InvalidArgument(f"A path is text such as 'products/ID'; this is of type {type(path).__name__}.")
    operation = find("PUT", path)
    methods = methods_of(path)
    if operation is None and find("PUT", f"{template_of(path)}/ID") is not None:
        raise InvalidArgument(
            f"{template_of(path)} is a list: name one of it, {template_of(path)}/ID. Nothing was sent."
        )
    if operation is None and methods:
        raise InvalidArgument(
            f"{template_of(path)} has {' and '.join(methods)}, no PUT: it cannot be changed. Nothing was sent."
        )
    if operation is not None and find("GET", path) is None:
        raise InvalidArgument(
            f"{operation.path} has no GET, so that nobody knows what a change would keep: PUT the whole of it "
            f"({either('session.put', '--body')}). Nothing was sent."
        )
    return operation


def _check_kinds(changes: object, remove: object) -> None:
    are_fields = isinstance(remove, Iterable) and not isinstance(remove, (Mapping, type))
    if not isinstance(changes, Mapping) or not are_fields or getattr(remove, "ndim", 1) != 1:
        raise InvalidArgument(
            "What changes is a dict of fields and values, and what goes a list of fields. Nothing was sent."
        )


def _check_keys(changes: Mapping[Any, Any], removed: tuple[Any, ...], operation: Operation | None) -> None:
    for key in (*changes, *removed):
        if not isinstance(key, str) or not all(key.split(".")):
            raise InvalidArgument(
                "A field is named by text such as 'name' or 'address.country'. Nothing was sent."
            )
        head = _head(key)
        writable = operation is not None and head in fields_of(operation.body)
        if head in _ALWAYS_SET_BY_SERVER or (is_server_set(head) and not writable):
            raise InvalidArgument(f"{head} is set by m3ter alone; leave it out. Nothing was sent.")
    if repeated := next((key for key, count in Counter(leaves(changes)).items() if count > 1), ""):
        raise InvalidArgument(f"{repeated} is set twice: keep one of them. Nothing was sent.")
    if twice := next((key for key in changes if any(_is_within(key, gone) for gone in removed)), ""):
        raise InvalidArgument(f"{twice} is both set and removed: keep one of them. Nothing was sent.")


def _check_whole(
    before: dict[str, Any], after: dict[str, Any], named: set[str], operation: Operation | None
) -> None:
    """Hold back a PUT that would lose what nobody could read.

    Raises:
        InvalidArgument: GET does not give a field that PUT takes, or gives a mask in place of its value.
    """
    fields = fields_of(operation.body) if operation is not None else {}
    lost = [
        name
        for name in (operation.put_only if operation is not None else ())
        # What came against the documentation is a value where it is plain; of an object it may be a part.
        if name not in named and (name not in before or fields[name].get("type") == "object")
    ]
    if lost:
        raise InvalidArgument(
            f"GET does not give {' and '.join(lost)}, so a PUT would lose {'them' if len(lost) > 1 else 'it'}: set "
            f"{'each of them' if len(lost) > 1 else 'it'} too. Nothing was sent."
        )
    if masked := next(_masked_keys(after, ""), None):
        if masked not in _masked_keys(before, ""):
            raise InvalidArgument(
                f"{masked} would be set to a mask: give the value itself. Nothing was sent."
            )
        raise InvalidArgument(
            f"{masked} came masked, and the mask would overwrite it: set {masked} too. Nothing was sent."
        )


def _masked_keys(value: Any, key: str) -> Iterator[str]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    elif isinstance(value, str) and _MASKED.fullmatch(value):
        yield key
    for name, item in items:
        yield from _masked_keys(item, f"{key}.{name}" if key else str(name))


def _entity(content: bytes, path: str) -> dict[str, Any]:
    try:
        entity = decode_exactly(content)
    except (ValueError, RecursionError):
        raise UnexpectedAnswer(
            f"GET {relative(path)} was answered with no whole JSON. Nothing was sent."
        ) from None
    if not isinstance(entity, dict) or isinstance(entity.get("data"), list):
        raise InvalidArgument(f"{relative(path)} is not one entity: give the path of one. Nothing was sent.")
    return entity


def _set(target: Any, keys: list[str], value: Any, whole: str) -> None:
    """Set what the keys lead to; objects are made where they are missing, places of a list are not."""
    if isinstance(target, list):
        place: Any = _place(target, keys[0], whole)
        rest = keys[1:]
    elif isinstance(target, dict):
        place, rest = _own_key(target, keys)
    else:
        raise InvalidArgument(f"{whole} leads into what is no object and no list. Nothing was sent.")
    there = target[place] if isinstance(target, list) else target.get(place, ABSENT)
    if not rest:
        target[place] = _merged(there, value)
        return
    if there is ABSENT or there is None:
        there = target[place] = {}
    _set(there, rest, value, whole)


def _merged(there: Any, value: Any) -> Any:
    if isinstance(value, dict):
        merged = dict(there) if isinstance(there, dict) else {}
        for name, item in value.items():
            merged[name] = _merged(merged.get(name, ABSENT), item)
        return merged
    value = _copied(value)
    # What is the same number keeps its digits.
    return there if there is not ABSENT and is_same(there, value) else value


def _copied(value: Any) -> Any:
    """Return a copy of lists and objects, and what is neither as JSON has it; what JSON has not is refused when it is sent."""
    if isinstance(value, (dict, list, tuple)):
        return (
            {name: _copied(item) for name, item in value.items()}
            if isinstance(value, dict)
            else [*map(_copied, value)]
        )
    if not isinstance(value, str):
        with suppress(TypeError):
            return plain_value(value)
    return value


def _remove(target: Any, keys: list[str]) -> None:
    """Remove what the keys lead to; what is not there is gone already."""
    if isinstance(target, list):
        if not keys[0].isdecimal() or int(keys[0]) >= len(target):
            return
        place: Any = int(keys[0])
        rest = keys[1:]
    elif isinstance(target, dict):
        place, rest = _own_key(target, keys)
        if place not in target:
            return
    else:
        return
    if rest:
        _remove(target[place], rest)
    else:
        del target[place]


def _own_key(target: dict[str, Any], keys: list[str]) -> tuple[str, list[str]]:
    """Return the key of an object that comes next, and the keys behind it: a key of its own may hold dots."""
    for length in range(len(keys), 1, -1):
        if (joined := ".".join(keys[:length])) in target:
            return joined, keys[length:]
    return keys[0], keys[1:]


def _place(target: list[Any], key: str, whole: str) -> int:
    if not key.isdecimal() or int(key) >= len(target):
        places = f"places 0 to {len(target) - 1}" if target else "no places yet"
        raise InvalidArgument(f"{whole} names no place of a list that has {places}. Nothing was sent.")
    return int(key)


def _is_within(key: str, other: str) -> bool:
    return f"{key}.".startswith(f"{other}.")


def _head(key: str) -> str:
    return key.partition(".")[0]


def _from_the_end(key: str) -> list[tuple[int, str]]:
    """Sort places of lists by number, so that the last is removed first and the others keep theirs."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in key.split(".")]


def _holds(stored: dict[str, Any], wanted: dict[str, Any], operation: Operation | None) -> bool:
    unseen = operation.put_only if operation is not None else ()
    return all(
        is_same(stored.get(name), value)
        for name, value in wanted.items()
        if name not in unseen and not is_server_set(name)
    )


def _conflict_text(edit: Edit, now: dict[str, Any], theirs: list[Change]) -> str:
    names = [change.key for change in theirs if not is_server_set(_head(change.key))]
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
    versions = f" (version {edit.before.get('version')} is now {now.get('version')})"
    return (
        f"Somebody else changed {relative(edit.path)} since it was read{versions}: "
        f"{shown or 'no field that a PUT takes'}. Nothing was overwritten; run it again to change what is stored now."
    )
