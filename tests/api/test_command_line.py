"""``python -m m3ter_nb``: a login is tried and remembered; nothing secret is an argument, repeated or shown."""

from __future__ import annotations

import builtins
import getpass
import io
import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import keyring
import pytest

from keychains import MemoryKeyring
from m3ter_nb.__main__ import main
from m3ter_nb.auth.profiles import Profile
from odd_servers import OddServer, Seen, json_answer, token_answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.sandbox import Sandbox
    from m3ter_nb.sandbox.identity import AccessKey


@pytest.fixture
def memory() -> Iterator[MemoryKeyring]:
    """Return a keychain in memory, in use."""
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def key(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> AccessKey:
    """Return a key of the sandbox; whoever is asked in the terminal types it."""
    made = sandbox.keys.create_key()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(builtins, "input", lambda _prompt: made.key_id)
    monkeypatch.setattr(getpass, "getpass", lambda _prompt: f" {made.secret}\n")
    return made


def test_a_login_is_tried_and_remembered(
    memory: MemoryKeyring, key: AccessKey, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["login", "--base-url", sandbox.url, "--profile", "staging"]) == 0

    said = capsys.readouterr().out
    assert "Remembered as the profile staging" in said
    assert "White space around the API Secret was removed." in said
    assert json.loads(memory.entries["m3ter_nb", "staging"])["secret"] == key.secret
    assert key.secret not in said
    assert key.key_id not in said

    assert main(["profiles"]) == 0
    listed = capsys.readouterr().out
    assert listed.split("\t")[:2] == ["staging", sandbox.url]
    assert len(listed.splitlines()) == 1

    assert main(["forget", "staging"]) == 0
    assert memory.entries == {}
    assert main(["profiles"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "The profile staging is forgotten.",
        "No profile is remembered.",
    ]


@pytest.mark.parametrize("me", [{"organization": "x"}, {"organization": ["x"]}, [], None, 5])
def test_whatever_the_api_says_of_the_organization_the_login_is_remembered(
    memory: MemoryKeyring, key: AccessKey, capsys: pytest.CaptureFixture[str], me: object
) -> None:
    def respond(seen: Seen) -> list[bytes]:
        return [token_answer("a-token") if seen.target == "/oauth/token" else json_answer(me)]

    with OddServer(respond) as server:
        assert main(["login", "--base-url", server.url, "--org-id", "o"]) == 0

    assert "Remembered as the profile default" in capsys.readouterr().out
    assert main(["profiles"]) == 0


def test_a_refused_login_is_not_remembered(
    memory: MemoryKeyring, key: AccessKey, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.keys.deactivate_key(key.key_id)

    assert main(["login", "--base-url", sandbox.url]) == 1

    captured = capsys.readouterr()
    assert captured.err.startswith("LoginRefused: ")
    assert memory.entries == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["login", "5ecret"],
        ["login", "--secret", "5ecret"],
        ["5ecret"],
        ["login", "--profile", "5ecret!"],
        ["forget", "5ecret!"],
        ["profiles", "5ecret"],
    ],
)
def test_no_argument_is_repeated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as error:
        code = int(str(error.code))

    captured = capsys.readouterr()
    assert code in (1, 2)
    assert captured.err
    assert "5ecret" not in captured.out + captured.err


def test_where_nobody_can_type_it_says_so_and_waits_for_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False))

    assert main(["login"]) == 1
    assert "Nobody can type here" in capsys.readouterr().err


@pytest.mark.parametrize("way_out", [KeyboardInterrupt, EOFError])
def test_leaving_the_prompt_remembers_nothing(
    key: AccessKey,
    memory: MemoryKeyring,
    way_out: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def leave(_prompt: str) -> str:
        raise way_out

    monkeypatch.setattr(getpass, "getpass", leave)

    assert main(["login"]) == 1
    assert capsys.readouterr().err == "\nCancelled: nothing was remembered.\n"
    assert memory.entries == {}


def test_on_a_public_machine_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BINDER_SERVICE_HOST", "x")

    assert main(["login"]) == 1
    assert "Binder machines are public" in capsys.readouterr().err


def test_a_terminal_of_few_letters_lists_every_organization(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [Profile("default", "https://api.m3ter.com", organization="表 & Söhne")]
    monkeypatch.setattr("m3ter_nb.__main__.profiles", lambda: known)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))

    assert main(["profiles"]) == 0
    assert rb"\u8868 & S\xf6hne" in written.getvalue()
