"""The usage query as SQL gives what plain Python gives, whatever was ingested."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3ter_nb.sandbox import Sandbox
from m3ter_nb.sandbox.store import Store
from m3ter_nb.sandbox.usage_sql import Query
from sandbox_fixtures import Client
from usage_by_hand import Meter, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Codes that a JSON path can name, and some that it can not, or that look like something else in it.
CODES = ["requests", "a.b", "$x", "[0]", "día", 'quo"te', "back\\slash", "new\nline", "' OR 1=1 --", "表"]
NUMERIC = ["measure", "income", "cost"]
TEXT = ["who", "where", "what", "other", "metadata"]
EVER = {"startDate": "1000-01-01T00:00:00Z", "endDate": "2030-01-01T00:00:00Z"}
TIMES = [
    "1000-01-01T00:00:00Z",
    "1969-12-28T23:59:59.999999Z",
    "1969-12-31T23:59:59.5Z",
    "1970-01-01T00:00:00Z",
    "2023-12-31T23:59:59.999999Z",
    "2024-01-01T00:00:00+02:00",
    "2024-02-29T12:00:00-05:00",
    "2024-03-31T23:30:00Z",
    "2024-04-01T00:00:00.000001Z",
    "2024-09-30T21:00:00Z",
]
codes = st.sampled_from(CODES[:2]) | st.sampled_from(CODES)
meter_codes = st.just("one") | st.sampled_from(["one", "two", "none"])
numbers = st.integers(-(2**40), 2**40) | st.integers(-400, 400).map(lambda number: number / 8)


@st.composite
def measurements(draw: st.DrawFn) -> dict[str, Any]:
    """Return a measurement whose field codes are in one category each, as they must be."""
    used = draw(st.lists(codes, max_size=4, unique=True))
    made: dict[str, Any] = {
        "meter": draw(st.just("one") | st.sampled_from(["one", "two"])),
        "account": draw(st.sampled_from(["acme", "globex", "007"])),
        "ts": draw(st.sampled_from(TIMES)),
    }
    for code in used:
        part = draw(st.sampled_from([*NUMERIC, "where"]) | st.sampled_from(TEXT))
        value = draw(numbers if part in NUMERIC else st.sampled_from(["eu", "us", "", "007", "7", "é x"]))
        made.setdefault(part, {})[code] = value
    return made


fields = st.fixed_dictionaries({"meterId": meter_codes, "fieldCode": codes})
aggregations = st.one_of(
    st.tuples(fields, st.just("MEASURE"), st.sampled_from(["SUM", "MIN", "MAX", "COUNT", "LATEST", "MEAN"])),
    st.tuples(fields, st.just("DIMENSION"), st.sampled_from(["COUNT", "UNIQUE"])),
).map(lambda parts: {**parts[0], "fieldType": parts[1], "function": parts[2]})
groups = st.one_of(
    st.just({"groupType": "ACCOUNT"}),
    st.sampled_from(["HOUR", "DAY", "WEEK", "MONTH", "QUARTER"]).map(
        lambda frequency: {"groupType": "TIME", "frequency": frequency}
    ),
    fields.map(lambda field: {"groupType": "DIMENSION", **field}),
)
queries = st.fixed_dictionaries(
    {
        "aggregations": st.lists(aggregations, min_size=1, max_size=4),
        "groups": st.lists(groups, max_size=3),
        "meterIds": st.just([]) | st.lists(meter_codes, max_size=2),
        "accountIds": st.just([]) | st.lists(st.sampled_from(["acme", "007", "none"]), max_size=2),
        "dimensionFilters": st.just([])
        | st.lists(
            st.tuples(fields, st.lists(st.sampled_from(["eu", "", "7", "é x"]), min_size=1)).map(
                lambda pair: {**pair[0], "values": pair[1]}
            ),
            max_size=2,
        ),
        "startDate": st.sampled_from([EVER["startDate"], "2023-12-31T23:59:59.999999Z"]),
        "endDate": st.sampled_from([EVER["endDate"], "2024-04-01T00:00:00.000001Z"]),
    }
)


@pytest.fixture(scope="module")
def organization() -> Iterator[tuple[Client, dict[str, Meter], dict[str, str]]]:
    """Return a client, two meters by code, and the ids of three accounts by code."""
    with Sandbox(limits=False) as sandbox:
        api = Client(sandbox).log_in()
        meters, accounts = {}, {}
        for code in ("one", "two"):
            # Each meter declares other categories, so that what it declares is not what all measurements have.
            declared = [{"category": "MEASURE", "code": "unused", "name": "U", "unit": "{u}"}]
            made = api.post(
                "meters", {"name": code, "code": code, "dataFields": declared, "derivedFields": []}
            )
            meters[code] = Meter(made.json()["id"], code)
        for code in ("acme", "globex", "007"):
            made = api.post("accounts", {"name": code, "code": code, "emailAddress": "a@example.com"})
            accounts[code] = made.json()["id"]
        yield api, meters, accounts


def with_ids(value: Any, ids: dict[str, str]) -> Any:
    """Return a query with real ids for names of meters and accounts."""
    if isinstance(value, dict):
        return {
            key: ids.get(part, part) if key == "meterId" else with_ids(part, ids)
            for key, part in value.items()
        }
    if isinstance(value, list):
        return [ids.get(part, part) if isinstance(part, str) else with_ids(part, ids) for part in value]
    return value


def comparable(rows: list[dict[str, Any]]) -> list[str]:
    """Return rows in one order, floats to the 12 digits in which two ways of summing agree."""
    return sorted(
        json.dumps(
            {
                key: float(f"{value:.12g}") if isinstance(value, float) else value
                for key, value in row.items()
            },
            sort_keys=True,
        )
        for row in rows
    )


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_ones=st.lists(measurements(), min_size=1, max_size=12), wanted=queries)
def test_sql_and_python_agree(
    organization: tuple[Client, dict[str, Meter], dict[str, str]],
    given_ones: list[dict[str, Any]],
    wanted: dict[str, Any],
) -> None:
    api, meters, accounts = organization
    assert api.sandbox._world is not None
    with api.sandbox._world.store.transaction() as db:
        db.execute("DELETE FROM measurements")
    sent = [{**one, "measure": {**one.get("measure", {}), "unused": 0}} for one in given_ones]
    assert api.post("measurements", {"measurements": sent}).status_code == 200
    ids = {code: meter.id for code, meter in meters.items()} | accounts
    values = {
        key: part for key, part in wanted.items() if key in ("dimensionFilters", "aggregations", "groups")
    }
    asked = {**wanted, **with_ids(wanted, ids)}
    for filter_, original in zip(asked["dimensionFilters"], values["dimensionFilters"], strict=True):
        filter_["values"] = original["values"]
    got = api.post("usage/query", asked)

    assert got.status_code == 200
    assert comparable(got.json()["data"]) == comparable(answer(sent, meters, accounts, asked))


def filled(rows: int) -> Store:
    """Return a store with so many measurements of 500 accounts, one a minute."""
    store = Store()
    body = '{"measure":{"requests":%d},"where":{"region":"eu"},"padding":"' + "x" * 100 + '"}'
    with store.transaction() as db:
        db.executemany(
            "INSERT INTO measurements (uid, received, meter, account, ts, body) VALUES (?, 0, 'm', ?, ?, ?)",
            (
                (f"u{number}", f"account-{number % 500}", number * 60_000_000, body % (number % 1000))
                for number in range(rows)
            ),
        )
    return store


@pytest.mark.slow
def test_a_query_makes_no_python_object_of_a_row() -> None:
    """Memory and callbacks do not grow with the measurements; what SQLite sorts by is in files of its own."""
    rows = 50_000
    store = filled(rows)
    wanted = {"meterIds": [], "accountIds": [], "dimensionFilters": []}
    aggregation = {"meterId": "i", "fieldCode": "requests", "fieldType": "MEASURE", "function": "SUM"}
    with store.transaction() as db:
        query = Query(wanted, {"i": ("m", {"requests": "MEASURE"})}, (0, 2**62), None)
        tracemalloc.start()
        found = query.aggregates(db, [aggregation], [{"groupType": "ACCOUNT"}], 20_001)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert len(found) == 500
    assert sum(value for _, value in found) == sum(number % 1000 for number in range(rows))
    assert peak < 500_000


def test_sums_beyond_64_bits_are_floating_point(api: Client) -> None:
    meter = {
        "name": "M",
        "code": "m",
        "dataFields": [{"category": "MEASURE", "code": "x", "name": "X", "unit": "u"}],
    }
    meter_id = api.post("meters", {**meter, "derivedFields": []}).json()["id"]
    big = [{"meter": "m", "account": "a", "ts": "2024-01-01T00:00:00Z", "measure": {"x": 2**62}}] * 4
    api.post("measurements", {"measurements": big})
    aggregation = {"meterId": meter_id, "fieldCode": "x", "fieldType": "MEASURE", "function": "SUM"}

    def total() -> Any:
        return api.post("usage/query", {**EVER, "aggregations": [aggregation]}).json()["data"]

    assert total() == [{"m.x.SUM": float(2**64)}]
    api.post("measurements", {"measurements": [{**big[0], "measure": {"x": 10**500}}]})
    assert total() == [{"m.x.SUM": None}]
