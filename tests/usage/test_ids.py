"""One uid for each id, whatever file it comes from: else what is sent again from another file counts twice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from m3ter_nb.usage.columns import Reading
from m3ter_nb.usage.measurements import Writer
from m3ter_nb.usage.meter import Columns, Field, Meter
from m3ter_nb.usage.sources import source_of
from usage_frames import usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from usage_frames import Used

METER = Meter("id", "api_requests", (Field("requests", "MEASURE"), Field("region", "WHERE")))
BY_KEY, BY_UID = Columns(key=("k",)), Columns(uid="k")
NEW_YEAR = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ZURICH = dt.timezone(dt.timedelta(hours=1))


def read(value: Any, columns: Columns) -> tuple[bytes, dict[int, str]]:
    """Return the digest of the uid of a row of this id, and why it cannot be sent."""
    frame = pd.DataFrame(
        {"account": ["a"], "ts": ["2026-01-01T00:00:00Z"], "region": ["eu"], "requests": [1]}
    )
    frame["k"] = pd.Series([value], dtype=object)
    cells = Reading(METER, columns, zone="UTC", from_text=False).read(frame)
    (name,) = Writer(METER, columns).names(cells, [b""])
    return name, cells.reasons()


SAME = [
    ["7", 7, 7.0, "7.0", "7.00", np.int64(7), np.uint8(7), np.float64(7), Decimal(7), Decimal("7.00")],
    ["-3", -3, -3.0, "-3.0"],
    ["0", 0, -0.0, "-0.0", Decimal("-0.00")],
    ["007"],
    [str(2**60), 2**60, np.uint64(2**60), Decimal(2**60)],
    ["00000000-0000-0000-0000-000000000007", UUID(int=7)],
    ["1.5"],
    ["1.50"],
    ["e-7"],
    ["E-7"],
    ["\u00e9"],
    ["e\u0301"],
]
SAME_KEYS = [
    *SAME,
    [None, float("nan"), "", " ", pd.NA, pd.NaT, np.float64("nan"), Decimal("NaN")],
    ["true", "True", True, np.True_],
    ["false", False, np.False_],
    [
        "2026-01-01",
        "2026-01-01 00:00:00",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01 01:00:00+01:00",
        dt.date(2026, 1, 1),
        NEW_YEAR,
        NEW_YEAR.replace(tzinfo=None),
        NEW_YEAR.astimezone(ZURICH),
        pd.Timestamp(NEW_YEAR),
        np.datetime64("2026-01-01"),
        np.datetime64("2026-01-01T00:00", "ns"),
    ],
    ["2026-01-01T00:00:00.000001Z", pd.Timestamp("2026-01-01T00:00:00.000001Z")],
    ["2026-01-01T00:00:00.000000001Z", pd.Timestamp("2026-01-01T00:00:00.000000001Z")],
    ["2026-13-01"],
]


@pytest.mark.slow
@pytest.mark.parametrize(("columns", "groups"), [(BY_UID, SAME), (BY_KEY, SAME_KEYS)], ids=["uid", "key"])
def test_an_id_has_one_uid_whatever_its_type_and_no_other_id_has_it(
    columns: Columns, groups: list[list[Any]]
) -> None:
    made = [{read(value, columns)[0] for value in group} for group in groups]

    assert [len(names) for names in made] == [1] * len(groups)
    assert len(set().union(*made)) == len(groups)
    assert not [value for group in groups for value in group if read(value, columns)[1]]


@pytest.mark.parametrize(
    ("columns", "reason"), [(BY_UID, "WrongType k"), (BY_KEY, "UnclearKey k")], ids=["uid", "key"]
)
@pytest.mark.parametrize(
    "value",
    [1.5, Decimal("1.50"), Decimal("1E+3"), float("inf"), 1e17, b"x", [1], dt.timedelta(1), "\ud800"],
    ids=repr,
)
def test_what_has_no_form_of_its_own_is_refused(value: Any, columns: Columns, reason: str) -> None:
    assert read(value, columns)[1] == {0: reason}


@pytest.mark.parametrize("value", [True, NEW_YEAR, dt.date(2026, 1, 1)], ids=repr)
def test_a_uid_is_no_truth_value_and_no_time(value: Any) -> None:
    assert read(value, BY_UID)[1] == {0: "WrongType k"}


def names(given: Any, columns: Columns) -> list[bytes]:
    """Return the digest of the uid of each row of a source."""
    source, writer = source_of(given), Writer(METER, columns)
    reading, found = Reading(METER, columns, zone="UTC", from_text=source.is_text), list[bytes]()
    for piece in source.pieces(columns.needed(METER)):
        cells = reading.read(piece)
        assert not cells.reasons()
        found += writer.names(cells, writer.bodies(cells))
    return found


def of_type(kind: str) -> Any:
    """Return ids of one type of column."""
    whole = pd.Series(range(200))
    return {
        "whole": whole,
        "floats": whole.astype(float),
        "nullable": whole.astype("Int64"),
        "arrow": whole.astype("int64[pyarrow]"),
        "decimals": whole.map(Decimal),
        "texts": whole.astype(str).str.zfill(5),
        "categories": whole.astype("category"),
        "days": pd.Timestamp("2026-01-01") + pd.to_timedelta(whole, unit="D"),
        "aware": pd.Timestamp("2026-01-01", tz="Europe/Berlin")
        + pd.to_timedelta(whole * 1_000_123, unit="us"),
        "dates": (pd.Timestamp("2026-01-01") + pd.to_timedelta(whole, unit="D")).dt.date,
        "truths": whole % 2 == 0,
        "gaps": whole.where(whole % 7 != 0),
    }[kind]


KINDS = ["whole", "floats", "nullable", "arrow", "decimals", "texts", "categories"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "columns"),
    [(kind, BY_UID) for kind in KINDS]
    + [(kind, BY_KEY) for kind in [*KINDS, "days", "aware", "dates", "truths", "gaps"]],
    ids=lambda value: value if isinstance(value, str) else "uid" if value.uid else "key",
)
def test_a_frame_and_the_files_and_tables_written_of_it_have_the_same_uids(
    tmp_path: Path, kind: str, columns: Columns
) -> None:
    pa, pl = (
        pytest.importorskip("pyarrow", reason="needs the extra 'test'"),
        pytest.importorskip("polars", reason="needs the extra 'test'"),
    )
    frame = usage(200).assign(k=of_type(kind))
    frame.to_csv(tmp_path / "usage.csv", index=False)
    frame.to_parquet(tmp_path / "usage.parquet")
    table = pa.Table.from_pandas(frame)
    others: dict[str, Callable[[], Any]] = {
        "csv": lambda: tmp_path / "usage.csv",
        "parquet": lambda: tmp_path / "usage.parquet",
        "read again": lambda: pd.read_parquet(tmp_path / "usage.parquet"),
        "objects": lambda: frame.astype({"k": object}),
        "dicts": lambda: frame.to_dict("records"),
        "pyarrow": lambda: table,
        "polars": lambda: pl.from_arrow(table),
    }

    wanted = names(frame, columns)

    assert [name for name, other in others.items() if names(other(), columns) != wanted] == []


def test_rows_sent_again_from_a_csv_count_once_by_a_key_of_days_and_numbers(
    used: Used, tmp_path: Path
) -> None:
    frame = usage(300).assign(seq=np.arange(300.0))
    frame["day"] = frame["ts"].dt.floor("D").dt.tz_localize(None)
    frame.to_csv(tmp_path / "usage.csv", index=False)

    used.submit(frame, key=["day", "seq"], journal=None)
    used.submit(tmp_path / "usage.csv", key=["day", "seq"], journal=None)

    assert used.counted() == (300, frame["requests"].sum())


def test_the_order_in_which_key_columns_are_named_is_no_part_of_the_uid(used: Used) -> None:
    frame = usage(50)

    for key in (
        ["region", "event_id"],
        ["event_id", "region"],
        {"region", "event_id"},
        ["event_id", "region", "region"],
    ):
        used.submit(frame, key=key, journal=None)

    assert used.counted() == (50, frame["requests"].sum())
