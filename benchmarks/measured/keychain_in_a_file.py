"""A keychain that is a file in the home of the benchmark: what is measured is the way to it, not a system's own."""

# ruff: noqa: D102 - the methods are those of the base class of keyring

from __future__ import annotations

import json
from pathlib import Path

from keyring.backend import KeyringBackend

_FILE = Path.home() / "keychain.json"


class Keyring(KeyringBackend):
    """Keeps passwords by service and user name."""

    priority = 9  # type: ignore[assignment]  # keyring's own backends override the property so

    def get_password(self, service: str, username: str) -> str | None:
        return self._all().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        _FILE.write_text(json.dumps(self._all() | {f"{service}/{username}": password}), "utf-8")

    def delete_password(self, service: str, username: str) -> None:
        _FILE.write_text(json.dumps(self._all() | {f"{service}/{username}": None}), "utf-8")

    def _all(self) -> dict[str, str]:
        known: dict[str, str] = json.loads(_FILE.read_text("utf-8")) if _FILE.exists() else {}
        return known
