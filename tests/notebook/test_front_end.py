"""What is known of a front end: who can be asked, and who sees a form."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from IPython.utils.capture import capture_output

from m3ter_nb.auth.settings import read_environ
from m3ter_nb.errors import NotLoggedIn
from m3ter_nb.notebook.by_form import FormLogin
from m3ter_nb.notebook.front_end import FrontEnd, can_prompt, can_show_form, look_at
from m3ter_nb.notebook.login_form import login_form
from m3ter_nb.notebook.login_options import LoginOptions
from m3ter_nb.notebook.logins import Logins
from m3ter_nb.notebook.twin import SandboxControl

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def shell_of(kernel: object) -> Any:
    """Return what a shell looks like from here: all that is asked of it is its kernel."""
    return SimpleNamespace(kernel=kernel)


def test_a_kernel_that_does_not_say_whether_it_can_ask_can() -> None:
    shell = shell_of(SimpleNamespace())

    assert (can_show_form(shell), can_prompt(shell)) == (True, True)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_kernel_that_says_so_is_believed(*, allowed: bool) -> None:
    shell = shell_of(SimpleNamespace(_allow_stdin=allowed))

    assert (can_show_form(shell), can_prompt(shell)) == (allowed, allowed)


def test_voila_shows_a_form_and_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5.13")
    shell = shell_of(SimpleNamespace(_allow_stdin=False))

    assert (can_show_form(shell), can_prompt(shell)) == (True, False)


def test_a_shell_without_a_kernel_draws_nothing() -> None:
    assert look_at(shell_of(None)) == FrontEnd(prompts=look_at(shell_of(None)).prompts)


def test_a_page_cannot_wait_for_its_form_whatever_its_kernel_says(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = shell_of(SimpleNamespace())
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace(version_info=(7, 9, 0)))
    elsewhere = look_at(shell)
    monkeypatch.setattr(sys, "platform", "emscripten")
    page = look_at(shell)

    assert (elsewhere.waits, elsewhere.place) == (True, "")
    assert (page.waits, page.place) == (False, "page")
    assert (page.shows_forms, page.prompts) == (True, True)


def test_in_a_page_awaiting_the_login_says_in_one_line_that_it_cannot_wait(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "kernel", SimpleNamespace(), raising=False)
    monkeypatch.setattr(sys, "platform", "emscripten")

    with capture_output():
        login = shell.run_line_magic("m3ter_login", "--form")
    waiting = login.__await__()

    with pytest.raises(NotLoggedIn) as raised:
        next(waiting)
    said = str(raised.value)
    assert said.startswith("A browser page cannot wait for the form")
    assert "submit the form above" in said
    assert "then run this cell again" in said
    assert "\n" not in said


@pytest.mark.parametrize("place", ["binder", "page"])
def test_where_no_real_secret_belongs_the_form_says_so_until_the_sandbox_is_started(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "binder":
        monkeypatch.setenv("BINDER_SERVICE_HOST", "hub")
    else:
        monkeypatch.setattr("m3ter_nb.notebook.front_end.in_page", lambda: True)
    form = login_form()

    assert (form.place, form.sandbox_offered, form.demo_offered) == (place, True, False)
    form._handle_custom_msg({"type": "sandbox"}, [])
    assert (form.place, form.sandbox_offered, form.demo_offered) == ("", False, True)
    form.close()


@pytest.mark.parametrize("started_again", [False, True])
def test_the_demo_button_of_a_sandbox_that_has_stopped_logs_in_to_a_new_one(*, started_again: bool) -> None:
    twin = SandboxControl()
    twin.start()
    form = FormLogin(
        Logins(None), twin, LoginOptions(), read_environ(), place="", notice="", notify=lambda _text: None
    ).widget
    assert form.demo_offered
    twin.stop()
    if started_again:
        twin.start()

    form._handle_custom_msg({"type": "demo"}, [])

    assert form.phase == "in", form.message
    assert twin.status().url.endswith(form.host)
    assert ["Host", form.host] in form.card["rows"]
    form.close()
    twin.stop()
