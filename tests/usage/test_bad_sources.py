"""What bad input gets: one clear error before anything is sent, from the check as from the submission."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import re
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from m3ter_nb.errors import InvalidArgument, UsageInvalid
from m3ter_nb.usage.meter import find_meter
from usage_frames import METER, usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from usage_frames import Used

CSV = usage(5).to_csv(index=False)
PARQUET = usage(5).to_parquet()


def refusals(used: Used, source: Callable[[], Any], **options: Any) -> list[str]:
    """Return what the check, the submission and the magic's twin say of a source that cannot be read."""
    said = []
    for what in (used.session.check_usage, used.session.submit_usage):
        with pytest.raises(InvalidArgument) as caught:
            what(source(), **{"meter": "api_requests", **options})
        said.append(str(caught.value))
    assert used.requests() == 0
    return said


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("u.csv", CSV.replace("eu-west", "zürich").encode("cp1252"), "not in UTF-8.*encoding='cp1252'"),
        ("u.csv", CSV.encode("utf-16"), "is in UTF-16: write it in UTF-8"),
        ("u.csv", CSV.encode("utf-16-be"), "not in UTF-8"),
        ("u.csv", gzip.compress(CSV.encode()), "is compressed: give it a name that ends with .gz"),
        ("u.csv", PARQUET, "is a Parquet file: give it a name that ends with .parquet"),
        ("u.csv", b"PK\3\4\xff\xff", "an archive or a workbook"),
        ("u.csv", b"", "no column names"),
        ("u.csv", b"\xef\xbb\xbf", "no column names"),
        ("u.csv", b"\n" + CSV.encode(), "no column names"),
        ("u.csv", b"# today\n" + CSV.encode(), "no column 'account' .*'# today'"),
        ("u.csv", CSV.replace("account,", " account ,", 1).encode(), "no column 'account' .*' account '"),
        ("u.csv", CSV.replace("event_id,", "region,", 1).encode(), "more than one column 'region'"),
        ("u.csv", CSV.encode() + b"e9,acct-1,2026-01-01T00:00:00Z,eu,1,234\n", "in line 7"),
        (
            "u.csv",
            CSV.encode() + b'e9,"acct-1,2026-01-01T00:00:00Z,eu,1\n',
            "inside string starting at row 6",
        ),
        ("u.csv.gz", CSV.encode(), "no gzip file"),
        ("u.csv.gz", gzip.compress(CSV.encode())[:-8] + bytes(8), "no gzip file, or is cut off"),
        ("u.csv.bz2", bz2.compress(CSV.encode()), "neither CSV .* nor Parquet"),
        ("u.xlsx", b"PK", "neither CSV .* nor Parquet"),
        ("u.parquet", CSV.encode(), "cannot be read as Parquet"),
        ("u.parquet", PARQUET[:-50], "cannot be read as Parquet"),
        ("u.parquet", b"", "cannot be read as Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error_that_says_why(
    used: Used, tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)

    for said in refusals(used, lambda: tmp_path / name):
        assert re.search(told, said)
        assert "u." in said or "column" in said


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nothing-*.csv", "There is no file of that name"),
        ("", "There is no file of that name"),
        ("folder", r"folder is a folder: name its files by a pattern, as 'folder/\*\.parquet'"),
        ("parts", "by pandas.read_parquet"),
        ("mixed.*", r"CSV and Parquet files have such a name"),
        ("other?.csv", "other2.csv has other columns than other1.csv: event_id"),
        ("https://example.com/u.csv", "There is no file of that name"),
    ],
)
def test_a_path_that_names_no_rows_is_one_error_that_says_how_to_name_them(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    frame = usage(5)
    frame.to_parquet(tmp_path / "parts", partition_cols=["region"])
    frame.to_csv(tmp_path / "mixed.csv")
    frame.to_parquet(tmp_path / "mixed.parquet")
    frame.to_csv(tmp_path / "other1.csv")
    frame.drop(columns="event_id").to_csv(tmp_path / "other2.csv")

    for said in refusals(used, lambda: given):
        assert re.search(told, said)


def scalars() -> Iterator[int]:
    yield from (1, 2)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (lambda: None, "not from NoneType"),
        (lambda: {"account": ["a"]}, "not from dict"),
        (lambda: b"u.csv", "not from bytes"),
        (lambda: usage(2)["account"], "Series is no table"),
        (lambda: usage(2).to_numpy(), "Row 0 is no dict but ndarray"),
        (lambda: [usage(2), usage(2)], "Row 0 is no dict but DataFrame. Make one table of them"),
        (scalars, "Row 0 is no dict but int"),
        (lambda: iter([]), "gave no row. It can be read once"),
        (lambda: pd.concat([usage(2), usage(2)[["region"]]], axis=1), "more than one column 'region'"),
        (lambda: usage(2).drop(columns="region"), "no column 'region'"),
        (lambda: pd.DataFrame(index=range(3)), "no column 'account'"),
        (lambda: [{"account": "acct-1", "measure": {"requests": 1}}], "no column"),
    ],
)
def test_what_is_no_table_is_one_error(used: Used, source: Callable[[], Any], told: str) -> None:
    for said in refusals(used, source):
        assert told in said


