"""m3ter may take its time: what is not counted yet is not called counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from clocks import fast_clock
from m3ter_nb.errors import InvalidArgument, MeasurementsRefused
from m3ter_nb.sandbox import Sandbox
from m3ter_nb.usage.confirm import count
from m3ter_nb.usage.meter import Meter
from m3ter_nb.usage.report import UsageReport
from m3ter_nb.usage.survey import Survey
from usage_frames import usage, used_of

if TYPE_CHECKING:
    from m3ter_nb import Credentials
    from usage_frames import Used


def test_a_meter_without_fields_has_nothing_to_count_by(used: Used) -> None:
    with pytest.raises(InvalidArgument, match="no field to count by"):
        count(used.session, Meter("id", "bare", ()), Survey(UsageReport("bare")))


def test_what_shows_late_is_not_yet_confirmed_and_is_when_it_is_asked_for_again(
    credentials: Credentials,
) -> None:
    clock = fast_clock(20)
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
