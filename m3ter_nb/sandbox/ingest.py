"""Measurements: accepted at once, checked afterwards, their failures told as events.

Sources: the OpenAPI document (SubmitMeasurements) and
https://docs.m3ter.com/guides/billing-and-usage-data/submitting-usage-data/reviewing-and-resolving-ingest-events .
"""

from __future__ import annotations

import math
import re
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from flask import g, request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_rows, too_deep
from m3ter_nb.sandbox.locks import Lock
from m3ter_nb.sandbox.resources import require
from m3ter_nb.sandbox.submission import Submission
from m3ter_nb.sandbox.surface import load, rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.resources import Entities
    from m3ter_nb.sandbox.world import World

__all__ = ["DOWNLOADS", "register"]

#: Files behind a download URL need no token: the URL itself is the permission.
DOWNLOADS = "/downloads/"

_FAILURE = "ingest.validation.failure"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_URL_SECONDS = 300


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
            submission = Submission(db, self.world.store, self.world.clock(), body["measurements"])
            latest = submission.now * 1_000_000 if self.world.refuse_future else math.inf
            passed: Sequence[int] = range(len(submission.measurements))
            if not submission.all_pass(latest):
                passed = self._pass(submission, latest, failed)
            submission.insert(db, passed)
            for failure, measurements in failed.items():
                self._tell(failure, measurements)

    def _pass(
        self, submission: Submission, latest: float, failed: defaultdict[str, list[Mapping[str, Any]]]
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
        self, number: int, measurement: Mapping[str, Any], latest: float, submission: Submission
    ) -> str | None:
        """Hold a measurement to what is known; return the type of its failure."""
        if measurement.get("uid") in submission.uids:
            return "DuplicateUid"
        fields, account = submission.fields(measurement["meter"]), measurement["account"]
        if fields is None:
            return "UndefinedMeter"
        if submission.times[number] > latest:
            return "FutureTimestamp"
        failure = _fields_failure(fields, submission.maps(number))
        if failure is None and account in submission.new_accounts:
            # An unknown code makes a skeleton account, but a near miss of a known one is a failure.
            if submission.is_near_miss(account):
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


def _fields_failure(fields: Sequence[tuple[str, str]], maps: Mapping[str, Any]) -> str | None:
    """Hold the fields of a measurement to its meter's; return the type of the failure."""
    if len(maps) > 1 and len(set().union(*maps.values())) < sum(map(len, maps.values())):
        return "DuplicateField"
    for name, code in fields:
        if name not in maps or code not in maps[name]:
            return "MissingField"
    return None
