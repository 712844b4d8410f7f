"""Usage of a ``dask.dataframe``, sent by the workers of the current ``distributed`` client.

The workers are given a bearer token and nothing that could renew it; the client renews, and takes the token away in the
end. What makes each row count once is its uid: a partition that a killed worker had begun is sent again.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from contextlib import contextmanager, suppress
from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from dask.delayed import delayed
from distributed import as_completed, get_client
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.protocol.pickle import dumps

from m3ter_nb._version import __version__
from m3ter_nb.errors import ConnectionFailed, InvalidArgument, M3terError, UnsafeDestination
from m3ter_nb.usage.counts import Ours
from m3ter_nb.usage.dask_worker import (
    Outcome,
    Plan,
    Task,
    TokenPlugin,
    count_partition,
    examine_partition,
    fingerprint,
    send_partition,
)
from m3ter_nb.usage.piece import mark_of
from m3ter_nb.wire.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from distributed import Client, Scheduler

    from m3ter_nb.usage.channel import Channel
    from m3ter_nb.usage.dask_source import DaskSource
    from m3ter_nb.usage.meter import Columns, Meter
    from m3ter_nb.usage.options import Options
    from m3ter_nb.usage.piece import Piece

__all__ = ["Cluster", "Gate", "is_safe"]

_VERSION: Final = "m3ter_nb._version:__version__"
# Partitions that are asked for at a time, for each that is sent at once: one under way, and one that is got ready.
_AHEAD: Final = 2
# Seconds between looks at what has come, and between looks at the workers.
_NAP: Final = 0.05
_LOOK: Final = 2.0
# Seconds in which partitions under way may end when the run does.
_LAST_OUTCOMES: Final = 4.0


class Gate(SchedulerPlugin):
    """On the scheduler: takes the token out of its hands before a worker joins over a line that can be listened to."""

    def __init__(self, run: str) -> None:
        self.name = f"{run}-gate"
        self._run = run
        # What is handed out in its place.
        self._empty: bytes = dumps(TokenPlugin("", 0, (1, 1), {}))

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Look at a worker; it is answered after this."""
        if not is_safe(worker) and self._run in scheduler.worker_plugins:
            scheduler.worker_plugins[self._run] = self._empty
            scheduler.log_event(self._run, {"unsafe": worker})


def is_safe(address: str) -> bool:
    """Whether a token may travel to an address of ``distributed``."""
    scheme, _, rest = address.partition("://")
    return scheme in ("tls", "inproc") or (
        scheme == "tcp" and is_loopback(urlsplit(f"tcp://{rest}").hostname or "")
    )


def _check_lines(addresses: list[str]) -> None:
    """Hold a cluster to lines that nobody else hears.

    Raises:
        UnsafeDestination: one of them is plain.
    """
    plain = [each for each in addresses if not is_safe(each)]
    if plain:
        raise UnsafeDestination(
            f"{plain[0]} is neither tls:// nor on this machine: a token that is sent there can be read on the way. Start "
            "scheduler and workers with TLS (distributed's Security). No token was handed out."
        )


@contextmanager
def _answering() -> Iterator[None]:
    """Tell of a cluster that is closed or lost in the middle as of a connection that broke: Dask has many errors for it.

    Raises:
        ConnectionFailed: there was one that is not ours.
    """
    try:
        yield
    except M3terError:
        raise
    except Exception as error:
        raise ConnectionFailed(
            f"The Dask cluster was closed, or does not answer any more ({type(error).__name__})."
        ) from error


