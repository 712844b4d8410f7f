"""Pyodide from npm, and the wheels of its distribution from the Python package index: for a page without any other host.

Pyodide's own wheels are on its CDN only. Those that are pure Python are on the index in the same versions, if not the same
bytes, so the lock file is written anew with their hashes, and without what is not there. MarkupSafe is built without its
compiled part, which it can do without.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

__all__ = ["local_pyodide"]

_CORE = ("pyodide.asm.mjs", "pyodide.asm.wasm", "pyodide.mjs", "python_stdlib.zip", "pyodide-lock.json")
#: What the kernel, the package, its sandbox and the notebooks load from the distribution.
_ROOTS = (
    "click",
    "ipython",
    "jedi",
    "jinja2",
    "micropip",
    "packaging",
    "platformdirs",
    "requests",
    "tqdm",
    "typing-extensions",
)
_BUILT = ("markupsafe",)


def local_pyodide(version: str, cache: Path) -> Path:
    """Return a folder with a version of Pyodide; made once for each state of this file.

    Raises:
        subprocess.CalledProcessError: npm or pip could not bring something.
    """
    key = hashlib.sha256(f"{version}\n{Path(__file__).read_text('utf-8')}".encode()).hexdigest()[:16]
    kept = cache / f"pyodide-{key}"
    if not kept.is_dir():
        fresh = kept.with_suffix(".part")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        _bring_core(version, fresh)
        lock = json.loads((fresh / "pyodide-lock.json").read_text("utf-8"))
        lock["packages"] = _bring_wheels(lock["packages"], fresh)
        (fresh / "pyodide-lock.json").write_text(json.dumps(lock), "utf-8")
        fresh.rename(kept)
    return kept


def _bring_core(version: str, folder: Path) -> None:
    command = ["npm", "pack", "--silent", f"pyodide@{version}", "--pack-destination", str(folder)]
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, timeout=300)
    (archive,) = folder.glob("pyodide-*.tgz")
    with tarfile.open(archive) as opened:
        for name in _CORE:
            member = opened.extractfile(f"package/{name}")
            assert member is not None
            (folder / name).write_bytes(member.read())
    archive.unlink()


def _closure(packages: dict[str, Any]) -> list[str]:
    found: list[str] = []
    waiting = list(_ROOTS)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name not in found:
            found.append(name)
            waiting += packages[name]["depends"]
    return sorted(found)


def _bring_wheels(packages: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Bring the wheels of the lock file's packages, and return its new entries."""
    names = _closure(packages)
    pip = [sys.executable, "-m", "pip"]
    pinned = [f"{name}=={packages[name]['version']}" for name in names if name not in _BUILT]
    pure = [
        "--only-binary=:all:",
        "--platform=any",
        "--python-version=3.14",
        "--implementation=py",
        "--abi=none",
    ]
    built = [f"{name}=={packages[name]['version']}" for name in _BUILT]
    for command, environ in (
        ([*pip, "download", "-q", "--no-deps", *pure, "-d", str(folder), *pinned], {}),
        # Without a compiler there is nothing that it could compile.
        (
            [*pip, "wheel", "-q", "--no-deps", "--no-binary=:all:", "-w", str(folder), *built],
            {"CC": "/bin/false"},
        ),
    ):
        subprocess.run(
            command,
            env={**os.environ, **environ},
            check=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
    entries = {}
    for wheel in sorted(folder.glob("*.whl")):
        name = wheel.name.split("-")[0].lower().replace("_", "-")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        entries[name] = {**packages[name], "file_name": wheel.name, "sha256": digest}
    return entries
