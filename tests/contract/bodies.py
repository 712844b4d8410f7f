"""Valid request bodies, made from the shapes in the sandbox's table."""

from __future__ import annotations

from typing import Any

#: Texts for the patterns that occur in the document.
_MATCHING = {
    r"^arn:aws:iam::\d+:role/.*$": "arn:aws:iam::123456789012:role/export",
    "HOUR|DAY|MINUTE": "DAY",
}
_FORMATS = {"date": "2024-01-31", "date-time": "2024-01-31T12:00:00Z", "email": "ada@example.com"}


def example(schema: dict[str, Any], name: str = "") -> Any:
    """Return a value with every property that the shape has."""
    if "oneOf" in schema or "enum" in schema:
        return example(schema["oneOf"][0]) if "oneOf" in schema else schema["enum"][0]
    match schema.get("type"):
        case "string":
            return text(schema, name)
        case "integer" | "number" | "boolean":
            least = schema.get("minimum", 1) + schema.get("exclusiveMinimum", False)
            return least if schema["type"] != "boolean" else True
        case "array":
            return [example(schema.get("items", {}), name)] * max(1, schema.get("minItems", 1))
        case _:
            return {
                key: example(sub, key)
                for key, sub in schema.get("properties", {}).items()
                if key != "version"
            }


def text(schema: dict[str, Any], name: str) -> str:
    """Return a text of the right form and length."""
    if "pattern" in schema:
        return _MATCHING.get(schema["pattern"], "code1")
    if "format" in schema:
        return _FORMATS[schema["format"]]
    sample = f"some {name}"
    return sample.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 200)]
