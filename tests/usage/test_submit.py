"""Rows are counted once: judged by the counts and sums of the sandbox, over real HTTP."""

from __future__ import annotations

import json
import pickle
import threading
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfoNotFoundError

import numpy as np
import pandas as pd
import pytest

import m3ter_nb
from clocks import fast_clock
from m3ter_nb.errors import (
    Forbidden,
    InvalidArgument,
    MeasurementsRefused,
    SubmissionIncomplete,
    UsageInvalid,
)
from m3ter_nb.sandbox import Sandbox
from m3ter_nb.usage import columns, engine, options
from usage_frames import usage, used_of

if TYPE_CHECKING:
    from pathlib import Path

    from m3ter_nb import Credentials
    from usage_frames import Used


def test_every_row_is_counted_and_the_result_says_so(used: Used) -> None:
    frame = usage(5000)

    sent = used.submit(frame)

    assert used.counted() == (5000, frame["requests"].sum())
    assert (sent.rows, sent.accepted, sent.ingested, sent.already, sent.doubtful) == (5000, 5000, 5000, 0, 0)
    assert (sent.confirmed, len(sent.refused), used.events(), used.requests()) == (True, 0, [], 5)
    assert repr(sent).startswith("5,000 rows to api_requests: 5,000 ingested.")


def test_identical_rows_count_each(used: Used) -> None:
    frame = pd.concat([usage(100)] * 3, ignore_index=True)

    used.submit(frame)

    assert used.counted() == (300, frame["requests"].sum())
    assert used.events() == []


def test_rows_that_share_a_key_count_once(used: Used) -> None:
    frame = usage(100)

    sent = used.submit(pd.concat([frame, frame.head(30)], ignore_index=True), key=["event_id"])

    assert used.counted() == (100, frame["requests"].sum())
    assert (sent.accepted, sent.confirmed) == (100, True)
    assert "30 shared key and content with others and count once" in repr(sent)


@pytest.mark.slow
@pytest.mark.parametrize("journal", ["auto", None])
def test_the_same_rows_again_in_any_order_and_file_count_once(
    used: Used, tmp_path: Path, journal: str | None
) -> None:
    frame = usage(3000)
    frame.to_parquet(tmp_path / "usage.parquet")
    used.submit(tmp_path / "usage.parquet", journal=journal if journal is None else tmp_path / "j.sqlite")
    before = used.requests()

    frame.sample(frac=1, random_state=1).to_csv(tmp_path / "usage.csv", index=False)
    sent = used.submit(tmp_path / "usage.csv", journal=journal if journal is None else tmp_path / "j.sqlite")

    assert used.counted() == (3000, frame["requests"].sum())
    assert (sent.already, sent.accepted, sent.confirmed, len(sent.refused)) == (3000, 0, True, 0)
    assert used.requests() - before == (3 if journal is None else 0)


def test_a_run_goes_on_where_it_stopped_with_other_rows_around(used: Used) -> None:
    frame = usage(2500)
    used.submit(frame.iloc[300:1700])
    sent = used.submit(frame.sample(frac=1, random_state=3))

    assert used.counted() == (2500, frame["requests"].sum())
    assert (sent.already, sent.accepted, used.events()) == (1400, 1100, [])


@pytest.mark.slow
def test_faults_of_every_kind_lose_and_double_nothing(used: Used) -> None:
    frame = usage(8000)
    faults = used.sandbox.faults
    faults.fail(503, 3, "/measurements")
    faults.fail(429, 2, "/measurements")
    faults.drop(3, "/measurements")
    faults.cut(3, "/measurements")
    faults.fail(502, 2, "/measurements")
    faults.fail(500, 1, "/measurements")

    sent = used.submit(frame)

    assert used.counted() == (8000, frame["requests"].sum())
    assert (sent.accepted, sent.confirmed, len(sent.refused)) == (8000, True, 0)
    # Those that were cut had been taken: m3ter drops what comes again.
    assert sent.duplicates == 3000


