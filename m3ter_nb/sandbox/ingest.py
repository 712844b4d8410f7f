"""Measurements: accepted at once, checked afterwards, their failures told as events.

Sources: the OpenAPI document (SubmitMeasurements) and
https://docs.m3ter.com/guides/billing-and-usage-data/submitting-usage-data/reviewing-and-resolving-ingest-events .
"""

from __future__ import annotations

import json
import threading
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from flask import g, request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_json
from m3ter_nb.sandbox.resources import require
from m3ter_nb.sandbox.surface import load, parse_moment, rule

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.resources import Entities
    from m3ter_nb.sandbox.store import Store
    from m3ter_nb.sandbox.world import World

__all__ = ["CATEGORIES", "DOWNLOADS", "register", "seconds_of"]

#: The categories of a meter's fields; a measurement has one map of values for each, in lower case.
CATEGORIES = ("WHO", "WHERE", "WHAT", "OTHER", "METADATA", "MEASURE", "INCOME", "COST")
#: Files behind a download URL need no token: the URL itself is the permission.
DOWNLOADS = "/downloads/"

#: Years whose periods all have a beginning and an end in Python's calendar.
_YEARS = range(1000, 9999)
_FAILURE = "ingest.validation.failure"
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


def seconds_of(text: str, name: str) -> float:
    """Return an ISO 8601 time as seconds since 1970.

    Raises:
        Refusal: 400, where there is no such moment.
    """
    try:
        found = parse_moment(text)
        if found.year in _YEARS:
            return found.timestamp()
    except ValueError:
        pass
    raise Refusal(400, f"{name} must be a date and time in ISO 8601, as 2024-01-31T12:00:00Z")


class _Known:
    """The meters and account codes that the measurements of one submission meet, each read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._meters: dict[str, dict[str, Any] | None] = {}
        self.accounts = set(store.codes("accounts"))
        self.folded = {_folded(code) for code in self.accounts}

    def meter(self, code: str) -> dict[str, Any] | None:
        """Return the meter with this code, or None."""
        if code not in self._meters:
            self._meters[code] = self._store.by_code("meters", code)
        return self._meters[code]

    def add_account(self, code: str) -> None:
        """Remember an account that has just been made."""
        self.accounts.add(code)
        self.folded.add(_folded(code))


class _Ingest:
    """Takes measurements in."""

    def __init__(self, world: World, accounts: Entities) -> None:
        self.world = world
        self.accounts = accounts
        self.tickets: dict[str, tuple[str, float]] = {}
        self.lock = threading.Lock()

    def submit(self) -> Response:
        """Answer a submission: accepted, whatever the later check says."""
        body = load().bodies["SubmitMeasurementsRequest"].check(parse_json(request.get_data()))
        for number, measurement in enumerate(body["measurements"]):
            for name in ("ts", "ets"):
                if name in measurement:
                    seconds_of(measurement[name], f"measurements[{number}].{name}")
            if any(len(text) > _MAX_METADATA for text in measurement.get("metadata", {}).values()):
                raise Refusal(
                    400, f"measurements[{number}].metadata has a text of more than {_MAX_METADATA} characters"
                )
        # The real check runs later; here it is done before the answer, so that nobody has to wait for it.
        failed: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        with self.world.store.transaction() as db:
            known = _Known(self.world.store)
            for measurement in body["measurements"]:
                failure = self._take(db, measurement, known)
                if failure is not None:
                    failed[failure].append(measurement)
            for failure, measurements in failed.items():
                self._tell(failure, measurements)
        return json_answer({"result": "accepted"})

    def _take(self, db: sqlite3.Connection, measurement: dict[str, Any], known: _Known) -> str | None:
        """Store one measurement, or return the type of its failure."""
        now = self.world.clock()
        uid = measurement.get("uid")
        if uid is not None:
            seen = db.execute(
                "SELECT 1 FROM measurements WHERE uid = ? AND received > ? LIMIT 1",
                (uid, now - _SAME_UID_SECONDS),
            ).fetchone()
            if seen:
                return "DuplicateUid"
        code, account = measurement["meter"], measurement["account"]
        meter = known.meter(code)
        if meter is None:
            return "UndefinedMeter"
        failure = _fields_failure(meter, measurement)
        if failure is None and account not in known.accounts:
            # An unknown code makes a skeleton account, but a near miss of a known one is a failure.
            if _folded(account) in known.folded:
                return "InvalidAccountCode"
            self.accounts.insert("accounts", {"name": account, "code": account})
            known.add_account(account)
        if failure is None:
            db.execute(
                "INSERT INTO measurements (uid, received, meter, account, ts, body) VALUES (?, ?, ?, ?, ?, ?)",
                (uid, now, code, account, seconds_of(measurement["ts"], "ts"), json.dumps(measurement)),
            )
        return failure

    def _tell(self, failure: str, measurements: list[dict[str, Any]]) -> None:
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


def _fields_failure(meter: Mapping[str, Any], measurement: Mapping[str, Any]) -> str | None:
    """Hold a measurement to its meter's data fields; return the type of the failure."""
    given = [name for category in CATEGORIES for name in measurement.get(category.lower(), {})]
    if len(given) != len(set(given)):
        return "DuplicateField"
    for field in meter["dataFields"]:
        if field["code"] not in measurement.get(field["category"].lower(), {}):
            return "MissingField"
    return None


def _folded(code: str) -> str:
    """Return a code without the differences that make a near miss: case and spaces."""
    return "".join(code.split()).casefold()
