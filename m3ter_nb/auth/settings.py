"""What to log in with, and where it was found.

One order for every caller: the environment, then ``.env``. What is found is taken as a set: a host or an
organization id that only ``.env`` names never goes with credentials of the environment, so that a ``.env`` that
came with somebody's repository cannot send your key elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Never

from m3ter_nb.auth.cleaning import BASE_URL, ORG_ID, Kind, clean
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.token import Token
from m3ter_nb.auth.variables import (
    HOST_VARIABLE,
    KEY_VARIABLE,
    KINDS,
    ORG_VARIABLE,
    SECRET_VARIABLE,
    TOKEN_VARIABLE,
    VARIABLES,
)
from m3ter_nb.errors import (
    CredentialsConflict,
    CredentialsError,
    CredentialsMissing,
    InvalidArgument,
    UnsafeDestination,
)
from m3ter_nb.hiding import without_frames
from m3ter_nb.spelling import with_literal_repr
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, checked_base_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m3ter_nb.auth.env_file import EnvFile

__all__ = ["ENVIRONMENT", "Settings", "find_host", "find_settings", "read_environ", "settings_of"]

ENVIRONMENT = "the environment"


@with_literal_repr
class Settings(NamedTuple):
    """What one source says, all of it from one place.

    Attributes:
        credentials: the complete pair, or None.
        token: a ready bearer token (``M3TER_API_TOKEN``), or None. Never together with credentials.
        org_id: the organization id to hold the token against, or None.
        base_url: the API's base URL, or None for the default.
        source: where they came from, as a phrase that fits after "from".
        base_url_source: where the base URL came from; "" where there is none.
        notes: what was mended or passed over on the way, one sentence each.
        bound: whether the credentials go to this host and to no other, as remembered ones and a platform's do.
        profile: the remembered profile that they are of; "" where they are of none.
    """

    credentials: Credentials | None = None
    token: Token | None = None
    org_id: str | None = None
    base_url: str | None = None
    source: str = ""
    base_url_source: str = ""
    notes: tuple[str, ...] = ()
    bound: bool = False
    profile: str = ""

    @property
    def complete(self) -> bool:
        """Whether there is something to log in with."""
        return self.credentials is not None or self.token is not None

    @without_frames
    def directed(self, base_url: str | None, org_id: str | None) -> Settings:
        """Return the settings with a host and an organization that were asked for; None or empty leaves what is there.

        Raises:
            InvalidArgument: one of them is not text.
            UnsafeDestination: the credentials are bound to another host.
        """
        asked_host, of_host = _given(base_url, BASE_URL)
        self.refuse_other_host(asked_host)
        asked_org, of_org = _given(org_id, ORG_ID)
        return self._replace(
            base_url=asked_host or self.base_url,
            base_url_source="the arguments" if asked_host else self.base_url_source,
            org_id=asked_org or self.org_id,
            notes=(*self.notes, *of_host, *of_org),
        )

    def refuse_other_host(self, base_url: str | None) -> None:
        """Raise where bound credentials would go to another host.

        Raises:
            UnsafeDestination: they would; the message names both hosts.
        """
        if not (self.bound and base_url):
            return
        own, other = checked_base_url(self.base_url or DEFAULT_BASE_URL), checked_base_url(base_url)
        if own != other:
            raise UnsafeDestination(
                f"The credentials from {self.source} go to {own} and to no other host, but {other} was asked for "
                f"(base URL, or {HOST_VARIABLE}). Leave it out, or log in there with other credentials."
            )

    def with_credentials(self, credentials: Credentials) -> Settings:
        """Return host and organization with credentials that were handed over or typed."""
        return self._replace(
            credentials=credentials, token=None, source=credentials.source, bound=False, profile=""
        )

    def __repr__(self) -> str:
        return f"Settings(hidden, from {self.source or 'nowhere'})"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("Settings are not pickled: a secret or a token would be written in clear.")


@without_frames
def find_settings(
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: str | os.PathLike[str] | None = None,
    search_dotenv: bool = True,
    pipes: bool = True,
) -> Settings:
    """Find what to log in with: the environment first, then ``.env`` from the working directory upwards.

    Args:
        environ: variables to read instead of ``os.environ``; an empty value counts as unset.
        dotenv: a ``.env`` file to use; it is then the only source of credentials, the environment is not read.
        search_dotenv: whether to look for a ``.env`` where none is named.
        pipes: whether to read a ``.env`` that was come upon and is a named pipe.

    Returns:
        The first complete set. Where there is none: what is known of host and organization, for a form.

    Raises:
        CredentialsMissing: only half of the credentials is there, or in a line that cannot be read; or a named file
            has none.
        CredentialsConflict: a token and half a key pair in one place, or the halves of one pair in two.
        InvalidArgument: a named file cannot be read.
    """
    if dotenv is not None:
        return _of_named_file(dotenv)
    environment = _Place(os.environ if environ is None else environ, ENVIRONMENT)
    settings = environment.complete()
    if settings is not None:
        return settings
    from m3ter_nb.auth.env_file import EnvFile, find_dotenv

    found = find_dotenv(pipes=pipes) if search_dotenv else EnvFile("", {}, ())
    if found.fault:
        raise CredentialsMissing(found.fault)
    file = _Place.of_file(found)
    half = environment.missing_half(file)
    if half is not None:
        raise half
    settings = file.complete()
    half = file.missing_half() if settings is None else None
    if half is not None:
        raise half
    # A host or organization that the environment names goes before that of the file.
    return environment.over(settings or file.known())


@without_frames
def find_host(environ: Mapping[str, str] | None = None) -> Settings:
    """Find host and organization alone, for credentials that a person types; half a key pair is no error here.

    Args:
        environ: variables to read instead of ``os.environ``.
    """
    from m3ter_nb.auth.env_file import find_dotenv

    environment = _Place(os.environ if environ is None else environ, ENVIRONMENT)
    return environment.over(_Place.of_file(find_dotenv()).known())


@without_frames
def read_environ(environ: Mapping[str, str] | None = None) -> Settings:
    """Return the host and the organization that the environment names, and nothing of any file.

    Args:
        environ: variables to read instead of ``os.environ``.
    """
    return _Place(os.environ if environ is None else environ, ENVIRONMENT).known()


@without_frames
def settings_of(values: Mapping[str, str], source: str) -> Settings | None:
    """Return the settings that one place holds, cleaned; None where it holds nothing to log in with.

    Args:
        values: by the names of our variables, as they are kept there.
        source: the place, as a phrase that fits after "from".

    Raises:
        CredentialsMissing, CredentialsConflict: half of a pair.
    """
    place = _Place(values, source)
    settings = place.complete()
    half = place.missing_half() if settings is None else None
    if half is not None:
        raise half
    return settings


def _of_named_file(dotenv: str | os.PathLike[str]) -> Settings:
    from m3ter_nb.auth.env_file import read_dotenv

    path = str(Path(dotenv))
    file = _Place(read_dotenv(dotenv), path)
    settings = file.complete()
    if settings is None:
        raise file.missing_half() or CredentialsMissing(
            f"{path} names no credentials; it needs {KEY_VARIABLE} and {SECRET_VARIABLE}.",
        )
    return settings


def _given(value: object, kind: Kind) -> tuple[str, tuple[str, ...]]:
    if value is None:
        return "", ()
    if not isinstance(value, str):
        raise InvalidArgument(f"The {kind.label} is text, not of type {type(value).__name__}.")
    return clean(value, kind)


class _Place:
    """One place where our variables may be set, its values cleaned; what is empty counts as unset."""

    def __init__(self, raw: Mapping[str, str], source: str, passed_over: tuple[str, ...] = ()) -> None:
        self.source = source
        self.values: dict[str, str] = {}
        self._mended: dict[str, tuple[str, ...]] = {}
        self._passed_over = passed_over
        for name in VARIABLES:
            value, self._mended[name] = clean(raw.get(name) or "", KINDS[name])
            if value:
                self.values[name] = value

    @classmethod
    def of_file(cls, file: EnvFile) -> _Place:
        return cls(file.values, file.path, (*file.passed_over, *([file.fault] if file.fault else ())))

    def complete(self) -> Settings | None:
        """Return its settings where it holds complete credentials, else None."""
        key_id, secret, token = (
            self.values.get(name) for name in (KEY_VARIABLE, SECRET_VARIABLE, TOKEN_VARIABLE)
        )
        if key_id and secret:
            notes = (*self._mended[KEY_VARIABLE], *self._mended[SECRET_VARIABLE])
            ignored = (
                f"{TOKEN_VARIABLE} in {self.source} is not used: the key beside it gets a token that is renewed.",
            )
            return self._settings(
                Credentials(key_id, secret, self.source, notes), None, ignored if token else ()
            )
        if token and (key_id or secret):
            raise CredentialsConflict(
                f"Both {TOKEN_VARIABLE} and {KEY_VARIABLE if key_id else SECRET_VARIABLE} are set in {self.source}. "
                f"Set {SECRET_VARIABLE if key_id else KEY_VARIABLE} too to log in with the key (it is renewed by "
                "itself), or unset the half to use the token as it is.",
            )
        return self._settings(None, Token(token), self._mended[TOKEN_VARIABLE]) if token else None

    def known(self) -> Settings:
        """Return what it says of host and organization."""
        return self._settings(None, None, ())._replace(source="")

    def over(self, settings: Settings) -> Settings:
        """Put its host and organization id over those of a weaker place."""
        known = self.known()
        return settings._replace(
            org_id=known.org_id or settings.org_id,
            base_url=known.base_url or settings.base_url,
            base_url_source=known.base_url_source or settings.base_url_source,
            notes=(*known.notes, *settings.notes),
        )

    def missing_half(self, other: _Place | None = None) -> CredentialsError | None:
        """Return the error for a place that holds one half of a key pair, else None.

        Args:
            other: where the missing half was looked for too.
        """
        if (KEY_VARIABLE in self.values) == (SECRET_VARIABLE in self.values):
            return None
        halves = (KEY_VARIABLE, SECRET_VARIABLE)
        have, lack = halves if KEY_VARIABLE in self.values else halves[::-1]
        if other is not None and lack in other.values:
            return CredentialsConflict(
                f"{have} comes from {self.source}, but {lack} from {other.source}: they may belong to two service "
                f"users. Put both in one place, or unset {have}.",
            )
        looked = f"neither there nor in {other.source}" if other is not None and other.source else "not there"
        return CredentialsMissing(
            f"Only half of the credentials: {have} comes from {self.source}, but {lack} is {looked}. "
            f"Set {lack} too, or unset {have}.",
        )

    def _settings(
        self, credentials: Credentials | None, token: Token | None, notes: tuple[str, ...]
    ) -> Settings:
        return Settings(
            credentials=credentials,
            token=token,
            org_id=self.values.get(ORG_VARIABLE),
            base_url=self.values.get(HOST_VARIABLE),
            source=self.source,
            base_url_source=self.source if HOST_VARIABLE in self.values else "",
            notes=(*self._passed_over, *self._mended[ORG_VARIABLE], *self._mended[HOST_VARIABLE], *notes),
        )
