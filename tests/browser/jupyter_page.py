"""A real Jupyter server, and a notebook open in a real browser, as the tests drive them.

The server keeps its settings, runtime files, notebooks and logs in one directory of its own, so that a test can look
for a secret in every file there is. It and its kernels log at level DEBUG, and "Save Widget State Automatically" is
on: both are the worst case.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import nbformat
import requests
from playwright.sync_api import expect

from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import ConsoleMessage, Locator, Page

Flavour = Literal["lab", "notebook"]

_START_SECONDS = 60.0
_READY_MS = 60_000
_KERNEL = "window.jupyterapp?.shell?.currentWidget?.context?.sessionContext?.session?.kernel"
_SETTINGS = {
    "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}
_KERNEL_CONFIG = "c.IPKernelApp.log_level = 10\n"
_KERNEL_STARTUP = """\
import logging, os
logging.basicConfig(filename=os.environ["KERNEL_LOG"], level=logging.DEBUG)
del logging, os
"""


# In the page, for WebDriver BiDi, which Firefox speaks, tells nothing of WebSockets. As text of one character a byte.
_NOTE_FRAMES = """
window.framesNoted = {sent: [], received: []};
const noteFrame = (direction, frame) => {
  const bytes = typeof frame === "string" ? new TextEncoder().encode(frame) : new Uint8Array(frame.buffer ?? frame);
  framesNoted[direction].push(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
};
window.WebSocket = class extends window.WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", event => noteFrame("received", event.data));
  }
  send(frame) {
    noteFrame("sent", frame);
    super.send(frame);
  }
};
"""


@dataclass
class JupyterServer:
    """JupyterLab and Notebook 7 on one loopback port, in a directory of their own."""

    home: Path
    url: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """Where the notebooks are."""
        return self.home / "notebooks"

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer within a minute; its log is in the text.
        """
        for name in ("config", "data", "runtime", "notebooks", "ipython/profile_default/startup"):
            (self.home / name).mkdir(parents=True)
        for plugin, settings in _SETTINGS.items():
            file = self.home / "config/lab/user-settings" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True)
            file.write_text(json.dumps(settings))
        profile = self.home / "ipython/profile_default"
        (profile / "ipython_kernel_config.py").write_text(_KERNEL_CONFIG)
        (profile / "startup/00-log.py").write_text(_KERNEL_STARTUP)
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("M3TER_", "BINDER"))
        }
        environ |= {
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.home / "runtime"),
            "IPYTHONDIR": str(self.home / "ipython"),
            "KERNEL_LOG": str(self.home / "kernel.log"),
        }
        command = [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--debug"),
            *("--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", f"--IdentityProvider.token={self.token}"),
            *(f"--ServerApp.root_dir={self.root}", "--ServerApp.terminals_enabled=False"),
            *("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True"),
            "--KernelManager.transport=ipc",
            *(["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
        ]
        with (self.home / "server.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError, IndexError, requests.RequestException):
                found = next(iter((self.home / "runtime").glob("jpserver-*.json")), None)
                if found is not None:
                    self.url = json.loads(found.read_text())["url"]
                    self.api("GET", "status")
                    return self
            time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"Jupyter did not start:\n{(self.home / 'server.log').read_text()[-3000:]}")

    def stop(self) -> None:
        """End the server and, with it, its kernels."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def api(self, method: str, path: str, json: Any = None) -> Any:
        """Make one call of the server's REST API and return its decoded answer."""
        answer = requests.request(
            method,
            f"{self.url}api/{path}",
            json=json,
            headers={"Authorization": f"token {self.token}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def files_holding(self, text: str) -> list[str]:
        """Return the names of all files of the server that hold a text, notebooks, history and logs included."""
        needle = text.encode()
        return sorted(
            str(path.relative_to(self.home))
            for path in self.home.rglob("*")
            if path.is_file() and needle in path.read_bytes()
        )


@dataclass
class NotebookPage:
    """One notebook, open in one browser page, with a kernel of its own."""

    server: JupyterServer
    page: Page
    path: str
    flavour: Flavour
    session: str
    console: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.contextmanager
    def open(
        cls, server: JupyterServer, page: Page, path: str, cells: list[str], flavour: Flavour
    ) -> Iterator[Self]:
        """Write a notebook of code cells, open it, and shut its kernel down at the end."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, server.root / path)
        session = server.api(
            "POST",
            "sessions",
            {"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}},
        )
        opened = cls(server, page, path, flavour, session["id"])
        page.on("console", opened.note_console)
        page.add_init_script(_NOTE_FRAMES)
        try:
            opened.load()
            yield opened
        finally:
            page.close()
            with contextlib.suppress(requests.RequestException):
                server.api("DELETE", f"sessions/{session['id']}")

    def note_console(self, message: ConsoleMessage) -> None:
        """Keep what the page prints to the browser's console."""
        self.console.append(message.text)

    def frames(self, direction: Literal["sent", "received"]) -> list[bytes]:
        """Return every frame that has crossed a WebSocket since the page was loaded."""
        frames = self.page.evaluate("direction => framesNoted[direction]", direction)
        return [frame.encode("latin-1") for frame in frames]

    def load(self) -> None:
        """Load the page, or load it again, and wait for its kernel."""
        view = (
            "notebooks"
            if self.flavour == "notebook"
            else f"lab/workspaces/{self.path.removesuffix('.ipynb')}/tree"
        )
        self.page.goto(f"{self.server.url}{view}/{self.path}?token={self.server.token}")
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the kernel has nothing to do."""
        self.page.wait_for_function(f"{_KERNEL}?.status === 'idle'", timeout=_READY_MS)

    def command(self, name: str) -> None:
        """Execute one of Jupyter's own commands, as its menus do, and wait for it."""
        self.page.evaluate("name => jupyterapp.commands.execute(name).then(() => null)", name)

    def run_all(self) -> None:
        """Run all cells, and wait until they ran or one of them failed."""
        self.command("notebook:run-all-cells")

    def start_run_all(self) -> None:
        """Start running all cells, and wait for nothing."""
        self.page.evaluate("() => void jupyterapp.commands.execute('notebook:run-all-cells')")

    def run_cell(self, index: int) -> None:
        """Run one cell, counted from 0."""
        self.page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {index}")
        self.command("notebook:run-cell")

    def output(self, index: int) -> Locator:
        """Return what stands under one cell, counted from 0."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-Cell-outputArea")

    def cell_count(self) -> int:
        """Return how many cells the notebook has now."""
        return int(self.page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.length"))

    def save(self) -> dict[str, Any]:
        """Save the notebook and a checkpoint of it, and return the file as it is on disk."""
        self.command("docmanager:save")
        self.server.api("POST", f"contents/{self.path}/checkpoints")
        loaded: dict[str, Any] = json.loads((self.server.root / self.path).read_text())
        return loaded

    def restart_kernel(self) -> None:
        """Restart the kernel, as the menu does after its question."""
        self.page.evaluate(f"{_KERNEL}.restart()")
        self.wait_for_kernel()

    def form(self, nth: int = 0) -> FormOnPage:
        """Return a form, counted from the top of the notebook."""
        return FormOnPage(self.page.locator(".m3ter-nb-form").nth(nth))

    def screenshot(self, name: str) -> None:
        """Keep a picture of the page for a person to look at."""
        folder = ROOT / "build/screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(
            path=folder / f"{name}{'' if self.browser == 'chromium' else f'-{self.browser}'}.png"
        )

    @property
    def browser(self) -> str:
        """The kind of browser: ``"chromium"`` or ``"firefox"``."""
        running = self.page.context.browser
        assert running is not None, "a context that was launched has one"
        return running.browser_type.name


@dataclass
class FormOnPage:
    """One view of the login form."""

    box: Locator

    @property
    def key_id(self) -> Locator:
        """The input of the Access Key ID, found by its label."""
        return self.box.get_by_label("Access Key ID", exact=True)

    @property
    def secret(self) -> Locator:
        """The input of the API Secret, found by its label."""
        return self.box.get_by_label("API Secret", exact=True)

    @property
    def status(self) -> Locator:
        """The live region that says what happened."""
        return self.box.get_by_role("status")

    def button(self, name: str) -> Locator:
        """Return a button by its accessible name."""
        return self.box.get_by_role("button", name=name, exact=True)

    def fill(self, key_id: str, secret: str) -> None:
        """Type both, key by key in the secret's case, and leave the focus there."""
        self.key_id.fill(key_id)
        self.secret.click()
        self.secret.press_sequentially(secret)

    def expect_phase(self, phase: str, timeout: float = 10_000) -> None:
        """Wait until the view is in a phase, at most ``timeout`` milliseconds."""
        expect(self.box).to_have_attribute("data-phase", phase, timeout=timeout)


def jwt_pattern() -> re.Pattern[bytes]:
    """Return what finds a JSON Web Token in clear."""
    return re.compile(rb"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}")
