"""What was measured, and the table of it."""

from __future__ import annotations

import json
import operator
import os
import platform
import statistics
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import psutil  # type: ignore[import-untyped]  # it ships no types
import pyperf  # type: ignore[import-untyped]  # it ships no types

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Goal", "Line", "Samples", "machine", "markdown", "remarks", "saved", "versions"]

Unit = Literal["s", "B", "1", "1/s"]

_PACKAGES: Final = (
    "m3ter-nb",
    "m3ter",
    "requests",
    "urllib3",
    "ipython",
    "ipykernel",
    "pandas",
    "flask",
    "pyperf",
)
_PYPERF_UNITS: Final[dict[str, str]] = {"s": "second", "B": "byte", "1": "integer"}
#: A figure this close to its limit may be on the other side of it in the next run.
_CLOSE: Final = 0.1
_HEAD: Final = ("what", "ours", "against", "theirs", "ours / theirs", "goal", "met")


@dataclass(frozen=True)
class Samples:
    """Repeated measurements of one thing.

    Attributes:
        unit: seconds, bytes, a plain count, or a rate per second.
        values: in the order in which they were taken.
    """

    unit: Unit
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def against(self, other: Samples, compared: Callable[[float, float], float]) -> float:
        """Return the median of this compared with the other, round by round: what slows a whole round cancels out."""
        if len(self.values) != len(other.values):
            return compared(self.median, other.median)
        return statistics.median(map(compared, self.values, other.values))

    def minus(self, other: Samples) -> Samples:
        """Return what this has over the median of another."""
        return Samples(self.unit, tuple(value - other.median for value in self.values))

    def __str__(self) -> str:
        return _shown(self.median, self.unit)


@dataclass(frozen=True)
class Goal:
    """How the two medians are compared, and with what limit.

    Attributes:
        kind: ``"ratio"`` (ours divided by theirs), ``"difference"`` (ours minus theirs), or ``"count"`` (ours alone).
        limit: the goal is met up to here.
        at_least: the goal is met from here on instead.
        limited_by: what keeps the figure from it, told where it is missed.
    """

    kind: Literal["ratio", "difference", "count"]
    limit: float
    at_least: bool = False
    limited_by: str = ""

    def compared(self, ours: Samples, theirs: Samples) -> float:
        """Return the figure that the limit is for: the median over the rounds, each compared with its own."""
        match self.kind:
            case "ratio":
                return ours.against(theirs, operator.truediv)
            case "difference":
                return ours.against(theirs, operator.sub)
            case "count":
                return ours.median

    def met(self, ours: Samples, theirs: Samples) -> bool:
        """Whether the goal is met."""
        figure = self.compared(ours, theirs)
        return figure >= self.limit if self.at_least else figure <= self.limit

    def close(self, ours: Samples, theirs: Samples) -> bool:
        """Whether the figure is within a tenth of the limit, on either side; a count is exact."""
        return self.kind != "count" and abs(self.compared(ours, theirs) - self.limit) <= _CLOSE * self.limit

    def shown(self, unit: Unit) -> str:
        """Return the limit in words."""
        sign = "at least " if self.at_least else "at most "
        match self.kind:
            case "ratio":
                return f"{sign}{self.limit:g}"
            case "difference":
                return f"{sign}{_shown(self.limit, unit)} over"
            case "count":
                return f"{sign if self.at_least else ''}{self.limit:,.0f}"


