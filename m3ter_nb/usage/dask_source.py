"""Rows of a ``dask.dataframe``, partition by partition."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.extras import missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["DaskSource", "is_dask_frame"]


def is_dask_frame(given: Any) -> bool:
    """Whether this is a collection of Dask, told without importing Dask."""
    return type(given).__module__.partition(".")[0] in ("dask", "dask_expr")


class DaskSource:
    """Rows of a Dask frame, which stay with the workers but for those that are asked for.

    Raises:
        InvalidArgument: it is no frame of Dask.
        MissingExtra: ``distributed`` is not installed.
    """

    def __init__(self, frame: Any) -> None:
        if find_spec("distributed") is None:
            raise missing_extra(
                "A Dask frame needs dask[dataframe] and distributed, which are not installed", "dask"
            )
        if not (hasattr(frame, "npartitions") and hasattr(frame, "columns") and hasattr(frame, "partitions")):
            raise InvalidArgument(
                f"Of Dask, usage is read from a dask.dataframe, not from {type(frame).__name__}. Nothing was sent."
            )
        if frame.index.name is not None and frame.index.name not in frame.columns:
            frame = frame.reset_index()  # a column like any other, as of a frame of pandas
        self._frame = frame
        self.columns = [str(name) for name in frame.columns]
        self.is_text = False
        self.folder: Path | None = None
        twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
        odd = [name for name in frame.columns if not isinstance(name, str)]
        if odd:
            raise InvalidArgument(f"The frame has a column whose name is no text, {odd[0]!r}; rename it.")
        if twice:
            raise InvalidArgument(f"The frame has more than one column {twice[0]!r}; rename or drop one.")

    def delayed(self, columns: Sequence[str]) -> list[Any]:
        """Return the partitions as tasks that are not run yet, with these columns."""
        return list(self._frame[list(columns)].to_delayed())

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the partitions in their order, one at a time; each is fetched from the workers."""
        frame = self._frame if columns is None else self._frame[list(columns)]
        for number in range(frame.npartitions):
            yield frame.partitions[number].compute()

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return nothing: how many rows a partition has is known to the workers."""
        del positions
        return {}
