"""The page, built once for all tests of this folder, with all that it needs on loopback."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from browsers import CHROMIUM
from local_pyodide import local_pyodide
from page import LitePage, serve
from places import ROOT
from walkthroughs import PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from page import Site

_PYTHON = ROOT / "build" / "venv-lite" / "bin" / "python"


def run(*command: str) -> str:
    """Run a command in the repository, and return what it printed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The site, with Pyodide in it; what it is built from is kept under build/cache."""
    run("make", "build/venv-lite/.made")
    asked = "from jupyterlite_pyodide_kernel.constants import PYODIDE_VERSION as version; print(version)"
    pyodide = local_pyodide(run(str(_PYTHON), "-c", asked).strip(), ROOT / "build" / "cache")
    folder = ROOT / "build" / "lite-tested"
    run(str(_PYTHON), "lite/build.py", "--pyodide", str(pyodide), "--output", str(folder), *map(str, PATHS))
    with serve(folder) as served:
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """A Chromium, started for the tests of a file."""
    path = CHROMIUM.find()
    if path is None:
        pytest.skip(
            "no chromium: run `python tests/browser/browsers.py --install`, or name one in M3TER_NB_CHROMIUM"
        )
    with sync_playwright() as playwright:
        running = CHROMIUM.launch(playwright, path)
        yield running
        running.close()


@pytest.fixture
def open_page(site: Site, browser: object) -> Iterator[Callable[[str], LitePage]]:
    """Open a notebook of the site in a profile of its own."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    site.refused.clear()
    site.guard(context)
    yield lambda name: LitePage.open(context, f"{site.url}lab/index.html?path={name}" if name else site.url)
    context.close()
