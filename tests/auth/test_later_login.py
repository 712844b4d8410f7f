"""A second login beside, or in the place of, an earlier one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import requests

from calls_made import token_requests
from m3ter_nb.api.login import login, open_session
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.settings import Settings
from m3ter_nb.errors import NotLoggedIn
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.notebook.logins import Logins


def test_what_was_made_from_the_first_login_goes_on_with_a_second_of_the_same_key(
    logins: Logins, open_login: Callable[..., M3terSession], sandbox: Sandbox
) -> None:
    first = open_login()
    logins.add("m3ter", first, typed=False)
    for number in range(3):
        first.post("products", json={"name": f"p{number}", "code": f"p{number}"})
    sdk, auth, pages, taken = first.sdk(), first.auth, first.pages("products", pageSize=1), first.token
    read = [next(pages)]

    sandbox.faults.expire_tokens()
    second = open_login()
    logins.add("m3ter", second, typed=False)

    assert first.token is second.token is not taken
    assert len(first.get("products")["data"]) == 3
    assert len(sdk.products.list().data) == 3
    url = f"{sandbox.url}/organizations/{DEMO_ORG_ID}/products"
    assert requests.get(url, auth=auth, timeout=5).status_code == 200
    assert len([*read, *pages]) == 3


def test_a_renewal_serves_the_first_login_and_the_second(
    logins: Logins, open_login: Callable[..., M3terSession], sandbox: Sandbox, clocks: TwoClocks
) -> None:
    sessions = [open_login() for _ in range(3)]
    for session in sessions:
        logins.add("m3ter", session, typed=False)
    asked = token_requests(sandbox)
    clocks.advance(18_000)

    assert sessions[0].token is sessions[1].token is sessions[2].token
    assert token_requests(sandbox) == asked + 1


def test_a_logout_ends_what_the_first_login_was_taken_over_by(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first, second = open_login(), open_login()
    logins.add("m3ter", first, typed=False)
    logins.add("m3ter", second, typed=False)

    logins.remove("m3ter")

    with pytest.raises(NotLoggedIn, match="was logged out"):
        first.get("products")


@pytest.mark.parametrize(
    "other",
    [
        {"credentials": Credentials(NARROW_KEY_ID, NARROW_SECRET, "a test")},
        {"base_url": "the same machine by another name"},
    ],
    ids=["key", "host"],
)
def test_another_key_or_host_closes_the_first_login_and_the_error_says_so(
    logins: Logins, sandbox: Sandbox, other: dict[str, Any]
) -> None:
    if "base_url" in other:
        other = {"base_url": sandbox.url.replace("127.0.0.1", "localhost")}
    credentials = Credentials(DEMO_KEY_ID, DEMO_SECRET, "a test")
    first = login(credentials, base_url=sandbox.url)
    logins.add("m3ter", first, typed=False)

    second = login(**{"credentials": credentials, "base_url": sandbox.url, **other})
    logins.add("m3ter", second, typed=False)

    with pytest.raises(NotLoggedIn, match=r"A later login as m3ter closed this session.*m3ter_session"):
        first.get("products")
    assert second.token.permissions


def test_what_is_left_of_a_logout_says_so_after_the_next_login_too(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first = open_login()
    logins.add("staging", first, typed=False)
    begun = first.pages("products")
    logins.remove("staging")
    logins.add("staging", open_login(), typed=False)

    said = r"was logged out\. Go on with staging_session, once .*%m3ter_login --name staging"
    for use in (
        lambda: first.get("products"),
        lambda: first.token,
        lambda: next(begun),
        first.sdk().products.list,
    ):
        with pytest.raises(NotLoggedIn, match=said):
            use()


def test_a_session_that_was_closed_by_hand_says_so_whatever_is_logged_in_later(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    first = open_login()
    logins.add("m3ter", first, typed=False)
    first.close()
    logins.add("m3ter", open_login(), typed=False)

    with pytest.raises(NotLoggedIn, match="This session is closed"):
        first.get("products")


def test_closing_an_older_session_leaves_the_later_login_of_the_same_key_alone(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    oldest, older, later = (open_login() for _ in range(3))
    for each in (oldest, older, later):
        logins.add("m3ter", each, typed=False)
    client = older.sdk()
    oldest.close()
    with older:
        pass

    for closed in (oldest, older):
        with pytest.raises(NotLoggedIn, match="This session is closed"):
            closed.get("products")
    assert later.get("products") == {"data": []}
    assert list(client.products.list()) == []
    later.close()
    with pytest.raises(NotLoggedIn, match="This session is closed"):
        later.get("products")


def test_a_later_logout_ends_the_older_session_too(
    logins: Logins, open_login: Callable[..., M3terSession]
) -> None:
    older = open_login()
    logins.add("m3ter", older, typed=False)
    logins.add("m3ter", open_login(), typed=False)
    logins.remove("m3ter")
    older.close()

    with pytest.raises(NotLoggedIn):
        older.get("products")


def test_a_ready_token_given_twice_is_one_login(logins: Logins, sandbox: Sandbox) -> None:
    token = login(Credentials(DEMO_KEY_ID, DEMO_SECRET, "a test"), base_url=sandbox.url).token
    first, second = (open_session(Settings(token=token, base_url=sandbox.url)) for _ in range(2))
    logins.add("m3ter", first, typed=False)
    logins.add("m3ter", second, typed=False)

    assert first.get("products") == second.get("products")


def test_the_documented_code_run_as_printed_leaves_a_login_that_works(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%m3ter_login --show python")
    shell.run_cell(capsys.readouterr().out)
    assert os.environ.get("M3TER_API_TOKEN")
    try:
        shell.run_cell("%m3ter_login\nproducts = m3ter_session.get('products')")
    finally:
        del os.environ["M3TER_API_TOKEN"]

    assert shell.user_ns["products"]["data"] == []
    assert "M3TER_API_TOKEN in the environment is not used" in capsys.readouterr().out
