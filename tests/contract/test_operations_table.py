"""The package's table of the API's facts against the documents that it was derived from."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING, Any

import pytest

import operations_table
import surface
from m3ter_nb.api import facts

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the document says of a value, and the table must say too.
LIMITS = ("enum", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems")
Schema = dict[str, Any]


@pytest.fixture(scope="module")
def index() -> str:
    if not operations_table.INDEX.exists():
        pytest.skip(
            f"the documentation index is not at {operations_table.INDEX}: name its path in M3TER_DOCS_INDEX"
        )
    return operations_table.INDEX.read_text("utf-8")


def documented(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    """Yield method, path and description of every operation, as the document has them."""
    for path, item in document["paths"].items():
        for method in {"get", "post", "put", "delete"} & set(item):
            yield method.upper(), path, item[method]


def field_rules(
    document: Schema, schema: Schema, at: str = "", above: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Any]]:
    """Yield place, keyword and value of every rule within a schema: read here anew, without the script's code."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in above:
            return
        above = (*above, name)
        schema = document["components"]["schemas"][name]
    for part in schema.get("allOf", ()):
        yield from field_rules(document, part, at, above)
    for keyword in LIMITS:
        if keyword in schema:
            yield at, keyword, schema[keyword]
    for name in schema.get("required", ()):
        yield at, "required", name
    for name, field in schema.get("properties", {}).items():
        yield at, "field", name
        yield from field_rules(document, field, f"{at}.{name}", above)
    if "items" in schema:
        yield from field_rules(document, schema["items"], f"{at}[]", above)


def table_rules(shape: Schema, at: str = "") -> Iterator[tuple[str, str, Any]]:
    """Yield the same of a shape of the table."""
    for keyword in LIMITS:
        if keyword in shape:
            yield at, keyword, shape[keyword]
    for name in shape.get("required", ()):
        yield at, "required", name
    for name, field in shape.get("properties", {}).items():
        yield at, "field", name
        yield from table_rules(field, f"{at}.{name}")
    if "items" in shape:
        yield from table_rules(shape["items"], f"{at}[]")
    for variant in shape.get("oneOf", ()):
        yield from table_rules(variant, at)


def test_the_committed_table_is_what_the_documents_say(document: Schema, index: str) -> None:
    derived = surface.render(operations_table.derive(document, index))

    assert operations_table.TABLE.read_text("utf-8") == derived


def test_every_operation_is_found_by_its_path_with_ids_and_with_placeholders(document: Schema) -> None:
    operations = list(documented(document))

    assert len(operations) == len(facts.operations()) == 323
    for method, path, operation in operations:
        for written in (path, path.replace("{", "").replace("}", "-1")):
            found = facts.find(
                method, written.replace("/organizations/{orgId}/", "").replace("/organizations/orgId-1/", "")
            )
            assert found is not None, path
            assert found.name == operation["operationId"]


def test_every_parameter_is_in_the_table_with_type_enum_and_limits(document: Schema) -> None:
    for method, path, operation in documented(document):
        found = facts.find(method, path)
        assert found is not None
        for place, known in (("path", found.parameters), ("query", found.query)):
            said = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] == place}
            said.pop("orgId", None)
            assert set(known) == set(said), (method, path)
            for name, schema in said.items():
                resolved = surface.resolve(document, schema.get("allOf", [schema])[0])
                assert known[name]["type"] == resolved["type"], (path, name)
                assert {k: known[name].get(k) for k in LIMITS} == {k: resolved.get(k) for k in LIMITS}, (
                    path,
                    name,
                )


def test_every_field_of_a_body_is_in_the_table_with_what_is_required_and_its_limits(document: Schema) -> None:
    seen = 0
    for method, path, operation in documented(document):
        found = facts.find(method, path)
        assert found is not None
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is None:
            assert found.body is None
            continue
        assert found.body is not None, (method, path)
        variants = content["schema"].get("anyOf", [content["schema"]])
        rules = list(table_rules(dict(found.body)))
        for variant in variants:
            for rule in field_rules(document, variant):
                if rule[1] == "enum":
                    # A variant, or an "allOf", leaves fewer of them.
                    chosen = [
                        value for at, word, values in rules if (at, word) == rule[:2] for value in values
                    ]
                    assert set(chosen) & set(rule[2]), (method, path, rule)
                else:
                    assert rule in rules, (method, path, rule)
                seen += 1
    assert seen > 1_500


def test_the_variants_of_a_body_count_as_one_choice() -> None:
    schedule = facts.find("POST", "dataexports/schedules")
    assert schedule is not None

    assert facts.fields_of(schedule.body)["sourceType"] == {"enum": ["USAGE", "OPERATIONAL"]}


