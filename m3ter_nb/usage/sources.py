"""Where rows come from, told by what is given: a frame, files by their names, or rows one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.extras import missing_extra
from m3ter_nb.usage.arrow_source import ParquetSource, from_arrow
from m3ter_nb.usage.csv_source import CsvSource
from m3ter_nb.usage.dask_source import DaskSource, is_dask_frame
from m3ter_nb.usage.frame_source import DictSource, FrameSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from m3ter_nb.usage.source import Source

__all__ = ["rows_at", "source_of"]

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
        source = FrameSource(from_arrow(given))
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
