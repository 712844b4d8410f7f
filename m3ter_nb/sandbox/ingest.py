"""Measurements: accepted at once, checked afterwards, their failures told as events.

Sources: the OpenAPI document (SubmitMeasurements) and
https://docs.m3ter.com/guides/billing-and-usage-data/submitting-usage-data/reviewing-and-resolving-ingest-events .
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections import defaultdict
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

from flask import g, request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_rows, too_deep
from m3ter_nb.sandbox.locks import Lock
from m3ter_nb.sandbox.moments import all_micros_of, micros_of
from m3ter_nb.sandbox.resources import require
from m3ter_nb.sandbox.surface import load, rule
from m3ter_nb.sandbox.usage_sql import NUMERIC, TEXT

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.resources import Entities
    from m3ter_nb.sandbox.store import Store
    from m3ter_nb.sandbox.world import World

__all__ = ["DOWNLOADS", "register"]

#: A measurement has one map of values for each category of fields.
_MAPS = frozenset(category.lower() for category in (*TEXT, *NUMERIC))
#: Files behind a download URL need no token: the URL itself is the permission.
DOWNLOADS = "/downloads/"

_FAILURE = "ingest.validation.failure"
_KNOWN_UIDS = "SELECT uid FROM measurements WHERE received > ? AND uid IN (SELECT value FROM json_each(?))"
_KNOWN_ACCOUNTS = (
    "SELECT code FROM entities WHERE collection = 'accounts' AND code IN (SELECT value FROM json_each(?))"
)
_INSERT = "INSERT INTO measurements (uid, received, meter, account, ts, body) VALUES (?, ?, ?, ?, ?, ?)"
# As text, not as escapes: the paths of a usage query are compared with what is written here.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",\n", ":"), allow_nan=False).encode
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_SAME_UID_SECONDS = 35 * 24 * 3600
_URL_SECONDS = 300
_MAX_METADATA = 256


def register(app: Flask, world: World, handlers: Mapping[str, Entities]) -> None:
    """Add the submission of measurements and the download of what failed."""
    ingest = _Ingest(world, handlers["accounts"])
    for path, operation, view, method in (
        (rule("measurements"), "SubmitMeasurements", ingest.submit, "POST"),
        (
            rule("measurements/failedIngest/getDownloadUrl"),
            "GetValidationErrorDownloadUrl",
            ingest.download_url,
            "GET",
        ),
        (f"{DOWNLOADS}<ticket>", "download", ingest.download, "GET"),
    ):
        app.add_url_rule(path, operation, view, methods=[method], provide_automatic_options=False)


class _Submission:
    """The measurements of one submission, by columns, and what they meet, each read once.

    Attributes:
        maps: of each measurement the maps of its fields: all of it that a query reads beside its columns.
        times: of each the microseconds since 1970.
        uids: that were taken within the days in which one counts once.
        accounts: codes of accounts that are there.
    """

    def __init__(
        self, db: sqlite3.Connection, store: Store, now: float, measurements: Sequence[Mapping[str, Any]]
    ) -> None:
        self.now = now
        self.measurements = measurements
        self.times = _times(measurements)
        self._names = _MAPS.intersection(set().union(*measurements))
        self.maps = [
            {name: measurement[name] for name in self._names if name in measurement}
            for measurement in measurements
        ]
        self._store = store
        self._fields: dict[str, list[tuple[str, str]] | None] = {}
        self._sent = [measurement["uid"] for measurement in measurements if "uid" in measurement]
        self._codes = {measurement["account"] for measurement in measurements}
        since = now - _SAME_UID_SECONDS
        self.uids = {uid for (uid,) in db.execute(_KNOWN_UIDS, (since, json.dumps(self._sent)))}
        self.accounts = {code for (code,) in db.execute(_KNOWN_ACCOUNTS, (json.dumps(sorted(self._codes)),))}

    @cached_property
    def folded(self) -> set[str]:
        """All account codes without the differences that make a near miss: read where a code is new."""
        return {_folded(code) for code in self._store.codes("accounts")}

    def fields(self, meter: str) -> list[tuple[str, str]] | None:
        """Return the data fields that a measurement of this meter must have: map and code; None for no such meter."""
        if meter not in self._fields:
            entity = self._store.by_code("meters", meter)
            self._fields[meter] = None if entity is None else _needed(entity)
        return self._fields[meter]

    def add_account(self, code: str) -> None:
        """Remember an account that has just been made."""
        self.accounts.add(code)
        self.folded.add(_folded(code))

    def all_pass(self, latest: float) -> bool:
        """Say whether every measurement passes: told by columns, where what a thousand share is looked at once."""
        return (
            not self.uids
            and len(set(self._sent)) == len(self._sent)
            and max(self.times) <= latest
            and self._codes <= self.accounts
            and self._all_have_their_fields()
        )

    def _all_have_their_fields(self) -> bool:
        """Say whether every measurement has each field of every meter named here, and none twice."""
        everywhere, somewhere = dict[str, frozenset[str]](), list[frozenset[str]]()
        for name in self._names:
            codes = {tuple(maps[name]) if name in maps else () for maps in self.maps}
            everywhere[name] = frozenset.intersection(*map(frozenset, codes))
            somewhere.append(frozenset().union(*codes))
        if len(frozenset().union(*somewhere)) < sum(map(len, somewhere)):
            return False
        meters = {measurement["meter"] for measurement in self.measurements}
        return all(
            (fields := self.fields(meter)) is not None
            and all(code in everywhere.get(name, ()) for name, code in fields)
            for meter in meters
        )

    def rows(self, passed: Sequence[int]) -> Iterable[tuple[Any, ...]]:
        """Return what is stored of these measurements: the columns of ``_INSERT``."""
        rows = [self.measurements[number] for number in passed]
        return zip(
            [row.get("uid") for row in rows],
            repeat(self.now, len(rows)),
            [row["meter"] for row in rows],
            [row["account"] for row in rows],
            [self.times[number] for number in passed],
            _written([self.maps[number] for number in passed]),
            strict=True,
        )


class _Ingest:
    """Takes measurements in."""

    def __init__(self, world: World, accounts: Entities) -> None:
        self.world = world
        self.accounts = accounts
        self.tickets: dict[str, tuple[str, float]] = {}
        self.lock = Lock()

    def submit(self) -> Response:
        """Answer a submission: accepted, whatever the later check says."""
        try:
            self._take(request.get_data())
        except RecursionError:
            raise too_deep() from None
        except ValueError:
            raise Refusal(400, "Malformed JSON: a number is out of range") from None
        return json_answer({"result": "accepted"})

    def _take(self, data: bytes) -> None:
        """Check a submission, store what passes, and tell of what fails."""
        # SQLite's JSON functions end a text there.
        if b"\\u0000" in data and _NUL.search(data):
            raise Refusal(400, "A text holds the character U+0000")
        body = load().bodies["SubmitMeasurementsRequest"].check(parse_rows(data))
        # The real check runs later; here it is done before the answer, so that nobody has to wait for it.
        failed: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        with self.world.store.transaction() as db:
            submission = _Submission(db, self.world.store, self.world.clock(), body["measurements"])
            latest = submission.now * 1_000_000 if self.world.refuse_future else math.inf
            passed: Sequence[int] = range(len(submission.measurements))
            if not submission.all_pass(latest):
                passed = self._pass(submission, latest, failed)
            db.executemany(_INSERT, submission.rows(passed))
            for failure, measurements in failed.items():
                self._tell(failure, measurements)

    def _pass(
        self, submission: _Submission, latest: float, failed: defaultdict[str, list[Mapping[str, Any]]]
    ) -> list[int]:
        """Look at each measurement; return the numbers of those that pass, and add the others to ``failed``."""
        passed = []
        for number, measurement in enumerate(submission.measurements):
            failure = self._failure(number, measurement, latest, submission)
            if failure is None:
                passed.append(number)
                submission.uids.update([measurement["uid"]] if "uid" in measurement else ())
            else:
                failed[failure].append(measurement)
        return passed

    def _failure(
        self, number: int, measurement: Mapping[str, Any], latest: float, submission: _Submission
    ) -> str | None:
        """Hold a measurement to what is known; return the type of its failure."""
        if measurement.get("uid") in submission.uids:
            return "DuplicateUid"
        fields, account = submission.fields(measurement["meter"]), measurement["account"]
        if fields is None:
            return "UndefinedMeter"
        if submission.times[number] > latest:
            return "FutureTimestamp"
        failure = _fields_failure(fields, submission.maps[number])
        if failure is None and account not in submission.accounts:
            # An unknown code makes a skeleton account, but a near miss of a known one is a failure.
            if _folded(account) in submission.folded:
                return "InvalidAccountCode"
            self.accounts.insert("accounts", {"name": account, "code": account})
            submission.add_account(account)
        return failure

    def _tell(self, failure: str, measurements: list[Mapping[str, Any]]) -> None:
        """Make the event about the measurements of one submission that failed in one way."""
        event_id = str(uuid.uuid4())
        file = f"{g.bearer.user.id}/{event_id}.json"
        path = f"/organizations/{request.path.split('/')[2]}/measurements/failedIngest/getDownloadUrl"
        first = measurements[0]
        self.world.store.put(
            "events",
            {
                "id": event_id,
                "eventName": _FAILURE,
                "eventTime": self.world.now(),
                "m3terEvent": {
                    "eventType": "IngestValidationFailure",
                    "failureType": failure,
                    "meter": first["meter"],
                    "account": first["account"],
                    "uid": first.get("uid"),
                    "count": len(measurements),
                    "getDownloadUrl": f"{request.host_url.rstrip('/')}{path}?file={file}",
                },
                "dtActioned": None,
            },
        )
        rows = [{"failureType": failure, "measurement": measurement} for measurement in measurements]
        self.world.store.put("failedIngest", {"id": file, "rows": rows})

    def download_url(self) -> Response:
        """Answer the URL of a file of failed measurements; it holds for five minutes."""
        file = request.args.get("file", "")
        require(self.world.store.get("failedIngest", file), "File")
        ticket, now = str(uuid.uuid4()), self.world.clock()
        with self.lock:
            self.tickets = {name: kept for name, kept in self.tickets.items() if kept[1] > now}
            self.tickets[ticket] = (file, now + _URL_SECONDS)
        return json_answer({"url": f"{request.host_url.rstrip('/')}{DOWNLOADS}{ticket}"})

    def download(self, ticket: str) -> Response:
        """Answer the file behind a download URL."""
        file, ends = self.tickets.get(ticket, ("", 0.0))
        if ends <= self.world.clock():
            raise Refusal(403, "The download URL has expired: ask for a new one")
        return json_answer(require(self.world.store.get("failedIngest", file), "File")["rows"])


def _times(measurements: Sequence[Mapping[str, Any]]) -> list[int]:
    """Hold measurements to what their schema does not say; return their times in microseconds since 1970."""
    for number, measurement in enumerate(measurements):
        if "ets" in measurement:
            micros_of(measurement["ets"], f"measurements[{number}].ets")
        if "metadata" in measurement and any(
            len(text) > _MAX_METADATA for text in measurement["metadata"].values()
        ):
            raise Refusal(
                400, f"measurements[{number}].metadata has a text of more than {_MAX_METADATA} characters"
            )
    return all_micros_of([measurement["ts"] for measurement in measurements], "measurements[%d].ts")


def _written(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write the maps of each row as JSON, in one go: a call for each costs twice as much."""
    if not rows:
        return []
    # A line break is in no text of JSON, and a brace after it begins a row: the values in its maps are no objects.
    return ["{" + row for row in _encode(rows)[len("[{") : -len("]")].split(",\n{")]


def _needed(meter: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(field["category"].lower(), field["code"]) for field in meter["dataFields"]]


def _fields_failure(fields: Sequence[tuple[str, str]], maps: Mapping[str, Any]) -> str | None:
    """Hold the fields of a measurement to its meter's; return the type of the failure."""
    if len(maps) > 1 and len(set().union(*maps.values())) < sum(map(len, maps.values())):
        return "DuplicateField"
    for name, code in fields:
        if name not in maps or code not in maps[name]:
            return "MissingField"
    return None


def _folded(code: str) -> str:
    """Return a code without the differences that make a near miss: case and spaces."""
    return "".join(code.split()).casefold()
