"""The login form in a real JupyterLab and Notebook 7: what a person does, sees, and never leaves behind."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from jupyter_page import jwt_pattern
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_page import Flavour, JupyterServer, NotebookPage

    OpenNotebook = Callable[..., NotebookPage]

pytestmark = pytest.mark.browser

LOGIN = "%m3ter_login --form"
TOKEN_PATH = "/oauth/token"
DEMO = "Use the sandbox's public demo credentials"
SENTENCE = (
    "m3ter login form: run this cell to log in. No form to see then? %m3ter_login --prompt asks instead."
)


def token_requests(sandbox: Sandbox) -> list[int]:
    """Return the statuses of all token requests so far."""
    return [record.status for record in sandbox.log if record.path == TOKEN_PATH]


@pytest.mark.parametrize("flavour", ["lab", "notebook"])
def test_enter_in_the_secret_logs_in_and_binds_both_names(
    open_notebook: OpenNotebook, sandbox: Sandbox, flavour: Flavour
) -> None:
    notebook = open_notebook(LOGIN, "m3ter_session.get('products'), len(m3ter_token) > 0", flavour=flavour)
    notebook.run_cell(0)
    notebook.run_cell(1)
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.secret.press("Enter")
    form.expect_phase("in")
    notebook.run_cell(2)

    expect(notebook.output(2)).to_contain_text("True")
    notebook.screenshot(f"logged-in-{flavour}")


def test_a_click_logs_in_and_the_card_says_who_where_and_for_how_long(
    open_notebook: OpenNotebook, sandbox: Sandbox
) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.button("Log in").click()
    form.expect_phase("in")

    expect(form.box).to_contain_text("SANDBOX")
    expect(form.box).to_contain_text(sandbox.url.removeprefix("http://"))
    expect(form.box).to_contain_text("m3ter_token, m3ter_session")
    expect(form.box.locator("[data-row=left]")).to_have_text("4 h 59 min, renews by itself")
    expect(form.status).to_contain_text("Logged in to m3ter")
    expect(form.key_id).to_be_hidden()
    assert (form.key_id.input_value(), form.secret.input_value()) == ("", "")


def test_the_sandboxs_demo_credentials_take_one_click(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.button(DEMO).click()

    form.expect_phase("in")


def test_on_binder_the_form_warns_and_starts_the_sandbox(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(f"os.environ['BINDER_SERVICE_HOST'] = 'hub'\n{LOGIN}")
    notebook.run_all()
    form = notebook.form()
    expect(form.box).to_contain_text("Real secrets do not belong on a public machine")
    notebook.screenshot("binder")
    form.button("Start the sandbox").click()
    expect(form.button(DEMO)).to_be_focused(timeout=30_000)
    form.button(DEMO).press("Enter")

    form.expect_phase("in")


def test_run_all_stops_at_the_first_use_of_the_token_until_the_form_is_submitted(
    open_notebook: OpenNotebook,
) -> None:
    notebook = open_notebook(LOGIN, "m3ter_session.org_id", "print('further down')")
    notebook.run_all()
    expect(notebook.output(2)).to_contain_text("NotLoggedIn: Not logged in yet: submit the form above")
    assert len(notebook.output(2).inner_text().strip().splitlines()) == 1
    expect(notebook.output(3)).not_to_contain_text("further down")
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.secret.press("Enter")
    form.expect_phase("in")
    notebook.run_cell(2)
    notebook.run_cell(3)

    expect(notebook.output(2)).to_contain_text(DEMO_ORG_ID)
    expect(notebook.output(3)).to_contain_text("further down")


def test_run_all_waits_at_an_await_until_the_form_is_submitted(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(f"login = {LOGIN}", "await login", "m3ter_session.org_id")
    notebook.start_run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    expect(notebook.output(3)).not_to_contain_text(DEMO_ORG_ID)
    form.secret.press("Enter")

    expect(notebook.output(3)).to_contain_text(DEMO_ORG_ID)


def test_a_refused_secret_is_cleared_and_focused_and_the_key_id_stays(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, "not-the-secret")
    form.secret.press("Enter")
    form.expect_phase("refused")

    expect(form.secret).to_have_value("")
    expect(form.secret).to_be_focused()
    expect(form.key_id).to_have_value(DEMO_KEY_ID)
    expect(form.status).not_to_be_empty()
    notebook.screenshot("refused")
    notebook.page.keyboard.type(DEMO_SECRET)
    notebook.page.keyboard.press("Enter")
    form.expect_phase("in")


def test_a_server_that_is_down_is_named_and_enter_tries_again(open_notebook: OpenNotebook) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    notebook = open_notebook(f"os.environ['M3TER_BASE_URL'] = 'http://127.0.0.1:{port}'\n{LOGIN}")
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.button("Log in").click()
    form.expect_phase("unreachable", timeout=30_000)
    expect(form.status).to_contain_text(f"127.0.0.1:{port}")
    notebook.screenshot("unreachable")
    with Sandbox(port):
        notebook.page.keyboard.press("Enter")

        form.expect_phase("in")


def test_a_double_click_on_a_slow_server_sends_one_token_request(
    open_notebook: OpenNotebook, sandbox: Sandbox
) -> None:
    sandbox.faults.delay(1.5, path=TOKEN_PATH)
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.button("Log in").dblclick()
    expect(form.button("Log in")).to_be_disabled()
    expect(form.status).to_have_text("Logging in.")
    notebook.screenshot("under-way")
    form.secret.press("Enter")
    form.expect_phase("in")

    assert token_requests(sandbox) == [200]


def test_a_kernel_that_does_not_answer_is_named_and_the_login_goes_on_when_it_does(
    open_notebook: OpenNotebook, sandbox: Sandbox
) -> None:
    notebook = open_notebook(LOGIN, "os.getpid()")
    notebook.run_cell(0)
    notebook.run_cell(1)
    notebook.run_cell(2)
    kernel = int(notebook.output(2).inner_text().rpartition(":")[2])
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    os.kill(kernel, signal.SIGSTOP)
    try:
        form.secret.press("Enter")
        expect(form.status).to_contain_text("Waiting for the kernel")
    finally:
        os.kill(kernel, signal.SIGCONT)

    form.expect_phase("in")
    assert token_requests(sandbox) == [200]


def test_no_file_holds_secret_or_token_while_typing_after_a_refusal_and_after_a_login(
    open_notebook: OpenNotebook, sandbox: Sandbox, jupyter: JupyterServer
) -> None:
    """Notebook, checkpoint, widget state, history, and all logs at level DEBUG."""
    key = sandbox.keys.create_key()
    wrong = f"wrong-{key.secret}"
    notebook = open_notebook(LOGIN, "m3ter_token, m3ter_session")
    notebook.run_cell(0)
    notebook.run_cell(1)
    form = notebook.form()
    form.fill(key.key_id, wrong)
    saved = notebook.save()
    assert "widgets" in saved["metadata"], "the widget state is to be in the file, or this test shows nothing"
    typed = jupyter.files_holding(key.secret) + jupyter.files_holding(key.key_id)
    form.secret.press("Enter")
    form.expect_phase("refused")
    notebook.save()
    refused = jupyter.files_holding(key.secret) + jupyter.files_holding(key.key_id)
    notebook.page.keyboard.type(key.secret)
    notebook.page.keyboard.press("Enter")
    form.expect_phase("in")
    notebook.run_cell(2)
    notebook.wait_for_kernel()
    notebook.save()

    assert (typed, refused, jupyter.files_holding(key.secret)) == ([], [], [])
    assert not [
        path for path in jupyter.home.rglob("*") if path.is_file() and jwt_pattern().search(path.read_bytes())
    ]
    holding_the_cell = jupyter.files_holding("m3ter_token, m3ter_session")
    assert {name.rpartition("/")[2] for name in holding_the_cell} >= {
        notebook.path,
        notebook.path.replace(".ipynb", "-checkpoint.ipynb"),
        "history.sqlite",
        "server.log",
    }, "the search is to find what was really written to these files"


def test_the_secret_crosses_the_wire_once_and_never_comes_back(
    open_notebook: OpenNotebook, sandbox: Sandbox
) -> None:
    """Not echoed to other clients, not printed to the console, in no attribute of the page."""
    key = sandbox.keys.create_key()
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill(key.key_id, key.secret)
    markup = notebook.page.content()
    form.secret.press("Enter")
    form.expect_phase("in")

    def holding(frames: list[bytes]) -> int:
        return sum(key.secret.encode() in frame for frame in frames)

    received = notebook.frames("received")
    assert any(b"Logged in" in frame for frame in received), "the frames are to have been seen"
    assert (holding(notebook.frames("sent")), holding(received)) == (1, 0)
    assert key.secret not in markup + notebook.page.content() + "".join(notebook.console)


def test_two_forms_in_one_notebook_do_not_touch_each_other(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN, f"{LOGIN} --name other")
    notebook.run_all()
    first, second = notebook.form(0), notebook.form(1)
    first.key_id.fill("typed in the first")
    second.fill(DEMO_KEY_ID, DEMO_SECRET)
    second.secret.press("Enter")
    second.expect_phase("in")

    first.expect_phase("empty")
    expect(first.key_id).to_have_value("typed in the first")


def test_the_same_form_shown_twice_follows_one_state_and_shares_no_secret(
    open_notebook: OpenNotebook,
) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    notebook.command("notebook:create-output-view")
    expect(notebook.page.locator(".m3ter-nb-form")).to_have_count(2)
    first, second = notebook.form(0), notebook.form(1)
    first.fill(DEMO_KEY_ID, DEMO_SECRET)
    expect(second.secret).to_have_value("")
    expect(second.key_id).to_have_value("")
    first.secret.press("Enter")
    first.expect_phase("in")

    second.expect_phase("in")


def test_after_a_kernel_restart_the_output_is_one_plain_sentence(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    notebook.restart_kernel()

    expect(notebook.output(1)).to_have_text(SENTENCE, use_inner_text=True)


@pytest.mark.parametrize(("save_while", "flavour"), [("live", "lab"), ("live", "notebook"), ("dead", "lab")])
def test_a_saved_notebook_opened_with_a_new_kernel_shows_one_plain_sentence(
    open_notebook: OpenNotebook, save_while: str, flavour: Flavour
) -> None:
    """Whether the widget's state was saved (live kernel) or not: never "Error displaying widget"."""
    notebook = open_notebook(LOGIN, flavour=flavour)
    notebook.run_all()
    notebook.form().expect_phase("empty")
    if save_while == "live":
        notebook.save()
        notebook.restart_kernel()
    else:
        notebook.restart_kernel()
        notebook.save()
    notebook.load()

    expect(notebook.output(1)).to_have_text(SENTENCE, use_inner_text=True)
    notebook.page.wait_for_timeout(1000)
    expect(notebook.output(1)).to_have_text(SENTENCE, use_inner_text=True)
    expect(notebook.output(1).locator(".jupyter-widgets-disconnected")).to_have_count(0)
    notebook.screenshot(f"saved-{save_while}-{flavour}")


