"""The meter that usage is for, and which column each of its fields is taken from."""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.wording import either, option

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from m3ter_nb.usage.channel import Reader

__all__ = ["NUMERIC", "Columns", "Field", "Meter", "find_meter"]

#: The categories whose values are numbers; those of all others are texts (OpenAPI document, MeasurementRequest).
NUMERIC: Final = frozenset({"MEASURE", "INCOME", "COST"})


@dataclass(frozen=True, slots=True)
class Field:
    """One data field of a meter."""

    code: str
    category: str

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers."""
        return self.category in NUMERIC


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter, as far as measurements need it.

    Attributes:
        fields: by category and code: uids must not depend on the order in which m3ter lists them.
    """

    id: str
    code: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what.

    Args:
        account: account codes.
        ts: times.
        ets: end times, or None.
        fields: for each field code of the meter, its column where the names differ.
        uid: the source's own ids, or None.
        key: columns that together name a row, or None.
    """

    account: str = "account"
    ts: str = "ts"
    ets: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    uid: str | None = None
    key: tuple[str, ...] | None = None

    @property
    def by_content(self) -> bool:
        """Whether a uid is a digest of all that is sent."""
        return self.uid is None and self.key is None

    @property
    def way(self) -> str:
        """What tells one way of making uids from another."""
        return json.dumps([self.uid, self.key])

    @property
    def named(self) -> str:
        """The columns that name a row, as a message has them."""
        return self.uid or ", ".join(self.key or ())

    def of(self, code: str) -> str:
        """Return the column of a field."""
        return self.fields.get(code, code)

    def needed(self, meter: Meter) -> list[str]:
        """Return every column that measurements are made of, each once."""
        ends = [self.ets] if self.ets is not None else []
        ids = [self.uid] if self.uid is not None else list(self.key or ())
        fields = [self.of(each.code) for each in meter.fields]
        return list(dict.fromkeys([self.account, self.ts, *ends, *fields, *ids]))

    def check(self, meter: Meter, there: Sequence[str]) -> None:
        """Hold the choice to the meter and to the source.

        Raises:
            InvalidArgument: a field that the meter has not, a column that the source has not, or uid beside key.
        """
        if self.uid is not None and self.key is not None:
            raise InvalidArgument(
                f"{option('uid')} and {option('key')} exclude each other: a uid already names its row."
            )
        if self.key is not None and not self.key:
            raise InvalidArgument(f"{option('key')} names no column.")
        codes = [each.code for each in meter.fields]
        for code in self.fields:
            if code not in codes:
                raise InvalidArgument(
                    f"Meter {meter.code} has no field{_which(code, codes)}. Mend {either('columns=', '--map')}."
                )
        for name in self.needed(meter):
            if name not in there:
                raise InvalidArgument(self._missing(name, meter, there))

    def _missing(self, name: str, meter: Meter, there: Sequence[str]) -> str:
        of_field = next((each.code for each in meter.fields if self.of(each.code) == name), None)
        if of_field is not None:
            named = either(f'columns={{"{of_field}": "..."}}', f"--map {of_field}=COLUMN")
            mend = f"{named} names the column of a field of meter {meter.code}"
        elif name in (self.account, self.ts, self.ets):
            which = "account" if name == self.account else "ts" if name == self.ts else "ets"
            mend = f"{option(which, either('...', 'COLUMN'))} names the column"
        else:
            mend = f"{option('uid')} and {option('key')} name columns"
        is_ours = name in (of_field, "account", "ts")
        wanted = f" {name!r}{_alike(name, there)}" if is_ours else _which(name, there)
        return f"There is no column{wanted}: {mend}. Nothing was sent."


def find_meter(reader: Reader, code: str) -> Meter:
    """Read a meter by its code.

    Raises:
        InvalidArgument: there is none, and which there are; or there are several.
        ApiError, ConnectionFailed: as :meth:`m3ter_nb.M3terSession.request`.
    """
    given: object = code
    if not (isinstance(given, str) and given):
        raise InvalidArgument(
            f"Name the meter by its code, which is text. {_listing()} lists them. Nothing was sent."
        )
    # A comma would be read as two codes.
    listed = reader.pages("meters", codes=code) if "," not in code else reader.pages("meters")
    found = [each for each in listed if each.get("code") == code]
    if len(found) > 1:
        ids = ", ".join(str(each.get("id")) for each in found)
        raise InvalidArgument(
            f"{len(found)} meters have the code {code!r} ({ids}), and a measurement names its meter by the code alone. "
            "Give them codes of their own. Nothing was sent."
        )
    for each in found:
        fields = tuple(sorted(_fields(each), key=lambda one: (one.category, one.code)))
        return Meter(str(each["id"]), code, fields)
    known = [str(each.get("code")) for each in reader.pages("meters")]
    if not known:
        how = either('session.post("meters", ...) makes one', "%m3ter_docs POST meters shows how to make one")
        raise InvalidArgument(f"There is no meter yet: {how}. Nothing was sent.")
    raise InvalidArgument(f"There is no meter{_which(code, known)}. {_listing()} lists them.")


def _listing() -> str:
    return either('session.pages("meters")', "%m3ter GET meters --all")


def _fields(meter: Mapping[str, Any]) -> Iterable[Field]:
    for each in meter.get("dataFields") or ():
        yield Field(str(each["code"]), str(each["category"]))


def _which(name: str, names: Sequence[str]) -> str:
    """Say which name there is not, and which there are; one that is like none of them may be a secret."""
    shown = repr(name) if difflib.get_close_matches(name, names, n=1) else "of that name"
    return f" {shown}{_alike(name, names)}"


def _alike(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f" (did you mean {near[0]!r}?)"
    shown = ", ".join(repr(each) for each in names[:12])
    return f" (there are {shown}{', …' if len(names) > 12 else ''})" if names else ""
