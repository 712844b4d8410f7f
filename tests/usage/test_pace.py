"""The pace keeps to the documented limits, whatever the threads do."""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from clocks import fast_clock
from m3ter_nb.errors import InvalidArgument, SubmissionIncomplete
from m3ter_nb.sandbox import Sandbox
from m3ter_nb.usage.pace import WINDOW, Pace, Stopped, checked_rate, seconds_for
from usage_frames import usage, used_of

if TYPE_CHECKING:
    from m3ter_nb import Credentials
    from usage_frames import Used


class StandStill:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


def turns(rate: tuple[float, int], number: int) -> list[float]:
    """Return when each of so many requests has its turn."""
    clock = StandStill()
    pace = Pace(rate, monotonic=lambda: clock.now, sleep=clock.sleep)
    found = []
    for _ in range(number):
        pace.turn()
        found.append(clock.now)
    return found


def test_6000_requests_take_as_long_as_the_limits_make_them_and_never_more_than_50_in_a_second() -> None:
    found = turns((45, 4950), 6000)

    assert found[-1] == pytest.approx(seconds_for(6000, (45, 4950)), rel=0.01)
    assert (
        max(sum(start <= each < start + 1 for each in found[i : i + 60]) for i, start in enumerate(found))
        <= 46
    )
    assert all(later - earlier >= WINDOW - 1e-6 for earlier, later in zip(found, found[4950:], strict=False))


def test_a_pause_holds_every_thread_and_grows_until_a_request_comes_through() -> None:
    clock = StandStill()
    pace = Pace((1000, 300_000), monotonic=lambda: clock.now, sleep=clock.sleep)
    pace.turn()
    began = clock.now

    assert [pace.pause(began), pace.pause(began)] == [1.0, 1.0]
    pace.turn()
    assert clock.now >= began + 1
    assert pace.pause(clock.now) == 2.0
    pace.turn()
    pace.resume()
    assert pace.pause(clock.now) == 1.0
    assert pace.pause(clock.now + 100, 7.0) == 7.0


def test_a_stop_ends_the_wait_for_a_turn() -> None:
    pace = Pace((0.001, 10), monotonic=lambda: 0.0, sleep=lambda _: pace.stopping.set())
    pace.turn()

    with pytest.raises(Stopped):
        pace.turn()


@pytest.mark.parametrize("rate", [0, (0, 5), (45,), (45, 0), ("45", 1), (True, 5), None, (1e9, 1)])
def test_what_is_no_rate_is_refused(rate: object) -> None:
    with pytest.raises(InvalidArgument, match="two numbers"):
        checked_rate(rate)


@pytest.mark.slow
def test_at_the_default_rate_the_limits_are_never_met(credentials: Credentials) -> None:
    clock = fast_clock(4)
    frame = usage(300).assign(region="x" * 250_000)
    with (
        Sandbox(clock=clock.wall, token_lifetime=10**6) as sandbox,
        m3ter_nb.login(credentials, base_url=sandbox.url, clock=clock) as session,
    ):
        used = used_of(session, sandbox)
        sent = session.submit_usage(frame, "api_requests", confirm=20)

        assert sent.report.requests == 300
        assert used.counted()[0] == 300
        assert [each for each in sandbox.log if each.status == HTTPStatus.TOO_MANY_REQUESTS] == []


def test_a_429_is_told_once_and_waited_out(used: Used, caplog: pytest.LogCaptureFixture) -> None:
    used.sandbox.faults.fail(429, 12, "/measurements", retry_after=0)

    sent = used.submit(usage(3000), threads=3)

    assert sent.confirmed
    assert used.asked("COUNT") == 3000
    assert sum("asks for fewer requests" in record.message for record in caplog.records) <= 1
    assert threading.active_count() < 30


@pytest.mark.parametrize("asked", [86_400, "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_429_that_asks_for_more_than_the_patience_ends_the_run_at_once(
    used: Used, asked: float | str
) -> None:
    used.sandbox.faults.fail(429, 50, "/measurements", retry_after=asked)

    with pytest.raises(SubmissionIncomplete) as caught:
        used.submit(usage(3000), patience=30)

    done = caught.value.submission
    assert (done.accepted, done.unsent, done.doubtful) == (0, 3000, 0)
    used.sandbox.faults.clear()
    assert used.submit(usage(3000)).confirmed
    assert used.asked("COUNT") == 3000


@pytest.mark.parametrize("asked", ["Thu, 01 Jan 1970 00:00:00 GMT", "soon", "-1", ""])
def test_a_429_with_a_date_that_is_over_or_none_is_waited_out(used: Used, asked: str) -> None:
    used.sandbox.faults.fail(429, 2, "/measurements", retry_after=asked)

    assert used.submit(usage(2000), threads=2).confirmed
    assert used.asked("COUNT") == 2000
