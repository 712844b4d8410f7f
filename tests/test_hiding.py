"""Whatever a function raises that holds a secret, no frame of it is left; what happened is still told."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import gc
import json
import pickle
import traceback
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from rich.pretty import pretty_repr

from m3ter_nb.errors import InvalidArgument, M3terError
from m3ter_nb.hiding import Hidden, without_frames

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "marked-secret-8471"


@without_frames
def fail(secret: str, error: Callable[[], BaseException]) -> None:
    """Raise an error while another, which holds the secret, is handled."""
    try:
        json.loads("{" + secret)
    except ValueError:
        raise error()  # noqa: B904 - the context is what is meant


@without_frames
async def fail_later(secret: str, error: Callable[[], BaseException]) -> None:
    """Raise an error in a coroutine, with the secret in its frame."""
    await asyncio.sleep(0)
    fail.__wrapped__(secret, error)  # type: ignore[attr-defined]  # set by functools.wraps


def told_by(error: BaseException | None) -> str:
    """Return all that a traceback with locals shows, but for the lines of this file."""
    assert error is not None
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(line for line in told.format() if __file__ not in line)


EVERY_KIND = [M3terError, ValueError, TypeError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit]


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("later", [False, True], ids=["function", "coroutine"])
def test_no_exception_keeps_a_frame_or_its_context(
    kind: type[BaseException],
    later: bool,  # noqa: FBT001 - a switch of the test
) -> None:
    with pytest.raises(kind) as caught:
        asyncio.run(fail_later(SECRET, kind)) if later else fail(SECRET, kind)

    assert SECRET not in told_by(caught.value)
    assert caught.value.__context__ is None
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert not {"fail", "fail_later"} & set(names)


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """An error whose attributes cannot be set, its traceback among them."""

    code: int = 1


def test_an_error_that_is_frozen_goes_through_as_it_is_and_keeps_no_frame() -> None:
    with pytest.raises(FrozenError) as caught:
        fail(SECRET, FrozenError)

    assert SECRET not in told_by(caught.value)


def test_the_same_search_finds_the_secret_in_a_function_that_hides_nothing() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - any will do
        fail.__wrapped__(SECRET, ValueError)  # type: ignore[attr-defined]  # set by functools.wraps

    assert SECRET in told_by(caught.value)


def test_a_wrong_argument_is_not_shown() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'api_secret'") as caught:
        fail(api_secret=SECRET)  # type: ignore[call-arg]  # the mistake that is meant

    assert SECRET not in told_by(caught.value)


def test_somebody_else_s_error_says_where_it_was_raised_and_keeps_the_cause_it_names() -> None:
    def explained() -> BaseException:
        error = OSError("the outer one")
        error.__cause__ = KeyError("the cause")
        return error

    with pytest.raises(OSError, match="the outer one") as caught:
        fail(SECRET, explained)

    assert caught.value.__notes__[0].startswith("(raised in test_hiding.py, line ")
    assert repr(caught.value.__cause__) == "KeyError('the cause')"


def test_the_errors_of_a_group_keep_no_frame_either() -> None:
    def grouped() -> BaseException:
        try:
            fail.__wrapped__(SECRET, ValueError)  # type: ignore[attr-defined]  # set by functools.wraps
        except ValueError as error:
            return ExceptionGroup("several", [error])
        raise AssertionError

    with pytest.raises(ExceptionGroup) as caught:
        fail(SECRET, grouped)

    assert SECRET not in told_by(caught.value)


def test_an_error_that_is_its_own_cause_ends() -> None:
    def circular() -> BaseException:
        error = ValueError()
        error.__cause__ = error
        return error

    with pytest.raises(ValueError):  # noqa: PT011 - any will do
        fail(SECRET, circular)


def test_an_error_is_free_as_soon_as_nobody_holds_it() -> None:
    class Mine(Exception):
        pass

    gc.disable()
    try:
        try:
            fail(SECRET, Mine)
        except Mine as error:
            held = weakref.ref(error)
        assert held() is None
    finally:
        gc.enable()


def test_a_hidden_text_works_and_shows_nowhere() -> None:
    hidden = Hidden(SECRET * 9)

    assert f"{hidden}".encode() == (SECRET * 9).encode()
    assert copy.deepcopy({"a": hidden}) == {"a": hidden}
    shown: list[Any] = [repr([hidden]), pretty_repr({"a": hidden}, max_string=20)]
    assert not any("8471" in text for text in shown)
    assert all("hidden" in text for text in shown)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hidden_text_is_not_pickled(protocol: int) -> None:
    with pytest.raises(InvalidArgument):
        pickle.dumps(Hidden(SECRET), protocol)
