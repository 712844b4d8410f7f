"""What the check finds before anything is sent."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import m3ter_nb
from m3ter_nb.errors import InvalidArgument, UsageInvalid
from m3ter_nb.usage import survey
from m3ter_nb.usage.pace import seconds_for
from usage_frames import usage

if TYPE_CHECKING:
    from pathlib import Path

    from m3ter_nb import Credentials, UsageReport
    from m3ter_nb.sandbox import Sandbox
    from usage_frames import Used


def problems(report: UsageReport) -> dict[tuple[str, str], tuple[int, list[int]]]:
    """Return what keeps rows from being sent, as plain values."""
    return {(each.kind, each.column): (each.rows, each.first) for each in report.found_problems}


def warnings(report: UsageReport) -> dict[str, int]:
    """Return what should be known, as plain values."""
    return {each.kind: each.rows for each in report.found_warnings}


def test_good_rows_are_ok_and_nothing_is_sent(used: Used) -> None:
    report = used.session.check_usage(usage(2500), "api_requests")

    assert report.ok
    assert (report.rows, report.requests, report.accounts, report.new_accounts) == (2500, 3, 10, [])
    assert report.seconds == pytest.approx(2 / 45)
    assert (report.start or "")[:10] == "2026-01-01"
    assert used.requests() == 0
    assert "2,500 rows for api_requests: all can be sent." in repr(report)


@pytest.mark.parametrize(
    ("column", "value", "found"),
    [
        ("account", None, ("MissingAccount", "account")),
        ("account", " acct-1", ("BadCode", "account")),
        ("account", "a" * 81, ("BadCode", "account")),
        ("account", "a\tb", ("BadCode", "account")),
        ("account", "acct-99", ("NewAccount", "account")),
        ("ts", None, ("MissingTime", "ts")),
        ("ts", "01.02.2026", ("BadTime", "ts")),
        ("ts", "2026/02/01", ("BadTime", "ts")),
        ("ts", "2026-02-30T00:00:00Z", ("BadTime", "ts")),
        ("ts", 1_700_000_000, ("BadTime", "ts")),
        ("ts", "2999-01-01T00:00:00Z", ("FutureTimestamp", "ts")),
        ("region", None, ("MissingField", "region")),
        ("region", " ", ("MissingField", "region")),
        ("region", True, ("WrongType", "region")),
        ("region", ["eu"], ("WrongType", "region")),
        ("region", "\ud800", ("WrongType", "region")),
        ("requests", None, ("MissingField", "requests")),
        ("requests", "12", ("WrongType", "requests")),
        ("requests", float("inf"), ("NotANumber", "requests")),
    ],
)
def test_a_row_that_cannot_be_sent_is_named(
    used: Used, column: str, value: Any, found: tuple[str, str]
) -> None:
    frame = usage(5).astype(object)
    cells = frame[column].tolist()
    cells[3] = value
    frame[column] = pd.Series(cells, dtype=object)

    report = used.session.check_usage(frame, "api_requests")

    assert problems(report) == {found: (1, [3])}
    assert (report.ok, report.bad_rows) == (False, 1)
    assert report.problems.iloc[0][["problem", "rows"]].tolist() == [found[0], 1]


def test_a_submission_of_rows_that_cannot_be_sent_sends_nothing(used: Used) -> None:
    frame = usage(5).astype(object)
    frame.loc[2, "region"] = None

    with pytest.raises(UsageInvalid, match=r"1 MissingField region.*Nothing was sent") as caught:
        used.submit(frame)

    assert caught.value.report.bad_rows == 1
    assert used.requests() == 0


def test_metadata_longer_than_256_characters_is_a_problem(used: Used) -> None:
    field = {"category": "METADATA", "code": "region", "name": "x"}
    used.session.post(
        "meters", json={"name": "Meta", "code": "meta", "dataFields": [field], "derivedFields": []}
    )
    frame = usage(2).assign(region=["x" * 256, "x" * 257])

    assert problems(used.session.check_usage(frame, "meta")) == {("TooLong", "region"): (1, [1])}


def test_a_row_that_no_request_can_hold_is_a_problem(used: Used) -> None:
    frame = usage(3).assign(region=["eu", "x" * 499_000, "x" * 500_000])

    report = used.session.check_usage(frame, "api_requests")
    sent = used.submit(frame, invalid="skip")

    assert problems(report) == {("TooLarge", ""): (1, [2])}
    assert used.counted() == (2, frame["requests"][:2].sum())
    assert sent.confirmed


def test_new_accounts_are_a_problem_unless_they_are_meant(used: Used) -> None:
    frame = usage(20).assign(account=["acct-1"] * 17 + ["typo", "typo", "a,b"])

    refused = used.session.check_usage(frame, "api_requests")
    created = used.session.check_usage(frame, "api_requests", new_accounts="create")

    assert problems(refused) == {("NewAccount", "account"): (3, [17, 19])}
    assert refused.new_accounts == ["typo", "a,b"]
    assert created.ok
    assert warnings(created) == {"NewAccount": 3}


def test_identical_rows_are_told_and_those_of_a_uid_are_refused(used: Used) -> None:
    frame = pd.concat([usage(10), usage(4)], ignore_index=True)
    frame.loc[10:, ["account", "ts", "region", "requests"]] = frame.loc[
        :3, ["account", "ts", "region", "requests"]
    ].to_numpy()

    assert warnings(used.session.check_usage(frame, "api_requests"))["Identical"] == 4
    assert problems(used.session.check_usage(frame, "api_requests", uid="event_id")) == {
        ("RepeatedUid", "event_id"): (4, [10, 11, 12, 13])
    }


def test_rows_of_one_key_count_once_if_they_are_alike_and_are_refused_if_they_differ(used: Used) -> None:
    first = usage(10)
    frame = pd.concat([first, first.head(4)], ignore_index=True)
    frame.loc[12, "requests"] += 1

    report = used.session.check_usage(frame, "api_requests", key="event_id")

    assert problems(report) == {("DifferentUnderKey", "event_id"): (1, [12])}
    assert warnings(report) == {"RepeatedKey": 3}


def test_times_without_a_zone_are_told_and_those_that_a_clock_change_makes_unclear_are_refused(
    used: Used,
) -> None:
    frame = usage(3).assign(ts=["2026-03-28T02:30", "2026-03-29T02:30", "2025-10-26T02:30"])

    report = used.session.check_usage(frame, "api_requests", timezone="Europe/Berlin")

    assert problems(report) == {("UnclearTime", "ts"): (2, [1, 2])}
    assert warnings(report) == {"NoTimeZone": 3}


def test_an_end_before_the_start_is_a_problem(used: Used) -> None:
    frame = usage(3)
    frame["end"] = frame["ts"] + pd.to_timedelta([1, -1, 0], unit="s")

    assert problems(used.session.check_usage(frame, "api_requests", ets="end")) == {
        ("EndsBeforeStart", "end"): (1, [1])
    }


def test_rounded_numbers_and_long_uids_are_told(used: Used) -> None:
    frame = usage(2).astype({"requests": object}).assign(event_id=["x" * 60, "y"])
    frame.loc[0, "requests"] = Decimal("0.12345678901234567890")

    report = used.session.check_usage(frame, "api_requests", uid="event_id")

    assert report.ok
    assert warnings(report) == {"Rounded": 1, "LongUid": 1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"account": "acount"}, r"There is no column 'acount' \(did you mean 'account'\?\)"),
        ({"columns": {"region": "regoin"}}, r"no column 'regoin' \(did you mean 'region'\?\)"),
        ({"columns": {"zone": "region"}}, r"has no field of that name \(there are 'requests', 'region'\)"),
        ({"uid": "id"}, r"no column of that name \(there are .*uid= and key="),
        ({"uid": "event_id", "key": "event_id"}, "exclude each other"),
        ({"key": []}, "names no column"),
        ({"key": 5}, "name of a column, or several"),
        ({"key": [5]}, "name of a column, or several"),
        ({"account": None}, "account= is the name of one column"),
        ({"ts": 3}, "ts= is the name of one column"),
        ({"uid": ["event_id"]}, "uid= is the name of one column"),
        ({"columns": "region"}, "by the fields of the meter"),
        ({"columns": ["region"]}, "by the fields of the meter"),
        ({"columns": {"region": 7}}, "by the fields of the meter"),
        ({"journal": 5}, "journal= is a path"),
        ({"journal": ""}, "journal= is a path"),
        ({"timezone": "Mars/Olympus"}, "no time zone"),
        ({"new_accounts": "maybe"}, "'refuse' or 'create'"),
    ],
)
def test_an_argument_that_makes_no_sense_is_an_error_that_says_what_does(
    used: Used, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidArgument, match=said):
        used.session.check_usage(usage(3), "api_requests", **options)


def test_a_column_that_nobody_named_is_named_where_it_is_not_there(used: Used) -> None:
    with pytest.raises(InvalidArgument, match=r"no column 'account' \(there are .*account=\"\.\.\.\" names"):
        used.session.check_usage(usage(3).rename(columns={"account": "who"}), "api_requests")


@pytest.mark.parametrize("column", ["requests", "event_id", "account", "region", "ts"])
def test_a_cell_that_holds_several_values_is_a_bad_row(used: Used, column: str) -> None:
    frame = usage(2).astype(object)
    frame[column] = [np.array([1, 2]), frame[column].iloc[1]]

    report = used.session.check_usage(frame, "api_requests", uid="event_id")

    assert not report.ok


def test_a_meter_that_is_not_there_is_an_error_with_its_likely_name(used: Used) -> None:
    with pytest.raises(InvalidArgument, match=r"no meter 'api_request' \(did you mean 'api_req"):
        used.session.check_usage(usage(3), "api_request")


def test_an_empty_source_is_said_and_sends_nothing(used: Used) -> None:
    sent = used.submit(usage(0))

    assert (sent.rows, sent.accepted, used.requests()) == (0, 0, 0)
    assert repr(sent) == "No rows for api_requests: nothing was sent."


@pytest.mark.parametrize(
    "source", [5, None, b"x", {"a": 1}, "nowhere.csv", "no-*.csv", ["x"], pd.Series([1])]
)
def test_what_is_no_source_is_an_error(used: Used, source: Any) -> None:
    with pytest.raises(InvalidArgument):
        used.session.check_usage(source, "api_requests")


def test_what_dask_has_beside_frames_is_an_error_that_says_what_is_read(used: Used) -> None:
    frame = type("DataFrame", (), {"__module__": "dask.dataframe.dask_expr._collection"})()

    with pytest.raises(InvalidArgument, match=r"a dask\.dataframe"):
        used.session.check_usage(frame, "api_requests")


def test_columns_of_other_names_are_mapped(used: Used) -> None:
    frame = usage(3).rename(columns={"account": "customer", "ts": "at", "region": "zone", "requests": "n"})

    report = used.session.check_usage(
        frame, "api_requests", account="customer", ts="at", columns={"region": "zone", "requests": "n"}
    )

    assert report.ok


def test_the_views_escape_what_the_data_holds(used: Used) -> None:
    frame = usage(3).assign(account="<script>")
    view = used.session.check_usage(frame, "api_requests")._repr_html_()

    assert "<script>" not in view
    assert "&lt;script&gt;" in view


def test_the_seconds_are_those_of_the_limits() -> None:
    assert seconds_for(1, (45, 4950)) == 0
    assert seconds_for(4950, (45, 4950)) == pytest.approx(4949 / 45)
    assert seconds_for(6000, (45, 4950)) == pytest.approx(300 + 1049 / 45)


def test_a_csv_in_another_encoding_is_an_error_that_says_how_to_read_it(used: Used, tmp_path: Path) -> None:
    text = usage(5).assign(region="Zürich").to_csv(index=False)
    (tmp_path / "old.csv").write_bytes(text.encode("cp1252"))

    with pytest.raises(InvalidArgument, match="not in UTF-8"):
        used.session.check_usage(tmp_path / "old.csv", "api_requests")


def test_texts_of_a_csv_stay_as_they_are(used: Used, tmp_path: Path) -> None:
    used.session.post("accounts", json={"name": "J", "code": "007", "emailAddress": "a@b.example"})
    usage(3).assign(account="007", region="NA").to_csv(tmp_path / "usage.csv", index=False)

    sent = used.submit(tmp_path / "usage.csv")

    assert sent.confirmed
    query = {"startDate": "2026-01-01T00:00:00Z", "endDate": "2026-02-01T00:00:00Z"}
    (row, *_) = used.session.post("usage/query", json=query)["data"]
    assert (row["accountCode"], row["api_requests.region"]) == ("007", "NA")


def test_of_very_many_rows_the_report_says_how_long_they_take_and_that_files_can_be_uploaded(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "MANY_ROWS", 40)
    few = used.session.check_usage(usage(40), "api_requests", uid="event_id")
    many = used.session.check_usage(usage(41), "api_requests", uid="event_id")

    assert "file upload" not in repr(few)
    assert re.search(r"m3ter's limits make this take \d+ s from one address\. .* file upload", repr(many))
    assert "file upload" in many._repr_html_()


def test_very_many_rows_need_ids_of_their_own(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MANY_ROWS", 40)

    with pytest.raises(InvalidArgument, match="More than 40 rows need uid= or key="):
        used.session.check_usage(usage(41), "api_requests")


@pytest.mark.parametrize("options", [{}, {"uid": "event_id"}, {"key": "event_id"}], ids=str)
def test_a_row_with_several_faults_is_one_row_that_cannot_be_sent(
    used: Used, options: dict[str, Any]
) -> None:
    frame = usage(8)
    frame.loc[[1, 2], "account"] = "no-such"
    frame.loc[[2, 3], "region"] = None
    frame.loc[[4, 5], "event_id"] = "e1-1"  # of a row with a fault of its own, and again
    frame.loc[5, "account"] = "no-such"

    report = used.session.check_usage(frame, "api_requests", **options)
    sent = used.submit(frame, invalid="skip", **options)

    assert report.bad_rows == 8 - sent.accepted == len(sent.refused)


def test_an_organization_without_meters_is_told_to_make_one(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    with (
        m3ter_nb.login(credentials, base_url=sandbox.url) as session,
        pytest.raises(InvalidArgument, match=r"There is no meter yet: session\.post"),
    ):
        session.check_usage(usage(1), "api_requests")
