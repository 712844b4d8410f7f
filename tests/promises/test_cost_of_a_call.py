"""What one call costs that no clock is needed for: looks at the token, reads of the socket, functions of ours."""

from __future__ import annotations

import socket
import sys
from collections import Counter
from pathlib import Path
from threading import get_ident
from typing import TYPE_CHECKING, Any

import pytest

import m3ter_nb
from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.wire.bounds import Allowance
from odd_servers import OddServer, Seen, json_answer, token_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from m3ter_nb.api.session import M3terSession

PACKAGE = str(Path(m3ter_nb.__file__).parent)
TOKEN = "marked-token-8471"
#: Of ours, that a GET passes through; urllib3 has 230 and more. One more costs each call about a microsecond.
MOST_FUNCTIONS = 58


@pytest.fixture(scope="module")
def session() -> Iterator[M3terSession]:
    """Return a session that has made a call: what a first one finds out is known."""

    def respond(seen: Seen) -> list[bytes]:
        return [token_answer(TOKEN) if seen.target == "/oauth/token" else json_answer({"id": "7"})]

    with (
        OddServer(respond) as server,
        login(Credentials("k", "s"), base_url=server.url, org_id="o") as opened,
    ):
        opened.get("products/7")
        yield opened


def counting(counts: Counter[str], owner: type, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this thread's calls of a method counted: the server is in another."""
    method: Callable[..., Any] = getattr(owner, name)
    counted_thread = get_ident()

    def counted(*args: Any) -> Any:
        counts[name] += get_ident() == counted_thread
        return method(*args)

    monkeypatch.setattr(owner, name, counted)


def test_a_call_looks_once_at_the_token(session: M3terSession, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: Counter[str] = Counter()
    counting(counts, TokenSource, "token", monkeypatch)

    session.get("products/7")

    assert counts == {"token": 1}


def test_an_answer_of_one_piece_is_read_and_timed_once(
    session: M3terSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that is left is found out at the start, for the request and for the answer."""
    counts: Counter[str] = Counter()
    counting(counts, socket.socket, "recv_into", monkeypatch)
    counting(counts, Allowance, "seconds", monkeypatch)

    session.get("products/7")

    assert counts == {"recv_into": 1, "seconds": 3}


def test_a_call_passes_through_few_functions_of_ours(session: M3terSession) -> None:
    passed: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _arg: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            passed[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        session.get("products/7")
    finally:
        sys.setprofile(before)

    assert 0 < passed.total() <= MOST_FUNCTIONS, passed
