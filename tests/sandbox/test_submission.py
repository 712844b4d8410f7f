"""The measurements of a submission are looked at by columns, and stored as they were sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.sandbox import moments
from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.moments import all_micros_of, are_moments, is_moment, micros_of
from m3ter_nb.sandbox.store import Store
from m3ter_nb.sandbox.submission import _KNOWN_UIDS, _NEW_ACCOUNTS, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox_fixtures import Client

NOW = 1_800_000_000.0
METER = {
    "name": "Calls",
    "code": "calls",
    "dataFields": [{"category": "MEASURE", "code": "requests", "name": "Requests", "unit": "{request}"}],
    "derivedFields": [],
}
times = st.sampled_from(["2024-01-31T12:00:00Z", "1000-01-01t00:00:00.000001z", "2024-01-31T12:00:00+0530"])
odd_times = st.sampled_from(
    [
        "soon",
        "",
        "\n",
        "2024-02-30T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2024-01-31T12:00:00Z\n2024-01-31T12:00:00Z",
    ]
)
texts = st.dictionaries(st.sampled_from(["eu", "é", "a\nb", '"', "},\n{"]), st.text(max_size=4), max_size=2)
numbers = st.dictionaries(st.sampled_from(["x", "y", "é"]), st.integers() | st.sampled_from([0.5, 1e300]))
measurements = st.fixed_dictionaries(
    {"meter": st.sampled_from(["calls", "é"]), "account": st.sampled_from(["acme", "globex"]), "ts": times},
    optional={
        "uid": st.text("ab\n\u2028", max_size=3),
        "where": texts,
        "metadata": texts,
        "measure": numbers,
        "cost": numbers,
        "unknown": st.just([{}]),
    },
)


def plain(measurement: dict[str, Any]) -> tuple[Any, ...]:
    """Return what is to be stored of a measurement."""
    maps = {
        name: values
        for name, values in measurement.items()
        if name in ("where", "metadata", "measure", "cost") and values
    }
    at = micros_of(measurement["ts"], "ts")
    return (measurement.get("uid"), NOW, measurement["meter"], measurement["account"], at, maps)


def stored(store: Store) -> list[tuple[Any, ...]]:
    """Return what is stored, in its order; a map that is empty is none."""
    with store.transaction() as db:
        rows = db.execute("SELECT uid, received, meter, account, ts, body FROM measurements ORDER BY seq")
        return [
            (*row, {name: values for name, values in json.loads(body).items() if values})
            for *row, body in rows
        ]


@given(st.lists(st.tuples(measurements, st.booleans()), min_size=1, max_size=5), st.sampled_from([1, 50]))
def test_what_passes_is_stored_as_it_was_sent(
    drawn: Sequence[tuple[dict[str, Any], bool]], times: int
) -> None:
    sent, kept = zip(*drawn * times, strict=True)
    store = Store()

    with store.transaction() as db:
        submission = Submission(db, store, NOW, sent)
        submission.insert(db, [number for number, passes in enumerate(kept) if passes])

    assert stored(store) == [plain(row) for row, passes in zip(sent, kept, strict=True) if passes]


@pytest.mark.parametrize(("number", "statements"), [(1, 1), (99, 99), (100, 1), (201, 3), (1_000, 10)])
def test_a_hundred_measurements_are_stored_by_one_statement(number: int, statements: int) -> None:
    store = Store()
    ran: list[str] = []
    rows = [{"meter": "calls", "account": "acme", "ts": "2024-01-31T12:00:00Z"}] * number

    with store.transaction() as db:
        submission = Submission(db, store, NOW, rows)
        db.set_trace_callback(ran.append)
        submission.insert(db, range(number))
        db.set_trace_callback(None)

    assert len(ran) == statements
    assert len(stored(store)) == number


def test_a_submission_asks_the_database_as_often_whatever_its_size() -> None:
    store = Store()
    store.put("meters", {"id": "m", **METER})
    store.put("accounts", {"id": "a", "code": "acme"})
    row = {"meter": "calls", "account": "acme", "ts": "2024-01-31T12:00:00Z", "measure": {"requests": 1}}

    asked = []
    for number in (1, 1_000):
        ran: list[str] = []
        with store.transaction() as db:
            db.set_trace_callback(ran.append)
            rows = [{**row, "uid": f"{number} {place}"} for place in range(number)]
            assert Submission(db, store, NOW, rows).all_pass(NOW * 1_000_000)
            db.set_trace_callback(None)
        asked.append(len(ran))

    assert asked == [3, 3]  # the uids, the accounts, the meter


@pytest.mark.parametrize(
    ("sql", "values", "index"),
    [
        (_KNOWN_UIDS, ("[]", 0), "by_uid (uid=? AND received>?)"),
        (_NEW_ACCOUNTS, ("[]",), "by_code (collection=? AND code=?)"),
    ],
)
def test_each_uid_and_account_is_looked_up_in_an_index_and_no_list_is_sorted(
    sql: str, values: tuple[Any, ...], index: str
) -> None:
    with Store().transaction() as db:
        plan = [step for *_, step in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    assert any(index in step for step in plan)
    assert not any("LIST SUBQUERY" in step for step in plan)


def test_the_times_of_a_submission_are_read_once(api: Client) -> None:
    assert api.post("meters", METER).status_code == 200
    rows = [
        {
            "meter": "calls",
            "account": "acme",
            "ts": f"2024-01-31T12:00:00.{number:03}Z",
            "measure": {"requests": 1},
        }
        for number in range(1_000)
    ]
    before = moments._all_micros.cache_info().misses

    assert api.post("measurements", {"measurements": rows}).status_code == 200

    assert moments._all_micros.cache_info().misses == before + 1


def told(read: Callable[[], list[int]]) -> list[int] | str:
    """Return the times, or why they are none."""
    try:
        return read()
    except Refusal as error:
        return str(error)


@given(st.lists(times, min_size=1, max_size=3) | st.lists(times | odd_times, min_size=1, max_size=3))
def test_many_times_are_what_each_is(drawn: list[str]) -> None:
    name = "times[%d]"

    each = told(lambda: [micros_of(text, name % number) for number, text in enumerate(drawn)])

    assert told(lambda: all_micros_of(drawn, name)) == each
    assert are_moments(drawn) == all(map(is_moment, drawn))
