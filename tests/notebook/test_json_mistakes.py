"""What is wrong with a text that is no JSON is named, with its place, and so is what stands twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.call_line import parse_call
from m3ter_nb.notebook.json_mistakes import find_mistake

MISTAKES: list[tuple[str, str, str]] = [
    ('{"a": 1,}', "line 2, column 8", "a comma before }"),
    ('{\n "a": [1,\n 2, ],\n}', "line 4, column 3", "a comma before ]"),
    ('{"a": 1,, "b": 2}', "line 2, column 9", "two commas"),
    ("{'a': 1}", "line 2, column 2", "a single quote"),
    ("{\"a\": 'x'}", "line 2, column 7", "a single quote"),
    ('{"a": \u201cx\u201d}', "line 2, column 7", "\u201c is a typographic quote"),
    (
        '{"a": {"b": 1}',
        "line 2, column 15",
        "} is missing at the end (its bracket opens at line 2, column 1)",
    ),
    ('{"a":\n[1, 2}', "line 3, column 6", "} where ] is missing (its bracket opens at line 3, column 1)"),
    ('{"a": 1}}', "line 2, column 9", "a } too many"),
    ('{"a": 1, // one\n "b": 2}', "line 2, column 10", "a comment"),
    ('{"a": 1 # one\n}', "line 2, column 9", "a comment"),
    ('{"a": /* one */ 1}', "line 2, column 7", "a comment"),
    ('{"a": True}', "line 2, column 7", "True is Python's: JSON has true"),
    ('{"a": [None]}', "line 2, column 8", "None is Python's: JSON has null"),
    ('{"a": NaN}', "line 2, column 7", "no value of JSON: leave the field out"),
    ('{"a": -Infinity}', "line 2, column 7", "no value of JSON: leave the field out"),
    ('{"a": undefined}', "line 2, column 7", "no value of JSON: leave the field out"),
    ('{"a": 1}\n{"b": 2}', "line 3, column 1", "a second value behind the first"),
    ('{"a": 1}, {"b": 2}', "line 2, column 9", "a second value behind the first"),
    (
        '{"a": 1, "b": 2,\n "a": 3}',
        "line 3, column 2",
        "twice in one object: keep one of them (first at line 2, column 2)",
    ),
    ('{"x": [{"b": 1, "b": 2}]}', "line 2, column 17", "twice in one object"),
    (r'{"a": 1, "\u0061": 2}', "line 2, column 10", "twice in one object"),
    ('{"a" 1}', "line 2, column 6", "the colon between a name and its value is missing"),
    ('{"a" = 1}', "line 2, column 6", "= in the place of the colon"),
    ('{"a": 1\n "b": 2}', "line 3, column 2", "a comma is missing before this"),
    ('{"a": 1; "b": 2}', "line 2, column 8", "; in the place of a comma"),
    ("{a: 1}", "line 2, column 2", "a bare name"),
    ('{"a": x}', "line 2, column 7", "a bare word"),
    ('{"a": 01}', "line 2, column 7", "no number as JSON has them"),
    ('{"a": 1_000}', "line 2, column 7", "no number as JSON has them"),
    ('{"a":}', "line 2, column 6", "a value is missing before }"),
    ('{"a": "x\ny"}', "line 2, column 9", "a text that does not end on its line"),
    ('{"a": "x\ty"}', "line 2, column 9", "a tab or another control character"),
    ('{"a": "C:\\dir"}', "line 2, column 10", "a backslash"),
    ('{"a": {{x}}, }', "line 2, column 12", "a comma before }"),
    ('{"a":\u00a01}', "line 2, column 6", "U+00A0 (NO-BREAK SPACE)"),
]


@pytest.mark.parametrize(("cell", "place", "told"), MISTAKES)
def test_the_mistake_itself_is_named_with_its_place(cell: str, place: str, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_call("POST products", cell, {"x": 1})

    said = str(caught.value)
    assert f"malformed JSON at {place}: " in said
    assert told in said
    assert ("--body takes it as Python" in said) is ("single quote" in told or "Python's" in told)


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (
            '\'address={"country": "GB",}\'',
            "address takes an object in JSON: at column 17 of the value, a comma before }",
        ),
        ("\"address={'country': 'GB'}\"", "at column 2 of the value, a single quote"),
        ("'address={\"country\": True}'", "at column 13 of the value, True is Python's"),
        ('\'address={"country": "GB"\'', "} is missing at the end (its bracket opens at column 1)"),
        ('address={"country":"GB"}', "White space and quotes go into single quotes"),
        (
            '\'address={"country": "GB", "country": "US"}\'',
            "twice in one object: keep one of them (first at column 2)",
        ),
        (
            "'customFields.x={\"a\": 1,}'",
            "looks like JSON and is none: at column 8 of the value, a comma before }",
        ),
    ],
)
def test_the_mistake_in_a_value_is_named_with_its_column(pair: str, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_call(f"PUT accounts/1 --set {pair}", None, {})

    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["[draft]", "{x}", "[1,2", "(a)", "a: {b}"])
def test_a_text_with_brackets_is_a_text(text: str) -> None:
    edits = parse_call(f"PUT accounts/1 --set 'customFields.x={text}'", None, {}).edits

    assert edits is not None
    assert edits.changes == {"customFields.x": text}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{a: 1}", "The name of a field stands in quotes."),
        ('{"a": true}', "In Python it is True."),
        ('{"a": NaN}', "JSON has no such value"),
    ],
)
def test_what_is_no_python_in_an_expression_is_named(body: str, told: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parse_call(f"POST products --body {body}", None, {})

    assert told in str(caught.value)


def is_json(text: str) -> bool:
    def refuse(_: object) -> None:
        raise ValueError

    def once(pairs: list[tuple[str, Any]]) -> None:
        if len(dict(pairs)) < len(pairs):
            raise ValueError

    try:
        json.loads(text, parse_constant=refuse, object_pairs_hook=once)
    except ValueError:
        return False
    return True


@given(st.text(alphabet="{}[],:\"\\ \n\t01.-+eEtruefalsnN/#'\u201c\u00e9\ud800", max_size=12))
def test_there_is_a_mistake_in_what_is_no_json_and_in_nothing_else(text: str) -> None:
    assert (find_mistake(text) is None) is is_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.data())
def test_a_character_that_is_lost_or_doubled_is_a_mistake_or_leaves_json(
    value: Any, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    at = data.draw(st.integers(0, len(text) - 1))
    for changed in (text, text[:at] + text[at + 1 :], text[: at + 1] + text[at:]):
        assert (find_mistake(changed) is None) is is_json(changed)
