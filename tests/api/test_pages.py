"""Lists, page by page: every item once, and an error where the pages lead in a circle."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

import m3ter_nb
from m3ter_nb.errors import UnexpectedAnswer
from odd_servers import OddServer, Seen, json_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

# Enough for every circle below; a list that never ends must not hang the suite.
MANY = 50


def paging(after: Mapping[str, object]) -> OddServer:
    """Return a server of one list; ``after`` says which nextToken follows each, ``""`` being the first page."""

    def respond(request: Seen) -> list[bytes]:
        token = parse_qs(urlsplit(request.target).query).get("nextToken", [""])[0]
        return [json_answer({"data": [{"id": token or "first"}], "nextToken": after.get(token)})]

    return OddServer(respond)  # type: ignore[arg-type]  # its answers are a list of bytes


def session_with(server: OddServer, monkeypatch: pytest.MonkeyPatch) -> m3ter_nb.M3terSession:
    """Return a session on a ready token, so that the server is asked for pages alone."""
    monkeypatch.setenv("M3TER_API_TOKEN", "plain-opaque-token")
    return m3ter_nb.login(base_url=server.url, org_id="org")


@pytest.mark.parametrize(
    "after",
    [
        {"": "A", "A": "A"},
        {"": "A", "A": "B", "B": "A"},
        {"": "A", "A": "B", "B": "C", "C": "B"},
        {"": "A", "A": "B", "B": "C", "C": "A"},
    ],
    ids=["A, A", "A, B, A", "A, B, C, B", "A, B, C, A"],
)
def test_pages_that_lead_in_a_circle_are_an_error_at_the_first_repetition(
    after: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[str] = []
    with (
        paging(after) as server,
        session_with(server, monkeypatch) as session,
        pytest.raises(UnexpectedAnswer, match="circle"),
    ):
        came.extend(item["id"] for item in itertools.islice(session.pages("products"), MANY))

    assert came == [token or "first" for token in after]
    assert len(server.seen) == len(after)


@pytest.mark.parametrize("token", [7, {"a": 1}, ["A"], True])
def test_a_next_token_that_is_no_text_is_an_error_not_a_shorter_list(
    token: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        paging({"": token}) as server,
        session_with(server, monkeypatch) as session,
        pytest.raises(UnexpectedAnswer, match="nextToken"),
    ):
        list(itertools.islice(session.pages("products"), MANY))


def test_a_long_list_of_distinct_tokens_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    after = {"": "1", **{str(n): str(n + 1) for n in range(1, 30)}}
    with paging(after) as server, session_with(server, monkeypatch) as session:
        assert [item["id"] for item in session.pages("products")] == ["first", *map(str, range(1, 31))]