@pytest.mark.slow
def test_where_there_are_no_threads_every_row_is_counted_once_all_the_same(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a browser page, where a thread cannot be started."""
    frame = usage(3000)
    used.sandbox.faults.fail(503, 2, "/measurements")
    used.sandbox.faults.cut(1, "/measurements")
    monkeypatch.setattr(engine, "sys", SimpleNamespace(platform="emscripten"))
    monkeypatch.setattr(engine, "_send_by_threads", lambda *_: pytest.fail("asked for threads"))

    sent = used.submit(frame)

    assert used.counted() == (3000, frame["requests"].sum())
    assert (sent.accepted, sent.confirmed, len(sent.refused)) == (3000, True, 0)


def test_where_there_are_no_threads_a_refusal_ends_the_run_with_what_got_in(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "sys", SimpleNamespace(platform="emscripten"))
    used.sandbox.faults.fail(403, 1, "/measurements")

    with pytest.raises(SubmissionIncomplete):
        used.submit(usage(3000))

    assert used.requests() == 1
    assert used.counted()[0] == 0


def test_utc_needs_no_database_of_time_zones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and a browser page have none."""

    def missing(name: str) -> None:
        raise ZoneInfoNotFoundError(name)

    monkeypatch.setattr(options, "ZoneInfo", missing)

    assert options.Options().timezone == "UTC"
    with pytest.raises(InvalidArgument, match="no time zone of that name on this machine"):
        options.Options(timezone="Europe/London")


def test_an_answer_that_comes_too_late_is_in_doubt_and_sent_again(
    sandbox: Sandbox, credentials: Credentials, used: Used
) -> None:
    frame = usage(1000)
    sandbox.faults.delay(1.0, 1, "/measurements")
    with m3ter_nb.login(credentials, base_url=sandbox.url, timeout=(5, 0.3)) as session:
        sent = session.submit_usage(frame, "api_requests", confirm=10, journal=None)
    used.wait_for_requests(2)  # the late one too, or the next test would count its rows

    assert used.counted() == (1000, frame["requests"].sum())
    assert (sent.accepted + sent.already, sent.confirmed) == (1000, True)


@pytest.mark.slow
def test_one_token_is_renewed_in_the_middle_and_no_request_fails(credentials: Credentials) -> None:
    frame = usage(2000)
    clock = fast_clock(20)
    with (
        Sandbox(limits=False, token_lifetime=40, clock=clock.wall) as sandbox,
        m3ter_nb.login(credentials, base_url=sandbox.url, clock=clock) as session,
    ):
        used = used_of(session, sandbox)
        sent = used.submit(frame.assign(region="x" * 20_000), rate=(2, 4950), threads=4)

        assert sent.confirmed
        assert used.counted() == (2000, frame["requests"].sum())
        assert 2 <= used.requests("/oauth/token") < used.requests() / 2


@pytest.mark.slow
def test_a_refusal_that_is_no_age_ends_the_run_with_what_got_in(used: Used) -> None:
    frame = usage(8000)
    used.sandbox.faults.delay(0.2, 8, "/measurements")
    used.sandbox.faults.fail(403, 1, "/measurements")

    with pytest.raises(SubmissionIncomplete, match=r"m3ter has accepted [\d,]+ of 8,000 rows") as caught:
        used.submit(frame, threads=2)

    done = caught.value.submission
    assert isinstance(caught.value.__cause__, Forbidden)
    assert used.asked("COUNT") == done.accepted < 8000
    used.sandbox.faults.clear()
    assert used.submit(frame).confirmed
    assert used.counted() == (8000, frame["requests"].sum())


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500, 502, 503, 504])
def test_an_odd_answer_in_the_middle_loses_and_doubles_nothing_and_leaves_no_thread(
    used: Used, status: int
) -> None:
    frame = usage(6000)
    used.sandbox.faults.delay(0.05, 2, "/measurements")
    used.sandbox.faults.fail(status, 1, "/measurements")

    with suppress(SubmissionIncomplete):
        used.submit(frame, threads=2, uid="event_id")

    assert not [each for each in threading.enumerate() if each.name == "m3ter-usage"]
    used.sandbox.faults.clear()
    assert used.submit(frame, uid="event_id").confirmed
    assert used.counted() == (6000, frame["requests"].sum())


