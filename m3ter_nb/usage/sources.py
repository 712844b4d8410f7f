"""Where rows come from: a frame, a file, or rows one by one; each read in pieces, as often as needed.

Files are taken as they are: the texts of a CSV stay texts (``007``, ``NA``), and a Parquet file keeps its types.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.extras import missing_extra
from m3ter_nb.usage.csv_lines import csv_lines, longer_line, open_csv
from m3ter_nb.usage.dask_source import DaskSource, is_dask_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = [
    "CsvSource",
    "DictSource",
    "FrameSource",
    "ParquetSource",
    "Source",
    "rows_at",
    "source_of",
]

#: Rows of a piece.
PIECE: Final = 20_000
_SAMPLE: Final = 65_536
_CSV: Final = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_PARQUET: Final = (".parquet", ".pq")
_JSON_LINES: Final = " Give its rows: [json.loads(line, parse_float=decimal.Decimal) for line in open(path)]."
#: What to do with files of other kinds.
_OTHER_FILES: Final = {
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": " Give its rows: json.load(open(path), parse_float=decimal.Decimal), where that is a list.",
    ".xlsx": " Read it by pandas.read_excel(path, dtype=str), convert the numbers, and give the frame.",
}


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


def source_of(given: Any) -> Source:
    """Return what rows are read from.

    Args:
        given: a frame of pandas, anything with ``__arrow_c_stream__`` (polars, pyarrow, duckdb), a path or a glob of
            CSV (``.csv``, ``.tsv``, ``.gz`` behind it) or Parquet files, dicts, or a ``dask.dataframe``.

    Raises:
        InvalidArgument: it is none of these, or there is no such file.
        MissingExtra: pandas or pyarrow is needed and not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise missing_extra("Usage needs pandas, which is not installed", "pandas") from None
    if isinstance(given, pd.DataFrame):
        return FrameSource(given)
    if is_dask_frame(given):
        return DaskSource(given)
    if isinstance(given, (str, PathLike)):
        try:
            return _files(str(fspath(given)))
        except (OSError, RuntimeError, ValueError) as error:
            raise _unreadable(error) from None
    source: Source
    if hasattr(given, "__arrow_c_stream__"):
        source = FrameSource(_from_arrow(given))
    elif (
        isinstance(given, Iterable)
        and not isinstance(given, (bytes, Mapping, type))
        and not _is_single(given)
    ):
        source = DictSource(given)
    else:
        raise InvalidArgument(
            "Usage is read from a DataFrame, a path of CSV or Parquet files, or a list of dicts, not from "
            f"{type(given).__name__}. Nothing was sent."
        )
    if isinstance(given, Iterator) and not any(True for _ in source.pieces()):
        raise InvalidArgument(
            f"The {type(given).__name__} gave no row. It can be read once, and may have been read before, by a check: make it "
            "anew, or a list or a table of it. Nothing was sent."
        )
    return source


def _is_single(given: object) -> bool:
    """Tell whether it is an array without a dimension, which can be iterated by its type alone."""
    return getattr(given, "ndim", None) == 0


def _unreadable(error: Exception) -> InvalidArgument:
    """Return why a file cannot be read: a name that is too long or no name, a folder that may not be searched."""
    if isinstance(error, InvalidArgument):
        return error
    reason = (
        error.strerror
        if isinstance(error, OSError) and error.strerror
        else "its name is none that a file can have"
    )
    return InvalidArgument(f"The file cannot be read: {reason}. Nothing was sent.")


def rows_at(source: Source, positions: Sequence[int]) -> pd.DataFrame:
    """Return some rows with all their columns, in the order of their positions; the index is the position."""
    import pandas as pd

    wanted = sorted(positions)
    found: list[pd.DataFrame] = []
    first = done = 0
    for piece in source.pieces():
        last = first + len(piece)
        here = []
        while done < len(wanted) and wanted[done] < last:
            here.append(wanted[done])
            done += 1
        if here:
            rows = piece.iloc[[position - first for position in here]].copy()
            rows.index = pd.Index(here)
            found.append(rows)
        first = last
        if done == len(wanted):
            break
    return pd.concat(found) if found else pd.DataFrame(columns=source.columns)


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


class CsvSource:
    """Rows of CSV files, every value as text."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._dialects = [_dialect(path) for path in paths]
        self.columns = self._dialects[0][1]
        self.is_text = True
        self.folder: Path | None = paths[0].parent
        for path, (_, columns) in zip(paths, self._dialects, strict=True):
            if set(columns) != set(self.columns):
                odd = sorted(set(columns) ^ set(self.columns))
                raise InvalidArgument(
                    f"{path.name} has other columns than {paths[0].name}: {', '.join(odd)}."
                )

    def pieces(self, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """Yield the rows in their order."""
        import pandas as pd

        names = self.columns if columns is None else list(columns)
        for path, (separator, there) in zip(self._paths, self._dialects, strict=True):
            try:
                # All columns, for with usecols= pandas drops what a line has too much: 1,234 would be billed as 1.
                with pd.read_csv(
                    path,
                    sep=separator,
                    dtype=object,
                    keep_default_na=False,
                    na_filter=False,
                    encoding="utf-8-sig",
                    chunksize=PIECE,
                    low_memory=False,
                ) as chunks:
                    for chunk in chunks:
                        yield _named(chunk, there, path, separator)[names]
            except UnicodeDecodeError:
                raise _encoding(path) from None
            except (pd.errors.ParserError, EOFError, gzip.BadGzipFile) as error:
                raise InvalidArgument(
                    f"{path.name} cannot be read as CSV: {' '.join(str(error).split())}"
                ) from None

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return the line that each row begins on, from 1, with the name of the file where there are several."""
        files = zip(self._paths, self._dialects, strict=True)
        lines = (
            f"{path.name} line {line.number}" if len(self._paths) > 1 else f"line {line.number}"
            for path, (separator, _) in files
            for line in csv_lines(path, separator)
        )
        wanted = frozenset(positions)
        with suppress(OSError, EOFError, UnicodeDecodeError, csv.Error):
            reached = enumerate(islice(lines, max(wanted, default=-1) + 1))
            return {position: line for position, line in reached if position in wanted}
        return {}


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


