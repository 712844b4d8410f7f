"""The facts of the m3ter API: every operation with its parameters, the fields of its body and of its answer.

Read from ``operations.json`` at the first question, never at import. The table was derived from the official OpenAPI
document ("m3ter API 1.0") and from the documentation index (https://docs.m3ter.com/llms.txt); a contract test derives
it anew. It holds names, types, limits and addresses, and none of the documents' prose.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache, cached_property
from pkgutil import get_data
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "METHODS",
    "Operation",
    "field_at",
    "fields_of",
    "find",
    "has_free_keys",
    "is_server_set",
    "methods_of",
    "operations",
    "relative",
    "resources",
    "segments",
    "template_of",
]

#: The methods of the API; it has no PATCH (OpenAPI document).
METHODS: Final = ("GET", "POST", "PUT", "DELETE")

_BELOW_ORGANIZATION: Final = "/organizations/[^/]+/"
# What m3ter fills in by itself (``AbstractResponse`` of the OpenAPI document), and its kin: dtActioned, approvedBy.
_SERVER_SET: Final = r"(?a)id|version|dt[A-Z]\w*|\w+By"


class Operation:
    """One operation of the API.

    No dataclass: to make one takes a hundredth of a first login.

    Attributes:
        method: upper case.
        path: below ``/organizations/{orgId}/``, or from the root with a leading slash; ``{names}`` where it varies.
        facts: its row of the table.
    """

    def __init__(self, method: str, path: str, facts: Mapping[str, Any]) -> None:
        self.method = method
        self.path = path
        self.facts = facts

    @property
    def name(self) -> str:
        """The operation's name in the OpenAPI document (``operationId``)."""
        return str(self.facts["name"])

    @property
    def docs(self) -> str:
        """The address of its page in the documentation, or ``""``."""
        return str(self.facts["docs"])

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters in its path, each with type and limits."""
        return dict(self.facts.get("path", {}))

    @cached_property
    def query(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters of its query, each with type, enum and limits."""
        return MappingProxyType(self.facts.get("query", {}))

    @property
    def put_only(self) -> tuple[str, ...]:
        """The fields that a PUT takes and the GET of the same path does not give."""
        return tuple(self.facts.get("put_only", ()))

    @property
    def many(self) -> str:
        """``"pages"`` or ``"list"`` where many are answered, else ``""``."""
        return str(self.facts.get("many", ""))

    @property
    def is_deprecated(self) -> bool:
        """Whether the document calls it deprecated."""
        return bool(self.facts.get("deprecated"))

    @cached_property
    def body(self) -> Mapping[str, Any] | None:
        """The shape of its body (a JSON Schema of the documented limits), or None where it takes none."""
        return _shape(self.facts.get("body"))

    @cached_property
    def answer(self) -> Mapping[str, Any] | None:
        """The shape of its answer, of one item where there are many; None where none is documented."""
        return _shape(self.facts.get("answer"))

    @property
    def largest_page(self) -> int | None:
        """The largest ``pageSize``, or None where it has no pages."""
        return self.query.get("pageSize", {}).get("maximum")


def operations() -> tuple[Operation, ...]:
    """Return every operation, by path and then by method."""
    return tuple(_operation(key) for key in _table()["operations"])


def find(method: str, path: str) -> Operation | None:
    """Return the operation that a call means, or None.

    Args:
        method: upper case.
        path: as :meth:`m3ter_nb.M3terSession.url` takes it, with ids or with placeholders (``bills/{id}``).
    """
    known = _table()["operations"]
    below = relative(path)
    if (key := f"{method} {below}") in known:
        return _operation(key)
    for found in _ends(_tree(), _split(below)):
        if method in found:
            return _operation(found[method])
    return None


def methods_of(path: str) -> tuple[str, ...]:
    """Return the methods that a path has; empty where it is not known."""
    known = {method for found in _ends(_tree(), segments(path)) for method in found}
    return tuple(method for method in METHODS if method in known)


def template_of(path: str) -> str:
    """Return a known path with its placeholders, an unknown one as it is."""
    for found in _ends(_tree(), segments(path)):
        return str(next(iter(found.values()))).partition(" ")[2]
    return relative(path)


