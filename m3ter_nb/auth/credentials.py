"""The Access Key ID and API Secret of a service user, and where they come from.

One order for every caller: the environment, then ``.env``. What is found is taken as a set: a host or an
organization id that only ``.env`` names never goes with credentials of the environment, so that a ``.env`` that
came with somebody's repository cannot send your key elsewhere.

Names are those of the official SDKs (https://docs.m3ter.com/api/authentication): ``M3TER_API_KEY``,
``M3TER_API_SECRET``, ``M3TER_API_TOKEN``, ``M3TER_ORG_ID``, ``M3TER_BASE_URL``.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Never

from m3ter_nb.errors import CredentialsConflict, CredentialsError, CredentialsMissing, InvalidArgument
from m3ter_nb.hiding import without_frames

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "HOST_VARIABLE",
    "ORG_VARIABLE",
    "VARIABLES",
    "Credentials",
    "Settings",
    "find_host",
    "find_settings",
    "looks_like_token",
    "read_dotenv",
    "unquoted",
]

KEY_VARIABLE = "M3TER_API_KEY"
SECRET_VARIABLE = "M3TER_API_SECRET"  # noqa: S105 - the name of a variable, not a secret
TOKEN_VARIABLE = "M3TER_API_TOKEN"  # noqa: S105 - the name of a variable, not a token
ORG_VARIABLE = "M3TER_ORG_ID"
HOST_VARIABLE = "M3TER_BASE_URL"

#: Every environment variable that is read, in the order in which help texts name them.
VARIABLES = (KEY_VARIABLE, SECRET_VARIABLE, ORG_VARIABLE, HOST_VARIABLE, TOKEN_VARIABLE)

ENVIRONMENT = "the environment"

_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}
# What copying from a web page or a chat leaves at the ends of a value, unseen.
_UNSEEN = " \t\r\n\v\f\u00a0\u200b\u200c\u200d\u2060\ufeff"
# Unicode's categories of control characters and of lone surrogates: what os.environ makes of a byte that is not UTF-8.
_CONTROL = ("Cc", "Cs")


class Credentials:
    """The Access Key ID and API Secret of one service user.

    The secret shows nowhere: not in ``repr``, not in a pickle or a copy of its fields (refused), only through
    :meth:`reveal_secret`. The key id is not shown either: it may be the secret, where the two were swapped.

    Args:
        key_id: the Access Key ID.
        secret: the API Secret.
        source: where both came from, as a phrase that fits after "from".
        notes: what was mended on the way in (white space, quotes), one sentence each.

    Raises:
        CredentialsError: a value is empty, holds a control character or a byte that is not UTF-8, or is clearly
            something else (a bearer token, the same value twice, a key id with a colon, which RFC 7617 section 2
            forbids).
    """

    __slots__ = ("_key_id", "_notes", "_secret", "_source")

    @without_frames
    def __init__(
        self, key_id: str, secret: str, source: str = "arguments", notes: tuple[str, ...] = ()
    ) -> None:
        self._key_id = _checked("Access Key ID", key_id, source)
        self._secret = _checked("API Secret", secret, source)
        self._source = source
        self._notes = notes
        if ":" in key_id:
            raise CredentialsError(
                f"The Access Key ID from {source} holds a colon, which no key id can. "
                "Was 'id:secret' pasted into one field?",
            )
        if key_id == secret:
            raise CredentialsError(f"The Access Key ID and the API Secret from {source} are the same text.")

    @property
    def key_id(self) -> str:
        """The Access Key ID."""
        return self._key_id

    @property
    def source(self) -> str:
        """Where both came from, as a phrase that fits after "from"."""
        return self._source

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mended on the way in, one sentence each."""
        return self._notes

    @classmethod
    @without_frames
    def pasted(cls, key_id: str, secret: str, *, source: str) -> Credentials:
        """Take what a person pasted: white space and quotes around a value are removed, and noted.

        Args:
            key_id: the Access Key ID as typed.
            secret: the API Secret as typed.
            source: where it was typed, as a phrase that fits after "from".

        Raises:
            CredentialsError: as the class.
        """
        notes: list[str] = []
        key_id = _unwrapped(key_id, "Access Key ID", notes)
        secret = _unwrapped(secret, "API Secret", notes)
        return cls(key_id, secret, source, tuple(notes))

    def reveal_secret(self) -> str:
        """Return the API Secret in clear."""
        return self._secret

    def __repr__(self) -> str:
        return f"Credentials(hidden, from {self._source})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Credentials):
            return NotImplemented
        return (self._key_id, self._secret) == (other._key_id, other._secret)

    def __hash__(self) -> int:
        return hash((self._key_id, self._secret))

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Credentials:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("Credentials are not pickled: the secret would be written in clear.")

    def __getstate__(self) -> Never:
        raise InvalidArgument("Credentials are not pickled: the secret would be written in clear.")