@dataclass(frozen=True)
class Line:
    """One comparison.

    Attributes:
        what: what was done.
        against: what it is compared with.
        ours: None where it was not measured.
        theirs: None where it was not measured.
        goal: None for a line that only informs.
        note: why it was not measured, or what limits it.
    """

    what: str
    against: str
    ours: Samples | None = None
    theirs: Samples | None = None
    goal: Goal | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none, or nothing was measured."""
        if self.ours is None or self.theirs is None or self.goal is None:
            return None
        return self.goal.met(self.ours, self.theirs)

    @property
    def compared(self) -> float | None:
        """The figure that the goal limits; None where there is none."""
        if self.ours is None or self.theirs is None or self.goal is None:
            return None
        return self.goal.compared(self.ours, self.theirs)

    @property
    def close(self) -> bool:
        """Whether another run may say otherwise about the goal."""
        if self.ours is None or self.theirs is None or self.goal is None:
            return False
        return self.goal.close(self.ours, self.theirs)

    def cells(self) -> list[str]:
        """Return the cells of its row in the table."""
        unit = (self.ours or self.theirs or Samples("1", (0,))).unit
        goal = self.goal.shown(unit) if self.goal else "-"
        if self.ours is None or self.theirs is None:
            return [
                self.what,
                str(self.ours or "-"),
                self.against,
                str(self.theirs or "-"),
                "-",
                goal,
                self.note,
            ]
        if self.goal is not None and self.goal.kind == "difference":
            figure = f"{_shown(self.goal.compared(self.ours, self.theirs), unit)} over"
        else:
            figure = f"{self.ours.against(self.theirs, operator.truediv):.3g}"
        met = {True: "yes", False: "**no**", None: "-"}[self.met]
        note = f"{met}; {self.note}" if self.note else met
        return [self.what, str(self.ours), self.against, str(self.theirs), figure, goal, note]

    def as_json(self) -> dict[str, Any]:
        """Return the line for a program, every sample included."""
        return {
            "what": self.what,
            "against": self.against,
            "unit": (self.ours or self.theirs or Samples("1", (0,))).unit,
            "ours": _side(self.ours),
            "theirs": _side(self.theirs),
            "compared": self.compared,
            "goal": None if self.goal is None else vars(self.goal),
            "met": self.met,
            "note": self.note,
        }


def _side(samples: Samples | None) -> dict[str, Any] | None:
    return None if samples is None else {"median": samples.median, "values": list(samples.values)}


def _shown(value: float, unit: Unit) -> str:
    """Return a figure with three digits, in a unit that suits its size."""
    size = abs(value)
    match unit:
        case "s" if size < 1e-3:
            return f"{value * 1e6:.3g} µs"
        case "s" if size < 1:
            return f"{value * 1e3:.3g} ms"
        case "s":
            return f"{value:.3g} s"
        case "B":
            return f"{value / 1e6:.1f} MB" if size >= 1e5 else f"{value:,.0f} B"
        case "1/s":
            return f"{value:,.0f} /s"
        case _:
            return f"{value:,.0f}"


def markdown(lines: list[Line]) -> str:
    """Return the table, aligned so that it reads well as plain text too."""
    rows = [list(_HEAD), *(line.cells() for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    drawn.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(drawn)


def remarks(lines: list[Line]) -> str:
    """Return what the table does not say aloud: the goals missed, and those that another run may miss or meet."""
    missed = [f"\n  - {_with_limit(line)}" for line in lines if line.met is False]
    close = [f"{line.what}, against {line.against}" for line in lines if line.close]
    return (
        f"- Goals missed in this run:{''.join(missed) or ' none.'}\n"
        f"- Within a tenth of the limit, where another run may say otherwise: {'; '.join(close) or 'none'}."
    )


def _with_limit(line: Line) -> str:
    """Name a line, and what keeps it from its goal, where that is known."""
    why = line.goal.limited_by if line.goal else ""
    return f"{line.what}, against {line.against}{': ' if why else ''}{why}."


def machine() -> dict[str, str]:
    """Return what the figures depend on, and nothing that names whose machine it is."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1e9:.0f} GB",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of the packages that took part."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def saved(lines: list[Line], about: dict[str, Any], table: Path, samples: Path) -> None:
    """Write the table for programs, and the samples for ``python -m pyperf compare_to``.

    Args:
        lines: the table.
        about: machine, versions and circumstances.
        table: the file that gets the table as JSON.
        samples: the file that gets every side as a pyperf benchmark.
    """
    table.parent.mkdir(parents=True, exist_ok=True)
    whole = {**about, "lines": [line.as_json() for line in lines]}
    table.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", "utf-8")
    benchmarks = [
        benchmark
        for line in lines
        for side, measured in (("ours", line.ours), (line.against, line.theirs))
        if (benchmark := _benchmark(f"{line.what} | {side} | {line.against}", measured)) is not None
    ]
    if benchmarks:
        pyperf.BenchmarkSuite(benchmarks).dump(str(samples), replace=True)


def _benchmark(name: str, samples: Samples | None) -> pyperf.Benchmark | None:
    # pyperf takes positive seconds, bytes and counts; its own metadata would name the host.
    if samples is None or samples.unit not in _PYPERF_UNITS or min(samples.values) <= 0:
        return None
    values = [int(value) for value in samples.values] if samples.unit != "s" else list(samples.values)
    metadata = {"name": name, "unit": _PYPERF_UNITS[samples.unit]}
    return pyperf.Benchmark([pyperf.Run(values, metadata=metadata, collect_metadata=False)])
