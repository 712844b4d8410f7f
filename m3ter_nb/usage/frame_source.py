"""Rows that are in memory: of a frame of pandas, and one by one as dicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.source import PIECE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["DictSource", "FrameSource"]


class FrameSource:
    """Rows of a frame of pandas."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.columns = [str(name) for name in frame.columns]
        self._frame = frame if list(frame.columns) == self.columns else frame.set_axis(self.columns, axis=1)
        # An index with a name is a column like any other: a Parquet file of this frame has it as one.
        self._levels = [name for name in frame.index.names if name is not None and name not in self.columns]
        self.columns = [*map(str, self._levels), *self.columns]
        self.is_text = False
        self.folder: Path | None = None
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        if twice:
            raise InvalidArgument(f"The frame has more than one column {twice[0]!r}; rename or drop one.")

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows in their order."""
        names = self.columns if columns is None else list(columns)
        for first in range(0, len(self._frame), PIECE):
            # The rows first: of the whole frame a choice of columns is a copy.
            piece = self._frame.iloc[first : first + PIECE]
            if self._levels:
                piece = piece.reset_index(level=self._levels).rename(columns=str)
            yield piece[names]

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return the labels of rows, where they are numbers other than the positions."""
        import pandas as pd

        index = self._frame.index
        if not pd.api.types.is_integer_dtype(index.dtype) or index.equals(pd.RangeIndex(len(index))):
            return {}  # what is no number may be a person's name
        return {position: f"index {index[position]}" for position in positions}


class DictSource:
    """Rows that come as dicts, kept as they are."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._rows = [_own(number, row) for number, row in enumerate(rows)]
        self.columns = list(dict.fromkeys(name for row in self._rows for name in row))
        self.is_text = False
        self.folder: Path | None = None

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows in their order."""
        import pandas as pd

        names = self.columns if columns is None else list(columns)
        for first in range(0, len(self._rows), PIECE):
            rows = self._rows[first : first + PIECE]
            # As objects: pandas would make floats of integers where a value is missing.
            yield pd.DataFrame(
                {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in names}
            )

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return nothing: a position is all that there is."""
        del positions
        return {}


def _own(number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        tables = hasattr(row, "__arrow_c_array__") or hasattr(row, "__arrow_c_stream__")
        mend = " Make one table of them, by pandas.concat or pyarrow.Table.from_batches." if tables else ""
        raise InvalidArgument(f"Row {number} is no dict but {type(row).__name__}.{mend} Nothing was sent.")
    # A generator may fill one and the same dict again for each row.
    named = {str(name): value for name, value in row.items()}
    if len(named) < len(row):
        raise InvalidArgument(f"Row {number} has two columns that read alike; rename one.")
    return named
