"""Rows about usage in the sandbox: measurements taken, and counted by its usage query, beside SQLite alone."""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import psutil  # type: ignore[import-untyped]  # it ships no types

from m3ter_nb.sandbox import DEMO_ORG_ID
from results import Goal, Line, Samples
from rows_sandbox import asked, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processes import Bench
    from rows_sandbox import Running

__all__ = ["sandbox_usage"]

_ORGANIZATION: Final = f"/organizations/{DEMO_ORG_ID}"
_BATCH: Final = 1_000
_SIZES: Final = (10_000, 100_000, 1_000_000)
_QUERIES: Final = 5
_POLL_SECONDS: Final = 0.01
_MINUTES_OF_A_MONTH: Final = 28 * 24 * 60
#: Measurements a second that m3ter takes from one address: 5,000 requests of 1,000 in 300 s.
_LET_IN: Final = 5_000 * _BATCH / 300

_GROUPS: Final[dict[str, list[dict[str, str]]]] = {
    "by account": [{"groupType": "ACCOUNT"}],
    "by account and day": [{"groupType": "ACCOUNT"}, {"groupType": "TIME", "frequency": "DAY"}],
}
_ALONE: Final = {
    "by account": "SELECT account, SUM(json_extract(body, '$.measure.requests')) FROM usage "
    "WHERE meter = 'calls' AND ts >= 0 GROUP BY account",
    "by account and day": "SELECT account, ts / 86400 AS day, SUM(json_extract(body, '$.measure.requests')) "
    "FROM usage WHERE meter = 'calls' AND ts >= 0 GROUP BY account, day",
}
_METER: Final = {
    "name": "Calls",
    "code": "calls",
    "dataFields": [
        {"category": "WHERE", "code": "region", "name": "Region"},
        {"category": "MEASURE", "code": "requests", "name": "Requests", "unit": "{request}"},
        {"category": "MEASURE", "code": "bytes", "name": "Bytes", "unit": "By"},
    ],
    "derivedFields": [],
}


