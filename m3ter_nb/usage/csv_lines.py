"""Which line of a CSV file a row begins on: values in quotes go on behind an end of line, and blank lines are no rows."""

from __future__ import annotations

import csv
import gzip
import io
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Line", "csv_lines", "longer_line", "open_csv"]


class Line(NamedTuple):
    """Where a row is.

    Attributes:
        number: of the line that it begins on, from 1.
        fields: how many values it has.
    """

    number: int
    fields: int


def open_csv(path: Path) -> BinaryIO:
    """Open a CSV file, compressed or not, for its bytes."""
    if path.name.lower().endswith(".gz"):
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def csv_lines(path: Path, separator: str) -> Iterator[Line]:
    """Yield the line of each row, as pandas counts rows; that of the names is none.

    Raises:
        OSError, EOFError, UnicodeDecodeError, csv.Error: the file cannot be read so.
    """
    with open_csv(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=separator)
        next(reader, None)
        last = reader.line_num
        for row in reader:
            first, last = last + 1, reader.line_num
            if len(row) > 1 or row == [""] or "".join(row).strip():
                yield Line(first, len(row))


def longer_line(path: Path, separator: str, fields: int) -> Line | None:
    """Return the first row of more values than so many; None where there is none, or a value before it is too long to read.

    Raises:
        OSError, EOFError, UnicodeDecodeError: the file cannot be read so.
    """
    with suppress(csv.Error):
        return next((line for line in csv_lines(path, separator) if line.fields > fields), None)
    return None
