"""The card: the same facts as text and as HTML, nothing that deceives, nothing that is not known."""

from __future__ import annotations

import re
from html import unescape

import pytest

from m3ter_nb.views.card import LABELS, Card, make_card

FACTS = {
    "Time left": "4 h 59 min",
    "Remembered as": "default",
    "Host": "api.m3ter.com",
    "Organization": "Umbra",
    "Service user": None,
    "Credentials from": "",
}


def seen(html: str) -> list[str]:
    """Return the texts of a piece of HTML, in order."""
    return [unescape(text) for text in re.split(r"<[^>]*>", html) if text]


def test_labels_stand_in_one_order_and_what_others_add_follows() -> None:
    card = make_card("Logged in to m3ter", FACTS)

    assert [label for label, _ in card.lines] == ["Organization", "Host", "Time left", "Remembered as"]


def test_what_is_not_known_is_left_out() -> None:
    assert repr(make_card("A", dict.fromkeys(LABELS))) == "A"


def test_text_and_html_say_the_same_in_the_same_order() -> None:
    card = make_card("A card", FACTS, badge="PRODUCTION", notes=("One note.", "Another."))

    said = [word for line in repr(card).splitlines() for word in re.split(r"\s{2,}", line.strip())]
    assert [word.strip("[]") for word in said] == seen(card._repr_html_())


@pytest.mark.parametrize(
    "deceiving", ["\x1b[2J", "\u202etxt", "x\n  Host  api.m3ter.com", "\u2028y", "\x9b31m", "\ud800"]
)
@pytest.mark.parametrize("place", ["title", "value", "note", "badge"])
def test_terminal_escapes_bidi_marks_and_forged_lines_are_spelled_out(deceiving: str, place: str) -> None:
    parts = dict.fromkeys(("title", "value", "note", "badge"), "x") | {place: deceiving}
    card = Card(parts["title"], (("Host", parts["value"]),), (parts["note"],), parts["badge"])

    assert len(repr(card).splitlines()) == 3
    assert repr(card).replace("\n", "").isprintable()
    assert "".join(seen(card._repr_html_())).isprintable()


def test_markup_in_a_name_is_text() -> None:
    html = make_card("A", {"Organization": "<img src=x onerror=alert(1)>"})._repr_html_()

    assert "<img" not in html
    assert "<img src=x onerror=alert(1)>" in seen(html)
