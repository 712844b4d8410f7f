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

# Runs in the kernel. The cell is measured where it runs: the way there and back is not its cost.
_PROBE: Final = """
def _cost(cell):
    import gc, time, psutil
    shell = get_ipython()
    shell.run_cell("pass").raise_error()
    gc.collect()
    started = time.perf_counter()
    result = shell.run_cell(cell)
    seconds = time.perf_counter() - started
    result.raise_error()
    gc.collect()
    return seconds, psutil.Process().memory_full_info().uss
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
