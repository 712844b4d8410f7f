"""What our hooks add to each cell of a notebook: ``python cells.py NAME ROUNDS``."""

from __future__ import annotations

import gc
import io
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from alternating import main
from shells import fresh_shell, run

if TYPE_CHECKING:
    from collections.abc import Callable

CELLS = 400
HOOKS = 5_000


def empty_cell(rounds: int) -> dict[str, list[float]]:
    """Measure an empty cell without the extension, and with it loaded and logged in; seconds, one figure a round.

    IPython runs its hooks for ``pass`` and not for a blank cell.
    """
    shell = fresh_shell()
    figures: dict[str, list[float]] = {"without": [], "with": []}

    def measure(name: str) -> None:
        run_cell: Callable[[str], object] = shell.run_cell
        for _ in range(CELLS // 10):
            run_cell("pass")
        gc.collect()
        started = time.perf_counter()
        for _ in range(CELLS):
            run_cell("pass")
        figures[name].append((time.perf_counter() - started) / CELLS)

    with redirect_stdout(io.StringIO()):
        for _ in range(rounds):
            measure("without")
            run(shell, "%load_ext m3ter_nb", "%m3ter_login")
            measure("with")
            run(shell, "%unload_ext m3ter_nb")
    return figures


def hooks_alone(rounds: int) -> dict[str, list[float]]:
    """Measure what IPython calls before and after a cell, without the cell; seconds for both hooks."""
    shell = fresh_shell()
    with redirect_stdout(io.StringIO()):
        run(shell, "%load_ext m3ter_nb", "%m3ter_login")
    ours = [
        hook
        for event in ("pre_run_cell", "post_run_cell")
        for hook in shell.events.callbacks[event]
        if hook.__module__.startswith("m3ter_nb")
    ]
    if not ours:
        raise AssertionError("the extension has no hooks: what is measured here is gone")
    figures = []
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(HOOKS):
            for hook in ours:
                hook(None)
        figures.append((time.perf_counter() - started) / HOOKS)
    return {"hooks": figures}


if __name__ == "__main__":
    main({"empty_cell": empty_cell, "hooks_alone": hooks_alone})
