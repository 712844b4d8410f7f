"""Measurements, what their later check finds, and the usage query over what was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from m3ter_nb.sandbox import NARROW_KEY_ID, NARROW_SECRET, Sandbox
from sandbox_fixtures import Client, SettableClock

if TYPE_CHECKING:
    from collections.abc import Iterator

METER = {
    "name": "API requests",
    "code": "api_requests",
    "dataFields": [
        {"category": "WHERE", "code": "region", "name": "Region"},
        {"category": "MEASURE", "code": "requests", "name": "Requests", "unit": "{request}"},
    ],
    "derivedFields": [],
}
YEAR = {"startDate": "2024-01-01T00:00:00Z", "endDate": "2025-01-01T00:00:00Z"}
DAY_35 = 35 * 24 * 3600


def measurement(uid: str, requests: float = 1, /, **fields: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "meter": "api_requests",
        "account": "acme",
        "ts": "2024-01-31T12:00:00Z",
        "where": {"region": "eu"},
        "measure": {"requests": requests},
        **fields,
    }


def submit(api: Client, *measurements: dict[str, Any]) -> requests.Response:
    return api.post("measurements", {"measurements": list(measurements)})


def failures(api: Client) -> list[str]:
    params = {"eventName": "ingest.validation.failure"}
    return [event["m3terEvent"]["failureType"] for event in api.get("events", params=params).json()["data"]]


def stored(api: Client) -> list[str]:
    return [row["uid"] for row in api.post("usage/query", YEAR).json()["data"]]


@pytest.fixture
def meter_id(api: Client) -> str:
    """Create the meter and the account; return the meter's id."""
    api.post("accounts", {"name": "Acme", "code": "acme", "emailAddress": "a@example.com"})
    return str(api.post("meters", METER).json()["id"])


@pytest.fixture
def timed(settable_clock: SettableClock) -> Iterator[Client]:
    """Return a client of a sandbox whose clock stands still, after the measurements of these tests."""
    settable_clock.now = 1_710_000_000
    with Sandbox(clock=settable_clock, token_lifetime=10**9) as sandbox:
        api = Client(sandbox).log_in()
        api.post("meters", METER)
        yield api


def test_a_good_measurement_is_accepted_and_can_be_queried(api: Client, meter_id: str) -> None:
    answer = submit(api, measurement("u1", 21))

    assert (answer.status_code, answer.json()) == (200, {"result": "accepted"})
    (row,) = api.post("usage/query", YEAR).json()["data"]
    assert {key: row[key] for key in ("meterId", "meterCode", "accountCode", "ts", "uid")} == {
        "meterId": meter_id,
        "meterCode": "api_requests",
        "accountCode": "acme",
        "ts": "2024-01-31T12:00:00.000Z",
        "uid": "u1",
    }
    assert (row["api_requests.region"], row["api_requests.requests"]) == ("eu", 21)
    assert failures(api) == []


@pytest.mark.parametrize(
    ("wrong", "failure"),
    [
        ({"meter": "unknown"}, "UndefinedMeter"),
        ({"where": {}}, "MissingField"),
        ({"where": {"region": "eu"}, "what": {"region": "eu"}}, "DuplicateField"),
        ({"account": "ACME"}, "InvalidAccountCode"),
    ],
)
def test_a_bad_measurement_is_accepted_too_and_becomes_an_event(
    api: Client, meter_id: str, wrong: dict[str, Any], failure: str
) -> None:
    answer = submit(api, measurement("u1", **wrong), measurement("u2"))

    assert (answer.status_code, answer.json()) == (200, {"result": "accepted"})
    assert failures(api) == [failure]
    assert stored(api) == ["u2"]


def test_one_measurement_per_uid_is_kept(api: Client, meter_id: str) -> None:
    submit(api, measurement("u1", 1), measurement("u1", 2))
    submit(api, measurement("u1", 3))
    rows = api.post("usage/query", YEAR).json()["data"]

    assert [row["api_requests.requests"] for row in rows] == [1]
    assert failures(api) == ["DuplicateUid", "DuplicateUid"]


