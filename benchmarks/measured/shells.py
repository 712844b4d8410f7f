"""The IPython shell that everything is measured in."""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

__all__ = ["fresh_shell"]


def fresh_shell() -> InteractiveShell:
    """Return the shell of this process, without a history file."""
    config = Config()
    config.HistoryManager.enabled = False
    return InteractiveShell.instance(config=config)