@pytest.mark.parametrize("meter", ["", None, 7, "api_request", "API_requests", " api_requests", "a,b"])
def test_a_meter_that_is_not_there_is_one_error(used: Used, meter: Any) -> None:
    for said in refusals(used, lambda: usage(2), meter=meter):
        assert "There is no meter" in said or "Name the meter by its code" in said


def test_two_meters_of_one_code_are_an_error_and_neither_is_chosen() -> None:
    class Reader:
        org_id = base_url = ""

        def request(self, *_: Any, **__: Any) -> None:
            """Never called."""

        def pages(self, *_: Any, **__: Any) -> Iterator[Any]:
            return iter([{**METER, "id": "one"}, {**METER, "id": "two"}])

    with pytest.raises(InvalidArgument, match=r"2 meters have the code 'api_requests' \(one, two\)"):
        find_meter(Reader(), "api_requests")


@pytest.mark.parametrize("kind", ["generator", "csv reader", "record batches"])
def test_rows_that_can_be_read_once_are_sent_and_the_second_time_they_are_missed(
    used: Used, kind: str
) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs the extra 'test'")
    frame = usage(5)
    table = pa.Table.from_pandas(frame)
    reader: Iterator[dict[str, Any]] = (
        {**row, "requests": int(row["requests"])} for row in csv.DictReader(io.StringIO(CSV))
    )
    once: Any = {
        "generator": (row for row in frame.to_dict("records")),
        "csv reader": reader,
        "record batches": pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
    }[kind]

    sent = used.submit(once)

    assert (sent.confirmed, used.counted()) == (True, (5, frame["requests"].sum()))
    with pytest.raises(InvalidArgument, match="may have been read before, by a check"):
        used.submit(once)


@pytest.mark.parametrize("rows", [1, 1000, 1001])
def test_rows_around_the_limit_of_a_request_are_all_counted(used: Used, rows: int) -> None:
    frame = usage(rows)

    assert used.submit(frame).confirmed
    assert used.counted() == (rows, frame["requests"].sum())
    assert used.requests() == (rows + 999) // 1000


@pytest.mark.parametrize(
    "source", [lambda: usage(0), list, pd.DataFrame, lambda: usage(0).to_dict("records")]
)
def test_no_rows_are_no_error_and_said(used: Used, source: Callable[[], Any]) -> None:
    sent = used.submit(source())

    assert (sent.rows, used.requests(), repr(sent)) == (
        0,
        0,
        "No rows for api_requests: nothing was sent.",
    )


def test_rows_that_are_all_left_out_are_said_and_nothing_is_sent(used: Used) -> None:
    sent = used.submit(usage(3).assign(region=None), invalid="skip")

    assert (len(sent.refused), used.requests()) == (3, 0)
    assert "3 left out (3 MissingField region)" in repr(sent)


@pytest.mark.parametrize("levels", ["ts", "account", ["account", "ts"]])
@pytest.mark.parametrize("file", [False, True])
def test_an_index_with_a_name_is_a_column_like_any_other(
    used: Used, tmp_path: Path, levels: Any, *, file: bool
) -> None:
    frame = usage(30)
    indexed = frame.set_index(levels)
    indexed.to_parquet(tmp_path / "u.parquet")

    used.submit(frame, journal=None)
    again = used.submit(tmp_path / "u.parquet" if file else indexed, journal=None)

    assert (again.already, used.counted()) == (30, (30, frame["requests"].sum()))


