"""One uid for one row whatever type of column or file it comes from, where the uid is a digest of all that is sent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.usage.columns import Fault, Reading
from m3ter_nb.usage.measurements import Writer
from m3ter_nb.usage.meter import Columns, Field, Meter
from m3ter_nb.usage.sources import source_of
from usage_frames import usage

if TYPE_CHECKING:
    from usage_frames import Used

METER = Meter("id", "api_requests", (Field("requests", "MEASURE"), Field("region", "WHERE")))


def names(given: Any) -> list[bytes]:
    """Return the digest of the uid of each row of a source."""
    source, writer = source_of(given), Writer(METER, Columns())
    reading, found = Reading(METER, Columns(), zone="UTC", from_text=source.is_text), list[bytes]()
    for piece in source.pieces(Columns().needed(METER)):
        cells = reading.read(piece)
        assert not cells.reasons()
        found += writer.names(cells, writer.bodies(cells))
    return found


def faults(given: Any) -> list[Fault]:
    """Return what is said of the rows of a source."""
    source = source_of(given)
    reading = Reading(METER, Columns(), zone="UTC", from_text=source.is_text)
    return [fault for piece in source.pieces(Columns().needed(METER)) for fault in reading.read(piece).faults]


WHOLE = pd.Series(range(60))
TEXTS: dict[str, Any] = {
    "integers": WHOLE,
    "floats": WHOLE.astype(float),
    "small floats": WHOLE.astype("float32"),
    "negative zero": WHOLE * -0.0,
    "nullable": WHOLE.astype("Float64"),
    "arrow": WHOLE.astype("double[pyarrow]"),
    "decimals": WHOLE.map(Decimal),
    "decimals with zeros": WHOLE.map(lambda each: Decimal(f"{each}.00")),
    "large decimals": WHOLE.map(lambda each: Decimal(10**37 + each)),
    "large integers": WHOLE.astype("uint64") + 2**63,
    "categories": WHOLE.astype(float).astype("category"),
    "a mixture": pd.Series([7, 7.0, "7", "7.0", Decimal("7.0"), "007"] * 10, dtype=object),
    "padded": WHOLE.map(lambda each: f" {each} "),
    "composed and decomposed": pd.Series(["\u00e9", "e\u0301"] * 30),
    "versions": pd.Series(["1.10", "1.1", "v2.0", "1e3", "0x1.0", "+1.0", "01.0"] * 60)[:60],
    "words": pd.Series(["NA", "null", "None", "True", "true", "nan", "inf", "#N/A"] * 60)[:60],
    "odd letters": pd.Series(['"', ",", ";", "a\nb", "a\r\nb", "a\tb", "\\", "'", "a\u2028b", "表"] * 6),
}
NUMBERS: dict[str, Any] = {
    "integers": WHOLE,
    "floats": WHOLE.astype(float),
    "fractions": WHOLE / 7,
    "small floats": (WHOLE / 7).astype("float32"),
    "half floats": (WHOLE / 7).astype("float16"),
    "small nullable floats": (WHOLE / 7).astype("Float32"),
    "negative zero": WHOLE * -0.0,
    "decimals": WHOLE.map(lambda each: Decimal(f"{each}.10")),
    "exponents": WHOLE * 1e18,
    "large integers": WHOLE.astype("uint64") + 2**63,
    "categories": WHOLE.astype("category"),
}
#: Of which Python makes doubles of other digits, before anybody could see what they were.
SMALL = ("small floats", "half floats", "small nullable floats")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "kind"),
    [pytest.param("region", name, id=f"text: {name}") for name in TEXTS]
    + [pytest.param("requests", name, id=f"number: {name}") for name in NUMBERS],
)
def test_a_frame_and_what_is_written_of_it_have_the_same_uids(tmp_path: Path, column: str, kind: str) -> None:
    pa, pl = (
        pytest.importorskip("pyarrow", reason="needs the extra 'test'"),
        pytest.importorskip("polars", reason="needs the extra 'test'"),
    )
    values = (TEXTS if column == "region" else NUMBERS)[kind]
    frame = usage(60).assign(**{column: values})
    # What a pandas column of objects holds, Parquet and Arrow know as one type.
    plain = frame.astype({column: str}) if set(map(type, values)) >= {int, str} else frame
    frame.to_csv(tmp_path / "usage.csv", index=False)
    frame.to_csv(tmp_path / "usage.csv.gz", index=False, sep=";", encoding="utf-8-sig")
    plain.to_parquet(tmp_path / "usage.parquet")
    table = pa.Table.from_pandas(plain)
    others: dict[str, Any] = {
        "csv": tmp_path / "usage.csv",
        "csv.gz": tmp_path / "usage.csv.gz",
        "parquet": tmp_path / "usage.parquet",
        "arrow": table,
        "polars": pl.from_arrow(table),
    }
    if column == "region" or kind not in SMALL:
        others |= {"dicts": frame.to_dict("records"), "objects": frame.astype({column: object})}

    wanted = names(frame)

    assert [name for name, other in others.items() if names(other) != wanted] == []


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_single_precision_that_were_made_double_are_warned_of(tmp_path: Path, kind: str) -> None:
    frame = usage(60).assign(requests=NUMBERS[kind])
    frame.to_csv(tmp_path / "usage.csv", index=False)
    widened = frame.to_dict("records")

    warned = {
        name: [row for fault in faults(given) if fault.kind == "SinglePrecision" for row in fault.rows]
        for name, given in {"frame": frame, "csv": tmp_path / "usage.csv", "dicts": widened}.items()
    }

    assert warned["frame"] == warned["csv"] == []
    assert bool(warned["dicts"]) is (kind in SMALL)
    if kind == "half floats":  # the warning is of the column, if not of every row
        return
    changed = [
        row for row, (one, other) in enumerate(zip(names(frame), names(widened), strict=True)) if one != other
    ]
    assert warned["dicts"] == changed


@pytest.mark.parametrize(
    "value", [1.5, Decimal("1.50"), Decimal("1E+3"), True, 1e17, pd.Timestamp("2026-01-01")]
)
def test_a_value_that_files_write_in_other_ways_is_no_text(value: Any) -> None:
    frame = usage(1).assign(region=pd.Series([value], dtype=object))

    cells = Reading(METER, Columns(), zone="UTC", from_text=False).read(frame)

    assert cells.reasons() == {0: "WrongType region"}


# A carriage return alone is written without quotes by pandas, and ends a line wherever it is read again.
LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")


@pytest.mark.slow
@given(st.lists(st.text(LETTERS, min_size=1).filter(str.strip), min_size=1))
def test_any_text_has_the_uid_that_it_has_in_a_csv(texts: list[str]) -> None:
    frame = usage(len(texts)).assign(region=pd.Series(texts, dtype=object))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "usage.csv"
        frame.to_csv(path, index=False)

        assert names(path) == names(frame)


@pytest.mark.parametrize("column", ["account", "region"])
@pytest.mark.parametrize("options", [{"journal": None}, {}, {"uid": "event_id"}], ids=str)
def test_rows_with_a_float_for_a_text_count_once_when_they_come_again_from_a_csv(
    used: Used, tmp_path: Path, column: str, options: dict[str, Any]
) -> None:
    options = {"journal": tmp_path / "j.sqlite", **options}
    for code in ("0", "1", "2", "0.0", "1.0", "2.0"):
        used.session.post("accounts", json={"name": code, "code": code, "emailAddress": "a@b.example"})
    frame = usage(300).assign(**{column: np.arange(300.0) % 3})
    frame.to_csv(tmp_path / "usage.csv", index=False)

    used.submit(frame, **options)
    again = used.submit(tmp_path / "usage.csv", **options)

    assert used.counted() == (300, frame["requests"].sum())
    assert (again.already, again.confirmed) == (300, True)


def test_a_text_of_a_csv_is_sent_as_it_stands_whatever_its_uid_is_made_of(used: Used, tmp_path: Path) -> None:
    usage(3).assign(region=["7", "7.0", "7.00"]).to_csv(tmp_path / "usage.csv", index=False)

    used.submit(tmp_path / "usage.csv")

    query = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-02-01T00:00:00Z"}
    rows = used.session.post("usage/query", json=query)["data"]
    assert sorted(row["api_requests.region"] for row in rows) == ["7", "7.0", "7.00"]


def test_rows_that_differ_in_a_fraction_of_zeros_alone_count_each(used: Used, tmp_path: Path) -> None:
    frame = pd.concat([usage(5).assign(region=each) for each in ("7", "7.0", "7.00")])
    frame.to_csv(tmp_path / "usage.csv", index=False)

    used.submit(tmp_path / "usage.csv")

    assert used.counted() == (15, frame["requests"].sum())
