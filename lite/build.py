"""Build the page: a static JupyterLab whose Python runs in the reader's own browser, with this package and its notebooks.

``make lite`` runs it, in a virtual environment of its own (lite/requirements.txt), and writes ``build/lite``. The pure-
Python wheels that the package needs there are in the site; what is compiled, and Python itself, comes from Pyodide's CDN,
or, for a page without any other host, from a folder that ``--pyodide`` names.

Sources: https://jupyterlite.readthedocs.io, https://pyodide.org
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from in_page import adapt

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "cache"

# As Pyodide's Python is; a wheel of one platform is of no use there.
_PURE = (
    "--only-binary=:all:",
    "--platform=any",
    "--python-version=3.14",
    "--implementation=py",
    "--abi=none",
)
_KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"
_FIRST = """\
<!doctype html>
<meta charset="utf-8">
<title>m3ter_nb</title>
<!-- The application of the page reads the settings of the folder above it from here. -->
<script id="jupyter-config-data" type="application/json" data-jupyter-lite-root=".">{}</script>
<meta http-equiv="refresh" content="0; url=lab/index.html?path=01_log_in.ipynb">
<a href="lab/index.html?path=01_log_in.ipynb">Open the first notebook</a>
"""


def run(folder: Path, *command: str | Path) -> None:
    """Run a module's command in a folder, quietly; what it said is shown where it fails.

    Raises:
        SystemExit: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")


def wheels() -> Path:
    """Return a folder with the wheels that lite/wheels.txt names, from the cache where that list was seen before."""
    listed = ROOT / "lite" / "wheels.txt"
    kept = CACHE / f"wheels-{hashlib.sha256(listed.read_bytes()).hexdigest()[:16]}"
    if not kept.is_dir():
        fresh = kept.with_suffix(".part")
        shutil.rmtree(fresh, ignore_errors=True)
        run(ROOT, "pip", "download", "-q", "--no-deps", *_PURE, "-r", listed, "-d", fresh)
        fresh.rename(kept)
    return kept


def lay_out(source: Path, notebooks: list[Path], pyodide: Path | None) -> None:
    """Put together what JupyterLite builds from: settings, wheels, notebooks, and Pyodide where it is ours to serve."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(wheels(), source / "pypi")
    run(ROOT, "build", "-q", "--wheel", "--no-isolation", "--outdir", source / "pypi", ROOT)
    if pyodide is not None:
        shutil.copytree(pyodide, source / "static" / "pyodide")
    (source / "files").mkdir()
    present = {path.name for path in notebooks}
    for path in notebooks:
        (source / "files" / path.name).write_text(adapt(path.read_text("utf-8"), present), "utf-8")
    if (ROOT / "notebooks" / "images").is_dir():
        shutil.copytree(ROOT / "notebooks" / "images", source / "files" / "images")


def settle(site: Path, *, own_pyodide: bool) -> None:
    """Write the settings of the page: no package index, and where Python comes from.

    Source: https://jupyterlite.readthedocs.io/en/stable/reference/schema-v0.html
    """
    path = site / "jupyter-lite.json"
    document = json.loads(path.read_text("utf-8"))
    config = document["jupyter-config-data"]
    config["exposeAppInBrowser"] = True  # the page's test asks whether a notebook has come to its end
    kernel = config["litePluginSettings"][_KERNEL]
    kernel["disablePyPIFallback"] = True
    if own_pyodide:
        kernel["pyodideUrl"] = "./static/pyodide/pyodide.mjs"
    path.write_text(json.dumps(document, indent=2), "utf-8")


def size(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Build the site, and say how large it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path, help="the notebooks of the page")
    parser.add_argument("--pyodide", type=Path, help="a folder with Pyodide, to serve from the site itself")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "lite")
    options = parser.parse_args()
    site: Path = options.output.resolve()  # the builder runs in a folder of its own
    source = site.with_name(f"{site.name}-source")
    lay_out(source, options.notebooks, options.pyodide)
    shutil.rmtree(site, ignore_errors=True)
    folders = ("--lite-dir", source, "--output-dir", site, "--contents", source / "files")
    run(source, "jupyterlite_core", "build", *folders, "--apps", "lab", "--no-sourcemaps")
    settle(site, own_pyodide=options.pyodide is not None)
    (site / "index.html").write_text(_FIRST, "utf-8")
    sys.stdout.write(f"{site}: {size(site) / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
