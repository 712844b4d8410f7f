"""Profiles: remembered logins, each a set of key, secret, host and organization under a name.

The keychain is the truth, and holds all of it. Beside it lies a list, for a keychain cannot list: names, hosts,
organizations and dates, no key and no secret. Whoever edits the list changes what is shown, and redirects nothing.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from m3ter_nb.auth.keychain import KEYCHAIN, Entry, Keychain
from m3ter_nb.auth.platforms import not_the_user_s
from m3ter_nb.errors import CredentialsMissing, InvalidArgument, KeychainUnavailable
from m3ter_nb.spelling import with_literal_repr
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, checked_base_url
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.auth.credentials import Credentials

__all__ = [
    "DEFAULT_PROFILE",
    "PROFILE_VARIABLE",
    "Kept",
    "Profile",
    "can_remember",
    "checked_profile",
    "default_profile",
    "forget",
    "profiles",
    "remember",
    "unknown_profile",
]

#: Names the profile to take. Of the process's environment alone: a .env could belong to somebody else.
PROFILE_VARIABLE = "M3TER_PROFILE"
#: The profile that a login takes where none is named.
DEFAULT_PROFILE = "default"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
# The sandbox's own, public keys; the test of the sandbox holds that they are all.
_DEMO_KEY_IDS = frozenset({"sandbox-demo-key-id", "sandbox-narrow-key-id"})
_INSTEAD = "Set M3TER_API_KEY and M3TER_API_SECRET in the environment or in a .env file instead."


@with_literal_repr
@dataclass(frozen=True)
class Profile:
    """What the list says of a remembered login.

    Attributes:
        name: of the profile.
        host: the base URL that its secret goes to, and no other.
        org_id: the organization's id, ``""`` where it was not known.
        organization: the organization's name, ``""`` where it was not known.
        remembered_at: when, ISO 8601 in UTC.
    """

    name: str
    host: str
    org_id: str = ""
    organization: str = ""
    remembered_at: str = ""


class Kept(NamedTuple):
    """What came of remembering a login.

    Attributes:
        profile: under which it is kept; ``""`` where it is not.
        sentence: says so, and why.
    """

    profile: str
    sentence: str


def checked_profile(name: object) -> str:
    """Return a profile's name if it can be one.

    Raises:
        InvalidArgument: it is something else; it is not repeated, for it may be a secret.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"A profile's name has 1 to 40 letters, digits, dots, - and _, e.g. {option('profile', 'staging')}."
        )
    return name


def profiles() -> list[Profile]:
    """Return what the list says of the remembered logins, by name; neither keys nor secrets are in it.

    The keychain is not asked.
    """
    return sorted(_read_list().values(), key=lambda profile: profile.name)


def can_remember(keychain: Keychain = KEYCHAIN) -> bool:
    """Whether this computer may keep a secret for the user: it is the user's own, and its keychain is there.

    One that is locked is there.
    """
    if not_the_user_s():
        return False
    try:
        keychain.check()
    except KeychainUnavailable as error:
        return error.locked
    return True


def default_profile() -> str:
    """Return the profile that a plain login would take, by the list; ``""`` where none is remembered."""
    name = os.environ.get(PROFILE_VARIABLE) or DEFAULT_PROFILE
    return name if name in _read_list() else ""


def forget(profile: str = DEFAULT_PROFILE, *, keychain: Keychain = KEYCHAIN) -> bool:
    """Take a profile out of the keychain and out of the list.

    Args:
        profile: its name.
        keychain: to take it from.

    Returns:
        Whether it was remembered.

    Raises:
        InvalidArgument: no profile can have this name.
        KeychainUnavailable: the keychain is not there, or did not do it.
    """
    checked_profile(profile)
    try:
        was_there = keychain.delete(profile)
    except KeychainUnavailable as error:
        advice = (
            "Unlock it and run this again" if error.locked else "Without a keychain nothing is remembered"
        )
        raise KeychainUnavailable(f"Nothing was forgotten: {error}. {advice}.", locked=error.locked) from None
    known = _read_list()
    if known.pop(profile, None) is not None:
        _write_list(known)
    return was_there


