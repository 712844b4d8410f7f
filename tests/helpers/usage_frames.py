"""Usage for tests: a meter, frames of rows for it, and a sandbox that counts them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from m3ter_nb import M3terSession, Submission
    from m3ter_nb.sandbox import Sandbox

__all__ = ["FAST", "METER", "Used", "usage", "used_of"]

METER: dict[str, Any] = {
    "name": "API requests",
    "code": "api_requests",
    "dataFields": [
        {"category": "WHERE", "code": "region", "name": "Region"},
        {"category": "MEASURE", "code": "requests", "name": "Requests", "unit": "1"},
    ],
    "derivedFields": [],
}
#: A rate that no test has to wait for.
FAST: tuple[float, int] = (1000, 300_000)
_START = pd.Timestamp("2026-01-01", tz="UTC")


def usage(rows: int, *, seed: int = 1) -> pd.DataFrame:
    """Return rows of usage of January 2026: no two are alike."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "event_id": [f"e{seed}-{number}" for number in range(rows)],
            "account": random.choice([f"acct-{number}" for number in range(10)], rows),
            "ts": _START + pd.to_timedelta(np.arange(rows) * 1000 + random.integers(0, 999), unit="ms"),
            "region": random.choice(["eu-west-1", "us-east-1", "ap-südost"], rows),
            "requests": random.integers(0, 5000, rows),
        }
    )


@dataclass
class Used:
    """A session on a sandbox that has the meter."""

    session: M3terSession
    sandbox: Sandbox
    meter_id: str

    def submit(self, source: Any, **options: Any) -> Submission:
        """Submit usage, as fast as the sandbox takes it."""
        return self.session.submit_usage(source, "api_requests", **{"rate": FAST, "confirm": 20, **options})

    def counted(self) -> tuple[int, float]:
        """Return what the sandbox has counted: rows, and the sum of requests."""
        return self.asked("COUNT"), self.asked("SUM")

    def asked(self, function: str) -> Any:
        """Return one aggregation of all that was ingested."""
        query = {
            "startDate": "2000-01-01T00:00:00Z",
            "endDate": "2100-01-01T00:00:00Z",
            "aggregations": [
                {
                    "meterId": self.meter_id,
                    "fieldCode": "requests",
                    "fieldType": "MEASURE",
                    "function": function,
                }
            ],
        }
        rows = self.session.post("usage/query", json=query)["data"]
        return next(iter(rows[0].values())) if rows else 0

    def post_of_others(self, number: int) -> None:
        """Have somebody else submit rows for the first account, at most 1,000 a request, all on one day."""
        others = [
            {
                "uid": f"other-{each}",
                "meter": "api_requests",
                "account": "acct-0",
                "ts": f"2026-01-02T10:00:00.{each % 1000:03}Z",
                "where": {"region": "eu"},
                "measure": {"requests": 1},
            }
            for each in range(number)
        ]
        for first in range(0, number, 1000):
            self.session.post("measurements", json={"measurements": others[first : first + 1000]})

    def events(self) -> list[str]:
        """Return the failures that the sandbox tells of."""
        return [event["m3terEvent"]["failureType"] for event in self.session.pages("events")]

    def requests(self, ending: str = "/measurements") -> int:
        """Return how many requests to a path the sandbox has answered or dropped."""
        return sum(record.path.endswith(ending) for record in self.sandbox.log)

    def wait_for_requests(self, number: int) -> None:
        """Wait until so many requests of measurements have come to their end."""
        ends = time.monotonic() + 30
        while self.requests() < number and time.monotonic() < ends:
            time.sleep(0.02)
        assert self.requests() >= number


def used_of(session: M3terSession, sandbox: Sandbox) -> Used:
    """Make the meter and ten accounts on a sandbox."""
    meter_id = session.post("meters", json=METER)["id"]
    account = {"name": "A0", "code": "acct-0", "emailAddress": "a@b.example"}
    first = session.post("accounts", json=account)
    assert sandbox._world is not None
    store = sandbox._world.store
    with store.transaction():  # the others are like it, and a request for each would be a third of most tests
        for number in range(1, 10):
            own = {"id": str(uuid4()), "name": f"A{number}", "code": f"acct-{number}"}
            store.put("accounts", {**first, **own})
    return Used(session, sandbox, meter_id)