@pytest.mark.parametrize(
    "text", [CSV.replace("\n", "\r"), CSV.replace("\n", "\r\n"), CSV.replace("\n", "\n\n"), "\ufeff" + CSV]
)
def test_lines_may_end_as_they_like(used: Used, tmp_path: Path, text: str) -> None:
    (tmp_path / "u.csv").write_bytes(text.encode())

    used.submit(usage(5), journal=None)

    assert used.submit(tmp_path / "u.csv", journal=None).already == 5
    assert used.asked("COUNT") == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["my region.x", "région", "%s {0}", "re\ngion", "re,gion", 're"gion', "$.region"]
)
@pytest.mark.parametrize("file", [False, True])
def test_a_column_may_have_any_name(used: Used, tmp_path: Path, name: str, *, file: bool) -> None:
    frame = usage(5).rename(columns={"region": name})
    frame.to_csv(tmp_path / "u.csv", index=False)

    sent = used.submit(tmp_path / "u.csv" if file else frame, columns={"region": name})

    assert (sent.confirmed, used.counted()) == (True, (5, frame["requests"].sum()))


def test_the_error_names_kind_column_rows_and_the_mend(used: Used) -> None:
    frame = usage(9).astype({"region": object})
    frame.loc[[2, 3, 5, 6, 7, 8], "region"] = None
    frame.loc[4, "account"] = "a\tb"

    with pytest.raises(UsageInvalid) as caught:
        used.submit(frame)

    said = str(caught.value)
    assert "1 BadCode account in row 4, 6 MissingField region in rows 2, 3, 5, 6, 7, …" in said
    assert "BadCode: no account code: 1 to 80 characters" in said
    assert "\n" not in said
    assert used.requests() == 0


DUCK = """
SELECT '{account}' AS account, {ts} AS ts, {region} AS region, {requests} AS requests FROM range(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("region", "requests", "wanted"),
    [
        ("'eu'::ENUM('eu', 'us')", "7", 21),
        ("7::UTINYINT", "7::HUGEINT", 21),
        ("7.00::DECIMAL(10, 2)", "1.50::DECIMAL(10, 2)", 4.5),
        ("7.0::DOUBLE", "0.1::FLOAT", 0.3),
        ("uuid()", "1e3", 3000),
    ],
)
@pytest.mark.parametrize("ts", ["TIMESTAMPTZ '2026-01-01 10:00:00+02'", "TIMESTAMP_NS '2026-01-01 08:00:00'"])
def test_a_relation_of_duckdb_is_read_as_often_as_needed(
    used: Used, region: str, requests: str, wanted: float, ts: str
) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs the extra 'test'")
    relation = duckdb.sql(DUCK.format(account="acct-1", ts=ts, region=region, requests=requests))

    assert used.session.check_usage(relation, "api_requests").ok
    assert used.submit(relation).confirmed
    assert used.counted() == (3, pytest.approx(wanted))


def test_a_relation_whose_query_fails_is_one_error(used: Used) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs the extra 'test'")
    connection = duckdb.connect()
    failing = duckdb.sql("SELECT error('secret-word') AS account")
    closed = connection.sql("SELECT 1 AS account")
    connection.close()

    for relation in (failing, closed):
        for said in refusals(used, lambda relation=relation: relation):
            assert "DuckDBPyRelation could not be read" in said
            assert "secret-word" not in said


@pytest.mark.parametrize(
    ("letters", "said"),
    [(1, "6 fields in line 2"), (140_000, "more fields")],
    ids=["short", "too long to read"],
)
def test_a_line_of_too_many_fields_is_named_where_it_can_be_found(
    used: Used, tmp_path: Path, letters: int, said: str
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(
        f"event_id,account,ts,region,requests\ne1,acct-1,2026-01-01T00:00:00Z,{'a' * letters},1,234\n",
        "utf-8",
    )

    with pytest.raises(InvalidArgument, match=f"usage.csv has {said} where its first line has 5 names"):
        used.session.check_usage(path, "api_requests")
