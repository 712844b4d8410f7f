"""What a body and a query make of a value, and what they refuse before anything is sent."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

import m3ter_nb
from m3ter_nb.bridges import snippets
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.call_line import parse_call
from m3ter_nb.views.records import as_records
from m3ter_nb.wire.encoding import decode_body, encode_body, query_of

if TYPE_CHECKING:
    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.sandbox import Sandbox


class Access(Flag):
    """What may be done."""

    READ = 1
    WRITE = 2


class Plan(Enum):
    """An enum of a user's own."""

    GOLD = "gold"
    SEVEN = np.int64(7)


SUMMER = dt.timezone(dt.timedelta(hours=2))

VALUES = {
    "numpy's whole number": (np.int64(3), "3"),
    "numpy's number": (np.float32(0.5), "0.5"),
    "numpy's bool": (np.bool_(True), "true"),
    "numpy's text": (np.str_("x"), "x"),
    "a bool": (False, "false"),
    "a whole number of many digits": (9_007_199_254_740_993, "9007199254740993"),
    "a date": (dt.date(2026, 11, 1), "2026-11-01"),
    "a number of fewer digits than Python's": (np.float32(0.1), "0.1"),
    "one of still fewer": (np.float16(0.1), "0.1"),
    "a fraction that is a float": (Fraction(1, 4), "0.25"),
    "a day in a frame": (pd.Timestamp("2026-11-01"), "2026-11-01"),
    "a moment without a zone": (pd.Timestamp("2026-11-01 10:30"), "2026-11-01T10:30:00"),
    "midnight": (pd.Timestamp("2026-11-01").to_pydatetime(), "2026-11-01T00:00:00"),
    "midnight in a zone": (pd.Timestamp("2026-11-01", tz="UTC"), "2026-11-01T00:00:00+00:00"),
    "a date-time": (dt.datetime(2026, 11, 1, 10, 30, tzinfo=SUMMER), "2026-11-01T10:30:00+02:00"),
    "pandas' timestamp": (pd.Timestamp("2026-11-01 10:30", tz="UTC"), "2026-11-01T10:30:00+00:00"),
    "a UUID": (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "an enum": (Plan.GOLD, "gold"),
    "flags, which can be iterated": (Access.READ | Access.WRITE, "3"),
    "an enum of numpy's": (Plan.SEVEN, "7"),
}


@pytest.mark.parametrize(("value", "text"), VALUES.values(), ids=VALUES)
def test_a_value_is_the_same_text_in_a_query_and_in_a_body(value: object, text: str) -> None:
    query = query_of({"x": value})
    (in_body,) = json.loads(encode_body([value]))

    assert query == query_of({"x": text})
    assert (in_body if isinstance(in_body, str) else json.dumps(in_body)) == text


MISSING = {
    "NaN": float("nan"),
    "numpy's NaN": np.float64("nan"),
    "infinity": float("-inf"),
    "NaT": pd.NaT,
    "NA": pd.NA,
    "numpy's NaT": np.datetime64("NaT"),
    "a decimal NaN": Decimal("NaN"),
    "a decimal NaN that signals": Decimal("sNaN"),
    "numpy's NaT of a duration": np.timedelta64("NaT"),
    "numpy's masked value": np.ma.masked,
}
NO_VALUES = {
    "numpy's date, a count of days or of nanoseconds": np.datetime64("2026-11-01"),
    "numpy's duration, likewise": np.timedelta64(1, "ns"),
    "a duration": dt.timedelta(1),
    "a complex number": 1j,
    "a complex number of numpy's": np.complex64(1),
    "a fraction that no float is": Fraction(1, 3),
    "a long double that no float is": np.longdouble("0.1"),
    "infinity of 32 bits": np.float32("inf"),
    "an object": object(),
    "a class": dict,
    "a table": pd.DataFrame({"a": [1]}),
    "an array without a dimension": np.array(5),
}


@pytest.mark.parametrize("value", (MISSING | NO_VALUES).values(), ids=MISSING | NO_VALUES)
def test_what_has_no_form_is_refused_in_query_and_body(
    sandbox: Sandbox, credentials: Credentials, value: object
) -> None:
    with m3ter_nb.login(credentials, base_url=sandbox.url) as session:
        for refused in (
            lambda: session.post("products", json={"name": "P", "code": [value]}),
            lambda: session.get("products", params={"ids": value}),
            lambda: session.get("products", params={"ids": ["a", value]}),
        ):
            with pytest.raises(InvalidArgument, match="Nothing was sent"):
                refused()

    assert len(sandbox.log) == 1


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64("NaT"),
        np.timedelta64("NaT"),
        Decimal("NaN"),
        Decimal("sNaN"),
        np.ma.masked,
        pd.NaT,
        pd.NA,
    ],
    ids=repr,
)
def test_nobody_is_told_to_store_the_text_of_a_missing_value(value: object) -> None:
    with pytest.raises(InvalidArgument, match="None where a value is missing") as caught:
        encode_body({"price": value})

    assert "str(" not in str(caught.value)


