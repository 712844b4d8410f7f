"""What runs on a worker of Dask: reading a partition, and sending it with the token that the client has handed out."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin

from m3ter_nb._version import __version__
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import InvalidArgument, M3terError
from m3ter_nb.hiding import Hidden, Sealed
from m3ter_nb.usage.channel import Channel
from m3ter_nb.usage.columns import Reading
from m3ter_nb.usage.counts import Ours
from m3ter_nb.usage.engine import Delivery, deliver
from m3ter_nb.usage.measurements import Batch, Writer, batches, digest
from m3ter_nb.usage.pace import Pace, Stopped
from m3ter_nb.usage.piece import Piece, examine, mark_of
from m3ter_nb.usage.submission import Fate
from m3ter_nb.wire.clock import SYSTEM_CLOCK
from m3ter_nb.wire.transport import DEFAULT_TIMEOUT, Timeout, Transport

if TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from distributed import Worker

    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.usage.meter import Columns, Meter

__all__ = [
    "Outcome",
    "Plan",
    "Task",
    "TokenPlugin",
    "count_partition",
    "examine_partition",
    "fingerprint",
    "send_partition",
]

# Seconds in which a plugin may be missing, because a newer one is about to take its place.
_BETWEEN_PLUGINS: Final = 3.0
# Seconds after a refusal in which the client may come with a newer token.
_LONGEST_WAIT: Final = 120.0
_NAP: Final = 0.1


def fingerprint(token: str) -> str:
    """Return what tells one token from another, and no more."""
    return digest(token.encode()).hex()


class TokenPlugin(WorkerPlugin):
    """Holds a bearer token on a worker; taken away, it ends the run there.

    Args:
        token: in clear, or in what hides it.
        seconds_left: until it ends, where that is known.
        rate: requests a second, and in five minutes, of all workers.
        slots: of each host the number of partitions that are sent there at once.
        blameless: the fingerprint of a token that was refused for another reason than its age.
    """

    def __init__(
        self,
        token: str,
        seconds_left: float | None,
        rate: tuple[float, int],
        slots: dict[str, int],
        blameless: str = "",
    ) -> None:
        self._sealed = Sealed(str.__str__(token))
        self._seconds_left = seconds_left
        self.rate = rate
        self.slots = slots
        self.blameless = blameless
        self.mark = fingerprint(self._sealed.open())

    def token(self) -> Token:
        """Return the token."""
        return Token(self._sealed.open(), self._seconds_left)

    def share(self, worker: Worker) -> tuple[float, int]:
        """Return the rate of one worker: of the second by all workers, of the five minutes by those of its host."""
        mine, host = worker.state.nthreads, urlsplit(worker.address).hostname or ""
        everywhere = max(sum(self.slots.values()), mine)
        here = max(self.slots.get(host, 0), mine)
        return self.rate[0] * mine / everywhere, max(1, self.rate[1] * mine // here)

    def __repr__(self) -> str:
        return "<m3ter usage>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to the workers: the token goes along, in clear within the bytes."""
        return TokenPlugin, (
            self._sealed.open(),
            self._seconds_left,
            self.rate,
            self.slots,
            self.blameless,
        )


@dataclass(frozen=True)
class Plan:
    """What is the same for all partitions; it holds no token.

    Attributes:
        run: names the plugin, and the topic of the events.
        explain: as that of a :class:`Channel`.
    """

    run: str
    version: str
    meter: Meter
    columns: Columns
    zone: str
    refused_accounts: frozenset[str] = frozenset()
    base_url: str = ""
    url: str = ""
    timeout: Timeout = DEFAULT_TIMEOUT
    explain: Callable[..., M3terError] = M3terError
    threads: int = 1
    patience: float = 0.0


@dataclass(frozen=True)
class Task:
    """What is to be done with one partition, by rows of it.

    Attributes:
        mark: of the partition when it was examined.
        bad: rows that cannot be sent, each with the reason.
        same: rows that share key and content with an earlier one.
        already: rows that are in the journal.
    """

    number: int
    mark: bytes
    bad: dict[int, str]
    same: frozenset[int]
    already: frozenset[int]


@dataclass
class Outcome:
    """What has become of one partition, by rows of it."""

    number: int
    fates: bytearray
    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)
    repeated: list[int] = field(default_factory=list)
    failure: M3terError | None = None


def examine_partition(frame: pd.DataFrame, plan: Plan, latest: np.datetime64) -> Piece:
    """Examine a partition."""
    _check_version(plan)
    cells = Reading(plan.meter, plan.columns, zone=plan.zone, from_text=False).read(frame)
    return examine(cells, Writer(plan.meter, plan.columns), plan.columns, latest, with_contents=True)


def send_partition(frame: pd.DataFrame, plan: Plan, task: Task) -> Outcome:
    """Send a partition; what ends it before its end is in the outcome."""
    from collections import defaultdict

    _check_version(plan)
    worker = get_worker()
    worker.log_event(plan.run, {"began": task.number})
    cells = Reading(plan.meter, plan.columns, zone=plan.zone, from_text=False).read(frame)
    none: defaultdict[bytes, int] = defaultdict(int)
    rows = Writer(plan.meter, plan.columns).rows(cells, 0, set(), (), none)
    outcome = Outcome(task.number, bytearray([Fate.UNSENT]) * cells.rows)
    if mark_of(rows.digests, rows.contents) != task.mark:
        outcome.failure = InvalidArgument(
            f"Partition {task.number} is another one than when it was checked, so none of it was sent: what it is read "
            "from has changed, or its rows come in another order each time"
        )
        return outcome
    left_out = _leave_out(cells.parts[0], plan, task, outcome)
    outcome.failure = _deliver(
        rows.chosen([row not in left_out for row in range(cells.rows)]), plan, worker, outcome
    )
    return outcome


