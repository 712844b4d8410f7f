"""Build the page: a static JupyterLab whose Python runs in the reader's own browser, with this package and its notebooks.

``make lite`` runs it, in a virtual environment of its own (lite/requirements.txt), and writes ``build/lite``. The package
and what it needs there are in the site, compiled; Python itself, pandas and matplotlib come from Pyodide's CDN. For a page
without any other host, ``--whole`` puts Python into the site, too, and does without the rest.

Sources: https://jupyterlite.readthedocs.io, https://pyodide.org
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from jupyterlite_pyodide_kernel.constants import PYODIDE_VERSION

from distribution import BEGINS_WITH, CORE, LOCK, STANDARD_LIBRARY, THEIRS, compile_ours, lock_file, python
from in_page import adapt

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CACHE = ROOT / "build" / "cache"

_CDN = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE_VERSION}/full/"
_KERNEL = "@jupyterlite/pyodide-kernel-extension:kernel"
_FIRST = """\
<!doctype html>
<meta charset="utf-8">
<title>m3ter_nb</title>
<link rel="icon" href="lab/favicon.ico">
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


def lay_out_python(core: Path, target: Path, *, whole: bool) -> None:
    """Put together the Python of the page; whole: with its core, and nothing of another host."""
    wheels = target.with_name("wheels")
    target.mkdir(parents=True)
    run(ROOT, "build", "-q", "--wheel", "--no-isolation", "--outdir", wheels, ROOT)
    compile_ours(core, wheels, target)
    shutil.rmtree(wheels)
    for name in (THEIRS, STANDARD_LIBRARY, *(CORE if whole else ())):
        shutil.copy(core / name, target / name)
    (target / LOCK).write_text(lock_file(core, target, "" if whole else _CDN), "utf-8")
    start = (HERE / "start.mjs").read_text("utf-8").replace("%CORE%", "./" if whole else _CDN)
    (target / "start.mjs").write_text(start, "utf-8")


def lay_out_notebooks(notebooks: list[Path], target: Path) -> None:
    """Put together the notebooks of the page, and their pictures."""
    target.mkdir()
    present = {path.name for path in notebooks}
    for path in notebooks:
        (target / path.name).write_text(adapt(path.read_text("utf-8"), present), "utf-8")
    shutil.copytree(ROOT / "notebooks" / "images", target / "images")


def settle(site: Path) -> None:
    """Write the settings of the page: no package index, where Python comes from, and what it begins with.

    Source: https://jupyterlite.readthedocs.io/en/stable/reference/schema-v0.html
    """
    path = site / "jupyter-lite.json"
    document = json.loads(path.read_text("utf-8"))
    config = document["jupyter-config-data"]
    config["exposeAppInBrowser"] = True  # the page's test asks whether a notebook has come to its end
    kernel = config["litePluginSettings"][_KERNEL]
    kernel["disablePyPIFallback"] = True
    kernel["pyodideUrl"] = "./static/python/start.mjs"
    kernel["loadPyodideOptions"] = {"packages": BEGINS_WITH}
    path.write_text(json.dumps(document, indent=2), "utf-8")


def size(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Build the site, and say how large it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path, help="the notebooks of the page")
    parser.add_argument(
        "--whole", action="store_true", help="put Python into the site, for a page without any other host"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "lite")
    options = parser.parse_args()
    site: Path = options.output.resolve()  # the builder runs in a folder of its own
    source = site.with_name(f"{site.name}-source")
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    lay_out_notebooks(options.notebooks, source / "files")
    shutil.rmtree(site, ignore_errors=True)
    folders = ("--lite-dir", source, "--output-dir", site, "--contents", source / "files")
    run(source, "jupyterlite_core", "build", *folders, "--apps", "lab", "--no-sourcemaps")
    lay_out_python(python(PYODIDE_VERSION, CACHE), site / "static" / "python", whole=options.whole)
    settle(site)
    # JupyterLab asks for a picture there first, before it looks beside the notebook.
    shutil.copytree(source / "files" / "images", site / "lab" / "images")
    for font in (site / "build").glob("fa-*.svg"):  # for browsers of 2010; what is there for today's is kept
        font.unlink()
    (site / "index.html").write_text(_FIRST, "utf-8")
    sys.stdout.write(f"{site}: {size(site) / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
