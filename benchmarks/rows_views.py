"""Rows about answers as values: tables, frames, the memory of lists, and that nothing costs more the more there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from results import Goal, Line, Samples

if TYPE_CHECKING:
    from processes import Bench
    from results import Unit

__all__ = ["frames", "growth", "list_memory", "table_views"]

_PANDAS: Final = "pandas' `_repr_html_` of the same frame"

_MEASURED: Final[tuple[tuple[Unit, str], ...]] = (("s", "CPU time"), ("B", "peak memory"))

_SIZES: Final = (10_000, 100_000, 1_000_000)


def table_views(bench: Bench) -> list[Line]:
    """Measure the HTML views of long and of wide lists."""
    lines = []
    for name, what in (
        ("html", "HTML view of 10,000 records"),
        ("long_html", "HTML view of 100,000 records"),
        ("wide_html", "HTML view of 60 records of 1,000 fields"),
    ):
        figures = bench.run("views.py", name, str(bench.rounds(25)))
        ours, theirs = Samples("s", tuple(figures["records"])), Samples("s", tuple(figures["pandas"]))
        lines.append(Line(what, _PANDAS, ours, theirs, Goal("ratio", 0.5)))
    return lines


def frames(bench: Bench) -> list[Line]:
    """Measure the frame of 100,000 nested records."""
    figures = bench.run("views.py", "frame", str(bench.rounds(10)))
    return [
        Line(
            "`to_frame()` of 100,000 nested records, digits and days kept",
            "`pd.json_normalize` of the same",
            Samples("s", tuple(figures["ours"])),
            Samples("s", tuple(figures["pandas"])),
            Goal("ratio", 0.5),
        )
    ]


def list_memory(bench: Bench) -> list[Line]:
    """Measure the peak of memory while a long list is read."""
    figures = bench.run("views.py", "list_memory", str(bench.rounds(3)))
    return [
        Line(
            "`--all` of 100,000 products: memory at the peak",
            "the plain list itself",
            Samples("B", tuple(figures["ours"])),
            Samples("B", tuple(figures["plain"])),
            Goal("ratio", 1.3),
        )
    ]


def growth(bench: Bench) -> list[Line]:
    """Measure whether a record costs more the more records there are; each figure in fresh processes."""
    lines = []
    for script, what in (("growing_frame", "`to_frame()`"), ("growing_list", "reading a list")):
        smallest, *larger = [_per_record(bench, script, size) for size in _SIZES]
        for size, figures in zip(_SIZES[1:], larger, strict=True):
            lines += [
                Line(
                    f"{what}: {measured} per record, of {size:,}",
                    f"the same, of {_SIZES[0]:,}",
                    figures[unit],
                    smallest[unit],
                    Goal("ratio", 1.1),
                )
                for unit, measured in _MEASURED
            ]
    return lines


def _per_record(bench: Bench, script: str, size: int) -> dict[Unit, Samples]:
    told = [bench.run("views.py", script, str(size)) for _ in range(bench.rounds(3))]
    return {
        unit: Samples(unit, tuple(value for figures in told for value in figures[unit]))
        for unit, _ in _MEASURED
    }
