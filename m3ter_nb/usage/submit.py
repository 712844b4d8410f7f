"""Check, send, confirm: the two functions that a session hands out."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.errors import Interrupted, InvalidArgument, M3terError, SubmissionIncomplete, UsageInvalid
from m3ter_nb.usage.meter import find_meter
from m3ter_nb.usage.pace import Pace, checked_rate
from m3ter_nb.usage.progress import Progress
from m3ter_nb.usage.submission import Fate, Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from m3ter_nb.usage.channel import Channel, Reader
    from m3ter_nb.usage.columns import Reading
    from m3ter_nb.usage.counts import Ours, Tally
    from m3ter_nb.usage.dask_cluster import Cluster
    from m3ter_nb.usage.dask_sending import Partitions
    from m3ter_nb.usage.dask_worker import Outcome
    from m3ter_nb.usage.journal import Journal, Run
    from m3ter_nb.usage.measurements import Batch
    from m3ter_nb.usage.meter import Columns, Meter
    from m3ter_nb.usage.options import Options
    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.sources import Source
    from m3ter_nb.usage.survey import Survey

__all__ = ["check_usage", "submit_usage"]


@dataclass
class _Job:
    """One source for one meter, found and agreed."""

    reader: Reader
    source: Source
    meter: Meter
    columns: Columns
    options: Options
    cluster: Cluster | None = None

    @classmethod
    def of(cls, reader: Reader, given: Any, meter: str, options: Options) -> _Job:
        from m3ter_nb.usage.dask_source import DaskSource
        from m3ter_nb.usage.sources import source_of

        source, columns = source_of(given), options.chosen
        on_cluster = isinstance(source, DaskSource)
        if on_cluster and columns.uid is None and columns.key is None:
            raise InvalidArgument(
                "A Dask frame needs uid= or key=: without, a uid is a digest of all that is sent, and of identical rows in "
                "two partitions one would be lost. Nothing was sent."
            )
        found = find_meter(reader, meter)
        if source.columns or on_cluster:
            columns.check(found, source.columns)
        return cls(reader, source, found, columns, options, _cluster_of(source, found, columns, options))

    def survey(self, journal: Journal | None, wall: Callable[[], float]) -> Survey:
        from m3ter_nb.usage.survey import survey

        with Progress("checked") as progress:
            return survey(
                self.source,
                self.meter,
                self.columns,
                self.reader,
                zone=self.options.timezone,
                new_accounts=self.options.new_accounts,
                rate=checked_rate(self.options.rate),
                journal=journal,
                now=wall,
                told=progress,
                examined=self.cluster.examined if self.cluster is not None else None,
            )

    def journal_file(self) -> Path | None:
        from m3ter_nb.usage.journal import journal_path

        if self.options.journal is None:
            return None
        if self.options.journal != "auto":
            return Path(self.options.journal)
        return journal_path(self.source.folder, self.reader.org_id, self.meter.code)

    def open_journal(self, channel: Channel) -> Journal | None:
        from m3ter_nb.usage.journal import open_journal

        path = self.journal_file()
        if path is None:
            return None
        about = {"host": self.reader.base_url, "organization": self.reader.org_id, "meter": self.meter.code}
        return open_journal(path, about, channel.notify, wall=channel.clock.wall)


def check_usage(reader: Reader, channel: Channel, given: Any, meter: str, options: Options) -> UsageReport:
    """Read a source whole and say what is wrong with it; nothing is sent.

    Args:
        reader: a session.
        channel: on the same login.
        given: see :func:`m3ter_nb.usage.sources.source_of`.
        meter: its code.
        options: how the source is read.

    Raises:
        InvalidArgument: no such meter, column or file.
        MissingExtra: what reads it is not installed.
        ApiError, ConnectionFailed: m3ter could not be asked.
    """
    job = _Job.of(reader, given, meter, options)
    path = job.journal_file()
    journal = job.open_journal(channel) if path is not None and path.exists() else None
    try:
        return job.survey(journal, channel.clock.wall).report
    finally:
        if journal is not None:
            journal.close()


def submit_usage(reader: Reader, channel: Channel, given: Any, meter: str, options: Options) -> Submission:
    """Check a source, send it, and compare it with what m3ter counts; arguments as for :func:`check_usage`.

    Raises:
        UsageInvalid: there are rows that cannot be sent; nothing was.
        SubmissionIncomplete: it ended before all was sent.
        MeasurementsRefused: m3ter has refused rows that it had accepted.
        Interrupted: by Ctrl-C; what was accepted is in the journal.
        InvalidArgument, MissingExtra, ApiError, ConnectionFailed: before anything was sent.
    """
    job = _Job.of(reader, given, meter, options)
    if job.cluster is not None:
        job.cluster.check_lines()
    journal = job.open_journal(channel)
    try:
        found = job.survey(journal, channel.clock.wall)
        report = found.report
        if report.found_problems and options.invalid == "refuse":
            raise UsageInvalid(f"{report.headline()} Nothing was sent.{_ADVICE}", report=report)
        if options.approve is not None and report.rows:
            options.approve(report)
        sending = _Sending(job, channel, found, journal)
        sending.send()
    finally:
        if journal is not None:
            journal.close()
    return sending.confirm()


_ADVICE: Final = ' error.report names the rows; invalid="skip" leaves them out.'


def _cluster_of(source: Source, meter: Meter, columns: Columns, options: Options) -> Cluster | None:
    """Return what a Dask frame is read and sent on; None for every other source."""
    from m3ter_nb.usage.dask_source import DaskSource

    if not isinstance(source, DaskSource):
        return None
    from m3ter_nb.usage.dask_cluster import Cluster

    return Cluster(source, meter, columns, options.timezone)


class _Sending:
    """The second reading: what can be sent is sent, and each row's fate is noted."""

    def __init__(self, job: _Job, channel: Channel, found: Survey, journal: Journal | None) -> None:
        from m3ter_nb.usage.measurements import Writer

        self._job = job
        self._writer = Writer(job.meter, job.columns)
        self._channel = channel
        self._found = found
        self._journal = journal
        self._began = channel.clock.now()
        self.repeated = bytearray(found.report.rows)
        self.submission = Submission(
            job.meter.code,
            found.report.rows,
            found.report,
            found.report.new_accounts,
            journal.path if journal is not None else None,
            _source=job.source,
            _by_content=job.columns.uid is None and job.columns.key is None,
        )
        self._run: Run | None = None
        self._given_up = False
        self._lock = threading.Lock()
        self._before: Tally | None = None
        self._last_event: str | None = None
        self._unasked = ""
        self._progress = Progress("accepted", found.report.rows)

    def send(self) -> None:
        """Send what is to be sent.

        Raises:
            SubmissionIncomplete, Interrupted: it ended before all was sent.
        """
        if not self.submission.rows:
            return
        self._look_before()
        if self._journal is not None:
            self._run = self._journal.begin()
        interrupted = False
        failure: M3terError | None = None
        try:
            failure = self._deliver()
        except M3terError as error:  # of the source; those of the requests are returned
            failure = error
        except KeyboardInterrupt:
            interrupted = True
        self._take_time()
        if interrupted:
            raise Interrupted(f"stopped: {self._so_far()} Run the cell again: it goes on where it stopped.")
        if failure is not None:
            raise SubmissionIncomplete(
                f"{str(failure).rstrip('.')}. {self._so_far()} Run the cell again: it goes on where it stopped.",
                submission=self.submission,
            ) from failure
        if self._journal is not None and not self._given_up:
            self._journal.finish()

    def _so_far(self) -> str:
        done = self.submission
        doubt = f", {done.doubtful:,} are in doubt" if done.doubtful else ""
        return f"m3ter has accepted {done.expected:,} of {done.rows:,} rows{doubt}."

    def confirm(self) -> Submission:
        """Compare with what m3ter has counted, for as long as the options say.

        Raises:
            MeasurementsRefused: rows were refused.
        """
        from m3ter_nb.usage.confirm import Confirmation

        submission = self.submission
        if not submission.rows:
            return submission
        run = self._run
        confirmation = Confirmation(
            submission,
            self._job.reader,
            self._job.meter,
            self._found,
            self._channel.clock,
            self._before,
            run.since if run is not None else self._began.wall,
            None if run is not None and run.goes_on else self._last_event,
            self.repeated,
            lambda: (
                self._job.open_journal(self._channel)
                if self._journal is not None and not self._given_up
                else None
            ),
            self._by_account_and_day,
            by_uid=self._job.columns.uid is not None,
            by_content=self._job.columns.uid is None and self._job.columns.key is None,
            unasked=self._unasked,
            raises=self._job.options.raise_on_refused,
        )
        submission.confirm_by(confirmation.wait)
        if self._job.options.confirm:
            try:
                confirmation.wait(self._job.options.confirm)
            finally:
                self._take_time()
        return submission

    def _by_account_and_day(self) -> Ours | None:
        """Read the source again; of a cluster it would all have to come here."""
        from m3ter_nb.usage.counts import Ours

        if self._job.cluster is not None:
            return None
        ours, first, done = Ours(), 0, self.submission
        reading = self._reading()
        try:
            for number, frame in enumerate(self._read_again()):
                cells = reading.read(frame)
                if self._writer.written(cells).mark() != self._found.marks[number]:
                    return None
                fates = done.fates[first : first + cells.rows]
                new = fates == Fate.ACCEPTED
                ours.add(
                    cells.parts[0],
                    cells.moments,
                    expected=new | (fates == Fate.ALREADY) | (fates == Fate.THERE),
                    new=new,
                )
                first += cells.rows
        except (InvalidArgument, IndexError):  # it is gone, or has changed
            return None
        return ours

    def _look_before(self) -> None:
        """Ask what m3ter has before the first row is sent; without the permission nothing is compared later."""
        from m3ter_nb.usage.confirm import newest_event
        from m3ter_nb.usage.counts import count

        if not self._job.options.confirm or self._found.start is None:
            return
        try:
            self._last_event = newest_event(self._job.reader)
            self._before = count(self._job.reader, self._job.meter, self._found)
        except M3terError as error:
            self._unasked = f"m3ter's own count cannot be asked: {error}"

    def _deliver(self) -> M3terError | None:
        if self._job.cluster is not None:
            with self._progress:
                return self._deliver_on(self._job.cluster)
        from m3ter_nb.usage.engine import Delivery, deliver
        from m3ter_nb.usage.measurements import batches

        options, clock = self._job.options, self._channel.clock
        pace = Pace(checked_rate(options.rate), monotonic=clock.monotonic, sleep=clock.sleep)
        delivery = Delivery(self._sending, self._repeated, self._accepted, self._unsent, self._refused)
        with self._progress:
            return deliver(
                batches(self._pieces()),
                self._channel,
                pace,
                delivery,
                threads=options.threads,
                patience=options.patience,
            )

    def _deliver_on(self, cluster: Cluster) -> M3terError | None:
        """Have the workers of a cluster send their partitions."""
        from m3ter_nb.usage.dask_sending import Partitions

        partitions = Partitions(cluster.marks, self._found, self._journal)
        begun: Counter[int] = Counter()
        seen = set[int]()

        def take(outcome: Outcome) -> None:
            seen.add(outcome.number)
            self._take_outcome(partitions, outcome)

        try:
            return cluster.send(
                self._channel,
                self._job.options,
                self._found.refused_accounts,
                partitions.tasks(),
                take,
                begun=begun,
            )
        finally:
            # What a worker had begun that was killed, or is not heard of any more, may be at m3ter.
            for number, times in begun.items():
                if number not in seen:
                    self.submission.mark(partitions.to_be_sent(number), Fate.DOUBTFUL)
                elif times > 1:
                    for position in partitions.to_be_sent(number):
                        self.repeated[position] = True

    def _take_outcome(self, partitions: Partitions, outcome: Outcome) -> None:
        first = partitions.first(outcome.number)
        self.submission.mark_all(first, outcome.fates)
        self.submission.mark([first + row for row in partitions.unverified(outcome.number)], Fate.THERE)
        for row, (reason, uid) in outcome.reasons.items():
            self.submission.refuse(first + row, reason, uid, fate=outcome.fates[row])
        for row in outcome.repeated:
            self.repeated[first + row] = True
        accepted = [first + row for row, fate in enumerate(outcome.fates) if fate == Fate.ACCEPTED]
        if accepted:
            self._keep(partitions.batch(accepted))
        self._progress(len(accepted))

    def _pieces(self) -> Iterator[Batch]:
        """Read the source again; yield what is to be sent of each piece."""
        found, reading, writer = self._found, self._reading(), self._writer
        seen: defaultdict[bytes, int] = defaultdict(int)
        first = 0
        for number, frame in enumerate(self._read_again()):
            cells = reading.read(frame)
            written = writer.written(cells)
            if number >= len(found.marks) or written.mark() != found.marks[number]:
                raise self._changed(first)
            left_out = self._left_out(cells.parts[0], first)
            same = set(left_out)
            rows = writer.rows(cells, first, same, found.repeated, seen, written=written)
            self.submission.mark([first + row for row in same - left_out], Fate.SAME)
            yield self._without_known(rows)
            first += cells.rows
        if first < self.submission.rows:
            raise self._changed(first)

    def _reading(self) -> Reading:
        from m3ter_nb.usage.columns import Reading

        job = self._job
        return Reading(job.meter, job.columns, zone=job.options.timezone, from_text=job.source.is_text)

    def _read_again(self) -> Iterator[pd.DataFrame]:
        """Yield the pieces a second time; whatever keeps them from being read ends the run as one error.

        Raises:
            InvalidArgument: they cannot be read.
        """
        source = self._job.source
        try:
            yield from source.pieces(self._job.columns.needed(self._job.meter))
        except M3terError:
            raise
        except Exception as error:
            raise InvalidArgument(
                f"The source could be read for the check, and not again for the sending ({type(error).__name__})."
            ) from error

    def _changed(self, first: int) -> InvalidArgument:
        return InvalidArgument(
            f"The source has changed since it was checked: from row {first:,} on it holds other rows than the "
            f"{self.submission.rows:,} that were checked, so none of these was sent."
        )

    def _left_out(self, accounts: list[Any], first: int) -> set[int]:
        found = self._found
        left_out = set[int]()
        if found.bad or found.refused_accounts:
            for row, account in enumerate(accounts):
                reason = found.bad.get(first + row) or (
                    "NewAccount" if account in found.refused_accounts else ""
                )
                if reason:
                    left_out.add(row)
                    self.submission.refuse(first + row, reason, fate=Fate.LEFT_OUT)
        return left_out

    def _without_known(self, rows: Batch) -> Batch:
        if self._journal is None or self._journal.was_empty:
            return rows
        from m3ter_nb.usage.journal import UNKNOWN

        known = self._journal.contents(rows.digests)
        if not known:
            return rows
        for position, name in zip(rows.positions, rows.digests, strict=True):
            if name in known:
                self.submission.mark([position], Fate.THERE if known[name] == UNKNOWN else Fate.ALREADY)
        return rows.chosen([name not in known for name in rows.digests])

    def _sending(self, batch: Batch) -> None:
        self.submission.mark(batch.positions, Fate.DOUBTFUL)

    def _unsent(self, batch: Batch) -> None:
        self.submission.mark(batch.positions, Fate.UNSENT)

    def _repeated(self, batch: Batch) -> None:
        for position in batch.positions:
            self.repeated[position] = True

    def _accepted(self, batch: Batch) -> None:
        self._keep(batch)
        self.submission.mark(batch.positions, Fate.ACCEPTED)
        self._progress(len(batch))

    def _keep(self, batch: Batch) -> None:
        """Note accepted rows in the journal; one that cannot be written any more is given up, and it is said once."""
        if self._journal is None or self._run is None or self._given_up:
            return
        try:
            self._journal.add(batch, self._run)
        except sqlite3.DatabaseError as error:
            with self._lock:
                told, self._given_up = self._given_up, True
            if not told:
                self._channel.notify(
                    f"The journal {self._journal.path} cannot be written ({error}). What is accepted from here on will be "
                    "sent again when the cell runs again, and counted once."
                )

    def _refused(self, batch: Batch, error: M3terError) -> None:
        reason = " ".join(str(getattr(error, "reason", "") or error).split())
        for position, measurement in zip(batch.positions, batch.measurements, strict=True):
            self.submission.refuse(position, reason, json.loads(measurement)["uid"])

    def _take_time(self) -> None:
        self.submission.seconds = self._channel.clock.elapsed(self._began)
