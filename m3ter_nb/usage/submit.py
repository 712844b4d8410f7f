"""Check, send, confirm: the two functions that a session hands out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import UsageInvalid
from m3ter_nb.usage.job import Job
from m3ter_nb.wording import either, option

if TYPE_CHECKING:
    from pathlib import Path

    from m3ter_nb.usage.channel import Channel, Reader
    from m3ter_nb.usage.options import Options
    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.submission import Submission

__all__ = ["check_usage", "submit_usage"]


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
    job = Job.of(reader, given, meter, options)
    path = job.journal_file()
    journal = job.open_journal(channel) if path is not None and _is_there(path) else None
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
    job = Job.of(reader, given, meter, options)
    from m3ter_nb.usage.sending import Sending  # only now: it needs pandas

    if job.cluster is not None:
        job.cluster.check_lines()
    journal = job.open_journal(channel)
    try:
        found = job.survey(journal, channel.clock.wall)
        report = found.report
        if report.found_problems and options.invalid == "refuse":
            first = report.found_problems[0]
            raise UsageInvalid(
                f"{report.headline()} Nothing was sent. {first.kind}: {first.meaning}. {_advice()}",
                report=report,
            )
        if options.approve is not None and report.rows:
            options.approve(report)
        sending = Sending(job, channel, found, journal)
        sending.send()
    finally:
        if journal is not None:
            journal.close()
    return sending.confirm()


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be searched
        return False


def _advice() -> str:
    others = either("error.report says", "--check says")
    return f"{others} the same of the others; {option('invalid', 'skip')} leaves them out."
