"""Rows of Arrow's tables and of Parquet files, with their types."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.extras import missing_extra
from m3ter_nb.usage.source import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["ParquetSource", "from_arrow"]


class ParquetSource:
    """Rows of Parquet files, with their types."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self.columns = _parquet(paths[0]).schema_arrow.names
        self.is_text = False
        self.folder: Path | None = paths[0].parent
        for path in paths[1:]:
            odd = sorted(set(_parquet(path).schema_arrow.names) ^ set(self.columns))
            if odd:
                raise InvalidArgument(
                    f"{path.name} has other columns than {paths[0].name}: {', '.join(odd)}."
                )

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows in their order."""
        for path in self._paths:
            file = _parquet(path)
            for batch in file.iter_batches(
                batch_size=PIECE, columns=None if columns is None else list(columns)
            ):
                yield _typed(batch)

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return the file of each row and its position there, where there are several files."""
        if len(self._paths) == 1:
            return {}
        found, first = dict[int, str](), 0
        for path in self._paths:
            last = first + _parquet(path).metadata.num_rows
            found |= {each: f"{path.name} row {each - first}" for each in positions if first <= each < last}
            first = last
        return found


def from_arrow(given: Any) -> pd.DataFrame:
    """Return a frame of what has ``__arrow_c_stream__``.

    Raises:
        InvalidArgument: it is no table, or cannot be read.
        MissingExtra: pyarrow is not installed.
    """
    pa = _arrow("pyarrow")
    try:
        table = pa.RecordBatchReader.from_stream(given).read_all()
    except pa.ArrowException as error:  # one column without a table, as a Series is
        raise InvalidArgument(
            f"{type(given).__name__} is no table: {' '.join(str(error).split())[:200]} Nothing was sent."
        ) from None
    except Exception as error:  # of whatever gives it: a query that fails, a connection that is closed
        raise InvalidArgument(
            f"{type(given).__name__} could not be read ({type(error).__name__}). Nothing was sent."
        ) from error
    return _typed(table)


def _parquet(path: Path) -> Any:
    parquet = _arrow("pyarrow.parquet")
    import pyarrow as pa

    try:
        return parquet.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InvalidArgument(
            f"{path.name} cannot be read as Parquet: {' '.join(str(error).split())[:200]}"
        ) from None


def _arrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise missing_extra("Parquet and Arrow need pyarrow, which is not installed", "parquet") from None


def _typed(table: Any) -> pd.DataFrame:
    """Return a frame of Arrow's own types: pandas' would make floats of integers where one is missing."""
    import pandas as pd

    # What pandas has noted in it would make an index of some columns.
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    return frame
