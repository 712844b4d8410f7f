"""A frame holds what the records hold: every digit, every day, every field."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m3ter_nb.errors import MissingExtra
from m3ter_nb.views.records import Records, as_records

if TYPE_CHECKING:
    from pathlib import Path

PRODUCT = {
    "id": "81c49a54-dfcd-4da5-bbf3-d2885ec025dd",
    "version": 1,
    "customFields": {"tier": "gold"},
    "dtCreated": "2026-10-01T09:30:00.000Z",
    "name": "API calls",
    "code": "api_calls",
}


def column(values: list[Any], name: str = "n") -> pd.Series[Any]:
    """Return the column that these values become; None stands for a row without the field."""
    rows = [{} if value is None else {name: value} for value in values]
    return Records([*rows, {"other": 1}]).to_frame()[name].iloc[:-1]


def test_a_frame_has_the_useful_columns_first_and_nested_fields_flattened() -> None:
    frame = as_records([PRODUCT, PRODUCT], path="products").to_frame()

    assert list(frame.columns) == ["name", "code", "id", "version", "dtCreated", "customFields.tier"]
    assert list(frame["customFields.tier"]) == ["gold", "gold"]


def test_a_page_becomes_the_frame_of_its_data() -> None:
    frame = as_records({"data": [PRODUCT, PRODUCT], "nextToken": "abc"}).to_frame()

    assert list(frame["code"]) == ["api_calls", "api_calls"]


def test_an_entity_becomes_a_frame_of_one_row() -> None:
    assert as_records(PRODUCT).to_frame().shape == (1, 6)


def test_an_entity_without_fields_is_a_row_all_the_same() -> None:
    assert len(Records([{}, {}]).to_frame()) == 2


def test_an_empty_list_becomes_an_empty_frame() -> None:
    assert Records().to_frame().empty
    assert as_records({"data": []}).to_frame().empty


@pytest.mark.parametrize(
    "values",
    [
        [9007199254740993, None],
        [9007199254740993, 1, 2],
        [9007199254740993, 0.5],
        [9007199254740993, 0.5, None],
        [2**63, None],
        [2**63, -1],
        [-(2**63), 2**63 - 1, None],
        [10**30, 1],
        [3, None, 5],
        [3, 2.5, None],
        [True, None, False],
        [True, 1, "1", 1.0],
        ["007", None, "1e3"],
        ["NaN", "null", ""],
        ["\ud83d", "a"],
    ],
)
def test_every_value_comes_through_exactly(values: list[Any]) -> None:
    found = column(values)

    assert [None if pd.isna(value) else value for value in found] == values


def test_a_count_with_gaps_stays_a_whole_number() -> None:
    found = column([3, None, 5])

    assert str(found.dtype) == "Int64"
    assert found.sum() == 8
    assert str(found[0]) == "3"


def test_numbers_without_gaps_are_plain_columns() -> None:
    frame = Records([{"a": 1, "b": 0.5, "c": True}, {"a": 2, "b": 1.5, "c": False}]).to_frame()

    assert list(map(str, frame.dtypes)) == ["int64", "float64", "bool"]


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([{"a.b": 1, "a": {"b": 2}}], {"a.b": [1], "a": [{"b": 2}]}),
        ([{"a.b": 1}, {"a": {"b": 2}}], {"a.b": [1, None], "a": [None, {"b": 2}]}),
        (
            [{"a": {"b.c": 1, "b": {"c": 2}, "d": 3}}],
            {"a": [{"b.c": 1, "b": {"c": 2}, "d": 3}]},
        ),
        (
            [{"p.q": {"r": 1}, "p.q.r": 2, "p": {"q": 3}}],
            {"p.q": [{"r": 1}], "p.q.r": [2], "p": [{"q": 3}]},
        ),
        ([{"a": {}}, {"a": {}}], {"a": [{}, {}]}),
        ([{"a": {}}, {"a": {"b": 1}}], {"a.b": [None, 1]}),
        ([{"a": 5}, {"a": {"b": 1}}, {"a": None}], {"a": [5, None, None], "a.b": [None, 1, None]}),
        ([{"a": [1, {"b": 2}]}, {"c": 1}], {"a": [[1, {"b": 2}], None], "c": [None, 1]}),
        ([{"": {"": 1}}, 5], {".": [1, None], "value": [None, 5]}),
    ],
)
def test_no_field_is_lost(rows: list[Any], kept: dict[str, list[Any]]) -> None:
    frame = Records(rows).to_frame()

    found = {
        name: [None if isinstance(value, float) or value is pd.NA else value for value in frame[name]]
        for name in frame.columns
    }
    assert found == kept


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=2) | st.dictionaries(st.sampled_from(["a", "b", "a.b"]), children)
    ),
    max_leaves=8,
)


def leaves(value: Any) -> int:
    """Count what must be found again: values within objects, lists whole."""
    return sum(map(leaves, value.values())) if isinstance(value, dict) else int(value is not None)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "a.b", "c"]), json_values), max_size=4))
def test_as_many_values_come_out_as_went_in(rows: list[dict[str, Any]]) -> None:
    frame = Records(rows).to_frame()

    assert frame.columns.is_unique
    found = [
        value
        for name in frame.columns
        for value in frame[name]
        if isinstance(value, (dict, list)) or pd.notna(value)
    ]
    assert sum(map(leaves, found)) == sum(map(leaves, rows))


def test_deep_data_is_flattened_to_a_depth_and_stays_whole_below() -> None:
    row: Any = 1
    for _ in range(300):
        row = {"a": row}

    assert Records([row]).to_frame().shape == (1, 1)


@pytest.mark.parametrize("field", ["dtCreated", "ts", "eventTime", "startDateTimeUTC", "customFields.seen"])
def test_a_column_of_date_times_becomes_utc_moments(field: str) -> None:
    rows = [{field: "2026-10-01T09:30:00.000Z"}, {field: None}, {field: "2026-10-01T12:30:00+02:00"}]

    moments = Records(rows).to_frame()[field]

    assert moments[0] == pd.Timestamp("2026-10-01T09:30:00Z")
    assert moments[1] is pd.NaT
    assert moments[2] == pd.Timestamp("2026-10-01T10:30:00Z")


def test_a_moment_keeps_its_nanoseconds_and_a_longer_one_stays_text() -> None:
    assert column(["2026-10-01T09:30:00Z", "2026-10-01T09:30:00.123456789Z"])[1].nanosecond == 789
    assert list(column(["2026-10-01T09:30:00.1234567891Z"])) == ["2026-10-01T09:30:00.1234567891Z"]


def test_a_plain_day_stays_a_plain_day_where_the_column_is_named_as_a_date() -> None:
    frame = Records([{"startDate": "2026-10-01", "note": "2026-10-01"}, {"startDate": None}]).to_frame()

    assert frame["startDate"][0] == pd.Timestamp("2026-10-01")
    assert frame["startDate"].dt.tz is None
    assert frame["startDate"].dt.strftime("%Y-%m-%d")[0] == "2026-10-01"
    assert frame["startDate"][1] is pd.NaT
    assert frame["note"][0] == "2026-10-01"


def test_plain_days_go_to_excel_and_come_back(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl", reason="pandas needs openpyxl for to_excel")
    frame = Records(
        [{"billDate": "2026-11-01", "total": 9007199254740993}, {"billDate": "2026-12-01"}]
    ).to_frame()

    frame.to_excel(tmp_path / "bills.xlsx", index=False)

    assert list(pd.read_excel(tmp_path / "bills.xlsx")["billDate"]) == list(frame["billDate"])


def test_plain_days_merge_with_plain_days() -> None:
    bills = Records(
        [{"billDate": "2026-11-01", "total": 3}, {"billDate": "2026-12-01", "total": 4}]
    ).to_frame()
    days = pd.DataFrame({"billDate": pd.to_datetime(["2026-12-01"]), "rate": [1.5]})

    merged = bills.merge(days, on="billDate")

    assert list(merged["total"]) == [4]


@pytest.mark.parametrize(
    "value",
    [
        "LAST_DAY_OF_ARREARS",
        "2026-13-45",
        "2026-10-01 or so",
        "2026-11-01T00:00:00Z",
        "\uff12\uff10\uff12\uff16-11-01",
        20261001,
        "",
    ],
)
def test_one_value_that_is_no_day_leaves_the_column_as_it_is(value: Any) -> None:
    frame = Records([{"billDate": "2026-10-01"}, {"billDate": value}]).to_frame()

    assert list(frame["billDate"]) == ["2026-10-01", value]


@pytest.mark.parametrize("value", ["9999-12-31T00:00:00Z", "2026-10-01T25:00:00Z", "2026-02-30T00:00:00Z"])
def test_no_moment_becomes_no_moment_in_silence(value: str) -> None:
    (found,) = column([value], "dtEnd")

    assert found in {value, pd.Timestamp("9999-12-31", tz="UTC")}


def test_a_name_that_looks_like_a_date_stays_text() -> None:
    frame = Records([{"name": "2026-10-01T00:00:00Z", "code": "2026-10-01T00:00:00Z"}]).to_frame()

    assert list(frame.loc[0]) == ["2026-10-01T00:00:00Z", "2026-10-01T00:00:00Z"]


@pytest.mark.parametrize("within", ["customFields", "account", "plan.template"])
def test_a_name_within_an_object_that_looks_like_a_date_stays_text(within: str) -> None:
    row: dict[str, Any] = {"code": "2026-10-01T00:00:00+02:00"}
    for name in reversed(within.split(".")):
        row = {name: row}

    assert list(Records([row]).to_frame()[f"{within}.code"]) == ["2026-10-01T00:00:00+02:00"]


@pytest.mark.parametrize("value", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00"])
def test_a_moment_that_is_of_no_year_in_utc_stays_text_that_can_be_shown(value: str) -> None:
    frame = Records([{"dtEnd": value}]).to_frame()

    assert value in frame.to_string()


def test_without_pandas_the_message_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(MissingExtra, match=r"to_frame\(\) needs pandas.*%pip install .*\[pandas\]"):
        Records([PRODUCT]).to_frame()
