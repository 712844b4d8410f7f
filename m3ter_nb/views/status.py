"""A small value of labelled lines, with a text and an HTML view."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

__all__ = ["Status"]

# The size of tables in JupyterLab, for the whole.
_SMALL = "font-size:var(--jp-ui-font-size1, 13px)"
_STYLE = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


@dataclass(frozen=True)
class Status:
    """A title and a few lines, shown as aligned text or as a table.

    Attributes:
        title: one sentence.
        lines: pairs of a label and a value.
        notes: further sentences, each on its own line.
    """

    title: str
    lines: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        width = max((len(label) for label, _ in self.lines), default=0)
        rows = [f"  {label:<{width}}  {value}" for label, value in self.lines]
        return "\n".join([self.title, *rows, *self.notes])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr style="background:none"><th scope="row" style="{_STYLE}">{escape(label)}</th>'
            f'<td style="{_STYLE}">{_emphasized(label, value)}</td></tr>'
            for label, value in self.lines
        )
        table = f'<table style="margin:4px 0 0">{rows}</table>' if rows else ""
        notes = "".join(f'<div style="margin-top:4px">{escape(note)}</div>' for note in self.notes)
        return f'<div style="{_SMALL}"><strong>{escape(self.title)}</strong>{table}{notes}</div>'


def _emphasized(label: str, value: str) -> str:
    if label == "type" and value == "PRODUCTION":
        return f'<strong style="color:var(--jp-error-color1, #b3261e)">{escape(value)}</strong>'
    return escape(value)
