"""The card: a title, a badge and labelled facts, as aligned text and as HTML.

Logins, the status and the sandbox show themselves on it, with the same labels in the same order. The login form draws
the same facts in the same layout (``form/form.css``).
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from m3ter_nb.spelling import printable, spell_out

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LABELS", "PRODUCTION", "SANDBOX", "TIME_LEFT", "UNKNOWN", "Card", "make_card"]

TIME_LEFT: Final = "Time left"
#: The labels of what every login has, in their order; what else a card says follows them.
LABELS: Final = ("Organization", "Service user", "Host", "Credentials from", "Ready to use", TIME_LEFT)

PRODUCTION: Final = "PRODUCTION"
SANDBOX: Final = "SANDBOX"
UNKNOWN: Final = "UNKNOWN"

# Inline, for a sanitised notebook keeps no style sheet. Colours are JupyterLab's, then VS Code's, then plain ones.
_BOX: Final = (
    "box-sizing:border-box;max-width:32rem;margin:4px 2px;padding:16px;border:1px solid "
    "var(--jp-border-color1, var(--vscode-panel-border, #bdbdbd));border-radius:4px;line-height:1.5;"
    "font-family:var(--jp-ui-font-family, var(--vscode-font-family, system-ui, sans-serif));"
    "font-size:var(--jp-ui-font-size1, 13px)"
)
_DANGER: Final = "var(--jp-error-color0, #b71c1c)"
# As much narrower inside as the bar is wider than the line that it replaces: every text keeps its left edge.
_DANGER_BOX: Final = f"{_BOX};border-left:6px solid {_DANGER};padding-left:11px"
_HEAD: Final = "display:flex;flex-wrap:wrap;align-items:center;gap:4px 8px"
_TITLE: Final = "margin-right:auto;font-size:1.2em;font-weight:600"
_BADGE: Final = (
    "padding:1px 8px;border-radius:10px;font-size:0.92em;letter-spacing:0.03em;"
    "background:var(--jp-layout-color2, var(--vscode-textBlockQuote-background, #eee))"
)
_DANGER_BADGE: Final = f"{_BADGE};background:{_DANGER};color:#fff"
# Two columns while there is room for both, else the value under its label.
_ROW: Final = "display:flex;flex-wrap:wrap;gap:0 16px;margin-top:4px"
_LABEL: Final = "float:none;flex:0 0 10.5em;width:auto;margin:0;font-weight:600"
_VALUE: Final = (
    "float:none;flex:1 1 12em;width:auto;min-width:0;margin:0;overflow-wrap:break-word;word-break:normal"
)


class Card:
    """A title and a few lines, with a text and an HTML view of the same facts.

    No dataclass: to make one takes a hundredth of a first login.

    Attributes:
        title: one sentence.
        lines: pairs of a label and a value.
        notes: further sentences, each on its own line.
        badge: a word beside the title, such as the type of an organization; ``""`` for none.
    """

    def __init__(
        self,
        title: str,
        lines: tuple[tuple[str, str], ...] = (),
        notes: tuple[str, ...] = (),
        badge: str = "",
    ) -> None:
        self.title = title
        self.lines = lines
        self.notes = notes
        self.badge = badge

    def __repr__(self) -> str:
        labels = [spell_out(label) for label, _ in self.lines]
        width = max(map(len, labels), default=0)
        title = f"{self.title}  [{self.badge}]" if self.badge else self.title
        rows = [
            f"  {label:<{width}}  {spell_out(value)}"
            for label, (_, value) in zip(labels, self.lines, strict=True)
        ]
        return printable("\n".join([spell_out(title), *rows, *map(spell_out, self.notes)]))

    def _repr_html_(self) -> str:
        danger = self.badge == PRODUCTION
        badge = f'<strong style="{_DANGER_BADGE if danger else _BADGE}">{_shown(self.badge)}</strong>'
        rows = "".join(
            f'<div style="{_ROW}"><dt style="{_LABEL}">{_shown(label)}</dt>'
            f'<dd style="{_VALUE}">{_shown(value)}</dd></div>'
            for label, value in self.lines
        )
        return (
            f'<div class="m3ter-nb-card" style="{_DANGER_BOX if danger else _BOX}"><div style="{_HEAD}">'
            f'<span style="{_TITLE}">{_shown(self.title)}</span>{badge if self.badge else ""}</div>'
            + (f'<dl style="display:block;margin:8px 0 0">{rows}</dl>' if rows else "")
            + "".join(f'<div style="margin-top:8px">{_shown(note)}</div>' for note in self.notes)
            + "</div>"
        )


def make_card(
    title: str, facts: Mapping[str, str | None], *, badge: str = "", notes: tuple[str, ...] = ()
) -> Card:
    """Put facts on a card, in the order of :data:`LABELS`, then as they are given; one that is not known is left out.

    Args:
        title: one sentence.
        facts: values by their labels.
        badge: a word beside the title.
        notes: further sentences.
    """
    order = {label: place for place, label in enumerate(LABELS)}
    known = [(label, value) for label, value in facts.items() if value]
    known.sort(key=lambda fact: order.get(fact[0], len(order)))
    return Card(title, tuple(known), notes, badge)


def _shown(text: str) -> str:
    return escape(spell_out(text))
