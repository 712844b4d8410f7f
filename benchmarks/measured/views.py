"""Lists as tables and as frames, ours beside pandas: ``python views.py NAME ROUNDS``."""

from __future__ import annotations

import io
import time
import tracemalloc
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd
from alternating import alternate, main
from shells import fresh_shell, run

import m3ter_nb
from m3ter_nb.views.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTS = 10_000
SIZES = (10_000, 100_000, 1_000_000)


def entities(number: int) -> list[dict[str, Any]]:
    """Return entities as m3ter has them: ids, stamps, a plain day, objects in objects."""
    return [
        {
            "id": f"81c49a54-dfcd-4da5-bbf3-{index:012d}",
            "version": 1,
            "dtCreated": "2026-10-01T09:30:00.000Z",
            "startDate": "2026-10-01",
            "name": f"Customer {index}",
            "code": f"customer_{index}",
            "customFields": {"tier": "gold", "seats": index},
            "address": {"country": "GB", "location": {"latitude": 51.5}},
        }
        for index in range(number)
    ]


def html(rounds: int) -> dict[str, list[float]]:
    """Measure ``_repr_html_`` of the records, and of the frame that they become."""
    shell = fresh_shell()
    with redirect_stdout(io.StringIO()):
        run(shell, "%load_ext m3ter_nb", "%m3ter_login", "products = %m3ter GET products --all")
    records = shell.user_ns["products"]
    frame = records.to_frame()
    if not len(records) == len(frame) == PRODUCTS:
        raise AssertionError("the two views are not of the same rows")
    return alternate({"records": records._repr_html_, "pandas": frame._repr_html_}, rounds, times=10)


def long_html(rounds: int) -> dict[str, list[float]]:
    """Measure the HTML view of 100,000 records."""
    records = Records(entities(100_000), path="accounts")
    frame = records.to_frame()
    return alternate({"records": records._repr_html_, "pandas": frame._repr_html_}, rounds, times=10)


def wide_html(rounds: int) -> dict[str, list[float]]:
    """Measure the HTML view of 60 records of 1,000 fields."""
    rows = [{f"field_{index}": index for index in range(1_000)} for _ in range(60)]
    frame = pd.DataFrame(rows)
    return alternate({"records": Records(rows)._repr_html_, "pandas": frame._repr_html_}, rounds)


def frame(rounds: int) -> dict[str, list[float]]:
    """Measure the frame of 100,000 records."""
    rows = entities(100_000)
    records = Records(rows)
    return alternate({"ours": records.to_frame, "pandas": lambda: pd.json_normalize(rows)}, rounds)


def list_memory(rounds: int) -> dict[str, list[float]]:
    """Measure, in bytes at the peak, reading 100,000 products, and the same pages as a plain list."""
    shell = fresh_shell()

    def by_magic() -> object:
        with redirect_stdout(io.StringIO()):
            run(shell, "products = %m3ter GET lists/100000 --all")
        return shell.user_ns.pop("products")

    with redirect_stdout(io.StringIO()):
        run(shell, "%load_ext m3ter_nb", "%m3ter_login")
    with m3ter_nb.login() as session:

        def plain() -> object:
            return list(session.pages("lists/100000"))

        return {
            "ours": [_bytes_at_peak(by_magic) for _ in range(rounds)],
            "plain": [_bytes_kept(plain) for _ in range(rounds)],
        }


def growing(rounds: int) -> dict[str, list[float]]:
    """Measure seconds and peak bytes per record, of ``to_frame`` and of reading a list, at three sizes."""
    figures: dict[str, list[float]] = {}
    with m3ter_nb.login() as session:
        for size in SIZES:
            records = Records(entities(size))
            read = partial(_read, session, f"lists/{size}")
            for name, way in {"frame": records.to_frame, "list": read}.items():
                figures[f"{name} s {size}"] = [_cpu_seconds(way) / size for _ in range(rounds)]
                figures[f"{name} B {size}"] = [_bytes_at_peak(way) / size]
    return figures


def _read(session: m3ter_nb.M3terSession, path: str) -> Records:
    return Records(session.pages(path))


def _cpu_seconds(way: Callable[[], object]) -> float:
    started = time.process_time()
    way()
    return time.process_time() - started


def _bytes_at_peak(way: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        way()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _bytes_kept(way: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        kept = way()
        return tracemalloc.get_traced_memory()[0] if kept else 0
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main({way.__name__: way for way in (html, long_html, wide_html, frame, list_memory, growing)})
