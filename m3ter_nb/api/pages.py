"""A list, page by page (https://docs.m3ter.com/api/pagination)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from m3ter_nb.api.addresses import merge_queries, query_by_name
from m3ter_nb.api.operations import largest_page
from m3ter_nb.errors import InvalidArgument, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.wire.answer import Answer

__all__ = ["Items", "Pages", "Reader"]


class Reader(Protocol):
    """What reading a list needs of a :class:`~m3ter_nb.M3terSession`."""

    @property
    def host(self) -> str:
        """Of the Config API."""

    def url(self, path: str, method: str = ...) -> str:
        """Return the URL that a call goes to."""

    def exchange(self, method: str, path: str, params: Any = ...) -> Answer:
        """Make one call, and return the answer as it came."""

    def decode(self, answer: Answer) -> Any:
        """Return the JSON of an answer."""


class Pages:
    """The pages of a list, each as its items.

    No generator, which would be at its end after an error: read again, the list would be a shorter one, in silence. Here the
    page that did not come is asked for again.

    Args:
        session: asks for them.
        path: of the list.
        params: the query, as :meth:`M3terSession.request` takes it.
        filters: more of it; ``pageSize`` defaults to the largest that the list takes.

    Raises:
        InvalidArgument: the path or the query is malformed; or, with the first page, the path is not that of a list.
        UnexpectedAnswer: a page leads back to one that was read, or is the one before it once more.
        ApiError, ConnectionFailed: as :meth:`M3terSession.request`.
    """

    def __init__(self, session: Reader, path: str, params: Any, filters: dict[str, Any]) -> None:
        from m3ter_nb.api.doubts import tell_doubts

        session.url(path)  # or nobody says what is wrong with it
        self._session = session
        self._path = path
        self._asked = query_by_name(merge_queries(params, filters))
        tell_doubts("GET", path, self._asked, None)
        self._asked.setdefault("pageSize", str(largest_page(path)))
        self._seen: set[str | None] = set()
        self._ids: list[Any] = []
        self._next: Any = self._asked.get("nextToken")
        self._begun = False

    def __iter__(self) -> Self:
        return self

    @property
    def has_next(self) -> bool:
        """Whether m3ter has named another page behind the last one that was read."""
        return not (self._next is None or self._next == "")

    def __next__(self) -> list[Any]:
        if self._begun:
            if not self.has_next:
                raise StopIteration
            self._asked["nextToken"] = self._checked_token()
        page = self._session.decode(self._session.exchange("GET", self._path, self._asked))
        items = page.get("data") if isinstance(page, dict) else None
        if not isinstance(items, list):
            raise InvalidArgument(f"{self._path} is not a list: its answer has no data. Use a plain GET.")
        self._ids = self._checked_ids(items)
        self._seen.add(self._asked.get("nextToken"))
        self._next = page.get("nextToken")
        self._begun = True
        return items

    def _checked_token(self) -> str:
        if not isinstance(self._next, str) or self._next in self._seen:
            raise UnexpectedAnswer(
                f"{self._session.host} gave a nextToken of {self._path} that is no text, or a second time: it would "
                "lead in a circle. Stopped there."
            )
        return self._next

    def _checked_ids(self, items: list[Any]) -> list[Any]:
        ids = [item.get("id") for item in items if isinstance(item, dict)]
        if ids == self._ids and any(ids):
            raise UnexpectedAnswer(
                f"{self._session.host} gave the same page of {self._path} twice, under another nextToken: it would lead "
                "in a circle. Stopped there."
            )
        return ids


class Items:
    """The items of pages, in turn; behind an error the next one is still the next one.

    Args:
        pages: of a list.
    """

    def __init__(self, pages: Iterator[list[Any]]) -> None:
        self._pages = pages
        self._page: Iterator[Any] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        while True:
            for item in self._page:
                return item
            self._page = iter(next(self._pages))
