"""Credentials that are bound to a host, and go to no other: those of a platform's secrets and of a remembered profile.

They are asked for where the environment and ``.env`` hold none, or by name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from m3ter_nb.auth.keychain import KEYCHAIN, Keychain
from m3ter_nb.auth.platforms import platform_secrets
from m3ter_nb.auth.profiles import (
    DEFAULT_PROFILE,
    PROFILE_VARIABLE,
    checked_profile,
    profiles,
    unknown_profile,
)
from m3ter_nb.auth.settings import ENVIRONMENT, Settings, read_environ, settings_of
from m3ter_nb.errors import KeychainUnavailable
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["look_further", "recall"]


@without_frames
def look_further(
    known: Settings, environ: Mapping[str, str], keychain: Keychain = KEYCHAIN, *, take_remembered: bool
) -> Settings:
    """Find what to log in with where neither the environment nor ``.env`` has it; see :func:`m3ter_nb.auth.search.search`.

    Args:
        known: what they say of host and organization.
        environ: the variables that were read.
        keychain: where profiles are remembered.
        take_remembered: whether a remembered profile will do.
    """
    platform = platform_secrets()
    if platform is not None:
        known = known._replace(notes=(*known.notes, *([platform.trouble] if platform.trouble else ())))
        given = settings_of(platform.values, platform.source)
        if given is not None:
            given = given._replace(base_url=given.base_url or DEFAULT_BASE_URL, bound=True)
            return _instead_of(known, given, environ)
    return _remembered(known, environ, keychain) if take_remembered else known


def _remembered(known: Settings, environ: Mapping[str, str], keychain: Keychain) -> Settings:
    """Take the profile that the environment names, else the default one; where there is none, what is known."""
    named = environ.get(PROFILE_VARIABLE, "")
    try:
        remembered = _read(checked_profile(named or DEFAULT_PROFILE), keychain)
    except KeychainUnavailable as error:
        # Nobody who has remembered nothing needs to hear that there is no keychain; one that is locked may hold it.
        worth_saying = error.locked or named or DEFAULT_PROFILE in _names()
        note = (f"The remembered profile was not read: {error}.",) if worth_saying else ()
        return known._replace(notes=(*known.notes, *note))
    if remembered is None and named:
        raise unknown_profile(f"{PROFILE_VARIABLE} names a profile that is not remembered")
    if remembered is None:
        gone = ("The keychain no longer holds the profile default.",) if DEFAULT_PROFILE in _names() else ()
        return known._replace(notes=(*known.notes, *gone))
    return _instead_of(known, remembered, environ)


@without_frames
def recall(
    profile: str, environ: Mapping[str, str] | None = None, *, keychain: Keychain = KEYCHAIN
) -> Settings:
    """Return the login that is remembered as a profile, whatever the environment holds.

    Args:
        profile: its name.
        environ: variables to read instead of ``os.environ``; a host that they name must be the remembered one.
        keychain: where it is remembered.

    Raises:
        InvalidArgument: no profile can have this name.
        CredentialsMissing: none has.
        KeychainUnavailable: the keychain is not there, or locked.
        UnsafeDestination: the environment names another host than the remembered one.
    """
    try:
        remembered = _read(checked_profile(profile), keychain)
    except KeychainUnavailable as error:
        first = "Unlock it and run this again, or set" if error.locked else "Set"
        raise KeychainUnavailable(
            f"The profile cannot be read: {error}. {first} M3TER_API_KEY and M3TER_API_SECRET in the environment or in a "
            f".env file, and leave {option('profile')} out.",
            locked=error.locked,
        ) from None
    if remembered is None:
        raise unknown_profile("No profile of that name is remembered")
    return _instead_of(Settings(), remembered, os.environ if environ is None else environ)


def _read(profile: str, keychain: Keychain) -> Settings | None:
    entry = keychain.read(profile)
    if entry is None:
        return None
    return Settings(
        credentials=entry.credentials,
        org_id=entry.org_id,
        base_url=entry.base_url,
        source=entry.credentials.source,
        base_url_source=entry.credentials.source,
        bound=True,
        profile=profile,
    )


def _instead_of(known: Settings, bound: Settings, environ: Mapping[str, str]) -> Settings:
    """Take bound credentials where others only named a host: the environment's must agree, a file's is passed over."""
    bound.refuse_other_host(read_environ(environ).base_url)
    of_file = known.base_url_source not in ("", ENVIRONMENT) and known.base_url != bound.base_url
    note = f"The host that {known.base_url_source} names was passed over: {bound.source} goes to {bound.base_url}."
    return bound._replace(notes=(*known.notes, *bound.notes, *([note] if of_file else ())))


def _names() -> list[str]:
    return [profile.name for profile in profiles()]
