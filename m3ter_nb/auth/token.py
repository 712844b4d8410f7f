"""Bearer tokens as values: no I/O, a mask wherever one is shown."""

from __future__ import annotations

import base64
import binascii
import json
import math
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Never, Self

from m3ter_nb.auth.cleaning import TOKEN, can_be_bearer, clean
from m3ter_nb.errors import InvalidArgument, TokenExpired
from m3ter_nb.hiding import Hidden, without_frames
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock, Moment

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Token", "bearer", "fits_a_header", "ready_token", "time_left"]


class Token(str):
    """A bearer token: showing it shows a mask, using it uses the token.

    A ``str``, so that the documented code works as printed: ``f"Bearer {token}"``, ``"Bearer " + token``, a header,
    ``json.dumps``, ``os.environ[...] = token``. Whatever only shows it (``print``, ``repr``, ``str``, ``%whos``, the
    cell's output) gets a mask that tells the time left. The mask holds ``…`` (a line break, where standard output has
    no ``…``), which no HTTP header can carry, so a masked value used by mistake (``"%s" % token``) fails at once. What is
    cut from a token (a slice, ``strip()``, ``split()``) is masked like it.
    """

    __slots__ = ("_clock", "_lifetime", "_received")

    _clock: Clock
    _lifetime: float | None
    _received: Moment

    @without_frames
    def __new__(
        cls, access_token: str, expires_in: float | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> Self:
        """Wrap an access token.

        Args:
            access_token: the text that goes into the Authorization header.
            expires_in: seconds until it ends, counted from now. None: by its ``exp`` claim, where it has one.
            clock: where time comes from.

        Raises:
            InvalidArgument: one of them is something else.
        """
        if not isinstance(access_token, str):
            raise InvalidArgument("A token is text.")
        if not isinstance(clock, Clock):
            raise InvalidArgument("clock is a m3ter_nb.wire.clock.Clock.")
        if expires_in is not None and not _is_finite(expires_in):
            raise InvalidArgument(
                "expires_in is a number of seconds, or None where the token says so itself."
            )
        self = super().__new__(cls, access_token)
        self._clock = clock
        self._received = clock.now()
        if expires_in is None and self.exp is not None:
            expires_in = self.exp - self._received.wall
        self._lifetime = expires_in
        return self

    def reveal(self) -> str:
        """Return the token in clear, as a plain ``str``."""
        return str.__str__(self)

    @property
    def lifetime(self) -> float | None:
        """Seconds between its receipt and its end; None if unknown."""
        return self._lifetime

    @property
    def expires_at(self) -> float | None:
        """When it ends, in seconds since 1970; None if unknown."""
        return None if self._lifetime is None else self._clock.wall() + (self.seconds_left or 0.0)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until it ends, never less than 0; None if unknown."""
        if self._lifetime is None:
            return None
        return max(0.0, self._lifetime - self._clock.elapsed(self._received))

    @property
    def age(self) -> float:
        """Seconds since its receipt."""
        return self._clock.elapsed(self._received)

    @property
    def expired(self) -> bool:
        """Whether it has ended, as far as is known."""
        return self.seconds_left == 0.0

    @property
    def claims(self) -> dict[str, Any]:
        """What the token says of itself, decoded but not verified; empty where it is no JWT (RFC 7519)."""
        parts = self.reveal().split(".")
        if len(parts) != 3:
            return {}
        try:
            payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (binascii.Error, ValueError, RecursionError):
            return {}
        return payload if isinstance(payload, dict) else {}

    @property
    def exp(self) -> float | None:
        """When it ends by its own claim ``exp`` (RFC 7519 section 4.1.4), in seconds since 1970; None if unknown."""
        exp = self.claims.get("exp")
        if isinstance(exp, bool) or not isinstance(exp, (int, float)):
            return None
        try:
            return float(exp) if math.isfinite(exp) else None
        except OverflowError:
            return None

    @property
    def org_id(self) -> str | None:
        """The organization it is for (claim ``orgId``), where it says."""
        org_id = self.claims.get("orgId")
        return org_id if isinstance(org_id, str) and org_id else None

    @property
    def permissions(self) -> tuple[str, ...]:
        """The actions it allows, e.g. ``MEASUREMENTS_UPLOAD``, sorted; empty where it does not say.

        m3ter writes them into the token as ``SERVICE#ACTION#ITEM#id`` (https://docs.m3ter.com/api/auth/get-token).
        """
        permissions = self.claims.get("permissions")
        granted = (
            [str(name) for name, on in permissions.items() if on] if isinstance(permissions, dict) else []
        )
        return tuple(sorted({name.split("#")[1] if "#" in name else name for name in granted}))

    def __str__(self) -> str:
        return f"<m3ter token {_unsendable()}{time_left(self.seconds_left)}; .reveal() shows it>"

    __repr__ = __rich__ = __str__

    def __format__(self, spec: str) -> str:
        return format(self.reveal(), spec)

    def __reduce_ex__(self, protocol: object = None) -> Never:
        raise InvalidArgument(
            "A m3ter token is not pickled or stored: it would be written in clear. Use .reveal() if you mean it.",
        )

    __getnewargs__ = __reduce_ex__

    def __copy__(self) -> Token:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Token:
        return self

    def _masked(self, cut: Any) -> Any:
        """Return what a method of ``str`` made of this token, each text of it a token of the same end."""
        if isinstance(cut, (list, tuple)):
            return type(cut)(map(self._masked, cut))
        made = str.__new__(type(self), cut)
        for name in Token.__slots__:
            setattr(made, name, getattr(self, name))
        return made


def _masking(name: str) -> Callable[..., Any]:
    plain: Callable[..., Any] = getattr(str, name)

    @wraps(plain)
    def masking(self: Token, *args: Any, **kwargs: Any) -> Any:
        return self._masked(plain(self, *args, **kwargs))

    return masking


# rich, pydoc and reprlib cut a long text before they show it.
for _name in (
    *("__getitem__", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "replace", "translate"),
    *("lower", "upper", "casefold", "capitalize", "swapcase", "title", "expandtabs"),
    *("__mul__", "__rmul__", "ljust", "rjust", "center", "zfill"),
    *("split", "rsplit", "splitlines", "partition", "rpartition"),
):
    setattr(Token, _name, _masking(_name))


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _unsendable() -> str:
    """Return what ``print`` can write and a header cannot carry."""
    try:
        "…".encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (LookupError, UnicodeEncodeError):
        return "(masked)\n"
    return "…, "


def time_left(seconds: float | None) -> str:
    """Say how long a token lasts: ``4 h 59 min left``, ``12 s left``, ``expired``."""
    if seconds is None:
        return "end unknown"
    if seconds <= 0:
        return "expired"
    if seconds < 60:
        return f"{seconds:.0f} s left"
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes:02d} min left" if hours else f"{minutes} min left"


def bearer(token: Token) -> Hidden:
    """Return the Authorization header that a token makes (RFC 6750 section 2.1)."""
    return Hidden("Bearer " + token)


def fits_a_header(text: str) -> bool:
    """Tell whether a header can carry a text as a token: printable ASCII without a space."""
    return text.isascii() and text.isprintable() and " " not in text


@without_frames
def ready_token(text: str, *, source: str, clock: Clock = SYSTEM_CLOCK) -> Token:
    """Take a token that somebody else fetched (``M3TER_API_TOKEN``), cleaned as everything that is pasted.

    Raises:
        TokenExpired: its ``exp`` has passed.
        InvalidArgument: it cannot be a bearer token.
    """
    text, _ = clean(text, TOKEN)
    if not can_be_bearer(text):
        raise InvalidArgument(
            f"The token from {source} is cut off, or holds a character that no bearer token has (RFC 6750 section 2.1); "
            "copy it again."
        )
    token = Token(text, clock=clock)
    if token.expired:
        raise TokenExpired(
            f"The token from {source} has ended; get a new one, or set a key id and secret instead."
        )
    return token
