"""A m3ter twin for tests, lessons and people without an account: real HTTP on this machine, and nothing leaves it.

::

    from m3ter_nb.sandbox import Sandbox

    with Sandbox() as sandbox:
        print(sandbox.url, sandbox.environ)

or, in a shell, ``python -m m3ter_nb.sandbox --port 8080``. The credentials are public constants. What the sandbox
does although no source says that m3ter does it is listed in ``Sandbox.assumptions``. This package imports nothing
of its siblings and is spoken to over HTTP only.
"""

from __future__ import annotations

import sys as _sys

try:
    import fastjsonschema as _fastjsonschema  # noqa: F401 - is the extra installed?
    import flask as _flask  # noqa: F401 - is the extra installed?

    if _sys.platform != "emscripten":  # a page signs without it
        import joserfc as _joserfc  # noqa: F401 - is the extra installed?
except ImportError as error:
    raise ImportError(
        f"The sandbox needs {error.name}, which is not installed: run  pip install fastjsonschema flask joserfc",
        name=error.name,
    ) from error

from m3ter_nb.sandbox.faults import Faults
from m3ter_nb.sandbox.identity import (
    DEMO_KEY_ID,
    DEMO_ORG_ID,
    DEMO_SECRET,
    NARROW_KEY_ID,
    NARROW_SECRET,
    UPLOAD_ONLY,
    AccessKey,
)
from m3ter_nb.sandbox.life import Sandbox
from m3ter_nb.sandbox.world import RequestRecord

__all__ = [
    "DEMO_KEY_ID",
    "DEMO_ORG_ID",
    "DEMO_SECRET",
    "NARROW_KEY_ID",
    "NARROW_SECRET",
    "UPLOAD_ONLY",
    "AccessKey",
    "Faults",
    "RequestRecord",
    "Sandbox",
]
