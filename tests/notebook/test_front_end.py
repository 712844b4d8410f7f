"""What is known of a front end: who can be asked, and who sees a form."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from m3ter_nb.notebook.front_end import FrontEnd, can_prompt, can_show_form, look_at


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
