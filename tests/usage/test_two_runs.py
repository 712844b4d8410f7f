"""Two runs of the same rows at the same time: what they hold is compared where it can be, and no conflict is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from m3ter_nb.errors import MeasurementsRefused, UsageInvalid
from m3ter_nb.usage.sending import Sending
from usage_frames import usage

if TYPE_CHECKING:
    from m3ter_nb import Submission
    from usage_frames import Used

HOW = pytest.mark.parametrize("how", [{"uid": "event_id"}, {"key": "event_id"}], ids=["uid", "key"])


class Meanwhile:
    """Another run, which sends its rows after the next has checked its own, or asked for m3ter's count, and before it sends."""

    def __init__(
        self,
        used: Used,
        monkeypatch: pytest.MonkeyPatch,
        frame: pd.DataFrame,
        *,
        after: str = "check",
        **options: Any,
    ) -> None:
        self.sent: Submission | None = None
        step = "send" if after == "check" else "_deliver"
        original, begun = getattr(Sending, step), []

        def go_on_after_the_other(sending: Sending) -> Any:
            if not begun:
                begun.append(True)
                self.sent = used.submit(frame, **options)
            return original(sending)

        monkeypatch.setattr(Sending, step, go_on_after_the_other)


@HOW
def test_a_run_of_the_same_rows_at_the_same_time_on_the_same_journal_raises_no_alarm(
    used: Used, monkeypatch: pytest.MonkeyPatch, how: dict[str, str]
) -> None:
    frame = usage(50)
    other = Meanwhile(used, monkeypatch, frame, **how)

    sent = used.submit(frame, **how)

    assert other.sent is not None
    assert used.counted() == (50, frame["requests"].sum())
    assert (sent.already, sent.unverified, sent.confirmed) == (50, 0, True)
    assert "50 of them were there already" in repr(sent)
    assert "compare sums" not in repr(sent)
    assert used.submit(frame, **how).unverified == 0


@HOW
def test_a_run_of_the_same_rows_on_another_journal_is_named_as_what_it_may_be(
    used: Used, monkeypatch: pytest.MonkeyPatch, how: dict[str, str]
) -> None:
    frame = usage(50)
    Meanwhile(used, monkeypatch, frame, journal="other.sqlite", **how)

    sent = used.submit(frame, **how)

    assert (sent.already, sent.unverified, sent.confirmed) == (50, 50, True)
    assert "50 of them under a uid that m3ter knew, from an earlier run or one at the same time" in repr(sent)
    assert "its sums of every number, are those of these rows" in repr(sent)


@HOW
def test_a_run_at_the_same_time_with_another_content_fails_the_run_and_stays_unclear(
    used: Used, monkeypatch: pytest.MonkeyPatch, how: dict[str, str]
) -> None:
    frame = usage(50)
    changed = frame.assign(requests=frame["requests"].where(frame.index != 3, 9))
    Meanwhile(used, monkeypatch, frame, **how)

    with pytest.raises(MeasurementsRefused, match="1 in conflict with another run") as caught:
        used.submit(changed, **how)

    sent = caught.value.submission
    assert (sent.already, sent.unverified, sent.accepted) == (49, 0, 0)
    assert sent.refused[["row", "reason", "event_id"]].to_numpy().tolist() == [
        [3, "OtherContentUnderUid", "e1-3"]
    ]
    assert used.counted() == (50, frame["requests"].sum())
    # Which of the two m3ter has, the journal does not pretend to know; its sums show it.
    assert used.submit(frame, **how).unverified == 1
    with pytest.raises(UsageInvalid, match="1 DiffersFromSent"):
        used.submit(changed, **how)