def remember(
    credentials: Credentials | None,
    *,
    base_url: str,
    org_id: str | None,
    organization: str = "",
    profile: str = DEFAULT_PROFILE,
    keychain: Keychain = KEYCHAIN,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Kept:
    """Keep what a login has just succeeded with, and say what was kept, or why nothing was.

    An entry of the same host and organization is replaced, for a key is rotated; no other is.

    Args:
        credentials: the pair; None for a login by a ready token.
        base_url: the host that it may go to from now on.
        org_id: the organization of the token.
        organization: its name.
        profile: under which name.
        keychain: where to keep it.
        now: the time.

    Raises:
        InvalidArgument: no profile can have this name.
    """
    checked_profile(profile)
    if credentials is None:
        return Kept("", "Not remembered: a ready token has no key and secret to remember.")
    if credentials.key_id in _DEMO_KEY_IDS:
        return Kept(
            "", "Not remembered: the sandbox's demo key is public, and the sandbox sets it anew each time."
        )
    if reason := not_the_user_s():
        return Kept("", f"Not remembered: {reason}.")
    entry = Entry(profile, credentials, checked_base_url(base_url), org_id)
    try:
        before = keychain.read(profile)
        if before is not None and not _same_place(before, entry):
            return Kept("", _elsewhere(before))
        keychain.write(entry)
    except KeychainUnavailable as error:
        return Kept("", f"Not remembered: {error}. {_INSTEAD}")
    listed = Profile(profile, entry.base_url, org_id or "", organization, f"{now():%Y-%m-%dT%H:%M:%SZ}")
    unlisted = "" if _write_list({**_read_list(), profile: listed}) else " (but not in the list of profiles)"
    said = "The profile {} is replaced: its new key is kept" if before else "Remembered as the profile {}"
    return Kept(profile, f"{said.format(profile)} in the keychain of this computer{unlisted}.")


def _same_place(one: Entry, other: Entry) -> bool:
    return (one.base_url, one.org_id) == (other.base_url, other.org_id)


def _elsewhere(before: Entry) -> str:
    of = f", organization {before.org_id}" if before.org_id else ""
    return (
        f"Not remembered: the profile {before.profile} is of {before.base_url}{of}. Keep this login under another name "
        f"(--remember --profile NAME), or take that one out first (%m3ter_logout --forget {before.profile})."
    )


def unknown_profile(what: str) -> CredentialsMissing:
    """Return the error about a profile that is not remembered: it lists those that are, and repeats no word.

    Args:
        what: a clause that says what was asked for.
    """
    names = ", ".join(profile.name for profile in profiles())
    known = f"; there are: {names}" if names else ", and no other is: %m3ter_login --remember keeps one"
    return CredentialsMissing(f"{what}{known}.")


def _list_path() -> Path | None:
    try:
        from platformdirs import user_config_path
    except ImportError:  # without the extra there is no keychain either, and so nothing to list
        return None
    return user_config_path("m3ter_nb", appauthor=False) / "profiles.json"


def _read_list() -> dict[str, Profile]:
    """Return the list by name; what is not as we write it is left out."""
    path = _list_path()
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["profiles"] if path is not None else []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    found = [_row(row) for row in rows] if isinstance(rows, list) else []
    return {profile.name: profile for profile in found if profile is not None}


def _row(row: object) -> Profile | None:
    names = [field.name for field in fields(Profile)]
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in names):
        return None
    profile = Profile(**{name: row[name] for name in names})
    try:
        checked_profile(profile.name)
        checked_base_url(profile.host or DEFAULT_BASE_URL)
    except InvalidArgument:
        return None
    printable = all(getattr(profile, name).isprintable() for name in names)
    return profile if printable else None


def _write_list(known: dict[str, Profile]) -> bool:
    """Write the list in one step, for the user alone; tell whether it could be."""
    path = _list_path()
    if path is None:
        return False
    text = json.dumps({"profiles": [asdict(profile) for _, profile in sorted(known.items())]}, indent=2)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix="profiles.")  # 0600 from the start
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
            Path(temporary).replace(path)
        except OSError:
            with suppress(OSError):
                Path(temporary).unlink()
            return False
    except OSError:
        return False
    return True
