"""The magics in real kernels: with and without somebody who can type."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

import m3ter_nb
import over_ipc
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from m3ter_nb import Credentials
    from m3ter_nb.sandbox import Sandbox

pytestmark = pytest.mark.notebook

_PATIENCE = 60


class Kernel:
    """A real ipykernel, driven as a notebook front end drives it."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=_PATIENCE)

    def stop(self) -> None:
        """Shut the kernel down."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def start(self, code: str, *, allow_stdin: bool = True) -> str:
        """Send a cell, and return the id of the request."""
        return str(self.client.execute(code, allow_stdin=allow_stdin))

    def finish(self, request: str, answers: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        """Return what a cell published, once it is done; prompts get the answers in turn."""
        published: list[dict[str, Any]] = []
        remaining = list(answers)
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if remaining and self.client.stdin_channel.msg_ready():
                asked = self.client.get_stdin_msg(timeout=5)
                published.append({"msg_type": "input_request", "content": asked["content"]})
                self.client.input(remaining.pop(0))
            if not self.client.iopub_channel.msg_ready():
                time.sleep(0.01)  # the socket has no event to wait for; nothing is asserted of time
                continue
            message = self.client.get_iopub_msg(timeout=5)
            if message["parent_header"].get("msg_id") != request:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return published
            published.append({"msg_type": message["msg_type"], "content": message["content"]})
        raise TimeoutError(f"the kernel was not done: {published}")

    def run(self, code: str, *answers: str, allow_stdin: bool = True) -> list[dict[str, Any]]:
        """Run a cell to its end, and return what it published."""
        return self.finish(self.start(code, allow_stdin=allow_stdin), answers)

    def submit(self, comm_id: str, key_id: str, secret: str) -> str:
        """Send what the form sends on submit."""
        fields = json.dumps({"key_id": key_id, "secret": secret}).encode()
        return self.send(comm_id, {"type": "submit"}, [fields])

    def send(self, comm_id: str, content: dict[str, Any], buffers: list[bytes]) -> str:
        """Send a message of a view, and return its id."""
        data = {"method": "custom", "content": content}
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.session.send(self.client.shell_channel.socket, message, buffers=buffers)
        return str(message["header"]["msg_id"])


@pytest.fixture
def kernel(home: Path) -> Iterator[Kernel]:
    """Return a running kernel with the extension loaded."""
    running = Kernel()
    running.run("%load_ext m3ter_nb")
    yield running
    running.stop()


def texts(published: list[dict[str, Any]]) -> str:
    """Return all text that a cell published."""
    pieces = []
    for message in published:
        content = message["content"]
        pieces += [
            content.get("text", ""),
            content.get("evalue", ""),
            content.get("data", {}).get("text/plain", ""),
        ]
    return "\n".join(piece for piece in pieces if isinstance(piece, str))


def errors(published: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the errors that a cell ended in."""
    return [message["content"] for message in published if message["msg_type"] == "error"]


def form_of(published: list[dict[str, Any]]) -> str:
    """Return the comm id of the form that a cell shows."""
    views = [
        message["content"]["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
        for message in published
        if message["msg_type"] == "display_data"
        and "application/vnd.jupyter.widget-view+json" in message["content"]["data"]
    ]
    assert len(views) == 1
    return str(views[0])


def test_a_kernel_without_stdin_fails_with_the_variables_to_set(home: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("%load_ext m3ter_nb\n%m3ter_login"),
            nbformat.v4.new_code_cell("1/0"),
        ],
    )

    with pytest.raises(CellExecutionError) as caught:
        NotebookClient(notebook, timeout=_PATIENCE, kernel_name="python3").execute()

    assert caught.value.ename == "CredentialsMissing"
    assert "set M3TER_API_KEY and M3TER_API_SECRET" in caught.value.evalue
    (output,) = notebook.cells[0].outputs
    assert len(output.traceback) == 1


def test_papermill_stops_at_the_first_use_of_a_form_that_nobody_fills(home: Path, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("%load_ext m3ter_nb\n%m3ter_login --form"),
            nbformat.v4.new_code_cell("m3ter_session.get('products')"),
        ],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    source = tmp_path / "job.ipynb"
    nbformat.write(notebook, source)

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "over_ipc",
            "papermill",
            "--no-progress-bar",
            str(source),
            str(tmp_path / "out.ipynb"),
        ],
        env={**os.environ, **over_ipc.ENVIRON},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )

    assert done.returncode != 0
    assert "NotLoggedIn: Not logged in yet: submit the form above, or set M3TER_API_KEY" in done.stderr


