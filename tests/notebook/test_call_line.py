"""The language of %m3ter: what a line and a cell mean, and what bad input gets."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import shlex
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from m3ter_nb.auth.token import Token
from m3ter_nb.errors import InvalidArgument, M3terError, NotLoggedIn
from m3ter_nb.notebook.call_line import Call, parse_call
from m3ter_nb.spelling import spell_out
from m3ter_nb.views.records import Records

ID = "81c49a54-dfcd-4da5-bbf3-d2885ec025dd"
# What can be said in UTF-8: half a surrogate pair cannot.
encodable = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | encodable,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(encodable, children, max_size=3),
    max_leaves=8,
)


def call(line: str, cell: str | None = None, **namespace: Any) -> Call:
    return parse_call(line, cell, namespace)


def refusal(line: str, cell: str | None = None, **namespace: Any) -> str:
    """Return the message that a line gets; it is one line, in which nothing deceives."""
    with pytest.raises(InvalidArgument) as caught:
        parse_call(line, cell, namespace)
    message = str(caught.value)
    assert message.splitlines() == [spell_out(message)]
    return message


def test_a_method_and_a_path_are_a_whole_call() -> None:
    assert call("GET products") == Call("GET", "products")


def test_every_option_is_read() -> None:
    assert call("get products pageSize=10 --all --limit 50 --show curl --name=staging --yes") == Call(
        method="GET",
        path="products",
        params={"pageSize": "10"},
        all=True,
        limit=50,
        show="curl",
        name="staging",
        yes=True,
    )


def test_a_value_in_quotes_keeps_its_spaces() -> None:
    line = """GET accounts/search "searchQuery=name:Acme Ltd" note='a "b" c' plain=it\\ is"""

    assert call(line).params == {"searchQuery": "name:Acme Ltd", "note": 'a "b" c', "plain": "it is"}


def test_a_backslash_in_double_quotes_escapes_a_quote_and_itself_only() -> None:
    assert call(r'GET x "a=say \"hi\" in C:\\x \n"').params == {"a": r'say "hi" in C:\x \n'}


def test_a_body_option_that_is_no_expression_is_explained() -> None:
    assert refusal("POST products --body {'a':}").startswith("--body {'a':} is no Python expression: ")


def test_a_broken_string_after_the_body_option_is_no_body() -> None:
    assert "--body" in refusal(r"POST products --body '\x'")


def test_a_name_error_inside_a_function_is_told_as_an_error() -> None:
    def broken() -> None:
        raise NameError("name 'inner' is not defined")

    assert "raised NameError: name 'inner' is not defined." in refusal("GET x/{{broken()}}", broken=broken)


def test_a_key_that_cannot_be_printed_is_refused() -> None:
    assert "cannot be printed" in refusal("GET x 'a\x1b=1'")


def test_a_value_may_hold_an_equals_sign() -> None:
    assert call("GET accounts/search searchQuery=a=b").params == {"searchQuery": "a=b"}


def test_a_repeated_key_is_a_list() -> None:
    assert call("GET accounts codes=a codes=b codes={{more}}", more=["c", "d"]).params == {
        "codes": ["a", "b", "c", "d"]
    }


def test_a_quoted_word_is_never_an_option() -> None:
    assert call("GET products '--note=x'").params == {"--note": "x"}


def test_a_list_from_the_namespace_is_a_list_of_texts() -> None:
    assert call("GET accounts ids={{ids}}", ids=("a", 2)).params == {"ids": ["a", "2"]}


def test_a_list_inside_a_text_is_joined_by_commas() -> None:
    assert call("GET accounts ids=x,{{ids}}", ids=["a", "b"]).params == {"ids": "x,a,b"}


def test_an_expression_may_hold_quotes_braces_and_spaces() -> None:
    line = """GET products/{{ d["an id"] }} a={{ {"k": {"n": 1}}["k"]["n"] }} "b=x {{ d["an id"] }}" """

    parsed = call(line, d={"an id": "p 1"})

    assert parsed.path == "products/p%201"
    assert parsed.params == {"a": "1", "b": "x p 1"}


def test_a_comprehension_sees_the_namespace() -> None:
    assert call(
        "GET accounts ids={{ [p['id'] for p in found if p['id'] != skip] }}", found=[{"id": "a"}], skip="b"
    ) == (Call("GET", "accounts", {"ids": ["a"]}))


def test_evaluation_does_not_change_the_namespace() -> None:
    namespace = {"x": 1}

    parse_call("GET products/{{ (y := x) }}", None, namespace)

    assert namespace == {"x": 1}


def test_double_braces_can_be_sent() -> None:
    assert call('GET products q={{"{{"}}name}}').params == {"q": "{{name}}"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (0.5, "0.5"),
        (True, "true"),
        (dt.date(2026, 10, 1), "2026-10-01"),
        (dt.datetime(2026, 10, 1, 9, 30, tzinfo=dt.UTC), "2026-10-01T09:30:00+00:00"),
        (pd.Timestamp("2026-10-01T09:30Z"), "2026-10-01T09:30:00+00:00"),
        (UUID(ID), ID),
        (Decimal("1.10"), "1.10"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (np.str_("a"), "a"),
    ],
)
def test_a_value_becomes_its_text_in_a_query(value: Any, text: str) -> None:
    assert call("GET events from={{value}}", value=value).params == {"from": text}


def test_an_id_with_a_slash_stays_one_segment() -> None:
    assert call("GET products/{{id}}", id="a/../b?c#d%2F").path == "products/a%2F..%2Fb%3Fc%23d%252F"


def test_the_path_is_percent_encoded() -> None:
    assert call("GET 'products/ü x'").path == "products/%C3%BC%20x"


@pytest.mark.parametrize("path", ["https://other.example/x", "//other.example/x", "/organizations"])
def test_an_absolute_path_passes_through(path: str) -> None:
    assert call(f"GET {path}").path == path


@pytest.mark.parametrize("path", ["../x", "products/..", "products/%2e%2E/x", "products/./x", "{{d}}{{d}}/x"])
def test_a_path_does_not_climb(path: str) -> None:
    assert "climbs" in refusal(f"GET {path}", d=".")


def test_a_value_of_two_dots_does_not_climb() -> None:
    assert "climbs" in refusal("DELETE products/{{id}}", id="..")


@pytest.mark.parametrize(
    ("value", "word"), [("", "is empty"), (None, "is None"), ([1], "is a list"), ({}, "is a dict")]
)
def test_a_path_takes_text_and_numbers_only(value: Any, word: str) -> None:
    assert f"{{{{id}}}} {word}" in refusal("DELETE products/{{id}}", id=value)


def test_an_empty_list_does_not_filter_nothing() -> None:
    assert "{{ids}} is an empty list" in refusal("GET accounts ids={{ids}}", ids=[])


def test_an_item_with_a_comma_would_be_two_items() -> None:
    assert "an item with a comma" in refusal("GET accounts codes={{codes}}", codes=["a,b"])


def test_a_token_stays_out_of_path_query_and_body() -> None:
    token = Token("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIyIn0.c2ln")
    for line, cell in [
        ("GET products/{{t}}", None),
        ("GET products a={{t}}", None),
        ("POST products", '{"a": {{t}}}'),
        ("POST products", '{"a": "x{{t}}"}'),
        ("POST products --body {'a':[t]}", None),
    ]:
        message = refusal(line, cell, t=token)

        assert "is a token or a secret" in message
        assert "eyJ" not in message


def test_a_fragment_in_the_path_is_explained() -> None:
    assert "A path holds no # and no second ?" in refusal("GET products#top")


def test_a_path_copied_from_the_documentation_is_explained() -> None:
    assert "'products' is enough" in refusal("GET /organizations/{orgId}/products")


def test_a_body_is_json_with_values_from_the_namespace() -> None:
    cell = (
        '{"name": {{name}}, "code": "id-{{n}}", "tags": {{tags}}, "when": {{day}}, "nested": {"deep": {{n}}}}'
    )

    assert call(
        "POST products", cell, name='Ac"me\n', n=3, tags=["a", None], day=dt.date(2026, 10, 1)
    ).json == {
        "name": 'Ac"me\n',
        "code": "id-3",
        "tags": ["a", None],
        "when": "2026-10-01",
        "nested": {"deep": 3},
    }


def test_a_text_in_a_json_string_is_escaped() -> None:
    assert call("POST products", '{"a": "say {{text}}"}', text='"hi"\\\n').json == {"a": 'say "hi"\\\n'}


def test_an_escaped_quote_does_not_end_a_json_string() -> None:
    assert call("POST products", '{"a": "\\"{{x}}\\\\", "b": {{x}}}', x="y").json == {"a": '"y\\', "b": "y"}


def test_a_whole_body_can_come_from_the_namespace() -> None:
    assert call("PUT products/1", "{{product}}\n", product=Records([{"a": 1}])[0]).json == {"a": 1}


def test_a_blank_cell_is_no_body() -> None:
    assert call("POST billjobs/1/cancel", "\n").json is None


def test_the_body_option_is_a_python_expression() -> None:
    line = """POST products --body {"name": name + " Ltd", "code": codes["a b"]} --yes"""

    parsed = call(line, name="Acme", codes={"a b": "acme"})

    assert parsed.json == {"name": "Acme Ltd", "code": "acme"}
    assert parsed.yes


@pytest.mark.parametrize(
    "option", ["--body payload", "--body=payload", "--body 'payload if payload else {}'", '--body "payload"']
)
def test_the_body_option_takes_quotes_and_names(option: str) -> None:
    assert call(f"POST products {option}", payload={"name": "Acme"}).json == {"name": "Acme"}


@pytest.mark.parametrize(
    ("cell", "place"),
    [
        ('{"name": "Acme"\n "code": "acme"}', "line 3, column 2"),
        ('{"name": {{name}},\n "code": {{name}} "x"}', "line 3, column 19"),
        ('{"name": {{name}},\n\n "code": }', "line 4, column 10"),
        ("{'name': 1}", "line 2, column 2"),
        ('{"a": 1,\n "NaN": NaN}', "line 3, column 9"),
        ('{"a": "x\n"}', "line 2, column 9"),
        ('{"a": 1} extra', "line 2, column 10"),
        ('{"a" {{name}}}', "line 2, column 6"),
        ('{"a": 1{{n}}}', "line 2, column 8"),
        ('{"a": {{n}}{{n}}}', "line 2, column 12"),
    ],
)
def test_malformed_json_is_placed_as_the_user_sees_it(cell: str, place: str) -> None:
    message = refusal("POST products", cell, name="a name that is much longer than its placeholder", n=2)

    assert place in message
    assert "Nothing was sent." in message


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ('{"name":\u00a0"A"}', "U+00A0 (NO-BREAK SPACE)"),
        ('{"name": "A",\u200b"code": "a"}', "U+200B (ZERO WIDTH SPACE)"),
        ("{\u201cname\u201d: 1}", "U+201C (LEFT DOUBLE QUOTATION MARK)"),
        ('\ufeff{"name": "A"}', "U+FEFF (ZERO WIDTH NO-BREAK SPACE)"),
    ],
)
def test_a_character_that_only_looks_right_is_named(cell: str, name: str) -> None:
    message = refusal("POST x", cell)

    assert f"There stands {name}, which JSON takes inside a text only." in message
    assert name.startswith("U+201C") or f"<{name.partition(' ')[0]}>" in message


def test_malformed_json_shows_the_line_as_it_was_written() -> None:
    message = refusal("POST products", '{"name": {{name}} "x"}', name="hidden")

    assert message.endswith('Nothing was sent. The line is: {"name": {{name}} "x"}')
    assert "hidden" not in message


def test_python_in_place_of_json_is_recognised() -> None:
    assert "--body takes it as Python" in refusal("POST products", "{'name': True}")


def test_a_body_that_is_no_object_is_refused() -> None:
    assert "type str" in refusal("POST products", '"text"')
    assert "type int" in refusal("POST products --body 1+1")


def test_two_bodies_are_refused() -> None:
    assert "two bodies" in refusal("POST products --body {}", "{}")


def test_a_get_sends_no_body() -> None:
    assert "GET sends no body" in refusal("GET products", '{"a": 1}')


@pytest.mark.parametrize("option", ["--all", "--limit 3"])
def test_only_a_list_that_is_read_has_pages(option: str) -> None:
    assert "goes with GET, not with POST" in refusal(f"POST products {option}")


def test_the_largest_body_passes_and_one_byte_more_does_not() -> None:
    largest = "é" * ((512_000 - len('{"a":""}')) // 2)

    assert call("POST products --body {'a':text}", text=largest).json == {"a": largest}
    assert "512,001 bytes" in refusal("POST products --body {'a':text}", text=largest + "x")


@pytest.mark.parametrize("line", ["", "   "])
def test_an_empty_line_shows_an_example(line: str) -> None:
    assert "%m3ter GET products" in refusal(line)


def test_a_method_alone_needs_a_path() -> None:
    assert "GET needs a path" in refusal("GET")
    assert "GET needs a path" in refusal("GET --all")


@pytest.mark.parametrize(
    ("method", "hint"),
    [
        ("GTE", "Did you mean GET?"),
        ("psot", "Did you mean POST?"),
        ("FETCH", "use GET, POST, PUT or DELETE"),
        ("PATCH", "m3ter has no PATCH"),
        ("products", "did you mean %m3ter GET products?"),
    ],
)
def test_an_unknown_method_names_the_known_ones(method: str, hint: str) -> None:
    assert hint in refusal(f"{method} products")


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--al", "Did you mean --all?"),
        ("-limit", "Did you mean --limit?"),
        ("--shw=curl", "Did you mean --show?"),
        ("--xyzzy", "There are --all, --body"),
        ("all", "Did you mean --all?"),
        (
            "pageSize",
            "A word is neither an option nor key=value. A parameter is written key=value, such as pageSize=10.",
        ),
        ("=5", "key=value"),
        ("{{x}}=5", "key=value"),
        ('{"name": "x"}', "A body goes behind --body, or as JSON into the cell below %%m3ter."),
        ("--all --all", "given twice"),
        ("--all=yes", "takes no value"),
        ("--limit", "--limit needs a value"),
        ("--limit --all", "--limit needs a value"),
        ("--show crul", "Did you mean curl?"),
        ("--name 'not a name'", "--name wants a name"),
        ("name=O'Brien", "is not closed"),
        ("--body {'a': 1", "is not closed: } is missing"),
        ("--body {'a", "is not closed: ' is missing"),
        ("--body a | b", "goes into brackets or quotes"),
    ],
)
def test_a_word_that_fits_nowhere_gets_a_hint(word: str, hint: str) -> None:
    assert hint in refusal(f"GET products {word}", a={}, b={})


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "ten", "1_0", "٣", "9" * 5000, "{{n}}"])
def test_a_limit_is_a_positive_whole_number(limit: str) -> None:
    assert "--limit wants a positive whole number" in refusal(f"GET products --limit {limit}", n=[1])


def test_an_undefined_name_is_named_with_its_neighbour() -> None:
    message = refusal("GET products/{{prodct_id}}", product_id="x")

    assert message == "{{prodct_id}}: the name 'prodct_id' is not defined. Did you mean 'product_id'?"


def test_a_json_word_in_python_is_translated() -> None:
    assert "In Python it is True." in refusal("POST products --body {'a':true}")


def test_double_braces_in_the_body_option_are_explained() -> None:
    assert "write name there, not {{name}}" in refusal('POST products --body {"a":{{name}}}', name="x")


def test_an_expression_that_raises_is_named_with_its_error() -> None:
    message = refusal("GET products/{{ d['missing'] }}", d={})

    assert message == "{{ d['missing'] }} raised KeyError: 'missing'."


def test_an_error_of_many_lines_is_told_in_one() -> None:
    def fail() -> None:
        raise ValueError("first\nsecond")

    assert "raised ValueError: first second." in refusal("GET products/{{fail()}}", fail=fail)


def test_our_own_error_inside_an_expression_passes_unchanged() -> None:
    def not_yet() -> None:
        raise NotLoggedIn("Not logged in yet: submit the form above, then run this cell again")

    with pytest.raises(NotLoggedIn, match="submit the form above"):
        call("GET products/{{not_yet()}}", not_yet=not_yet)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{{", "is not closed"),
        ("{{x", "is not closed"),
        ("{{}}", "is empty"),
        ("{{ }}", "is empty"),
        ("{{a b}}", "holds no Python expression"),
        ("{{x = 1}}", "holds no Python expression"),
        ("{{import os}}", "holds no Python expression"),
    ],
)
def test_a_placeholder_that_is_no_expression_is_explained(text: str, problem: str) -> None:
    assert problem in refusal(f"GET products/{text}", x="1")
    assert problem in refusal("POST products", f'{{"a": {text} }}', x="1")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({1, 2}, "type set, which has no JSON form: use list(...)"),
        (Decimal("1.1"), "type Decimal, which has no JSON form: use float(...) or str(...)"),
        (pd.Series([1]), "type Series, which has no JSON form: use .tolist()"),
        (np.array([1]), "type ndarray, which has no JSON form: use .tolist()"),
        (np.datetime64("2026-10-01T09:30", "ns"), "type datetime64, which has no JSON form: use str(...)"),
        (pd.DataFrame({"a": [1]}), 'type DataFrame, which has no JSON form: use .to_dict("records")'),
        (object(), "type object, which has no JSON form"),
        (pd.NaT, "type NaTType"),
        (math.nan, "holds nan"),
        (-math.inf, "holds -inf"),
        ({1: "a"}, "a key of type int"),
    ],
)
def test_what_json_cannot_hold_is_named_with_its_type(value: Any, problem: str) -> None:
    for line, cell in [("POST products", '{"a": {{value}}}'), ("POST products --body {'a':value}", None)]:
        message = refusal(line, cell, value=value)

        assert problem in message
        assert "value" in message.partition(" holds ")[0]


def test_a_value_that_holds_itself_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)

    assert "holds itself" in refusal("POST products --body x", x={"a": circle})


def test_numbers_of_numpy_become_plain_numbers() -> None:
    body = call(
        "POST products --body x",
        x={"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(1), "d": Fraction(1, 4)},
    )

    assert json.dumps(body.json) == '{"a": 3, "b": 0.5, "c": true, "d": 0.25}'


@pytest.mark.parametrize("line", ["GET products/{{x}}", "GET products a={{x}}", "GET 'products/\ud800'"])
def test_half_a_character_fits_no_url(line: str) -> None:
    assert "half a character" in refusal(line, x="\ud800")


def looks_filled_elsewhere(value: str) -> bool:
    """Say whether a value is refused because a shell, or another magic, would have filled it in."""
    return re.search(r"\$\{?[^\W\d](?![\w.]*[:<>])|\{[^{}]*\}|%\(\w+\)s", value) is not None


@pytest.mark.parametrize(
    "value",
    [
        *(
            "$$code",
            "$a.b",
            "x-$code",
            "x-{code}",
            "{code}-x",
            "{{code}},{code}",
            "{{code}}$code",
            "{}",
            "{0}",
        ),
        *("{a.b}", "{code!r}", "%(code)s", "acme,${code}", "$ñandú", '"{ code }"'),
    ],
)
def test_a_filter_that_only_another_language_would_fill_in_is_refused(value: str) -> None:
    assert "a value is written {{name}}" in refusal(f"GET accounts codes={value}", code="acme")


@pytest.mark.parametrize("value", ["{code}", "US$", "$5", "100%", "$code"])
def test_text_with_braces_or_a_dollar_can_be_sent_as_a_value(value: str) -> None:
    assert call("GET accounts codes={{value}}", value=value).params == {"codes": value}


@pytest.mark.parametrize("text", ["$code", "${code}", "{code}", "{ code!r }", "{code:>9}"])
def test_a_variable_in_the_form_of_another_language_is_no_text_of_a_body(text: str) -> None:
    for cell in (f'{{"a": "x{{{{code}}}}", "code": "{text}"}}', f'{{"codes": ["a", "{text}" ]}}'):
        assert "a value is written {{name}}" in refusal("POST products", cell, code="acme")

    assert call("POST products", '{"code": {{text}}}', text=text, code="acme").json == {"code": text}


def test_a_text_in_braces_that_names_no_variable_is_a_text_of_a_body() -> None:
    cell = '{"a": "{region}", "b": "$5", "c": "is {code} or $code"}'

    assert call("POST products", cell, code="acme").json == json.loads(cell)


@pytest.mark.parametrize(
    "cell",
    ['{"code": "a", "code": "b"}', '{"x": [{"code": 1, "name": 2, "code": 1}]}', '{"code": 1, "{{key}}": 2}'],
)
def test_a_field_that_stands_twice_in_one_object_is_refused(cell: str) -> None:
    assert '"code" twice in one object' in refusal("POST products", cell, key="code")


@pytest.mark.parametrize("torn", ["codes = acme", "codes =acme", "codes= acme", "pageSize=5 codes = acme"])
def test_spaces_around_the_equals_sign_of_a_parameter_or_a_field_are_named(torn: str) -> None:
    assert refusal(f"GET accounts {torn}").endswith(": codes=acme, not codes = acme.")
    assert refusal(f"PUT accounts/1 --set {torn}").endswith(': name="New name", not name = "New name".')


def test_two_equals_signs_are_no_filter_by_a_text_that_begins_with_one() -> None:
    assert "key=value" in refusal("GET accounts codes==acme")


def test_an_option_that_is_meant_is_named_by_its_letters_and_a_filter_is_told_from_an_option() -> None:
    assert "Did you mean --yes" not in refusal("GET accounts --codes=acme")
    assert "A filter has no dashes" in refusal("GET accounts --codes=acme")
    assert "Did you mean --limit?" in refusal("GET accounts -limt 5")


@settings(deadline=None)
@given(st.dictionaries(encodable.filter(lambda key: key.isprintable()), encodable, max_size=4))
@example({"a": "{A}"})
def test_quoted_words_come_back_as_they_were(params: dict[str, str]) -> None:
    wanted = {
        key: value
        for key, value in params.items()
        if key and "=" not in key and "{{" not in key + value and not value.startswith("=")
        if not looks_filled_elsewhere(value)
    }
    # shlex.quote leaves a harmless word bare, and a bare word that starts with a dash is an option.
    words = [shlex.quote(f"{key}={value}") for key, value in wanted.items() if not key.startswith("-")]
    words += [f"''{shlex.quote(f'{key}={value}')}" for key, value in wanted.items() if key.startswith("-")]
    line = " ".join(["GET products", *words])

    assert call(line).params == wanted


@settings(deadline=None)
@given(encodable)
@example("{A}")
@example("$A\U0001342f")  # of no known script, and shown as it is
def test_a_value_in_double_quotes_comes_back_as_it_was(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("{{", "{ {")
    if value.startswith("="):
        assert "key=value" in refusal(f'GET products "a={escaped}"')
        return
    if looks_filled_elsewhere(value.replace("{{", "{ {")):
        assert "a value is written {{name}}" in refusal(f'GET products "a={escaped}"')
        return

    assert call(f'GET products "a={escaped}"').params == {"a": value.replace("{{", "{ {")}


@settings(deadline=None)
@given(st.text(max_size=60), st.none() | st.text(max_size=60))
@example("GET {{" + "(" * 300 + "}}", None)
@example("POST x", "[" * 5_000)
@example("POST x", '{"a": {{"' + "\0" + '"}}}')
@example("GET x a={{'\\ud800'}}", None)
@example("GET x a={{10**5000}}", None)
@example("POST x", '{"a": ' + "9" * 5_000 + "}")
def test_no_input_raises_anything_but_our_errors(line: str, cell: str | None) -> None:
    with suppress(M3terError):
        parse_call(line, cell, {"x": 1})


@settings(deadline=None)
@given(
    st.text("GEPOSTgetx={}'\"\\ \n-[]()1.,:abody limt~/?#%", max_size=60),
    st.none() | st.text("{}[]\":,\\ 1x\ntrue'", max_size=40),
)
def test_no_near_miss_raises_anything_but_our_errors(rest: str, cell: str | None) -> None:
    with suppress(M3terError):
        parse_call(f"POST products {rest}", cell, {"x": 1})


@settings(deadline=None)
@given(encodable)
def test_a_value_never_adds_a_segment(value: str) -> None:
    try:
        path = call("GET products/{{value}}/x", value=value).path
    except InvalidArgument:
        assert value in {"", ".", ".."}
        return

    assert path.split("/")[0::2] == ["products", "x"]
    assert unquote(path.split("/")[1]) == value


@settings(deadline=None)
@given(json_values, encodable)
def test_a_filled_body_holds_the_values_of_the_namespace(value: Any, text: str) -> None:
    body = call("POST products", '{"a": {{value}}, "b": ["{{text}}-"]}', value=value, text=text).json

    assert body == {"a": value, "b": [f"{text}-"]}
