"""Whatever the source, what copying leaves around a key, a secret or a token is taken off before it is sent."""

from __future__ import annotations

import builtins
import getpass
import json
import sys
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import keyring
import pytest

import m3ter_nb
from keychains import MemoryKeyring
from m3ter_nb.__main__ import main
from m3ter_nb.auth import platforms
from m3ter_nb.auth.bound import recall
from m3ter_nb.auth.platforms import platform_secrets
from m3ter_nb.auth.settings import find_settings
from m3ter_nb.notebook.by_prompt import ask_credentials
from worn import WORN, in_full_width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.sandbox import Sandbox
    from m3ter_nb.sandbox.identity import AccessKey

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIyOTA2ZDE4ZiJ9.c2lnbmF0dXJl"
WAYS = {name: worn.format for name, worn in WORN.items()} | {"full-width letters": in_full_width}

worn = pytest.mark.parametrize("wear", WAYS.values(), ids=WAYS)


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    """Return a keychain in memory, in use."""
    before, memory = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


def type_at_the_prompt(monkeypatch: pytest.MonkeyPatch, key_id: str, secret: str) -> None:
    monkeypatch.setattr(builtins, "input", lambda _prompt: key_id)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: secret)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))


def are(credentials: Credentials | None) -> tuple[str, str] | None:
    return None if credentials is None else (credentials.key_id, credentials.reveal_secret())


@worn
def test_the_environment(wear: Any) -> None:
    pair = find_settings({"M3TER_API_KEY": wear("a-key"), "M3TER_API_SECRET": wear("a-secret")})
    token = find_settings({"M3TER_API_TOKEN": wear(JWT)})

    assert are(pair.credentials) == ("a-key", "a-secret")
    assert token.token == JWT


@worn
def test_the_secrets_of_a_platform(monkeypatch: pytest.MonkeyPatch, wear: Any) -> None:
    secrets = {"M3TER_API_KEY": wear("a-key"), "M3TER_API_SECRET": wear("a-secret")}
    module = ModuleType("kaggle_secrets")
    client = SimpleNamespace(get_secret=lambda name: secrets.get(name, ""))
    module.UserSecretsClient = lambda: client  # type: ignore[attr-defined]  # of a module made here
    monkeypatch.setitem(sys.modules, "kaggle_secrets", module)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    monkeypatch.setattr(platforms, "_ASKED", [])

    found = platform_secrets()

    assert found is not None
    assert are(find_settings(found.values).credentials) == ("a-key", "a-secret")


@worn
def test_the_keychain(memory: MemoryKeyring, wear: Any) -> None:
    entry = {"profile": "default", "host": wear("https://a.example"), "org_id": None}
    pair = {"key_id": wear("a-key"), "secret": wear("a-secret")}
    memory.set_password("m3ter_nb", "default", json.dumps({**entry, **pair}))

    settings = recall("default")

    assert are(settings.credentials) == ("a-key", "a-secret")
    assert settings.base_url == "https://a.example"


@worn
def test_the_form(sandbox: Sandbox, wear: Any) -> None:
    key, sessions = sandbox.keys.create_key(), list[m3ter_nb.M3terSession]()
    form = m3ter_nb.login_form(sessions.append, base_url=sandbox.url)
    fields = json.dumps({"key_id": wear(key.key_id), "secret": wear(key.secret)}).encode()

    form._handle_custom_msg({"type": "submit"}, [fields])

    assert form.phase == "in"
    assert len(sessions) == 1
    form.close()


@worn
def test_the_prompt(monkeypatch: pytest.MonkeyPatch, wear: Any) -> None:
    type_at_the_prompt(monkeypatch, wear("a-key"), wear("a-secret"))

    assert are(ask_credentials(hidden_key_id=False)) == ("a-key", "a-secret")


@worn
def test_the_command_line(
    memory: MemoryKeyring, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, wear: Any
) -> None:
    key: AccessKey = sandbox.keys.create_key()
    type_at_the_prompt(monkeypatch, wear(key.key_id), wear(key.secret))

    assert main(["login", "--base-url", sandbox.url]) == 0
    assert json.loads(memory.entries["m3ter_nb", "default"])["secret"] == key.secret
