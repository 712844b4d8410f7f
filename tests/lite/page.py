"""The page in a real browser: the site on loopback, every other host refused, a notebook open in it."""

from __future__ import annotations

import functools
import http.server
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Locator, Page, Route

__all__ = ["LitePage", "Site", "serve"]

_PATIENCE_MS = 150_000
_READY = (
    "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
)
_CELLS = """\
window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells.map(cell => ({
  kind: cell.cell_type, source: cell.source, tags: cell.getMetadata('tags') ?? [],
  count: cell.execution_count ?? null, outputs: cell.outputs ?? []
}))"""
# JupyterLab runs no cell while a prompt waits, and passes over those that come while one is failing.
_FREE = """\
(context => !context.pendingInput && context.session.kernel.status === "idle")(
  window.jupyterapp.shell.currentWidget.context.sessionContext)"""
_PLACES = """\
window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
  .map((cell, place) => [cell.cell_type, place]).filter(([kind]) => kind === "code").map(([, place]) => place)"""
# Scrolled to, for a page draws what is far away only then; one that does not load has no width.
_PICTURES = """\
async () => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const found = [];
  for (const [place, cell] of notebook.model.sharedModel.cells.entries()) {
    if (cell.cell_type !== "markdown" || !cell.source.includes("![")) continue;
    await notebook.scrollToItem(place);
    const picture = await new Promise((done) => {
      const looking = setInterval(() => {
        const drawn = notebook.widgets[place].node.querySelector("img[src]:not([src=''])");
        if (drawn) { clearInterval(looking); done(drawn); }
      }, 100);
      setTimeout(() => { clearInterval(looking); done(null); }, 20000);
    });
    await picture?.decode().catch(() => null);
    found.push(picture?.naturalWidth ?? 0);
  }
  return found;
}"""
# What a page keeps of itself: every record of every database, both storages, and every answer in every cache.
_KEPT = """\
async () => {
  const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage)];
  const text = value => JSON.stringify(value) ?? String(value);
  for (const {name} of await indexedDB.databases()) {
    const base = await new Promise((done, failed) => {
      const asked = indexedDB.open(name);
      asked.onsuccess = () => done(asked.result);
      asked.onerror = () => failed(asked.error);
    });
    for (const store of base.objectStoreNames) {
      const asked = base.transaction(store).objectStore(store).getAll();
      kept.push(text(await new Promise(done => { asked.onsuccess = () => done(asked.result); })));
    }
    base.close();
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      kept.push(request.url, await (await cache.match(request)).text());
    }
  }
  return kept.join("\\n");
}"""


_CROSS_ORIGIN = {"Access-Control-Allow-Origin": "*"}
_TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm"}


@dataclass
class Site:
    """A built site, as it is served."""

    url: str
    folder: Path
    elsewhere: dict[str, Path] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def guard(self, context: BrowserContext) -> None:
        """Let a browser ask this site alone, and note what it asks for; what stands for other hosts is a file here."""
        for noted in (self.asked, self.missed, self.refused):
            noted.clear()

        def decide(route: Route) -> None:
            if route.request.url.startswith((self.url, "data:", "blob:")):
                route.continue_()
            elif file := self.elsewhere.get(route.request.url):
                route.fulfill(path=file, headers=_CROSS_ORIGIN | {"Content-Type": _TYPES[file.suffix]})
            else:
                self.refused.append(route.request.url)
                route.abort()

        context.on("request", lambda request: self.asked.append(request.url))
        context.on("response", lambda answer: answer.ok or self.missed.append(answer.url))
        context.route("**/*", decide)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve(folder: Path) -> Iterator[Site]:
    """Serve a site as any static host does, on a port of loopback."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(f"http://127.0.0.1:{server.server_port}/", folder)
        server.shutdown()


@dataclass
class LitePage:
    """A notebook that is open in the page, its kernel ready."""

    page: Page

    @classmethod
    def open(cls, context: BrowserContext, address: str) -> LitePage:
        """Open an address of the site, and wait until Python answers."""
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(address)
        page.wait_for_function(_READY)
        return cls(page)

    def run_from(self, first: int = 0) -> int | None:
        """Run one code cell after the other, as Shift+Enter does; a cell that is meant to fail stops nothing.

        Returns:
            The number of the first cell that failed without being meant to, or None.
        """
        places = self.page.evaluate(_PLACES)
        for number, place in list(enumerate(places))[first:]:
            self._run(place)
            if _failures([self.cells()[number]]):
                return number
        return None

    def save(self) -> None:
        """Save the notebook, as Ctrl+S does."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run code in a new last cell, and return its outputs."""
        place = self.page.evaluate(
            """code => {
              const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel;
              cells.insertCell(cells.cells.length, {cell_type: "code", source: code});
              return cells.cells.length - 1;
            }""",
            code,
        )
        self._run(place)
        outputs: list[dict[str, Any]] = self.cells()[-1]["outputs"]
        return outputs

    def _run(self, place: int) -> None:
        """Run a cell, and answer each prompt that it brings with Enter alone.

        Chosen and run at once: an answered prompt takes the focus back to the cell before, half a second later.
        """
        self.page.wait_for_function(_FREE)
        ended = self.page.evaluate(
            """([place, patience]) => {
              const answering = setInterval(() => document.querySelector("input.jp-Stdin-input")?.dispatchEvent(
                new KeyboardEvent("keydown", {key: "Enter", bubbles: true})), 200);
              window.jupyterapp.shell.currentWidget.content.activeCellIndex = place;
              return Promise.race([
                window.jupyterapp.commands.execute("notebook:run-cell").then(() => true),
                new Promise(done => setTimeout(() => done(false), patience)),
              ]).finally(() => clearInterval(answering));
            }""",
            [place, _PATIENCE_MS],
        )
        assert ended, f"cell {place} did not end: {self.cells()}"

    def cells(self) -> list[dict[str, Any]]:
        """Return the code cells with what they published."""
        found: list[dict[str, Any]] = self.page.evaluate(_CELLS)
        return [cell for cell in found if cell["kind"] == "code"]

    def words(self) -> list[str]:
        """Return the sources of the cells that are there to be read."""
        found: list[dict[str, Any]] = self.page.evaluate(_CELLS)
        return [cell["source"] for cell in found if cell["kind"] == "markdown"]

    def pictures(self) -> list[int]:
        """Return how wide the pictures between the cells are; 0 for one that did not load."""
        found: list[int] = self.page.evaluate(_PICTURES)
        return found

    def failures(self) -> list[str]:
        """Return the errors of the cells that are not meant to fail."""
        return _failures(self.cells())

    def forget_saved_outputs(self) -> None:
        """Clear what was published before, so that what is there afterwards was published here."""
        self.page.evaluate("window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")

    @property
    def form(self) -> Locator:
        """The login form."""
        return self.page.locator(".m3ter-nb-form").first

    def kept(self) -> str:
        """Return all that the page keeps in the browser."""
        return str(self.page.evaluate(_KEPT))


def _failures(cells: list[dict[str, Any]]) -> list[str]:
    return [
        f"{output['ename']}: {output['evalue']}"
        for cell in cells
        for output in cell["outputs"]
        if output["output_type"] == "error" and "raises-exception" not in cell["tags"]
    ]