def test_a_page_loaded_again_shows_the_live_form_of_its_kernel(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", LOGIN)
    notebook.run_all()
    notebook.form().button(DEMO).click()
    notebook.form().expect_phase("in")
    notebook.save()
    notebook.load()

    notebook.form().expect_phase("in")
    expect(notebook.output(2)).not_to_contain_text(SENTENCE, use_inner_text=True)


def test_notebook_shortcuts_do_not_fire_while_the_form_has_the_focus(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill("aabbddxxyy", "aabbddmm")
    for place in (form.key_id, form.button("Show the secret")):
        place.focus()
        for key in ("a", "b", "d", "d", "x", "m"):
            notebook.page.keyboard.press(key)

    assert notebook.cell_count() == 2
    expect(form.secret).to_have_value("aabbddmm")


@pytest.mark.parametrize("flavour", ["lab", "notebook"])
def test_after_a_login_the_keys_are_the_notebooks_again(
    open_notebook: OpenNotebook, flavour: Flavour
) -> None:
    notebook = open_notebook(LOGIN, "print('went', 'on')", flavour=flavour)
    notebook.run_cell(0)
    notebook.run_cell(1)
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.secret.press("Enter")
    form.expect_phase("in")
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.keyboard.press("Shift+Enter")

    expect(notebook.output(2)).to_contain_text("went on")


@pytest.mark.parametrize("flavour", ["lab", "notebook"])
def test_shift_enter_on_a_button_of_the_card_runs_the_cell_and_does_not_press_the_button(
    open_notebook: OpenNotebook, sandbox: Sandbox, flavour: Flavour
) -> None:
    notebook = open_notebook("%m3ter_sandbox", LOGIN, "print('went', 'on')", flavour=flavour)
    notebook.run_all()
    form = notebook.form()
    form.button(DEMO).click()
    form.expect_phase("in")
    form.button("Log out").focus()
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.keyboard.press("Shift+Enter")

    expect(notebook.output(3)).to_contain_text("went on")
    form.expect_phase("in")


@pytest.mark.parametrize("flavour", ["lab", "notebook"])
def test_control_s_saves_from_within_an_input_and_shift_enter_submits_there(
    open_notebook: OpenNotebook, flavour: Flavour
) -> None:
    notebook = open_notebook(LOGIN, flavour=flavour)
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    notebook.page.keyboard.press("Control+s")
    notebook.page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")
    expect(form.secret).to_have_value(DEMO_SECRET)
    form.secret.press("Shift+Enter")

    form.expect_phase("in")


def test_a_host_that_only_a_dotenv_names_wants_one_more_click(
    open_notebook: OpenNotebook, sandbox: Sandbox
) -> None:
    stranger = (
        "del os.environ['M3TER_BASE_URL']; open('.env', 'w').write('M3TER_BASE_URL=https://billing.example')"
    )
    notebook = open_notebook(f"{stranger}\n{LOGIN}\nos.remove('.env')")
    notebook.run_all()
    form = notebook.form()
    form.fill("a-key-id", "a-secret")
    form.button("Log in").click()

    expect(form.status).to_contain_text("billing.example is named by")
    expect(form.button("Send to billing.example")).to_be_visible()
    form.expect_phase("empty")


def test_an_empty_field_is_the_one_that_is_marked(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, "wrong")
    form.secret.press("Enter")
    form.expect_phase("refused")
    refused = [box.get_attribute("aria-invalid") for box in (form.key_id, form.secret)]
    form.fill("", "typed again")
    form.secret.press("Enter")

    assert refused == ["false", "true"]
    expect(form.key_id).to_have_attribute("aria-invalid", "true")
    expect(form.secret).to_have_attribute("aria-invalid", "false")
    expect(form.key_id).to_be_focused()


def test_a_form_that_was_drawn_says_so_to_the_kernel(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(f"login = {LOGIN}", "login")
    notebook.run_all()
    notebook.form().expect_phase("empty")
    notebook.run_cell(2)

    expect(notebook.output(2)).to_have_text(
        "Not logged in yet: submit the form above, then run this cell again.", use_inner_text=True
    )


KEYCHAIN = f"""\
import os, sys, tempfile
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()
sys.path.insert(0, {str(Path(__file__).parents[1] / "helpers")!r})
import keychains, keyring
keyring.set_keyring(keychains.MemoryKeyring())"""


def test_the_tick_remembers_the_login_and_is_off_until_somebody_sets_it(
    open_notebook: OpenNotebook, sandbox: Sandbox
) -> None:
    notebook = open_notebook(KEYCHAIN, LOGIN, "import m3ter_nb; print([p.name for p in m3ter_nb.profiles()])")
    for number in range(3):
        notebook.run_cell(number)
    form = notebook.form()
    tick = form.box.get_by_label("Remember on this computer")
    expect(tick).not_to_be_checked()
    key = sandbox.keys.create_key()
    form.fill(key.key_id, key.secret)
    tick.check()
    form.secret.press("Enter")
    form.expect_phase("in")

    expect(form.box).to_contain_text("Remembered as the profile default in the keychain of this computer.")
    notebook.run_cell(3)
    expect(notebook.output(3)).to_contain_text("['default']")
    form.button("Use other credentials").click()
    expect(tick).not_to_be_checked()


def test_without_a_keychain_there_is_no_tick(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()

    expect(form.key_id).to_be_visible()
    expect(form.box.get_by_label("Remember on this computer")).to_be_hidden()


def test_whoever_has_no_account_starts_the_sandbox_from_the_form(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.button("Start the sandbox").click()
    expect(form.button(DEMO)).to_be_focused(timeout=30_000)
    expect(form.button(DEMO)).to_have_class("m3ter-nb-primary")
    form.button(DEMO).press("Enter")

    form.expect_phase("in")


def test_log_out_and_other_credentials_bring_the_form_back(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", LOGIN)
    notebook.run_all()
    form = notebook.form()
    form.button(DEMO).click()
    form.expect_phase("in")
    form.button("Use other credentials").click()
    form.expect_phase("empty")
    expect(form.key_id).to_be_focused()
    form.button("Keep the current login").click()
    form.expect_phase("in")
    form.button("Log out").click()

    form.expect_phase("empty")
    expect(form.status).to_contain_text("Logged out")
    expect(form.button("Keep the current login")).to_be_hidden()
