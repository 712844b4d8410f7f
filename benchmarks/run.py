"""Measure m3ter_nb beside what a user would pick instead: ``python benchmarks/run.py [--quick] [--only ROW]``.

Prints one table, and writes it to ``build/bench.json`` (with every sample) and ``benchmarks/RESULTS.md``;
``build/bench-samples.json`` is for ``python -m pyperf compare_to``. Everything runs on loopback, in one run, by turns.
"""

from __future__ import annotations

import argparse
import compileall
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import rows_calls
import rows_recorded
import rows_sandbox
import rows_sandbox_usage
import rows_shell
import rows_usage
import rows_views
import rows_words
from prism import prism_version
from processes import HERE, Bench, benchmark_server
from results import Line, machine, markdown, remarks, saved, versions

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS: Final[dict[str, Callable[[Bench], list[Line]]]] = {
    "loading": rows_shell.loading,
    "first-login": rows_shell.first_login,
    "keychain-login": rows_shell.keychain_login,
    "warm-login": rows_calls.warm_login,
    "requests-made": rows_calls.requests_made,
    "get": rows_calls.single_calls,
    "all": rows_calls.whole_list,
    "checks": rows_words.checks,
    "tab": rows_words.tab,
    "cells": rows_shell.cells,
    "memory": rows_shell.memory,
    "table-view": rows_views.table_views,
    "frame": rows_views.frames,
    "list-memory": rows_views.list_memory,
    "growth": rows_views.growth,
    "sandbox": rows_sandbox.sandbox,
    "sandbox-usage": rows_sandbox_usage.sandbox_usage,
    "usage": rows_usage.usage,
    "page": rows_recorded.page,
    "tests": rows_recorded.tests,
}

_BUILD: Final = HERE.parent / "build"
_RESULTS: Final = HERE / "RESULTS.md"

_HOW: Final = """\
Written by `make bench`. Everything runs on one machine over loopback, in one run, by turns (A, B, then B, A), so that
whatever else the machine does hits all alike. Figures are medians; ratios and differences are medians, too, over the
rounds, each way compared with the others of its own round. Start-up and memory are measured in fresh Jupyter
kernels; logins and calls go to a minimal server in a process of its own (`server.py`), so that they
show what the client costs, not the network. Where the SDK makes a call, it makes its own token request too: that is
what it does (0.9.0). Memory is the unique set size: what would be free again if the process ended.
"""


def main() -> int:
    """Measure, print, write; return 1 where a goal is missed and ``--strict`` asks for that."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="measure little and write only to build/")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help=f"of: {', '.join(ROWS)}")
    parser.add_argument("--strict", action="store_true", help="end with status 1 where a goal is missed")
    options = parser.parse_args()
    # What is installed has bytecode. A checkout may have none, and then every start would compile it.
    compileall.compile_dir(HERE.parent / "m3ter_nb", quiet=1)
    started = time.perf_counter()
    load = _load()
    lines: list[Line] = []
    with benchmark_server() as url, Bench.of(url, quick=options.quick) as bench:
        for name, measure in ROWS.items():
            if options.only and name not in options.only:
                continue
            print(f"{name} …", file=sys.stderr, end=" ", flush=True)
            row_started = time.perf_counter()
            lines += measure(bench)
            print(f"{time.perf_counter() - row_started:.0f} s", file=sys.stderr)
    about = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions() | {"prism": prism_version()},
        "load": f"{load} before, {_load()} after",
        "seconds": round(time.perf_counter() - started),
        "quick": options.quick,
    }
    table = markdown(lines)
    print(f"{table}\n\n{remarks(lines)}")
    saved(lines, about, _BUILD / "bench.json", _BUILD / "bench-samples.json")
    if not options.quick and not options.only:
        _RESULTS.write_text(_page(lines, table, about), "utf-8")
    return int(options.strict and any(line.met is False for line in lines))


def _page(lines: list[Line], table: str, about: dict[str, Any]) -> str:
    described = "; ".join(f"{name}: {value}" for name, value in about["machine"].items())
    packages = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"# What m3ter_nb costs\n\n{_HOW}\n{table}\n\n{remarks(lines)}\n"
        f"- Measured on {about['date']}, in {about['seconds']} s.\n"
        f"- Machine: {described}.\n"
        f"- Load average of the machine (1 min): {about['load']}.\n"
        f"- Packages: {packages}.\n"
    )


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    sys.exit(main())