def test_a_uid_can_be_used_again_after_35_days(timed: Client, settable_clock: SettableClock) -> None:
    submit(timed, measurement("u1"))
    settable_clock.advance(DAY_35 - 1)
    submit(timed, measurement("u1"))
    within = stored(timed)
    settable_clock.advance(1)
    submit(timed, measurement("u1"))

    assert (within, stored(timed)) == (["u1"], ["u1", "u1"])


def test_a_uid_of_a_failed_measurement_is_free(api: Client, meter_id: str) -> None:
    submit(api, measurement("u1", where={}))
    submit(api, measurement("u1"))

    assert (stored(api), failures(api)) == (["u1"], ["MissingField"])


def test_without_a_uid_nothing_is_a_duplicate(api: Client, meter_id: str) -> None:
    nameless = {key: value for key, value in measurement("").items() if key != "uid"}
    submit(api, nameless, nameless)

    assert stored(api) == [None, None]


def test_an_unknown_account_code_makes_a_skeleton_account(api: Client, meter_id: str) -> None:
    submit(api, measurement("u1", account="globex"), measurement("u2", account="globex"))
    (made,) = api.get("accounts", params={"codes": "globex"}).json()["data"]

    assert (made["name"], made["version"], made.get("emailAddress")) == ("globex", 1, None)


def test_the_failed_measurements_can_be_downloaded_for_five_minutes(
    timed: Client, settable_clock: SettableClock
) -> None:
    bad = measurement("u1", meter="unknown")
    submit(timed, bad)
    (event,) = timed.get("events", params={"eventType": "IngestValidationFailure"}).json()["data"]
    url = timed.session.get(event["m3terEvent"]["getDownloadUrl"], timeout=30).json()["url"]
    settable_clock.advance(299)
    in_time = requests.get(url, timeout=30).json()
    settable_clock.advance(1)

    assert in_time == [{"failureType": "UndefinedMeter", "measurement": bad}]
    assert requests.get(url, timeout=30).status_code == 403


@pytest.mark.parametrize(
    ("params", "number"),
    [
        ({}, 1),
        ({"eventName": "ingest.validation.failure"}, 1),
        ({"eventName": "configuration.commitment.created"}, 0),
        ({"eventType": "Notification"}, 0),
        ({"accountId": "nobody"}, 0),
    ],
)
def test_events_are_filtered(api: Client, params: dict[str, str], number: int) -> None:
    submit(api, measurement("u1"))

    assert len(api.get("events", params=params).json()["data"]) == number


def test_a_timestamp_in_the_future_fails_the_check(timed: Client, settable_clock: SettableClock) -> None:
    settable_clock.now = 1_706_702_400  # 2024-01-31T12:00:00Z
    now, later = measurement("u1"), measurement("u2", ts="2024-01-31T12:00:00.001Z")

    assert submit(timed, now, later).json() == {"result": "accepted"}
    assert (stored(timed), failures(timed)) == (["u1"], ["FutureTimestamp"])


def test_a_switch_takes_timestamps_in_the_future(settable_clock: SettableClock) -> None:
    with Sandbox(clock=settable_clock, refuse_future=False) as sandbox:
        api = Client(sandbox).log_in()
        api.post("meters", METER)
        submit(api, measurement("u1"))

        assert stored(api) == ["u1"]


