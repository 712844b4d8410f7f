"""What differs between two states of an entity, as a short unified view: one line before, one after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.spelling import spell_out
from m3ter_nb.views.foreign import cut
from m3ter_nb.views.json_line import json_line
from m3ter_nb.views.masks import MASK, masked, names_secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["unified"]

_CELLS: Final = 160


def unified(heading: str, changes: Iterable[tuple[str, Sequence[Any], Sequence[Any]]]) -> str:
    """Return changes as lines: ``- key: old`` and ``+ key: new``; secrets are masked.

    Args:
        heading: the first line.
        changes: dotted key, and the values before and after, each empty where the field is not there.
    """
    lines = [spell_out(heading)]
    for key, before, after in changes:
        lines += [f"- {_line(key, value)}" for value in before]
        lines += [f"+ {_line(key, value)}" for value in after]
    return "\n".join(lines)


def _line(key: str, value: Any) -> str:
    names = key.split(".")
    text = MASK if any(map(names_secret, names)) else json_line(masked(value, names[-1]))
    return cut(spell_out(f"{key}: {text}"), _CELLS)
