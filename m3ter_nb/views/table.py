"""Decoded JSON as a table, in text and in HTML: which columns, in which order, cut where, masked how.

A table is built from a bounded number of rows, fields and characters, so that a list of 10,000 entities shows itself
as fast as a short one. Nothing here changes the data; only what is shown is cut and masked.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.views.foreign import cell_width, cut, spell_out, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Table", "column_order", "masked", "noun_of", "table_of_entity", "table_of_rows", "terminal_width"]

FULL_ROWS: Final = 60
"""A list of up to this many rows is shown whole (pandas' limit too); of a longer one, ``HEAD_ROWS``."""
HEAD_ROWS: Final = 20
MAX_COLUMNS: Final = 12
"""Columns in the HTML table; the text table shows what fits the width."""
CELL_CHARS: Final = 60
ENTITY_CHARS: Final = 200
MASK: Final = "••••"

_TEXT_CELL_WIDTHS: Final = (40, 28, 20)
_NON_TERMINAL_WIDTH: Final = 100
_COMPACT_ITEMS: Final = 20
_COMPACT_DEPTH: Final = 4
_SCANNED_CHARS: Final = 4_000

_NAMES: Final = ("name", "organizationName", "eventName", "firstName", "lastName", "accountName")
_CODES: Final = ("code", "accountCode", "email", "emailAddress", "id", "status", "type")
_AUDIT: Final = (
    "version",
    "dtCreated",
    "dtLastModified",
    "createdDate",
    "updatedDate",
    "createdBy",
    "lastModifiedBy",
)
_FIRST: Final = {name: rank for rank, name in enumerate(_NAMES + _CODES)}
_LATE: Final = {name: rank for rank, name in enumerate(_AUDIT)}
# nextToken is a cursor and a key's id is public: neither is masked.
_SECRET_NAME: Final = re.compile(
    r"(secret|password|passphrase|authorization|(secret|api|private|signing)[-_ ]?key"
    r"|(access|refresh|id|bearer|api|auth)[-_ ]?token|^token)$",
    re.IGNORECASE,
)
# A JWT (RFC 7519: its header starts with '{"', which is 'eyJ' in base64url) or the value of an Authorization header.
_SECRET_TEXT: Final = re.compile(
    r"eyJ[\w-]{6,}\.[\w-]+(\.[\w-]*)*|\b(?:bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE | re.ASCII
)
_SUSPICIOUS: Final = re.compile(
    r"eyj|bearer|basic|secret|pass(?:word|phrase)|authorization|key|token", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown of a list or of an entity, ready to be drawn.

    Attributes:
        columns: the headings, most useful first.
        rows: one list of cells per row, already cut and masked, not yet escaped.
        numeric: the indexes of columns that hold numbers only.
        notes: lines below the table (row count, what is left out, more pages).
        row_headings: the first column names its row (an entity) instead of being data.
    """

    columns: list[str]
    rows: list[list[str]]
    numeric: frozenset[int]
    notes: list[str]
    row_headings: bool = False

    def html(self) -> str:
        """Return the table as HTML, everything escaped, without script or style sheet.

        It inherits the notebook's table styling but for two things: JupyterLab aligns every cell to the right, and
        breaks ids and times at their hyphens, so that a row becomes a tower. The two classes keep MathJax from typesetting data that holds dollar signs.
        """
        shown = min(len(self.columns), MAX_COLUMNS)
        starts = [
            f"<td{_NUMBER if index in self.numeric else _TEXT if self.row_headings else _TEXT_LINE}>"
            for index in range(shown)
        ]
        if self.row_headings:
            starts[0] = f'<th scope="row"{_TEXT_LINE}>'
        ends = ["</th>" if start.startswith("<th") else "</td>" for start in starts]
        parts = ['<div class="tex2jax_ignore mathjax_ignore">']
        if self.rows:
            parts.append('<table class="dataframe">')
            if not self.row_headings:
                heading = "".join(
                    f'<th scope="col"{_NUMBER if index in self.numeric else _TEXT_LINE}>{escape(column)}</th>'
                    for index, column in enumerate(self.columns[:shown])
                )
                parts.append(f"<thead><tr>{heading}</tr></thead>")
            parts.append("<tbody>")
            for row in self.rows:
                # One call escapes a row: in a cell controls are spelled out, so it holds no NUL.
                cells = escape("\0".join(row[:shown])).split("\0")
                marked = [f"{start}{cell}{end}" for start, cell, end in zip(starts, cells, ends, strict=True)]
                parts.append(f"<tr>{''.join(marked)}</tr>")
            parts.append("</tbody></table>")
        parts += [f"<p>{escape(note)}</p>" for note in [*self.notes, *_left_out(self.columns[shown:])]]
        parts.append("</div>")
        return "".join(parts)

    def text(self, width: int) -> str:
        """Return the table as aligned text of at most ``width`` character cells a line.

        Columns that do not fit are named below the table. Characters of double width (East Asian) count as two.
        """
        if not self.rows:
            return "\n".join(_wrapped(self.notes, width))
        if self.row_headings:
            name_width = min(max(cell_width(row[0]) for row in self.rows), max(width // 2, 1))
            widths = {0: name_width, 1: max(width - name_width - 2, 1)}
        else:
            widths = self._fitting_widths(width)
        lines = []
        if not self.row_headings:
            lines = [
                self._line(self.columns, widths),
                "─" * min(sum(widths.values()) + 2 * len(widths) - 2, width),
            ]
        lines += [self._line(row, widths) for row in self.rows]
        hidden = [column for index, column in enumerate(self.columns) if index not in widths]
        return "\n".join([*lines, *_wrapped([*self.notes, *_left_out(hidden)], width)])

    def _fitting_widths(self, width: int) -> dict[int, int]:
        """Choose the columns that fit, by index, with their widths: long cells give way before columns do."""
        leading = [index for index, column in enumerate(self.columns) if column in _FIRST] or [0]
        natural = [
            max(cell_width(cell) for cell in (column, *(row[index] for row in self.rows)))
            for index, column in enumerate(self.columns)
        ]
        for cap in _TEXT_CELL_WIDTHS:
            # An id is there to be copied: it is never cut while it can be shown whole.
            widths = [
                wide if column == "id" else min(wide, cap)
                for column, wide in zip(self.columns, natural, strict=True)
            ]
            if sum(widths[index] + 2 for index in leading) - 2 <= width:
                break
        chosen = {0: min(widths[0], width)}
        used = chosen[0]
        for index in range(1, len(widths)):
            if used + 2 + widths[index] <= width:
                chosen[index] = widths[index]
                used += 2 + widths[index]
        return chosen

    def _line(self, cells: Sequence[str], widths: Mapping[int, int]) -> str:
        parts = []
        for index, width in widths.items():
            cell = cut(cells[index], width)
            padding = " " * (width - cell_width(cell))
            parts.append(padding + cell if index in self.numeric else cell + padding)
        return "  ".join(parts).rstrip()


_NUMBER: Final = ' style="white-space: nowrap"'
_TEXT: Final = ' style="text-align: left"'
_TEXT_LINE: Final = ' style="text-align: left; white-space: nowrap"'


def table_of_rows(rows: Sequence[Any], *, noun: str = "", notes: Iterable[str] = ()) -> Table:
    """Build the table of a list, from its first ``HEAD_ROWS`` (a short list: all) rows only.

    Args:
        rows: decoded JSON; what is no dict gets the column ``value``.
        noun: what the rows are (``"products"``), for the count; ``""`` says rows.
        notes: more lines below the table.
    """
    total = len(rows)
    head = rows if total <= FULL_ROWS else rows[:HEAD_ROWS]
    entities: list[Mapping[str, Any]] = [row if isinstance(row, dict) else {"value": row} for row in head]
    columns, numeric = _columns(entities)
    cells = [_column_cells(name, [entity.get(name) for entity in entities]) for name in columns]
    count = _count(total, noun)
    if total > len(head):
        count = f"the first {len(head)} of {count}"
    lines = [list(row) for row in zip(*cells, strict=True)]
    return Table([_cell(name, CELL_CHARS) for name in columns], lines, numeric, [count, *notes])


def table_of_entity(entity: Mapping[str, Any], *, notes: Iterable[str] = ()) -> Table:
    """Build the two-column table of one entity; a nested object gives one row per field (``address.country``)."""
    fields = list(islice(_fields(entity, "", _COMPACT_DEPTH), FULL_ROWS + 1))
    rows = [
        [
            _cell(name, CELL_CHARS),
            MASK if _is_secret(name.rpartition(".")[2], value) else _cell(value, ENTITY_CHARS),
        ]
        for name, value in fields[:FULL_ROWS]
    ]
    lines = list(notes)
    if len(fields) > FULL_ROWS:
        lines.insert(0, f"the first {FULL_ROWS} fields")
    if not rows:
        lines.insert(0, "no fields")
    return Table(["field", "value"], rows, frozenset(), lines, row_headings=True)


def column_order(names: Iterable[str], *, nested: Iterable[str] = (), empty: Iterable[str] = ()) -> list[str]:
    """Order field names by use: name, code and id; other plain fields; version and dates; nested; empty.

    Args:
        names: field names in their own order, which decides between equals.
        nested: those that hold objects or lists.
        empty: those without any value.
    """
    nested, empty = frozenset(nested), frozenset(empty)

    def rank(name: str) -> tuple[int, int]:
        if name in empty:
            return (4, 0)
        if name in nested:
            return (3, 0)
        if name in _LATE:
            return (2, _LATE[name])
        return (0, _FIRST[name]) if name in _FIRST else (1, 0)

    return sorted(names, key=rank)


def masked(value: Any) -> Any:
    """Return a plain copy of decoded JSON in which secrets and tokens are replaced by a mask.

    A secret is known by its field's name (``apiSecret``, ``access_token``), a token by its look (a JWT, ``Bearer …``).
    """
    if isinstance(value, dict):
        return {
            name: MASK if _is_secret(name, content) else masked(content) for name, content in value.items()
        }
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str) and _SUSPICIOUS.search(value):
        return _SECRET_TEXT.sub(MASK, value)
    return value


def is_suspicious(text: str) -> bool:
    """Tell whether a text may hold something that ``masked`` would hide (a quick test that errs on yes)."""
    return _SUSPICIOUS.search(text) is not None


def noun_of(path: str) -> str:
    """Return the plural noun that a list's path ends with (``organizations/…/products`` is products), or ``""``."""
    last = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    return last if re.fullmatch(r"[A-Za-z]{2,40}s", last) else ""


def terminal_width() -> int:
    """Return the width in character cells that text output should fit.

    Where standard output is no terminal (a kernel, a pipe) it is a constant, so that saved outputs do not change with
    the window that Jupyter was started from.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 20)
    return _NON_TERMINAL_WIDTH


def _columns(entities: Sequence[Mapping[str, Any]]) -> tuple[list[str], frozenset[int]]:
    """Return the ordered field names of these rows, and the indexes of those that hold numbers only."""
    kinds: dict[str, set[type]] = {}
    for entity in entities:
        for name, value in entity.items():
            if (known := kinds.get(name)) is None:
                kinds[name] = {type(value)}
            else:
                known.add(type(value))
    nothing = type(None)
    columns = column_order(
        kinds,
        nested=[
            name for name, types in kinds.items() if any(issubclass(kind, (dict, list)) for kind in types)
        ],
        empty=[name for name, types in kinds.items() if types == {nothing}],
    )
    numbers = {int, float, nothing}
    return columns, frozenset(
        index for index, name in enumerate(columns) if kinds[name] <= numbers and kinds[name] != {nothing}
    )


def _fields(entity: Mapping[str, Any], prefix: str, depth: int) -> Iterable[tuple[str, Any]]:
    nested = [name for name, value in entity.items() if isinstance(value, (dict, list))]
    for name in column_order(entity, nested=nested):
        value = entity[name]
        if isinstance(value, dict) and value and depth and not _is_secret(name, value):
            yield from _fields(value, f"{prefix}{name}.", depth - 1)
        else:
            yield f"{prefix}{name}", value


def _column_cells(name: str, values: Sequence[Any]) -> list[str]:
    if _SECRET_NAME.search(str(name)):
        return [MASK if value else "" for value in values]
    return [_cell(value, CELL_CHARS) for value in values]


def _cell(value: Any, limit: int) -> str:
    """Return one value as it is shown: one line, printable, masked, at most ``limit`` character cells wide."""
    if isinstance(value, str):
        text = value[:_SCANNED_CHARS]
    elif value is None:
        return ""
    elif isinstance(value, (dict, list)):
        text = json.dumps(_bounded(value, _COMPACT_DEPTH), ensure_ascii=False, default=str)[:_SCANNED_CHARS]
    else:
        text = str(value)
    if "eyJ" in text or " " in text:
        text = _SECRET_TEXT.sub(MASK, text)
    text = spell_out(text)
    return text if len(text) <= limit // 2 else cut(text, limit)


def _bounded(value: Any, depth: int) -> Any:
    """Return a masked copy of nested JSON that holds no more than a cell can show."""
    if isinstance(value, dict):
        if not depth:
            return "…" if value else {}
        return {
            str(name): MASK if _is_secret(str(name), content) else _bounded(content, depth - 1)
            for name, content in islice(value.items(), _COMPACT_ITEMS)
        }
    if isinstance(value, list):
        if not depth:
            return "…" if value else []
        return [_bounded(item, depth - 1) for item in value[:_COMPACT_ITEMS]]
    return value[:_SCANNED_CHARS] if isinstance(value, str) else value


def _is_secret(name: str, value: Any) -> bool:
    return bool(value) and _SECRET_NAME.search(name) is not None


def _count(total: int, noun: str) -> str:
    if not total:
        return f"no {noun or 'rows'}"
    if total > 1:
        return f"{total:,} {noun or 'rows'}"
    singular = noun[:-3] + "y" if noun.endswith("ies") else noun[:-1]
    return f"1 {singular or 'row'}"


def _left_out(columns: Sequence[str]) -> list[str]:
    if not columns:
        return []
    named = ", ".join(cut(column, CELL_CHARS) for column in columns[:MAX_COLUMNS])
    return [f"not shown: {named}{', …' if len(columns) > MAX_COLUMNS else ''}"]


def _wrapped(notes: Sequence[str], width: int) -> list[str]:
    return [line for note in notes for line in wrap(note, width)]
