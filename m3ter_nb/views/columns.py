"""In which order the fields of an entity are of use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FIRST", "column_order", "comes_last"]

_NAMES: Final = ("name", "organizationName", "eventName", "firstName", "lastName", "accountName")
_CODES: Final = ("code", "accountCode", "email", "emailAddress", "id", "status", "type")
_AUDIT: Final = (
    "version",
    "dtCreated",
    "dtLastModified",
    "createdDate",
    "updatedDate",
    "createdBy",
    "lastModifiedBy",
)
FIRST: Final = {name: rank for rank, name in enumerate(_NAMES + _CODES)}
"""The fields that tell one entity from another, with their rank."""
_LATE: Final = {name: rank for rank, name in enumerate(_AUDIT)}

_ID_ENDS: Final = ("Id", "Ids")


def column_order(names: Iterable[str], *, nested: Iterable[str] = (), empty: Iterable[str] = ()) -> list[str]:
    """Order field names by use: name, code and id; plain fields; other ids; version and dates; nested; empty.

    Args:
        names: field names in their own order, which decides between equals.
        nested: those that hold objects or lists.
        empty: those without any value.
    """
    nested, empty = frozenset(nested), frozenset(empty)

    def rank(name: str) -> tuple[int, int]:
        if name in empty:
            return (4, 0)
        if name in nested:
            return (3, 0)
        if name in _LATE:
            return (2, _LATE[name])
        if name in FIRST:
            return (0, FIRST[name])
        return (1, int(name.endswith(_ID_ENDS)))

    return sorted(names, key=rank)


def comes_last(name: str) -> bool:
    """Tell whether a field holds an id, a version or a time: of use to programs, and wide."""
    return name == "id" or name in _LATE or name.endswith(_ID_ENDS)
