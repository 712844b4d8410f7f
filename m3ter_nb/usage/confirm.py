"""What m3ter has made of the rows: its count of them, and the failures that it tells of afterwards.

m3ter answers "accepted" and checks later. Failures come as events with a file each; neither's JSON is documented, so
our uids are found by their form, wherever they stand, and the reasons by the documented words
(https://docs.m3ter.com/guides/billing-and-usage-data/submitting-usage-data/reviewing-and-resolving-ingest-events).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.errors import M3terError, MeasurementsRefused
from m3ter_nb.usage.counts import count, missing, names_accounts, odd_sum, sums
from m3ter_nb.usage.digests import Index
from m3ter_nb.usage.journal import UNKNOWN
from m3ter_nb.usage.measurements import DIGEST_BYTES, digest
from m3ter_nb.usage.submission import EXPECTED, Fate
from m3ter_nb.wire.download import download
from m3ter_nb.wording import either, option

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from m3ter_nb.usage.channel import Reader
    from m3ter_nb.usage.counts import Added, Group, Ours, Tally
    from m3ter_nb.usage.journal import Journal
    from m3ter_nb.usage.meter import Meter
    from m3ter_nb.usage.submission import Submission
    from m3ter_nb.usage.survey import Survey
    from m3ter_nb.wire.clock import Clock

__all__ = ["Confirmation", "newest_event"]

_FAILURE: Final = "ingest.validation.failure"
_DUPLICATE: Final = "DuplicateUid"
#: Ingested all the same, without the derived value.
_CALCULATION: Final = "CalculationError"
_WORDS: Final = (
    "UndefinedMeter",
    "MissingField",
    _DUPLICATE,
    "DuplicateField",
    "InvalidAccountCode",
    _CALCULATION,
)
_OUR_UID: Final = re.compile(r"([0-9a-f]{32})(?:-(\d{1,9}))?")
_WAITS: Final = (1.0, 2.0, 5.0, 10.0)
# Seconds by which m3ter's clock may differ from ours.
_SKEW: Final = 600.0
_KNOWN: Final = "Of a uid that it knows m3ter keeps what came first."
_OTHER: Final = f"{_KNOWN} That is not what these rows hold:"
_THE_SAME: Final = "Its counts, and its sums of every number, are those of these rows, by account and day; texts are in no sum."
_UNVERIFIED: Final = (
    f"{_KNOWN} From a run of the same rows, earlier or at the same time, that is "
    "what they hold, and all is well; no journal here shows it. If they were changed since, compare sums with usage/query."
)
_CONFLICT: Final = "OtherContentUnderUid"
_CONFLICTS: Final = (
    "Another run has sent rows under the same uids with another content. m3ter keeps of each what came first, and which that "
    "is it does not tell: compare sums with usage/query."
)


def newest_event(reader: Reader) -> str | None:
    """Return the id of the newest failure event, or None.

    Raises:
        ApiError, ConnectionFailed: m3ter could not be asked.
    """
    for event in reader.pages("events", eventName=_FAILURE, pageSize=1):
        return str(event.get("id"))
    return None


@dataclass
class Confirmation:
    """Compares what was sent with what m3ter has counted and refused; it can be asked again.

    Args:
        submission: whose rows they are; it is brought up to date.
        reader: asks.
        meter: the meter.
        found: the check, which knows the rows by their uids.
        clock: measures and waits.
        before: m3ter's count before the first row was sent, or None where it could not be asked.
        since: seconds since 1970: without ``last_event``, no event from before concerns these rows.
        last_event: the newest event from before, or None where there was none, or those of an earlier run are wanted, too.
        repeated: for each row, whether it was sent more than once.
        open_journal: opens the journal, where one is kept.
        handled: ids of the failure events that earlier runs have read; those that a run at the same time reads are ours, too.
        ours: counts the rows by account and day, reading the source again; None where that is too much.
        sums: adds the rows up by account and day, reading the source again; None where they are elsewhere.
        by_uid: whether uids are the source's own.
        by_content: whether uids are digests of all that is sent.
        unasked: why m3ter's count could not be asked before, as a sentence, or "".
        raises: whether refused rows are an error.
    """

    submission: Submission
    reader: Reader
    meter: Meter
    found: Survey
    clock: Clock
    before: Tally | None
    since: float
    last_event: str | None
    repeated: bytearray
    open_journal: Callable[[], Journal | None]
    handled: Collection[str]
    ours: Callable[[], Ours | None]
    sums: Callable[[], tuple[Ours, Added] | None] | None
    by_uid: bool = False
    by_content: bool = False
    unasked: str = ""
    raises: bool = True
    _read: set[str] = field(default_factory=set)
    _known: Counter[int] = field(default_factory=Counter)
    _again: set[int] = field(default_factory=set)
    _seen: list[str] = field(default_factory=list)
    _late: Tally | None = None
    _after: Tally | None = None
    _index: Index | None = None

    def wait(self, seconds: float) -> None:
        """Ask until all is counted, but no longer than some seconds.

        Raises:
            MeasurementsRefused: rows were refused.
        """
        submission = self.submission
        submission.notes = [self.unasked] if self.unasked else []
        journal, unverified = self.open_journal(), _UNVERIFIED
        try:
            self._ask_until(seconds, journal)
            self._note_where()
            unverified = self._told_of_unverified()
            if submission.confirmed and journal is not None:
                journal.confirm()
        except M3terError as error:
            submission.notes.append(f"Not confirmed: {error}")
        finally:
            self._index = None
            if journal is not None:
                journal.close()
        submission.notes += self._seen
        conflicts = submission.count(Fate.CONFLICT)
        submission.notes += [unverified] if submission.unverified else []
        submission.notes += [_CONFLICTS] if conflicts else []
        if submission.count(Fate.ALREADY) and self._late is not None and not self._late.total:
            submission.notes.append(
                "The journal says that m3ter has accepted rows, and m3ter has none of them. Where it was emptied since, as a "
                f"sandbox is that starts anew, another {option('journal')} sends them again."
            )
        if not submission.confirmed:
            submission.notes.append("sent.confirm() asks again, now or later.")
        told = unverified if unverified.startswith(_OTHER) else ""
        if self.raises and (told or conflicts or submission.count(Fate.REFUSED)):
            where = either("error.submission.refused", "sys.last_value.submission.refused")
            raise MeasurementsRefused(f"{submission.headline(where)} {told}".rstrip(), submission=submission)

    def _ask_until(self, seconds: float, journal: Journal | None) -> None:
        began = self.clock.monotonic()
        tries = 0
        while True:
            self._read_events(journal)
            self._compare()
            left = seconds - (self.clock.monotonic() - began)
            if self.submission.confirmed or left <= 0:
                return
            self.clock.sleep(min(left, _WAITS[min(tries, len(_WAITS) - 1)]))
            tries += 1

    def _compare(self) -> None:
        submission = self.submission
        expected, new = submission.expected, submission.accepted
        if self.before is None or self.found.start is None:
            return
        after = count(self.reader, self.meter, self.found)
        added = after.total - self.before.total
        short = max(new - added, expected - after.total, 0)
        self._seen, self._late, self._after = [], after if short else None, after
        if not short and added > new:
            short = self._hidden(self.before, after, added - new)
        submission.ingested = max(expected - short, 0)
        submission.confirmed = short == 0 and not submission.doubtful and not submission.unsent

    def _hidden(self, before: Tally, after: Tally, others: int) -> int:
        """Return how many rows are missing behind those that others have added meanwhile, and note what is known."""
        told = f"m3ter has counted {others:,} more than this: others submit usage of the meter and period."
        if self._known:
            told = (
                f"m3ter has counted {others:,} more than came in by this run, and knew {len(self._known):,} of its uids: another "
                "run sends the same rows at the same time, or others submit usage of the meter and period."
            )
        ours = self.ours() if before.groups is not None and after.groups is not None else None
        if ours is None:
            self._seen = [f"{told} As many of these rows could be missing without showing in the count."]
            return 0
        found = missing(before, after, ours)
        if not found and self._known and after.total == self.submission.expected:  # and none is of others
            self._seen = [
                f"Another run sends the same rows at the same time: m3ter has counted {others:,} of them for it."
            ]
            return 0
        if not found:
            self._seen = [
                f"{told} By account and day none of these rows is missing; within one, a count cannot tell whose it is."
            ]
            return 0
        self._seen = [
            f"{told} By account and day {found.total():,} of these rows are missing: {_named(found)}."
        ]
        return found.total()

    def _told_of_unverified(self) -> str:
        """Say of rows whose uid m3ter knew whether it has what they hold, as far as its sums show it."""
        after = self._after
        theirs = mine = None
        # With rows of others among them, no sum is of ours alone.
        if (
            self.submission.unverified
            and self.sums is not None
            and after is not None
            and after.total == self.submission.expected
        ):
            theirs = sums(self.reader, self.meter, self.found)
            mine = self.sums() if theirs is not None else None
        if mine is None or theirs is None or after is None or after.groups is None:
            return _UNVERIFIED
        ours, added = mine
        if not names_accounts(self.reader, after.groups, ours.expected):
            return _UNVERIFIED
        odd = odd_sum(theirs, added, after.groups, ours.expected)
        return f"{_OTHER} {odd}." if odd else f"{_KNOWN} {_THE_SAME}"

    def _note_where(self) -> None:
        """Say of rows that are not counted yet of which accounts and days they are."""
        if self._late is None or self.before is None or None in (self._late.groups, self.before.groups):
            return
        ours = self.ours()
        found = missing(self.before, self._late, ours) if ours is not None else None
        if found:
            self._seen = [f"Not counted yet, by account and day: {_named(found)}."]

    def _read_events(self, journal: Journal | None) -> None:
        events = self.reader.pages("events", eventName=_FAILURE)
        refused: list[bytes] = []
        told = self._known.total(), len(self._again)
        for event in takewhile(self._is_recent, events):
            name = str(event.get("id"))
            if name in self._read or name in self.handled:
                continue
            refused += self._take(event)
            self._read.add(name)
        is_news = (self._known.total(), len(self._again)) != told
        unclear = self._compare_contents(journal) if is_news else []
        if journal is not None and self._read:
            journal.note_events(sorted(self._read), refused=refused, unclear=unclear)

    def _compare_contents(self, journal: Journal | None) -> list[bytes]:
        """Compare rows whose uid m3ter knew with what other runs of the journal sent under it; return what stays unclear.

        Where this run sent a row more than once, m3ter may have known its uid from here, or from another run. Of so many
        requests with a uid one is counted, and each other is told as a duplicate: what is told more often was sent by
        somebody of whom the journal does not know.
        """
        if self.by_content:
            return []
        names = {row: self._digest(row) for row in {*self._known, *self._again}}
        sent = journal.sent_under(names.values()) if journal is not None else {}
        unclear = []
        for row, name in names.items():
            contents = sent.get(name, Counter())
            if len(contents) > 1 and UNKNOWN not in contents:
                # Not unclear: the journal has both, and the other run is to see it, too.
                self.submission.refuse(row, _CONFLICT, fate=Fate.CONFLICT)
            elif len(contents) == 1 and UNKNOWN not in contents and 0 < self._known[row] < contents.total():
                self.submission.mark([row], Fate.ALREADY)
            elif row in self._known or contents.total() > 1:
                self.submission.mark([row], Fate.THERE)
                unclear.append(name)
        return unclear

    def _digest(self, row: int) -> bytes:
        return bytes(self.found.digests[row * DIGEST_BYTES : (row + 1) * DIGEST_BYTES])

    def _is_recent(self, event: dict[str, Any]) -> bool:
        if self.last_event is not None:  # needs no clock that goes as m3ter's does
            return event.get("id") != self.last_event
        try:
            at = datetime.fromisoformat(str(event.get("eventTime")))
        except ValueError:
            return True
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() > self.since - _SKEW

    def _take(self, event: dict[str, Any]) -> list[bytes]:
        """Note what an event says of our rows; return the digests of those that are refused."""
        named = list(_uids(event, _word(json.dumps(event))))
        url = _file_of(event)
        if url is not None:
            named = list(self._file(url, _word(json.dumps(event)))) or named
        positions = self._positions([uid for uid, _ in named])
        refused = []
        for (uid, reason), position in zip(named, positions, strict=True):
            if position is not None and self._note(position, uid, reason):
                refused.append(self._journal_name(uid))
        if not any(position is not None for position in positions) and f'"{self.meter.code}"' in json.dumps(
            event
        ):
            told = "One or more failure events of this meter name no uid of these rows; %m3ter GET events shows them."
            self.submission.notes = list(dict.fromkeys([*self.submission.notes, told]))
        return refused

    def _note(self, position: int, uid: str, reason: str) -> bool:
        """Note one row's failure; return whether it is refused."""
        submission = self.submission
        fate = submission.fates[position]
        if reason == _CALCULATION:
            told = "CalculationError: some rows were ingested without a derived value."
            submission.notes = list(dict.fromkeys([*submission.notes, told]))
        elif reason == _DUPLICATE:
            if self.repeated[position]:
                submission.duplicates += 1
                self._again.add(position)
            elif fate == Fate.ACCEPTED or position in self._known:
                submission.mark([position], Fate.THERE)
                self._known[position] += 1
        elif fate in (*EXPECTED, Fate.DOUBTFUL):
            submission.refuse(position, reason, uid)
            self._known.pop(position, None)
            self._again.discard(position)
            return True
        return False

    def _file(self, url: str, word: str) -> Iterator[tuple[str, str]]:
        # Its query alone: the call goes to the API that we are logged in to, wherever the event points.
        query = url.partition("?")[2]
        answer = self.reader.request("GET", "measurements/failedIngest/getDownloadUrl", params=query)
        content = download(str(answer["url"]), api=self.reader.base_url)
        text = content.decode("utf-8", errors="replace")
        try:
            yield from _uids(json.loads(text), word)
        except ValueError:
            for uid in re.findall(r'[^\s",:\[\]{}]+', text):
                yield uid, word

    def _positions(self, uids: Iterable[str]) -> list[int | None]:
        """Return the row of each uid, or None where it is none of ours."""
        if self._index is None:
            self._index = Index(self.found.digests)
        places = [self._index.find_nth(*self._name(uid)) for uid in uids]
        return [place if place >= 0 else None for place in places]

    def _name(self, uid: str) -> tuple[bytes, int]:
        """Return the digest by which the check knows a uid, and the number of an identical row."""
        ours = None if self.by_uid else _OUR_UID.fullmatch(uid)
        if ours is None:
            return digest(uid.encode(errors="surrogatepass")), 0
        return bytes.fromhex(ours[1]), int(ours[2] or 0)

    def _journal_name(self, uid: str) -> bytes:
        name, number = self._name(uid)
        return digest(uid.encode()) if number else name


def _named(found: Counter[Group]) -> str:
    more = ", …" if len(found) > 3 else ""
    return ", ".join(f"{rows:,} of {code} on {day}" for (code, day), rows in found.most_common(3)) + more


def _uids(value: Any, word: str) -> Iterator[tuple[str, str]]:
    """Yield every text in decoded JSON, with the reason that stands nearest above it."""
    if isinstance(value, dict):
        here = [each for each in value.values() if isinstance(each, str) and each in _WORDS]
        for each in value.values():
            yield from _uids(each, here[0] if here else word)
    elif isinstance(value, list):
        for each in value:
            yield from _uids(each, word)
    elif isinstance(value, str) and value not in _WORDS:
        yield value, word


def _word(text: str) -> str:
    """Return the documented reason that a text names, or the text itself, cut."""
    return next((each for each in _WORDS if each in text), text[:100])


def _file_of(value: Any) -> str | None:
    """Return the URL to ask for the file of an event, wherever in it that stands."""
    if isinstance(value, str):
        return value if "failedIngest/getDownloadUrl" in value else None
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for found in map(_file_of, children) if found), None)
