"""Derive the sandbox's table of operations (``m3ter_nb/sandbox/surface.json``) from the OpenAPI document.

Run ``python tests/contract/operations_table.py`` to write the table anew, and the package's own with it; ``test_surface.py``
holds the committed table to the document. The table keeps what the sandbox must obey (paths, page sizes, filters, the shape of bodies) and drops
all prose.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
#: The official OpenAPI document: where ``M3TER_OPENAPI`` says, else in the folder ``shared`` beside the clone.
DOCUMENT = Path(os.environ.get("M3TER_OPENAPI") or ROOT.parent / "shared" / "m3ter-openapi.json")
TABLE = ROOT / "m3ter_nb" / "sandbox" / "surface.json"
PREFIX = "/organizations/{orgId}/"

#: Keywords of a schema that say what is valid; everything else is prose or a note to code generators.
KEYWORDS = (
    "type", "enum", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems", "uniqueItems", "format",
)  # fmt: skip
#: Formats that are worth checking; int32, int64 and double are implied by ``type``.
FORMATS = ("date", "date-time", "email")
#: The document writes patterns in Java's syntax, which Python's ``re`` cannot compile. The dollar as a character is
#: written ``\\x24``: fastjsonschema takes every ``$`` of a pattern for the end of the text.
PATTERNS = {
    r"^([^[\p{Cntrl}\s]])|([^[\p{Cntrl}\s]][[^[\p{Cntrl}\s]] ]*[^[\p{Cntrl}\s]])$": (
        r"^(?! )[^\x00-\x1f\x7f-\x9f\u2028\u2029]+(?<! )$"
    ),
    r"^[\p{L}_$][\p{L}_$0-9]*$": r"^(?:[^\W\d]|\x24)(?:[^\W\d]|[\x240-9])*$",
}


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow one ``$ref``."""
    while "$ref" in schema:
        node: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            node = node[part]
        schema = node
    return schema