def test_a_server_that_stays_away_ends_the_run_when_patience_ends(used: Used) -> None:
    used.sandbox.faults.fail(503, 100, "/measurements")

    with pytest.raises(SubmissionIncomplete) as caught:
        used.submit(usage(1000), patience=0.2)

    used.sandbox.faults.clear()
    assert (caught.value.submission.doubtful, caught.value.submission.accepted) == (1000, 0)
    assert used.submit(usage(1000)).confirmed
    assert used.asked("COUNT") == 1000


@pytest.mark.slow
def test_ten_bad_rows_of_many_come_back_with_their_reasons(used: Used) -> None:
    frame = usage(5000)
    rows = np.arange(7, 5000, 500)
    frame.loc[rows, "account"] = frame.loc[rows, "account"].str.upper()

    with pytest.raises(MeasurementsRefused, match=r"10 refused \(10 InvalidAccountCode\)") as caught:
        used.submit(frame, new_accounts="create")

    sent = caught.value.submission
    refused = sent.refused
    assert refused["row"].tolist() == rows.tolist()
    assert set(refused["reason"]) == {"InvalidAccountCode"}
    assert refused["event_id"].tolist() == frame.loc[rows, "event_id"].tolist()
    assert (sent.ingested, sent.confirmed, sent.accepted) == (4990, True, 4990)
    assert refused["uid"].str.fullmatch("[0-9a-f]{32}").all()


@pytest.mark.parametrize("how", [{"uid": "event_id"}, {"key": "event_id"}])
def test_refused_rows_can_be_mended_and_sent_again_under_the_same_uid(
    used: Used, how: dict[str, str]
) -> None:
    frame = usage(50)
    wrong = frame.copy()
    wrong.loc[7, "account"] = "ACCT-1"
    first = used.submit(wrong, new_accounts="create", raise_on_refused=False, **how)

    second = used.submit(frame, **how)

    assert (len(first.refused), first.refused["row"].tolist()) == (1, [7])
    assert (second.already, second.accepted, second.confirmed, len(second.refused)) == (49, 1, True, 0)
    assert used.counted() == (50, frame["requests"].sum())


def test_a_row_that_was_changed_since_it_was_sent_does_not_vanish(used: Used) -> None:
    frame = usage(50)
    used.submit(frame, uid="event_id")
    frame.loc[[3, 4, 9], "requests"] += 1

    report = used.session.check_usage(frame, "api_requests", uid="event_id")

    assert [(each.kind, each.rows, each.first) for each in report.found_problems] == [
        ("DiffersFromSent", 3, [3, 4, 9])
    ]


WAYS: dict[str, dict[str, Any]] = {
    "content": {},
    "uid": {"uid": "event_id"},
    "another uid": {"uid": "other_id"},
    "key": {"key": "event_id"},
    "another key": {"key": ["account", "other_id"]},
}


@pytest.mark.parametrize("now", WAYS)
@pytest.mark.parametrize("before", WAYS)
def test_rows_sent_under_uids_made_in_another_way_are_not_counted_twice(
    used: Used, before: str, now: str
) -> None:
    frame = usage(60).assign(other_id=[f"o{number}" for number in range(60)])
    used.submit(frame.head(50), **WAYS[before])

    if before == now:
        assert used.submit(frame, **WAYS[now]).already == 50
    else:
        with pytest.raises(
            UsageInvalid, match=r"50 SentWithOtherUid.*Nothing was sent.*give uid= or key= as then"
        ):
            used.submit(frame, **WAYS[now])
        assert used.submit(frame, invalid="skip", **WAYS[now]).accepted == 10

    assert used.counted() == (60, frame["requests"].sum())


