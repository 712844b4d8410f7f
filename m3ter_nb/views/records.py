"""What m3ter answers, as plain lists and dicts that show themselves as tables.

``Record`` is a dict and ``Records`` a list: ``json.dumps``, ``==``, ``copy``, ``pickle`` and pandas take them for what
they are. Only the views differ, and only the views hide secrets:

- a notebook shows an HTML table, a terminal an aligned text table;
- ``print`` shows the same text table, for people;
- ``repr`` stays the one-line literal of a dict or list, for programs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Protocol, SupportsIndex, overload

from m3ter_nb.errors import MissingExtra
from m3ter_nb.views.table import (
    column_order,
    is_suspicious,
    masked,
    noun_of,
    table_of_entity,
    table_of_rows,
    terminal_width,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from m3ter_nb.views.table import Table

__all__ = ["Record", "Records", "as_records"]

# A page is documented as {"data": [...], "nextToken": ...} (https://docs.m3ter.com/api/pagination); the answer of a
# usage query has hasMoreData instead.
_PAGE_FIELDS: Final = frozenset({"data", "nextToken", "hasMoreData"})
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?")
_DATE_OR_DATE_TIME: Final = re.compile(rf"\d{{4}}-\d\d-\d\d|{_DATE_TIME.pattern}")
_DATE_NAME: Final = re.compile(
    r"(^|\.)(dt[A-Z]\w*|e?ts|date|\w*(Date|Dates|DateTimeUTC|Time|Epoch|DateStart|DateEnd))$"
)
_FREE_TEXT: Final = frozenset({"id", "name", "code"})


class _Printer(Protocol):
    """What ``_repr_pretty_`` needs of IPython's printer."""

    stack: list[int]

    def text(self, obj: str) -> None: ...
    def pretty(self, obj: object) -> None: ...


class _Shown:
    """The views that both kinds of value have; each says which table."""

    def _table(self) -> Table:
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return self._table().html()

    def _repr_pretty_(self, printer: _Printer, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's protocol
        """Show the table where the value stands alone, and a plain literal inside another container."""
        if len(printer.stack) > 1:
            printer.pretty(masked(self))
        else:
            printer.text(self._table().text(terminal_width()))

    def __str__(self) -> str:
        return self._table().text(terminal_width())

    def __repr__(self) -> str:
        literal = super().__repr__()
        return repr(masked(self)) if is_suspicious(literal) else literal


class Record(_Shown, dict[str, Any]):
    """One entity or one page, as a dict that shows itself.

    Attributes:
        path: the path it was read from, or ``""``; it gives the rows of a page their noun.
    """

    path: str = ""

    def __init__(
        self, fields: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, *, path: str = ""
    ) -> None:
        super().__init__(fields)
        if path:
            self.path = path

    @property
    def is_page(self) -> bool:
        """Whether this is one page of a list: ``data``, a list, beside nothing but the paging fields."""
        return isinstance(self.get("data"), list) and _PAGE_FIELDS.issuperset(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame: of a page its data, of an entity one row; see ``Records.to_frame``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return _frame(self["data"] if self.is_page else [self])

    def _table(self) -> Table:
        if not self.is_page:
            return table_of_entity(self)
        notes = []
        if self.get("nextToken"):
            notes.append("more pages: add --all")
        if self.get("hasMoreData"):
            notes.append("more rows match: narrow the dates, or raise limit")
        return table_of_rows(self["data"], noun=noun_of(self.path), notes=notes)


class Records(_Shown, list[Any]):
    """A list of entities that shows itself as a table; its dicts become ``Record``.

    Attributes:
        path: the path they were read from, or ``""``; it gives the rows their noun.
        partial: the reading was cut short, so that there are more.
        next_token: the documented cursor of the next page, where there is one.
    """

    path: str = ""
    partial: bool = False
    next_token: str | None = None

    def __init__(
        self,
        items: Iterable[Any] = (),
        *,
        path: str = "",
        partial: bool = False,
        next_token: str | None = None,
    ) -> None:
        super().__init__(Record(item) if type(item) is dict else item for item in items)
        self.path, self.partial, self.next_token = path, partial, next_token

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, index: slice, /) -> Records: ...
    def __getitem__(self, index: SupportsIndex | slice, /) -> Any:
        item = super().__getitem__(index)
        return Records(item, path=self.path, partial=self.partial) if isinstance(index, slice) else item

    def copy(self) -> Records:
        """Return a shallow copy that is as complete, or as partial, as this list."""
        return Records(self, path=self.path, partial=self.partial, next_token=self.next_token)

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame, one row per entity, the useful columns first.

        Nested fields are flattened with dots (``address.country``); lists stay lists. ISO 8601 date-times become
        UTC datetimes, and so do plain dates in columns named as dates (``startDate``, ``dayEpoch``), if every value
        of the column is one. An empty list gives an empty frame.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return _frame(self)

    def _table(self) -> Table:
        notes = []
        if self.partial:
            notes.append("partial: the reading was cut short, there are more")
        elif self.next_token:
            notes.append("more pages: add --all")
        return table_of_rows(self, noun=noun_of(self.path), notes=notes)


def as_records(decoded: Any, *, path: str = "") -> Any:
    """Give decoded JSON its views: an object becomes a ``Record``, a list ``Records``, anything else stays.

    A page (``{"data": [...], "nextToken": ...}``) stays that dict, as documented, with ``data`` as ``Records``.

    Args:
        decoded: what ``json.loads`` returned; it is copied one level deep, never changed.
        path: the path it was read from; its last segment names the rows.
    """
    if isinstance(decoded, list):
        return Records(decoded, path=path)
    if not isinstance(decoded, dict):
        return decoded
    record = Record(decoded, path=path)
    if record.is_page:
        record["data"] = Records(record["data"], path=path, next_token=record.get("nextToken") or None)
    return record


def _frame(rows: Sequence[Any]) -> pd.DataFrame:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra(
            "to_frame() needs pandas, which is not installed: pip install 'm3ter-nb[pandas]'"
        ) from error
    if not rows:
        return pd.DataFrame()
    frame = pd.json_normalize([row if isinstance(row, dict) else {"value": row} for row in rows])
    names = [str(name) for name in frame.columns]
    frame = frame[column_order(names, nested=[name for name in names if "." in name])]
    for name in frame.columns:
        if _holds_dates(name, frame[name].dropna()):
            # A moment that pandas cannot hold (year 9999 in pandas 2) must not silently become "no date".
            moments = pd.to_datetime(frame[name], utc=True, format="ISO8601", errors="coerce")
            if moments.isna().equals(frame[name].isna()):
                frame[name] = moments
    return frame


def _holds_dates(name: str, values: Iterable[Any]) -> bool:
    """Tell whether every value is an ISO 8601 date-time, or a plain date in a column that is named as one."""
    if name in _FREE_TEXT:
        return False
    pattern = _DATE_OR_DATE_TIME if _DATE_NAME.search(name) else _DATE_TIME
    found = False
    for value in values:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            return False
        found = True
    return found