class _Figures:
    """What was measured with so many measurements in the sandbox."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.ours: dict[str, list[float]] = {name: [] for name in _GROUPS}
        self.alone: dict[str, list[float]] = {name: [] for name in _GROUPS}
        self.before: list[float] = []
        self.peak: list[float] = []


def sandbox_usage(bench: Bench) -> list[Line]:
    """Measure the CPU time of taking and counting 10,000, 100,000 and 1,000,000 measurements."""
    sizes = [size // 10 for size in _SIZES] if bench.quick else list(_SIZES)
    figures = {size: _measured(bench, size) for size in sizes}
    most = sizes[-1]
    last = figures[most]
    lines = [
        Line(
            f"the sandbox: measurements taken per CPU second, {most:,} of them",
            "what m3ter lets one address send",
            Samples("1/s", tuple(1 / seconds for seconds in last.taken)),
            Samples("1/s", (_LET_IN,)),
            Goal("count", 40_000, at_least=True),
        )
    ]
    for name in _GROUPS:
        ours, alone = Samples("s", tuple(last.ours[name])), Samples("s", tuple(last.alone[name]))
        what = f"the sandbox: usage {name} over {most:,} measurements, CPU time"
        lines.append(Line(what, "sqlite3 alone, the same query", ours, alone, Goal("ratio", 1.5)))
    lines.append(
        Line(
            f"the sandbox: peak memory of these queries over {most:,} measurements",
            "before them",
            Samples("B", tuple(last.peak)),
            Samples("B", tuple(last.before)),
            Goal("difference", 100e6),
        )
    )
    return lines + [line for size in sizes[1:] for line in _scaling(figures, sizes[0], size)]


def _scaling(figures: dict[int, _Figures], few: int, many: int) -> list[Line]:
    """Return what one measurement costs among many, beside what it costs among few."""
    against = f"the same of {few:,}"
    query = "by account"
    return [
        Line(
            f"the sandbox: CPU time of taking one measurement of {many:,}",
            against,
            Samples("s", tuple(figures[many].taken)),
            Samples("s", tuple(figures[few].taken)),
            Goal("ratio", 1.2),
        ),
        Line(
            f"the sandbox: CPU time of usage by account, for each of {many:,} measurements",
            against,
            Samples("s", tuple(seconds / many for seconds in figures[many].ours[query])),
            Samples("s", tuple(seconds / few for seconds in figures[few].ours[query])),
            Goal("ratio", 1.2),
        ),
    ]


def _measured(bench: Bench, size: int) -> _Figures:
    figures = _Figures()
    with running(bench, [sys.executable, "-m", "m3ter_nb.sandbox", "--no-limits"]) as server:
        meter = asked(server.url, "POST", f"{_ORGANIZATION}/meters", server.token, _METER)["id"]
        process = psutil.Process(server.pid)
        alone = sqlite3.connect(":memory:")
        alone.execute("CREATE TABLE usage (uid TEXT, meter TEXT, account TEXT, ts INTEGER, body TEXT)")
        before = _cpu(process)
        for batch in _batches(size):
            alone.executemany(
                "INSERT INTO usage VALUES (?, ?, ?, ?, ?)",
                [(row["uid"], "calls", row["account"], moment, json.dumps(row)) for moment, row in batch],
            )
            body = {"measurements": [row for _, row in batch]}
            asked(server.url, "POST", f"{_ORGANIZATION}/measurements", server.token, body)
        figures.taken.append((_cpu(process) - before) / size)
        for number in range(bench.rounds(_QUERIES) + 1):
            for name in _GROUPS:
                figures.before.append(process.memory_info().rss)
                ours, peak = _query(server, process, meter, name)
                figures.peak.append(peak)
                started = time.process_time()
                alone.execute(_ALONE[name]).fetchall()
                if number:  # the first one warms both up
                    figures.ours[name].append(ours)
                    figures.alone[name].append(time.process_time() - started)
        alone.close()
    return figures


def _batches(size: int) -> Iterator[Sequence[tuple[int, dict[str, Any]]]]:
    """Yield measurements of 500 accounts in a month, each with its time in seconds since 1970."""
    for start in range(0, size, _BATCH):
        yield [_row(number) for number in range(start, min(start + _BATCH, size))]


def _row(number: int) -> tuple[int, dict[str, Any]]:
    moment = 1_704_067_200 + number % _MINUTES_OF_A_MONTH * 60  # from 2024-01-01
    row = {
        "uid": f"{number * 2_654_435_761 % 2**64:032x}",
        "meter": "calls",
        "account": f"account-{number * 7919 % 500}",
        "ts": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(moment)),
        "where": {"region": ("eu", "us")[number % 2]},
        "measure": {"requests": number % 5_000, "bytes": number * 31 % 1_000_003},
    }
    return moment, row


def _query(server: Running, process: Any, meter: str, name: str) -> tuple[float, float]:
    """Return the CPU seconds and the peak memory of the server during one query."""
    aggregation = {"meterId": meter, "fieldCode": "requests", "fieldType": "MEASURE", "function": "SUM"}
    period = {"startDate": "1970-01-01T00:00:00Z", "endDate": "2100-01-01T00:00:00Z"}
    body = {**period, "aggregations": [aggregation], "groups": _GROUPS[name]}
    before = _cpu(process)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked, server.url, "POST", f"{_ORGANIZATION}/usage/query", server.token, body)
        peak = process.memory_info().rss
        while not answer.done():
            peak = max(peak, process.memory_info().rss)
            time.sleep(_POLL_SECONDS)
        answer.result()
    return _cpu(process) - before, peak


def _cpu(process: Any) -> float:
    times = process.cpu_times()
    seconds: float = times.user + times.system
    return seconds