@cache
def resources(method: str | None = None) -> tuple[str, ...]:
    """Return the paths below the organization that need no id, in order.

    Args:
        method: only those with it; None for all.
    """
    found = {
        operation.path
        for operation in operations()
        if "{" not in operation.path
        and not operation.path.startswith("/")
        and method in (None, operation.method)
    }
    return tuple(sorted(found))


def relative(path: str) -> str:
    """Return a path without host, organization, query and slashes at the end: as the table has it."""
    if "://" in path:
        with suppress(ValueError):  # such as "http://[", which whoever asks for it refuses
            path = urlsplit(path).path
    path = path.partition("?")[0].partition("#")[0].strip().rstrip("/")
    if below := re.match(_BELOW_ORGANIZATION, path):
        path = path[below.end() :]
    return path


def segments(path: str) -> list[str]:
    """Return the segments of a path as the table has it; that of the token keeps its leading slash."""
    return _split(relative(path))


def fields_of(shape: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return the fields of a shape, those of all its variants among them."""
    if shape is None:
        return {}
    fields: dict[str, Mapping[str, Any]] = dict(shape.get("properties", {}))
    for variant in shape.get("oneOf", ()):
        for name, field in variant.get("properties", {}).items():
            # What tells the variants apart has one value in each.
            values = dict.fromkeys([*fields.get(name, {}).get("enum", ()), *field.get("enum", ())])
            fields[name] = {**fields.get(name, field), **({"enum": list(values)} if values else {})}
    return fields


def has_free_keys(shape: Mapping[str, Any]) -> bool:
    """Tell whether a shape takes keys that no document lists."""
    return "additionalProperties" in shape or not fields_of(shape)


def field_at(shape: Mapping[str, Any] | None, keys: list[str]) -> Mapping[str, Any] | None:
    """Return the shape of a field.

    Args:
        shape: of a body.
        keys: the names that lead to it; a number leads into a list.

    Returns:
        its shape, empty where any value may stand; None where the document knows no such field.
    """
    for key in keys:
        if shape is None:
            return None
        if "items" in shape and key.isdecimal():
            shape = shape["items"]
        elif (found := fields_of(shape).get(key)) is not None:
            shape = found
        elif has_free_keys(shape) and shape.get("type", "object") == "object":
            shape = shape.get("additionalProperties", {})
        else:
            return None
    return shape


def is_server_set(name: str) -> bool:
    """Tell whether m3ter fills in a field of that name by itself: ``id``, ``version``, ``dt…``, ``…By``."""
    return re.fullmatch(_SERVER_SET, name) is not None


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(get_data(__name__, "operations.json") or b"")
    return table


@cache
def _operation(key: str) -> Operation:
    method, _, path = key.partition(" ")
    return Operation(method, path, _table()["operations"][key])


def _shape(name: str | None) -> Mapping[str, Any] | None:
    return None if name is None else _table()["shapes"][name]


@cache
def _tree() -> dict[str, Any]:
    """Return the known paths as a tree of their segments.

    A placeholder is the branch ``{}``; at the end of a path ``""`` holds its methods, each with its key in the table.
    """
    tree: dict[str, Any] = {}
    for key in _table()["operations"]:
        method, _, path = key.partition(" ")
        branch = tree
        for segment in _split(path):
            branch = branch.setdefault("{}" if segment.startswith("{") else segment, {})
        branch.setdefault("", {})[method] = key
    return tree


def _split(path: str) -> list[str]:
    first, *rest = path.removeprefix("/").split("/")
    return [f"/{first}" if path.startswith("/") else first, *rest]


def _ends(branch: dict[str, Any], rest: list[str]) -> list[dict[str, str]]:
    """Return the ends of the known paths that the segments fit, a literal segment before a placeholder."""
    if not rest:
        return [branch[""]] if "" in branch else []
    segment, *rest = rest
    found = _ends(branch[segment], rest) if segment and segment in branch else []
    if segment and "{}" in branch and segment != "{}":
        found += _ends(branch["{}"], rest)
    return found
