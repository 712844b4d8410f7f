"""Text that came from elsewhere, measured in the character cells of a terminal, cut and wrapped."""

from __future__ import annotations

__all__ = ["cell_width", "cut", "wrap"]


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