ODD_FILTERS = {
    "a dict": {"a": 1},
    "an empty list": [],
    "an empty text": "",
    "blanks": " ",
    "a comma": ",",
    "a comma in a list": [", ,"],
    "an item of nothing": ["a", ""],
    "a list with None": ["a", None],
    "a list of lists": [["a"]],
    "an item with a comma": ["a,b", "c"],
}


@pytest.mark.parametrize("value", ODD_FILTERS.values(), ids=ODD_FILTERS)
def test_a_filter_by_which_nothing_would_be_filtered_is_refused(value: object) -> None:
    with pytest.raises(InvalidArgument, match="The query holds"):
        query_of({"codes": value})


@pytest.mark.parametrize("query", ["ids=", "?ids", "a=1&ids=%20", "ids=&a=1", "ids=,", "ids=%2C+,"])
def test_text_by_which_nothing_would_be_filtered_is_refused(query: str) -> None:
    with pytest.raises(InvalidArgument, match="an empty text, by which nothing is filtered"):
        query_of(query)


@pytest.mark.parametrize("params", [5, ["ab", 1], [("a", "b", "c")], object()])
def test_what_is_no_query_is_refused(params: object) -> None:
    with pytest.raises(InvalidArgument, match="neither a mapping, nor pairs, nor text"):
        query_of(params)


@pytest.mark.parametrize("value", [np.int64(3), np.bool_(True), pd.Timestamp("2026-11-01"), Plan.GOLD])
def test_post_and_the_magic_s_body_send_the_same(value: object) -> None:
    namespace: dict[str, Any] = {"value": value}
    call = parse_call("POST products --body {'x':[value]}", None, namespace)

    assert encode_body(call.json) == encode_body({"x": [value]})


def test_a_series_is_a_list_in_a_query() -> None:
    assert query_of({"ids": pd.Series(["a", "b"]), "n": np.array([1, 2])}) == "ids=a%2Cb&n=1%2C2"


def test_neither_pandas_nor_numpy_is_imported_for_it() -> None:
    script = "import sys, m3ter_nb.wire.encoding as e; e.encode_body({'x': 1.5}); print({'numpy', 'pandas'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["", " ", None, 1])
def test_a_parameter_without_a_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidArgument, match="name is no text, or empty"):
        query_of({name: "x"})


@pytest.mark.parametrize("body", [{None: 1}, {"a": [{1: 1, "1": 2}]}, {True: 1}, {1.5: 1}])
def test_a_field_whose_name_is_no_text_is_refused(body: object) -> None:
    with pytest.raises(InvalidArgument, match="name is no text"):
        encode_body(body)


@pytest.mark.parametrize("params", ["codes=A#B&x=1", b"codes=A#B&x=1"])
def test_a_number_sign_does_not_end_a_query(params: object) -> None:
    assert query_of(params) == "codes=A%23B&x=1"


