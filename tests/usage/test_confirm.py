"""m3ter may take its time: what is not counted yet is not called counted."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import m3ter_nb
from m3ter_nb.errors import InvalidArgument, MeasurementsRefused
from m3ter_nb.sandbox import Sandbox
from m3ter_nb.usage import counts
from m3ter_nb.usage.channel import Channel
from m3ter_nb.usage.counts import count
from m3ter_nb.usage.meter import Meter
from m3ter_nb.usage.report import UsageReport
from m3ter_nb.usage.sending import Sending
from m3ter_nb.usage.survey import Survey
from m3ter_nb.wire.clock import Clock
from usage_frames import usage, used_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb import Credentials, Submission
    from m3ter_nb.errors import M3terError
    from usage_frames import Used


def test_a_meter_without_fields_has_nothing_to_count_by(used: Used) -> None:
    with pytest.raises(InvalidArgument, match="no field to count by"):
        count(used.session, Meter("id", "bare", ()), Survey(UsageReport("bare")))


def test_what_shows_late_is_not_yet_confirmed_and_is_when_it_is_asked_for_again(
    credentials: Credentials,
) -> None:
    moved = [0.0]

    def wait(seconds: float) -> None:
        moved[0] += seconds

    clock = Clock(lambda: time.time() + moved[0], lambda: time.monotonic() + moved[0], wait)
    frame = usage(50)
    frame.loc[7, "account"] = "ACCT-1"
    with (
        Sandbox(limits=False, visible_after=60, clock=clock.wall) as sandbox,
        m3ter_nb.login(credentials, base_url=sandbox.url, clock=clock) as session,
    ):
        used = used_of(session, sandbox)
        sent = used.submit(frame, confirm=1, new_accounts="create")

        assert (sent.accepted, sent.confirmed, len(sent.refused)) == (50, False, 0)
        assert "not yet confirmed" in repr(sent)
        with pytest.raises(MeasurementsRefused):
            sent.confirm(300)
        assert (sent.confirmed, sent.ingested, sent.refused["row"].tolist()) == (True, 49, [7])


@pytest.mark.slow
@pytest.mark.parametrize("hours", [-48, -1, 1, 48])
@pytest.mark.parametrize("before", [0, 1], ids=["the first event", "one of many"])
def test_refused_rows_are_found_though_this_machines_clock_jumps(
    sandbox: Sandbox, credentials: Credentials, hours: int, before: int
) -> None:
    jumped = [0.0]
    clock = Clock(lambda: time.time() + jumped[0], time.monotonic, time.sleep)

    def jump(_: UsageReport) -> None:
        jumped[0] = hours * 3600.0

    with m3ter_nb.login(credentials, base_url=sandbox.url, clock=clock) as session:
        used = used_of(session, sandbox)
        for seed in range(1, 1 + before):
            used.submit(
                usage(5, seed=seed).assign(account="ACCT-1"), new_accounts="create", raise_on_refused=False
            )
        frame = usage(2000, seed=9)
        frame.loc[7, "account"] = "ACCT-2"

        sent = used.submit(frame, new_accounts="create", raise_on_refused=False, approve=jump)

        assert (sent.confirmed, sent.ingested, sent.refused["row"].tolist()) == (True, 1999, [7])
        assert used.asked("COUNT") == 1999


def wide_frame() -> pd.DataFrame:
    """Return 2,000 rows of three days."""
    frame = usage(2000)
    return frame.assign(ts=frame["ts"].iloc[0] + pd.to_timedelta(np.arange(2000) * 100, unit="s"))


def beside_others(
    used: Used, monkeypatch: pytest.MonkeyPatch, *, lost: int, together: int = 1200
) -> Submission:
    """Return a submission while others add rows to one account and day, of which some requests never arrive."""
    deliver, send, left = Sending._deliver, Channel.send, [lost]

    def with_others(self: Sending) -> M3terError | None:
        used.post_of_others(together)
        return deliver(self)

    def losing(self: Channel, body: bytes, turn: Callable[[], None]) -> M3terError | None:
        if left[0]:
            left[0] -= 1
            return None
        return send(self, body, turn)

    monkeypatch.setattr(Sending, "_deliver", with_others)
    monkeypatch.setattr(Channel, "send", losing)
    return used.submit(wide_frame(), confirm=0.5, threads=1)


def test_rows_of_others_in_the_same_time_are_told(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = beside_others(used, monkeypatch, lost=0)

    assert (sent.confirmed, sent.ingested) == (True, 2000)
    assert "m3ter has counted 1,200 more than this" in repr(sent)
    assert "By account and day none of these rows is missing" in repr(sent)


def test_rows_of_others_do_not_hide_what_is_missing(used: Used, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = beside_others(used, monkeypatch, lost=1)

    assert not sent.confirmed
    assert sent.ingested is not None
    assert 1000 <= sent.ingested < 1100
    assert re.search(
        r"By account and day 9\d\d of these rows are missing: \d+ of acct-\d on 2026-01-0[12]", repr(sent)
    )


def test_rows_that_are_missing_are_named_by_account_and_day(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = beside_others(used, monkeypatch, lost=1, together=0)

    assert (sent.confirmed, sent.accepted) == (False, 2000)
    assert re.search(r"Not counted yet, by account and day: \d+ of acct-\d on 2026-01-0[12]", repr(sent))


def test_where_account_and_day_are_too_many_the_words_say_what_the_count_cannot_show(
    used: Used, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "_MOST_GROUPS", 5)

    sent = beside_others(used, monkeypatch, lost=1)

    assert "As many of these rows could be missing without showing in the count" in repr(sent)
