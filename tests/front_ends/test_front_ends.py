"""Other front ends, each in an environment of its own: marimo, Voila, xeus-python, the console of Jupyter."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from playwright.sync_api import Page, expect, sync_playwright

from browsers import CHROMIUM
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Sandbox
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.more, pytest.mark.timeout(600)]

_PATIENCE = 90
MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import marimo as mo
    import m3ter_nb
    organization, set_organization = mo.state("nobody")
    form = m3ter_nb.login_form(lambda session: set_organization(session.org_id))
    SHOWN
    return mo, organization

@app.cell
def _(mo, organization):
    mo.md("logged in to " + organization())

if __name__ == "__main__":
    app.run()
"""


def environment(name: str, *packages: str) -> Path:
    """Return the folder of a virtual environment with this copy and some packages; it is kept in ``build``."""
    folder = ROOT / "build" / "venvs" / name
    if not (folder / "made").exists():
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--allow-existing", str(folder)], check=True)
        python = ["--python", str(folder / "bin" / "python")]
        subprocess.run([*uv, "pip", "install", *python, "-e", f"{ROOT}[sandbox]", *packages], check=True)
        (folder / "made").touch()
    return folder


@contextmanager
def served(command: list[str], url: str, folder: Path, **variables: str) -> Iterator[str]:
    """Run a server in a folder, and give its URL once it answers."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **variables}, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and process.poll() is None:
            try:
                urllib.request.urlopen(url, timeout=_PATIENCE).close()
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
                continue
            yield url
            return
        pytest.fail(f"no server: {(folder / 'log').read_text()[-2000:]}")
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """Return a port on loopback that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


@pytest.fixture
def page() -> Iterator[Page]:
    """Return a page of a real browser."""
    path = CHROMIUM.find()
    if path is None:
        pytest.skip("no chromium: run `python tests/browser/browsers.py --install`")
    with sync_playwright() as playwright:
        browser = CHROMIUM.launch(playwright, path)
        yield browser.new_page()
        browser.close()


def submit(page: Page, secret: str) -> None:
    """Fill the form on a page, and send it."""
    page.get_by_label("Access Key ID", exact=True).fill(DEMO_KEY_ID)
    page.get_by_label("API Secret", exact=True).fill(secret)
    page.get_by_role("button", name="Log in", exact=True).click()


def log_in_after_a_refusal(page: Page) -> None:
    """Send a wrong secret, then the right one."""
    expect(page.get_by_label("API Secret", exact=True)).to_be_visible(timeout=60_000)
    submit(page, "wrong")
    expect(page.get_by_role("status").filter(has_text="does not accept")).to_be_visible(timeout=30_000)
    submit(page, DEMO_SECRET)
    expect(page.get_by_text("Logged in to m3ter", exact=True)).to_be_visible(timeout=30_000)


@pytest.mark.parametrize("mode", ["run", "edit"])
@pytest.mark.parametrize("shown", ["mo.ui.anywidget(form)", "form"], ids=["anywidget", "bare"])
def test_marimo_logs_in_by_the_form_and_goes_on_with_the_session(
    page: Page, sandbox: Sandbox, tmp_path: Path, shown: str, mode: str
) -> None:
    bin_folder = environment("marimo", "marimo") / "bin"
    (tmp_path / "app.py").write_text(MARIMO.replace("SHOWN", shown))
    # The editor runs no cell by itself unless told to.
    (tmp_path / "pyproject.toml").write_text("[tool.marimo.runtime]\nauto_instantiate = true\n")
    port = free_port()
    command = [str(bin_folder / "marimo"), mode, "app.py", "--headless", "--no-token", "--port", str(port)]

    with served(command, f"http://127.0.0.1:{port}", tmp_path, M3TER_BASE_URL=sandbox.url) as url:
        page.goto(url)
        log_in_after_a_refusal(page)

        expect(page.get_by_text(f"logged in to {DEMO_ORG_ID}")).to_be_visible(timeout=30_000)
    assert DEMO_SECRET not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "cell",
    ["%load_ext m3ter_nb\n%m3ter_login --form", "import m3ter_nb\nm3ter_nb.login_form()"],
    ids=["magic", "function"],
)
def test_voila_logs_in_by_the_form(page: Page, sandbox: Sandbox, tmp_path: Path, cell: str) -> None:
    python = environment("voila", "voila", "ipykernel") / "bin" / "python"
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "app.ipynb")
    port = free_port()
    command = [str(python), "-m", "voila", "app.ipynb", "--no-browser", f"--port={port}"]

    with served(command, f"http://127.0.0.1:{port}", tmp_path, M3TER_BASE_URL=sandbox.url) as url:
        page.goto(url)
        log_in_after_a_refusal(page)


