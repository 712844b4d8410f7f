"""What m3ter answers, as plain lists and dicts that show themselves as tables.

``Record`` is a dict and ``Records`` a list: ``json.dumps``, ``==``, ``copy``, ``pickle`` and pandas take them for what
they are. Only the views differ, and only the views hide secrets:

- a notebook shows an HTML table, a terminal an aligned text table;
- ``print`` shows the same text table, for people;
- ``repr`` stays the one-line literal of a dict or list, for programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, SupportsIndex, overload

from m3ter_nb.spelling import literal, output_encoding
from m3ter_nb.views.frame import frame_of
from m3ter_nb.views.masks import masked, may_hold_secrets
from m3ter_nb.views.table import MAX_COLUMNS, terminal_width
from m3ter_nb.views.tabulate import noun_of, table_of_entity, table_of_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from m3ter_nb.views.table import Table

__all__ = ["Record", "Records", "as_records"]

# A page is documented as {"data": [...], "nextToken": ...} (https://docs.m3ter.com/api/pagination); the answer of a
# usage query has hasMoreData instead.
_PAGE_FIELDS: Final = frozenset({"data", "nextToken", "hasMoreData"})
# Three cells each: what the widest terminals have room for.
_TEXT_COLUMNS: Final = 100


class _Printer(Protocol):
    """What ``_repr_pretty_`` needs of IPython's printer."""

    stack: list[int]

    def text(self, obj: str) -> None: ...
    def pretty(self, obj: object) -> None: ...


class _Shown:
    """The views that both kinds of value have; each says which table."""

    def _table(self, columns: int) -> Table:
        raise NotImplementedError

    def _text(self) -> str:
        return self._table(_TEXT_COLUMNS).text(terminal_width(), output_encoding())

    def _repr_html_(self) -> str:
        return self._table(MAX_COLUMNS).html()

    def _repr_pretty_(self, printer: _Printer, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's protocol
        """Show the table where the value stands alone, and a plain literal inside another container."""
        if len(printer.stack) > 1:
            printer.pretty(masked(self))
        else:
            printer.text(self._text())

    def __str__(self) -> str:
        return self._text()

    def __repr__(self) -> str:
        text = super().__repr__()
        return literal(repr(masked(self)) if may_hold_secrets(text) else text)


class Record(_Shown, dict[str, Any]):
    """One entity or one page, as a dict that shows itself.

    Attributes:
        path: the path it was read from, or ``""``; it gives the rows of a page their noun.
        deleted: it is what m3ter answered when it deleted the entity.
    """

    path: str = ""
    deleted: bool = False

    def __getattr__(self, name: str) -> Any:
        """Say of a field that it is taken as that of a dict; asked for what is no attribute only."""
        if name in self:
            raise AttributeError(f"A dict's fields are no attributes: [{name!r}] gives this one.")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def is_page(self) -> bool:
        """Whether this is one page of a list: ``data``, a list, beside nothing but the paging fields."""
        return isinstance(self.get("data"), list) and _PAGE_FIELDS.issuperset(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: of a page its data, of an entity one row; see ``Records.to_frame``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame_of(self["data"] if self.is_page else [self])

    def _table(self, columns: int) -> Table:
        if not self.is_page:
            return table_of_entity(self, notes=["Deleted: this is what it was."] if self.deleted else ())
        notes = []
        if self.get("nextToken"):
            notes.append("more pages: add --all")
        if self.get("hasMoreData"):
            notes.append("more rows match: narrow the dates, or raise limit")
        return table_of_rows(self["data"], noun=noun_of(self.path), notes=notes, columns=columns)


class Records(_Shown, list[Any]):
    """A list of entities that shows itself as a table; its dicts become ``Record``.

    Attributes:
        path: the path they were read from, or ``""``; it gives the rows their noun.
        partial: the reading was cut short, so that there are more.
        limited: no more were asked for, and there are more.
        next_token: the documented cursor of the next page, where there is one.
    """

    path: str = ""
    partial: bool = False
    limited: bool = False
    next_token: str | None = None

    def __init__(
        self,
        items: Iterable[Any] = (),
        *,
        path: str = "",
        partial: bool = False,
        limited: bool = False,
        next_token: str | None = None,
    ) -> None:
        super().__init__(_with_views(items))
        self.path, self.partial, self.limited, self.next_token = path, partial, limited, next_token

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> Records: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Any:
        item = super().__getitem__(index)
        return Records(item, path=self.path, partial=self.partial) if isinstance(index, slice) else item

    def append(self, item: Any, /) -> None:
        """Add an entity; a dict becomes a ``Record``, at once, so that a long list is never there twice."""
        super().append(Record(item) if type(item) is dict else item)

    def extend(self, items: Iterable[Any], /) -> None:
        """Add entities, as :meth:`append` adds one; all of them, or none where one cannot be read."""
        super().extend(list(_with_views(items)))  # the list may be this one

    def copy(self) -> Records:
        """Return a shallow copy that is as complete, or as partial, as this list."""
        return Records(
            self, path=self.path, partial=self.partial, limited=self.limited, next_token=self.next_token
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame, one row per entity, the useful columns first.

        Nothing is lost on the way. Nested fields are flattened with dots (``address.country``), but where two fields
        would share a name the object stays whole; lists stay lists. Whole numbers keep their digits: with gaps they
        are ``Int64``, and too long ones stay Python's own; of a number with more digits than a float its column holds
        ``Decimal``. ISO 8601 date-times become UTC datetimes, if every value
        of the column is one. Plain days, in columns named as dates (``startDate``, ``dayEpoch``), become naive
        datetimes at midnight: a day has no time zone (``frame["startDate"].dt.strftime("%Y-%m-%d")`` gives m3ter's
        text again). An empty list gives an empty frame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame_of(self)

    def _table(self, columns: int) -> Table:
        notes = []
        if self.partial:
            notes.append("partial: the reading was cut short, there are more")
        elif self.limited:
            notes.append("there are more: --all reads them, or a larger --limit")
        elif self.next_token:
            notes.append("more pages: add --all")
        return table_of_rows(self, noun=noun_of(self.path), notes=notes, columns=columns)


def _with_views(items: Iterable[Any]) -> Iterator[Any]:
    """Yield entities as ``Record``, anything else as it is: each as it comes, so that a long list is never there twice."""
    if isinstance(items, list) and set(map(type, items)) <= {dict}:
        return map(Record, items)  # there may be a million
    return (Record(item) if type(item) is dict else item for item in items)


def as_records(decoded: Any, *, path: str = "", deleted: bool = False) -> Any:
    """Give decoded JSON its views: an object becomes a ``Record``, a list ``Records``, anything else stays.

    A page (``{"data": [...], "nextToken": ...}``) stays that dict, as documented, with ``data`` as ``Records``.

    Args:
        decoded: what ``json.loads`` returned; it is copied one level deep, never changed.
        path: the path it was read from; its last segment names the rows.
        deleted: it is the answer to a DELETE.
    """
    if isinstance(decoded, list):
        return Records(decoded, path=path)
    if not isinstance(decoded, dict):
        return decoded
    record = Record(decoded)
    record.path, record.deleted = path, deleted
    if record.is_page:
        record["data"] = Records(record["data"], path=path, next_token=record.get("nextToken") or None)
    return record
