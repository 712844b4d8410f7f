"""Errors without the frames that held a secret.

IPython's ``%xmode Verbose``, a debugger and error reporters print the locals of every frame that an error passed
through, also of an error that the user's own was raised from. Functions with a plain secret or token in a local, and
those that a user hands one to, therefore raise through :func:`without_frames`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, ParamSpec, TypeVar, cast

from m3ter_nb.errors import InvalidArgument, M3terError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Hidden", "Sealed", "without_frames"]

P = ParamSpec("P")
R = TypeVar("R")


class Hidden(str):
    """A text that works as it is, and is hidden where a traceback shows it: a header's value, a proxy's URL."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<hidden>'"

    def __rich_repr__(self) -> Iterator[str]:
        """Hide it from ``rich``, which cuts a long text before it asks for its repr."""
        yield "<hidden>"

    def __copy__(self) -> Hidden:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Hidden:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("A hidden text is not pickled: it would be written in clear.")


class Sealed:
    """A secret at rest: no attribute, slot, repr or pickle of it shows the text, only :meth:`open` does.

    Kept as two halves that say nothing each, for a debugger's tree shows the attributes of attributes. This is no
    encryption: code of the same process can open it.
    """

    __slots__ = ("_bytes", "_pad")

    def __init__(self, text: str) -> None:
        plain = text.encode("utf-8", "surrogatepass")
        self._pad = os.urandom(len(plain))
        self._bytes = _xor(plain, self._pad)

    def open(self) -> str:
        """Return the text in clear."""
        return _xor(self._bytes, self._pad).decode("utf-8", "surrogatepass")

    def __repr__(self) -> str:
        return "<sealed>"

    def __copy__(self) -> Sealed:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Sealed:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("A sealed secret is not pickled: it would leave this process.")


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))


def without_frames(function: Callable[P, R]) -> Callable[P, R]:
    """Return the function (or coroutine function), whatever it raises raised without its own frames.

    The exception's context is dropped too: what a parser raises holds the text it parsed. An error of somebody else's
    keeps the cause that it names, likewise without frames, and a note of the line that raised it.
    """
    if iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                return await function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - each of them has frames
                failure = error
            del args, kwargs
            try:
                raise _bare(failure)
            finally:
                del failure  # or the frame and its error would keep each other alive

        return cast("Callable[P, R]", awaited)

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - each of them has frames
            failure = error
        del args, kwargs
        try:
            raise _bare(failure)
        finally:
            del failure  # or the frame and its error would keep each other alive

    return called


def _bare(error: BaseException) -> BaseException:
    """Return an error without traceback and context; so too the cause that it names, or the errors that it groups."""
    todo, seen = [error], set[int]()
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, Exception) and not isinstance(item, M3terError):
            _note_the_line(item)
        else:
            _drop(item, "__cause__")
        _drop(item, "__traceback__", "__context__")
        todo += [item.__cause__] if item.__cause__ is not None else []
        todo += item.exceptions if isinstance(item, BaseExceptionGroup) else ()
    return error


def _drop(error: BaseException, *names: str) -> None:
    for name in names:
        BaseException.__setattr__(error, name, None)  # whatever an error of a frozen dataclass says to it


def _note_the_line(error: Exception) -> None:
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    if place is not None and place.tb_frame.f_code.co_filename != __file__:
        with suppress(AttributeError):  # frozen, likewise
            error.add_note(
                f"(raised in {Path(place.tb_frame.f_code.co_filename).name}, line {place.tb_lineno})"
            )
