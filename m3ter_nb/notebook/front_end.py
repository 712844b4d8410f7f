"""What the notebook's front end can do: show a form, ask for a line, neither."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from m3ter_nb.auth.binder import on_binder

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = [
    "FrontEnd",
    "can_prompt",
    "can_show_form",
    "can_wait_for_form",
    "in_page",
    "look_at",
    "no_place_for_secrets",
]

# The first ipykernel that handles a widget's message while a cell awaits (ipykernel pull request 1565).
_WAITING_IPYKERNEL = (7, 4)


class FrontEnd(NamedTuple):
    """What the front end can do.

    Attributes:
        draws: whether there is a front end that may draw a form, with somebody there or not.
        shows_forms: whether somebody may be there to fill a form.
        prompts: whether somebody may be there to answer a prompt.
        echoes: whether what is typed at a visible prompt is kept in the notebook.
        waits: whether a cell can await the form.
        place: where real secrets do not belong: ``"binder"``, ``"page"``, ``""`` for elsewhere.
    """

    draws: bool = False
    shows_forms: bool = False
    prompts: bool = False
    echoes: bool = False
    waits: bool = False
    place: str = ""


def look_at(shell: InteractiveShell) -> FrontEnd:
    """Return what the front end of a shell can do now."""
    kernel = getattr(shell, "kernel", None)
    return FrontEnd(
        draws=kernel is not None,
        shows_forms=can_show_form(shell),
        prompts=can_prompt(shell),
        echoes=kernel is not None,
        waits=can_wait_for_form(shell),
        place=no_place_for_secrets(),
    )


def can_show_form(shell: InteractiveShell) -> bool:
    """Whether somebody may be there to fill a form: a kernel, run by a front end that allows input, or by Voila.

    nbclient, nbconvert, papermill and nbval run cells with ``allow_stdin`` false (messaging protocol,
    ``execute_request``), and so does Voila, with a person there. A kernel cannot tell a console from a notebook.
    """
    return getattr(shell, "kernel", None) is not None and (_in_voila() or _allows_stdin(shell))


def can_prompt(shell: InteractiveShell) -> bool:
    """Whether somebody may be there to answer a prompt: a kernel that allows input, or a terminal."""
    if getattr(shell, "kernel", None) is not None:
        return _allows_stdin(shell)
    try:
        return sys.stdin.isatty()
    except (AttributeError, ValueError):  # no standard input, or a closed one
        return False


def _allows_stdin(shell: Any) -> bool:
    # xeus-python and Pyodide's kernel can ask, and do not say so.
    return bool(getattr(shell.kernel, "_allow_stdin", True))


def _in_voila() -> bool:
    # Voila sets it in the environment of its kernels (voila/handler.py).
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def can_wait_for_form(shell: InteractiveShell) -> bool:
    """Whether a cell may await the form: the kernel handles a widget's message meanwhile."""
    if getattr(shell, "kernel", None) is None or in_page():
        return False
    ipykernel = sys.modules.get("ipykernel")
    return tuple(getattr(ipykernel, "version_info", ()))[:2] >= _WAITING_IPYKERNEL


def in_page() -> bool:
    """Whether this is Python in a browser page, whose kernel takes one message at a time."""
    return sys.platform == "emscripten"


def no_place_for_secrets() -> str:
    """Return ``"page"`` in a browser page, ``"binder"`` in a Binder session; ``""`` where real secrets may be."""
    if in_page():
        return "page"
    return "binder" if on_binder() else ""
