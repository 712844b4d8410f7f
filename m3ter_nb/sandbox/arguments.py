"""Arguments of the sandbox, checked where they enter."""

from __future__ import annotations

from typing import Any

__all__ = ["check_types"]


def check_types(**given: tuple[object, Any, str]) -> None:
    """Make sure that each argument is of its kind; what was given is not repeated.

    Raises:
        TypeError: one is not.
    """
    for name, (value, kinds, wanted) in given.items():
        if not isinstance(value, kinds):
            raise TypeError(f"{name} is {wanted}, not of type {type(value).__name__}.")
