"""One form for each value, whatever type of column it came from."""

from __future__ import annotations

import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.usage.columns import Reading
from m3ter_nb.usage.measurements import Writer
from m3ter_nb.usage.meter import Columns, Field, Meter
from m3ter_nb.usage.values import Fragments, Rounded, number, number_of_text, text
from m3ter_nb.wire.digits import Digits

METER = Meter("id", "api_requests", (Field("requests", "MEASURE"), Field("region", "WHERE")))


def measurement(value: Any, region: Any = "eu", *, meter: Meter = METER) -> dict[str, Any]:
    """Return the measurement that a row of a frame becomes."""
    frame = pd.DataFrame(
        {"account": ["acme"], "ts": ["2026-01-01T00:00:00Z"], "region": [region], "requests": [value]}
    )
    cells = Reading(meter, Columns(), zone="UTC", from_text=False).read(frame)
    (made,) = Writer(meter, Columns()).rows(cells, 0, set(), (), defaultdict(int)).measurements
    found: dict[str, Any] = json.loads(made)
    return found


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1983, "1983"),
        (1983.0, "1983"),
        (-0.0, "0"),
        (Decimal("1983.00"), "1983"),
        (Decimal("0.10"), "0.1"),
        (0.1, "0.1"),
        (np.int64(7), "7"),
        (np.float64(7.5), "7.5"),
        (1e-7, "1e-07"),
        (2**53, "9007199254740992"),
        (2**60, "1.152921504606847e+18"),
        (Decimal(2**60), "1.152921504606847e+18"),
        (1e300, "1e+300"),
        (Digits("0.1234567890123456789"), "0.12345678901234568"),
        (Digits("1983.00"), "1983"),
        (Digits("-0"), "0"),
    ],
)
def test_a_number_is_written_the_same_whatever_its_type(value: Any, written: str) -> None:
    made = number(value)

    assert f"{made}" == written
    assert json.loads(written) == made


@pytest.mark.parametrize(
    "value",
    [
        True,
        "12",
        None,
        float("nan"),
        float("inf"),
        Decimal("Infinity"),
        Digits("1e400"),
        Digits(f"1e{'9' * 30}"),
        [1],
        np.datetime64("2026-01-01", "ns"),
    ],
)
def test_what_is_no_number_is_none(value: Any) -> None:
    assert number(value) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_of_a_csv_is_that_of_a_frame(value: float) -> None:
    assert number_of_text(repr(value)) == number(value) == value


def test_a_number_with_more_digits_than_a_double_is_marked() -> None:
    assert type(number(Decimal("0.12345678901234567890"))) is Rounded
    assert type(number(Digits("0.1234567890123456789"))) is Rounded
    assert type(number(2**53 + 1)) is Rounded
    assert type(number(Decimal("0.123456789012345"))) is float


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_is_the_same_from_every_type(value: int) -> None:
    wanted = number(value)

    assert number_of_text(str(value)) == number(Decimal(value)) == wanted
    assert measurement(np.int64(value))["measure"]["requests"] == wanted


@given(st.text(min_size=1).filter(lambda value: value.strip()))
def test_a_text_arrives_as_it_is(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        assert text(value) is None
        return

    assert measurement(1, value)["where"] == {"region": value}


@pytest.mark.parametrize("odd", ['per%cent %s "quoted"', "new\nline", "表", "\\", "\x7f"])
def test_names_and_texts_that_a_template_could_take_for_its_own_are_data(odd: str) -> None:
    meter = Meter("id", odd, (Field("requests", "MEASURE"), Field("region", "WHERE")))

    made = measurement(5, odd, meter=meter)

    assert (made["meter"], made["where"], made["measure"]) == (odd, {"region": odd}, {"requests": 5})


def test_whole_numbers_are_texts_as_good_as_any_and_truth_values_are_none() -> None:
    assert (text(1983), text(1983.0), text(True), text(1.5)) == ('"1983"', '"1983"', None, None)


@pytest.mark.parametrize("truth", [True, np.True_])
@pytest.mark.parametrize("truth_first", [True, False])
def test_a_truth_value_among_numbers_is_not_taken_for_one(truth: object, *, truth_first: bool) -> None:
    mixed = [truth, 1] if truth_first else [1, truth]

    made = Fragments(text).of(mixed)

    assert made == ([None, '"1"'] if truth_first else ['"1"', None])


@pytest.mark.parametrize("value", [2**53 + 1, -(2**63), 2**64 - 1])
def test_an_id_that_is_a_number_keeps_every_digit(value: int) -> None:
    assert text(value) == f'"{value}"'
