"""The IPython shell that everything is measured in."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

__all__ = ["fresh_shell", "run"]


def fresh_shell() -> InteractiveShell:
    """Return the shell of this process, without a history file."""
    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell.instance(config=config)


def run(shell: InteractiveShell, *cells: str) -> None:
    """Run cells, one after the other; an error in one is raised."""
    for cell in cells:
        shell.run_cell(cell).raise_error()  # type: ignore[no-untyped-call]  # IPython's method has no types
