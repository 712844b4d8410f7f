"""The form outside of IPython's magics: what it gives to the program that shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from m3ter_nb.errors import UnsafeDestination
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox


def test_a_submit_gives_the_session_and_binds_nothing(sandbox: Sandbox) -> None:
    sessions: list[m3ter_nb.M3terSession] = []
    form = m3ter_nb.login_form(sessions.append, base_url=sandbox.url)
    fields = json.dumps({"key_id": DEMO_KEY_ID, "secret": DEMO_SECRET}).encode()
    form._handle_custom_msg({"type": "submit"}, [fields])

    assert [session.org_id for session in sessions] == [DEMO_ORG_ID]
    assert form.phase == "in"
    assert "Ready to use" not in dict(form.card["rows"])
    form.close()


def test_the_host_is_the_environments_and_never_a_dotenvs(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text("M3TER_BASE_URL=https://billing.example\n")
    monkeypatch.setenv("M3TER_BASE_URL", sandbox.url)
    first = m3ter_nb.login_form()
    monkeypatch.delenv("M3TER_BASE_URL")
    second = m3ter_nb.login_form()

    assert (first.host, second.host) == (sandbox.url.removeprefix("http://"), "api.m3ter.com")
    first.close()
    second.close()


def test_an_unsafe_host_is_refused() -> None:
    with pytest.raises(UnsafeDestination):
        m3ter_nb.login_form(base_url="http://api.m3ter.com")
