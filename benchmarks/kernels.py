"""Cells in fresh Jupyter kernels: what one costs, in time and in memory."""

from __future__ import annotations

import ast
import subprocess
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from pathlib import Path

    from jupyter_client.blocking.client import BlockingKernelClient

__all__ = ["Cost", "cost_of_cell"]

_PATIENCE: Final = 60

# Runs silently in the kernel, which fires no event for it: the two moments are those before and after the measured cell.
_BEFORE: Final = """
import gc as _gc, time as _time, psutil as _psutil
_moments = []
def _note_moment(_=None):
    _moments.append(_time.perf_counter())
def _cost():
    before, after = _moments
    _gc.collect()
    return after - before, _psutil.Process().memory_full_info().uss
for _event in ("pre_run_cell", "post_run_cell"):
    get_ipython().events.register(_event, _note_moment)
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
    """Start a kernel, run one cell in it as a front end does, and end the kernel.

    The cell is not run from within another one: CPython 3.11 and later lose tens of milliseconds where hot code happens
    to lie across two chunks of the interpreter's stack, so a cell must be as deep in it as a user's is.

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
        _run(client, "pass")
        _run(client, _BEFORE, silent=True)
        _run(client, cell)
        told = _run(client, "", silent=True, user_expressions={"cost": "_cost()"})["cost"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return Cost(*ast.literal_eval(told["data"]["text/plain"]))


def _run(client: BlockingKernelClient, code: str, **options: Any) -> dict[str, Any]:
    """Run a cell in a kernel, and return its user expressions."""
    reply = client.execute(code, allow_stdin=False, reply=True, timeout=_PATIENCE, **options)["content"]
    if reply["status"] != "ok":
        raise RuntimeError(f"{code!r} failed: {reply.get('ename')}: {reply.get('evalue')}")
    expressions: dict[str, Any] = reply["user_expressions"]
    return expressions
