"""The page, built once for all tests of this folder, with all that it needs on loopback."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

from browsers import CHROMIUM
from distribution import CORE
from page import LitePage, serve
from places import ROOT
from walkthroughs import PATHS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from browsers import KnownBrowser
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
    """The site, with Python in it; what it is built from is kept under build/cache."""
    with serve(build("lite-tested", "--whole")) as served:
        yield served


@pytest.fixture
def public_site(site: Site) -> Iterator[Site]:
    """The site as it is published: Pyodide's core comes from its CDN, for which files of this machine stand here."""
    with serve(build("lite-public-tested")) as served:
        start = (served.folder / "static" / "python" / "start.mjs").read_text("utf-8")
        (cdn,) = re.findall(r'from "(https://.*/)pyodide.mjs"', start)
        served.elsewhere = {cdn + name: site.folder / "static" / "python" / name for name in CORE}
        yield served


def build(name: str, *options: str) -> Path:
    """Build the page in a folder of its own."""
    run("make", "build/venv-lite/.made")
    folder = ROOT / "build" / name
    run(str(_PYTHON), "lite/build.py", *options, "--output", str(folder), *map(str, PATHS))
    return folder


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[object]:
    """A browser, started for the tests of a file: Chromium, where a test names no other."""
    known: KnownBrowser = getattr(request, "param", CHROMIUM)
    path = known.find()
    if path is None:
        pytest.skip(
            f"no {known.name}: run `python tests/browser/browsers.py --install`, or name one in {known.variable}"
        )
    with sync_playwright() as playwright:
        running = known.launch(playwright, path)
        yield running
        running.close()


@pytest.fixture
def open_page(site: Site, browser: object) -> Iterator[Callable[[str], LitePage]]:
    """Open a notebook of the site in a profile of its own."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    site.guard(context)
    yield lambda name: LitePage.open(context, f"{site.url}lab/index.html?path={name}" if name else site.url)
    context.close()


@pytest.fixture
def public_page(public_site: Site, browser: object) -> Iterator[LitePage]:
    """Open the site as it is published."""
    context = browser.new_context()
    public_site.guard(context)
    yield LitePage.open(context, public_site.url)
    context.close()
