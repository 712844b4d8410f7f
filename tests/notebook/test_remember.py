"""``%m3ter_login --remember`` and what follows: the keychain instead of typing, and how to get out of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import keyring
import pytest
from IPython.core.completer import provisionalcompleter

from keychains import HangingKeyring, MemoryKeyring
from m3ter_nb.api.login import login
from m3ter_nb.auth.keychain import KEYCHAIN
from m3ter_nb.auth.settings import Settings
from m3ter_nb.errors import CredentialsMissing, InvalidArgument, KeychainUnavailable, UnsafeDestination
from m3ter_nb.notebook.by_form import FormLogin
from m3ter_nb.notebook.front_end import FrontEnd
from m3ter_nb.notebook.login_options import LoginOptions
from m3ter_nb.notebook.logins import Logins
from m3ter_nb.notebook.twin import SandboxControl
from m3ter_nb.sandbox import DEMO_ORG_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import Sandbox


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    """Return a keychain in memory, in use."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def environ(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Set a key of the sandbox in the environment; return a function that takes it out again."""
    key = sandbox.keys.create_key()
    values = {"M3TER_API_KEY": key.key_id, "M3TER_API_SECRET": key.secret, "M3TER_BASE_URL": sandbox.url}
    for name, value in values.items():
        monkeypatch.setenv(name, value)

    def take_out() -> None:
        for name in values:
            monkeypatch.delenv(name)

    return take_out


def run(shell: InteractiveShell, cell: str) -> None:
    """Run a cell that must not fail."""
    shell.run_cell(cell).raise_error()


def test_a_login_remembered_once_needs_nothing_the_next_time(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    environ: Callable[[], None],
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(shell, "%m3ter_login --remember")
    assert "Remembered as the profile default in the keychain of this computer." in capsys.readouterr().out
    environ()

    run(shell, "%m3ter_logout")
    said = " ".join(capsys.readouterr().out.split())
    assert "The profile default is remembered: %m3ter_login logs in again" in said
    run(shell, "%m3ter_login")
    run(shell, "m3ter_session.get('products')")

    shown = capsys.readouterr().out
    assert "the profile default in the keychain" in shown
    assert shell.user_ns["m3ter_session"].base_url == sandbox.url


def test_nothing_is_remembered_unasked(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None]
) -> None:
    for cell in (
        "%m3ter_login",
        "%m3ter_login --env",
        "%m3ter_status",
        "%m3ter GET products",
        "%m3ter_logout",
    ):
        run(shell, cell)

    assert memory.entries == {}


def test_the_status_says_what_is_kept_and_which_profiles_there_are(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None], sandbox: Sandbox
) -> None:
    run(shell, "%m3ter_login --remember --profile staging")

    status = repr(shell.run_line_magic("m3ter_status", ""))
    assert "the profile staging in the keychain" in status
    host = sandbox.url.removeprefix("http://")
    assert f"Remembered profiles: staging ({host})." in status.replace("\n", " ")
    run(shell, "%m3ter_logout")
    assert "Remembered profiles: staging" in repr(shell.run_line_magic("m3ter_status", ""))


def test_a_profile_goes_before_the_environment_where_it_is_named(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None], sandbox: Sandbox
) -> None:
    run(shell, "%m3ter_login --remember --profile staging")

    run(shell, "%m3ter_login --profile staging")

    assert shell.user_ns["m3ter_session"].credentials_source == "the profile staging in the keychain"


def test_forgetting_takes_the_profile_of_this_login_and_else_the_default(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    environ: Callable[[], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(shell, "%m3ter_login --remember")
    run(shell, "%m3ter_login --remember --profile staging")
    run(shell, "%m3ter_logout --forget")
    assert [name for _, name in memory.entries] == ["default"]
    said = " ".join(capsys.readouterr().out.split())
    assert "Logged out: token and credentials are forgotten. The profile staging is taken out" in said

    run(shell, "%m3ter_logout --forget")

    assert memory.entries == {}
    assert capsys.readouterr().out.startswith("The profile default is taken out of the keychain.")


def test_forgetting_by_name_needs_no_login(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None]
) -> None:
    run(shell, "%m3ter_login --remember --profile staging")
    run(shell, "%m3ter_logout")

    run(shell, "%m3ter_logout --forget staging")

    assert memory.entries == {}
    with pytest.raises(CredentialsMissing, match="No profile of that name is remembered"):
        run(shell, "%m3ter_logout --forget staging")


def test_forgetting_a_name_that_is_none_logs_out_nobody(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None]
) -> None:
    run(shell, "%m3ter_login --remember")

    with pytest.raises(CredentialsMissing, match="there are: default"):
        run(shell, "%m3ter_logout --forget defualt")

    assert "m3ter_session" in shell.user_ns