def compact(document: dict[str, Any], schema: dict[str, Any], seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return ``schema`` without references, ``allOf`` and prose; a schema within itself becomes "anything"."""
    if "$ref" in schema:
        if schema["$ref"] in seen:
            return {}
        return compact(document, resolve(document, schema), (*seen, schema["$ref"]))
    result: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        merge(result, compact(document, part, seen))
    own = {key: schema[key] for key in KEYWORDS if key in schema}
    if own.get("format") not in FORMATS:
        own.pop("format", None)
    if "pattern" in schema:
        own["pattern"] = PATTERNS.get(schema["pattern"], schema["pattern"])
    own.update(nested(document, schema, seen))
    merge(result, own)
    return result


def nested(document: dict[str, Any], schema: dict[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    """Return the keywords of ``schema`` that hold schemas."""
    own: dict[str, Any] = {}
    mapping = schema.get("discriminator", {}).get("mapping", {})
    if mapping and ("oneOf" in schema or "anyOf" in schema):
        field = schema["discriminator"]["propertyName"]
        own["oneOf"] = [
            with_constant(compact(document, {"$ref": target}, seen), field, value)
            for value, target in mapping.items()
        ]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            own[key] = compact(document, schema[key], seen)
    if "properties" in schema:
        own["properties"] = {name: compact(document, sub, seen) for name, sub in schema["properties"].items()}
    if "required" in schema:
        own["required"] = schema["required"]
    return own


def with_constant(schema: dict[str, Any], field: str, value: str) -> dict[str, Any]:
    """Return one variant of a discriminated schema, its discriminator pinned."""
    schema["properties"] = {**schema.get("properties", {}), field: {"enum": [value]}}
    schema["required"] = sorted({*schema.get("required", ()), field})
    return schema


def merge(target: dict[str, Any], part: dict[str, Any]) -> None:
    """Add ``part`` to ``target`` as ``allOf`` does."""
    for key, value in part.items():
        if key == "properties":
            target.setdefault("properties", {}).update(value)
        elif key == "required":
            target["required"] = sorted({*target.get("required", ()), *value})
        else:
            target[key] = value


def body_schema(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    """Return the compact schema of an operation's JSON body, or None where it takes none."""
    content = operation.get("requestBody", {}).get("content", {})
    for media, described in content.items():
        if "json" in media or media == "*/*":
            return compact(document, described["schema"])
    return None


def response_name(operation: dict[str, Any]) -> str:
    """Return the name of the schema of the 200 answer, or ``""``."""
    for described in operation["responses"].get("200", {}).get("content", {}).values():
        return str(described.get("schema", {}).get("$ref", "")).rpartition("/")[2]
    return ""


def derive(document: dict[str, Any]) -> dict[str, Any]:
    """Return the table: collections, singletons, views and the operations that are neither."""
    paths: dict[str, dict[str, Any]] = {}
    for path, item in document["paths"].items():
        if path.startswith(PREFIX):
            methods = {m: o for m, o in item.items() if m in ("get", "post", "put", "delete")}
            paths[path.removeprefix(PREFIX)] = methods
    claimed: set[tuple[str, str]] = set()
    collections = {p: c for p in sorted(paths) if (c := collection(document, paths, p, claimed))}
    views = {}
    for path, methods in sorted(paths.items()):
        get = methods.get("get")
        if get and (path, "get") not in claimed and response_name(get).startswith("Paginated"):
            claimed.add((path, "get"))
            views[path] = {"operation": get["operationId"], "page_size_max": page_size_max(get)}
    singletons = {}
    for path in ("organizationconfig", "billconfig", "customfields", "support"):
        claimed |= {(path, "get"), (path, "put")}
        singletons[path] = {
            "operations": {m: paths[path][m]["operationId"] for m in ("get", "put")},
            "body": body_schema(document, paths[path]["put"]),
        }
        describe_differences(singletons[path], answered_fields(document, list(paths[path].values())))
    bodies = {
        name: compact(document, {"$ref": f"#/components/schemas/{name}"})
        for name in ("SubmitMeasurementsRequest", "UsageQueryRequest")
    }
    others = {
        f"{method.upper()} {path}": operation["operationId"]
        for path, methods in sorted(paths.items())
        for method, operation in methods.items()
        if (path, method) not in claimed
    }
    return {
        "collections": collections,
        "views": views,
        "singletons": singletons,
        "bodies": bodies,
        "others": others,
    }


def collection(
    document: dict[str, Any], paths: dict[str, Any], path: str, claimed: set[tuple[str, str]]
) -> dict[str, Any] | None:
    """Describe ``path`` where it is a collection: a paginated list, with entities at ``{path}/{id}``."""
    methods, single = paths[path], paths.get(f"{path}/{{id}}", {})
    listing = methods.get("get")
    if not listing or not response_name(listing).startswith("Paginated"):
        return None
    if not single and "post" not in methods and "{" in path:
        return None
    if path.rpartition("/")[2].startswith("{") and path != "resourcegroups/{type}":
        return None
    if path.endswith("/search"):
        return None
    operations = {"list": listing["operationId"]}
    claimed.add((path, "get"))
    if "post" in methods:
        operations["create"] = methods["post"]["operationId"]
        claimed.add((path, "post"))
    for method, name in (("get", "retrieve"), ("put", "update"), ("delete", "delete")):
        if method in single:
            operations[name] = single[method]["operationId"]
            claimed.add((f"{path}/{{id}}", method))
    item = item_properties(document, listing)
    filters = {
        p["name"]: item.get(p["name"], {}).get("type")
        for p in listing.get("parameters", ())
        if p["in"] == "query" and p["name"] not in ("pageSize", "nextToken")
    }
    described: dict[str, Any] = {
        "operations": operations,
        "page_size_max": page_size_max(listing),
        "filters": filters,
    }
    body = methods.get("post") or single.get("put")
    if body is not None:
        described["body"] = body_schema(document, body)
        answered = answered_fields(document, [*methods.values(), *single.values()])
        describe_differences(described, answered)
    return described


def answered_fields(document: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """Return every field that an answer of these operations can have for an entity."""
    fields: dict[str, Any] = {}
    for operation in operations:
        for content in operation["responses"].get("200", {}).get("content", {}).values():
            schema = compact(document, content["schema"])
            schema = schema.get("properties", {}).get("data", {}).get("items", schema)
            for variant in (schema, *schema.get("oneOf", ())):
                fields.update(variant.get("properties", {}))
    return fields


def describe_differences(described: dict[str, Any], answered: dict[str, Any]) -> None:
    """Note where an answer differs from the body that was sent.

    A field that no answer has is write-only, and so are credentials; an entity may come without the usual time
    stamps; and where only the answer says that a text is a date or one of a few words, the body must agree.
    """
    body = described["body"]
    if "oneOf" in body:
        return
    write_only = [name for name in body["properties"] if name not in answered or name == "credentials"]
    if write_only:
        described["write_only"] = write_only
    if "dtCreated" not in answered:
        described["stamps"] = False
    for name, schema in body["properties"].items():
        for key in {"format", "enum"} & set(answered.get(name, {})):
            schema.setdefault(key, answered[name][key])


def item_properties(document: dict[str, Any], listing: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the entities in a list."""
    page = compact(document, {"$ref": f"#/components/schemas/{response_name(listing)}"})
    fields: dict[str, Any] = page["properties"]["data"].get("items", {}).get("properties", {})
    return fields


def page_size_max(operation: dict[str, Any]) -> int:
    """Return the documented maximum of ``pageSize``."""
    return next(int(p["schema"]["maximum"]) for p in operation["parameters"] if p["name"] == "pageSize")


def render(table: dict[str, Any]) -> str:
    """Return the table as the text that is committed: one collection a line, for readable differences."""
    lines = []
    for section, entries in table.items():
        rows = [
            f"  {json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in entries.items()
        ]
        lines.append(f" {json.dumps(section)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"
