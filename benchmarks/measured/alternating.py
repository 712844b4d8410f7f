"""Measure several ways of doing one thing by turns, so that whatever else the machine does hits them alike."""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["alternate", "main"]


def alternate(
    ways: Mapping[str, Callable[[], object]], rounds: int, times: int | Mapping[str, int] = 1
) -> dict[str, list[float]]:
    """Return, for each way, one figure per round: seconds for one call, averaged over a round's calls.

    Args:
        ways: what to measure, by name. Each is called once beforehand.
        rounds: how many figures.
        times: calls in a round, of all ways or by name.
    """
    for way in ways.values():
        way()
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # Every other round goes backwards, so that nobody always runs in another's wake.
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            way, calls = ways[name], times if isinstance(times, int) else times[name]
            gc.collect()
            started = time.perf_counter()
            for _ in range(calls):
                way()
            figures[name].append((time.perf_counter() - started) / calls)
    return figures


def main(measurements: Mapping[str, Callable[[int], Any]]) -> None:
    """Run the measurement named by the first argument, with the second as its number of rounds, and print JSON."""
    print(json.dumps(measurements[sys.argv[1]](int(sys.argv[2]))))
