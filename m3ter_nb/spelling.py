r"""Text made fit to be shown: what could deceive is spelled out, and so is what standard output cannot write.

Names in any script stay as they are, with their wide spaces and joiners. What would move the cursor, start a line or
a terminal sequence, or turn the direction of writing is spelled out instead (``\x1b``, ``\u202e``), and so is half of
a surrogate pair, which no file or terminal takes.
"""

from __future__ import annotations

import re
import sys
from functools import wraps
from typing import Any, Final, TypeVar

__all__ = [
    "MASK",
    "fold",
    "holds_mask",
    "is_mask",
    "literal",
    "output_encoding",
    "printable",
    "spell_for",
    "spell_out",
    "with_literal_repr",
]

T = TypeVar("T")

# Controls (Cc), the line and paragraph separator, Bidi_Control (Unicode Annex 9) and surrogates (Cs).
# Texts: to compile them takes a quarter of the time in which the extension is loaded, and re keeps what it compiled.
_DECEIVING: Final = (
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)

#: Stands for a secret in every view.
MASK: Final = "••••"
# As views and terminals spell it, and what stands for a token, and for what a cell has no room for.
_MASKED: Final = (
    r"(?i)(?:(?:bearer|basic)\s+)?(?:•{4,}|\*{4}|(?:\\*u2022){4}|<hidden>|<sealed>|<m3ter token [^>]*>?)"
    r"|…|(?:…|\.{3}|\\*u2026) \d[\d,]* more"
)
_IN_MASKS: Final = ("••••", "****", "u2022", "<hidden>", "<sealed>", "<m3ter token", "…", " more")
_AROUND: Final = " \t\r\n\"'`"

# Columns of a terminal below which no line is folded further.
_NARROWEST: Final = 20
_IN_ASCII: Final = str.maketrans({"…": "...", "•": "*", "─": "-"})


def spell_out(text: str) -> str:
    """Return a text as it may be shown on one line, in a terminal and (escaped as HTML) in a page.

    It takes linear time; where nothing is to be spelled out, the text comes back as it is.
    """
    return text if text.isprintable() else re.sub(_DECEIVING, _spelled, text)


def fold(text: str, widest: int | None = None) -> list[str]:
    """Return a text as lines that are broken between its words: a terminal, and JupyterLab, break within them.

    Args:
        text: of one line; code of several stays as it is.
        widest: columns, at most; None for those of the terminal, or for one line where there is none.
    """
    from shutil import get_terminal_size
    from textwrap import wrap

    in_terminal = sys.stdout is not None and sys.stdout.isatty()
    width = max(get_terminal_size().columns, _NARROWEST) if in_terminal else widest
    if "\n" in text or width is None:
        return [text]
    return wrap(text, min(width, widest or width), break_long_words=False, break_on_hyphens=False) or [""]


def spell_for(encoding: str, text: str) -> str:
    """Return a text as an encoding can hold it: our own marks in ASCII, other characters spelled out."""
    if _holds(encoding, text):
        return text
    return _escaped(encoding, text.translate(_IN_ASCII))


def printable(text: str) -> str:
    """Return a text as ``print`` can write it, for people."""
    return spell_for(output_encoding(), text)


def literal(text: str) -> str:
    """Return a text as ``print`` can write it, for programs: Python reads the same value in a ``repr``."""
    encoding = output_encoding()
    return text if _holds(encoding, text) else _escaped(encoding, text)


def is_mask(text: str) -> bool:
    """Tell whether a text is what a view shows in place of a value, however it was copied; sent back it would overwrite it.

    A mask among other words (``Visa •••• 4242``) is a text like any other.
    """
    if not holds_mask(text):
        return False
    bare = text.strip(_AROUND)
    head, mark, tail = bare.rpartition("?")
    if mark and "://" in head:  # of a signed URL all but the query is shown
        bare = tail
    return re.fullmatch(_MASKED, bare) is not None


def holds_mask(text: str) -> bool:
    """Tell whether a longer text may hold a mask (a quick test that errs on yes)."""
    lowered = text.lower()
    return any(part in lowered for part in _IN_MASKS)


def with_literal_repr(kind: type[T]) -> type[T]:
    """Return a class, its ``repr`` made such that ``print`` writes it on one line: alone, in a list, in an f-string."""
    made: Any = kind.__repr__

    @wraps(made)
    def literally(self: Any) -> str:
        return literal(spell_out(made(self)))

    kind.__repr__ = literally  # type: ignore[method-assign]  # that is what this is for
    return kind


def output_encoding() -> str:
    """Return the encoding that ``print`` writes in: UTF-8, but on terminals and pipes of an older kind."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _holds(encoding: str, text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def _escaped(encoding: str, text: str) -> str:
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