def test_the_form_fallback_leaves_no_secret_and_no_widget_state_in_the_notebook(
    sandbox_environ: Sandbox,
) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("%load_ext m3ter_nb\n%m3ter_login --form\nm3ter_token")],
    )

    NotebookClient(notebook, timeout=_PATIENCE, kernel_name="python3").execute()

    saved = nbformat.writes(notebook)
    assert "<m3ter token" in saved
    assert "widgets" not in notebook.metadata
    assert DEMO_SECRET not in saved
    assert "eyJ" not in saved


def test_an_error_is_one_line_and_keeps_its_type(kernel: Kernel) -> None:
    (error,) = errors(kernel.run("%m3ter GET products"))

    assert error["ename"] == "NotLoggedIn"
    assert error["traceback"] == ["NotLoggedIn: Not logged in: run %m3ter_login first."]


def test_the_form_logs_in_and_what_follows_runs(kernel: Kernel, sandbox: Sandbox) -> None:
    shown = kernel.run(f"%m3ter_login --form --base-url {sandbox.url}")
    comm_id = form_of(shown)
    (before,) = errors(kernel.run("f'Bearer {m3ter_token}'"))
    (called,) = errors(kernel.run("m3ter_session.get('products')"))
    echoed = kernel.finish(kernel.submit(comm_id, DEMO_KEY_ID, DEMO_SECRET))
    after = kernel.run("m3ter_session.get('products')")

    said = "Not logged in yet: submit the form above, or run %m3ter_login --prompt, then run this cell again."
    assert (before["ename"], before["evalue"]) == ("NotLoggedIn", said)
    assert called["evalue"] == said
    assert texts(after).strip() == "{'data': []}"
    assert DEMO_SECRET not in json.dumps(echoed)
    assert DEMO_KEY_ID not in json.dumps(echoed)