class Settings(NamedTuple):
    """What the environment or ``.env`` says, all of it from one place.

    Attributes:
        credentials: the complete pair, or None.
        token: a ready bearer token (``M3TER_API_TOKEN``), or None. Never together with credentials.
        org_id: the organization id to hold the token against, or None.
        base_url: the API's base URL, or None for the default.
        source: where they came from, as a phrase that fits after "from".
        base_url_source: where the base URL came from; "" where there is none.
    """

    credentials: Credentials | None = None
    token: str | None = None
    org_id: str | None = None
    base_url: str | None = None
    source: str = ""
    base_url_source: str = ""

    @property
    def complete(self) -> bool:
        """Whether there is something to log in with."""
        return self.credentials is not None or self.token is not None

    def __repr__(self) -> str:
        return f"Settings(hidden, from {self.source or 'nowhere'})"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("Settings are not pickled: a secret or a token would be written in clear.")


def looks_like_token(text: str) -> bool:
    """Tell whether a text has the shape of a JWT: ``eyJ``, and three parts joined by dots (RFC 7519 section 3)."""
    return text.startswith("eyJ") and text.count(".") == 2


@without_frames
def read_dotenv(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the ``M3TER_*`` variables of a ``.env`` file, values as written; ``os.environ`` is left alone.

    ``${...}`` is not interpolated: a secret may hold it.

    Raises:
        InvalidArgument: the file is not there, not readable or not UTF-8.
    """
    from dotenv import dotenv_values

    path = Path(path).expanduser()
    if not path.is_file():
        raise InvalidArgument(
            f"There is no file {path}; name an existing .env file, or leave --env without one."
        )
    try:
        # utf-8-sig: Windows editors put a byte order mark before the first name.
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(
            f"{path} cannot be read ({type(error).__name__}); is it a UTF-8 text file?"
        ) from None
    return {name: value for name, value in values.items() if name in VARIABLES and value}


@without_frames
def find_settings(
    environ: Mapping[str, str] | None = None,
    *,
    dotenv: str | os.PathLike[str] | None = None,
    search_dotenv: bool = True,
) -> Settings:
    """Find what to log in with: the environment first, then ``.env`` from the working directory upwards.

    Args:
        environ: variables to read instead of ``os.environ``; an empty value counts as unset.
        dotenv: a ``.env`` file to use; it is then the only source of credentials, the environment is not read.
        search_dotenv: whether to look for a ``.env`` where none is named.

    Returns:
        The first complete set. Where there is none: what is known of host and organization, for a form.

    Raises:
        CredentialsMissing: only half of the credentials is there, or a named file has none.
        CredentialsConflict: a token and a key pair in one place, or the halves of one pair in two.
        InvalidArgument: a named file cannot be read.
    """
    if dotenv is not None:
        file_values = read_dotenv(dotenv)
        settings = _complete(file_values, str(Path(dotenv)), pasted=False)
        if settings is None:
            raise _missing_half(file_values, str(Path(dotenv)), {}, "") or CredentialsMissing(
                f"{Path(dotenv)} names no credentials; it needs {KEY_VARIABLE} and {SECRET_VARIABLE}.",
            )
        return settings
    environ = os.environ if environ is None else environ
    env_values = {name: environ[name] for name in VARIABLES if environ.get(name)}
    settings = _complete(env_values, ENVIRONMENT, pasted=True)
    if settings is not None:
        return settings
    path = _dotenv_upwards() if search_dotenv else ""
    file_values = read_dotenv(path) if path else {}
    half = _missing_half(env_values, ENVIRONMENT, file_values, path)
    if half is not None:
        raise half
    settings = _complete(file_values, path, pasted=False)
    if settings is not None:
        # A host or organization that the environment names goes before that of the file.
        return _overridden(settings, env_values)
    half = _missing_half(file_values, path, {}, "")
    if half is not None:
        raise half
    return _known(env_values, file_values, path)


@without_frames
def find_host(environ: Mapping[str, str] | None = None) -> Settings:
    """Find host and organization alone, for credentials that a person types; half a key pair is no error here.

    Args:
        environ: variables to read instead of ``os.environ``.

    Raises:
        InvalidArgument: there is a ``.env`` that cannot be read.
    """
    environ = os.environ if environ is None else environ
    path = _dotenv_upwards()
    return _known(environ, read_dotenv(path) if path else {}, path)


def _known(env_values: Mapping[str, str], file_values: Mapping[str, str], path: str) -> Settings:
    return _overridden(
        Settings(
            org_id=unquoted(file_values.get(ORG_VARIABLE)),
            base_url=unquoted(file_values.get(HOST_VARIABLE)),
            base_url_source=path if HOST_VARIABLE in file_values else "",
        ),
        env_values,
    )


def _complete(values: Mapping[str, str], source: str, *, pasted: bool) -> Settings | None:
    """Return the settings of one source where it holds complete credentials, else None."""
    key_id, secret, token = (values.get(name) for name in (KEY_VARIABLE, SECRET_VARIABLE, TOKEN_VARIABLE))
    if token and (key_id or secret):
        pair = (
            f"{KEY_VARIABLE} and {SECRET_VARIABLE}"
            if key_id and secret
            else KEY_VARIABLE
            if key_id
            else SECRET_VARIABLE
        )
        raise CredentialsConflict(
            f"Both {TOKEN_VARIABLE} and {pair} are set in {source}. Unset {TOKEN_VARIABLE} to log in with the key "
            "(it is renewed by itself), or the key to use the token as it is.",
        )
    credentials: Credentials | None = None
    if key_id and secret:
        make = Credentials.pasted if pasted else Credentials
        credentials = make(key_id, secret, source=source)
    elif not token:
        return None
    return Settings(
        credentials=credentials,
        token=token.strip() if token else None,
        org_id=unquoted(values.get(ORG_VARIABLE)),
        base_url=unquoted(values.get(HOST_VARIABLE)),
        source=source,
        base_url_source=source if HOST_VARIABLE in values else "",
    )


def _overridden(settings: Settings, env_values: Mapping[str, str]) -> Settings:
    """Put the environment's host and organization id over those of a weaker source."""
    return Settings(
        credentials=settings.credentials,
        token=settings.token,
        org_id=unquoted(env_values.get(ORG_VARIABLE)) or settings.org_id,
        base_url=unquoted(env_values.get(HOST_VARIABLE)) or settings.base_url,
        source=settings.source,
        base_url_source=ENVIRONMENT if env_values.get(HOST_VARIABLE) else settings.base_url_source,
    )


def _missing_half(
    values: Mapping[str, str],
    source: str,
    others: Mapping[str, str],
    other_source: str,
) -> CredentialsError | None:
    """Return the error for a source that holds one half of a key pair, else None."""
    if (KEY_VARIABLE in values) == (SECRET_VARIABLE in values):
        return None
    have, lack = (
        (KEY_VARIABLE, SECRET_VARIABLE) if KEY_VARIABLE in values else (SECRET_VARIABLE, KEY_VARIABLE)
    )
    if lack in others:
        return CredentialsConflict(
            f"{have} comes from {source}, but {lack} from {other_source}: they may belong to two service users. "
            f"Put both in one place, or unset {have}.",
        )
    looked = f" nor in {other_source}" if other_source else ""
    also = "neither there" if looked else "not there"
    return CredentialsMissing(
        f"Only half of the credentials: {have} comes from {source}, but {lack} is {also}{looked}. "
        f"Set {lack} too, or unset {have}.",
    )


def _dotenv_upwards() -> str:
    """Return the path of the nearest ``.env`` from the working directory upwards, or ``""``."""
    # Looked for by hand: find_dotenv costs the import of the dotenv package at each login without a file.
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working directory was deleted under the kernel
        return ""
    for folder in (here, *here.parents):
        candidate = folder / ".env"
        if candidate.is_file():
            return str(candidate)
    return ""


def unquoted(value: str | None) -> str | None:
    """Take white space and quotes off a host or an organization id, neither of which can hold them."""
    return value.strip(_UNSEEN + "'\"") if value else None


def _checked(label: str, value: object, source: str) -> str:
    """Return a key id or a secret if it can be one; the value is not repeated."""
    if not isinstance(value, str):
        raise CredentialsError(f"The {label} from {source} is not text; give it as a str.")
    if not value:
        raise CredentialsMissing(f"The {label} from {source} is empty.")
    if any(unicodedata.category(character) in _CONTROL for character in value):
        raise CredentialsError(
            f"The {label} from {source} holds a line break, a control character or a byte that is not UTF-8; "
            "copy it again.",
        )
    if looks_like_token(value):
        raise CredentialsError(
            f"The {label} from {source} looks like a bearer token, not like a key. A ready token belongs in "
            f"{TOKEN_VARIABLE}; the key id and secret are what the Console showed.",
        )
    return value


def _unwrapped(value: str, label: str, notes: list[str]) -> str:
    """Remove what a paste leaves around a value, and note it."""
    bare = value.strip(_UNSEEN)
    if bare != value:
        notes.append(f"White space around the {label} was removed.")
    if len(bare) > 2 and _QUOTES.get(bare[0]) == bare[-1]:
        bare = bare[1:-1].strip(_UNSEEN)
        notes.append(f"Quotes around the {label} were removed.")
    return bare
