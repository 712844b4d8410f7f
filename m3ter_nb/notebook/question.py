"""A question mark behind a path asks about the API; IPython alone would take it for one about a Python name."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["asked_about", "set_question_apart"]

_QUESTION: Final = r"^(\s*%m3ter(?:_docs)?[^\S\n][^\n]*[^\s?=])\?{1,2}(\s*)$"
_HELP: Final = frozenset({"help", "--help", "-h"})


def set_question_apart(lines: list[str]) -> list[str]:
    """Return a cell's lines with a space before a question mark that ends a line of ours.

    A transformer for IPython's ``input_transformers_cleanup``: with the space the magic gets the line, question mark
    and all. What is kept in the history is the cell as it was typed.
    """
    return [
        re.sub(_QUESTION, r"\1 ?\2", line) if "?" in line and "%m3ter" in line else line for line in lines
    ]


def asked_about(line: str) -> str | None:
    """Return what a line of ``%m3ter`` asks about, or None where it asks nothing.

    ``help ...``, ``... --help`` and ``... -h`` ask, and so does a question mark behind a path.
    """
    words = line.split()
    if words and words[0] in _HELP:
        return " ".join(words[1:])
    if words and words[-1] in _HELP - {"help"}:
        return " ".join(words[:-1])
    if not line.rstrip().endswith("?"):
        return None
    path = line.rstrip().rstrip("?").split()
    return " ".join(path) if not any("=" in word for word in path) else None