def test_the_card_of_a_login_is_one_display(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(f"import os; os.environ.update({sandbox.environ!r})")
    published = kernel.run("%m3ter_login")

    (shown,) = [message for message in published if message["msg_type"] != "execute_input"][1:]
    assert shown["msg_type"] == "display_data"
    assert set(shown["content"]["data"]) == {"text/plain", "text/html"}


def test_a_cell_of_several_lines_reads_in_the_order_in_which_it_ran(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(f"import os; os.environ.update({sandbox.environ!r})")
    published = kernel.run("print('before')\n%m3ter_login\nprint('after')\n%m3ter GET organizationconfig")

    said = texts(published)
    places = [said.index(part) for part in ("before", "Logged in to m3ter", "after", "USD")]
    assert places == sorted(places)


def test_what_needs_the_login_names_the_prompt_until_a_view_was_drawn(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    comm_id = form_of(kernel.run(f"login = %m3ter_login --form --base-url {sandbox.url}"))
    before = [texts(kernel.run(line)) for line in ("m3ter_token", "m3ter_session.get('x')", "login")]
    kernel.finish(kernel.send(comm_id, {"type": "shown"}, [b"\0"]))
    after = [texts(kernel.run(line)) for line in ("m3ter_token", "m3ter_session.get('x')", "login")]

    assert ["--prompt" in text for text in before] == [True] * 3
    assert ["--prompt" in text for text in after] == [False] * 3
    assert ["submit the form" in text for text in after] == [True] * 3


@pytest.mark.parametrize("drawn", [False, True])
def test_a_second_login_takes_the_prompt_where_the_first_form_was_never_drawn(
    kernel: Kernel, sandbox: Sandbox, *, drawn: bool
) -> None:
    kernel.run(f"%config M3terMagics.base_url = '{sandbox.url}'")
    comm_id = form_of(kernel.run("%m3ter_login"))
    kernel.run("import m3ter_nb.notebook.log_in\nm3ter_nb.notebook.log_in._UNSEEN_AFTER = 0.2")
    if drawn:
        kernel.finish(kernel.send(comm_id, {"type": "shown"}, [b"\0"]))
    time.sleep(0.3)  # the kernel's own clock tells how long it was idle
    published = kernel.run("%m3ter_login", *(() if drawn else (DEMO_KEY_ID, DEMO_SECRET)))

    if drawn:
        form_of(published)
    else:
        assert "The form above was never drawn, so here is a prompt." in texts(published)
        assert "Logged in to m3ter" in texts(published)


def test_a_second_login_right_after_the_first_shows_a_form_again(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(f"%config M3terMagics.base_url = '{sandbox.url}'")
    kernel.run("%m3ter_login")

    form_of(kernel.run("%m3ter_login"))


def test_a_front_end_that_drops_buffers_logs_in_by_the_message_itself(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    comm_id = form_of(kernel.run(f"%m3ter_login --form --base-url {sandbox.url}"))
    told = kernel.finish(kernel.send(comm_id, {"type": "shown"}, []))
    fields = {"type": "submit", "key_id": DEMO_KEY_ID, "secret": DEMO_SECRET}
    echoed = kernel.finish(kernel.send(comm_id, fields, []))

    assert '"bare": true' in json.dumps(told)
    assert '"phase": "in"' in json.dumps(echoed)
    assert DEMO_SECRET not in json.dumps(echoed)


def test_an_explicit_form_is_shown_where_stdin_is_not_allowed_and_nothing_else_is_there(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    comm_id = form_of(kernel.run(f"%m3ter_login --form --base-url {sandbox.url}", allow_stdin=False))
    kernel.finish(kernel.submit(comm_id, DEMO_KEY_ID, DEMO_SECRET))

    assert texts(kernel.run("m3ter_session.get('products')")).strip() == "{'data': []}"


def test_a_refused_form_says_so_and_binds_nothing(kernel: Kernel, sandbox: Sandbox) -> None:
    comm_id = form_of(kernel.run(f"%m3ter_login --form --base-url {sandbox.url}"))
    echoed = json.dumps(kernel.finish(kernel.submit(comm_id, DEMO_KEY_ID, "wrong-secret-8471")))

    assert '"phase": "refused"' in echoed
    assert "does not accept" in echoed
    assert "wrong-secret-8471" not in echoed
    assert "not logged in yet" in texts(kernel.run("m3ter_token"))


def test_awaiting_the_form_waits_for_the_submit(kernel: Kernel, sandbox: Sandbox) -> None:
    comm_id = form_of(kernel.run(f"login = %m3ter_login --form --base-url {sandbox.url}"))
    waiting = kernel.start("session = await login\nprint(session.org_id)")
    kernel.submit(comm_id, DEMO_KEY_ID, DEMO_SECRET)

    assert sandbox.environ["M3TER_ORG_ID"] in texts(kernel.finish(waiting))


def test_awaiting_a_login_that_is_there_returns_at_once(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(f"import os; os.environ.update({sandbox.environ!r})")
    kernel.run("login = %m3ter_login")

    assert sandbox.environ["M3TER_ORG_ID"] in texts(kernel.run("(await login).org_id"))


def test_awaiting_a_login_that_is_gone_is_an_error(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run(f"import os; os.environ.update({sandbox.environ!r})")
    kernel.run("login = %m3ter_login\n%m3ter_logout")

    (error,) = errors(kernel.run("await login"))
    assert error["evalue"] == "Logged out: %m3ter_login logs in again."


@pytest.mark.parametrize("allow_stdin", [False, True])
def test_awaiting_a_form_that_nobody_has_seen_ends_in_a_job_and_says_so_elsewhere(
    kernel: Kernel, sandbox: Sandbox, *, allow_stdin: bool
) -> None:
    kernel.run("import m3ter_nb.notebook.log_in\nm3ter_nb.notebook.log_in._PATIENCE = 0.2")
    cell = f"login = %m3ter_login --form --base-url {sandbox.url}"
    comm_id = form_of(kernel.run(cell, allow_stdin=allow_stdin))
    waiting = kernel.start("(await login).org_id", allow_stdin=allow_stdin)
    if allow_stdin:
        time.sleep(0.5)  # longer than the patience above
        kernel.submit(comm_id, DEMO_KEY_ID, DEMO_SECRET)
    published = kernel.finish(waiting)

    if allow_stdin:
        assert texts(published).count("No form seen yet: scroll up to it") == 1
        assert sandbox.environ["M3TER_ORG_ID"] in texts(published)
    else:
        (error,) = errors(published)
        assert error["evalue"].startswith("Nobody has seen the form: set M3TER_API_KEY")


def test_a_kernel_that_cannot_wait_says_so_at_once(kernel: Kernel, sandbox: Sandbox) -> None:
    kernel.run("import m3ter_nb.notebook.front_end\nm3ter_nb.notebook.front_end._WAITING_IPYKERNEL = (99, 0)")
    kernel.run(f"login = %m3ter_login --form --base-url {sandbox.url}")

    (error,) = errors(kernel.run("await login"))

    assert error["ename"] == "NotLoggedIn"
    assert "This kernel cannot wait for the form" in error["evalue"]


def test_the_prompt_asks_unseen_for_both_so_that_the_notebook_keeps_neither(
    kernel: Kernel, sandbox: Sandbox
) -> None:
    published = kernel.run(f"%m3ter_login --prompt --base-url {sandbox.url}", DEMO_KEY_ID, DEMO_SECRET)

    asked = [message["content"] for message in published if message["msg_type"] == "input_request"]
    assert [question["password"] for question in asked] == [True, True]
    assert "Logged in to" in texts(published)
    assert DEMO_SECRET not in json.dumps(published)
    assert DEMO_KEY_ID not in json.dumps(published)


def test_an_interrupted_login_shows_no_header(kernel: Kernel, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        environ = {**sandbox.environ, "M3TER_BASE_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        kernel.run(f"%xmode Verbose\nimport os; os.environ.update({environ!r})")
        request = kernel.start("%m3ter_login")
        connection, _ = silent.accept()
        with connection:
            received = connection.recv(65_536)
            kernel.manager.interrupt_kernel()
            (error,) = errors(kernel.finish(request))

    assert b"Authorization: Basic " in received
    assert error["ename"] == "Interrupted"
    assert len(error["traceback"]) == 1
    assert "Basic " not in json.dumps(error)
    assert DEMO_SECRET not in json.dumps(error)


def test_an_interrupted_submission_says_what_is_in_and_the_cell_goes_on_when_run_again(
    kernel: Kernel, sandbox: Sandbox, credentials: Credentials, tmp_path: Path
) -> None:
    pytest.importorskip("pandas", reason="usage needs the extra 'pandas'")
    from usage_frames import usage, used_of

    frame = usage(6000)
    frame.to_parquet(tmp_path / "usage.parquet")
    submit = (
        f"m3ter_session.submit_usage({str(tmp_path / 'usage.parquet')!r}, 'api_requests', rate=(RATE, 4950))"
    )
    kernel.run(f"import os; os.environ.update({sandbox.environ!r})\n%m3ter_login")
    with m3ter_nb.login(credentials, base_url=sandbox.url) as session:
        used = used_of(session, sandbox)
        request = kernel.start(submit.replace("RATE", "1"))
        ends = time.monotonic() + _PATIENCE
        while not used.requests() and time.monotonic() < ends:
            time.sleep(0.01)
        kernel.manager.interrupt_kernel()
        (error,) = errors(kernel.finish(request))
        held = used.asked("COUNT")
        published = kernel.run(submit.replace("RATE", "1000"))

        assert error["ename"] == "Interrupted"
        assert re.search(r"m3ter has accepted [\d,]+ of 6,000 rows", error["evalue"])
        assert held < 6000
        assert "6,000 rows to api_requests: 6,000 ingested" in texts(published)
        assert used.counted() == (6000, frame["requests"].sum())


def test_tab_completes_in_a_kernel(kernel: Kernel) -> None:
    reply = kernel.client.complete("%m3ter_login --no-", reply=True, timeout=_PATIENCE)

    assert reply["content"]["matches"] == ["--no-refresh"]


def test_help_is_shown_in_a_kernel(kernel: Kernel) -> None:
    reply = kernel.client.execute_interactive(
        "%m3ter_login?", output_hook=lambda _message: None, timeout=_PATIENCE
    )

    assert "get a bearer token" in reply["content"]["payload"][0]["data"]["text/plain"]
