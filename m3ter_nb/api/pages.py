"""A list, page by page (https://docs.m3ter.com/api/pagination)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from m3ter_nb.api.addresses import merge_queries, query_by_name
from m3ter_nb.api.doubts import tell_doubts
from m3ter_nb.api.operations import largest_page
from m3ter_nb.errors import InvalidArgument, UnexpectedAnswer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.wire.answer import Answer

__all__ = ["Reader", "read_pages"]


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


def read_pages(session: Reader, path: str, params: Any, filters: dict[str, Any]) -> Iterator[list[Any]]:
    """Yield the items of each page.

    Args:
        session: asks for them.
        path: of the list.
        params: the query, as :meth:`M3terSession.request` takes it.
        filters: more of it; ``pageSize`` defaults to the largest that the list takes.

    Raises:
        InvalidArgument: the path is not that of a list.
        UnexpectedAnswer: a page leads back to one that was read, or is the one before it once more.
        ApiError, ConnectionFailed: as :meth:`M3terSession.request`.
    """
    session.url(path)  # or nobody says what is wrong with it
    asked = query_by_name(merge_queries(params, filters))
    tell_doubts("GET", path, asked, None)
    asked.setdefault("pageSize", str(largest_page(path)))
    seen = {asked.get("nextToken")}
    ids_before: list[Any] = []
    while True:
        page = session.decode(session.exchange("GET", path, asked))
        items = page.get("data") if isinstance(page, dict) else None
        if not isinstance(items, list):
            raise InvalidArgument(f"{path} is not a list: its answer has no data. Use a plain GET.")
        ids = [item.get("id") for item in items if isinstance(item, dict)]
        if ids == ids_before and any(ids):
            raise UnexpectedAnswer(
                f"{session.host} gave the same page of {path} twice, under another nextToken: it would lead in a circle. "
                "Stopped there."
            )
        ids_before = ids
        yield items
        next_token = page.get("nextToken")
        if next_token is None or next_token == "":
            return
        if not isinstance(next_token, str) or next_token in seen:
            raise UnexpectedAnswer(
                f"{session.host} gave a nextToken of {path} that is no text, or a second time: it would lead in a circle. "
                "Stopped there."
            )
        seen.add(next_token)
        asked["nextToken"] = next_token
