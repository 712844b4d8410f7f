"""Rows that other commands of the Makefile measured: the page, and how long the tests take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from processes import HERE
from results import Goal, Line, Samples

if TYPE_CHECKING:
    from processes import Bench
    from results import Unit

__all__ = ["page", "tests"]

_BUILD: Final = HERE.parent / "build"
_LIMITS: Final = {"quick": 60.0, "test": 20 * 60.0, "test-more": 35 * 60.0}


def page(_bench: Bench) -> list[Line]:
    """Show what the page's own test measured last: from its load to the first login, and its size with Pyodide."""
    figures = _read("page.json")
    what = "the page in Chromium, over loopback: load to first login"
    return [
        _line(what, _samples("s", figures.get("seconds")), 15, "make test-more"),
        _line(
            "the page: its size, Pyodide included",
            _samples("B", figures.get("bytes")),
            45e6,
            "make test-more",
        ),
    ]


def tests(_bench: Bench) -> list[Line]:
    """Show how long the tests took when they last ran whole, the set-up not counted."""
    return [
        _line(
            f"`make {name}`", _samples("s", _read(f"make-{name}.json").get("seconds")), limit, f"make {name}"
        )
        for name, limit in _LIMITS.items()
    ]


def _line(what: str, ours: Samples | None, limit: float, command: str) -> Line:
    """Return a line that is compared with its limit, or says which command measures it."""
    if ours is None:
        return Line(what, "the limit", note=f"not measured here: {command}")
    return Line(what, "the limit", ours, Samples(ours.unit, (limit,)), Goal("ratio", 1.0))


def _samples(unit: Unit, value: float | None) -> Samples | None:
    return None if value is None else Samples(unit, (value,))


def _read(name: str) -> dict[str, float]:
    path = _BUILD / name
    figures: dict[str, float] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return figures
