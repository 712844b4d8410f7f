"""What calls cost that no clock is needed for: requests, connections, imports.

Counted by the benchmark's server, for which each way of calling runs in a process of its own (see ``benchmarks/``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("m3ter", reason="the official SDK is in the extra 'sdk'")

from processes import Bench, benchmark_server, counts, forget_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Return a bench with a running server that counts what it is asked."""
    with benchmark_server() as url, Bench.of(url, quick=True) as made:
        yield made


def asked_by(bench: Bench, way: str, calls: int) -> dict[str, int]:
    """Return what so many calls in one of the ways of ``measured/many_calls.py`` asked of the server."""
    forget_counts(bench.url)
    bench.run("many_calls.py", way, str(calls))
    return counts(bench.url)


def test_300_calls_are_301_requests_on_one_connection(bench: Bench) -> None:
    assert asked_by(bench, "ours", 300) == {"token": 1, "call": 300, "connection": 1}


def test_300_cells_are_302_requests_on_one_connection(bench: Bench) -> None:
    """The login's card asks once who this is."""
    assert asked_by(bench, "magic", 300) == {"token": 1, "call": 301, "connection": 1}


def test_16_threads_ask_for_one_token_and_no_more_connections_than_they_are(bench: Bench) -> None:
    asked = asked_by(bench, "threads", 400)

    assert (asked["token"], asked["call"]) == (1, 400)
    assert 1 <= asked["connection"] <= 16


def test_10000_products_are_50_pages_of_200_on_one_connection(bench: Bench) -> None:
    """The login's card asks once who this is."""
    assert asked_by(bench, "all", 1) == {"token": 1, "call": 51, "connection": 1}


def test_1000_calls_of_the_official_sdk_on_our_token_are_one_token_request(bench: Bench) -> None:
    assert asked_by(bench, "our-sdk", 1_000) == {"token": 1, "call": 1_000, "connection": 2}


def test_100_calls_of_the_official_async_sdk_on_our_token_are_one_token_request(bench: Bench) -> None:
    asked = asked_by(bench, "our-async-sdk", 100)

    assert (asked["token"], asked["call"]) == (1, 100)


def test_the_official_sdk_unaided_asks_for_a_token_with_each_call(bench: Bench) -> None:
    """If this fails, the SDK has been mended: say so in the README, and take back what we say against it."""
    asked = asked_by(bench, "sdk", 100)

    assert (asked["token"], asked["call"]) == (100, 100)


def test_a_login_is_one_request(bench: Bench) -> None:
    assert asked_by(bench, "ours", 0) == {"token": 1, "connection": 1}


def test_a_thousand_calls_import_nothing_that_the_first_did_not(bench: Bench) -> None:
    first = bench.run("modules_after.py", "1")

    assert bench.run("modules_after.py", "1000") == first


def test_a_call_imports_no_more_of_ours_than_it_needs(bench: Bench) -> None:
    ours = [name for name in bench.run("modules_after.py", "1") if name.startswith("m3ter_nb.")]

    assert not {
        "m3ter_nb.api.doubts",
        "m3ter_nb.auth.bound",
        "m3ter_nb.auth.env_file",
        "m3ter_nb.form",
        "m3ter_nb.sandbox",
        "m3ter_nb.bridges.sdk",
        "m3ter_nb.notebook.magics",
    }.intersection(ours)
