"""``%m3ter PUT PATH --set key=value ... --unset key ... --diff``: what it means, and what it does."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.api.exact import decode_exactly
from m3ter_nb.api.facts import field_at, find, relative
from m3ter_nb.api.update import ABSENT, read_edit
from m3ter_nb.errors import InvalidArgument, VersionConflict
from m3ter_nb.notebook.expressions import evaluate, placeholder_end
from m3ter_nb.notebook.json_mistakes import find_mistake
from m3ter_nb.notebook.placeholders import check_filled, fill_text, json_value
from m3ter_nb.views.changes import unified
from m3ter_nb.views.records import as_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from m3ter_nb.api.update import Change, Edit
    from m3ter_nb.notebook.logins import Login

__all__ = ["Edits", "is_torn", "make_edit", "read_edits"]

_KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "a list in JSON"),
    "object": ((dict,), "an object in JSON"),
}


_LIKE_JSON: Final = re.compile(r"[\[{]\s*[^\w\s\]}]")


@dataclass(frozen=True, slots=True)
class Edits:
    """The changes that a line asks for.

    Attributes:
        changes: dotted keys with their values.
        remove: dotted keys that go.
        only_shows: whether nothing is sent.
    """

    changes: dict[str, Any] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    only_shows: bool = False


def read_edits(
    sets: Sequence[str], unsets: Sequence[str], path: str, namespace: Mapping[str, Any], *, only_shows: bool
) -> Edits:
    """Read what stands behind ``--set`` and ``--unset``.

    A value is read by the field's type where the table of the API knows it, else as JSON where it can be, else as text;
    ``{{expression}}`` alone keeps its value.

    Args:
        sets: ``key=value`` each.
        unsets: a key each.
        path: of the entity.
        namespace: the user's variables.
        only_shows: whether nothing is sent.

    Raises:
        InvalidArgument: a pair is malformed, or its value is not of the field's type. Nothing was sent.
    """
    operation = find("PUT", path)
    changes: dict[str, Any] = {}
    for position, pair in enumerate(sets):
        key, equals, text = pair.partition("=")
        if not key or not equals or "{" in key:
            if is_torn(sets, position):
                raise InvalidArgument(
                    'No space stands around the = behind --set: name="New name", not name = "New name".'
                )
            raise InvalidArgument('What follows --set is written key=value, such as name="New name".')
        if key in changes:
            raise InvalidArgument(f"{key} is set twice: keep one of them.")
        shape = field_at(operation.body, key.split(".")) if operation is not None else None
        changes[key] = _value(key, text, shape or {}, namespace)
    if any("=" in key for key in unsets):
        raise InvalidArgument("--unset takes keys alone, without a value.")
    if not changes and not unsets:
        raise InvalidArgument(
            "--diff shows what --set key=value and --unset key would change: add one of them."
        )
    return Edits(changes, tuple(unsets), only_shows)


def is_torn(words: Sequence[str], position: int) -> bool:
    """Tell whether a word is a piece of ``key=value`` that white space has torn: ``key = value``."""
    before = words[position - 1] if position else ""
    after = words[position + 1] if position + 1 < len(words) else ""
    return after.startswith("=") or (before.find("=") == len(before) - 1 > 0)


def make_edit(
    login: Login, path: str, edits: Edits, confirm: Callable[[Edit], None], say: Callable[[str], None]
) -> Any:
    """Read an entity, show what changes, and put it back whole.

    Args:
        login: whose entity it is.
        path: where it is.
        edits: what changes.
        confirm: lets it pass, or raises.
        say: tells the person something.

    Returns:
        Record | None: the entity as it is stored now; None where it was only shown.

    Raises:
        M3terError: as :meth:`m3ter_nb.M3terSession.update`.
    """
    session = login.session
    edit = read_edit(session, path, edits.changes, edits.remove)
    left = _left_alone(edit)
    if not edit.changes:
        say(f"Nothing to change: {left}. Nothing was sent.")
        return None if edits.only_shows else as_records(edit.answer, path=path)
    say(unified(_heading(edit), _rows(edit.changes)))
    if left:
        say(f"Nothing else: {left}.")
    if edits.only_shows:
        say("Nothing was sent.")
        return None
    confirm(edit)
    try:
        return as_records(edit.carry_out(session), path=path)
    except VersionConflict as error:
        if error.changes:
            say(unified("What somebody else changed in between:", _rows(error.changes)))
        raise


def _left_alone(edit: Edit) -> str:
    """Say of which keys nothing changes, and why."""
    same, gone = edit.unchanged
    are, were = ("are" if len(same) > 1 else "is"), ("are" if len(gone) > 1 else "is")
    parts = [f"{', '.join(same)} {are} as you say already"] if same else []
    return "; ".join(parts + ([f"{', '.join(gone)} {were} not there to be unset"] if gone else []))


def _heading(edit: Edit) -> str:
    name = next((edit.before[key] for key in ("name", "code") if isinstance(edit.before.get(key), str)), "")
    version = edit.before.get("version")
    return (
        relative(edit.path)
        + (f' "{name}"' if name else "")
        + (f", version {version}" if version is not None else "")
    )


def _rows(changes: Iterable[Change]) -> Iterable[tuple[str, Sequence[Any], Sequence[Any]]]:
    for change in changes:
        yield (
            change.key,
            () if change.before is ABSENT else (change.before,),
            () if change.after is ABSENT else (change.after,),
        )


def _value(key: str, text: str, shape: Mapping[str, Any], namespace: Mapping[str, Any]) -> Any:
    if text.startswith("{{") and placeholder_end(text, 0) == len(text):
        return json_value(evaluate(text[2:-2], namespace, written=text), text)
    kind = str(shape.get("type"))
    if kind in _KINDS and "enum" not in shape:
        return _typed(key, fill_text(text, namespace), *_KINDS[kind])
    check_filled(text, namespace)
    text = fill_text(text, namespace)
    if kind == "string" or "enum" in shape:
        return text
    try:
        value = decode_exactly(text)
    except (ValueError, RecursionError) as error:
        if _is_almost_json(text):
            raise InvalidArgument(
                f"{key}: NaN and Infinity are no values of JSON. Nothing was sent."
            ) from error
        if _LIKE_JSON.match(text):
            raise InvalidArgument(
                f'{key} looks like JSON and is none:{_mistake(text)} A text of that form is written {{{{"text"}}}}. Nothing was '
                "sent."
            ) from None
        return text
    return _without_repeats(key, text, value)


def _without_repeats(key: str, text: str, value: Any) -> Any:
    """Return a value, but of a name that stands twice in one object nobody knows which is meant."""
    if isinstance(value, (dict, list)) and find_mistake(text):
        raise InvalidArgument(f"{key}:{_mistake(text)} Nothing was sent.")
    return value


def _mistake(text: str) -> str:
    found = find_mistake(text)
    if found is None:
        return ""
    seen = f" ({found.seen[0]} at column {found.seen[1] + 1})" if found.seen else ""
    return f" at column {found.position + 1} of the value, {found.told}{seen}."


def _typed(key: str, text: str, types: tuple[type, ...], named: str) -> Any:
    try:
        value = decode_exactly(text)
    except (ValueError, RecursionError):
        value = ABSENT
    if value is None or (isinstance(value, types) and (isinstance(value, bool) is (bool in types))):
        return _without_repeats(key, text, value)
    hint = "."
    if types[0] in (list, dict) and value is ABSENT:
        lost = not _LIKE_JSON.match(text)  # the shell of the line has taken the quotes
        hint = (
            ". White space and quotes go into single quotes: --set 'key={\"a\": 1}'."
            if lost
            else f":{_mistake(text)}"
        )
    raise InvalidArgument(f"{key} takes {named}{hint} To take it away, --unset {key}. Nothing was sent.")


def _is_almost_json(text: str) -> bool:
    """Tell whether a text is JSON but for NaN and Infinity, which Python's parser takes."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
