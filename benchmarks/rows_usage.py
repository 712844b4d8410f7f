"""Rows about usage in: processor time and memory of a submission, and the time that the pace takes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from results import Goal, Line, Samples
from rows_sandbox import running

if TYPE_CHECKING:
    from processes import Bench

__all__ = ["usage"]

#: From here on the memory over the frame has a goal.
_MANY: Final = 300_000


def usage(bench: Bench) -> list[Line]:
    """Measure ``submit_usage`` from the frame to the last answer."""
    rates = bench.run("usage.py", "rate", str(bench.rounds(10)))
    pace = bench.run("usage.py", "pace", "1")
    peaks = {rows: bench.run("usage.py", "memory", str(rows)) for rows in _sizes(bench)}
    return [
        Line(
            "`submit_usage`: rows per CPU second, frame to answered, checked and with a journal",
            "the official SDK's `submit_all` on ready dicts",
            Samples("1/s", tuple(rates["ours"])),
            Samples("1/s", tuple(rates["sdk"])),
            Goal("ratio", 7.0, at_least=True),
        ),
        Line(
            "the pace, by a clock that only waiting moves: until the turn of request 6,000",
            "the arithmetic of the limits",
            Samples("s", (pace["taken"],)),
            Samples("s", (pace["limits"],)),
            Goal("ratio", 1.05),
        ),
        *(
            Line(
                f"`submit_usage` of {rows:,} rows: peak of memory",
                "the same process with the frame alone",
                Samples("B", (peak["after"],)),
                Samples("B", (peak["before"],)),
                Goal("difference", 100e6),
            )
            for rows, peak in peaks.items()
            if rows >= _MANY
        ),
        *_growth(peaks),
        *_whole(bench, max(peaks)),
    ]


def _growth(peaks: dict[int, dict[str, float]]) -> list[Line]:
    """Return what one row costs among many, beside what it costs among few."""
    few, more, *_ = peaks
    cpu = {rows: Samples("s", (peak["cpu"] / rows,)) for rows, peak in peaks.items()}
    memory = {rows: Samples("B", ((peak["after"] - peak["before"]) / rows,)) for rows, peak in peaks.items()}
    return [
        Line(
            f"`submit_usage`: {what} for each of {rows:,} rows",
            f"the same, of {base:,}",
            figures[rows],
            figures[base],
            Goal("ratio", 1.1),
        )
        # So few rows as the first need no memory that another run would not have left.
        for what, figures, base in (("CPU time", cpu, few), ("memory over the frame", memory, more))
        for rows in peaks
        if rows > base
    ]


def _whole(bench: Bench, rows: int) -> list[Line]:
    """Measure a submission to the sandbox with its limits, from the frame to the sandbox's own count."""
    with running(bench, [sys.executable, "-m", "m3ter_nb.sandbox"]) as server:
        figures = bench.run("usage.py", "whole", str(rows), server.url)
    what = f"`submit_usage` of {rows:,} rows to the sandbox, confirmed by its count"
    wall = Samples("s", (figures["wall"],))
    return [
        Line(
            f"{what}: time",
            "the arithmetic of the limits",
            wall,
            Samples("s", (figures["limits"],)),
            Goal("ratio", 6),
        ),
        Line(f"{what}: CPU time", "its time", Samples("s", (figures["cpu"],)), wall, Goal("ratio", 0.5)),
        Line(
            f"{what}: peak of memory",
            "the same process with the frame alone",
            Samples("B", (figures["after"],)),
            Samples("B", (figures["before"],)),
            Goal("difference", 100e6),
        ),
    ]


def _sizes(bench: Bench) -> tuple[int, ...]:
    return (1_000, 10_000, 100_000) if bench.quick else (10_000, 100_000, 300_000, 1_000_000)
