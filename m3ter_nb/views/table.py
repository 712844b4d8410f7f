"""A table as it is drawn: as text for terminals and ``print``, and as HTML for notebooks."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Final

from m3ter_nb.spelling import spell_for
from m3ter_nb.views.columns import FIRST, comes_last
from m3ter_nb.views.foreign import cell_width, cut, wrap

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["MAX_COLUMNS", "Table", "terminal_width"]

MAX_COLUMNS: Final = 12
"""Columns in the HTML table; the text table shows what fits the width."""

_TEXT_CELL_WIDTHS: Final = (40, 28, 20)
_NON_TERMINAL_WIDTH: Final = 100
_NAMED_COLUMNS: Final = 12
_NAME_CELLS: Final = 60

# What JupyterLab has room for in a window of 1280 pixels, its side bar open; a character of an id and a cell's padding
# in its font. All in pixels.
_ROOM: Final = 820
_CHARACTER: Final = 7.6
_PADDING: Final = 13
#: A column with longer cells wraps them; an id has 36.
_HTML_CELL: Final = 36

_CLOSE: Final = ' style="margin-bottom: 0"'
_NOTE: Final = ' style="margin: 4px 0 0"'
_SCROLLED: Final = ' style="overflow-x: auto"'
_NUMBER: Final = ' style="white-space: nowrap"'
_TEXT: Final = ' style="text-align: left"'
_TEXT_ANYWHERE: Final = ' style="text-align: left; overflow-wrap: anywhere"'
_TEXT_LINE: Final = ' style="text-align: left; white-space: nowrap"'


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown of a list or of an entity, ready to be drawn.

    Attributes:
        columns: the headings, most useful first; those without cells are named below the table.
        rows: one list of cells per row, already cut, masked and spelled out, not yet escaped as HTML.
        numeric: the indexes of columns that hold numbers only.
        notes: lines below the table (row count, more pages).
        row_headings: the first column names its row (an entity) instead of being data.
        incomplete: there are more columns than those of ``columns``.
    """

    columns: list[str]
    rows: list[list[str]]
    numeric: frozenset[int]
    notes: list[str]
    row_headings: bool = False
    incomplete: bool = False

    def html(self) -> str:
        """Return the table as HTML, everything escaped, without script or style sheet.

        It inherits the notebook's table styling but for two things: JupyterLab aligns every cell to the right, and
        breaks ids and times at their hyphens, so that a row becomes a tower. Columns are chosen so that an ordinary
        window need not scroll sideways; in a narrow one the table scrolls alone, by keyboard too. The two classes keep
        MathJax from typesetting data that holds dollar signs.
        """
        shown = self._html_columns()
        parts = ['<div class="tex2jax_ignore mathjax_ignore">']
        if self.rows:
            label = "fields of one entity" if self.row_headings else escape(self.notes[0])
            parts.append(f'<div role="region" aria-label="table: {label}" tabindex="0"{_SCROLLED}>')
            parts.append(f'<table class="dataframe"{_CLOSE}>')
            if not self.row_headings:
                parts.append(self._html_head(shown))
            parts.append("<tbody>")
            parts += self._html_rows(shown)
            parts.append("</tbody></table></div>")
        parts += [f"<p{_NOTE}>{escape(note)}</p>" for note in [*self.notes, *self._left_out(shown)]]
        parts.append("</div>")
        return "".join(parts)

    def text(self, width: int, encoding: str = "utf-8", *, rule: str = "─", mark: str = "…") -> str:
        """Return the table as aligned text of at most ``width`` character cells a line.

        Columns that do not fit are named below the table. Characters of double width (East Asian) count as two.

        Args:
            width: character cells.
            encoding: of where it goes; what that cannot hold is spelled out, and lines and marks are drawn in ASCII.
            rule: what the line below the headings is drawn with.
            mark: stands for what is cut off.
        """
        drawn = self._drawn(width, rule, mark)
        if rule.isascii() or spell_for(encoding, drawn) == drawn:
            return drawn
        columns, notes, *rows = [
            [spell_for(encoding, cell) for cell in row] for row in (self.columns, self.notes, *self.rows)
        ]
        in_ascii = replace(self, columns=columns, notes=notes, rows=rows)
        return in_ascii.text(width, encoding, rule="-", mark="...")

    def _drawn(self, width: int, rule: str, mark: str) -> str:
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
                self._line(self.columns, widths, mark),
                rule * min(sum(widths.values()) + 2 * len(widths) - 2, width),
            ]
        lines += [self._line(row, widths, mark) for row in self.rows]
        return "\n".join([*lines, *_wrapped([*self.notes, *self._left_out(widths, mark)], width)])

    def _filled(self) -> int:
        """Return how many columns have cells."""
        return len(self.rows[0]) if self.rows else 0

    def _html_columns(self) -> list[int]:
        """Choose the columns that fit, by index, the most useful first; show ids and times behind the others."""
        if self.row_headings:
            return [0, 1]
        chosen: list[int] = []
        room: float = _ROOM
        for index, column in enumerate(self.columns[: min(self._filled(), MAX_COLUMNS)]):
            wide = min(max(map(cell_width, self._cells(index))), _HTML_CELL)
            needed = max(wide, cell_width(column)) * _CHARACTER + _PADDING
            if needed <= room or not chosen:
                chosen.append(index)
                room -= needed
        return sorted(chosen, key=lambda index: comes_last(self.columns[index]))

    def _cells(self, index: int) -> Iterable[str]:
        return (row[index] for row in self.rows)

    def _html_head(self, shown: Sequence[int]) -> str:
        headings = "".join(
            f'<th scope="col"{_NUMBER if index in self.numeric else _TEXT_LINE}>{escape(self.columns[index])}</th>'
            for index in shown
        )
        return f"<thead><tr>{headings}</tr></thead>"

    def _html_rows(self, shown: Sequence[int]) -> Iterable[str]:
        starts = [f"<td{self._html_style(index)}>" for index in shown]
        if self.row_headings:
            starts[0] = f'<th scope="row"{_TEXT_LINE}>'
        ends = ["</th>" if start.startswith("<th") else "</td>" for start in starts]
        for row in self.rows:
            # One call escapes a row: in a cell controls are spelled out, so it holds no NUL.
            cells = escape("\0".join([row[index] for index in shown])).split("\0")
            marked = [f"{start}{cell}{end}" for start, cell, end in zip(starts, cells, ends, strict=True)]
            yield f"<tr>{''.join(marked)}</tr>"

    def _html_style(self, index: int) -> str:
        if self.row_headings:
            return _TEXT_ANYWHERE
        if index in self.numeric:
            return _NUMBER
        return _TEXT if max(map(cell_width, self._cells(index))) > _HTML_CELL else _TEXT_LINE

    def _fitting_widths(self, width: int) -> dict[int, int]:
        """Choose the columns that fit, by index, with their widths: long cells give way before columns do."""
        columns = self.columns[: self._filled()]
        leading = [index for index, column in enumerate(columns) if column in FIRST] or [0]
        natural = [
            max(cell_width(cell) for cell in (column, *(row[index] for row in self.rows)))
            for index, column in enumerate(columns)
        ]
        for cap in _TEXT_CELL_WIDTHS:
            # An id is there to be copied: it is never cut while it can be shown whole.
            widths = [
                wide if column == "id" else min(wide, cap)
                for column, wide in zip(columns, natural, strict=True)
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

    def _line(self, cells: Sequence[str], widths: Mapping[int, int], mark: str) -> str:
        parts = []
        for index, width in widths.items():
            cell = cut(cells[index], width, mark)
            padding = " " * (width - cell_width(cell))
            parts.append(padding + cell if index in self.numeric else cell + padding)
        return "  ".join(parts).rstrip()

    def _left_out(self, shown: Iterable[int], mark: str = "…") -> list[str]:
        """Name the columns that are not shown."""
        present = set(shown)
        columns = [column for index, column in enumerate(self.columns) if index not in present]
        if not columns or not self.rows or self.row_headings:
            return []
        named = [cut(column, _NAME_CELLS, mark) for column in columns[:_NAMED_COLUMNS]]
        if len(columns) > _NAMED_COLUMNS or self.incomplete:
            named.append(mark)
        return [f"not shown: {', '.join(named)}"]


def terminal_width() -> int:
    """Return the width in character cells that text output should fit.

    Where standard output is no terminal (a kernel, a pipe) it is a constant, so that saved outputs do not change with
    the window that Jupyter was started from.
    """
    if sys.stdout is not None and sys.stdout.isatty():
        return max(shutil.get_terminal_size().columns, 20)
    return _NON_TERMINAL_WIDTH


def _wrapped(notes: Sequence[str], width: int) -> list[str]:
    return [line for note in notes for line in wrap(note, width)]
