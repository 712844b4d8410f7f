"""m3ter from a notebook: log in, keep the token fresh, call the API in one line, and leak nothing.

In a notebook: ``%load_ext m3ter_nb``, then ``%m3ter_login``. In a script::

    import m3ter_nb

    with m3ter_nb.login() as session:      # credentials from the environment, then .env
        for product in session.pages("products"):
            print(product["name"])

Importing this package imports neither IPython, ipywidgets nor an HTTP library; they come with what needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb._version import __version__ as __version__
    from m3ter_nb.api.login import login
    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.auth.profiles import forget, profiles
    from m3ter_nb.auth.token import Token
    from m3ter_nb.errors import M3terError, M3terWarning
    from m3ter_nb.notebook.login_form import login_form
    from m3ter_nb.sandbox import Sandbox
    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.submission import Submission

__all__ = [
    "Credentials",
    "M3terError",
    "M3terSession",
    "M3terWarning",
    "Sandbox",
    "Submission",
    "Token",
    "UsageReport",
    "forget",
    "load_ipython_extension",
    "login",
    "login_form",
    "profiles",
    "unload_ipython_extension",
]

_HOMES = {
    "Credentials": "auth.credentials",
    "M3terError": "errors",
    "M3terSession": "api.session",
    "M3terWarning": "errors",
    "Sandbox": "sandbox",
    "Submission": "usage.submission",
    "Token": "auth.token",
    "UsageReport": "usage.report",
    "__version__": "_version",
    "forget": "auth.profiles",
    "login": "api.login",
    "login_form": "notebook.login_form",
    "profiles": "auth.profiles",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = globals()[name] = getattr(import_module(f"m3ter_nb.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module 'm3ter_nb' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics (``%load_ext m3ter_nb``)."""
    from m3ter_nb.notebook.magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take back all that loading and using the magics has left in the shell (``%unload_ext m3ter_nb``)."""
    from m3ter_nb.notebook.magics import unload

    unload(shell)
