"""The arguments of a login: what is wrong with one is said before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb import Credentials, login
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a margin that is no number": ({"margin": float("nan")}, "The margin is a number of seconds"),
    "a margin below zero": ({"margin": -5}, "The margin is a number of seconds"),
    "a margin that is text": ({"margin": "60"}, "The margin is a number of seconds"),
    "a timeout that is text": ({"timeout": "10"}, "A timeout is a number of seconds"),
    "half a timeout": ({"timeout": (1,)}, "A timeout is a number of seconds"),
    "no total timeout": ({"total_timeout": 0}, "total_timeout is a number of seconds"),
    "a truth for a timeout": ({"total_timeout": True}, "total_timeout is a number of seconds"),
    "half a byte": ({"max_answer_bytes": 1.5}, "max_answer_bytes is a whole number"),
    "a word for a truth": ({"refresh": "no"}, "refresh is True or False"),
    "a clock that is none": ({"clock": 5}, "clock is a m3ter_nb.wire.clock.Clock"),
    "a listener that is none": ({"notify": 5}, "notify is a function"),
    "an organization that is no text": ({"org_id": 5}, "The organization id is text"),
    "a host that is no text": ({"base_url": 5}, "The base URL is text"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_argument_is_named_before_anything_is_sent(
    sandbox: Sandbox, wrong: dict[str, Any], said: str
) -> None:
    arguments = {"base_url": sandbox.url, **wrong}

    with pytest.raises(InvalidArgument, match=said):
        login(Credentials(DEMO_KEY_ID, DEMO_SECRET), **arguments)

    assert sandbox.log == []


@pytest.mark.parametrize("dotenv", [5, ["a.env"], b"a.env"])
def test_a_file_that_is_no_path_is_named(dotenv: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"dotenv is the path of a \.env file, not of type"):
        login(dotenv=dotenv)
