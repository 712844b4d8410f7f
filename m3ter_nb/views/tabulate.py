"""Decoded JSON into tables: which columns, in which order, cut where, masked how.

A table is built from a bounded number of rows, fields and characters, so that a list of 100,000 entities, or an entity
of a million fields, shows itself as fast as a small one. Nothing here changes the data; only what is shown is cut and
masked.
"""

from __future__ import annotations

import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.spelling import spell_out
from m3ter_nb.views.columns import FIRST, column_order
from m3ter_nb.views.foreign import cut
from m3ter_nb.views.json_line import json_line
from m3ter_nb.views.masks import MASK, mask, names_secret
from m3ter_nb.views.table import MAX_COLUMNS, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["noun_of", "table_of_entity", "table_of_rows"]

FULL_ROWS: Final = 60
"""A list of up to this many rows is shown whole (pandas' limit too); of a longer one, ``HEAD_ROWS``."""
HEAD_ROWS: Final = 20
CELL_CHARS: Final = 60
ENTITY_CHARS: Final = 200

_SCANNED_FIELDS: Final = 200
_SCANNED_CHARS: Final = 4_000
_COMPACT_ITEMS: Final = 20
_LISTED_ITEMS: Final = 3
_COMPACT_DEPTH: Final = 4
_NOTHING: Final = type(None)


def table_of_rows(
    rows: Sequence[Any], *, noun: str = "", notes: Iterable[str] = (), columns: int = MAX_COLUMNS
) -> Table:
    """Build the table of a list, from its first ``HEAD_ROWS`` (a short list: all) rows only.

    Args:
        rows: decoded JSON; what is no dict gets the column ``value``.
        noun: what the rows are (``"products"``), for the count; ``""`` says rows.
        notes: more lines below the table.
        columns: how many columns get cells; the others are only named.
    """
    total = len(rows)
    head = rows if total <= FULL_ROWS else rows[:HEAD_ROWS]
    entities: list[Mapping[str, Any]] = [row if isinstance(row, dict) else {"value": row} for row in head]
    kinds = _kinds_of_fields(entities)
    names = _ordered(kinds)
    cells = [[_cell(entity.get(name), CELL_CHARS, name) for entity in entities] for name in names[:columns]]
    count = _count(total, noun)
    if total > len(head):
        count = f"the first {len(head)} of {count}"
    return Table(
        columns=[_cell(name, CELL_CHARS) for name in names],
        rows=[list(row) for row in zip(*cells, strict=True)],
        numeric=frozenset(index for index, name in enumerate(names) if _are_numbers(kinds[name])),
        notes=[count, *notes],
        incomplete=any(len(entity) > _SCANNED_FIELDS for entity in entities),
    )


def table_of_entity(entity: Mapping[str, Any], *, notes: Iterable[str] = ()) -> Table:
    """Build the two-column table of one entity; a nested object gives one row per field (``address.country``)."""
    fields = list(islice(_fields(entity, (), _COMPACT_DEPTH), FULL_ROWS + 1))
    rows = [
        [_cell(".".join(path), CELL_CHARS), _cell(value, ENTITY_CHARS, path[-1])]
        for path, value in fields[:FULL_ROWS]
    ]
    lines = list(notes)
    if len(fields) > FULL_ROWS:
        lines.insert(0, f"the first {FULL_ROWS} fields; there are more")
    if not rows:
        lines.insert(0, "no fields")
    return Table(["field", "value"], rows, frozenset(), lines, row_headings=True)


def noun_of(path: str) -> str:
    """Return the plural noun that a list's path ends with (``organizations/…/products`` is products), or ``""``."""
    last = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last if re.fullmatch(r"[A-Za-z]{2,40}s", last) else ""


def _scanned(entity: Mapping[str, Any]) -> Iterable[str]:
    """Return the fields that are looked at: of very many the first ones, and those by which entities are known."""
    if len(entity) <= _SCANNED_FIELDS:
        return entity
    known = [name for name in FIRST if name in entity]
    return dict.fromkeys(chain(known, islice(entity, _SCANNED_FIELDS)))


def _kinds_of_fields(entities: Iterable[Mapping[str, Any]]) -> dict[str, set[type]]:
    kinds: dict[str, set[type]] = {}
    for entity in entities:
        for name in _scanned(entity):
            kind = type(entity[name])
            if (known := kinds.get(name)) is None:
                kinds[name] = {kind}
            else:
                known.add(kind)
    return kinds


def _ordered(kinds: Mapping[str, set[type]]) -> list[str]:
    return column_order(
        kinds,
        nested=[
            name for name, types in kinds.items() if any(issubclass(kind, (dict, list)) for kind in types)
        ],
        empty=[name for name, types in kinds.items() if types == {_NOTHING}],
    )


def _are_numbers(kinds: set[type]) -> bool:
    return kinds != {_NOTHING} and all(kind in (int, _NOTHING) or issubclass(kind, float) for kind in kinds)


def _fields(
    entity: Mapping[str, Any], above: tuple[str, ...], depth: int
) -> Iterator[tuple[tuple[str, ...], Any]]:
    names = _scanned(entity)
    nested = [name for name in names if isinstance(entity[name], (dict, list))]
    for name in column_order(names, nested=nested):
        value, path = entity[name], (*above, str(name))
        if isinstance(value, dict) and value and depth:
            yield from _fields(value, path, depth - 1)
        else:
            yield path, value


def _cell(value: Any, limit: int, name: object = "") -> str:
    """Return one value as it is shown: one line, masked, at most ``limit`` character cells wide."""
    if value is None:
        return ""
    if isinstance(value, str):
        text = MASK if value and names_secret(name) else mask(value[:_SCANNED_CHARS])
    elif isinstance(value, (dict, list)):
        text = json_line(_bounded(value, name, _COMPACT_DEPTH))[:_SCANNED_CHARS]
    else:
        text = str(value)
    text = spell_out(text)
    return text if len(text) <= limit // 2 else cut(text, limit)


def _bounded(value: Any, name: object, depth: int) -> Any:
    """Return a masked copy of nested JSON that holds no more than a cell can show."""
    if isinstance(value, str):
        return MASK if value and names_secret(name) else mask(value[:_SCANNED_CHARS])
    if isinstance(value, (dict, list)) and not depth:
        return "…" if value else value
    if isinstance(value, dict):
        return {
            mask(str(field)[:_SCANNED_CHARS]): _bounded(content, field, depth - 1)
            for field, content in islice(value.items(), _COMPACT_ITEMS)
        }
    if isinstance(value, list):
        items = [_bounded(item, name, depth - 1) for item in value[:_LISTED_ITEMS]]
        left = len(value) - len(items)
        return [*items, f"… {left:,} more"] if left else items
    return value


def _count(total: int, noun: str) -> str:
    if not total:
        return f"no {noun or 'rows'}"
    if total > 1:
        return f"{total:,} {noun or 'rows'}"
    singular = noun[:-3] + "y" if noun.endswith("ies") else noun[:-1]
    return f"1 {singular or 'row'}"