def test_what_is_accepted_shows_after_the_delay_that_a_switch_sets(settable_clock: SettableClock) -> None:
    settable_clock.now = 1_710_000_000
    with Sandbox(clock=settable_clock, visible_after=60) as sandbox:
        api = Client(sandbox).log_in()
        meter_id = api.post("meters", METER).json()["id"]
        submit(api, measurement("u1"), measurement("u2", where={}))
        submit(api, measurement("u1"))  # a duplicate at once, whatever shows
        event = {"SUM": query(api, meter_id, "SUM")}
        settable_clock.advance(59.9)
        before = (stored(api), failures(api), query(api, meter_id, "COUNT"))
        settable_clock.advance(0.1)

        assert (event, before) == ({"SUM": []}, ([], [], []))
        assert (stored(api), failures(api)) == (["u1"], ["DuplicateUid", "MissingField"])
        assert query(api, meter_id, "COUNT") == [{"api_requests.requests.COUNT": 1}]
        listed = api.get("events").json()["data"]
        assert api.get(f"events/{listed[0]['id']}").status_code == 200


def test_an_event_that_does_not_show_yet_is_not_found(settable_clock: SettableClock) -> None:
    settable_clock.now = 1_710_000_000
    with Sandbox(clock=settable_clock, visible_after=60) as sandbox:
        api = Client(sandbox).log_in()
        submit(api, measurement("u1"))
        settable_clock.advance(60)
        event_id = api.get("events").json()["data"][0]["id"]
        settable_clock.advance(-1)

        assert api.get(f"events/{event_id}").status_code == 404


@pytest.mark.parametrize(
    ("number", "status"), [(0, 400), (1, 200), (1000, 200), (1001, 400)], ids=["0", "1", "1000", "1001"]
)
def test_a_submission_has_1_to_1000_measurements(api: Client, number: int, status: int) -> None:
    assert submit(api, *(measurement(f"u{index}") for index in range(number))).status_code == status


@pytest.mark.parametrize(
    "wrong",
    [
        {"ts": "yesterday"},
        {"ts": "2024-02-30T12:00:00Z"},
        {"ts": "0001-01-01T00:00:00Z"},
        {"ts": "9999-12-31T23:59:59Z"},
        {"ts": None},
        {"ets": "soon"},
        {"uid": "u" * 51},
        {"measure": {"requests": "21"}},
        {"where": {"region": 1}},
        {"metadata": {"note": "n" * 257}},
        {"account": " acme"},
        {"where": {"region": "a\0b"}},
        {"other": {"note": "\ud800"}},
    ],
    ids=str,
)
def test_a_malformed_measurement_is_400_and_nothing_is_taken(
    api: Client, meter_id: str, wrong: dict[str, Any]
) -> None:
    answer = submit(api, measurement("u1"), measurement("u2", **wrong))

    assert answer.status_code == 400
    assert stored(api) == []


@pytest.mark.parametrize(
    "ts",
    [
        "2024-01-31T12:00:00.123456789Z",
        "2024-01-31T14:00:00+02:00",
        "2024-01-31t12:00:00z",
        "2023-12-31T23:00:00-05:00",
    ],
)
def test_every_iso_8601_form_of_a_time_is_taken(api: Client, meter_id: str, ts: str) -> None:
    submit(api, measurement("u1", ts=ts))

    assert stored(api) == ["u1"]


def test_the_narrow_user_may_upload(api: Client, meter_id: str, sandbox: Sandbox) -> None:
    narrow = Client(sandbox, NARROW_KEY_ID, NARROW_SECRET).log_in()

    assert submit(narrow, measurement("u1")).status_code == 200
    assert narrow.post("usage/query", YEAR).status_code == 403


@pytest.fixture
def used(api: Client, meter_id: str) -> Client:
    """Return a client of an organization with five measurements."""
    submit(
        api,
        measurement("u1", 1, ts="2024-01-01T00:30:00Z"),
        measurement("u2", 2, ts="2024-01-01T01:30:00Z", where={"region": "us"}),
        measurement("u3", 4, ts="2024-02-05T10:00:00Z", account="globex"),
        measurement("u4", 8, ts="2024-02-06T10:00:00Z"),
        measurement("u5", -3, ts="2024-05-06T10:00:00Z", where={"region": "us"}),
    )
    return api