@HOW
def test_what_somebody_without_this_journal_had_sent_before_is_not_taken_for_the_other_runs(
    used: Used, monkeypatch: pytest.MonkeyPatch, how: dict[str, str]
) -> None:
    frame = usage(50)
    used.submit(frame.assign(requests=7), journal=None, **how)
    Meanwhile(used, monkeypatch, frame, **how)

    with pytest.raises(MeasurementsRefused, match="not what these rows hold: the sum of requests") as caught:
        used.submit(frame, **how)

    sent = caught.value.submission
    assert used.counted() == (50, 350)
    assert (sent.already, sent.unverified) == (50, 50)


@pytest.mark.parametrize("how", [{}, {"uid": "event_id"}, {"key": "event_id"}], ids=["content", "uid", "key"])
@pytest.mark.parametrize("journal", [None, "j.sqlite"])
def test_what_was_counted_for_the_other_run_is_not_laid_to_others(
    used: Used, monkeypatch: pytest.MonkeyPatch, how: dict[str, str], journal: str | None
) -> None:
    frame = usage(50)
    Meanwhile(used, monkeypatch, frame, after="count", journal=journal, **how)

    sent = used.submit(frame, journal=journal, **how)

    assert (sent.already, sent.confirmed) == (50, True)
    assert "Another run sends the same rows at the same time: m3ter has counted 50 of them for it." in repr(
        sent
    )
    assert "others submit" not in repr(sent)


def test_rows_of_others_beside_those_of_the_other_run_are_told(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = usage(50)
    more = pd.concat([frame, usage(10, seed=2)])
    Meanwhile(used, monkeypatch, more, after="count", uid="event_id")

    sent = used.submit(frame, uid="event_id")

    assert "or others submit usage" in repr(sent)


def test_a_conflict_stays_one_when_more_is_told_of_the_same_uids_and_the_other_run_is_told_of_it(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = usage(50)
    changed = frame.assign(region=frame["region"].where(frame.index != 3, "elsewhere"))  # in no sum
    other = Meanwhile(used, monkeypatch, frame, uid="event_id")
    sent = used.submit(changed, uid="event_id", raise_on_refused=False)
    assert "1 in conflict with another run" in repr(sent)

    used.submit(frame[7:8], uid="event_id", journal=None)
    sent.confirm(0)

    assert "1 in conflict with another run" in repr(sent)
    assert other.sent is not None
    with pytest.raises(MeasurementsRefused, match="1 in conflict with another run"):
        other.sent.confirm(0)


def test_a_conflict_of_two_runs_that_confirmed_nothing_is_not_taken_for_what_one_of_them_sent(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = usage(50)
    changed = frame.assign(region=frame["region"].where(frame.index != 3, "elsewhere"))
    Meanwhile(used, monkeypatch, frame, uid="event_id", confirm=0)
    used.submit(changed, uid="event_id", confirm=0)

    again = used.submit(frame, uid="event_id")

    assert (again.already, again.unverified) == (50, 1)
    with pytest.raises(UsageInvalid, match="1 DiffersFromSent"):
        used.submit(changed, uid="event_id")


@pytest.mark.parametrize("is_same", [True, False], ids=["the same", "another content"])
def test_what_another_run_sent_is_compared_also_where_a_request_was_repeated(
    used: Used, monkeypatch: pytest.MonkeyPatch, *, is_same: bool
) -> None:
    frame = usage(50)
    deliver = Sending._deliver
    other = Meanwhile(used, monkeypatch, frame, uid="event_id", confirm=0)

    def deliver_twice(sending: Sending) -> Any:
        if other.sent is not None:
            used.sandbox.faults.cut(1, "/measurements")
        return deliver(sending)

    monkeypatch.setattr(Sending, "_deliver", deliver_twice)
    rows = frame if is_same else frame.assign(region="elsewhere")

    sent = used.submit(rows, uid="event_id", raise_on_refused=False)

    assert (sent.duplicates, sent.accepted, sent.confirmed) == (100, 0, True)
    assert (sent.unverified, len(sent.refused)) == ((50, 0) if is_same else (0, 50))
    assert ("50 in conflict with another run" in repr(sent)) is not is_same
