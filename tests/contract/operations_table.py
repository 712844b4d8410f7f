"""Derive the package's table of the API's facts (``m3ter_nb/api/operations.json``) from the OpenAPI document.

Run ``python tests/contract/operations_table.py`` to write both tables anew, this one and the sandbox's;
``test_operations_table.py`` holds the committed file to the documents. The pages' addresses come from the documentation
index. All prose is dropped: what stays are names, types, limits and addresses.
"""

from __future__ import annotations

import copy
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import surface

#: The documentation index: where ``M3TER_DOCS_INDEX`` says, else beside the OpenAPI document.
INDEX = Path(os.environ.get("M3TER_DOCS_INDEX") or surface.DOCUMENT.with_name("llms.txt"))
TABLE = surface.ROOT / "m3ter_nb" / "api" / "operations.json"
METHODS = ("get", "post", "put", "delete")
#: What of an answer's field is kept: enough to find it, and to read a value for it.
ANSWER_KEYWORDS = frozenset(
    {"type", "format", "enum", "items", "properties", "additionalProperties", "oneOf"}
)
_ENTRY = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<url>https://\S+?)(?:\.md)?\)", re.MULTILINE)


def derive(document: dict[str, Any], index: str) -> dict[str, Any]:
    """Return the table: every operation by ``METHOD path``, and the shapes that they name."""
    document = with_variants(document)
    pages = pages_of(index)
    shapes: dict[str, Any] = {}
    operations = {
        f"{method.upper()} {path.removeprefix(surface.PREFIX)}": described(
            document, path, operation, pages, shapes
        )
        for path, item in sorted(document["paths"].items())
        for method, operation in sorted(item.items())
        if method in METHODS
    }
    for key, operation in operations.items():
        if key.startswith("PUT ") and (hidden := put_only(operations, shapes, key)):
            operation["put_only"] = hidden
    return {"operations": operations, "shapes": dict(sorted(shapes.items()))}


def with_variants(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the variants that a schema's discriminator names written out."""
    document = copy.deepcopy(document)
    for schema in document["components"]["schemas"].values():
        mapping = schema.get("discriminator", {}).get("mapping", {})
        if mapping and not {"oneOf", "anyOf"} & set(schema):
            schema["oneOf"] = [{"$ref": target} for target in mapping.values()]
    return document


def pages_of(index: str) -> dict[str, list[str]]:
    """Return the addresses of the API reference's pages, for people, by a title without spaces and articles."""
    pages: dict[str, list[str]] = {}
    for entry in _ENTRY.finditer(index):
        if "/api/" in entry["url"]:
            pages.setdefault(_key(entry["title"]), []).append(entry["url"])
    return pages


def page_of(operation: dict[str, Any], pages: dict[str, list[str]]) -> str:
    """Return the address of an operation's page: by its summary, else by its name; of two, the one of its tag."""
    found = pages.get(_key(operation["summary"])) or pages.get(_key(operation["operationId"])) or []
    tag = re.sub(r"\s", "-", operation["tags"][0].lower())
    return next((url for url in found if f"/api/{tag}/" in url), found[0] if found else "")


def described(
    document: dict[str, Any],
    path: str,
    operation: dict[str, Any],
    pages: dict[str, list[str]],
    shapes: dict[str, Any],
) -> dict[str, Any]:
    """Return the facts of one operation, and add the shapes that it names."""
    facts: dict[str, Any] = {"name": operation["operationId"], "docs": page_of(operation, pages)}
    if operation.get("deprecated"):
        facts["deprecated"] = True
    for place in ("path", "query"):
        parameters = {
            parameter["name"]: _parameter(document, parameter)
            for parameter in operation.get("parameters", ())
            if parameter["in"] == place and parameter["name"] != "orgId"
        }
        if parameters:
            facts[place] = parameters
    if (body := surface.body_schema(document, operation)) is not None:
        facts["body"] = _body_name(operation)
        shapes[facts["body"]] = body
    facts.update(_answer(document, operation, shapes))
    return facts


def put_only(operations: dict[str, Any], shapes: dict[str, Any], key: str) -> list[str]:
    """Return the fields that a PUT takes and the GET of the same path does not give, credentials always among them."""
    read = operations.get(key.replace("PUT", "GET", 1))
    body = operations[key].get("body")
    if read is None or body is None or "answer" not in read:
        return []
    given = fields_of(shapes[read["answer"]])
    return sorted(name for name in fields_of(shapes[body]) if name not in given or name == "credentials")


def fields_of(shape: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a shape, those of all its variants among them."""
    fields = dict(shape.get("properties", {}))
    for variant in shape.get("oneOf", ()):
        fields.update(variant.get("properties", {}))
    return fields


def _key(title: str) -> str:
    return re.sub(r"\ban?\b|[\W_]", "", title.lower())


def _parameter(document: dict[str, Any], parameter: dict[str, Any]) -> dict[str, Any]:
    facts = surface.compact(document, parameter["schema"])
    if parameter.get("required") and parameter["in"] == "query":
        facts["required"] = True
    return facts


def _body_name(operation: dict[str, Any]) -> str:
    for media, described_ in operation["requestBody"]["content"].items():
        if "json" in media and "$ref" in described_["schema"]:
            return str(described_["schema"]["$ref"].rpartition("/")[2])
    return f"{operation['operationId']}Request"


def _answer(document: dict[str, Any], operation: dict[str, Any], shapes: dict[str, Any]) -> dict[str, Any]:
    """Return the name of the shape of what is answered, and whether it comes alone, on pages or as a list."""
    for content in operation["responses"].get("200", {}).get("content", {}).values():
        name, many = surface.response_name(operation), {}
        shape = surface.compact(document, content["schema"])
        if name.startswith("Paginated"):
            many = {"many": "pages"}
            items = surface.resolve(document, content["schema"])["properties"]["data"]["items"]
            name = items.get("$ref", name).rpartition("/")[2]
            shape = shape["properties"]["data"]["items"]
        elif shape.get("type") == "array":
            many, shape = {"many": "list"}, shape["items"]
            name = content["schema"]["items"].get("$ref", "").rpartition("/")[2]
        name = name or f"{operation['operationId']}Response"
        shapes[name] = _trimmed(shape)
        return {"answer": name, **many}
    return {}


def _trimmed(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an answer's schema without limits and without what is required."""
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key not in ANSWER_KEYWORDS:
            continue
        if key == "properties":
            kept[key] = {name: _trimmed(sub) for name, sub in value.items()}
        elif key == "oneOf":
            kept[key] = [_trimmed(sub) for sub in value]
        else:
            kept[key] = _trimmed(value) if isinstance(value, dict) else value
    return kept


def main() -> None:
    """Write both tables."""
    document = json.loads(surface.DOCUMENT.read_text("utf-8"))
    texts = {
        surface.TABLE: surface.render(surface.derive(document)),
        TABLE: surface.render(derive(document, INDEX.read_text("utf-8"))),
    }
    for path, text in texts.items():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"wrote {path} ({path.stat().st_size} bytes)\n")


if __name__ == "__main__":
    main()