@pytest.mark.parametrize("how", [{"uid": "event_id"}, {"key": "event_id"}], ids=["uid", "key"])
def test_rows_that_differ_in_their_uid_alone_count_each_run_after_run(
    used: Used, how: dict[str, str]
) -> None:
    frame = usage(20)
    later = frame.assign(event_id=[f"later-{number}" for number in range(20)])
    used.submit(frame, **how)

    sent = used.submit(later, **how)

    assert (sent.accepted, sent.confirmed) == (20, True)
    assert used.counted() == (40, 2 * frame["requests"].sum())


def test_bad_rows_are_left_out_and_listed_where_that_is_asked_for(used: Used) -> None:
    frame = usage(50).astype({"region": object})
    frame.loc[5, "region"] = None
    frame.loc[6, "account"] = "typo"

    sent = used.submit(frame, invalid="skip")

    assert used.counted() == (48, frame["requests"].sum() - frame["requests"][[5, 6]].sum())
    assert sent.refused[["row", "reason"]].to_numpy().tolist() == [
        [5, "MissingField region"],
        [6, "NewAccount"],
    ]
    assert (sent.confirmed, sent.ingested) == (True, 48)
    assert "2 left out" in repr(sent)


def test_a_request_that_m3ter_refuses_costs_the_bad_row_and_no_other(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "_LONGEST_METADATA", 1000)
    field = {"category": "METADATA", "code": "region", "name": "x"}
    measure = {"category": "MEASURE", "code": "requests", "name": "r", "unit": "1"}
    used.session.post(
        "meters", json={"name": "Meta", "code": "meta", "dataFields": [field, measure], "derivedFields": []}
    )
    frame = usage(1000)
    frame.loc[431, "region"] = "x" * 300

    with pytest.raises(MeasurementsRefused) as caught:
        used.session.submit_usage(frame, "meta", rate=(1000, 300_000), confirm=10)

    assert caught.value.submission.refused["row"].tolist() == [431]
    assert caught.value.submission.accepted == 999


def test_without_the_permission_to_ask_the_rows_are_accepted_and_not_confirmed(used: Used) -> None:
    used.sandbox.faults.fail(403, 10, "/usage/query")

    sent = used.submit(usage(10), confirm=1)

    assert (sent.accepted, sent.ingested, sent.confirmed) == (10, None, False)
    assert "cannot be asked" in repr(sent) or "Not confirmed" in repr(sent)


def test_a_submission_travels_without_the_login_and_the_rows(used: Used) -> None:
    sent = used.submit(usage(10))
    copy = pickle.loads(pickle.dumps(sent))

    assert (copy.rows, copy.accepted, repr(copy)) == (10, 10, repr(sent))


def test_wide_rows_stay_below_the_limit_of_bytes(used: Used) -> None:
    frame = usage(2000).assign(region="é" * 400)

    sent = used.submit(frame)

    assert used.counted() == (2000, frame["requests"].sum())
    assert used.requests() == sent.report.requests == 4


def test_what_is_sent_is_what_the_row_holds(used: Used) -> None:
    frame = usage(3)
    used.submit(frame)
    query = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-02-01T00:00:00Z"}

    rows = sorted(used.session.post("usage/query", json=query)["data"], key=lambda row: row["ts"])

    for row, given in zip(rows, frame.to_dict("records"), strict=True):
        assert row["accountCode"] == given["account"]
        assert (
            row["ts"] == given["ts"].strftime("%Y-%m-%dT%H:%M:%S.") + f"{given['ts'].microsecond // 1000:03}Z"
        )
        assert row["api_requests.region"] == given["region"]
        assert json.dumps(row["api_requests.requests"]) == str(given["requests"])
