"""What rows are read through, whatever they come from: pieces, as often as needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["PIECE", "Source"]

#: Rows of a piece.
PIECE: Final = 20_000


class Source(Protocol):
    """Rows in pieces.

    Attributes:
        columns: their names.
        is_text: whether numbers come as text.
        folder: of the files that they come from, or None.
    """

    columns: list[str]
    is_text: bool
    folder: Path | None

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows in their order, of these columns or of all."""

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return where rows are to be found, as far as that is no more plain by their position: ``line 7``.

        Args:
            positions: of the rows, ascending.
        """
