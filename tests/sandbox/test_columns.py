"""The quick check of measurements passes what their schema passes, and nothing else."""

from __future__ import annotations

from typing import Any

import fastjsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.sandbox.columns import Columns, columns_of
from m3ter_nb.sandbox.surface import _passing, load

BODY = load().bodies["SubmitMeasurementsRequest"]
COLUMNS = Columns(BODY.properties["measurements"], _passing)

odd = st.sampled_from(
    [None, True, 1, 1.5, "", " a", "a ", "a\n", "a\x00", "a" * 80, "a" * 81, [], {}, {"x": None}]
)
times = st.sampled_from(
    ["2024-01-31T12:00:00Z", "2024-01-31T12:00:00.5+02:00", "2024-02-30T00:00:00Z", "soon"]
)
codes = st.sampled_from(["acme", "globex", "a" * 80, " acme", "a\u2028b", ""])
numbers = st.dictionaries(st.sampled_from("xy"), st.sampled_from([1, 1.5, -2, True, "1", None]), max_size=2)
texts = st.dictionaries(st.sampled_from("xy"), st.sampled_from(["", "eu", 1, None]), max_size=2)
rows = st.fixed_dictionaries(
    {"meter": codes, "account": codes, "ts": times},
    optional={
        "uid": st.sampled_from(["u", "u" * 50, "u" * 51, 7]),
        "ets": times,
        "where": texts | odd,
        "metadata": texts,
        "measure": numbers | odd,
        "cost": numbers,
        "other key": odd,
    },
)
good = st.fixed_dictionaries(
    {
        "meter": st.just("m"),
        "account": st.sampled_from(["acme", "globex"]),
        "ts": st.just("2024-01-31T12:00:00Z"),
        "measure": st.just({"x": 1, "y": 1.5}),
        "where": st.just({"region": "eu"}),
    }
)


def schema_passes(value: Any) -> bool:
    try:
        BODY._validate({"measurements": value})
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@given(st.lists(good | rows | odd, max_size=3) | odd)
def test_the_quick_check_and_the_schema_agree(measurements: Any) -> None:
    assert COLUMNS.hold(measurements) == schema_passes(measurements)


def test_a_column_has_the_values_of_the_rows_that_have_one() -> None:
    rows = [{"x": 1, "y": 2}, {"y": 3, "z": 4}, {"x": None, "y": 5}]

    assert columns_of(rows, ["x", "y", "none"]) == {"x": [1, None], "y": [2, 3, 5]}


@pytest.mark.parametrize("number", [0, 1, 1000, 1001])
def test_it_counts_the_rows(number: int) -> None:
    measurements = [{"meter": "m", "account": "a", "ts": "2024-01-31T12:00:00Z"}] * number

    assert COLUMNS.hold(measurements) == schema_passes(measurements) == (1 <= number <= 1000)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "string", "enum": ["a"]},
        {"type": "integer"},
        {"type": "object", "properties": {}},
        {"type": "object", "additionalProperties": {"type": "string", "maxLength": 3}},
        {},
    ],
)
def test_a_schema_that_it_does_not_understand_is_left_to_the_schema(part: dict[str, Any]) -> None:
    schema = {"type": "array", "items": {"type": "object", "properties": {"x": part}}}

    with pytest.raises(ValueError, match="more than"):
        Columns(schema, _passing)