def query(
    api: Client, meter_id: str, function: str, *groups: dict[str, str], **more: Any
) -> list[dict[str, Any]]:
    field = ("region", "DIMENSION") if function == "UNIQUE" else ("requests", "MEASURE")
    aggregation = {"meterId": meter_id, "fieldCode": field[0], "fieldType": field[1], "function": function}
    answer = api.post("usage/query", {**YEAR, "aggregations": [aggregation], "groups": list(groups), **more})
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


@pytest.mark.parametrize(
    ("function", "value"),
    [("SUM", 12), ("MIN", -3), ("MAX", 8), ("COUNT", 5), ("LATEST", -3), ("MEAN", 2.4)],
)
def test_numbers_are_aggregated(used: Client, meter_id: str, function: str, value: float) -> None:
    assert query(used, meter_id, function) == [{f"api_requests.requests.{function}": value}]


def test_unique_counts_the_different_texts(used: Client, meter_id: str) -> None:
    assert query(used, meter_id, "UNIQUE") == [{"api_requests.region.UNIQUE": 2}]


def test_usage_is_grouped_by_account(used: Client, meter_id: str) -> None:
    rows = query(used, meter_id, "SUM", {"groupType": "ACCOUNT"})

    assert {row["accountCode"]: row["api_requests.requests.SUM"] for row in rows} == {"acme": 8, "globex": 4}


def test_usage_is_grouped_by_dimension(used: Client, meter_id: str) -> None:
    rows = query(
        used, meter_id, "SUM", {"groupType": "DIMENSION", "meterId": meter_id, "fieldCode": "region"}
    )

    assert {row["region"]: row["api_requests.requests.SUM"] for row in rows} == {"eu": 13, "us": -1}


@pytest.mark.parametrize(
    ("frequency", "sums"),
    [
        (
            "HOUR",
            {
                "2024-01-01T00": 1,
                "2024-01-01T01": 2,
                "2024-02-05T10": 4,
                "2024-02-06T10": 8,
                "2024-05-06T10": -3,
            },
        ),
        ("DAY", {"2024-01-01T00": 3, "2024-02-05T00": 4, "2024-02-06T00": 8, "2024-05-06T00": -3}),
        ("WEEK", {"2024-01-01T00": 3, "2024-02-05T00": 12, "2024-05-06T00": -3}),
        ("MONTH", {"2024-01-01T00": 3, "2024-02-01T00": 12, "2024-05-01T00": -3}),
        ("QUARTER", {"2024-01-01T00": 15, "2024-04-01T00": -3}),
    ],
)
def test_usage_is_grouped_by_time(
    used: Client, meter_id: str, frequency: str, sums: dict[str, float]
) -> None:
    rows = query(used, meter_id, "SUM", {"groupType": "TIME", "frequency": frequency})

    assert {row["startTime"][:13]: row["api_requests.requests.SUM"] for row in rows} == sums
    assert [row["startTime"] for row in rows] == sorted((row["startTime"] for row in rows), reverse=True)


def test_a_month_ends_where_the_next_begins(used: Client, meter_id: str) -> None:
    submit(used, measurement("u6", ts="2024-12-31T23:59:59Z"))
    rows = query(used, meter_id, "SUM", {"groupType": "TIME", "frequency": "MONTH"})

    assert (rows[0]["startTime"], rows[0]["endTime"]) == (
        "2024-12-01T00:00:00.000Z",
        "2025-01-01T00:00:00.000Z",
    )


def test_groups_combine(used: Client, meter_id: str) -> None:
    rows = query(
        used, meter_id, "COUNT", {"groupType": "ACCOUNT"}, {"groupType": "TIME", "frequency": "QUARTER"}
    )

    assert [
        (row["accountCode"], row["startTime"][:7], row["api_requests.requests.COUNT"]) for row in rows
    ] == [
        ("acme", "2024-04", 1),
        ("acme", "2024-01", 3),
        ("globex", "2024-01", 1),
    ]


