"""Sending what was checked, on this machine or on a cluster: each row's fate is noted, and the journal told."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from m3ter_nb.errors import Interrupted, M3terError, SubmissionIncomplete
from m3ter_nb.usage.pace import Pace, checked_rate
from m3ter_nb.usage.progress import Progress
from m3ter_nb.usage.second_reading import SecondReading
from m3ter_nb.usage.submission import Fate, Submission

if TYPE_CHECKING:
    from m3ter_nb.usage.channel import Channel
    from m3ter_nb.usage.counts import Ours, Tally
    from m3ter_nb.usage.dask_cluster import Cluster
    from m3ter_nb.usage.dask_sending import Partitions
    from m3ter_nb.usage.dask_worker import Outcome
    from m3ter_nb.usage.job import Job
    from m3ter_nb.usage.journal import Journal, Run
    from m3ter_nb.usage.measurements import Batch
    from m3ter_nb.usage.survey import Survey

__all__ = ["Sending"]


class Sending:
    """Sends what can be sent, and notes the fate of each row."""

    def __init__(self, job: Job, channel: Channel, found: Survey, journal: Journal | None) -> None:
        self._job = job
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
            _by_content=job.columns.by_content,
        )
        self._reading = SecondReading(job, found, self.submission)
        self._run: Run | None = None
        self._before: Tally | None = None
        self._last_event: str | None = None
        self._had_no_event = False
        self._handled = set[str]()
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
            self._run = self._journal.begin(self._job.columns.way)
            self._handled = self._journal.handled()
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
            raise Interrupted(f"stopped: {self._so_far()} Run it again: it goes on where it stopped.")
        if failure is not None:
            raise SubmissionIncomplete(
                f"{str(failure).rstrip('.')}. {self._so_far()} Run it again: it goes on where it stopped.",
                submission=self.submission,
            ) from failure
        if self._journal is not None:
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
            self._events_since(),
            None if run is not None and run.goes_on else self._last_event,
            self.repeated,
            lambda: (
                self._job.open_journal(self._channel)
                if self._journal is not None and not self._journal.given_up
                else None
            ),
            self._handled,
            self._by_account_and_day,
            self._reading.sums if self._job.cluster is None else None,
            by_uid=self._job.columns.uid is not None,
            by_content=self._job.columns.by_content,
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

    def _events_since(self) -> float:
        """Return the time from which failure events concern these rows, in seconds since 1970."""
        if self._run is not None and self._run.goes_on:
            return self._run.since
        # Where there was no event before, all are of now, whatever clock is right.
        return 0.0 if self._had_no_event else self._began.wall

    def _by_account_and_day(self) -> Ours | None:
        cluster = self._job.cluster
        if cluster is not None:
            return cluster.by_account_and_day(self.submission.fates)
        return self._reading.by_account_and_day()

    def _look_before(self) -> None:
        """Ask what m3ter has before the first row is sent; without the permission nothing is compared later."""
        from m3ter_nb.usage.confirm import newest_event
        from m3ter_nb.usage.counts import count

        if not self._job.options.confirm or self._found.start is None:
            return
        try:
            self._last_event = newest_event(self._job.reader)
            self._had_no_event = self._last_event is None
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
                batches(self._reading.to_be_sent(self._journal)),
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
        if self._journal is not None and self._run is not None:
            self._journal.add(batch, self._run)

    def _refused(self, batch: Batch, error: M3terError) -> None:
        reason = " ".join(str(getattr(error, "reason", "") or error).split())
        for position, measurement in zip(batch.positions, batch.measurements, strict=True):
            self.submission.refuse(position, reason, json.loads(measurement)["uid"])

    def _take_time(self) -> None:
        self.submission.seconds = self._channel.clock.elapsed(self._began)
