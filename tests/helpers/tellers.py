"""What the tools that people use print of an error: with the locals of every frame, and in their own ways."""

from __future__ import annotations

import io
import json
import traceback
from typing import TYPE_CHECKING

import stackprinter
from IPython.core.ultratb import VerboseTB
from rich.console import Console
from rich.traceback import Traceback
from sentry_sdk.serializer import serialize
from sentry_sdk.utils import event_from_exception

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TELLERS", "hold", "without_leading_frames"]


def hold(secret: object, error: BaseException) -> None:
    """Raise an error in a frame that holds a secret: what each of the tools must find."""
    if secret is not error:
        raise error


def without_leading_frames(error: BaseException, filename: str) -> BaseException:
    """Return an error without the frames of the file that made the call: what a caller holds is the caller's."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename == filename:
        place = place.tb_next
    return error.with_traceback(place)


def _by_ipython(error: BaseException) -> str:
    return str(VerboseTB().text(type(error), error, error.__traceback__))


def _by_traceback(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


def _by_rich(error: BaseException) -> str:
    told = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=None, suppress=()
    )
    console = Console(file=io.StringIO(), width=1_000)
    console.print(told)
    return console.file.getvalue()  # type: ignore[attr-defined]  # the StringIO above


def _by_stackprinter(error: BaseException) -> str:
    if error.__traceback__ is None:
        return repr(error)
    return str(
        stackprinter.format(
            (type(error), error, error.__traceback__), truncate_vals=5_000, suppressed_vars=[]
        )
    )


def _by_sentry(error: BaseException) -> str:
    options = {"include_local_variables": True, "include_source_context": True, "max_value_length": 5_000}
    event, _hint = event_from_exception((type(error), error, error.__traceback__), client_options=options)
    return json.dumps(serialize(event, max_value_length=5_000))


def _by_its_attributes(error: BaseException) -> str:
    told, item = "", error
    while item is not None:
        told += f"{item!r} {item.args!r} {vars(item)!r} {getattr(item, '__notes__', '')}"
        item = item.__cause__ or item.__context__  # type: ignore[assignment]  # None ends the chain
    return told


#: By name, functions from an error to all that a tool shows of it.
TELLERS: dict[str, Callable[[BaseException], str]] = {
    "%xmode Verbose": _by_ipython,
    "traceback with locals": _by_traceback,
    "rich": _by_rich,
    "stackprinter": _by_stackprinter,
    "Sentry": _by_sentry,
    "its attributes": _by_its_attributes,
}
