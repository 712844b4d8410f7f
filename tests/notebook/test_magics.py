"""The magics in a shell, against the sandbox."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from IPython.core.oinspect import getdoc

from m3ter_nb.errors import (
    ConfirmationNeeded,
    ConnectionFailed,
    CredentialsMissing,
    InvalidArgument,
    LoginRefused,
    NotLoggedIn,
    OrganizationMismatch,
    RateLimited,
    ServerError,
    UnsafeDestination,
)
from m3ter_nb.sandbox import DEMO_ORG_ID, Sandbox
from odd_servers import OddServer, answer, token_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell


def run(shell: InteractiveShell, line: str) -> Any:
    """Run a line magic as a cell would; its error is raised."""
    name, _, arguments = line.removeprefix("%").partition(" ")
    return shell.run_line_magic(name, arguments)


def run_cell(shell: InteractiveShell, source: str) -> Any:
    """Run a whole cell, hooks included, and return its value."""
    result = shell.run_cell(source)
    result.raise_error()
    return result.result


def test_login_binds_a_token_and_a_session_that_work(
    shell: InteractiveShell, sandbox_environ: Sandbox
) -> None:
    run(shell, "%m3ter_login")

    token, session = shell.user_ns["m3ter_token"], shell.user_ns["m3ter_session"]
    answer = requests.get(
        f"{sandbox_environ.url}/organizations/{DEMO_ORG_ID}/products",
        headers={"Authorization": f"Bearer {token}"},
        timeout=10,
    )
    assert answer.status_code == 200
    assert session.get("products") == {"data": []}


def test_a_login_shows_its_card_who_where_from_and_for_how_long(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cell(shell, "login = %m3ter_login")

    assert capsys.readouterr().out.splitlines() == [
        "Logged in to m3ter  [SANDBOX]",
        f"  Organization      m3ter_nb sandbox ({DEMO_ORG_ID})",
        "  Service user      Sandbox administrator",
        f"  Host              {sandbox_environ.url.removeprefix('http://')}",
        "  Credentials from  the environment",
        "  Ready to use      m3ter_token, m3ter_session",
        "  Time left         4 h 59 min, renews by itself",
    ]


def test_a_login_asks_who_it_is_once_on_the_same_connection(
    shell: InteractiveShell, sandbox_environ: Sandbox
) -> None:
    run(shell, "%m3ter_login")
    run(shell, "%m3ter_status")

    assert [record.path.rpartition("/")[2] for record in sandbox_environ.log] == ["token", "me"]


def test_a_login_that_may_not_ask_who_it_is_shows_a_card_of_unknown_type(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox_environ.faults.fail(403, path="users/me")
    run(shell, "%m3ter_login")

    said = capsys.readouterr().out
    assert said.startswith("Logged in to m3ter  [UNKNOWN]\n")
    assert f"  Organization      {DEMO_ORG_ID}\n" in said
    assert "Service user" not in said


def test_login_is_said_once_where_its_value_is_displayed(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run_cell(shell, "%m3ter_login")

    assert capsys.readouterr().out.count("Logged in to") == 1


def test_a_login_assigned_to_a_name_can_be_shown_in_a_later_cell(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("login = %m3ter_login", store_history=True).raise_error()
    capsys.readouterr()
    shell.run_cell("login", store_history=True).raise_error()

    assert capsys.readouterr().out.count("Logged in to") == 1


def test_a_login_says_so_before_the_next_line_of_its_cell_runs(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%m3ter_login\nprint('the next line')").raise_error()

    said = capsys.readouterr().out
    assert said.index("Logged in to") < said.index("the next line")


def test_login_where_nobody_can_type_names_the_variables(shell: InteractiveShell) -> None:
    with pytest.raises(CredentialsMissing, match=r"nobody can type here.*M3TER_API_KEY and M3TER_API_SECRET"):
        run(shell, "%m3ter_login")


def test_login_form_where_nobody_can_type_falls_back_to_the_environment_and_says_so(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%m3ter_login --form")

    said = " ".join(capsys.readouterr().out.split())
    assert "Nobody can fill a form here: logging in with the credentials from the environment." in said
    assert shell.user_ns["m3ter_session"].org_id == DEMO_ORG_ID


@pytest.mark.parametrize(("name", "quote"), [("staging.env", ""), ("my keys.env", '"'), ("my keys.env", "'")])
def test_login_env_takes_a_named_file(
    shell: InteractiveShell, sandbox: Sandbox, tmp_path: Path, name: str, quote: str
) -> None:
    file = tmp_path / name
    file.write_text("".join(f"{variable}={value}\n" for variable, value in sandbox.environ.items()))

    run(shell, f"%m3ter_login --env {quote}{file}{quote}")

    assert shell.user_ns["m3ter_session"].credentials_source == str(file)
    assert "M3TER_API_SECRET" not in os.environ


def test_two_logins_live_side_by_side(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login")
    run(shell, "%m3ter_login --name staging")
    run(shell, "%m3ter_logout --name staging")

    assert "staging_token" not in shell.user_ns
    assert "staging_session" not in shell.user_ns
    assert shell.user_ns["m3ter_session"].get("products") == {"data": []}


@pytest.mark.parametrize(
    "line",
    [
        "%m3ter_login sandbox-demo s3cr3t-8471",
        "%m3ter_login --secret=s3cr3t-8471",
        "%m3ter_login --secret s3cr3t-8471",
        "%m3ter_login --api-secret 's3cr3t-8471",
        "%m3ter_login --name s3cr3t-8471",
        "%m3ter_login --form --prompt s3cr3t-8471",
    ],
)
def test_a_secret_as_an_argument_is_refused_without_repeating_it(
    shell: InteractiveShell, sandbox_environ: Sandbox, line: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        run(shell, line)

    assert "s3cr3t-8471" not in str(caught.value)
    assert sandbox_environ.log == []


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("%m3ter_login --base-url http://api.m3ter.com", UnsafeDestination),
        ("%m3ter_login --base-url api.m3ter.com", InvalidArgument),
        ("%m3ter_login --base-url http://127.0.0.1:1", ConnectionFailed),
        ("%m3ter_login --base-url https://no-such-host.invalid", ConnectionFailed),
        ("%m3ter_login --org-id 81c49a54-dfcd-4da5-bbf3-d2885ec025dd", OrganizationMismatch),
        ("%m3ter_login --form --prompt", InvalidArgument),
        ("%m3ter_login --prompt", CredentialsMissing),
        ("%m3ter_login --name 1a", InvalidArgument),
        ("%m3ter_login --env none.env", InvalidArgument),
        ("%m3ter_login --nmae x", InvalidArgument),
        ("%m3ter_sandbox begin", InvalidArgument),
        ("%m3ter_sandbox --port x", InvalidArgument),
        ("%m3ter_sandbox reset", InvalidArgument),
        ("%m3ter GET products", NotLoggedIn),
        ("%m3ter", InvalidArgument),
    ],
)
def test_bad_input_is_a_one_line_error_that_binds_nothing(
    shell: InteractiveShell, sandbox_environ: Sandbox, line: str, error: type[Exception]
) -> None:
    result = shell.run_cell(line)

    assert isinstance(result.error_in_exec, error)
    rendered = result.error_in_exec._render_traceback_()
    assert len(rendered) == 1
    assert "\n" not in rendered[0]
    assert "m3ter_token" not in shell.user_ns


def test_a_refused_login_keeps_the_login_that_was_there(
    shell: InteractiveShell, sandbox_environ: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(shell, "%m3ter_login")
    token = shell.user_ns["m3ter_token"]
    monkeypatch.setenv("M3TER_API_SECRET", "wrong")

    with pytest.raises(LoginRefused):
        run(shell, "%m3ter_login")

    assert shell.user_ns["m3ter_token"] is token
    assert shell.user_ns["m3ter_session"].get("products") == {"data": []}


def test_status_tells_who_where_from_and_how_long(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login --no-refresh")

    status = run(shell, "%m3ter_status")

    lines = dict(status.lines)
    assert status.badge == "SANDBOX"
    assert lines["Organization"] == f"m3ter_nb sandbox ({DEMO_ORG_ID})"
    assert lines["Service user"] == "Sandbox administrator"
    assert lines["Credentials from"] == "the environment"
    assert lines["Time left"] == "4 h 59 min, not renewed"
    assert ">Logged in to m3ter</span>" in status._repr_html_()


def test_status_without_a_login_says_what_to_run(shell: InteractiveShell) -> None:
    assert repr(run(shell, "%m3ter_status")) == "Not logged in: run %m3ter_login first."


def test_logout_forgets_and_says_that_the_environment_would_log_in_again(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%m3ter_login")
    session = shell.user_ns["m3ter_session"]
    run(shell, "%m3ter_logout")

    assert "Credentials are still in the environment" in " ".join(capsys.readouterr().out.split())
    assert "m3ter_token" not in shell.user_ns
    with pytest.raises(NotLoggedIn):
        session.get("products")


def test_what_a_magic_says_is_broken_between_its_words(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%m3ter_login")
    capsys.readouterr()
    run(shell, "%m3ter_logout")

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 80
    assert " ".join(lines) == (
        "Logged out: token and credentials are forgotten. Credentials are still in the environment: "
        "%m3ter_login logs in again without asking."
    )


def test_after_a_logout_what_needs_a_login_says_how_to_get_back_in(
    shell: InteractiveShell, sandbox_environ: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(shell, "%m3ter_login")
    monkeypatch.delenv("M3TER_API_SECRET")
    run(shell, "%m3ter_logout")

    assert repr(run(shell, "%m3ter_status")) == "Logged out: %m3ter_login logs in again."
    with pytest.raises(NotLoggedIn, match=r"^Logged out: %m3ter_login logs in again\.$"):
        run(shell, "%m3ter GET products")


def test_logout_leaves_a_name_that_the_user_bound_anew(
    shell: InteractiveShell, sandbox_environ: Sandbox
) -> None:
    run(shell, "%m3ter_login")
    shell.user_ns["m3ter_token"] = "mine"
    run(shell, "%m3ter_logout")

    assert shell.user_ns["m3ter_token"] == "mine"


def test_the_sandbox_magic_sets_the_environment_and_takes_it_back(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M3TER_ORG_ID", "mine")
    monkeypatch.setenv("M3TER_API_TOKEN", "eyJ.a.b")

    status = run(shell, "%m3ter_sandbox --token-lifetime 60")
    assert os.environ["M3TER_BASE_URL"] == status.url
    assert "M3TER_API_TOKEN" not in os.environ
    run(shell, "%m3ter_login")
    assert shell.user_ns["m3ter_token"].lifetime == 60
    run(shell, "%m3ter_sandbox stop")

    assert "M3TER_BASE_URL" not in os.environ
    assert (os.environ["M3TER_ORG_ID"], os.environ["M3TER_API_TOKEN"]) == ("mine", "eyJ.a.b")


@pytest.mark.parametrize(("name", "option"), [("m3ter", ""), ("trial", " --name trial")])
def test_status_says_of_a_login_that_its_sandbox_has_stopped_and_what_starts_one(
    shell: InteractiveShell, name: str, option: str
) -> None:
    run(shell, "%m3ter_sandbox")
    run(shell, f"%m3ter_login --name {name}")
    runs = repr(run(shell, f"%m3ter_status --name {name}"))
    run(shell, "%m3ter_sandbox stop")
    stopped = repr(run(shell, f"%m3ter_status --name {name}"))
    run(shell, "%m3ter_sandbox")
    elsewhere = repr(run(shell, f"%m3ter_status --name {name}"))
    run(shell, f"%m3ter_login --name {name}")

    assert "Ready to use" in runs
    assert stopped == elsewhere
    assert stopped == (
        f"The sandbox that {name}_session is logged in to has stopped: %m3ter_sandbox starts one, and %m3ter_login{option} "
        "logs in to it."
    )
    assert "Ready to use" in repr(run(shell, f"%m3ter_status --name {name}"))


@pytest.mark.parametrize("action", ["refuse", "accept"])
def test_a_key_that_the_sandbox_does_not_have_is_answered_with_what_a_line_can_do(
    shell: InteractiveShell, action: str
) -> None:
    run(shell, "%m3ter_sandbox")
    with pytest.raises(InvalidArgument) as caught:
        run(shell, f"%m3ter_sandbox {action} no-such-key")

    said = f"%m3ter_sandbox {action}"
    assert str(caught.value) == f"The sandbox has no such access key. {said} alone means its demo key."


def test_the_sandbox_names_the_module_that_is_missing() -> None:
    script = (
        "import sys; sys.modules['fastjsonschema'] = None\n"
        "from m3ter_nb.notebook.twin import SandboxControl\n"
        "try:\n    SandboxControl().start()\nexcept Exception as error:\n    print(type(error).__name__, error)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout.startswith(
        "MissingExtra The sandbox needs fastjsonschema, which is not installed: run  %pip"
    )


def test_the_sandbox_magic_hands_its_switches_on(shell: InteractiveShell) -> None:
    status = run(shell, "%m3ter_sandbox --visible-after 60")

    assert status.sandbox._world.visible_after == 60


def test_the_sandbox_magic_twice_gives_the_same_sandbox(shell: InteractiveShell) -> None:
    first = run(shell, "%m3ter_sandbox")
    second = run(shell, "%m3ter_sandbox start")

    assert first.url == second.url
    with pytest.raises(InvalidArgument, match="runs already"):
        run(shell, "%m3ter_sandbox --port 1234")


def test_a_sandbox_that_stopped_by_itself_does_not_take_the_place_of_the_users_variables(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", "https://mine.example")
    run(shell, "%m3ter_sandbox").sandbox.stop()
    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_sandbox stop")

    assert os.environ["M3TER_BASE_URL"] == "https://mine.example"


@pytest.mark.parametrize(
    "line",
    [
        "fail abc",
        "fail 503 --times 0",
        "delay nan",
        "delay -1",
        "fail 429 --retry-after -3",
        "stop now",
        "drop 3",
    ],
)
def test_trouble_that_cannot_be_is_refused(shell: InteractiveShell, line: str) -> None:
    run(shell, "%m3ter_sandbox")
    with pytest.raises(InvalidArgument):
        run(shell, f"%m3ter_sandbox {line}")


def test_the_sandbox_lists_its_assumptions_on_request_and_reset_empties_it(shell: InteractiveShell) -> None:
    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_login")
    run(shell, '%m3ter POST products --body {"name":"P","code":"p"}')
    status = run(shell, "%m3ter_sandbox status")
    listed = run(shell, "%m3ter_sandbox assumptions")
    run(shell, "%m3ter_sandbox reset")

    assert len(repr(status).splitlines()) < 12
    assert "%m3ter_sandbox assumptions lists" in repr(status)
    assert all(assumption in repr(listed) for assumption in status.sandbox.assumptions)
    assert run(shell, "%m3ter GET products --all") == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("fail 500", "ServerError"),
        ("expire", "Forbidden"),
        ("cut", "ConnectionBroken"),
        ("fail 418 --times 1", "BadRequest"),
    ],
)
def test_the_sandbox_magic_makes_trouble_on_demand(shell: InteractiveShell, fault: str, error: str) -> None:
    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_login --no-refresh")
    shell.user_ns["body"] = {"name": "P", "code": "p"}
    run(shell, f"%m3ter_sandbox {fault}")

    result = shell.run_cell("%m3ter POST products --body body")

    assert type(result.error_in_exec).__name__ == error


def test_the_sandbox_magic_refuses_a_key_until_it_is_accepted(shell: InteractiveShell) -> None:
    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_sandbox refuse")
    with pytest.raises(LoginRefused):
        run(shell, "%m3ter_login")
    run(shell, "%m3ter_sandbox accept")
    run(shell, "%m3ter_login")

    log = run(shell, "%m3ter_sandbox log")

    assert log.lines[:2] == (("POST 401", "/oauth/token"), ("POST 200", "/oauth/token"))


def test_a_fault_that_is_none_is_an_error(shell: InteractiveShell) -> None:
    run(shell, "%m3ter_sandbox")
    with pytest.raises(InvalidArgument, match="from 400 to 599, not 200"):
        run(shell, "%m3ter_sandbox fail 200")


def test_the_sandbox_asks_to_come_back_later(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login")
    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_login")
    run(shell, "%m3ter_sandbox fail 429 --retry-after 99.5")

    with pytest.raises(RateLimited, match=r"Try again in 100 s\."):
        run(shell, "%m3ter GET products")


def test_a_cell_is_a_json_body_with_values_of_the_namespace(
    shell: InteractiveShell, sandbox_environ: Sandbox
) -> None:
    run(shell, "%m3ter_login")
    shell.user_ns["name"] = 'with "quotes"'

    created = shell.run_cell_magic("m3ter", "POST products", '{"name": {{name}}, "code": "c"}')

    assert created["name"] == 'with "quotes"'
    assert run(shell, "%m3ter GET products/{{" + repr(created["id"]) + "}}") == created


@pytest.mark.parametrize("language", ["curl", "python"])
def test_what_show_prints_of_a_put_names_the_version_that_would_be_sent(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    run(shell, "%m3ter_login")
    created = run(shell, '%m3ter POST products --body {"name":"P","code":"p"}')
    capsys.readouterr()

    run(shell, f'%m3ter PUT products/{created["id"]} --body {{"name":"Q","code":"p"}} --show {language}')

    assert "version" in capsys.readouterr().out
    assert [record.method for record in sandbox_environ.log if record.path.endswith(created["id"])] == []


def test_all_follows_the_pages_and_limit_stops(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login")
    for number in range(5):
        shell.user_ns["m3ter_session"].post("products", json={"name": "P", "code": f"p{number}"})

    assert len(run(shell, "%m3ter GET products --all pageSize=2")) == 5
    assert [item["code"] for item in run(shell, "%m3ter GET products --limit 3")] == ["p4", "p3", "p2"]


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("--limit 3", True),
        ("--limit 4 pageSize=3", True),  # in the middle of a page
        ("--limit 5", False),
        ("--limit 5 pageSize=2", False),
        ("--limit 6", False),
        ("--all", False),
    ],
)
def test_a_limited_list_says_whether_there_are_more(
    shell: InteractiveShell, sandbox_environ: Sandbox, line: str, *, more: bool
) -> None:
    run(shell, "%m3ter_login")
    for number in range(5):
        shell.user_ns["m3ter_session"].post("products", json={"name": "P", "code": f"p{number}"})

    shown = run(shell, f"%m3ter GET products {line}")

    assert shown.limited is more
    for text in (str(shown), shown._repr_html_(), str(shown.copy())):
        assert ("there are more: --all reads them, or a larger --limit" in text) is more


def break_off_after_three(shell: InteractiveShell, happens: Callable[[], object]) -> None:
    """Log in, make five products, and have something happen where a second page is asked for."""
    run(shell, "%m3ter_login")
    session = shell.user_ns["m3ter_session"]
    for number in range(5):
        session.post("products", json={"name": "P", "code": f"p{number}"})
    exchange = session.exchange

    def first_page_alone(method: str, path: str, params: Any = None, *rest: Any) -> Any:
        if params is not None and "nextToken" in params:
            happens()
        return exchange(method, path, params, *rest)

    session.exchange = first_page_alone


def test_an_interrupted_all_keeps_what_came_and_says_that_it_is_partial(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    break_off_after_three(shell, interrupt)
    items = run(shell, "%m3ter GET products pageSize=3 --all")

    assert (len(items), items.partial) == (3, True)
    assert "the list is partial" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--all", "--limit 5"])
def test_an_error_in_mid_list_fails_the_cell_and_carries_what_came(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    def fail() -> None:
        sandbox_environ.faults.fail(500)
        shell.user_ns["m3ter_session"].get("products")

    break_off_after_three(shell, fail)
    capsys.readouterr()
    result = shell.run_cell(f"items = %m3ter GET products pageSize=3 {option}\nafter = 1")

    error = result.error_in_exec
    assert isinstance(error, ServerError)
    assert str(error).endswith("The 3 items that came before are in sys.last_value.items.")
    assert [item["code"] for item in error.items] == ["p4", "p3", "p2"]
    assert error.items.partial
    assert "after" not in shell.user_ns
    assert "items/s" not in "".join(capsys.readouterr())


def test_a_long_list_has_a_progress_bar_and_a_short_one_has_none(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(shell, "%m3ter_login")
    for number in range(3):
        shell.user_ns["m3ter_session"].post("products", json={"name": "P", "code": f"p{number}"})
    capsys.readouterr()
    run(shell, "%m3ter GET products --all")
    short = capsys.readouterr()
    monkeypatch.setattr("m3ter_nb.notebook.call._PROGRESS_DELAY", 0.0)
    items = run(shell, "%m3ter GET products --all")
    long = capsys.readouterr()

    assert short.err == ""
    assert "products: " in long.err
    assert len(items) == 3


@pytest.mark.parametrize(("option", "size"), [("--all", "200"), ("--limit 7", "7")])
def test_what_show_prints_of_a_list_is_its_first_page_and_says_so(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    capsys: pytest.CaptureFixture[str],
    option: str,
    size: str,
) -> None:
    run(shell, "%m3ter_login")
    capsys.readouterr()

    run(shell, f"%m3ter GET products {option} --show curl")

    shown = capsys.readouterr().out
    assert shown.startswith("# One page; the next one: ")
    assert f"products?pageSize={size}" in shown


def test_a_deletion_says_what_was_deleted(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login")
    product = run(shell, '%m3ter POST products --body {"name":"Storage","code":"storage"}')

    gone = run(shell, f"%m3ter DELETE products/{product['id']}")

    assert gone == product
    assert "Storage" in str(gone)
    assert str(gone).splitlines()[-1] == "Deleted: this is what it was."
    assert ">Deleted: this is what it was.</p>" in gone._repr_html_()
    assert "Deleted" not in str(product)


def test_a_deletion_without_an_answer_is_said(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with OddServer(
        lambda seen: [
            token_answer() if "token" in seen.target else answer(204 if seen.method == "DELETE" else 404)
        ]
    ) as server:
        for name, value in {"KEY": "key", "SECRET": "secret-8471", "ORG_ID": "org"}.items():
            monkeypatch.setenv(f"M3TER_{name if name == 'ORG_ID' else 'API_' + name}", value)
        monkeypatch.setenv("M3TER_BASE_URL", server.url)
        run(shell, "%m3ter_login")

        assert run(shell, "%m3ter DELETE products/1 --yes") is None

    assert "Deleted: products/1\n" in capsys.readouterr().out


def test_a_write_to_production_needs_a_confirmation_that_nobody_here_can_give(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(organization_type="PRODUCTION") as production:
        for name, value in production.environ.items():
            monkeypatch.setenv(name, value)
        run(shell, "%m3ter_login")
        body = '--body {"name":"P","code":"p"}'

        with pytest.raises(ConfirmationNeeded, match="--yes"):
            run(shell, f"%m3ter POST products {body}")
        assert run(shell, "%m3ter GET products --all") == []
        with pytest.raises(ConfirmationNeeded):
            run(shell, "%m3ter DELETE dataexplorer/bills")
        run(shell, f"%m3ter POST products --yes {body}")
        assert len(run(shell, "%m3ter GET products --all")) == 1


def test_a_write_to_production_asks_once(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = iter(["n", "yes"])

    def answer(question: str) -> str:
        asked.append(question)
        return next(answers)

    monkeypatch.setattr("builtins.input", answer)
    monkeypatch.setattr("m3ter_nb.notebook.front_end.can_prompt", lambda _shell: True)
    with Sandbox(organization_type="PRODUCTION") as production:
        for name, value in production.environ.items():
            monkeypatch.setenv(name, value)
        run(shell, "%m3ter_login")

        with pytest.raises(ConfirmationNeeded, match="nothing was sent"):
            run(shell, '%m3ter POST products --body {"name":"P","code":"p"}')
        run(shell, '%m3ter POST products --body {"name":"P","code":"p"}')
        run(shell, '%m3ter POST products --body {"name":"Q","code":"q"}')

    assert len(asked) == 2
    assert "PRODUCTION" in asked[0]


def test_config_sets_host_timeout_and_margin(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    shell.run_cell("%config M3terMagics.base_url = 'http://127.0.0.1:1'").raise_error()
    shell.run_cell("%config M3terMagics.refresh_margin = 17.0").raise_error()
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1 refused"):
        run(shell, "%m3ter_login")
    shell.run_cell("%config M3terMagics.base_url = ''").raise_error()
    run(shell, "%m3ter_login")

    assert shell.user_ns["m3ter_session"].source.margin == 17.0


def test_a_refused_setting_does_not_keep_the_extension_from_loading_again(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%config M3terMagics.read_timeout = -1")
    shell.extension_manager.reload_extension("m3ter_nb")

    assert "the defaults are used" in capsys.readouterr().out
    run(shell, "%m3ter_login")
    shell.extension_manager.unload_extension("m3ter_nb")
    assert not [known for known in shell.configurables if type(known).__name__ == "M3terMagics"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("%m3ter_login --pro", "--prompt"),
        ("%m3ter_login --org", "--org-id"),
        ("%m3ter_login --no-", "--no-refresh"),
        ("%m3ter_status --n", "--name"),
        ("%m3ter_sandbox st", "status"),
        ("%m3ter_sandbox --tok", "--token-lifetime"),
        ("%m3ter G", "GET"),
        ("%m3ter GET prod", "products"),
        ("x = %m3ter GET products --a", "--all"),
        ("%m3ter GET products --show c", "curl"),
        ("%%m3ter PO", "POST"),
        ('x["a"] = %m3ter GET prod', "products"),
        ("%time %m3ter GET prod", "products"),
        ("%m3ter_login --show ", "curl"),
        ("%m3ter_login --show py", "python"),
        ("%m3ter_sandbox fail 503 --t", "--times"),
    ],
)
def test_tab_completes_options(shell: InteractiveShell, typed: str, offered: str) -> None:
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        completions = list(shell.Completer.completions(typed, len(typed)))

    assert typed.rpartition(" ")[0] + " " + offered in {
        typed[: completion.start] + completion.text for completion in completions
    }


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "x = 1\n", "for n in range(3):\n", "%m3ter_login\n"])
def test_tab_on_an_empty_line_is_left_to_others(
    shell: InteractiveShell, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        list(shell.Completer.completions(text, len(text)))

    assert capsys.readouterr().err == ""


def test_help_explains_to_a_newcomer(shell: InteractiveShell) -> None:
    help_text = getdoc(shell.find_line_magic("m3ter_login")) or ""

    assert "get a bearer token" in help_text
    assert "--org-id ID" in help_text
    assert "M3TER_API_KEY and M3TER_API_SECRET" in help_text
    assert "Never write a key or a secret on this line" in help_text


def test_unload_says_what_has_ended_and_is_silent_where_nothing_has(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.extension_manager.reload_extension("m3ter_nb")
    silent = capsys.readouterr().out
    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_login")
    shell.extension_manager.reload_extension("m3ter_nb")

    assert silent == ""
    assert "unloaded: logged out and the sandbox has stopped." in capsys.readouterr().out


def test_unload_loads_no_magics_that_nobody_used(shell: InteractiveShell) -> None:
    """IPython imports most of its own magics when they are first looked at."""
    loaded = set(shell.magics_manager.registry)

    shell.extension_manager.unload_extension("m3ter_nb")

    assert set(shell.magics_manager.registry) == loaded - {"M3terMagics"}


def test_unload_takes_back_everything(shell: InteractiveShell) -> None:
    from IPython.core.interactiveshell import InteractiveShell as Plain

    run(shell, "%m3ter_sandbox")
    run(shell, "%m3ter_login")
    run(shell, "%m3ter_login --name other")
    shell.extension_manager.unload_extension("m3ter_nb")

    left = {
        name for kind in shell.magics_manager.magics.values() for name in kind if name.startswith("m3ter")
    }
    assert left == set()
    assert not [name for name in shell.user_ns if name.startswith(("m3ter_t", "m3ter_s", "other_"))]
    assert not [name for name in os.environ if name.startswith("M3TER_")]
    assert shell.Completer.custom_matchers == []
    assert "M3terMagics" not in [type(item).__name__ for item in shell.configurables]
    fresh = Plain(config=shell.config)
    atexit.unregister(fresh.atexit_operations)
    for event in ("pre_run_cell", "post_run_cell"):
        assert len(shell.events.callbacks[event]) == len(fresh.events.callbacks[event])


def test_reload_works_any_number_of_times(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    for _ in range(3):
        shell.extension_manager.reload_extension("m3ter_nb")
    run(shell, "%m3ter_login")

    assert shell.user_ns["m3ter_session"].get("products") == {"data": []}
    assert len(shell.Completer.custom_matchers) == 1


def test_within_a_function_its_own_names_are_meant(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login")
    keep, old = (
        run(shell, f'%m3ter POST products --body {{"name":"{code}","code":"{code}"}}')
        for code in ("keep", "old")
    )
    shell.user_ns |= {"product_id": keep["id"], "old": old["id"]}

    shell.run_cell(
        "def remove(product_id):\n"
        "    note = {'name': 'new', 'code': product_id[:8]}\n"
        "    made = %m3ter POST products --body note\n"
        "    gone = %m3ter DELETE products/{{product_id}}\n"
        "    return gone, made\n"
        "gone, made = remove(old)"
    ).raise_error()

    assert shell.user_ns["gone"]["id"] == old["id"]
    assert shell.user_ns["made"]["code"] == old["id"][:8]
    assert run(shell, "%m3ter GET products/" + keep["id"])["code"] == "keep"


@pytest.mark.parametrize(
    "line",
    [
        "%m3ter_login  # as the environment says",
        "%m3ter_login ;",
        "%m3ter_login --name other  # it's another one",
        "%m3ter_status # who",
        "%m3ter GET products # all of them",
        "%m3ter GET products;",
        "%m3ter GET products pageSize=2 ;  # two",
        "%m3ter --all GET products",
        "%m3ter GET --limit 3 products",
        "%m3ter_sandbox status  # how is it?",
        "%m3ter_logout # bye",
    ],
)
def test_comments_and_semicolons_at_the_end_of_a_line_are_no_words(
    shell: InteractiveShell, sandbox_environ: Sandbox, line: str
) -> None:
    run(shell, "%m3ter_login")

    shell.run_cell(line).raise_error()


def test_a_number_sign_in_a_word_or_in_quotes_is_no_comment(
    shell: InteractiveShell, sandbox: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "key #1.env"
    file.write_text("".join(f"{variable}={value}\n" for variable, value in sandbox.environ.items()))

    run(shell, f'%m3ter_login --env "{file}"')
    created = run(shell, '%m3ter POST products --body {"name":"A#1;","code":"c"}')

    assert created["name"] == "A#1;"


def test_two_logins_in_one_cell_are_both_told(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%m3ter_login --name first\n%m3ter_login --name second").raise_error()

    told = capsys.readouterr().out
    assert told.index("first_token, first_session") < told.index("second_token, second_session")


def test_refusals_name_what_whoever_reads_them_can_type(
    shell: InteractiveShell, sandbox_environ: Sandbox
) -> None:
    shell.run_line_magic("m3ter_login", "")
    of_magic = shell.run_cell('%m3ter POST products --body {"name": ""}').error_in_exec
    of_python = shell.run_cell('m3ter_session.post("products", {"name": ""})').error_in_exec

    assert "--show curl shows what was sent" in str(of_magic)
    assert "--show" not in str(of_python)


def test_a_logout_of_a_name_that_is_not_logged_in_says_who_is(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell("%m3ter_login")
    capsys.readouterr()

    shell.run_cell("%m3ter_logout --name stagin")

    assert capsys.readouterr().out.startswith("Not logged in under this name. Logged in: m3ter. ")
    assert "m3ter_session" in shell.user_ns


@pytest.mark.parametrize("name", ["refresh_margin", "connect_timeout", "read_timeout", "total_timeout"])
def test_a_configured_number_that_is_none_is_named_by_the_login_that_meets_it(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    shell.run_cell(f"%config M3terMagics.{name} = float('nan')")
    shell.run_cell("%m3ter_login")

    said = capsys.readouterr().out
    assert "InvalidArgument: " in said
    assert name in said
    assert sandbox_environ.log == []
