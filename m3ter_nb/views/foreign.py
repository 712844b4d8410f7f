r"""Text that came from elsewhere, made fit to be shown: what could deceive is spelled out, and widths are cells.

Names in any script stay as they are, with their wide spaces and joiners. What would move the cursor, start a line or
a terminal sequence, or turn the direction of writing is spelled out instead (``\x1b``, ``\u202e``), and so is half of
a surrogate pair, which no file or terminal takes.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["cell_width", "cut", "spell_for", "spell_out", "wrap"]

# Controls (Cc), the line and paragraph separator, Bidi_Control (Unicode Annex 9) and surrogates (Cs).
_DECEIVING: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

_IN_ASCII: Final = str.maketrans({"…": "...", "•": "*", "─": "-"})


def spell_out(text: str) -> str:
    """Return a text as it may be shown on one line, in a terminal and (escaped as HTML) in a page.

    It takes linear time; where nothing is to be spelled out, the text comes back as it is.
    """
    return text if text.isprintable() else _DECEIVING.sub(_spelled, text)


def spell_for(encoding: str, text: str) -> str:
    """Return a text as an encoding can hold it: our own marks in ASCII, other characters spelled out."""
    try:
        text.encode(encoding)
    except LookupError:
        return spell_for("ascii", text)
    except UnicodeEncodeError:
        return text.translate(_IN_ASCII).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def cell_width(text: str) -> int:
    """Return how many character cells a terminal takes for a text without controls (Unicode Annex 11)."""
    if text.isascii():
        return len(text)
    import wcwidth

    return wcwidth.width(text, control_codes="ignore")


def cut(text: str, cells: int, mark: str = "…") -> str:
    """Return a text that is at most ``cells`` wide; one that is cut ends in ``mark``, never within a character."""
    if cell_width(text) <= cells:
        return text
    if text.isascii():
        return text[: cells - len(mark)] + mark
    import wcwidth

    kept, room = [], cells - len(mark)
    for cluster in wcwidth.iter_graphemes(text):
        room -= cell_width(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return "".join(kept) + mark


def wrap(text: str, cells: int) -> list[str]:
    """Break a text into lines of at most ``cells``, at its spaces where it can."""
    if text.isascii():
        import textwrap

        return textwrap.wrap(text, cells)
    import wcwidth

    return wcwidth.wrap(text, cells)
