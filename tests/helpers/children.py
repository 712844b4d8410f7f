"""A forked child that does one thing: for what must not hang in it, or be shared with it."""

from __future__ import annotations

import os
import signal
import traceback
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["forks", "in_a_child"]

#: Marks a test that forks.
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")

_PATIENCE = 5


def in_a_child(work: Callable[[], object]) -> str:
    """Return what a function returns, or raises, in a forked child, as text; "" where it hangs."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        signal.alarm(_PATIENCE)  # ends the child where it hangs
        try:
            said = str(work())
        except BaseException:  # noqa: BLE001 - the parent tells
            said = traceback.format_exc()
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said
