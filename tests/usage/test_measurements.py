"""Measurements as bytes: the limits of a request, and uids that are the same wherever the rows come from."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from m3ter_nb.usage.columns import Reading
from m3ter_nb.usage.measurements import Batch, Writer, batches
from m3ter_nb.usage.meter import Columns, Field, Meter
from m3ter_nb.usage.sources import source_of
from usage_frames import usage

if TYPE_CHECKING:
    from pathlib import Path

METER = Meter("id", "api_requests", (Field("requests", "MEASURE"), Field("region", "WHERE")))
PLAIN = Columns()


def uids(given: Any, columns: Columns = PLAIN, zone: str = "UTC") -> list[str]:
    """Return the uids of all rows of a source."""
    source, writer = source_of(given), Writer(METER, columns)
    reading = Reading(METER, columns, zone=zone, from_text=source.is_text)
    found = []
    for piece in source.pieces(columns.needed(METER)):
        cells = reading.read(piece)
        assert not cells.reasons()
        rows = writer.rows(cells, 0, set(), (), defaultdict(int))
        found += [json.loads(each)["uid"] for each in rows.measurements]
    return found


@pytest.mark.slow
def test_the_same_rows_have_the_same_uids_in_any_order_file_and_type(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="needs the extra 'test'")
    frame = usage(300)
    wanted = uids(frame)
    frame.to_csv(tmp_path / "usage.csv", index=False)
    frame.to_csv(tmp_path / "semicolons.csv.gz", index=False, sep=";", encoding="utf-8-sig")
    frame.to_parquet(tmp_path / "usage.parquet")
    floats = frame.assign(requests=frame["requests"].astype(float))
    nullable = frame.convert_dtypes().assign(region=frame["region"].astype("category"))
    texts = frame.assign(ts=frame["ts"].astype(str))
    local = frame.assign(ts=frame["ts"].dt.tz_convert("Asia/Kolkata"))

    assert len(set(wanted)) == 300
    for same in (
        tmp_path / "usage.csv",
        tmp_path / "semicolons.csv.gz",
        str(tmp_path / "*.parquet"),
        floats,
        nullable,
        texts,
        local,
        pl.from_pandas(frame),
        frame.to_dict("records"),
    ):
        assert uids(same) == wanted
    assert sorted(uids(frame.sample(frac=1, random_state=1))) == sorted(wanted)


def test_a_naive_time_is_that_of_the_time_zone() -> None:
    frame = usage(10)
    naive = frame.assign(ts=frame["ts"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None))

    assert uids(naive, zone="Europe/Berlin") == uids(frame) != uids(naive)


def test_a_uid_of_a_key_does_not_change_with_the_content_but_with_the_key() -> None:
    frame = usage(3)
    keyed = Columns(key=("event_id",))

    assert uids(frame.assign(requests=1), keyed) == uids(frame, keyed)
    assert uids(frame.assign(event_id=["a", "b", "c"]), keyed) != uids(frame, keyed)


def test_a_uid_of_the_source_is_sent_as_it_is_and_a_long_one_as_its_digest() -> None:
    long = "x" * 51
    frame = usage(3).assign(event_id=["evt-1", 'é"2', long])

    first, second, third = uids(frame, Columns(uid="event_id"))

    assert (first, second, len(third)) == ("evt-1", 'é"2', 32)


def test_requests_have_at_most_1000_rows_and_500000_bytes() -> None:
    pieces = [
        Batch(list(range(1500)), [b""] * 1500, [b""] * 1500, [b"1" * 300] * 1500),
        Batch(list(range(1500, 2700)), [b""] * 1200, [b""] * 1200, [b"2" * 900] * 1200),
    ]

    made = list(batches(pieces))

    assert [position for batch in made for position in batch.positions] == list(range(2700))
    assert max(len(batch) for batch in made) == 1000
    assert 499_000 < max(len(batch.body()) for batch in made) <= 500_000


def test_a_row_larger_than_a_request_makes_no_empty_one() -> None:
    sizes = [10, 600_000, 600_000, 10]
    rows = Batch(list(range(4)), [b""] * 4, [b""] * 4, [b"1" * size for size in sizes])

    assert [batch.positions for batch in batches([rows])] == [[0], [1], [2], [3]]


@pytest.mark.parametrize("field", ["account", "ts", "region", "requests"])
def test_whatever_is_sent_is_part_of_the_uid(field: str) -> None:
    other = {"account": "acct-x", "ts": pd.Timestamp("2025-01-01", tz="UTC"), "region": "x", "requests": -1}
    frame = usage(1)

    assert uids(frame.assign(**{field: [other[field]]})) != uids(frame)
