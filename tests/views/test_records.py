"""Records are plain data that show themselves: masked, cut, escaped, and fast however long the list."""

from __future__ import annotations

import copy
import io
import json
import pickle
import re
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from IPython.lib.pretty import pretty
from wcwidth import wcswidth

import m3ter_nb.views.records
from m3ter_nb.spelling import spell_out
from m3ter_nb.views.records import Record, Records, as_records
from m3ter_nb.views.tabulate import HEAD_ROWS, table_of_entity, table_of_rows
from m3ter_nb.wire.encoding import decode_body

if TYPE_CHECKING:
    from collections.abc import Iterator

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIyOTA2ZDE4ZiJ9.c2lnbmF0dXJl"
PRODUCT = {
    "id": "81c49a54-dfcd-4da5-bbf3-d2885ec025dd",
    "version": 1,
    "customFields": {"tier": "gold"},
    "dtCreated": "2026-10-01T09:30:00.000Z",
    "name": "API calls",
    "code": "api_calls",
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=30),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4)
    ),
    max_leaves=12,
)


class Markup(HTMLParser):
    """Collects the tags, attributes and text of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.cells: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag and its attributes; a cell or a paragraph opens a new text."""
        self.tags.add(tag)
        self.attributes.update(attrs)
        if tag in {"td", "th", "p"}:
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        """Add to the text of the open cell."""
        self.cells[-1] += data


def products(number: int) -> list[dict[str, Any]]:
    return [PRODUCT | {"name": f"Product {index}", "code": f"code_{index}"} for index in range(number)]


def test_a_record_equals_its_dict_and_serialises_as_one() -> None:
    record = as_records(PRODUCT, path="products/1")

    assert record == PRODUCT
    assert json.dumps(record) == json.dumps(PRODUCT)
    assert isinstance(record, dict)


def test_a_list_of_records_equals_its_list_and_serialises_as_one() -> None:
    records = as_records(products(3), path="products")

    assert records == products(3)
    assert json.dumps(records) == json.dumps(products(3))
    assert type(records[0]) is Record


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))]
)
def test_a_copy_keeps_type_and_attributes(duplicate: Any) -> None:
    records = duplicate(Records(products(2), path="products", partial=True, next_token="abc"))

    assert type(records) is Records
    assert records == products(2)
    assert (records.path, records.partial, records.next_token) == ("products", True, "abc")


def test_the_decoded_json_is_not_changed() -> None:
    decoded = {"data": products(1), "nextToken": None}

    as_records(decoded)["data"][0]["name"] = "changed"

    assert type(decoded["data"]) is list
    assert decoded["data"] == products(1)


def test_a_nested_number_is_shown_with_the_digits_that_came() -> None:
    decoded, _ = decode_body(
        b'[{"bands": [{"price": 0.1234567890123456789}]}, {"bands": [1e400, "\\"", null]}]'
    )

    shown = str(as_records(decoded))

    assert '[{"price": 0.1234567890123456789}]' in shown
    assert '[1e400, "\\"", null]' in shown


def test_what_is_neither_list_nor_object_stays_what_it_is() -> None:
    assert as_records("accepted") == "accepted"
    assert as_records(None) is None


def test_a_slice_is_a_list_of_records() -> None:
    part = Records(products(5), path="products")[1:3]

    assert type(part) is Records
    assert part == products(5)[1:3]
    assert "2 products" in str(part).splitlines()


def test_a_page_is_read_as_documented() -> None:
    page = as_records({"data": products(2), "nextToken": "abc"}, path="/organizations/x/products")

    assert page["nextToken"] == "abc"
    assert [product["code"] for product in page["data"]] == ["code_0", "code_1"]
    assert page["data"].next_token == "abc"