def test_the_sandbox_s_demo_is_not_remembered(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    sandbox_environ: Sandbox,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(shell, "%m3ter_login --remember")

    assert "Not remembered: the sandbox's demo key is public" in capsys.readouterr().out
    assert memory.entries == {}


def test_a_ready_token_is_not_remembered(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    environ: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(shell, "%m3ter_login")
    url = shell.user_ns["m3ter_session"].base_url
    token = shell.user_ns["m3ter_token"].reveal()
    environ()
    monkeypatch.setenv("M3TER_API_TOKEN", token)

    run(shell, f"%m3ter_login --remember --base-url {url}")

    assert "Not remembered: a ready token" in capsys.readouterr().out


def test_a_refused_login_is_not_remembered(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    environ: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("M3TER_API_SECRET", "another")

    shell.run_cell("%m3ter_login --remember")

    assert memory.entries == {}


def test_on_binder_nothing_is_remembered_and_it_says_why(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    environ: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BINDER_SERVICE_HOST", "x")

    run(shell, "%m3ter_login --remember")

    assert "Not remembered: Binder machines are public" in capsys.readouterr().out
    assert memory.entries == {}


def test_without_a_keychain_the_login_works_and_names_what_to_do(
    shell: InteractiveShell, environ: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%m3ter_login --remember")

    said = capsys.readouterr().out
    assert "Not remembered: this machine has no keychain" in said
    assert ".env" in said
    assert "m3ter_session" in shell.user_ns


def test_a_locked_keychain_is_said_and_the_login_goes_on_to_the_prompt(
    shell: InteractiveShell,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, backend = keyring.get_keyring(), HangingKeyring()
    keyring.set_keyring(backend)
    monkeypatch.setattr(KEYCHAIN, "_timeout", 0.05)
    key = sandbox.keys.create_key()
    monkeypatch.setattr("m3ter_nb.notebook.front_end.look_at", lambda _shell: FrontEnd(prompts=True))
    monkeypatch.setattr("builtins.input", lambda _prompt: key.key_id)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: key.secret)
    try:
        run(shell, f"%m3ter_login --base-url {sandbox.url}")
        assert "did not answer within 0.05 s" in capsys.readouterr().out
        assert "m3ter_session" in shell.user_ns

        with pytest.raises(KeychainUnavailable, match="locked"):
            run(shell, "%m3ter_login --profile staging")
    finally:
        backend.unlocked.set()
        KEYCHAIN._late.clear()
        keyring.set_keyring(before)


def test_a_profile_where_there_is_no_keychain_names_the_next_step(shell: InteractiveShell) -> None:
    with pytest.raises(KeychainUnavailable) as caught:
        run(shell, "%m3ter_login --profile staging")
    with pytest.raises(KeychainUnavailable) as kept:
        run(shell, "%m3ter_logout --forget staging")
    with pytest.raises(KeychainUnavailable, match=r"and leave profile= out\.$"):
        login(profile="staging")

    assert str(caught.value) == (
        "The profile cannot be read: this machine has no keychain that keyring recommends. Set M3TER_API_KEY and "
        "M3TER_API_SECRET in the environment or in a .env file, and leave --profile out."
    )
    assert str(kept.value) == (
        "Nothing was forgotten: this machine has no keychain that keyring recommends. Without a keychain nothing is "
        "remembered."
    )


def test_a_prompt_can_be_remembered_under_a_name(
    shell: InteractiveShell, memory: MemoryKeyring, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = sandbox.keys.create_key()
    monkeypatch.setattr("m3ter_nb.notebook.front_end.look_at", lambda _shell: FrontEnd(prompts=True))
    monkeypatch.setattr("builtins.input", lambda _prompt: key.key_id)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: key.secret)

    run(shell, f"%m3ter_login --prompt --remember --profile staging --base-url {sandbox.url}")

    kept: dict[str, Any] = json.loads(memory.entries["m3ter_nb", "staging"])
    assert kept == {
        "profile": "staging",
        "host": sandbox.url,
        "org_id": DEMO_ORG_ID,
        "key_id": key.key_id,
        "secret": key.secret,
    }


def test_a_second_profile_is_not_made_of_the_first(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None]
) -> None:
    """``--remember`` asks for credentials to keep: those that are kept are none."""
    run(shell, "%m3ter_login --remember")
    environ()

    with pytest.raises(CredentialsMissing):
        run(shell, "%m3ter_login --remember --profile staging")

    assert [name for _, name in memory.entries] == ["default"]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("--profile staging --env", InvalidArgument),
        ("--profile staging --prompt", InvalidArgument),
        ("--profile 5ecret!", InvalidArgument),
        ("--profile 5ecret", CredentialsMissing),
        ("--profile default --base-url https://b.example", UnsafeDestination),
    ],
)
def test_what_does_not_go_together_is_an_error_that_repeats_no_word(
    shell: InteractiveShell,
    memory: MemoryKeyring,
    environ: Callable[[], None],
    line: str,
    error: type[Exception],
) -> None:
    run(shell, "%m3ter_login --remember")

    with pytest.raises(error) as caught:
        run(shell, f"%m3ter_login {line}")

    assert "5ecret" not in str(caught.value)


def test_a_host_set_by_config_must_be_the_remembered_one(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None]
) -> None:
    run(shell, "%m3ter_login --remember")
    environ()
    run(shell, "%config M3terMagics.base_url = 'https://b.example'")

    with pytest.raises(UnsafeDestination, match=r"b\.example"):
        run(shell, "%m3ter_login")


@pytest.mark.parametrize("before", ["%m3ter_login --profile ", "%m3ter_logout --forget "])
def test_tab_completes_the_profiles_names(
    shell: InteractiveShell, memory: MemoryKeyring, environ: Callable[[], None], before: str
) -> None:
    for name in ("staging", "production"):
        run(shell, f"%m3ter_login --remember --profile {name}")

    with provisionalcompleter():
        offered = [completion.text for completion in shell.Completer.completions(before, len(before))]

    assert offered == ["production", "staging"]


@pytest.fixture
def form_of(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> Callable[..., FormLogin]:
    """Return a function that makes the form of a login to the sandbox."""

    def make(**options: Any) -> FormLogin:
        return FormLogin(
            Logins({}),
            SandboxControl(),
            LoginOptions(base_url=sandbox.url, **options),
            Settings(),
            place="",
            notice="",
            notify=print,
        )

    return make


def submit(form: FormLogin, sandbox: Sandbox, **content: Any) -> str:
    """Submit a key of the sandbox, and return what the card says at its end."""
    key = sandbox.keys.create_key()
    fields = {"key_id": key.key_id, "secret": key.secret}
    form.widget._handle_custom_msg({"type": "submit", "turn": form.widget.turn, **fields, **content}, [])
    assert form.widget.phase == "in"
    notes: list[str] = form.widget.card["notes"]
    return notes[-1]


def test_the_form_s_tick_remembers_and_is_off_by_default(
    form_of: Callable[..., FormLogin], memory: MemoryKeyring, sandbox: Sandbox
) -> None:
    form = form_of()
    assert (form.widget.remember_offered, form.widget.remember) == (True, False)
    assert "tick Remember on this computer the next time" in submit(form, sandbox)
    assert memory.entries == {}

    said = submit(form_of(profile="staging"), sandbox, remember=True)

    assert said == "Remembered as the profile staging in the keychain of this computer."
    assert [name for _, name in memory.entries] == ["staging"]


def test_remember_on_the_magic_s_line_turns_the_tick_on(
    form_of: Callable[..., FormLogin], memory: MemoryKeyring, sandbox: Sandbox
) -> None:
    form = form_of(remember=True)

    assert form.widget.remember
    submit(form, sandbox)  # somebody took the tick out
    assert memory.entries == {}


def test_where_there_is_no_keychain_the_form_has_no_tick_and_one_line_says_what_to_do(
    form_of: Callable[..., FormLogin], sandbox: Sandbox
) -> None:
    form = form_of()

    assert not form.widget.remember_offered
    assert "set M3TER_API_KEY and M3TER_API_SECRET" in submit(form, sandbox, remember=True)
    assert submit(form_of(remember=True), sandbox).startswith("Not remembered: this machine has no keychain")


def test_on_a_platform_the_form_has_no_tick(
    form_of: Callable[..., FormLogin], memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")

    assert not form_of().widget.remember_offered
