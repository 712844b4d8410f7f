"""Errors without the frames that held a secret.

IPython's ``%xmode Verbose``, a debugger and error reporters print the locals of every frame that an error passed
through, also of an error that the user's own was raised from. Functions with a plain secret or token in a local
therefore raise through :func:`without_frames`.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from m3ter_nb.errors import M3terError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hidden", "without_frames"]

P = ParamSpec("P")
R = TypeVar("R")


class Hidden(str):
    """A text that works as it is, and is hidden where a traceback shows it: a header's value, a proxy's URL."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<hidden>'"


def without_frames(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function with its :class:`M3terError` and ``KeyboardInterrupt`` raised without its own frames.

    Their chain (``__cause__``, ``__context__``) is dropped too: what a parser raises holds the text it parsed.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        failure: BaseException
        try:
            return function(*args, **kwargs)
        except (M3terError, KeyboardInterrupt) as error:
            failure = error
        del args, kwargs
        failure.__cause__ = failure.__context__ = None
        raise failure.with_traceback(None)

    return wrapped
