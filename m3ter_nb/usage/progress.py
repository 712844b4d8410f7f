"""How far a submission is: a line in a terminal, or a text in a notebook, that is gone when it ends.

Not tqdm: its widget, and what it writes to a notebook's stream, stay in the saved notebook.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Progress"]

# Seconds before it appears, and between two texts.
_DELAY: Final = 1.0
_PAUSE: Final = 0.5


class Progress:
    """Counts rows and shows how many; nothing where nobody looks. Called by several threads.

    Args:
        what: is being done.
        total: rows, or None where that is not known.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._of = f" of {total:,}" if total is not None else ""
        self._rows = 0
        self._next = time.monotonic() + _DELAY
        self._lock = threading.Lock()
        self._display: Any = None
        self._in_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._next = float("inf")
            if self._shown:
                self._show("")

    def __call__(self, rows: int) -> None:
        """Count more rows."""
        with self._lock:
            self._rows += rows
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + _PAUSE
                self._show(f"{self._what}: {self._rows:,}{self._of} rows")

    def _show(self, text: str) -> None:
        # Whoever cannot be shown how far it is still gets the result.
        with suppress(Exception):
            if _in_kernel():
                self._show_in_notebook(text)
            elif self._in_terminal:
                sys.stderr.write(f"\r\x1b[K{text}")
                sys.stderr.flush()
            self._shown = True

    def _show_in_notebook(self, text: str) -> None:
        from IPython.display import display

        show: Any = display
        if self._display is None:
            self._display = show({"text/plain": text}, raw=True, display_id=True)
        else:
            self._display.update({"text/plain": text}, raw=True)


def _in_kernel() -> bool:
    """Tell whether this process shows values in a notebook, without importing what it does not use."""
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
