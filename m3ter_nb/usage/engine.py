"""The engine: threads that send requests in their turn, and repeat what is in doubt until m3ter has answered.

A request without an answer may have been carried out. It is sent again with the same uids, of which m3ter counts each
once, so nothing is lost and nothing doubled.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from m3ter_nb.errors import BadRequest, ConnectionFailed, M3terError, RateLimited, ServerError
from m3ter_nb.usage.pace import Pace, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from m3ter_nb.usage.channel import Channel
    from m3ter_nb.usage.measurements import Batch

__all__ = ["Delivery", "deliver"]

# Seconds before a request that broke is sent again.
_WAITS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
# Seconds after Ctrl-C in which answers that are on their way are still taken.
_LAST_ANSWERS: Final = 3.0
# Requests that looking for the bad rows of refused ones may cost.
_MOST_HALVES: Final = 200
# What may be over when the request is sent again.
_PASSING: Final = (ConnectionFailed, RateLimited, ServerError)


@dataclass(slots=True)
class Delivery:
    """What is told of each request, by whichever thread sent it.

    Attributes:
        sending: it is on its way; until one of the others is called, nobody knows whether m3ter has taken it.
        repeated: an earlier try may have been taken, too; called before accepted.
        accepted: m3ter has taken it.
        unsent: m3ter has not taken it.
        refused: m3ter has refused it for what is in it; called with the error.
    """

    sending: Callable[[Batch], None]
    repeated: Callable[[Batch], None]
    accepted: Callable[[Batch], None]
    unsent: Callable[[Batch], None]
    refused: Callable[[Batch, M3terError], None]


@dataclass
class _Run:
    channel: Channel
    pace: Pace
    delivery: Delivery
    patience: float
    failure: BaseException | None = None
    said: set[str] = field(default_factory=set)
    halves: int = _MOST_HALVES
    lock: threading.Lock = field(default_factory=threading.Lock)

    def end(self, failure: BaseException) -> None:
        with self.lock:
            self.failure = self.failure or failure
        self.pace.stopping.set()

    def say_once(self, kind: str, text: str) -> None:
        with self.lock:
            if kind in self.said:
                return
            self.said.add(kind)
        self.channel.notify(text)


def deliver(
    batches: Iterable[Batch],
    channel: Channel,
    pace: Pace,
    delivery: Delivery,
    *,
    threads: int,
    patience: float,
) -> M3terError | None:
    """Send all requests; return what ended the run before its end, or None.

    Args:
        batches: made while others are under way; its errors are raised here.
        channel: sends.
        pace: gives each request its turn.
        delivery: is told.
        threads: how many requests are under way at once, at most.
        patience: seconds for which a request that fails is repeated.

    Raises:
        KeyboardInterrupt: after what was under way has had a moment to end.
    """
    run = _Run(channel, pace, delivery, patience)
    if sys.platform == "emscripten":  # a browser page has no threads
        _send_here(run, batches)
    else:
        _send_by_threads(run, batches, threads)
    if run.failure is None or isinstance(run.failure, M3terError):
        return run.failure
    raise run.failure


def _send_here(run: _Run, batches: Iterable[Batch]) -> None:
    """Send one request after the other, on this thread."""
    for batch in batches:
        with _Reported(run):
            _see_through(run, batch)
        if run.pace.stopping.is_set():
            break


def _send_by_threads(run: _Run, batches: Iterable[Batch], threads: int) -> None:
    """Send many requests side by side.

    Raises:
        KeyboardInterrupt: after what was under way has had a moment to end.
    """
    waiting: queue.Queue[Batch | None] = queue.Queue(maxsize=threads)
    workers = [
        threading.Thread(target=_work, args=(run, waiting), name="m3ter-usage", daemon=True)
        for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    done = False
    try:
        for batch in batches:
            if not _put(waiting, batch, run):
                break
        for _ in workers:
            _put(waiting, None, run)
        for worker in workers:
            worker.join()
        done = True
    finally:
        if not done:
            run.pace.stopping.set()
            # What is under way is worth a moment: each answer that comes is a request less in doubt.
            _join(workers, _LAST_ANSWERS)


def _put(waiting: queue.Queue[Batch | None], batch: Batch | None, run: _Run) -> bool:
    while not run.pace.stopping.is_set():
        try:
            waiting.put(batch, timeout=0.25)
        except queue.Full:
            continue
        return True
    return False


def _join(workers: list[threading.Thread], seconds: float) -> None:
    ends = time.monotonic() + seconds
    for worker in workers:
        worker.join(max(0.0, ends - time.monotonic()))


class _Reported:
    """Ends the run with whatever a thread meets: it must not die in silence."""

    def __init__(self, run: _Run) -> None:
        self._run = run

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self._run.end(error)
        return True


def _work(run: _Run, waiting: queue.Queue[Batch | None]) -> None:
    with _Reported(run):
        while not run.pace.stopping.is_set():
            try:
                batch = waiting.get(timeout=0.25)
            except queue.Empty:
                continue
            if batch is None:
                return
            _see_through(run, batch)


class _Attempts:
    """One request and its repetitions.

    Attributes:
        in_doubt: whether an attempt may have been carried out.
    """

    def __init__(self, run: _Run, batch: Batch) -> None:
        self._run = run
        self._body = batch.body()
        self._clock = run.channel.clock.monotonic
        self._failing_since: float | None = None
        self._last_turn = 0.0
        self._tries = 0
        self.in_doubt = False

    def until_answered(self) -> M3terError | None:
        """Send until m3ter has accepted or refused it, or the patience is over; return the last error.

        Raises:
            Stopped: the run has ended.
        """
        while True:
            error = self._post()
            if not isinstance(error, _PASSING):
                return error
            now = self._clock()
            self._failing_since = self._failing_since if self._failing_since is not None else now
            # What m3ter asks for is waited for in one piece: a Retry-After of a day would be a day.
            asked = (error.retry_after or 0.0) if isinstance(error, RateLimited) else 0.0
            if now + asked - self._failing_since > self._run.patience:
                return error
            self._tries += 1
            _wait(self._run, error, self._last_turn, self._tries)

    def _post(self) -> M3terError | None:
        try:
            error = self._run.channel.send(self._body, self._turn)
        except M3terError as failure:
            error = failure
        self.in_doubt = self.in_doubt or isinstance(error, (ConnectionFailed, ServerError))
        return error

    def _turn(self) -> None:
        self._run.pace.turn()
        self._last_turn = self._clock()


def _see_through(run: _Run, batch: Batch) -> None:
    """Send one request until its fate is known, or the run has ended."""
    attempts = _Attempts(run, batch)
    run.delivery.sending(batch)
    stopped, error = False, None
    try:
        error = attempts.until_answered()
    except Stopped:
        stopped = True
    if error is None and not stopped:
        run.pace.resume()
        if attempts.in_doubt:
            run.delivery.repeated(batch)
        run.delivery.accepted(batch)
        return
    if isinstance(error, BadRequest):
        _find_bad_rows(run, batch, error)
        return
    if error is not None:
        run.end(error)
    if not attempts.in_doubt:
        run.delivery.unsent(batch)


def _wait(run: _Run, error: M3terError, last_turn: float, tries: int) -> None:
    """Wait before a request is sent again: all threads where m3ter asks for less, else this one.

    Raises:
        Stopped: the run has ended.
    """
    if isinstance(error, RateLimited):
        seconds = run.pace.pause(last_turn, error.retry_after)
        run.say_once(
            "429", f"m3ter asks for fewer requests (429): all wait {seconds:.0f} s, then go on. {_ends(run)}"
        )
        return  # the next turn is behind the pause
    seconds = _WAITS[min(tries, len(_WAITS)) - 1]
    if tries > 1:
        run.say_once("broken", f"{error} What is in doubt is sent again with the same uids. {_ends(run)}")
    run.pace.wait_until(run.channel.clock.monotonic() + seconds)


def _ends(run: _Run) -> str:
    return f"The wait ends after {run.patience:.0f} s; Interrupt ends it before."


def _find_bad_rows(run: _Run, batch: Batch, error: M3terError) -> None:
    """Send a refused request in halves, until the rows that it was refused for are alone."""
    with run.lock:
        alone = len(batch) == 1 or run.halves < 2
        run.halves -= 0 if alone else 2
    if alone:
        run.delivery.refused(batch, error)
        return
    middle = len(batch) // 2
    for part in (batch.part(0, middle), batch.part(middle, len(batch))):
        _see_through(run, part)
