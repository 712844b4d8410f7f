"""What the check of usage has found, as a value that shows itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.spelling import printable, spell_out, with_literal_repr
from m3ter_nb.views.foreign import cell_width
from m3ter_nb.wording import is_on_a_line, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

__all__ = ["MANY_ROWS", "Finding", "UsageReport", "counted", "duration"]

_FIRST_ROWS: Final = 5
#: Rows above which m3ter's own file upload is worth a thought.
MANY_ROWS: Final = 5_000_000

#: What each finding means, and how it is mended; what is in braces is an option.
MEANINGS: Final = {
    "MissingAccount": "no account code; fill it in",
    "BadCode": "no account code: 1 to 80 characters, no space at its ends, no control character",
    "MissingTime": "no time; fill it in",
    "BadTime": "not a date and time in ISO 8601, as 2026-11-25T10:00:00Z; convert it with pandas.to_datetime",
    "UnclearTime": "a local time that a change of the clocks makes ambiguous or impossible; give it an offset",
    "FutureTimestamp": "a time in the future, which m3ter refuses",
    "EndsBeforeStart": "it ends before it starts",
    "MissingField": "no value, and m3ter refuses a row without one; fill it in",
    "WrongType": "a value of another type than the meter's field; convert the column",
    "NotANumber": "not a finite number, written with a point",
    "TooLong": "more than the 256 characters that METADATA may have",
    "TooLarge": "a row of about 500,000 bytes or more, which no request can hold; shorten its texts",
    "MissingUid": "no uid; fill it in",
    "UnclearKey": "a key that other files write in other ways, as 1.5 and 1.50; make a text of the column, or leave it out",
    "RepeatedUid": "the uid of an earlier row, of which m3ter would keep the first only",
    "DifferentUnderKey": "the key of an earlier row, but another content; m3ter would keep the first only",
    "DiffersFromSent": "differs from what was sent under the same uid; m3ter keeps the first. "
    "Send the difference as a row of its own",
    "SentWithOtherUid": "sent before under a uid that was made in another way, and would be counted twice; give {uid} or "
    "{key} as then (none, if there was none)",
    "NewAccount": "an account code that m3ter does not know, and would make an account of; {create} if it is meant",
    "NoTimeZone": "no time zone: taken as in {timezone}",
    "Identical": "identical to an earlier row, and counted as usage of its own; with {uid} or {key} it would not be",
    "RepeatedKey": "identical to an earlier row of the same key, and counted once",
    "LongUid": "a uid of more than 50 characters: its digest is sent",
    "SinglePrecision": "numbers of single precision that were made double, as 0.10000000149011612: another uid than that of "
    "the 0.1 in their CSV or in a column of float32, from where they would be counted again; give that, or round them",
    "Rounded": "more digits than m3ter's numbers hold: sent as the nearest double",
}


@with_literal_repr
@dataclass(slots=True)
class Finding:
    """One kind of trouble in one column.

    Attributes:
        kind: one word.
        column: the column, or ``""``.
        rows: how many rows.
        first: positions of the first of them.
        places: where these are to be found, as ``line 7``, as far as the source has more than positions.
        codes: new account codes, where it is about those.
        on_line: whether options are named as a line has them.
    """

    kind: str
    column: str
    rows: int = 0
    first: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    on_line: bool = field(default_factory=is_on_a_line)

    def add(self, rows: Sequence[int], offset: int = 0) -> None:
        """Count more rows."""
        self.rows += len(rows)
        if len(self.first) < _FIRST_ROWS:
            self.first += [row + offset for row in rows[: _FIRST_ROWS - len(self.first)]]

    def where(self) -> str:
        """Name the first rows: ``row 7``, ``rows 7, 9, …``, with their places: ``row 7 (line 9)``."""
        places = f" ({', '.join(self.places)})" if self.places else ""
        return f"row{'' if self.rows == 1 else 's'} {', '.join(map(str, self.first))}{self._more()}{places}"

    def _more(self) -> str:
        return ", …" if self.rows > len(self.first) else ""

    @property
    def meaning(self) -> str:
        """What it means, and how it is mended."""
        named = f" ({counted(len(self.codes), 'code')}: {', '.join(self.codes[:5])}{', …' if len(self.codes) > 5 else ''})"
        options = {name: option(name, on_line=self.on_line) for name in ("uid", "key", "timezone")}
        create = option("new_accounts", "create", on_line=self.on_line)
        return MEANINGS[self.kind].format(create=create, **options) + (named if self.codes else "")

    def cells(self) -> tuple[str, str, str, str, str]:
        """Return it as texts: kind, column, rows, first rows, meaning."""
        places = [f" ({place})" for place in self.places] or [""] * len(self.first)
        first = ", ".join(f"{row}{place}" for row, place in zip(self.first, places, strict=True))
        return (self.kind, self.column, f"{self.rows:,}", first + self._more(), self.meaning)


@dataclass(slots=True, repr=False)
class UsageReport:
    """What :meth:`M3terSession.check_usage` has found; nothing was sent.

    Row numbers are positions in the source, counted from 0 as ``frame.iloc`` does; of a CSV file the line is named beside them.

    Attributes:
        meter: the meter's code.
        rows: of the source.
        bad_rows: of them, those that cannot be sent.
        requests: how many it takes to send them.
        seconds: how long m3ter's limits make that take, from one address.
        accounts: how many account codes there are.
        start: the earliest time, as text in UTC, or None.
        end: the latest time.
        new_accounts: codes that m3ter does not know.
        found_problems: what keeps rows from being sent.
        found_warnings: what should be known.
        notes: further sentences.
    """

    meter: str
    rows: int = 0
    bad_rows: int = 0
    requests: int = 0
    seconds: float = 0.0
    accounts: int = 0
    start: str | None = None
    end: str | None = None
    new_accounts: list[str] = field(default_factory=list)
    found_problems: list[Finding] = field(default_factory=list)
    found_warnings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether every row can be sent."""
        return not self.found_problems

    @property
    def problems(self) -> pd.DataFrame:
        """What keeps rows from being sent: ``problem, column, rows, first_rows, places, meaning``."""
        return _frame("problem", self.found_problems)

    @property
    def warnings(self) -> pd.DataFrame:
        """What should be known: ``warning, column, rows, first_rows, places, meaning``."""
        return _frame("warning", self.found_warnings)

    def headline(self) -> str:
        """Say the result in one sentence."""
        if not self.rows:
            return f"No rows for {self.meter}: there is nothing to send."
        rows = f"{counted(self.rows, 'row')} for {self.meter}"
        if self.ok:
            return f"{rows}: all can be sent."
        kinds = ", ".join(
            f"{each.rows:,} {each.kind}{f' {each.column}' if each.column else ''} in {each.where()}"
            for each in self.found_problems[:6]
        )
        more = ", …" if len(self.found_problems) > 6 else ""
        return f"{rows}: {self.bad_rows:,} cannot be sent ({kinds}{more})."

    def facts(self) -> list[tuple[str, str]]:
        """Return label and value of what is to know."""
        if not self.rows:
            return []
        period = f"{self.start} to {self.end}" if self.start else "no times"
        return [
            ("accounts", f"{self.accounts:,}"),
            ("period", period),
            ("requests", f"{self.requests:,}, at m3ter's limits {duration(self.seconds)}"),
        ]

    def __repr__(self) -> str:
        lines = [
            spell_out(self.headline()),
            *(f"  {label:<9} {spell_out(value)}" for label, value in self.facts()),
        ]
        for title, findings in (("problems", self.found_problems), ("warnings", self.found_warnings)):
            if findings:
                lines += [f"{title}:", *_aligned([each.cells() for each in findings])]
        return printable("\n".join([*lines, *map(spell_out, self.notes)]))

    def _repr_html_(self) -> str:
        parts = [f"<p><strong>{_shown(self.headline())}</strong></p>"]
        facts = " · ".join(f"{escape(label)} {_shown(value)}" for label, value in self.facts())
        parts += [f"<p>{facts}</p>"] if facts else []
        for title, findings in (("problem", self.found_problems), ("warning", self.found_warnings)):
            if findings:
                parts.append(_table(title, findings))
        parts += [f"<p>{_shown(note)}</p>" for note in self.notes]
        return f'<div class="tex2jax_ignore mathjax_ignore">{"".join(parts)}</div>'


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 row``, ``2,000 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return a time as people say it: ``22 s``, ``10 min``, ``16.8 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _frame(kind: str, findings: Sequence[Finding]) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {
            kind: each.kind,
            "column": each.column,
            "rows": each.rows,
            "first_rows": each.first,
            "places": each.places,
            "meaning": each.meaning,
        }
        for each in findings
    ]
    return pd.DataFrame(rows, columns=[kind, "column", "rows", "first_rows", "places", "meaning"])


def _aligned(lines: Sequence[tuple[str, ...]]) -> list[str]:
    shown = [[spell_out(cell) for cell in line] for line in lines]
    widths = [max(map(cell_width, column)) for column in zip(*shown, strict=True)]
    return [
        "  "
        + "  ".join(
            cell + " " * (width - cell_width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in shown
    ]


def _shown(text: str) -> str:
    return escape(spell_out(text))


def _html_cells(finding: Finding) -> list[str]:
    """Return the cells as HTML; that of the first rows breaks behind its commas alone."""
    kind, column, rows, first, meaning = map(_shown, finding.cells())
    return [kind, column, rows, first.replace(" ", "&nbsp;").replace(",&nbsp;", ", "), meaning]


def _table(title: str, findings: Sequence[Finding]) -> str:
    heads = "".join(
        f'<th scope="col" style="text-align: left">{name}</th>'
        for name in (title, "column", "rows", "first rows", "")
    )
    rows = "".join(
        "<tr>" + "".join(f'<td style="text-align: left">{cell}</td>' for cell in _html_cells(each)) + "</tr>"
        for each in findings
    )
    return f'<table class="dataframe"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
