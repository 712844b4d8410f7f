"""What has become of the rows of one submission, as a value that shows itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.spelling import printable, spell_out
from m3ter_nb.usage.options import LONGEST_WAIT, check_number
from m3ter_nb.usage.report import counted, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import pandas as pd

    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.source import Source

__all__ = ["EXPECTED", "Fate", "Submission"]


class Fate:
    """What has become of a row; each is one byte."""

    UNSENT: Final = 0
    ACCEPTED: Final = 1
    #: Accepted by an earlier run, by the journal.
    ALREADY: Final = 2
    DOUBTFUL: Final = 3
    REFUSED: Final = 4
    #: It could not be sent, and was left out as ``invalid="skip"`` asks.
    LEFT_OUT: Final = 5
    #: It shares key and content with an earlier row.
    SAME: Final = 6
    #: m3ter had its uid already, and this run has sent it once.
    THERE: Final = 7
    #: Another run has sent its uid with another content, and one of the two is counted.
    CONFLICT: Final = 8


#: What m3ter should count.
EXPECTED: Final = (Fate.ACCEPTED, Fate.ALREADY, Fate.THERE, Fate.CONFLICT)


@dataclass(repr=False)
class Submission:
    """The rows of one submission, counted. Row numbers are positions in the source, from 0.

    Attributes:
        meter: the meter's code.
        rows: of the source.
        duplicates: rows that m3ter dropped because this submission had sent their request twice; they count once.
        ingested: rows that m3ter's own count has found, or None where it could not be asked.
        confirmed: whether every row that is not refused was counted.
        new_accounts: account codes that m3ter did not know before.
        journal: its file, or None.
        seconds: how long it took.
        report: what the check had found.
        notes: further sentences.
    """

    meter: str
    rows: int
    report: UsageReport
    new_accounts: list[str] = field(default_factory=list)
    journal: Path | None = None
    duplicates: int = 0
    ingested: int | None = None
    confirmed: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    _source: Source | None = None
    _by_content: bool = False
    _reasons: dict[int, str] = field(default_factory=dict)
    _uids: dict[int, str] = field(default_factory=dict)
    _confirm: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        import numpy as np

        self.fates = np.zeros(self.rows, np.uint8)

    def mark(self, positions: Iterable[int], fate: int) -> None:
        """Note what has become of rows."""
        self.fates[list(positions)] = fate

    def mark_all(self, first: int, fates: bytearray) -> None:
        """Note what has become of rows that follow one another."""
        self.fates[first : first + len(fates)] = list(fates)

    def refuse(self, position: int, reason: str, uid: str = "", fate: int = Fate.REFUSED) -> None:
        """Note that a row was refused, or left out, and why."""
        self.fates[position] = fate
        self._reasons[position] = reason
        self._uids[position] = uid

    def count(self, *fates: int) -> int:
        """Return how many rows have one of these fates."""
        return sum(int((self.fates == fate).sum()) for fate in fates)

    @property
    def accepted(self) -> int:
        """Rows that m3ter has accepted in this run; those that it refused afterwards are not among them."""
        return self.count(Fate.ACCEPTED)

    @property
    def already(self) -> int:
        """Rows that were there before: by the journal, or because m3ter knew their uid."""
        return self.count(Fate.ALREADY, Fate.THERE)

    @property
    def unverified(self) -> int:
        """Of those already there, rows of which it is not known that m3ter has them with this content.

        It knew their ``uid=`` or ``key=``, and no journal holds what was sent under it. A uid that is a digest of the
        content leaves nothing open.
        """
        return 0 if self._by_content else self.count(Fate.THERE)

    @property
    def doubtful(self) -> int:
        """Rows that were sent, and of which nobody knows whether m3ter took them; sent again, they count once."""
        return self.count(Fate.DOUBTFUL)

    @property
    def unsent(self) -> int:
        """Rows that were not sent, because the run ended before."""
        return self.count(Fate.UNSENT)

    @property
    def expected(self) -> int:
        """Rows that m3ter should count."""
        return self.count(*EXPECTED)

    def _named(self, fate: int, what: str) -> list[str]:
        """Return how many rows have a fate, with their reasons, most first."""
        reasons = Counter(reason for row, reason in self._reasons.items() if self.fates[row] == fate)
        if not reasons:
            return []
        named = ", ".join(f"{number:,} {reason}" for reason, number in reasons.most_common(4))
        return [f"{reasons.total():,} {what} ({named}{', …' if len(reasons) > 4 else ''})"]

    @property
    def refused(self) -> pd.DataFrame:
        """The rows that m3ter refused, that were left out, or that another run has sent with another content.

        Columns are ``row``, where a file has more than positions ``place`` (as ``line 7``), ``reason``, ``uid``, and their own.
        """
        import pandas as pd

        from m3ter_nb.usage.sources import rows_at

        positions = sorted(self._reasons)
        told = pd.DataFrame(
            {
                "row": positions,
                "reason": [self._reasons[each] for each in positions],
                "uid": [self._uids[each] for each in positions],
            }
        )
        if self._source is None:
            return told
        if places := self._source.places(positions):
            told.insert(1, "place", [places.get(each, "") for each in positions])
        own = rows_at(self._source, positions).reset_index(drop=True)
        # A column of the source that has one of our names keeps its own, and ours gives way.
        told.columns = [f"{name}_" if name in own.columns else name for name in told.columns]
        return pd.concat([told, own], axis=1)

    def confirm_by(self, wait: Callable[[float], None]) -> None:
        """Set what :meth:`confirm` calls, with the seconds to wait."""
        self._confirm = wait

    def confirm(self, seconds: float = 60) -> Submission:
        """Ask m3ter again what it has counted and refused.

        Args:
            seconds: to wait for it, at most.

        Raises:
            InvalidArgument: it is no number of seconds, or more than a day.
            MeasurementsRefused: rows were refused (unless ``raise_on_refused=False`` was asked for).
        """
        check_number(seconds, "seconds", 0, LONGEST_WAIT)
        if self._confirm is not None:
            self._confirm(seconds)
        return self

    def headline(self, where: str = "sent.refused") -> str:
        """Say the result in one sentence or two.

        Args:
            where: the rows that were refused are found.
        """
        if not self.rows:
            return f"No rows for {self.meter}: nothing was sent."
        parts = [self._counted()]
        for number, what in (
            (self.already - self.unverified, "of them were there already"),
            (
                self.unverified,
                "of them under a uid that m3ter knew, from an earlier run or one at the same time",
            ),
            (self.count(Fate.SAME), "shared key and content with others and count once"),
            (self.doubtful, "in doubt"),
            (self.unsent, "not sent"),
        ):
            parts += [f"{number:,} {what}"] if number else []
        parts += self._named(Fate.REFUSED, "refused") + self._named(Fate.LEFT_OUT, "left out")
        parts += self._named(Fate.CONFLICT, "in conflict with another run")
        see = f" {where} shows them." if self._reasons else ""
        return (
            f"{counted(self.rows, 'row')} to {self.meter}: {', '.join(parts)}.{see} {duration(self.seconds)}."
        )

    def _counted(self) -> str:
        if self.confirmed:
            return f"{self.ingested:,} ingested"
        if self.ingested is None:
            return f"{self.accepted:,} accepted, not counted"
        return f"{self.expected:,} accepted, of which m3ter has counted {self.ingested:,} so far: not yet confirmed"

    def __repr__(self) -> str:
        return printable("\n".join(map(spell_out, [self.headline(), *self.notes])))

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(spell_out(line))}</p>" for line in [self.headline(), *self.notes])
        return f'<div class="tex2jax_ignore mathjax_ignore">{lines}</div>'

    def __getstate__(self) -> dict[str, Any]:
        """Travel without what holds the login and the rows."""
        state = dict(self.__dict__)
        state.update(_source=None, _confirm=None)
        return state