def test_a_page_shows_the_table_of_its_data_and_says_that_there_are_more() -> None:
    page = as_records({"data": products(2), "nextToken": "abc"}, path="/organizations/x/products")

    assert str(page).splitlines() == [
        "name       code    id                                    version  dtCreated",
        "──────────────────────────────────────────────────────────────────────────────────────────",
        "Product 0  code_0  81c49a54-dfcd-4da5-bbf3-d2885ec025dd        1  2026-10-01T09:30:00.000Z",
        "Product 1  code_1  81c49a54-dfcd-4da5-bbf3-d2885ec025dd        1  2026-10-01T09:30:00.000Z",
        "2 products",
        "more pages: add --all",
        "not shown: customFields",
    ]


def test_the_last_page_promises_no_more() -> None:
    assert "more pages" not in str(as_records({"data": products(2), "nextToken": ""}))


def test_a_list_that_stopped_at_a_page_says_that_there_are_more() -> None:
    assert "more pages: add --all" in str(Records(products(2), next_token="abc"))


def test_a_usage_query_cut_at_its_limit_says_so() -> None:
    assert "more rows match" in str(as_records({"data": [{"sum": 3}], "hasMoreData": True}))


def test_a_part_of_a_partial_list_is_partial() -> None:
    assert Records(products(3), partial=True)[:2].partial
    assert not Records(products(3))[:2].partial


def test_an_interrupted_list_says_that_it_is_partial() -> None:
    records = Records(products(2), partial=True)

    assert "partial: the reading was cut short" in str(records)
    assert "partial: the reading was cut short" in records._repr_html_()


def test_an_empty_list_says_what_there_is_none_of() -> None:
    assert str(Records(path="/organizations/x/permissionpolicies?ids=a")) == "no permissionpolicies"
    assert str(Records()) == "no rows"
    assert Markup(Records(path="products")._repr_html_()).cells == ["no products"]


def test_one_row_is_counted_in_the_singular() -> None:
    assert str(Records(products(1), path="products")).splitlines()[-2] == "1 product"
    assert str(Records([{"a": 1}], path="permissionpolicies")).splitlines()[-1] == "1 permissionpolicy"


def test_an_entity_shows_a_row_per_field_nested_ones_included() -> None:
    assert str(as_records(PRODUCT)).splitlines() == [
        "name               API calls",
        "code               api_calls",
        "id                 81c49a54-dfcd-4da5-bbf3-d2885ec025dd",
        "version            1",
        "dtCreated          2026-10-01T09:30:00.000Z",
        "customFields.tier  gold",
    ]


def test_an_entity_is_a_two_column_table_in_html() -> None:
    assert Markup(as_records(PRODUCT)._repr_html_()).cells[:4] == ["name", "API calls", "code", "api_calls"]


def test_an_entity_of_many_fields_is_cut_and_one_of_none_says_so() -> None:
    lines = str(Record({f"field{index}": index for index in range(100)})).splitlines()

    assert lines[59:] == ["field59  59", "the first 60 fields; there are more"]
    assert str(Record()) == "no fields"


def test_deeply_nested_data_is_shown_shallow() -> None:
    record = Record({"a": [[[[[["deep"]]]]], {"b": [{"c": [{"d": {"e": 1}}]}]}]})

    assert str(record) == 'a  [[[["…"]]], {"b": [{"c": "…"}]}]'


def test_what_is_added_to_a_list_of_records_becomes_one() -> None:
    records = Records(products(1), path="products")
    records.append(products(2)[1])
    records.extend(products(4)[2:])

    assert records == products(4)
    assert {type(record) for record in records} == {Record}
    assert (records[3].path, records[3].deleted) == ("", False)


def test_a_list_of_records_takes_itself_once_more() -> None:
    records = Records(products(2))

    records.extend(each for each in records[:1])
    records.extend(records)

    assert [record["id"] for record in records] == [record["id"] for record in products(2) + products(1)] * 2


