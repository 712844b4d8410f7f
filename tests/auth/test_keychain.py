"""Profiles in a keychain: kept unasked never, bound to their host, and a keychain that fails stops no login."""

from __future__ import annotations

import json
import logging
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest

import m3ter_nb
from keychains import (
    CaselessKeyring,
    ForgetfulKeyring,
    HangingKeyring,
    MemoryKeyring,
    PlainTextKeyring,
    RaisingKeyring,
)
from m3ter_nb.auth import keychain as keychain_module
from m3ter_nb.auth.bound import look_further, recall
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.keychain import Keychain
from m3ter_nb.auth.profiles import Profile, forget, profiles, remember
from m3ter_nb.auth.search import search
from m3ter_nb.auth.settings import Settings
from m3ter_nb.errors import (
    CredentialsMissing,
    InvalidArgument,
    KeychainUnavailable,
    LoginRefused,
    M3terError,
    UnsafeDestination,
)
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.sandbox import Sandbox

A, B = "https://a.example", "https://b.example"
NOW = datetime(2026, 11, 25, 20, 30, tzinfo=UTC)


@pytest.fixture
def use() -> Any:
    """Return a function that makes keyring use a backend; the one of before is put back."""
    before = keyring.get_keyring()

    def use_backend(backend: Any) -> Any:
        keyring.set_keyring(backend)
        return backend

    yield use_backend
    keyring.set_keyring(before)


@pytest.fixture
def memory(use: Callable[[Any], Any]) -> MemoryKeyring:
    """Return a keychain in memory, in use."""
    kept: MemoryKeyring = use(MemoryKeyring())
    return kept


def pair(secret: str = "5ecret-one", key_id: str = "a-key") -> Credentials:
    return Credentials(key_id, secret, "the form")


def keep(secret: str = "5ecret-one", base_url: str = A, profile: str = "default", **more: Any) -> str:
    return remember(
        pair(secret),
        base_url=base_url,
        org_id="org-1",
        organization="Acme",
        profile=profile,
        now=lambda: NOW,
        **more,
    ).sentence


def reveal(settings: Any) -> str:
    return settings.credentials.reveal_secret()


# Keeping and taking


def test_what_is_remembered_comes_back_whole(memory: MemoryKeyring) -> None:
    assert keep().startswith("Remembered as the profile default in the keychain of this computer")

    settings = search({})

    assert settings.credentials == pair()
    assert (settings.base_url, settings.org_id, settings.profile) == (A, "org-1", "default")
    assert settings.source == "the profile default in the keychain"


def test_one_entry_of_one_service_holds_a_profile(memory: MemoryKeyring) -> None:
    keep(profile="staging")

    assert list(memory.entries) == [("m3ter_nb", "staging")]
    assert json.loads(memory.entries["m3ter_nb", "staging"]) == {
        "profile": "staging",
        "host": A,
        "org_id": "org-1",
        "key_id": "a-key",
        "secret": "5ecret-one",
    }


def test_a_rotated_key_replaces_the_entry_and_says_so(memory: MemoryKeyring) -> None:
    keep()

    assert keep("5ecret-two").startswith("The profile default is replaced: its new key is kept")
    assert reveal(search({})) == "5ecret-two"


@pytest.mark.parametrize("other", [{"base_url": B}, {"org": "org-2"}], ids=["host", "organization"])
def test_an_entry_of_another_host_or_organization_is_not_replaced(
    memory: MemoryKeyring, other: dict[str, str]
) -> None:
    keep()

    said = remember(
        pair("5ecret-two"),
        base_url=other.get("base_url", A),
        org_id=other.get("org", "org-1"),
        profile="default",
    ).sentence

    assert said.startswith(f"Not remembered: the profile default is of {A}, organization org-1.")
    assert "--profile NAME" in said
    assert "--forget default" in said
    assert reveal(search({})) == "5ecret-one"


