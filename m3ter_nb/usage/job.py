"""One source for one meter: found, held to each other, and read for the first time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.meter import find_meter
from m3ter_nb.usage.pace import checked_rate
from m3ter_nb.usage.progress import Progress
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.usage.channel import Channel, Reader
    from m3ter_nb.usage.dask_cluster import Cluster
    from m3ter_nb.usage.journal import Journal
    from m3ter_nb.usage.meter import Columns, Meter
    from m3ter_nb.usage.options import Options
    from m3ter_nb.usage.source import Source
    from m3ter_nb.usage.survey import Survey

__all__ = ["Job"]


@dataclass
class Job:
    """One source for one meter, found and agreed."""

    reader: Reader
    source: Source
    meter: Meter
    columns: Columns
    options: Options
    cluster: Cluster | None = None

    @classmethod
    def of(cls, reader: Reader, given: Any, meter: str, options: Options) -> Job:
        """Find source, meter and columns.

        Raises:
            InvalidArgument: there is no such meter, column or file.
            MissingExtra: what reads the source is not installed.
            ApiError, ConnectionFailed: m3ter could not be asked.
        """
        from m3ter_nb.usage.dask_source import DaskSource
        from m3ter_nb.usage.sources import source_of

        source, columns = source_of(given), options.chosen
        on_cluster = isinstance(source, DaskSource)
        if on_cluster and columns.uid is None and columns.key is None:
            raise InvalidArgument(
                f"A Dask frame needs {option('uid')} or {option('key')}: without, a uid is a digest of all that is sent, and of identical rows in "
                "two partitions one would be lost. Nothing was sent."
            )
        found = find_meter(reader, meter)
        if on_cluster or source.columns or any(True for _ in source.pieces()):
            columns.check(found, source.columns)
        return cls(reader, source, found, columns, options, _cluster_of(source, found, columns, options))

    def survey(self, journal: Journal | None, wall: Callable[[], float]) -> Survey:
        """Read the source for the first time; arguments and errors as :func:`m3ter_nb.usage.survey.survey`."""
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
        """Return where the journal is kept, or None for none."""
        from m3ter_nb.usage.journal_file import journal_path

        if self.options.journal is None:
            return None
        if self.options.journal != "auto":
            return Path(self.options.journal)
        return journal_path(self.source.folder, self.reader.org_id, self.meter.code, self.reader.base_url)

    def open_journal(self, channel: Channel) -> Journal | None:
        """Open the journal; None where none is wanted, or none can be kept."""
        from m3ter_nb.usage.journal import open_journal

        path = self.journal_file()
        if path is None:
            return None
        about = {"host": self.reader.base_url, "organization": self.reader.org_id, "meter": self.meter.code}
        return open_journal(path, about, channel.notify, wall=channel.clock.wall)


def _cluster_of(source: Source, meter: Meter, columns: Columns, options: Options) -> Cluster | None:
    """Return what a Dask frame is read and sent on; None for every other source."""
    from m3ter_nb.usage.dask_source import DaskSource

    if not isinstance(source, DaskSource):
        return None
    from m3ter_nb.usage.dask_cluster import Cluster

    return Cluster(source, meter, columns, options.timezone)
