"""The operations of the m3ter API that the sandbox plays, read from ``surface.json``.

The table was derived once from the official OpenAPI document ("m3ter API 1.0"): paths, operation names, page sizes,
filters and the shape of request bodies. A contract test derives it anew and holds it to the document.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import fastjsonschema

from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.columns import Columns
from m3ter_nb.sandbox.moments import are_moments, is_date, is_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Body", "Collection", "Singleton", "Surface", "load", "rule"]

#: The draft whose rules OpenAPI 3.0 took over; later ones would take 1.0 for an integer.
_DRAFT = "http://json-schema.org/draft-04/schema#"


def rule(path: str) -> str:
    """Return a path of the table as a routing rule below an organization."""
    return "/organizations/<org_id>/" + re.sub(r"\{(\w+)\}", r"<\1>", path)


class Body:
    """The shape of a request body: a JSON Schema (draft 4) of the documented constraints."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self.properties: Mapping[str, Any] = schema.get("properties", {})
        self.required = frozenset(schema.get("required", ()))

    @cached_property
    def _validate(self) -> Callable[[Any], Any]:
        # Compiling takes milliseconds, so it waits for the first body of this shape.
        return _compiled(self.schema)

    @cached_property
    def _quick(self) -> tuple[str, Columns] | None:
        """The name of the list of rows and its quick check, where that is all that the body has."""
        if len(self.properties) != 1 or set(self.schema) - {"type", "properties", "required"}:
            return None
        ((name, rows),) = self.properties.items()
        try:
            return name, Columns(rows, _passing)
        except (KeyError, ValueError):  # no list of objects, or one of more than it understands
            return None

    def _is_plainly_right(self, known: Mapping[str, Any]) -> bool:
        return self._quick is not None and self._quick[1].hold(known.get(self._quick[0]))

    def check(self, value: Any) -> dict[str, Any]:
        """Return the fields of ``value`` that the document knows, without nulls.

        Raises:
            Refusal: 400, naming the field and what is wrong with it.
        """
        if not isinstance(value, dict):
            raise Refusal(400, "The body must be a JSON object")
        known = {
            name: item
            for name, item in value.items()
            if item is not None and (name in self.properties or not self.properties)
        }
        try:
            if not self._is_plainly_right(known):
                self._validate(known)
        except fastjsonschema.JsonSchemaValueException as error:
            raise Refusal(400, _in_words(error)) from None
        _check_custom_fields(known.get("customFields", {}))
        return known


def _compiled(schema: Mapping[str, Any]) -> Callable[[Any], Any]:
    compiled: Callable[[Any], Any] = fastjsonschema.compile(
        {"$schema": _DRAFT, **schema},
        formats={"date": is_date, "date-time": is_moment},
        use_default=False,
    )
    return compiled


def _passing(schema: Mapping[str, Any]) -> Callable[[Sequence[str]], bool]:
    """Return what says whether all of a column of texts meet a schema."""
    if set(schema) == {"type", "format"} and schema["format"] == "date-time":
        return are_moments
    validate = _compiled(schema)

    @lru_cache(4_096)  # codes come again in each submission
    def passes(value: Any) -> bool:
        try:
            validate(value)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    return lambda texts: all(map(passes, set(texts)))


def _in_words(error: fastjsonschema.JsonSchemaValueException) -> str:
    """Return what is wrong, with our name of the whole instead of the validator's ("data")."""
    text = re.sub(r"^data(?=\W)(\.?)", lambda found: "" if found[1] else "The body", str(error.message))
    return (
        text.partition(" must match pattern")[0] + " has a form that is not allowed"
        if error.rule == "pattern"
        else text
    )


def _check_custom_fields(fields: Mapping[str, Any]) -> None:
    """Hold custom fields to their documented limits: up to 100 of them, text or numbers."""
    if len(fields) > 100:
        raise Refusal(400, "customFields must hold at most 100 fields")
    for name, value in fields.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Refusal(400, f"customFields.{name} must be a string or a number")


@dataclass(frozen=True)
class Collection:
    """A list of entities at ``path``, each at ``path/{id}``.

    Attributes:
        path: below the organization, with ``{names}`` where it varies.
        operations: what can be done (``list``, ``create``, ``retrieve``, ``update``, ``delete``), each with the
            operation's name in the document.
        page_size_max: largest ``pageSize``.
        filters: query parameters of the list, each with the JSON type of the entity's field of that name, or None.
        body: the shape of a create or update, or None where clients cannot write.
        write_only: fields of the body that no answer shows.
        stamps: whether an entity has dtCreated and its like.
    """

    path: str
    operations: Mapping[str, str]
    page_size_max: int
    filters: Mapping[str, str | None] = field(default_factory=dict)
    body: Body | None = None
    write_only: frozenset[str] = frozenset()
    stamps: bool = True

    @property
    def parent(self) -> str | None:
        """The path of the entity that this collection belongs to, or None."""
        above = re.fullmatch(r"(.*/\{\w+Id\})/[^{}]+", self.path)
        return above[1] if above else None


@dataclass(frozen=True)
class Singleton:
    """An object of which an organization has one, at ``path``.

    Attributes:
        path: below the organization.
        operations: ``get`` and ``put``, each with the operation's name in the document.
        body: the shape of an update.
        stamps: whether it has dtCreated and its like.
    """

    path: str
    operations: Mapping[str, str]
    body: Body
    stamps: bool = True


@dataclass(frozen=True)
class Surface:
    """The whole table.

    Attributes:
        collections: by path.
        views: further lists over entities that live elsewhere: operation name and largest page, by path.
        singletons: objects of which an organization has one, by path.
        bodies: the other request bodies, by the name of their schema.
        others: the remaining operations, ``"METHOD path"`` to the operation's name.
    """

    collections: Mapping[str, Collection]
    views: Mapping[str, tuple[str, int]]
    singletons: Mapping[str, Singleton]
    bodies: Mapping[str, Body]
    others: Mapping[str, str] = field(default_factory=dict)


@cache
def load() -> Surface:
    """Read the table; once per process."""
    table = json.loads((files(__package__) / "surface.json").read_text("utf-8"))
    collections = {
        path: Collection(
            path,
            entry["operations"],
            entry["page_size_max"],
            entry["filters"],
            Body(entry["body"]) if "body" in entry else None,
            frozenset(entry.get("write_only", ())),
            entry.get("stamps", True),
        )
        for path, entry in table["collections"].items()
    }
    return Surface(
        collections,
        {path: (entry["operation"], entry["page_size_max"]) for path, entry in table["views"].items()},
        {
            path: Singleton(path, entry["operations"], Body(entry["body"]), entry.get("stamps", True))
            for path, entry in table["singletons"].items()
        },
        {name: Body(schema) for name, schema in table["bodies"].items()},
        table["others"],
    )