def test_the_environment_goes_first_and_never_loads_keyring(
    sandbox_environ: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("the keychain was asked")

    monkeypatch.setattr(keychain_module, "_answer", fail)

    with m3ter_nb.login() as session:
        assert session.credentials_source == "the environment"


def test_profiles_are_chosen_by_name_and_by_the_environment(memory: MemoryKeyring) -> None:
    keep("5ecret-a", A)
    keep("5ecret-b", B, "staging")

    assert reveal(search({})) == "5ecret-a"
    assert reveal(search({"M3TER_PROFILE": "staging"})) == "5ecret-b"
    assert reveal(recall("staging")) == "5ecret-b"
    assert reveal(recall("default", {"M3TER_API_KEY": "k", "M3TER_API_SECRET": "s"})) == "5ecret-a"


def test_a_dotenv_chooses_no_profile(memory: MemoryKeyring) -> None:
    keep("5ecret-a", A)
    keep("5ecret-b", B, "staging")
    Path(".env").write_text("M3TER_PROFILE=staging\n")

    assert reveal(search({})) == "5ecret-a"


def test_an_unknown_profile_is_an_error_that_lists_the_known_ones(memory: MemoryKeyring) -> None:
    keep(profile="production")
    keep(profile="staging")

    for ask in (lambda: recall("5taging"), lambda: search({"M3TER_PROFILE": "5taging"})):
        with pytest.raises(CredentialsMissing, match="there are: production, staging") as caught:
            ask()
        assert "5taging" not in str(caught.value)


def test_without_a_default_none_is_guessed(memory: MemoryKeyring) -> None:
    keep(profile="staging")

    assert not search({}).complete


@pytest.mark.parametrize("name", ["", "a b", "ä", "x" * 41, "a/b", "a\n", "s3cret!", None, 5])
def test_what_cannot_be_a_profile_s_name_is_refused_unrepeated(memory: MemoryKeyring, name: Any) -> None:
    for act in (recall, forget, lambda name: keep(profile=name)):
        with pytest.raises(InvalidArgument) as caught:
            act(name)
        assert not name or str(name) not in str(caught.value).replace("e.g. --profile staging", "")


def test_a_forgotten_profile_is_in_neither_keychain_nor_list(memory: MemoryKeyring) -> None:
    keep()

    assert forget() is True
    assert (memory.entries, profiles(), forget()) == ({}, [], False)


def test_a_ready_token_and_the_sandbox_s_keys_are_not_remembered(memory: MemoryKeyring) -> None:
    said = [
        remember(credentials, base_url="http://127.0.0.1:1", org_id=DEMO_ORG_ID).sentence
        for credentials in (
            None,
            Credentials(DEMO_KEY_ID, DEMO_SECRET),
            Credentials(NARROW_KEY_ID, NARROW_SECRET),
        )
    ]

    assert all(sentence.startswith("Not remembered: ") for sentence in said)
    assert memory.entries == {}


def test_a_login_remembers_nothing_unasked(memory: MemoryKeyring, sandbox: Sandbox) -> None:
    key = sandbox.keys.create_key()

    with m3ter_nb.login(Credentials(key.key_id, key.secret), base_url=sandbox.url):
        assert (memory.entries, profiles()) == ({}, [])


# The host is part of the entry


@pytest.mark.parametrize(
    "ask", [search, lambda environ: recall("default", environ)], ids=["default", "by name"]
)
def test_another_host_in_the_environment_is_an_error_that_names_both(
    memory: MemoryKeyring, ask: Callable[[Any], Any]
) -> None:
    keep()

    with pytest.raises(UnsafeDestination) as caught:
        ask({"M3TER_BASE_URL": B})

    assert A in str(caught.value)
    assert B in str(caught.value)


def test_another_host_as_an_argument_is_an_error_and_nothing_is_sent(
    memory: MemoryKeyring, sandbox: Sandbox
) -> None:
    keep()

    for call in ({"base_url": sandbox.url}, {"base_url": sandbox.url, "profile": "default"}):
        with pytest.raises(UnsafeDestination, match="to no other host"):
            m3ter_nb.login(**call)

    assert list(sandbox.log) == []


@pytest.mark.parametrize("same", [A, f"{A}/", "HTTPS://A.example", f' "{A}" '])
def test_the_same_host_written_otherwise_is_no_other(memory: MemoryKeyring, same: str) -> None:
    keep()

    assert search({"M3TER_BASE_URL": same}).directed(same, None).base_url in (A, same.strip(' "'))


def test_a_host_that_only_a_dotenv_names_is_passed_over_with_a_sentence(memory: MemoryKeyring) -> None:
    keep()
    Path(".env").write_text(f"M3TER_BASE_URL={B}\nM3TER_ORG_ID=of-a-stranger\n")

    settings = search({})

    assert (settings.base_url, settings.org_id) == (A, "org-1")
    assert settings.notes == (
        f"The host that {Path.cwd() / '.env'} names was passed over: the profile default in the keychain goes to {A}.",
    )


def test_two_profiles_go_to_their_own_hosts(memory: MemoryKeyring, sandbox: Sandbox) -> None:
    from m3ter_nb.sandbox import Sandbox as Twin

    with Twin() as other:
        ours, theirs = sandbox.keys.create_key(), other.keys.create_key()
        for name, twin, key in (("one", sandbox, ours), ("two", other, theirs)):
            remember(Credentials(key.key_id, key.secret), base_url=twin.url, org_id=DEMO_ORG_ID, profile=name)
        with m3ter_nb.login(profile="one"), m3ter_nb.login(profile="two"):
            pass

        assert [record.status for record in sandbox.log] == [200]
        assert [record.status for record in other.log] == [200]


def test_an_edited_list_redirects_nothing(memory: MemoryKeyring) -> None:
    keep()
    path = _list()
    path.write_text(path.read_text().replace(A, B))

    assert search({}).base_url == A


def test_a_case_that_the_keychain_does_not_tell_apart_gives_no_other_profile(
    use: Callable[[Any], Any],
) -> None:
    use(CaselessKeyring())
    keep(profile="Staging")

    with pytest.raises(CredentialsMissing):
        recall("staging")
    assert recall("Staging").complete


# A remembered key that m3ter refuses


def test_a_refused_key_names_the_profile_and_both_ways_on_and_stays(
    memory: MemoryKeyring, sandbox: Sandbox
) -> None:
    key = sandbox.keys.create_key()
    remember(Credentials(key.key_id, key.secret), base_url=sandbox.url, org_id=DEMO_ORG_ID, profile="staging")
    sandbox.keys.deactivate_key(key.key_id)

    with pytest.raises(LoginRefused) as caught:
        m3ter_nb.login(profile="staging")

    said = str(caught.value)
    assert "the profile staging" in said
    assert "--form --remember --profile staging" in said
    assert "--forget staging" in said
    assert len(sandbox.log) == 1
    assert recall("staging").complete


# Keychains as they are


def test_a_locked_keychain_is_not_an_absent_one_and_a_late_answer_serves_the_next_login(
    use: Callable[[Any], Any],
) -> None:
    backend = use(HangingKeyring())
    backend.unlocked.set()
    keep()
    backend.unlocked.clear()
    backend.asked = 0
    keychain = Keychain(timeout=0.05)

    settings = look_further(Settings(), {}, keychain, take_remembered=True)

    assert not settings.complete
    assert "did not answer within 0.05 s" in settings.notes[0]
    with pytest.raises(KeychainUnavailable, match="may be locked") as caught:
        recall("default", {}, keychain=keychain)
    assert caught.value.locked
    backend.unlocked.set()
    keychain._timeout = 5
    (waiting,) = keychain._late.values()
    answer = waiting.get(timeout=5)
    assert repr(answer.text) == "<sealed>"
    waiting.put(answer)
    assert reveal(look_further(Settings(), {}, keychain, take_remembered=True)) == "5ecret-one"
    assert backend.asked == 1


def test_a_locked_keychain_remembers_nothing_and_says_so(use: Callable[[Any], Any]) -> None:
    backend = use(HangingKeyring())

    said = keep(keychain=Keychain(timeout=0.05))
    backend.unlocked.set()

    assert said.startswith("Not remembered: the keychain did not answer")
    assert ".env" in said
    assert profiles() == []


def test_a_keychain_that_says_that_it_is_locked_is_not_an_absent_one(use: Callable[[Any], Any]) -> None:
    use(RaisingKeyring(keyring.errors.KeyringLocked))

    with pytest.raises(KeychainUnavailable, match="is locked") as caught:
        Keychain().read("default")

    assert caught.value.locked
    assert "is locked" in search({}).notes[0]


class OfNoFamily(BaseException):
    """As native code raises it."""


BACKENDS: dict[str, Callable[[], Any]] = {
    "none": keyring.backends.fail.Keyring,
    "null": keyring.backends.null.Keyring,
    "plain text": PlainTextKeyring,
    "forgetful": ForgetfulKeyring,
    "raising a RuntimeError": lambda: RaisingKeyring(RuntimeError),
    "raising no Exception": lambda: RaisingKeyring(OfNoFamily),
    "raising SystemExit": lambda: RaisingKeyring(SystemExit),
}


@pytest.mark.parametrize("name", BACKENDS)
def test_a_keychain_of_no_use_stops_no_login_and_keeps_nothing(
    use: Callable[[Any], Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    kept = use(BACKENDS[name]())
    with caplog.at_level(logging.DEBUG):
        said = keep()
        settings = search({})

    assert said.startswith("Not remembered: ")
    assert "in a .env file instead" in said
    assert (settings.complete, settings.notes, profiles()) == (False, (), [])
    assert "5ecret" not in said + caplog.text + repr(settings)
    assert getattr(kept, "entries", {}) == {}
    with pytest.raises((KeychainUnavailable, CredentialsMissing), match="profile"):
        recall("default", {})


def test_without_the_package_a_login_goes_on_and_a_named_profile_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keychain_module, "find_spec", lambda _name: None)

    assert search({}).notes == ()
    assert "package keyring is not installed" in keep()
    with pytest.raises(KeychainUnavailable, match="keyring is not installed"):
        recall("default", {})


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"profile": "default"}', "[1]", "null", "[" * 100_000])
def test_an_entry_that_is_not_ours_is_an_error_of_its_own_and_can_be_forgotten(
    memory: MemoryKeyring, text: str
) -> None:
    memory.entries["m3ter_nb", "default"] = text

    with pytest.raises(KeychainUnavailable, match="not as m3ter_nb writes it"):
        recall("default", {})
    assert not search({}).complete
    assert forget()


# The list


def _list() -> Path:
    return Path.home() / ".config" / "m3ter_nb" / "profiles.json"


def test_the_list_shows_what_there_is_and_holds_neither_key_nor_secret(memory: MemoryKeyring) -> None:
    keep(profile="staging")
    keep("5ecret-two", B)

    assert profiles() == [
        Profile("default", B, "org-1", "Acme", "2026-11-25T20:30:00Z"),
        Profile("staging", A, "org-1", "Acme", "2026-11-25T20:30:00Z"),
    ]
    assert m3ter_nb.profiles is profiles
    assert "5ecret" not in _list().read_text()
    assert "a-key" not in _list().read_text()


def test_the_list_is_for_the_user_alone(memory: MemoryKeyring) -> None:
    before = os.umask(0)
    try:
        keep()
    finally:
        os.umask(before)

    assert stat.S_IMODE(_list().stat().st_mode) == 0o600
    assert stat.S_IMODE(_list().parent.stat().st_mode) == 0o700
    assert [path.name for path in _list().parent.iterdir()] == ["profiles.json"]


ODD_LISTS = {
    "no JSON": "{",
    "too deep": "[" * 100_000,
    "no list": '{"profiles": 5}',
    "no rows": '{"profiles": [1, null, {}]}',
    "a name that none is": '{"profiles": [{"name": "a b", "host": "https://a.example"}]}',
    "escapes": json.dumps(
        {"profiles": [{"name": "x", "host": A, "org_id": "", "organization": "\x1b[2J", "remembered_at": ""}]}
    ),
    "a host with a user": json.dumps(
        {
            "profiles": [
                {"name": "x", "host": "https://u:p@a", "org_id": "", "organization": "", "remembered_at": ""}
            ]
        }
    ),
}


@pytest.mark.parametrize("text", ODD_LISTS.values(), ids=ODD_LISTS)
def test_what_is_not_as_we_write_it_is_not_listed_and_the_next_profile_is(
    memory: MemoryKeyring, text: str
) -> None:
    _list().parent.mkdir(parents=True)
    _list().write_text(text)

    assert profiles() == []
    keep()
    assert [profile.name for profile in profiles()] == ["default"]


def test_a_list_that_cannot_be_written_is_said_and_the_keychain_holds_the_profile(
    memory: MemoryKeyring,
) -> None:
    (Path.home() / ".config").write_text("a file where the folder would be")

    assert "but not in the list of profiles" in keep()
    assert search({}).complete


def test_a_default_that_the_keychain_has_lost_is_said(memory: MemoryKeyring) -> None:
    keep()
    memory.entries.clear()

    assert search({}).notes == ("The keychain no longer holds the profile default.",)


def test_the_login_takes_one_source(memory: MemoryKeyring) -> None:
    for call in ({"credentials": pair(), "profile": "default"}, {"dotenv": ".env", "profile": "default"}):
        with pytest.raises(InvalidArgument, match="exclude each other"):
            m3ter_nb.login(**call)


def test_no_frame_of_a_failing_search_holds_a_remembered_secret(memory: MemoryKeyring) -> None:
    import traceback

    keep()
    with pytest.raises(M3terError) as caught:
        search({"M3TER_BASE_URL": B})

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename != __file__]
    assert "5ecret" not in "".join(str(frame.locals) for frame in frames)
