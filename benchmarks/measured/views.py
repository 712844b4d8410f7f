"""Lists as tables and as frames, ours beside pandas: ``python views.py NAME ROUNDS`` (or, of what grows, ``SIZE``)."""

from __future__ import annotations

import io
import resource
import time
import tracemalloc
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import pandas as pd
from alternating import alternate, main
from shells import fresh_shell, run

import m3ter_nb
from m3ter_nb.views.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable

PRODUCTS = 10_000


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


def growing_frame(size: int) -> dict[str, list[float]]:
    """Measure CPU seconds and peak bytes per record of the frame of so many."""
    records = Records(entities(size))
    return _per_record(records.to_frame, size)


def growing_list(size: int) -> dict[str, list[float]]:
    """Measure CPU seconds and peak bytes per record of reading so many."""
    with m3ter_nb.login() as session:
        session.get("lists/1")
        return _per_record(lambda: Records(session.pages(f"lists/{size}")), size)


def _per_record(way: Callable[[], object], size: int) -> dict[str, list[float]]:
    """Measure one call, in a process that has done nothing as large before."""
    resident, started = _largest_resident(), time.process_time()
    kept = way()
    took = time.process_time() - started
    figures = {"s": [took / size], "B": [(_largest_resident() - resident) / size]}
    del kept
    return figures


def _largest_resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
    main(
        {
            way.__name__: way
            for way in (html, long_html, wide_html, frame, list_memory, growing_frame, growing_list)
        }
    )