def test_a_long_list_is_never_there_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as many objects are what the garbage collector looks through, too."""
    made: list[Record] = []

    def make(item: dict[str, Any]) -> Record:
        made.append(Record(item))
        return made[-1]

    def entities() -> Iterator[dict[str, Any]]:
        for number in range(3):
            assert len(made) == number
            yield {"id": number}

    monkeypatch.setattr(m3ter_nb.views.records, "Record", make)

    assert Records(entities()) == made


def test_a_list_that_cannot_be_read_to_its_end_adds_nothing() -> None:
    def entities() -> Iterator[dict[str, Any]]:
        yield {"id": 1}
        raise EOFError

    records = Records()
    with pytest.raises(EOFError):
        records.extend(entities())

    assert records == []


def test_a_copied_list_stays_a_list_of_records() -> None:
    duplicate = Records(products(2), path="products", partial=True).copy()

    assert (type(duplicate), duplicate.partial, duplicate.path) == (Records, True, "products")


def test_a_long_list_shows_its_head_and_its_count() -> None:
    markup = Markup(Records(products(10_000), path="products")._repr_html_())

    assert "Product 19" in markup.cells
    assert "Product 20" not in markup.cells
    assert "the first 20 of 10,000 products" in markup.cells


def test_a_long_value_is_cut_in_the_view_only() -> None:
    records = Records([{"name": "x" * 500}])

    assert "x" * 59 + "…" in Markup(records._repr_html_()).cells
    assert records[0]["name"] == "x" * 500


def test_html_that_came_as_data_is_shown_not_run() -> None:
    html = Records([{"name": "<script>alert(1)</script>", "<b>": "&amp;"}])._repr_html_()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert Markup(html).cells == ["name", "<b>", "<script>alert(1)</script>", "&amp;", "1 row"]


ATTRIBUTES = {"aria-label", "class", "role", "scope", "style", "tabindex"}


@settings(deadline=None)
@given(st.lists(json_values, max_size=4), st.text(max_size=20))
def test_no_data_adds_markup(rows: list[Any], path: str) -> None:
    entity = rows[0] if rows and isinstance(rows[0], dict) else {"value": rows}
    for view in (Records(rows, path=path)._repr_html_(), as_records(entity, path=path)._repr_html_()):
        markup = Markup(view)

        assert markup.tags <= {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}
        assert {name for name, _ in markup.attributes} <= ATTRIBUTES
        assert {value for name, value in markup.attributes if name == "style"} <= {
            "margin-bottom: 0",
            "margin: 4px 0 0",
            "overflow-x: auto",
            "text-align: left",
            "text-align: left; overflow-wrap: anywhere",
            "white-space: nowrap",
            "text-align: left; white-space: nowrap",
        }


@settings(deadline=None)
@given(st.lists(json_values, max_size=4), st.integers(20, 120))
@example([["0\x1f\u0300"]], 20)
def test_no_line_of_text_is_wider_than_asked_and_none_deceives(rows: list[Any], width: int) -> None:
    for text in (table_of_rows(rows).text(width), table_of_entity({"value": rows}).text(width)):
        lines = text.split("\n")
        assert all(wcswidth(line) <= width for line in lines)
        assert [spell_out(line) for line in lines] == lines


def test_dollar_signs_are_not_typeset_as_mathematics() -> None:
    assert 'class="tex2jax_ignore mathjax_ignore"' in Records([{"name": "$5 to $10"}])._repr_html_()


def test_a_terminal_sequence_in_the_data_does_not_reach_the_terminal() -> None:
    assert "\\x1b[2Jgone\\n" in str(Records([{"name": "\x1b[2Jgone\n"}]))


def test_a_name_that_reverses_writing_direction_is_spelled_out() -> None:
    assert "\\u202eabc" in Records([{"name": "\u202eabc"}])._repr_html_()


def test_east_asian_text_keeps_the_columns_aligned() -> None:
    lines = str(Records([{"name": "計測", "code": "a"}, {"name": "abcd", "code": "b"}])).splitlines()

    assert lines[2:4] == ["計測  a", "abcd  b"]


def test_repr_is_the_literal_of_the_data() -> None:
    assert repr(as_records([PRODUCT])) == repr([PRODUCT])
    assert repr(as_records(PRODUCT)) == repr(PRODUCT)


def test_ipython_shows_the_table_alone_and_the_literal_inside_other_containers() -> None:
    record = Record({"name": "Acme", "secret": "s3cr3t"})

    assert pretty(record) == "name    Acme\nsecret  ••••"
    assert pretty([record]) == "[{'name': 'Acme', 'secret': '••••'}]"


def test_the_width_follows_a_terminal_and_is_constant_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "60")
    assert str(Records(products(1))).splitlines()[0].endswith("dtCreated")

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert max(len(line) for line in str(Records(products(1))).splitlines()) <= 60


def test_a_table_reads_only_the_rows_that_it_shows() -> None:
    read: set[int] = set()

    class Watched(Record):
        def __iter__(self) -> Iterator[str]:
            read.add(id(self))
            return super().__iter__()

        def __getitem__(self, name: str) -> Any:
            read.add(id(self))
            return super().__getitem__(name)

        def get(self, name: str, default: Any = None) -> Any:
            read.add(id(self))
            return super().get(name, default)

    records = Records(Watched(product) for product in products(10_000))

    assert "10,000" in records._repr_html_()
    assert read == {id(record) for record in records[:HEAD_ROWS]}


def test_a_list_of_plain_values_is_one_column() -> None:
    records = Records(["Notification", "IntegrationEvent"])

    assert list(records.to_frame()["value"]) == ["Notification", "IntegrationEvent"]
    assert Markup(records._repr_html_()).cells[:2] == ["value", "Notification"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "ascii", "cp437", "no such encoding"])
def test_what_stdout_cannot_hold_is_spelled_out(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    known = "ascii" if " " in encoding else encoding
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, known))
    records = Records(
        [{"name": "計測 Zoë", "code": "x" * 80, "secret": "s3cr3t"}, {"name": "b\u202e", "a": [1, 2, 3, 4]}]
    )

    sys.stdout.write(f"{records}\n{records[0]}\n")
    sys.stdout.flush()

    lines = raw.getvalue().decode(known).splitlines()
    assert max(map(len, lines)) <= 100
    assert "\\u8a08\\u6e2c Zo" in lines[2]
    assert lines[1].strip("-") == ""
    assert "s3cr3t" not in raw.getvalue().decode(known)


def test_where_stdout_can_hold_it_nothing_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for stdout in (io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO(), None):
        monkeypatch.setattr(sys, "stdout", stdout)
        assert str(Records([{"name": "計測"}])) == "name\n────\n計測\n1 row"


@pytest.mark.slow
def test_a_million_fields_are_shown_as_fast_as_two_hundred() -> None:
    class Counted(dict[str, Any]):
        """Counts how many of its values are looked at."""

        looked = 0

        def __getitem__(self, name: str) -> Any:
            self.looked += 1
            return super().__getitem__(name)

    fields = {f"field{index:07}": index for index in range(1_000_000)} | {"name": "Wide", "id": "i"}
    row = Counted(fields)

    html, text = Records([row])._repr_html_(), str(Records([row]))

    assert row.looked < 1_000
    assert len(html) < 5_000
    assert len(text) < 5_000
    assert Markup(html).cells[:2] == ["name", "field0000000"]
    assert "id" in Markup(html).cells
    assert text.endswith(", …")
    assert len(Record(fields)._repr_html_()) < 10_000


def test_a_long_list_in_a_cell_is_shortened_to_its_first_items() -> None:
    bands = [{"lowerLimit": index} for index in range(12)]

    assert '[1, 2, 3, "… 97 more"]' in str(Records([{"name": "a", "items": [1, 2, 3, *range(97)]}]))
    assert '"… 9 more"' in str(Record({"pricingBands": bands}))
    assert '"… ' not in str(Record({"pricingBands": bands[:3]}))


def test_a_field_that_is_taken_for_an_attribute_is_told_how_to_take_it() -> None:
    record = as_records({"name": "Acme"})

    with pytest.raises(AttributeError, match=re.escape("['name'] gives this one")):
        _ = record.name
    with pytest.raises(AttributeError, match="'Record' object has no attribute 'nam'"):
        _ = record.nam
    assert copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == record
