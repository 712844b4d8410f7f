"""The sandbox's table of operations against the document that it was derived from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import fastjsonschema

import surface

if TYPE_CHECKING:
    from collections.abc import Callable


def allows(validate: Callable[[str], Any], text: str) -> bool:
    try:
        validate(text)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


def test_the_committed_table_is_what_the_document_says(document: dict[str, Any]) -> None:
    assert surface.TABLE.read_text("utf-8") == surface.render(surface.derive(document))


def test_the_table_holds_every_operation_once(document: dict[str, Any]) -> None:
    table = surface.derive(document)
    named = [
        *(name for entry in table["collections"].values() for name in entry["operations"].values()),
        *(entry["operation"] for entry in table["views"].values()),
        *(name for entry in table["singletons"].values() for name in entry["operations"].values()),
        *table["others"].values(),
    ]
    documented = [
        operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if path != "/oauth/token" and method in ("get", "post", "put", "delete")
    ]

    assert sorted(named) == sorted(documented)


def test_the_documented_page_sizes_are_in_the_table(document: dict[str, Any]) -> None:
    sizes = {path: entry["page_size_max"] for path, entry in surface.derive(document)["collections"].items()}

    assert (sizes["products"], sizes["accounts"], sizes["meters"], sizes["events"]) == (200, 100, 100, 100)


def test_the_patterns_of_the_table_say_what_the_document_means() -> None:
    code, field = (fastjsonschema.compile({"pattern": pattern}) for pattern in surface.PATTERNS.values())

    assert [allows(code, text) for text in ("a", "a b", "é-1", " a", "a ", "a\tb", "a\n", "")] == [
        True, True, True, False, False, False, False, False,
    ]  # fmt: skip
    assert [allows(field, text) for text in ("a", "_a1", "$a", "ü", "1a", "a-b", "a b", "")] == [
        True, True, True, True, False, False, False, False,
    ]  # fmt: skip
