"""Rows about what is known of the API: Tab, and the check of what a call holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from results import Goal, Line, Samples

if TYPE_CHECKING:
    from processes import Bench

__all__ = ["checks", "tab"]

_CHECKS: Final = 100


def tab(bench: Bench) -> list[Line]:
    """Measure the first Tab of a process, and later ones."""
    told = [bench.run("words.py", "tab", str(bench.rounds(15))) for _ in range(bench.rounds(5))]
    figures = {
        name: Samples("s", tuple(value for each in told for value in each[name]))
        for name in ("first", "ours", "empty")
    }
    against = "Tab after a magic that does nothing"
    return [
        Line(
            "the first Tab after `%m3ter GET bills acc`",
            against,
            figures["first"],
            figures["empty"],
            Goal("difference", 0.1),
        ),
        Line("each later one", against, figures["ours"], figures["empty"], Goal("difference", 0.005)),
    ]


def checks(bench: Bench) -> list[Line]:
    """Measure what the check of filters and of a body takes of a call."""
    figures = bench.run("words.py", "checks", str(bench.rounds(25)))
    call = Samples("s", tuple(figures["call"]))
    return [
        Line(
            f"the {name}",
            "a call of `m3ter_session.get`, the check included",
            Samples("s", tuple(seconds / _CHECKS for seconds in figures[name])),
            call,
            Goal("ratio", 0.03),
        )
        for name in ("check of filters", "check of a body")
    ]
