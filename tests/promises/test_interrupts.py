"""An interrupt, or no memory, at any line of ours: what is raised shows neither secret nor token."""

from __future__ import annotations

import base64
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import m3ter_nb
import m3ter_nb.auth.source
from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.profiles import remember
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.transport import Timeout
from odd_servers import OddServer, Seen, json_answer, token_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from m3ter_nb.api.session import M3terSession

PACKAGE = str(Path(m3ter_nb.__file__).parent)
SECRET, TOKEN = "marked-secret-8471", "marked-token-8471"
MARKS = (SECRET, TOKEN, base64.b64encode(f"k:{SECRET}".encode()).decode())
# Every one would take seconds, and find the same: lines are counted from another one for each exception.
STRIDE = 11


class Tripped(Exception):
    """Says that the line was never reached."""


def tripping(work: Callable[[], object], at: int, error: type[BaseException]) -> str:
    """Return how a verbose traceback shows an exception that comes at a certain line of ours, counted as they run.

    Raises:
        Tripped: there are not so many.
    """
    count, hit = 0, False

    def line(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count, hit
        if event == "line":
            count += 1
            if count == at:
                hit = True
                raise error
        return line

    def call(frame: FrameType, _event: str, _arg: object) -> Any:
        code = frame.f_code
        # What wraps a function has its arguments before its try begins: no code of Python can hide those.
        wraps = code.co_qualname.startswith(without_frames.__name__)
        return line if code.co_filename.startswith(PACKAGE) and not wraps else None

    before = sys.gettrace()
    shown = ""
    try:
        sys.settrace(call)
        work()
    except BaseException as raised:  # noqa: BLE001 - whatever comes
        sys.settrace(before)
        shown = show(raised)
    finally:
        sys.settrace(before)
    if not hit:
        raise Tripped
    return shown


def show(error: BaseException) -> str:
    """Return a traceback with the locals of all frames but those of this file."""
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename == __file__:
        place = place.tb_next
    told = traceback.TracebackException(type(error), error, place, capture_locals=True)
    return "".join(told.format())


@pytest.fixture(scope="module")
def session() -> Iterator[M3terSession]:
    """Return a session with a server that knows one token."""

    def respond(seen: Seen) -> list[bytes]:
        return [token_answer(TOKEN) if seen.target == "/oauth/token" else json_answer({"data": []})]

    with (
        OddServer(respond) as server,
        login(Credentials("k", SECRET), base_url=server.url, org_id="o", timeout=Timeout(5, 5)) as opened,
    ):
        yield opened


WORK: dict[str, Callable[[M3terSession], object]] = {
    "a login": lambda session: login(
        Credentials.pasted("k", f" {SECRET}", source="a test"), base_url=session.base_url, org_id="o"
    ).close(),
    "a call": lambda session: session.get("products"),
    "a renewal": lambda session: session.source.renew(session.source.current),
    "requests": lambda session: session.requests().get(session.url("products"), timeout=5),
    "a login that is remembered": lambda session: remember(
        Credentials("k", SECRET), base_url=session.base_url, org_id="o"
    ),
}


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
@pytest.mark.parametrize("name", WORK)
def test_what_comes_at_any_line_shows_neither_secret_nor_token(
    session: M3terSession, name: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(m3ter_nb.auth.source, "_LONGEST_WAIT", 0.5)
    at, tried = len(error.__name__), 0
    while True:
        try:
            shown = tripping(lambda: WORK[name](session), at, error)
        except Tripped:
            break
        assert not [mark for mark in MARKS if mark in shown]
        at, tried = at + STRIDE, tried + 1

    assert tried > 5
    assert session.source.renew(session.source.current) == TOKEN  # no lock stays behind


def test_the_same_search_finds_a_secret_in_a_frame() -> None:
    def hides_nothing(secret: str) -> None:
        raise ValueError(len(secret))

    scope: dict[str, Any] = {}
    exec(compile("def call(work, held):\n    work(held)", "elsewhere.py", "exec"), scope)
    with pytest.raises(ValueError, match="18") as caught:
        scope["call"](hides_nothing, SECRET)

    assert SECRET in show(caught.value)
