"""Options in messages, named as whoever reads them has typed them: arguments of Python, or options on a line."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["either", "is_on_a_line", "on_a_line", "option"]

_on_a_line: ContextVar[bool] = ContextVar("on_a_line", default=False)


@contextmanager
def on_a_line() -> Iterator[None]:
    """Name options as the line of a magic or of a command has them, until the block ends."""
    before = _on_a_line.set(True)
    try:
        yield
    finally:
        _on_a_line.reset(before)


def is_on_a_line() -> bool:
    """Tell whether what is said answers the line of a magic or of a command."""
    return _on_a_line.get()


def either(python: str, line: str, *, on_line: bool | None = None) -> str:
    """Return the words for whoever reads them.

    Args:
        python: for whoever called Python.
        line: for whoever typed a line.
        on_line: which it is, where the words are read later than the call.
    """
    return line if (is_on_a_line() if on_line is None else on_line) else python


def option(name: str, value: str = "", *, on_line: bool | None = None) -> str:
    """Return an option, with a value: ``invalid="skip"`` or ``--invalid skip``; without: ``uid=`` or ``--uid``.

    Args:
        name: of the argument.
        value: a text.
        on_line: as for :func:`either`.
    """
    python = f'{name}="{value}"' if value else f"{name}="
    return either(python, f"--{name.replace('_', '-')} {value}".rstrip(), on_line=on_line)
