"""Rows about logins and calls in a warm process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processes import counts, forget_counts
from results import Goal, Line, Samples

if TYPE_CHECKING:
    from processes import Bench

__all__ = ["requests_made", "single_calls", "warm_login", "whole_list"]

_URLLIB3: Final = (
    "of some 845,000 instructions of a call (counted by valgrind, CPython 3.11) 700,000 are those of urllib3 and `json`; "
    "ours are the deadline at each read, where the token may go, whether it is fresh, and errors that hold no frames"
)
_FLOOR: Final = (
    "urllib3 takes nearly twice the floor itself (700,000 and 365,000 instructions, 117,000 of each for `email.parser`, "
    "which reads the headers); less would take a reader of HTTP of our own, where odd answers do harm"
)
_WHOLE_LIST: Final = (
    "urllib3 and `json` alone take 0.54 of raw requests, and the dicts that know how to show themselves 0.06: what "
    "is left for the checks of pages, the list and the magic is nothing; they take 0.08"
)


def warm_login(bench: Bench) -> list[Line]:
    """Measure a login where everything is imported."""
    seconds = _seconds(bench, "log_in", 40)
    return [
        Line(what, "the documented `requests.post`", seconds[ours], seconds["documented"], Goal("ratio", 1.2))
        for what, ours in (
            ("a login in a warm process: `m3ter_nb.login()`", "function"),
            ("a login in a warm process: `%m3ter_login`, with `users/me` for its card", "magic"),
        )
    ]


def requests_made(bench: Bench) -> list[Line]:
    """Count the requests and connections of many calls."""
    calls = 100 if bench.quick else 1_000
    told = {}
    for way in ("ours", "our-sdk", "sdk"):
        forget_counts(bench.url)
        bench.run("many_calls.py", way, str(calls))
        told[way] = counts(bench.url)
    one = Goal("count", 1)
    sdk = "the official SDK"
    return [
        Line(f"token requests in {calls:,} calls", sdk, _count(told, "ours"), _count(told, "sdk"), one),
        Line(
            f"token requests in {calls:,} calls of `m3ter_session.sdk()`",
            sdk,
            _count(told, "our-sdk"),
            _count(told, "sdk"),
            one,
        ),
        Line(
            f"connections in {calls:,} calls",
            sdk,
            _count(told, "ours", "connection"),
            _count(told, "sdk", "connection"),
            one,
        ),
    ]


def single_calls(bench: Bench) -> list[Line]:
    """Measure one GET."""
    seconds = _seconds(bench, "get", 40)
    what = "`m3ter_session.get` of one product"
    return [
        Line(what, "a raw `requests.Session`", seconds["ours"], seconds["requests"], Goal("ratio", 1.0)),
        Line(what, "the official SDK", seconds["ours"], seconds["sdk"], Goal("ratio", 0.4)),
        Line(
            what,
            "bare urllib3 and `json`",
            seconds["ours"],
            seconds["urllib3"],
            Goal("ratio", 1.2, limited_by=_URLLIB3),
        ),
        Line(
            what,
            "`http.client` and `json`: the floor",
            seconds["ours"],
            seconds["http.client"],
            Goal("ratio", 2.1, limited_by=_FLOOR),
        ),
        Line("a GET through `m3ter_session.sdk()`", "the official SDK", seconds["our sdk"], seconds["sdk"]),
    ]


def whole_list(bench: Bench) -> list[Line]:
    """Measure reading 10,000 products."""
    seconds = _seconds(bench, "whole_list", 10)
    what = "`%m3ter GET products --all`, 10,000 products"
    return [
        Line(
            what,
            "the official SDK's auto-pager, 200 a page",
            seconds["ours"],
            seconds["sdk"],
            Goal("ratio", 0.15),
        ),
        Line(
            what,
            "the same pages by raw `requests`",
            seconds["ours"],
            seconds["requests"],
            Goal("ratio", 0.6, limited_by=_WHOLE_LIST),
        ),
    ]


def _seconds(bench: Bench, name: str, rounds: int) -> dict[str, Samples]:
    told = bench.run("calls.py", name, str(bench.rounds(rounds)))
    return {way: Samples("s", tuple(values)) for way, values in told.items()}


def _count(told: dict[str, dict[str, int]], way: str, kind: str = "token") -> Samples:
    return Samples("1", (told[way].get(kind, 0),))
