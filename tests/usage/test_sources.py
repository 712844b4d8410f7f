"""What is read is what the source holds, and where that is not sure, nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.sources import rows_at, source_of
from usage_frames import usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from usage_frames import Used

HEAD = "account,ts,region,requests\n"
GOOD = "acct-1,2026-01-01T00:00:00Z,eu,5\n"
WIDE = "acct-1,2026-01-01T00:00:00Z,eu,1,234\n"


@pytest.mark.parametrize("lines", [WIDE + GOOD, GOOD + WIDE, WIDE, GOOD * 30_000 + WIDE])
def test_a_csv_line_with_a_field_too_much_is_an_error_and_nothing_is_sent(
    used: Used, tmp_path: Path, lines: str
) -> None:
    (tmp_path / "usage.csv").write_text(HEAD + lines, "utf-8")

    with pytest.raises(InvalidArgument, match=r"usage\.csv"):
        used.submit(tmp_path / "usage.csv")

    assert used.requests() == 0


def test_a_csv_column_without_a_name_is_shown_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text("account,\nacct-1,x\n", "utf-8")

    rows = rows_at(source_of(tmp_path / "usage.csv"), [0])

    assert rows.to_dict("records") == [{"account": "acct-1", "": "x"}]


def test_a_generator_that_fills_one_dict_again_for_each_row_gives_every_row(used: Used) -> None:
    def rows() -> Iterator[Mapping[Any, Any]]:
        row: dict[str, Any] = {"account": "acct-1", "ts": "2026-01-01T00:00:00Z", "region": "eu"}
        for number in range(5):
            row["requests"] = number
            yield row

    used.submit(rows(), journal=None)

    assert used.counted() == (5, 10)


def test_a_file_that_loses_rows_between_check_and_sending_is_no_success(used: Used, tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    frame = usage(50)
    frame.to_csv(path, index=False)

    def shorten(_: object) -> None:
        frame.head(20).to_csv(path, index=False)

    with pytest.raises(InvalidArgument, match="20 are there, of 50"):
        used.submit(path, approve=shorten)
