"""Every test in each browser: a Jupyter server and a browser for each file, one sandbox for all, a notebook for each."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import sync_playwright

from browsers import CHROMIUM, FIREFOX, KnownBrowser
from jupyter_page import JupyterServer, NotebookPage
from m3ter_nb.sandbox import Sandbox
from over_ipc import short_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import BrowserContext

    from jupyter_page import Flavour

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def jupyter() -> Iterator[JupyterServer]:
    """A Jupyter server with settings, runtime files and logs of its own.

    It ends with the tests of a file, as its browser does.
    """
    server = JupyterServer(short_folder("m3ter-jupyter-")).start()
    yield server
    server.stop()


# The same tests once more, for `make test` may take twenty minutes.
_PARAMS = [CHROMIUM, pytest.param(FIREFOX, marks=pytest.mark.more)]


@pytest.fixture(scope="module", params=_PARAMS, ids=lambda known: known.name)
def browser(request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A real browser; per module, because Playwright keeps an event loop running that other tests would meet.

    One context for all pages, so that JupyterLab's code is fetched and compiled once.
    """
    known: KnownBrowser = request.param
    path = known.find()
    if path is None:
        pytest.skip(
            f"no {known.name}: run `python tests/browser/browsers.py --install`, or name one in {known.variable}"
        )
    with sync_playwright() as playwright:
        running = known.launch(playwright, path)
        yield running.new_context()
        running.close()


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """The m3ter twin that all notebooks talk to."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """The m3ter twin, with nothing left over from the test before."""
    shared_sandbox.start()
    shared_sandbox.reset()
    yield shared_sandbox
    shared_sandbox.faults.clear()


@pytest.fixture
def open_notebook(
    jupyter: JupyterServer, browser: BrowserContext, sandbox: Sandbox
) -> Iterator[Callable[..., NotebookPage]]:
    """Open a notebook of the given cells; its kernel knows the sandbox's address and no credentials."""
    opened: list[Any] = []

    def open_one(*cells: str, flavour: Flavour = "lab", width: int = 1100, height: int = 900) -> NotebookPage:
        page = browser.new_page()
        page.set_viewport_size({"width": width, "height": height})
        setup = f"import os; os.environ['M3TER_BASE_URL'] = {sandbox.url!r}\n%load_ext m3ter_nb"
        manager = NotebookPage.open(jupyter, page, f"nb{next(_numbers)}.ipynb", [setup, *cells], flavour)
        opened.append(manager)
        return manager.__enter__()

    yield open_one
    for manager in reversed(opened):
        manager.__exit__(None, None, None)