@contextmanager
def kernel(folder: Path, name: str) -> Iterator[Any]:
    """Run a kernel of an environment, with the extension loaded, and give a client of it."""
    specs = KernelSpecManager(kernel_dirs=[str(folder / "share" / "jupyter" / "kernels")])
    # The tests' kernels talk over Unix sockets; xeus-python knows TCP alone.
    manager = KernelManager(kernel_name=name, kernel_spec_manager=specs, transport="tcp", ip="127.0.0.1")
    assert manager.kernel_spec is not None
    manager.kernel_spec.argv[0] = str(folder / "bin" / "python")
    manager.start_kernel(env=dict(os.environ))
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=_PATIENCE)
    client.execute_interactive("%load_ext m3ter_nb", timeout=_PATIENCE)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def xeus(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a client of a running xeus-python."""
    monkeypatch.setenv("M3TER_BASE_URL", sandbox.url)
    with kernel(environment("xeus", "xeus-python"), "xpython") as client:
        yield client


def published_by(client: Any, code: str, *answers: str) -> list[dict[str, Any]]:
    """Run a cell, answer its questions, and return what it published."""
    published: list[dict[str, Any]] = []
    remaining = iter(answers)
    client.execute_interactive(
        code,
        allow_stdin=True,
        timeout=_PATIENCE,
        output_hook=lambda message: published.append(message["content"]),
        stdin_hook=lambda _message: client.input(next(remaining)),
    )
    return published


def form_in(client: Any, code: str) -> str:
    """Run a cell that shows the form, and return the name of its model."""
    (view,) = [
        content["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
        for content in published_by(client, code)
        if "application/vnd.jupyter.widget-view+json" in content.get("data", {})
    ]
    return str(view)


def tell(client: Any, view: str, kind: str, buffer: bytes) -> None:
    """Send a message of the form's view, with one buffer."""
    data = {"method": "custom", "content": {"type": kind}}
    message = client.session.msg("comm_msg", {"comm_id": view, "data": data})
    client.session.send(client.shell_channel.socket, message, buffers=[buffer])


FIELDS = json.dumps({"key_id": DEMO_KEY_ID, "secret": DEMO_SECRET}).encode()


def test_xeus_python_shows_the_form_and_takes_its_buffer(xeus: Any) -> None:
    tell(xeus, form_in(xeus, "%m3ter_login --form"), "submit", FIELDS)

    assert DEMO_ORG_ID in json.dumps(published_by(xeus, "print(m3ter_session.org_id)"))


@pytest.mark.parametrize("version", ["6.29.5", "7.4.0"])
def test_an_ipykernel_old_or_new_knows_that_the_form_was_drawn_and_takes_its_buffer(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", sandbox.url)
    with kernel(environment(f"ipykernel-{version}", f"ipykernel=={version}"), "python3") as client:
        view = form_in(client, "login = %m3ter_login --form\nlogin")
        tell(client, view, "shown", b"\0")
        told = json.dumps(published_by(client, "m3ter_session.org_id"))
        if version.startswith("6"):
            waited = json.dumps(published_by(client, "await login"))
            assert "ipykernel 7.4" in waited
        tell(client, view, "submit", FIELDS)

        assert DEMO_ORG_ID in json.dumps(published_by(client, "print(m3ter_session.org_id)"))
        assert "submit the form" in told
        assert "--prompt" not in told


def test_xeus_python_asks_at_a_prompt(xeus: Any) -> None:
    published = json.dumps(published_by(xeus, "%m3ter_login --prompt", DEMO_KEY_ID, DEMO_SECRET))

    assert "Logged in to m3ter" in published
    assert DEMO_SECRET not in published


def test_in_jupyters_console_a_second_login_takes_the_prompt(sandbox: Sandbox, tmp_path: Path) -> None:
    import pexpect

    python = environment("console", "jupyter-console", "ipykernel") / "bin" / "python"
    variables = {"M3TER_BASE_URL": sandbox.url, "TERM": "dumb", "IPYTHONDIR": str(tmp_path)}
    child = pexpect.spawn(
        str(python),
        ["-m", "jupyter_console", "--simple-prompt"],
        env={**os.environ, **variables},
        encoding="utf-8",
        timeout=_PATIENCE,
        dimensions=(50, 200),
    )
    try:
        child.expect(r"In \[\d+\]: ")
        child.sendline("%load_ext m3ter_nb")
        child.expect(r"In \[\d+\]: ")
        child.sendline("%m3ter_login")
        child.expect("No form to see then")
        child.expect(r"In \[\d+\]: ")
        child.sendline("import m3ter_nb.notebook.log_in as it; it._UNSEEN_AFTER = 0.2")
        child.expect(r"In \[\d+\]: ")
        time.sleep(0.5)  # the kernel's own clock tells how long it was idle
        child.sendline("%m3ter_login")
        child.expect(r"Access Key ID \(hidden\): ")
        child.sendline(DEMO_KEY_ID)
        child.expect(r"API Secret \(hidden\): ")
        child.sendline(DEMO_SECRET)

        child.expect("Logged in to m3ter")
    finally:
        child.close(force=True)