def test_usage_is_filtered_by_dimension_account_and_meter(used: Client, meter_id: str) -> None:
    (globex,) = used.get("accounts", params={"codes": "globex"}).json()["data"]
    european = [{"meterId": meter_id, "fieldCode": "region", "values": ["eu"]}]

    assert query(used, meter_id, "SUM", dimensionFilters=european) == [{"api_requests.requests.SUM": 13}]
    assert query(used, meter_id, "SUM", accountIds=[globex["id"]]) == [{"api_requests.requests.SUM": 4}]
    assert query(used, meter_id, "SUM", meterIds=["unknown"]) == []


def test_a_filter_of_one_meter_leaves_the_others_alone(used: Client, meter_id: str) -> None:
    other = used.post("meters", {**METER, "code": "other"}).json()["id"]
    submit(used, measurement("u6", meter="other", where={"region": "us"}))
    european = [{"meterId": meter_id, "fieldCode": "region", "values": ["eu"]}]
    rows = used.post("usage/query", {**YEAR, "dimensionFilters": european}).json()["data"]

    assert [row["uid"] for row in rows if row["meterId"] == other] == ["u6"]
    assert sorted(row["uid"] for row in rows if row["meterId"] == meter_id) == ["u1", "u3", "u4"]


def test_the_period_includes_its_start_and_excludes_its_end(used: Client) -> None:
    period = {"startDate": "2024-01-01T00:30:00Z", "endDate": "2024-02-05T10:00:00Z"}

    assert [row["uid"] for row in used.post("usage/query", period).json()["data"]] == ["u2", "u1"]


def test_a_limit_keeps_the_most_recent_and_says_that_there_is_more(used: Client) -> None:
    answer = used.post("usage/query", {**YEAR, "limit": 2}).json()
    whole = used.post("usage/query", {**YEAR, "limit": 5}).json()

    assert [row["uid"] for row in answer["data"]] == ["u5", "u4"]
    assert (answer["hasMoreData"], whole["hasMoreData"]) == (True, False)


AGGREGATION = {"meterId": "m", "fieldCode": "f", "fieldType": "MEASURE", "function": "SUM"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"groups": [{"groupType": "ACCOUNT"}]},
        {"startDate": None},
        {"endDate": "tomorrow"},
        {"limit": 0},
        {"limit": 20001},
        {"aggregations": [{**AGGREGATION, "function": "UNIQUE"}]},
        {"aggregations": [{**AGGREGATION, "fieldType": "DIMENSION"}]},
        {"aggregations": [{**AGGREGATION, "function": "MEDIAN"}]},
        {"aggregations": [AGGREGATION], "groups": [{"groupType": "TIME"}]},
        {"aggregations": [AGGREGATION], "groups": [{"groupType": "TIME", "frequency": "YEAR"}]},
        {"aggregations": [AGGREGATION], "groups": [{"groupType": "DIMENSION", "meterId": "m"}]},
        {"aggregations": [AGGREGATION], "groups": [{}]},
    ],
    ids=str,
)
def test_a_query_that_makes_no_sense_is_400(api: Client, wrong: dict[str, Any]) -> None:
    assert api.post("usage/query", {**YEAR, **wrong}).status_code == 400


@pytest.mark.slow
def test_a_query_that_is_too_much_for_sqlite_is_400(api: Client, meter_id: str) -> None:
    region = {"meterId": meter_id, "fieldCode": "region", "values": ["eu"]}
    codes = [{**region, "fieldCode": f"region{number}"} for number in range(3_000)]
    searched = api.get("accounts/search", params={"searchQuery": "$".join(["code:a"] * 2_000)})

    assert api.post("usage/query", {**YEAR, "dimensionFilters": codes}).status_code == 400
    assert (searched.status_code, "cannot work that out" in searched.text) == (400, True)


def test_a_sum_beyond_all_numbers_is_null(api: Client, meter_id: str) -> None:
    submit(api, measurement("u1", 1.7e308), measurement("u2", 1.7e308))

    assert query(api, meter_id, "SUM") == [{"api_requests.requests.SUM": None}]
