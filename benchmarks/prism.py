"""The alternative to the sandbox: prism, a mock server for any OpenAPI document, from npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from processes import HERE

__all__ = ["DOCUMENT", "prism_command", "prism_version"]

_PACKAGE: Final = "@stoplight/prism-cli"
_FOLDER: Final = HERE.parent / "build" / "prism"
_MAIN: Final = _FOLDER / "node_modules" / _PACKAGE
_MINUTES: Final = 5

#: The official OpenAPI document, where the contract tests look for it too.
DOCUMENT: Final = Path(
    os.environ.get("M3TER_OPENAPI") or HERE.parent.parent / "shared" / "m3ter-openapi.json"
)


def prism_command(document: Path = DOCUMENT) -> list[str] | str:
    """Return the command that runs prism, but for its port, installing it first; or say why there is none."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        return "not measured: no npm"
    if not document.exists():
        return "not measured: no OpenAPI document"
    if not _MAIN.exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(
                [npm, "install", "--prefix", str(_FOLDER), "--no-audit", "--no-fund", _PACKAGE],
                check=True,
                capture_output=True,
                timeout=60 * _MINUTES,
            )
        except (subprocess.SubprocessError, OSError):
            return "not measured: npm could not install prism"
    package = json.loads((_MAIN / "package.json").read_text("utf-8"))
    # Silent: writing a log of each request would slow it down.
    return [node, str(_MAIN / package["bin"]["prism"]), "mock", str(document), "--verboseLevel", "silent"]


def prism_version() -> str:
    """Return the version of the installed prism, or ``"not installed"``."""
    try:
        return str(json.loads((_MAIN / "package.json").read_text("utf-8"))["version"])
    except OSError:
        return "not installed"
