"""Foreign text is shown as it is, but for what deceives; and it is measured in character cells."""

from __future__ import annotations

import unicodedata

import pytest
import wcwidth
from hypothesis import example, given, settings
from hypothesis import strategies as st

from m3ter_nb.spelling import spell_out
from m3ter_nb.views.foreign import cell_width, cut, wrap

TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def deceives(char: str) -> bool:
    """Tell, by Unicode's own tables, whether a character is none that may reach a screen."""
    return (
        unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}
        or unicodedata.bidirectional(char) in TURNING
        or char in "\u200e\u200f\u061c"
    )


@pytest.mark.parametrize(
    "name",
    [
        "山田\u3000商事",
        "Société\u00a0Générale",
        "1\u202f000",
        "👩\u200d💻",
        "نیم\u200cروز",
        "क्\u200dष",
        "שלום",
        "\ue000",
        "❤\ufe0f",
    ],
)
def test_a_name_in_any_script_is_shown_as_it_is(name: str) -> None:
    assert spell_out(name) == name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone\n", "\\x1b[2Jgone\\n"),
        ("a\tb\r\x00\x7f\x9b", "a\\tb\\r\\x00\\x7f\\x9b"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("\u202eabc\u202c", "\\u202eabc\\u202c"),
        ("\u2066a\u2069\u200f", "\\u2066a\\u2069\\u200f"),
        ("\ud83d!", "\\ud83d!"),
    ],
)
def test_what_deceives_is_spelled_out(text: str, shown: str) -> None:
    assert spell_out(text) == shown


@given(st.text(st.characters(), max_size=40))
def test_nothing_but_what_deceives_is_spelled_out(text: str) -> None:
    assert not any(deceives(char) for char in spell_out(text))
    assert spell_out(text).count("\\") == text.count("\\") + sum(deceives(char) for char in text)


def test_an_emoji_sequence_an_accent_and_a_wide_character_are_five_cells() -> None:
    assert cell_width("👩\u200d💻e\u0301表") == 5


@pytest.mark.parametrize(
    ("text", "cells", "kept"),
    [
        ("計測計測", 8, "計測計測"),
        ("計測計測", 7, "計測計…"),
        ("計測計測", 6, "計測…"),
        ("👩\u200d💻👩\u200d💻", 3, "👩\u200d💻…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("abcdef", 4, "abc…"),
    ],
)
def test_a_text_is_cut_between_what_a_reader_takes_for_characters(text: str, cells: int, kept: str) -> None:
    assert cut(text, cells) == kept


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(3, 40))
@example("0\u0300\u200d" * 20, 3)
def test_neither_a_cut_nor_a_wrapped_text_is_wider_than_asked(text: str, cells: int) -> None:
    for line in (cut(spell_out(text), cells), *wrap(spell_out(text), cells)):
        assert wcwidth.wcswidth(line) <= cells
