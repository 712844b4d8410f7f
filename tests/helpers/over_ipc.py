"""Kernels that talk over Unix sockets instead of TCP ports.

Before it starts a kernel, jupyter_client looks for five free ports and gives them up again; until the kernel has bound
them, anybody else may: another kernel, a sandbox, the next worker. A Unix socket has a name of its own.

As a pytest plugin (``-p over_ipc``) it serves every kernel that is started in the process; ``python -m over_ipc papermill
...`` serves those of another module's command.
"""

from __future__ import annotations

import atexit
import functools
import os
import runpy
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

from jupyter_client.manager import KernelManager

__all__ = ["ENVIRON", "short_folder"]


def short_folder(prefix: str) -> Path:
    """Make a folder that goes with the process; its path leaves room for a socket's name, of 104 characters at most."""
    made = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp" if Path("/tmp").is_dir() else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _serve_every_kernel() -> dict[str, str]:
    """Give every kernel manager of this process the transport; return what its kernels need in their environment."""
    if not hasattr(socket, "AF_UNIX"):
        return {}
    initialize = KernelManager.__init__
    folder = short_folder("m3ter-kernels-")

    @functools.wraps(initialize)
    def over_ipc(self: KernelManager, *args: Any, **options: Any) -> None:
        # A path that is not absolute would be another one for a kernel with a working directory of its own.
        initialize(self, *args, **{"transport": "ipc", "ip": str(folder / uuid4().hex), **options})

    KernelManager.__init__ = over_ipc
    os.environ["JUPYTER_RUNTIME_DIR"] = str(folder)
    return {
        "JUPYTER_RUNTIME_DIR": os.environ["JUPYTER_RUNTIME_DIR"],
        "PYTHONPATH": str(Path(__file__).parent),
    }


#: For a process that is to do the same by ``-p over_ipc`` or ``-m over_ipc``.
ENVIRON = _serve_every_kernel()

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
