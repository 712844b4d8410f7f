"""A real keychain: the Secret Service of Linux, locked and unlocked, asked by one fresh process after another."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from keychains import missing_commands, secret_service
from worn import WORN, in_full_width

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from m3ter_nb.sandbox import Sandbox
    from m3ter_nb.sandbox.identity import AccessKey

pytestmark = pytest.mark.slow

MISSING = missing_commands()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the environment that reaches a Secret Service of the test's own."""
    if MISSING:
        said = f"no Secret Service here: make browser, or apt-get install {' '.join(MISSING)}"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    with secret_service(tmp_path / "home") as environ:
        yield environ


@pytest.fixture
def run(service: dict[str, str]) -> Callable[..., str]:
    """Return a function that runs Python in a process of its own, and returns all that it printed."""

    def run_code(code: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), *arguments],
            env=service,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout + done.stderr

    return run_code


def remember(service: dict[str, str], url: str, key: AccessKey, profile: str = "default") -> str:
    """Log in and remember it, in a process of its own that gets key and secret on its standard input."""
    code = """
        import logging, sys
        logging.basicConfig(level=logging.DEBUG)
        import m3ter_nb
        from m3ter_nb.auth.profiles import remember
        url, profile = sys.argv[1:]
        credentials = m3ter_nb.Credentials(*sys.stdin.read().split())
        with m3ter_nb.login(credentials, base_url=url) as session:
            print(remember(credentials, base_url=url, org_id=session.token.org_id, profile=profile).sentence)
            print(open("/proc/self/cmdline").read(), open("/proc/self/environ").read())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), url, profile],
        env=service,
        input=f"{key.key_id} {key.secret}",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


LOG_IN = """
    import sys, m3ter_nb
    with m3ter_nb.login(profile=sys.argv[1] if sys.argv[1:] else None) as session:
        print(session.credentials_source, session.get("products")["data"])
"""


def test_what_one_process_remembers_logs_the_next_in_and_shows_nowhere(
    service: dict[str, str], run: Callable[..., str], sandbox: Sandbox, tmp_path: Path
) -> None:
    key = sandbox.keys.create_key()

    said = remember(service, sandbox.url, key)
    found = run(LOG_IN)

    assert "Remembered as the profile default in the keychain" in said
    assert "the profile default in the keychain []" in found
    control = tmp_path / "home" / "control"
    control.write_text(f"around {key.secret} it")
    basic = base64.b64encode(f"{key.key_id}:{key.secret}".encode()).decode()
    marks = [text.encode() for text in (key.secret, basic, key.secret[::-1])]
    holding = [
        path
        for path in (tmp_path / "home").rglob("*")
        if path.is_file() and any(mark in path.read_bytes() for mark in marks)
    ]
    assert holding == [control]
    assert key.secret not in said + found
    assert basic not in said + found


WORN_ENTRIES = """
    import json, sys, keyring
    for profile, entry in json.load(sys.stdin).items():
        keyring.set_password("m3ter_nb", profile, json.dumps({"profile": profile, **entry}))
"""


def test_what_others_wrote_into_it_is_cleaned_as_what_is_pasted(
    service: dict[str, str], run: Callable[..., str], sandbox: Sandbox
) -> None:
    key = sandbox.keys.create_key()
    ways = {f"way{number}": worn.format for number, worn in enumerate(WORN.values())} | {
        "full": in_full_width
    }
    entries = {
        profile: {"host": sandbox.url, "org_id": None, "key_id": wear(key.key_id), "secret": wear(key.secret)}
        for profile, wear in ways.items()
    }
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WORN_ENTRIES)],
        env=service,
        input=json.dumps(entries),
        text=True,
        timeout=60,
        check=True,
    )

    found = run(
        """
        import sys, m3ter_nb
        for profile in sys.argv[1:]:
            m3ter_nb.login(profile=profile).close()
            print("in", profile)
        """,
        *ways,
    )

    assert [line[3:] for line in found.splitlines() if line.startswith("in ")] == list(ways)
    assert key.secret not in found


def test_two_profiles_go_each_to_its_own_host(
    service: dict[str, str], run: Callable[..., str], sandbox: Sandbox
) -> None:
    from m3ter_nb.sandbox import Sandbox as Twin

    with Twin() as other:
        remember(service, sandbox.url, sandbox.keys.create_key(), "one")
        remember(service, other.url, other.keys.create_key(), "two")
        before = len(sandbox.log), len(other.log)

        assert "[]" in run(LOG_IN, "one")
        assert (len(sandbox.log), len(other.log)) == (before[0] + 2, before[1])
        assert "[]" in run(LOG_IN, "two")
        assert (len(sandbox.log), len(other.log)) == (before[0] + 2, before[1] + 2)
        assert {record.status for record in (*sandbox.log, *other.log)} == {200}


def test_a_forgotten_profile_is_gone_for_the_next_process(
    service: dict[str, str], run: Callable[..., str], sandbox: Sandbox
) -> None:
    remember(service, sandbox.url, sandbox.keys.create_key())

    assert run("import m3ter_nb; print(m3ter_nb.forget(), m3ter_nb.forget())").strip() == "True False"
    assert "CredentialsMissing" in run(LOG_IN)


def test_a_rotated_key_replaces_the_old_one(
    service: dict[str, str], run: Callable[..., str], sandbox: Sandbox
) -> None:
    old, new = sandbox.keys.create_key(), sandbox.keys.create_key()
    remember(service, sandbox.url, old)
    sandbox.keys.deactivate_key(old.key_id)

    refused = run(LOG_IN)
    said = remember(service, sandbox.url, new)

    assert "LoginRefused" in refused
    assert "the profile default" in refused
    assert "is replaced" in said
    assert "[]" in run(LOG_IN)


def test_without_a_keychain_a_login_is_an_error_that_says_what_to_set(
    run: Callable[..., str], service: dict[str, str]
) -> None:
    service["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nowhere"

    assert "CredentialsMissing: No credentials: set M3TER_API_KEY" in run(LOG_IN)
    assert "KeychainUnavailable: The profile cannot be read" in run(LOG_IN, "default")


LOCK = """
    import secretstorage
    collection = secretstorage.get_default_collection(secretstorage.dbus_init())
    print(collection.lock(), collection.is_locked())
"""


def test_a_locked_keychain_stops_no_plain_login_and_is_named_by_one_from_it(
    service: dict[str, str], run: Callable[..., str], sandbox: Sandbox
) -> None:
    key = sandbox.keys.create_key()
    remember(service, sandbox.url, key)
    run(LOCK)

    plain, named = run(LOG_IN), run(LOG_IN, "default")
    said = remember(service, sandbox.url, key)

    assert "CredentialsMissing: No credentials" in plain
    assert "the keychain is locked" in plain
    assert "KeychainUnavailable: The profile cannot be read: the keychain is locked" in named
    assert "Not remembered: the keychain is locked" in said
    assert key.secret not in plain + named + said
