"""Lists, page by page: every item once, and an error where the pages lead in a circle."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

import m3ter_nb
from clocks import fast_clock
from m3ter_nb.api.login import login
from m3ter_nb.errors import ConnectionBroken, InvalidArgument, M3terError, ServerError, UnexpectedAnswer
from odd_servers import OddServer, Seen, json_answer, reset

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


@pytest.mark.parametrize("token", [7, {"a": 1}, ["A"], True, 0, False, [], {}])
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


def test_a_page_that_comes_again_under_another_token_is_an_error_and_no_row_is_counted_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    count = itertools.count()
    page = [{"id": "a"}, {"id": "b"}]
    came: list[str] = []
    with (
        OddServer(lambda _: [json_answer({"data": page, "nextToken": str(next(count))})]) as server,
        session_with(server, monkeypatch) as session,
        pytest.raises(UnexpectedAnswer, match="same page"),
    ):
        came.extend(item["id"] for item in itertools.islice(session.pages("products"), MANY))

    assert came == ["a", "b"]


def test_pages_of_what_has_no_id_may_be_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["1", "2", None])
    with (
        OddServer(lambda _: [json_answer({"data": [{"total": 1}], "nextToken": next(tokens)})]) as server,
        session_with(server, monkeypatch) as session,
    ):
        assert len(list(session.pages("billlineitems"))) == 3


def test_every_page_is_filtered_by_what_can_be_read_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with paging({"": "A", "A": "B"}) as server, session_with(server, monkeypatch) as session:
        list(session.pages("products", zip(["x"], ["1"], strict=True), ids=(each for each in ("a", "b"))))

        queries = [parse_qs(urlsplit(request.target).query) for request in server.seen]
    assert [(query["ids"], query["x"]) for query in queries] == [(["a,b"], ["1"])] * 3


def test_filters_given_twice_are_both_sent_by_a_list_as_by_a_single_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with paging({}) as server, session_with(server, monkeypatch) as session:
        session.get("products", {"ids": "a"}, ids="b")
        list(session.pages("products", {"ids": "a"}, ids="b"))

        sent = [parse_qs(urlsplit(request.target).query)["ids"] for request in server.seen]
    assert [",".join(values) for values in sent] == ["a,b", "a,b"]


@pytest.mark.parametrize(
    ("trouble", "error"),
    [
        (json_answer({"message": "away"}, 500), ServerError),
        (reset, ConnectionBroken),
        (json_answer("no list"), InvalidArgument),
    ],
    ids=["500", "reset", "no list"],
)
def test_a_list_that_is_read_on_after_an_error_lacks_no_item(
    trouble: Any, error: type[M3terError], monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [trouble] * (4 if trouble is reset else 1)  # what broke is repeated three times

    def respond(request: Seen) -> list[Any]:
        token = parse_qs(urlsplit(request.target).query).get("nextToken", [""])[0]
        if token == "A" and troubles:
            return [troubles.pop()]
        after = {"": "A", "A": "B"}.get(token)
        return [json_answer({"data": [{"id": token + "1"}, {"id": token + "2"}], "nextToken": after})]

    monkeypatch.setenv("M3TER_API_TOKEN", "plain-opaque-token")
    with (
        OddServer(respond) as server,
        login(base_url=server.url, org_id="o", clock=fast_clock(100)) as session,
    ):
        items = session.pages("products")
        came = [next(items), next(items)]
        with pytest.raises(error):
            next(items)
        came += items
        after_the_end = list(items)

    assert [item["id"] for item in came] == ["1", "2", "A1", "A2", "B1", "B2"]
    assert after_the_end == []


def test_a_circle_is_an_error_each_time_that_it_is_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with paging({"": "A", "A": "A"}) as server, session_with(server, monkeypatch) as session:
        items = session.pages("products")
        came = [next(items), next(items)]
        for _ in range(3):
            with pytest.raises(UnexpectedAnswer, match="circle"):
                next(items)

    assert [item["id"] for item in came] == ["first", "A"]
    assert len(server.seen) == 2