def count_partition(frame: pd.DataFrame, plan: Plan, mark: bytes, fates: np.ndarray[Any, Any]) -> Ours | None:
    """Count a partition by account and day; None where it is another one than when it was checked."""
    _check_version(plan)
    cells = Reading(plan.meter, plan.columns, zone=plan.zone, from_text=False).read(frame)
    writer = Writer(plan.meter, plan.columns)
    bodies = writer.bodies(cells)
    if mark_of(writer.names(cells, bodies), writer.contents(cells, bodies)) != mark:
        return None
    ours = Ours()
    ours.add(cells.parts[0], cells.moments, fates)
    return ours


def _leave_out(accounts: list[Any], plan: Plan, task: Task, outcome: Outcome) -> set[int]:
    reasons = dict(task.bad)
    if plan.refused_accounts:
        for row, account in enumerate(accounts):
            if account in plan.refused_accounts:
                reasons.setdefault(row, "NewAccount")
    for row, reason in reasons.items():
        outcome.fates[row] = Fate.LEFT_OUT
        outcome.reasons[row] = (reason, "")
    for rows, fate in ((task.same, Fate.SAME), (task.already, Fate.ALREADY)):
        for row in rows - reasons.keys():
            outcome.fates[row] = fate
    return reasons.keys() | task.same | task.already


def _deliver(rows: Batch, plan: Plan, worker: Worker, outcome: Outcome) -> M3terError | None:
    if not len(rows):
        return None
    tokens = _Tokens(worker, plan.run)
    try:
        pace = _pace_of(worker, plan.run, tokens.plugin())
    except Stopped:
        return None
    tokens.pace = pace

    def say(text: str) -> None:
        worker.log_event(plan.run, {"say": text})

    transport = Transport(plan.base_url, timeout=plan.timeout, notify=say)
    channel = Channel(cast("TokenSource", tokens), transport, plan.url, plan.explain)
    return deliver(
        batches([rows]), channel, pace, _noting(outcome), threads=plan.threads, patience=plan.patience
    )


def _noting(outcome: Outcome) -> Delivery:
    """Note each request's fate in the outcome."""
    import json

    def mark(fate: int) -> Callable[[Batch], None]:
        def note(batch: Batch) -> None:
            for row in batch.positions:
                outcome.fates[row] = fate

        return note

    def refuse(batch: Batch, error: M3terError) -> None:
        reason = " ".join(str(getattr(error, "reason", "") or error).split())
        for row, measurement in zip(batch.positions, batch.measurements, strict=True):
            outcome.fates[row] = Fate.REFUSED
            outcome.reasons[row] = (reason, json.loads(measurement)["uid"])

    def repeat(batch: Batch) -> None:
        outcome.repeated += batch.positions

    return Delivery(mark(Fate.DOUBTFUL), repeat, mark(Fate.ACCEPTED), mark(Fate.UNSENT), refuse)


class _Tokens:
    """The token of a worker, as a source gives it: the plugin's, whichever that is now."""

    clock = SYSTEM_CLOCK

    def __init__(self, worker: Worker, run: str) -> None:
        self._worker = worker
        self._run = run
        self.pace: Pace | None = None

    def plugin(self) -> TokenPlugin:
        """Return the present plugin.

        Raises:
            Stopped: there is none any more.
        """
        ends = time.monotonic() + _BETWEEN_PLUGINS
        while (found := self._worker.plugins.get(self._run)) is None:
            if time.monotonic() > ends:
                if self.pace is not None:
                    self.pace.stopping.set()
                raise Stopped
            time.sleep(_NAP)
        return cast("TokenPlugin", found)

    def token(self) -> Token:
        """Return the present token."""
        plugin = self.plugin()
        if self.pace is not None:
            self.pace.change(plugin.share(self._worker))
        return plugin.token()

    def authorization(self) -> Hidden:
        """Return the Authorization header."""
        return Hidden("Bearer " + self.token())

    def after_refusal(self, token: Token, challenge: str | None = None, *, call: str = "") -> Token | None:
        """Wait for a newer token than one that was refused; None where the client says that it is not to blame."""
        del call  # the client decides which token is to blame, whatever the call
        refused = fingerprint(token.reveal())
        if self.plugin().mark == refused:
            self._worker.log_event(self._run, {"refused": refused, "challenge": (challenge or "")[:1000]})
        ends = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < ends:
            plugin = self.plugin()
            if plugin.mark != refused:
                return plugin.token()
            if plugin.blameless == refused:
                return None
            time.sleep(_NAP)
        return None

    def note_answer(self, call: str, challenge: str | None = None, *, refused: bool) -> None:
        """Note nothing: whether a newer token helps is for the client's source to know."""


# One pace a worker and run: the limit of five minutes is over many partitions.
_paces: weakref.WeakKeyDictionary[Any, tuple[str, Pace]] = weakref.WeakKeyDictionary()
_locks = [threading.Lock()]


def _pace_of(worker: Worker, run: str, plugin: TokenPlugin) -> Pace:
    with _locks[-1]:
        kept = _paces.get(worker)
        if kept is None or kept[0] != run:
            pace = Pace(plugin.share(worker), monotonic=SYSTEM_CLOCK.monotonic, sleep=SYSTEM_CLOCK.sleep)
            _paces[worker] = kept = (run, pace)
        return kept[1]


def _check_version(plan: Plan) -> None:
    if plan.version != __version__:
        raise InvalidArgument(f"A worker has m3ter_nb {__version__}, and the client {plan.version}.")


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=lambda: _locks.append(threading.Lock()))
