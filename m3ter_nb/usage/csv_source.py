"""Rows of CSV files, taken as they are: the texts stay texts (``007``, ``NA``)."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.csv_lines import csv_lines, longer_line, open_csv
from m3ter_nb.usage.source import PIECE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["CsvSource"]

_SAMPLE: Final = 65_536
#: How files begin that are no text in UTF-8, and what to do with them.
_BEGINNINGS: Final = (
    (b"\x1f\x8b", "is compressed: give it a name that ends with .gz"),
    (b"PAR1", "is a Parquet file: give it a name that ends with .parquet"),
    (b"PK", "is an archive or a workbook: unpack it, or read it by pandas.read_excel and give the frame"),
    (b"\xff\xfe", "is in UTF-16: write it in UTF-8"),
    (b"\xfe\xff", "is in UTF-16: write it in UTF-8"),
)


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
