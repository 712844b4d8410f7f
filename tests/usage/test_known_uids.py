"""Rows whose uid m3ter knew and no journal does: what it has is compared by counts and sums, as far as these tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from m3ter_nb import M3terSession
from m3ter_nb.errors import MeasurementsRefused
from usage_frames import usage

if TYPE_CHECKING:
    from usage_frames import Used


@pytest.mark.parametrize("journal", [None, "j.sqlite"])
@pytest.mark.parametrize("how", [{"uid": "event_id"}, {"key": "event_id"}])
def test_a_changed_row_under_a_uid_of_a_run_without_journal_shows_in_the_sums_and_fails_the_cell(
    used: Used, journal: str | None, how: dict[str, str]
) -> None:
    frame = usage(50)
    used.submit(frame, journal=None, **how)
    changed = frame.assign(requests=frame["requests"].where(frame.index != 3, 9))

    for _ in range(2):
        with pytest.raises(
            MeasurementsRefused, match=r"not what these rows hold: the sum of requests of acct-\d on 20"
        ) as caught:
            used.submit(changed, journal=journal, **how)

        sent = caught.value.submission
        assert (sent.accepted, sent.already, sent.unverified) == (0, 50, 50)
        assert "50 of them under a uid that m3ter knew" in repr(sent)
    assert used.counted() == (50, frame["requests"].sum())


@pytest.mark.parametrize("how", [{"uid": "event_id"}, {"key": "event_id"}])
def test_a_row_of_another_account_under_a_known_uid_shows_in_the_counts(
    used: Used, how: dict[str, str]
) -> None:
    frame = usage(50)
    used.submit(frame, journal=None, **how)
    other = "acct-1" if frame.loc[3, "account"] == "acct-0" else "acct-0"
    changed = frame.assign(account=frame["account"].where(frame.index != 3, other))

    with pytest.raises(
        MeasurementsRefused, match=r"not what these rows hold: of acct-\d on .* m3ter has counted"
    ):
        used.submit(changed, journal=None, **how)


@pytest.mark.parametrize(
    ("old", "new"),
    [("acct-", "Account "), ("T00:00:00.000Z", "T05:00:00.000Z"), ("T00:00:00.000Z", "T00:00:00.000-05:00")],
    ids=["names of accounts", "days of another zone", "an offset"],
)
def test_an_answer_of_another_form_than_is_assumed_raises_no_alarm(
    used: Used, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    frame = usage(50)
    used.submit(frame, uid="event_id", journal=None)
    request = M3terSession.request

    def reworded(session: M3terSession, method: str, path: str, *args: Any, **options: Any) -> Any:
        answer = request(session, method, path, *args, **options)
        return json.loads(json.dumps(answer).replace(old, new)) if path == "usage/query" else answer

    monkeypatch.setattr(M3terSession, "request", reworded)

    sent = used.submit(frame, uid="event_id", journal=None)

    assert (sent.unverified, sent.confirmed) == (50, True)
    assert "compare sums with usage/query" in repr(sent)


def test_rows_that_are_all_of_another_account_under_known_uids_fail_the_run(used: Used) -> None:
    frame = usage(50).assign(account="acct-1")
    used.submit(frame, uid="event_id", journal=None)

    with pytest.raises(MeasurementsRefused, match="of acct-2 on 2026-01-01 m3ter has counted 0 rows"):
        used.submit(frame.assign(account="acct-2"), uid="event_id", journal=None)


@pytest.mark.parametrize("how", [{"uid": "event_id"}, {"key": "event_id"}])
def test_where_rows_of_others_are_among_them_no_sum_is_compared(used: Used, how: dict[str, str]) -> None:
    frame = usage(50, seed=3).assign(ts=lambda frame: frame["ts"] + pd.Timedelta(days=1))
    used.submit(frame, journal=None, **how)
    used.submit(frame.assign(event_id="other-" + frame["event_id"]), journal=None, **how)

    sent = used.submit(frame, journal=None, **how)

    assert sent.unverified == 50
    assert "compare sums" in repr(sent)


@pytest.mark.parametrize(
    ("first", "then", "is_same"),
    [
        # Numbers that make up for one another leave what depends on the order in which they are added.
        ([0.1, 0.2, -0.3], [0.1, 0.2, -0.3], True),
        ([0.1, 0.2, -0.3], [0.1, 0.2, -0.2], False),
        ([10**12, 5, 0], [10**12, 9, 0], False),
        ([10**15 + 0.5, 0.1, 7], [10**15 + 0.5, 0.1, 7], True),
    ],
)
def test_sums_are_compared_as_exactly_as_they_can_be_added(
    used: Used, first: list[float], then: list[float], *, is_same: bool
) -> None:
    frame = usage(3).assign(account="acct-0").astype({"requests": object})
    used.submit(frame.assign(requests=first)[::-1], uid="event_id", journal=None)

    sent = used.submit(frame.assign(requests=then), uid="event_id", journal=None, raise_on_refused=False)

    assert sent.unverified == 3
    assert ("not what these rows hold: the sum of requests" in repr(sent)) is not is_same


def test_rows_there_already_by_their_content_leave_nothing_open(used: Used) -> None:
    used.submit(usage(50), journal=None)

    sent = used.submit(usage(50), journal=None)

    assert (sent.already, sent.unverified, sent.confirmed) == (50, 0, True)
    assert "50 of them were there already" in repr(sent)