class Cluster:
    """The current client's cluster, for one source.

    Raises:
        InvalidArgument: there is no uid and no key, no client, or no worker of this version.
    """

    def __init__(self, source: DaskSource, meter: Meter, columns: Columns, zone: str) -> None:
        self._client = _current_client()
        self._source = source
        self._needed = columns.needed(meter)
        self.plan = Plan(f"m3ter-usage-{uuid4().hex}", __version__, meter, columns, zone)
        #: Of each partition what tells it from another, and its rows.
        self.marks: list[tuple[bytes, int]] = []
        with _answering():
            self._check_versions()

    @property
    def client(self) -> Client:
        """Of ``distributed``."""
        return self._client

    def _check_versions(self) -> None:
        client = self._client
        if not client.nthreads():
            raise InvalidArgument(
                "The Dask cluster has no worker. Wait for one, with client.wait_for_workers(1)."
            )
        found = client.run(resolve_name, _VERSION, on_error="return")
        with suppress(Exception):
            found["the scheduler"] = client.run_on_scheduler(resolve_name, _VERSION)
        found.setdefault("the scheduler", None)
        odd = [
            f"{where} has {version if isinstance(version, str) else 'none'}"
            for where, version in found.items()
            if version != __version__
        ]
        if odd:
            more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
            raise InvalidArgument(
                f"Every worker and the scheduler need m3ter_nb {__version__}, as here: {odd[0]}{more}. Nothing was sent."
            )

    def check_lines(self) -> dict[str, int]:
        """Return of each host how many partitions it sends at once, where a token may be handed out.

        Raises:
            UnsafeDestination: the scheduler or a worker is reached over a plain line.
        """
        # Not the workers of scheduler_info(), which in some versions of distributed are five at most.
        threads: dict[str, int] = self._client.nthreads()
        reached = str(getattr(self._client.scheduler, "address", ""))
        _check_lines([reached, self._client.scheduler_info()["address"], *threads])
        slots: Counter[str] = Counter()
        for address, number in threads.items():
            slots[urlsplit(address).hostname or ""] += number
        return dict(slots)

    def examined(self, latest: np.datetime64) -> Iterator[Piece]:
        """Yield what the workers have found in the partitions, in their order."""
        examine = delayed(examine_partition, pure=False)
        futures = self._client.compute(
            [examine(part, self.plan, latest) for part in self._source.delayed(self._needed)]
        )
        numbers = {future.key: number for number, future in enumerate(futures)}
        ready: dict[int, Piece] = {}
        try:
            following = 0
            for future, piece in as_completed(list(futures), with_results=True):
                number = numbers[future.key]
                ready[number] = piece
                futures[number] = None
                future.release()
                while following in ready:
                    found = ready.pop(following)
                    self.marks.append((mark_of(found.names, found.contents), found.rows))
                    yield found
                    following += 1
        finally:
            with suppress(Exception):  # it may be gone
                self._client.cancel([each for each in futures if each is not None])

    def by_account_and_day(self, fates: np.ndarray[Any, Any]) -> Ours | None:
        """Have the workers count the rows that m3ter should have.

        Args:
            fates: of each row what has become of it.

        Returns:
            None where the cluster is gone, or a partition is another one than when it was checked.
        """
        count, ours, first = delayed(count_partition, pure=False), Ours(), 0
        tasks = []
        for part, (mark, rows) in zip(self._source.delayed(self._needed), self.marks, strict=True):
            tasks.append(count(part, self.plan, mark, fates[first : first + rows]))
            first += rows
        found: list[Ours | None] = [None]
        with suppress(Exception):
            found = self._client.gather(self._client.compute(tasks))
        for each in found:
            if each is None:
                return None
            ours.join(each)
        return ours

    def send(
        self,
        channel: Channel,
        options: Options,
        refused_accounts: frozenset[str],
        tasks: list[Task],
        take: Callable[[Outcome], None],
        *,
        begun: Counter[int],
    ) -> M3terError | None:
        """Have the partitions sent; return what ended it before its end.

        Args:
            channel: on the login.
            options: rate, threads and patience.
            refused_accounts: account codes, as JSON, whose rows are left out.
            tasks: one a partition.
            take: is given what has become of each.
            begun: counts how often each was begun.

        Raises:
            KeyboardInterrupt: the workers were stopped before.
        """
        slots = sum(self.check_lines().values())
        plan = replace(
            self.plan,
            refused_accounts=refused_accounts,
            threads=max(1, options.threads // max(1, slots)),
            patience=options.patience,
            **channel.for_workers(),
        )
        run = _Run(self, channel, plan, options, begun)
        send = delayed(send_partition, pure=False)
        parts = self._source.delayed(self._needed)
        try:
            with _answering():
                run.open()
                run.follow(deque(send(parts[task.number], plan, task) for task in tasks), take)
        except M3terError as error:
            run.failure = run.failure or error
        finally:
            run.close()
        return run.failure


class _Run:
    """One sending, seen from the client."""

    def __init__(
        self, cluster: Cluster, channel: Channel, plan: Plan, options: Options, begun: Counter[int]
    ) -> None:
        self._cluster = cluster
        self._client = cluster.client
        self._channel = channel
        self._plan = plan
        self._options = options
        self._gate = Gate(plan.run)
        self._events: deque[dict[str, Any]] = deque()
        self._said = set[str]()
        self._undo: list[Callable[[], object]] = []
        self._handed_out: tuple[str, dict[str, int], str] | None = None
        self._blameless = ""
        self._looked = 0.0
        self._since: float | None = None
        self._slots: dict[str, int] = {}
        self.begun = begun
        self.failure: M3terError | None = None

    def open(self) -> None:
        """Hand the token out."""
        self._undo.append(lambda: self._client.unsubscribe_topic(self._plan.run))
        self._client.subscribe_topic(self._plan.run, self._hear)
        self._undo.append(lambda: self._client.unregister_scheduler_plugin(self._gate.name))
        self._client.register_plugin(self._gate, name=self._gate.name)
        self._undo.append(lambda: self._client.unregister_worker_plugin(self._plan.run))
        self._tend()

    def close(self) -> None:
        """Take the token away, whatever happened; what is taken away already is left alone, for Dask logs that as an error."""
        while self._undo:
            with suppress(Exception):  # never registered, or the scheduler is gone and with it the token
                self._undo[-1]()
            self._undo.pop()

    def follow(self, tasks: deque[Any], take: Callable[[Outcome], None]) -> None:
        """Have tasks run, take the outcomes as they come, and let go of each: a killed worker takes along what is held.

        Only a few are asked for at a time, so that a worker that joins finds some left.
        """
        coming = as_completed([], with_results=True, raise_errors=False)
        waiting: dict[str, Any] = {}
        try:
            while (tasks or waiting) and self.failure is None:
                while tasks and len(waiting) < _AHEAD * sum(self._slots.values()):
                    future = self._client.compute(tasks.popleft())
                    waiting[future.key] = future
                    coming.add(future)
                self._take(coming, waiting, take)
                self._tend()
                time.sleep(_NAP)
        finally:
            # Without the token no further request leaves; what is under way is worth a moment.
            self.close()
            with suppress(Exception):  # it may be gone
                self._last_outcomes(coming, waiting, take)
            self._listen()

    def _last_outcomes(self, coming: Any, waiting: dict[str, Any], take: Callable[[Outcome], None]) -> None:
        ends = time.monotonic() + _LAST_OUTCOMES
        while waiting and time.monotonic() < ends:
            self._take(coming, waiting, take)
            time.sleep(_NAP)
        self._client.cancel(list(waiting.values()))

    def _take(self, coming: Any, waiting: dict[str, Any], take: Callable[[Outcome], None]) -> None:
        for future, result in coming.next_batch(block=False):
            waiting.pop(future.key, None)
            if isinstance(result, Outcome):
                take(result)
                self.failure = self.failure or result.failure
            else:
                self.failure = self.failure or _lost(future, result)
            future.release()

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        self._events.append(event[1])

    def _listen(self) -> None:
        while self._events:
            event = self._events.popleft()
            if "began" in event:
                self.begun[event["began"]] += 1
            elif "say" in event and event["say"] not in self._said:
                self._said.add(event["say"])
                self._channel.notify(event["say"])
            elif "unsafe" in event:
                _check_lines([event["unsafe"]])
            elif "refused" in event:
                self._answer(event["refused"], event["challenge"])

    def _answer(self, refused: str, challenge: str) -> None:
        """Answer a worker whose token was refused: with a newer one, or that the token is not to blame."""
        token = self._channel.source.token()
        if fingerprint(token.reveal()) != refused:
            return  # a newer one is on its way
        if self._channel.source.after_refusal(token, challenge or None) is None:
            self._blameless = refused

    def _tend(self) -> None:
        """Hand out a newer token, and shares of the rate where the workers are others than before."""
        try:
            self._listen()
            token = self._channel.source.token()
            self._since = None
        except ConnectionFailed:
            now = time.monotonic()
            self._since = self._since or now
            if now - self._since > self._options.patience:
                raise
            return
        mark = fingerprint(token.reveal())
        changed = self._handed_out is None or self._handed_out[::2] != (mark, self._blameless)
        if not changed and time.monotonic() - self._looked < _LOOK:
            return
        self._slots = self._cluster.check_lines()
        self._looked = time.monotonic()
        if changed or self._handed_out != (mark, self._slots, self._blameless):
            plugin = TokenPlugin(
                token.reveal(), token.seconds_left, self._options.rate, self._slots, self._blameless
            )
            self._client.register_plugin(plugin, name=self._plan.run)
            self._handed_out = (mark, self._slots, self._blameless)


def _lost(future: Any, result: Any) -> M3terError:
    """Return the error of a partition that has none of ours: of its reading, or of its workers."""
    error = result[1] if isinstance(result, tuple) and len(result) == 3 else None
    if isinstance(error, M3terError):
        return error
    what = type(error).__name__ if error is not None else str(future.status)
    return ConnectionFailed(f"A partition could not be sent by the Dask workers ({what})")


def _current_client() -> Client:
    try:
        client = get_client()
    except ValueError:
        raise InvalidArgument(
            "A Dask frame is sent by the workers of the current client, and there is none. Start one: "
            "distributed.Client(n_workers=2). Nothing was sent."
        ) from None
    if client.asynchronous:
        raise InvalidArgument("The current Dask client is asynchronous; start one that is not.")
    return client