@pytest.mark.parametrize("value", [bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_in_a_buffer_are_no_list_of_numbers_in_a_query(value: object) -> None:
    with pytest.raises(InvalidArgument):
        query_of({"codes": value})


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "Infinity"])
def test_an_answer_with_nan_or_infinity_is_no_json(number: str) -> None:
    assert decode_body(f'{{"data": [{{"total": {number}}}]}}'.encode()) == (None, False)


#: JSON numbers that no float equals, and one of each kind that some float does.
BEYOND_FLOATS = [
    *("12345678901234567.89", "0.12345678901234567890123", "1e400", "-1e400", "1e-400", "4.9e-324"),
    *("2.2250738585072011e-308", "1e99999999999999999999", "1e-99999999999999999999", "-0"),
]
FLOATS = ["0.1", "1.10", "-0.0", "1E5", "1.7976931348623157e308", "5e-324", "0e0", "0.50000000000000000000"]


@pytest.mark.parametrize("number", [*BEYOND_FLOATS, *FLOATS, "123456789012345678901234567890"])
def test_a_number_is_sent_again_as_the_number_that_was_read_or_typed(number: str) -> None:
    read, is_json = decode_body(f'{{"list": [{number}]}}'.encode())
    typed = parse_call("POST products", f'{{"list": [{number}]}}', {}).json
    spliced = parse_call("POST products", '{"list": [{{value}}]}', {"value": read["list"][0]}).json

    assert is_json
    for body in (typed, *((read, spliced) if number != "-0" else ())):
        sent = json.loads(encode_body(body), parse_float=as_read, parse_int=as_read)["list"][0]
        assert sent == as_read(number)


def as_read(text: str) -> str:
    """Return a number's sign, digits and power of ten, however it is written."""
    digits, _, exponent = text.lower().partition("e")
    whole, _, fraction = digits.lstrip("-").partition(".")
    kept = (whole + fraction).rstrip("0")
    power = int(exponent or 0) + len(whole) - len(kept) if kept.strip("0") else 0
    return f"{'-' if text.startswith('-') else ''}{kept.lstrip('0')}e{power}"


@pytest.mark.parametrize("number", FLOATS)
def test_a_number_that_is_a_float_is_read_as_a_plain_one(number: str) -> None:
    ((read,), _) = decode_body(f"[{number}]".encode())

    assert type(read) is float


def test_digits_go_through_a_frame_a_table_a_query_and_a_snippet() -> None:
    read, _ = decode_body(b'[{"total": 12345678901234567.89}, {"total": 0.5}]')

    assert list(as_records(read).to_frame()["total"]) == [Decimal("12345678901234567.89"), Decimal("0.5")]
    assert "12345678901234567.89" in str(as_records(read))
    assert query_of({"x": read[0]["total"]}) == "x=12345678901234567.89"
    for write in (snippets.curl, snippets.python):
        assert "12345678901234567.89" in write("POST", "https://x.example", json=read)


@pytest.mark.parametrize(
    "value",
    [
        *(Decimal("0.1"), Decimal("1e400"), Fraction(1, 3), np.longdouble("0.1"), 1j, 10**5_000),
        *(
            np.longdouble("1e400"),
            float("inf"),
            np.float32("nan"),
            np.ma.masked,
            np.array(0.1, np.longdouble),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_number_that_cannot_be_sent_exactly_is_refused_in_one_line(value: object) -> None:
    for refused in (
        lambda: encode_body({"x": value}),
        lambda: parse_call("POST x", '{"x": {{v}}}', {"v": value}),
    ):
        with pytest.raises(InvalidArgument) as caught:
            refused()
        assert "\n" not in str(caught.value)


def test_days_go_through_a_frame_and_back_as_they_were() -> None:
    rows = [{"id": "a", "billDate": "2026-11-01"}, {"id": "b", "billDate": "1999-12-31"}]

    assert json.loads(encode_body(as_records(rows).to_frame().to_dict("records"))) == rows
