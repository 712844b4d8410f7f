"""Submit usage, ours beside the official SDK's ``submit_all``: ``python usage.py NAME ROUNDS``.

A row is an account, a time, a region, two measures and a uid: about 200 bytes of JSON. Ours starts from the frame and
checks it, keeps a journal and numbers its own uids; the SDK is given dicts that are ready.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import m3ter
import numpy as np
import pandas as pd

import m3ter_nb
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET
from m3ter_nb.usage.pace import DEFAULT_RATE, Pace, seconds_for

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNTS = 90
ROWS = 100_000
SDK_ROWS = 20_000
FAST = (1000.0, 300_000)
METER: dict[str, Any] = {
    "name": "API requests",
    "code": "api_requests",
    "dataFields": [
        {"category": "WHERE", "code": "region", "name": "Region"},
        {"category": "MEASURE", "code": "requests", "name": "Requests", "unit": "1"},
        {"category": "MEASURE", "code": "bytes", "name": "Bytes", "unit": "By"},
    ],
    "derivedFields": [],
}
_journals = itertools.count()


def frame(rows: int) -> pd.DataFrame:
    """Return rows of usage."""
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "account": random.choice([f"acct-{number}" for number in range(ACCOUNTS)], rows),
            "ts": pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(rows) * 100, unit="ms"),
            "region": random.choice(["eu-west-1", "us-east-1"], rows),
            "requests": random.integers(0, 5000, rows),
            "bytes": random.integers(0, 10_000_000, rows),
        }
    )


def submit(session: m3ter_nb.M3terSession, usage: pd.DataFrame) -> None:
    """Send rows from the frame to the last answer."""
    path = Path(f"journal-{os.getpid()}-{next(_journals)}.sqlite")
    sent = session.submit_usage(usage, "api_requests", rate=FAST, confirm=0, journal=path, threads=8)
    assert sent.accepted == len(usage)


def rate(rounds: int) -> dict[str, list[float]]:
    """Return rows per second of processor time, all threads together."""
    usage, few = frame(ROWS), frame(SDK_ROWS)
    rows: Any = [
        {
            "uid": f"{number:032x}",
            "meter": "api_requests",
            "account": row.account,
            "ts": row.ts.isoformat(timespec="milliseconds"),
            "measure": {"requests": int(row.requests), "bytes": int(row.bytes)},
            "where": {"region": row.region},
        }
        for number, row in enumerate(few.itertuples())
    ]
    with m3ter_nb.login() as session:
        token = session.token.reveal()
        client = m3ter.M3ter(token=token)
        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "ours": (ROWS, lambda: submit(session, usage)),
            "sdk": (SDK_ROWS, lambda: list(client.usage.submit_all(measurements=rows))),
        }
        figures: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):
            for name, (count, way) in ways.items():
                gc.collect()
                started = time.process_time()
                way()
                if number:  # the first one warms up
                    figures[name].append(count / (time.process_time() - started))
    return figures


def whole(rows: int) -> dict[str, float]:
    """Return seconds and bytes of a submission to a sandbox, from the frame to its count of the rows, at the default rate.

    The sandbox is at the URL that is the third argument.
    """
    credentials = m3ter_nb.Credentials(DEMO_KEY_ID, DEMO_SECRET)
    with m3ter_nb.login(credentials, base_url=sys.argv[3], org_id=DEMO_ORG_ID) as session:
        session.post("meters", json=METER)
        for number in range(ACCOUNTS):
            account = {"name": "A", "code": f"acct-{number}", "emailAddress": "a@b.example"}
            session.post("accounts", json=account)
        usage = frame(rows)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before, cpu, wall = _peak(), time.process_time(), time.monotonic()
        journal = Path(f"whole-{os.getpid()}.sqlite")
        sent = session.submit_usage(usage, "api_requests", confirm=300, journal=journal)
        assert (sent.accepted, sent.ingested, sent.confirmed) == (rows, rows, True)
        return {
            "wall": time.monotonic() - wall,
            "cpu": time.process_time() - cpu,
            "limits": seconds_for(sent.report.requests, DEFAULT_RATE),
            "before": before,
            "after": _peak(),
        }


def memory(rows: int) -> dict[str, float]:
    """Return the peak of memory, in bytes, with the frame alone and after its submission, and its CPU seconds."""
    with m3ter_nb.login() as session:
        submit(session, frame(5000))
        usage = frame(rows)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back to what is in use
        before, cpu = _peak(), time.process_time()
        submit(session, usage)
        return {"before": before, "after": _peak(), "cpu": time.process_time() - cpu}


def _peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def pace(_rounds: int) -> dict[str, float]:
    """Return the seconds until the turn of request 6,000, and those that the limits ask for."""
    now = [0.0]

    def wait(seconds: float) -> None:
        now[0] += seconds

    steady = Pace(DEFAULT_RATE, monotonic=lambda: now[0], sleep=wait)
    for _ in range(6000):
        steady.turn()
    return {"taken": now[0], "limits": seconds_for(6000, DEFAULT_RATE)}


if __name__ == "__main__":
    print(
        json.dumps(
            {"rate": rate, "memory": memory, "pace": pace, "whole": whole}[sys.argv[1]](int(sys.argv[2]))
        )
    )