def _files(given: str) -> Source:
    path = Path(given).expanduser()
    paths = [path]
    if not path.is_file() and any(mark in given for mark in "*?["):
        # A pattern is relative to where its path begins.
        start = Path(path.anchor)
        paths = sorted(start.glob(str(path.relative_to(start))))
    if not paths or not all(path.is_file() for path in paths):
        raise _no_file(given)
    are_csv = [path.name.lower().endswith(_CSV) for path in paths]
    if all(are_csv):
        return CsvSource(paths)
    odd = [path for path, is_csv in zip(paths, are_csv, strict=True) if not is_csv]
    if not all(path.name.lower().endswith(_PARQUET) for path in odd):
        raise InvalidArgument(
            f"{odd[0].name} is neither CSV (.csv, .tsv, also .gz) nor Parquet (.parquet, .pq)."
            f"{_OTHER_FILES.get(odd[0].suffix.lower(), '')} Nothing was sent."
        )
    if any(are_csv):
        raise InvalidArgument(
            f"CSV and Parquet files have such a name ({paths[0].name}, {paths[-1].name}): submit one kind, then the other. "
            "Nothing was sent."
        )
    return ParquetSource(paths)


def _no_file(given: str) -> InvalidArgument:
    if given and Path(given).expanduser().is_dir():
        pattern = str(Path(given) / "*.parquet")
        return InvalidArgument(
            f"{given} is a folder: name its files by a pattern, as {pattern!r}. Where columns are in the names of its folders, "
            "read it by pandas.read_parquet, and give the frame. Nothing was sent."
        )
    return InvalidArgument(
        f"There is no file of that name; one without a folder is looked for in {Path.cwd()}. Nothing was sent."
    )


def _dialect(path: Path) -> tuple[str, list[str]]:
    """Return the separator of a CSV file, and its columns."""
    try:
        with open_csv(path) as file:
            head = file.read(_SAMPLE)
        text = head.decode("utf-8-sig", errors="strict" if len(head) < _SAMPLE else "ignore")
    except UnicodeDecodeError:
        raise _encoding(path) from None
    except (gzip.BadGzipFile, EOFError):
        raise InvalidArgument(f"{path.name} is no gzip file, or is cut off.") from None
    # Whichever of its characters ends a line; a name in quotes may go on behind one.
    first = text.partition("\n")[0]
    separator = max(",;\t|", key=first.count)
    names = next(csv.reader(io.StringIO(text, newline=None), delimiter=separator), [])
    if not names:
        raise InvalidArgument(
            f"{path.name} is empty, or its first line is: there are no column names. Nothing was sent."
        )
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidArgument(f"{path.name} has more than one column {twice[0]!r}.")
    return separator, names


def _named(chunk: pd.DataFrame, columns: list[str], path: Path, separator: str) -> pd.DataFrame:
    """Return a piece of a CSV under the names of its first line; pandas would make an index of one field too much."""
    import pandas as pd

    if not isinstance(chunk.index, pd.RangeIndex) or len(chunk.columns) != len(columns):
        longer = longer_line(path, separator, len(columns))
        where = f"{longer.fields} fields in line {longer.number}" if longer is not None else "more fields"
        raise InvalidArgument(
            f"{path.name} has {where} where its first line has {len(columns)} names. A value that holds the separator "
            "needs quotes. Nothing was sent."
        )
    return chunk.set_axis(columns, axis=1)


#: How files begin that are no text in UTF-8, and what to do with them.
_BEGINNINGS: Final = (
    (b"\x1f\x8b", "is compressed: give it a name that ends with .gz"),
    (b"PAR1", "is a Parquet file: give it a name that ends with .parquet"),
    (b"PK", "is an archive or a workbook: unpack it, or read it by pandas.read_excel and give the frame"),
    (b"\xff\xfe", "is in UTF-16: write it in UTF-8"),
    (b"\xfe\xff", "is in UTF-16: write it in UTF-8"),
)


def _encoding(path: Path) -> InvalidArgument:
    with path.open("rb") as file:
        head = file.read(8)
    for beginning, mend in _BEGINNINGS:
        if head.startswith(beginning) and not path.name.lower().endswith(".gz"):
            return InvalidArgument(f"{path.name} {mend}. Nothing was sent.")
    return InvalidArgument(
        f"{path.name} is not in UTF-8. Read it yourself, as pandas.read_csv(path, dtype=str, encoding='cp1252'), convert "
        "the numbers, and give the frame. Nothing was sent."
    )


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
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise missing_extra("Parquet and Arrow need pyarrow, which is not installed", "parquet") from None


def _from_arrow(given: Any) -> pd.DataFrame:
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


def _typed(table: Any) -> pd.DataFrame:
    """Return a frame of Arrow's own types: pandas' would make floats of integers where one is missing."""
    import pandas as pd

    # What pandas has noted in it would make an index of some columns.
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    return frame
