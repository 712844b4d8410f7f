"""A page of the API's reference as a value: titled sections of rows, as text and as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from m3ter_nb.spelling import printable, spell_out
from m3ter_nb.views.foreign import cell_width, wrap
from m3ter_nb.views.table import terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Link", "Reference", "Section"]

_INDENT: Final = 2
_GAP: Final = 2
_NARROWEST: Final = 20
_CELL: Final = "text-align:left;vertical-align:top;padding:1px 12px 1px 0"
_SMALL: Final = "font-size:var(--jp-ui-font-size1, 13px)"


class Link(NamedTuple):
    """A cell that leads somewhere; the text view shows its text alone."""

    text: str
    url: str


@dataclass(frozen=True)
class Section:
    """A heading, and rows of cells or a piece of code below it."""

    heading: str
    rows: Sequence[Sequence[str | Link]] = ()
    code: str = ""


@dataclass(frozen=True, repr=False)
class Reference:
    """What was found about the API, shown as aligned text or as HTML.

    Attributes:
        title: one line.
        link: the address of the page of the documentation, or ``""``.
        sections: what is shown.
        operations: the operations that were found, best first.
        pages: the pages of the documentation that were found, best first.
        notes: further sentences, each on its own line.
    """

    title: str
    link: str = ""
    sections: Sequence[Section] = ()
    operations: Sequence[Any] = ()
    pages: Sequence[Any] = ()
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        width = terminal_width()
        parts = ["\n".join(map(spell_out, filter(None, (self.title, self.link))))]
        parts += ["\n".join(_section_lines(section, width)) for section in self.sections]
        if self.notes:
            parts.append("\n".join(line for note in self.notes for line in wrap(spell_out(note), width)))
        return printable("\n\n".join(parts))

    def _repr_html_(self) -> str:
        link = f" <a {_anchor(self.link)}>documentation</a>" if self.link else ""
        sections = "".join(_section_html(section) for section in self.sections)
        notes = "".join(f'<div style="margin-top:6px">{escape(spell_out(note))}</div>' for note in self.notes)
        # The classes keep MathJax from typesetting names that hold dollar signs.
        return (
            f'<div class="tex2jax_ignore mathjax_ignore" style="{_SMALL}">'
            f"<strong>{escape(spell_out(self.title))}</strong>{link}{sections}{notes}</div>"
        )


def _section_lines(section: Section, width: int) -> Iterable[str]:
    yield spell_out(section.heading)
    indent = " " * _INDENT
    yield from (indent + spell_out(line) for line in section.code.split("\n") if section.code)
    rows = [[_text(cell) for cell in row] for row in section.rows]
    widths = [max(map(cell_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *cells, last = row
        start = indent + "".join(
            cell + " " * (wide - cell_width(cell) + _GAP) for cell, wide in zip(cells, widths, strict=False)
        )
        lines = wrap(last, max(width - cell_width(start), _NARROWEST)) or [""]
        yield (start + lines[0]).rstrip()
        yield from (" " * cell_width(start) + line for line in lines[1:])


def _section_html(section: Section) -> str:
    heading = f'<div style="margin-top:10px"><strong>{escape(spell_out(section.heading))}</strong></div>'
    code = "\n".join(map(spell_out, section.code.split("\n")))
    code = f'<pre style="margin:4px 0">{escape(code)}</pre>' if code else ""
    rows = "".join(
        '<tr style="background:none">'
        + "".join(f'<td style="{_CELL}">{_html(cell)}</td>' for cell in row)
        + "</tr>"
        for row in section.rows
    )
    table = f'<table style="margin:2px 0">{rows}</table>' if rows else ""
    return heading + table + code


def _text(cell: str | Link) -> str:
    return spell_out(cell.text if isinstance(cell, Link) else cell)


def _html(cell: str | Link) -> str:
    text = escape(_text(cell))
    return f"<a {_anchor(cell.url)}>{text}</a>" if isinstance(cell, Link) and cell.url else text


def _anchor(url: str) -> str:
    return f'href="{escape(spell_out(url))}" target="_blank" rel="noopener noreferrer"'
