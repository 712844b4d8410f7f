"""The Access Key ID and API Secret of a service user, as a value that shows neither."""

from __future__ import annotations

import unicodedata
from typing import Never

from m3ter_nb.auth.cleaning import KEY_ID, SECRET, Kind, clean
from m3ter_nb.errors import CredentialsError, CredentialsMissing, InvalidArgument
from m3ter_nb.hiding import Sealed, without_frames
from m3ter_nb.spelling import is_mask, with_literal_repr

__all__ = ["Credentials", "looks_like_token"]

# Unicode's categories of control characters and of lone surrogates: what os.environ makes of a byte that is not UTF-8.
_CONTROL = ("Cc", "Cs")


@with_literal_repr
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
        self._source = _text("source of the credentials", source, "arguments")
        self._key_id = Sealed(_checked(KEY_ID, key_id, source))
        self._secret = Sealed(_checked(SECRET, secret, source))
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
        return self._key_id.open()

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
        """Take what was pasted, set or stored: what copying leaves around a value is removed, and noted.

        Args:
            key_id: the Access Key ID as it came.
            secret: the API Secret as it came.
            source: where both came from, as a phrase that fits after "from".

        Raises:
            CredentialsError: as the class.
        """
        key_id, of_key_id = clean(_text(KEY_ID.label, key_id, source), KEY_ID)
        secret, of_secret = clean(_text(SECRET.label, secret, source), SECRET)
        return cls(key_id, secret, source, (*of_key_id, *of_secret))

    def reveal_secret(self) -> str:
        """Return the API Secret in clear."""
        return self._secret.open()

    def __repr__(self) -> str:
        return f"Credentials(hidden, from {self._source})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Credentials):
            return NotImplemented
        return (self.key_id, self.reveal_secret()) == (other.key_id, other.reveal_secret())

    def __hash__(self) -> int:
        return hash((self.key_id, self.reveal_secret()))

    def __copy__(self) -> Credentials:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Credentials:
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("Credentials are not pickled: the secret would be written in clear.")

    def __getstate__(self) -> Never:
        raise InvalidArgument("Credentials are not pickled: the secret would be written in clear.")


def looks_like_token(text: str) -> bool:
    """Tell whether a text has the shape of a JWT: ``eyJ``, and three parts joined by dots (RFC 7519 section 3)."""
    return text.startswith("eyJ") and text.count(".") == 2


def _text(label: str, value: object, source: str) -> str:
    if not isinstance(value, str):
        raise CredentialsError(f"The {label} from {source} is not text; give it as a str.")
    return value


def _checked(kind: Kind, value: object, source: str) -> str:
    """Return a key id or a secret if it can be one; the value is not repeated."""
    value = _text(kind.label, value, source)
    if not value:
        raise CredentialsMissing(
            f"The {kind.label} from {source} is empty; the Console gives key and secret when a key is made."
        )
    if any(unicodedata.category(character) in _CONTROL for character in value):
        raise CredentialsError(
            f"The {kind.label} from {source} holds a line break, a control character or a byte that is not UTF-8; "
            "copy it again.",
        )
    if is_mask(value):
        raise CredentialsError(
            f"The {kind.label} from {source} is a mask, which stands for it in a view; copy the value itself."
        )
    if looks_like_token(value):
        raise CredentialsError(
            f"The {kind.label} from {source} looks like a bearer token, not like a key. A ready token belongs in "
            "M3TER_API_TOKEN; the key id and secret are what the Console showed.",
        )
    return value
