"""Keychains for tests: backends of keyring in memory, each with one way of its own, and the real Secret Service."""

# ruff: noqa: D102 - the methods are those of the base class of keyring

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from keyring.backend import KeyringBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "CaselessKeyring",
    "ForgetfulKeyring",
    "HangingKeyring",
    "MemoryKeyring",
    "PlainTextKeyring",
    "RaisingKeyring",
    "missing_commands",
    "secret_service",
]

_COMMANDS = {"dbus-daemon": "dbus", "gnome-keyring-daemon": "gnome-keyring"}


class MemoryKeyring(KeyringBackend):
    """Keeps entries in memory, as the keychains of macOS and Windows do in theirs; ``entries`` is what they hold."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.entries[service, username]


class CaselessKeyring(MemoryKeyring):
    """Takes ``Staging`` and ``staging`` for one, as the Credential Manager of Windows does."""

    def get_password(self, service: str, username: str) -> str | None:
        return super().get_password(service, username.lower())

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username.lower(), password)


class ForgetfulKeyring(MemoryKeyring):
    """Takes what it is given, and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        pass


class PlainTextKeyring(MemoryKeyring):
    """Has the priority of the backends that write a file of plain text (keyrings.alt)."""

    priority = 0.5


class HangingKeyring(MemoryKeyring):
    """Answers when ``unlocked`` is set: a keychain that waits for a person."""

    def __init__(self) -> None:
        super().__init__()
        self.unlocked = threading.Event()
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        self.unlocked.wait()
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self.unlocked.wait()
        super().set_password(service, username, password)


class RaisingKeyring(MemoryKeyring):
    """Raises what it is given, which need not be an error of keyring's, with all it knows in the text."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error(f"{service} {username} {self.entries}")

    def set_password(self, service: str, username: str, password: str) -> None:
        raise self.error(f"{service} {username} {password}")

    delete_password = get_password  # type: ignore[assignment]  # it raises, whatever it would return


def missing_commands() -> list[str]:
    """Return the packages of Debian that a Secret Service lacks here."""
    return [package for command, package in _COMMANDS.items() if shutil.which(command) is None]


@contextmanager
def secret_service(home: Path) -> Iterator[dict[str, str]]:
    """Run an unlocked Secret Service of its own under a home folder; yield the environment that reaches it."""
    environ = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DISPLAY", "XDG_", "WAYLAND"))
        },
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.SecretService.Keyring",
    }
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    with subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as bus:
        assert bus.stdout is not None
        environ["DBUS_SESSION_BUS_ADDRESS"] = bus.stdout.readline().strip()
        with subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as daemon:
            assert daemon.stdin is not None
            daemon.stdin.write(b"a password of the keychain")
            daemon.stdin.close()
            try:
                yield environ
            finally:
                daemon.terminate()
                bus.terminate()


def _install() -> int:
    """Install a Secret Service where root can; else say how, which fails on CI alone."""
    missing = missing_commands()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing {' and '.join(missing)} for the tests of the keychain.")  # noqa: T201 - a command speaks
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *missing], check=True)
        missing = missing_commands()
    if missing:
        print(f"The tests of the keychain skip; to run them: sudo apt-get install {' '.join(missing)}")  # noqa: T201
    return 1 if missing and os.environ.get("CI") else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--install", action="store_true", required=True, help="install what is missing")
    parser.parse_args()
    sys.exit(_install())