def test_every_field_of_an_answer_is_in_the_table(document: Schema) -> None:
    for method, path, operation in documented(document):
        found = facts.find(method, path)
        content = operation["responses"].get("200", {}).get("content", {}).get("application/json")
        if found is None or content is None:
            continue
        schema = surface.resolve(document, content["schema"])
        if found.many == "pages":
            assert "data" in schema["properties"]
            schema = schema["properties"]["data"]["items"]
        elif found.many == "list":
            schema = schema["items"]
        names = {
            rule[2]
            for part in schema.get("anyOf", [schema])
            for rule in field_rules(document, part)
            if rule[:2] == ("", "field")
        }
        assert set(facts.fields_of(found.answer)) == names, (method, path)


def test_every_operation_has_its_page_and_the_page_is_in_the_index(index: str) -> None:
    pages = set(re.findall(r"\((https://docs\.m3ter\.com/api/\S+?)(?:\.md)?\)", index))

    assert {operation.docs for operation in facts.operations()} <= pages


def test_an_operation_whose_summary_is_a_title_of_the_index_has_that_page(
    document: Schema, index: str
) -> None:
    titles: dict[str, set[str]] = {}
    for title, url in re.findall(r"^- \[([^\]]+)\]\((\S+?)(?:\.md)?\)", index, re.MULTILINE):
        titles.setdefault(title, set()).add(url)
    matching = [
        (found.docs, titles[operation["summary"]])
        for method, path, operation in documented(document)
        if operation["summary"] in titles and (found := facts.find(method, path))
    ]

    assert len(matching) >= 315
    assert all(docs in pages for docs, pages in matching)
    assert [facts.find("GET", path).docs for path in ("lineitems", "bills/1/lineitems")] == [  # type: ignore[union-attr]  # both are known
        "https://docs.m3ter.com/api/line-item/list-line-items",
        "https://docs.m3ter.com/api/bill/list-line-items",
    ]


def test_the_fields_that_only_a_put_takes_are_known() -> None:
    hidden = {operation.path: operation.put_only for operation in facts.operations() if operation.put_only}

    assert hidden == {
        "bills/{billId}/creditlineitems/{id}": ("accountingProductId", "amountToApplyOnBill", "reasonId"),
        "bills/{billId}/debitlineitems/{id}": ("accountingProductId", "amountToApplyOnBill", "reasonId"),
        "integrationconfigs/{id}": ("configData", "credentials", "integrationCredentialsId", "name"),
        "integrationdestinations/webhooks/{id}": ("credentials",),
        "lookuptables/{lookupTableId}/revisions/{lookupTableRevisionId}/data/{lookupKey}": ("item",),
    }


def shingles(text: str, words: int = 7) -> set[tuple[str, ...]]:
    """Return every run of so many words."""
    found = re.findall(r"[a-z0-9']+", re.sub(r"https?://\S+", "", text.lower()))
    return set(zip(*(found[start:] for start in range(words)), strict=False))


def prose_of(node: Any) -> Iterator[str]:
    """Yield every description and summary within a part of the document."""
    if isinstance(node, list):
        for value in node:
            yield from prose_of(value)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in ("description", "summary") and isinstance(value, str):
                yield value
            yield from prose_of(value)


def enums_of(node: Any) -> Iterator[str]:
    """Yield the words of every enumeration of the document: facts, which its prose lists too."""
    if isinstance(node, list):
        for value in node:
            yield from enums_of(value)
    elif isinstance(node, dict):
        if isinstance(node.get("enum"), list):
            yield " ".join(map(str, node["enum"])).replace("_", " ")
        for value in node.values():
            yield from enums_of(value)


def test_no_sentence_of_the_document_is_in_the_package(document: Schema) -> None:
    prose = set().union(
        *(shingles(text) for part in ("paths", "components") for text in prose_of(document[part]))
    )
    prose -= set().union(*map(shingles, enums_of(document)))
    files = [
        path for path in (surface.ROOT / "m3ter_nb").rglob("*") if path.suffix in (".py", ".json", ".js")
    ]
    copied = {
        path.name: found
        for path in files
        if (found := shingles(path.read_text("utf-8").replace("_", " ")) & prose)
    }

    assert len(prose) > 10_000
    assert copied == {}


def test_the_table_takes_at_most_60_kb_of_the_wheel() -> None:
    assert len(zlib.compress(operations_table.TABLE.read_bytes())) <= 60_000


def test_loading_the_extension_reads_no_table() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
        "s.run_line_magic('load_ext', 'm3ter_nb'); import m3ter_nb.api.facts as f; print(f._table.cache_info().currsize)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.strip() == "0"
