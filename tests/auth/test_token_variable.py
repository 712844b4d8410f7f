"""The variable that follows a login's token, in a namespace and in a real shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from calls_made import FIVE_HOURS, calls, token_requests
from m3ter_nb.api.login import login, open_session
from m3ter_nb.auth.settings import Settings
from m3ter_nb.auth.token import Token
from m3ter_nb.notebook.logins import Logins
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, Sandbox
from unsigned import jwt

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.auth.credentials import Credentials


@pytest.fixture
def namespace() -> dict[str, object]:
    """Return a namespace with nothing in it."""
    return {}


@pytest.fixture
def logins(namespace: dict[str, object], session: M3terSession) -> Logins:
    """Return the logins of that namespace: one, under the plain name."""
    made = Logins(namespace)
    made.add("m3ter", session, typed=False)
    return made


def test_the_variable_is_rebound_before_a_cell(
    logins: Logins, namespace: dict[str, object], session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    old = namespace["m3ter_token"]
    clocks.advance(FIVE_HOURS - 300)

    logins.before_cell()

    assert namespace["m3ter_token"] is session.source.current
    assert namespace["m3ter_token"] is not old
    assert token_requests(sandbox) == 2


def test_there_is_nothing_to_do_before_most_cells(
    logins: Logins, namespace: dict[str, object], sandbox: Sandbox, clocks: TwoClocks
) -> None:
    before = dict(namespace)
    clocks.advance(FIVE_HOURS - 301)

    logins.before_cell()

    assert namespace == before
    assert token_requests(sandbox) == 1


def test_a_name_that_the_user_rebound_keeps_his_value(
    logins: Logins, namespace: dict[str, object], clocks: TwoClocks
) -> None:
    namespace["m3ter_token"] = "mine"

    for _ in range(2):
        clocks.advance(FIVE_HOURS - 300)
        logins.before_cell()
    logins.remove("m3ter")

    assert namespace == {"m3ter_token": "mine"}


def test_a_name_that_the_user_deleted_stays_deleted(
    logins: Logins, namespace: dict[str, object], clocks: TwoClocks
) -> None:
    del namespace["m3ter_token"]
    clocks.advance(FIVE_HOURS - 300)

    logins.before_cell()

    assert "m3ter_token" not in namespace


def test_a_new_login_each_renewal_and_the_end_are_told_to_listeners_once(
    session: M3terSession, clocks: TwoClocks
) -> None:
    namespace: dict[str, object] = {}
    logins = Logins(namespace)
    told: list[tuple[str, bool]] = []
    logins.on_change(lambda name, login: told.append((name, login is not None)))
    logins.add("m3ter", session, typed=False)
    namespace["m3ter_token"] = "mine"
    clocks.advance(FIVE_HOURS - 300)

    for _ in range(3):
        logins.before_cell()
    logins.remove("m3ter")

    assert told == [("m3ter", True), ("m3ter", True), ("m3ter", False)]


def test_a_session_that_the_user_closed_leaves_the_token_variable_alone(
    logins: Logins, namespace: dict[str, object], session: M3terSession
) -> None:
    token = namespace["m3ter_token"]
    session.close()

    logins.before_cell()

    assert namespace["m3ter_token"] is token


def test_a_renewal_before_a_cell_that_fails_is_told_and_raises_nothing(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    said: list[str] = []
    logins = Logins({}, said.append)
    logins.add("m3ter", session, typed=False)
    clocks.advance(FIVE_HOURS)
    sandbox.faults.refuse_key(DEMO_KEY_ID)

    for _ in range(3):
        logins.before_cell()

    assert len(said) == 1
    assert said[0].startswith("m3ter_token: ")


def test_the_end_of_a_token_that_is_not_renewed_is_announced_once(
    open_login: Callable[..., M3terSession], clocks: TwoClocks
) -> None:
    said: list[str] = []
    logins = Logins({}, said.append)
    logins.add("staging", open_login(refresh=False), typed=False)
    logins.before_cell()
    clocks.advance(FIVE_HOURS - 300)

    for _ in range(3):
        logins.before_cell()
        clocks.advance(200)

    assert said == [
        "staging_token ends in 300 s and cannot be renewed: run %m3ter_login --name staging again.",
    ]


def test_the_end_of_a_ready_token_is_announced(sandbox: Sandbox, clocks: TwoClocks) -> None:
    said: list[str] = []
    logins = Logins({}, said.append)
    ready = Settings(token=Token(jwt({"exp": clocks.wall + 500, "orgId": "o"})), base_url=sandbox.url)
    logins.add("m3ter", open_session(ready, clock=clocks.clock), typed=False)
    clocks.advance(500)

    logins.before_cell()

    assert said == ["m3ter_token has ended and cannot be renewed: run %m3ter_login again."]


# A real shell


@pytest.fixture
def logged_in_shell(shell: InteractiveShell, session: M3terSession, sandbox: Sandbox) -> InteractiveShell:
    """Return a shell with a login on the settable clocks."""
    shell.magics_manager.registry["M3terMagics"]._logins.add("m3ter", session, typed=False)
    shell.user_ns |= {"requests": requests, "url": f"{sandbox.url}/organizations/{DEMO_ORG_ID}/products"}
    return shell


def test_plain_requests_code_works_in_a_notebook_left_open_over_night(
    logged_in_shell: InteractiveShell, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    cell = "status = requests.get(url, headers={'Authorization': f'Bearer {m3ter_token}'}, timeout=9).status_code"
    clocks.wall += 12 * 3_600  # the laptop slept
    sandbox.faults.expire_tokens()

    logged_in_shell.run_cell(cell).raise_error()

    assert logged_in_shell.user_ns["status"] == 200
    assert calls(sandbox) == ["POST /oauth/token 200", "POST /oauth/token 200", "GET products 200"]


def test_a_rebound_name_survives_the_cells_of_a_shell(
    logged_in_shell: InteractiveShell, clocks: TwoClocks
) -> None:
    logged_in_shell.run_cell("m3ter_token = 'mine'").raise_error()
    clocks.advance(FIVE_HOURS)

    logged_in_shell.run_cell("kept = m3ter_token").raise_error()

    assert logged_in_shell.user_ns["kept"] == "mine"


def test_a_magic_call_renews_on_its_way(
    logged_in_shell: InteractiveShell, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    def slept() -> None:
        clocks.advance(FIVE_HOURS)
        sandbox.faults.expire_tokens()

    logged_in_shell.user_ns["slept"] = slept
    logged_in_shell.run_cell("slept()\nproducts = %m3ter GET products").raise_error()

    assert calls(sandbox) == ["POST /oauth/token 200", "POST /oauth/token 200", "GET products 200"]


def test_an_outage_before_a_cell_lets_the_cell_run(
    logged_in_shell: InteractiveShell,
    sandbox: Sandbox,
    clocks: TwoClocks,
    capsys: pytest.CaptureFixture[str],
    waits: list[float],
) -> None:
    clocks.advance(FIVE_HOURS)
    sandbox.faults.fail(503, times=4, path="/oauth/token")

    logged_in_shell.run_cell("ran = True").raise_error()

    assert logged_in_shell.user_ns["ran"]
    assert capsys.readouterr().out.startswith("m3ter_token: ")
    assert len(waits) == 3


def test_ctrl_c_in_a_renewal_before_a_cell_ends_it_and_runs_the_cell(
    shell: InteractiveShell,
    sandbox: Sandbox,
    credentials: Credentials,
    clocks: TwoClocks,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    session = login(credentials, base_url=sandbox.url, clock=clocks.clock._replace(sleep=interrupt))
    shell.magics_manager.registry["M3terMagics"]._logins.add("m3ter", session, typed=False)
    clocks.advance(FIVE_HOURS)
    sandbox.faults.fail(503, path="/oauth/token", times=4)

    shell.run_cell("ran = True").raise_error()

    captured = capsys.readouterr()
    assert captured.out == "m3ter_token: its renewal was interrupted; the next cell tries again.\n"
    assert captured.err == ""
    assert shell.user_ns["ran"]
