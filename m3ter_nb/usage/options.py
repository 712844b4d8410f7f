"""The options of the check and of the submission, named once for the session, the magic and the cluster."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike, fsencode, fspath
from typing import TYPE_CHECKING, Any, Final, Literal, TypedDict
from zoneinfo import ZoneInfo

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.meter import Columns
from m3ter_nb.usage.pace import DEFAULT_RATE, checked_rate
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from m3ter_nb.usage.report import UsageReport

__all__ = ["LONGEST_WAIT", "CheckOptions", "Options", "SubmitOptions", "check_number"]

_MOST_THREADS: Final = 64
#: Seconds.
LONGEST_WAIT: Final = 86_400


class CheckOptions(TypedDict, total=False):
    """How a source is read; see :meth:`m3ter_nb.M3terSession.submit_usage`."""

    account: str
    ts: str
    ets: str | None
    columns: Mapping[str, str]
    uid: str | None
    key: Sequence[str] | str | None
    new_accounts: Literal["refuse", "create"]
    timezone: str
    journal: str | PathLike[str] | None


class SubmitOptions(CheckOptions, total=False):
    """How a source is read and sent."""

    invalid: Literal["refuse", "skip"]
    confirm: float
    threads: int
    rate: tuple[float, int]
    patience: float
    raise_on_refused: bool


@dataclass(frozen=True)
class Options:
    """The options, checked.

    Attributes:
        approve: is given the report before the first row is sent; raises to keep it from being sent.

    Raises:
        InvalidArgument: one of them makes no sense.
    """

    account: str = "account"
    ts: str = "ts"
    ets: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    uid: str | None = None
    key: Sequence[str] | str | None = None
    new_accounts: Literal["refuse", "create"] = "refuse"
    invalid: Literal["refuse", "skip"] = "refuse"
    timezone: str = "UTC"
    journal: str | PathLike[str] | None = "auto"
    confirm: float = 60
    threads: int = 16
    rate: tuple[float, int] = DEFAULT_RATE
    patience: float = 330
    raise_on_refused: bool = True
    approve: Callable[[UsageReport], None] | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("new_accounts", ("refuse", "create")), ("invalid", ("refuse", "skip"))):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in allowed:
                raise InvalidArgument(f"{option(name)} is {' or '.join(map(repr, allowed))}.")
        self._check_names()
        check_number(self.threads, "threads", 1, _MOST_THREADS)
        if not isinstance(_untyped(self.threads), int):
            raise InvalidArgument("threads= is a whole number.")
        check_number(self.confirm, "confirm", 0, LONGEST_WAIT)
        check_number(self.patience, "patience", 0, LONGEST_WAIT)
        if not isinstance(_untyped(self.raise_on_refused), bool):
            raise InvalidArgument("raise_on_refused= is True or False.")
        checked_rate(self.rate)
        self._check_zone()

    def _check_zone(self) -> None:
        zone = _untyped(self.timezone)
        if isinstance(zone, str):
            if zone == "UTC":  # needs no database of zones, which Windows and a browser page lack
                return
            with suppress(ValueError, OSError, KeyError):
                ZoneInfo(zone)
                return
        raise InvalidArgument(
            "There is no time zone of that name on this machine; name one as 'Europe/London'."
        )

    def _check_names(self) -> None:
        for name in ("account", "ts", "ets", "uid"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name in ("account", "ts")):
                raise InvalidArgument(f"{option(name)} is the name of one column.")
        key, columns, journal = _untyped(self.key), _untyped(self.columns), _untyped(self.journal)
        if key is not None and not _are_texts(key):
            raise InvalidArgument(f"{option('key')} is the name of a column, or several of them.")
        if not (
            isinstance(columns, Mapping)
            and all(isinstance(each, str) for pair in columns.items() for each in pair)
        ):
            raise InvalidArgument('columns= names columns by the fields of the meter: {"region": "zone"}.')
        if journal is not None and not _is_path(journal):
            raise InvalidArgument("journal= is a path, or None for no journal.")

    @property
    def chosen(self) -> Columns:
        """Which column holds what."""
        key = (self.key,) if isinstance(self.key, str) else self.key
        return Columns(
            self.account,
            self.ts,
            self.ets,
            dict(self.columns),
            self.uid,
            # In one order, however they are named: it is part of the uid.
            tuple(sorted(set(key))) if key is not None else None,
        )


def _untyped(value: Any) -> Any:
    """Return an argument as what a caller may really have given."""
    return value


def _are_texts(value: object) -> bool:
    """Tell whether a value is a collection of texts; a mapping and a frame are more than their names."""
    if not isinstance(value, Collection) or isinstance(value, Mapping) or hasattr(value, "columns"):
        return False
    return getattr(value, "ndim", 1) == 1 and all(isinstance(each, str) for each in value)


def _is_path(value: object) -> bool:
    text = fspath(value) if isinstance(value, (str, PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        return False
    try:
        fsencode(text)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def check_number(value: object, name: str, least: float, most: float) -> None:
    """Hold an argument to what it may be.

    Raises:
        InvalidArgument: it is no number, or not between these.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise InvalidArgument(f"{option(name)} is a number from {least:g} to {most:g}.")
