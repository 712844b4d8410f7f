"""Locks that are open in a forked child: the thread that held the parent's is not in there."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lock"]


class Lock:
    """A lock for ``with``, which a child process gets anew.

    Args:
        make: makes the lock of a process.
    """

    __slots__ = ("__weakref__", "_lock", "_make")

    def __init__(self, make: Callable[[], Any] = threading.Lock) -> None:
        self._make = make
        self._lock = make()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Take a lock of this process's own."""
        self._lock = self._make()


_all: Final[WeakSet[Lock]] = WeakSet()


def _after_fork() -> None:
    for lock in list(_all):
        lock.renew()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
