"""Cells in fresh Jupyter kernels: what one costs, in time and in memory."""

from __future__ import annotations

import ast
import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Cost", "cost_of_cell"]

_PATIENCE: Final = 60

# Runs in the kernel, in cells of its own. The measured cell is run as a front end runs it: as deep in Python's stack as
# a user's cell, for CPython 3.11 and later get slow where hot code straddles two chunks of that stack.
_BEFORE: Final = """
import gc as _gc, time as _time, psutil as _psutil
_moments = []
def _note_moment(_=None):
    _moments.append(_time.perf_counter())
def _cost():
    shell = get_ipython()
    shell.events.unregister("pre_run_cell", _note_moment)
    shell.events.unregister("post_run_cell", _note_moment)
    _gc.collect()
    return _moments[-1 - len(_moments) % 2] - _moments[-2 - len(_moments) % 2], _psutil.Process().memory_full_info().uss
get_ipython().events.register("post_run_cell", _note_moment)
get_ipython().events.register("pre_run_cell", _note_moment)
_gc.collect()
"""


class Cost(NamedTuple):
    """What a cell cost.

    Attributes:
        seconds: until it had run.
        bytes: of the kernel's process afterwards (unique set size: what would be free if it ended).
    """

    seconds: float
    bytes: int


def cost_of_cell(cell: str, environ: dict[str, str], folder: Path) -> Cost:
    """Start a kernel, run one cell in it, and end the kernel.

    Args:
        cell: the code; magics are fine.
        environ: the kernel's environment variables.
        folder: its working directory.

    Raises:
        RuntimeError: the cell failed.
    """
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=environ, cwd=str(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=_PATIENCE)
        reply = client.execute(
            f"{_PROBE}\n_told = _cost({cell!r})",
            user_expressions={"told": "_told"},
            allow_stdin=False,
            reply=True,
            timeout=_PATIENCE,
        )["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise RuntimeError(f"{cell!r} failed: {reply.get('ename')}: {reply.get('evalue')}")
    return Cost(*ast.literal_eval(reply["user_expressions"]["told"]["data"]["text/plain"]))
