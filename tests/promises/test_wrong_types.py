"""A value of the wrong type is refused where it enters, by an error of ours in one line, and nothing is sent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import m3ter_nb
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb import M3terSession

ODD: list[Any] = [1.5, math.nan, 10**400, 1j, b"\xff", object(), len, type, ["x"], {"x"}, pd.NA]
ODD += [np.array([1, 2]), pd.DataFrame({"a": [1, 2]})]


def log_in(**options: Any) -> M3terSession:
    """Log in to the sandbox of the environment."""
    return m3ter_nb.login(m3ter_nb.Credentials(DEMO_KEY_ID, DEMO_SECRET), **options)


WAYS_IN: dict[str, Callable[[Any], object]] = {
    "base_url": lambda odd: log_in(base_url=odd),
    "org_id": lambda odd: log_in(org_id=odd),
    "refresh": lambda odd: log_in(refresh=odd),
    "notify": lambda odd: log_in(notify=odd if not callable(odd) else 1),
    "clock": lambda odd: log_in(clock=odd),
    "a token": m3ter_nb.Token,
    "a token's clock": lambda odd: m3ter_nb.Token("x", 60, clock=odd),
    "a form's listener": lambda odd: m3ter_nb.login_form(odd if not callable(odd) else 1),  # type: ignore[arg-type]
    "forget": m3ter_nb.forget,
}


@pytest.mark.parametrize("call", WAYS_IN.values(), ids=WAYS_IN)
def test_a_way_in_refuses_what_it_does_not_take(
    sandbox_environ: Sandbox, call: Callable[[Any], object]
) -> None:
    for odd in ODD:
        with pytest.raises((InvalidArgument, m3ter_nb.M3terError)) as caught:
            call(odd)
        assert "\n" not in str(caught.value)
    assert sandbox_environ.log == []


@pytest.mark.parametrize("odd", ["60", math.nan, math.inf, -math.inf, 1j, [60], pd.NA])
def test_a_token_s_lifetime_is_a_number_that_ends(odd: Any) -> None:
    with pytest.raises(InvalidArgument, match="expires_in is a number of seconds"):
        m3ter_nb.Token("x", odd)


@pytest.mark.parametrize("name", ["port", "token_lifetime", "data", "clock", "visible_after"])
def test_the_sandbox_says_which_argument_is_of_a_wrong_type(name: str) -> None:
    odd_ones = [1j, b"\xff", ["x"], {"x"}, "5ecret" if name != "data" else 5]
    for odd in odd_ones:
        with pytest.raises(TypeError, match=f"{name} is .*, not of type") as caught:
            Sandbox(**{name: odd})
        assert "5ecret" not in str(caught.value)


CALLS: dict[str, Callable[[M3terSession, Any], object]] = {
    "a path": lambda session, odd: session.get(odd),
    "a list's path": lambda session, odd: list(session.pages(odd)),
    "a method": lambda session, odd: session.request(odd, "products"),
    "a query": lambda session, odd: session.get("products", odd),
    "a list's query": lambda session, odd: list(session.pages("products", odd)),
    "a query of POST": lambda session, odd: session.post("products", {"name": "P"}, params=odd),
    "a query of DELETE": lambda session, odd: session.delete("products/x", params=odd),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_refuses_what_it_does_not_take(
    sandbox_environ: Sandbox, call: Callable[[M3terSession, Any], object]
) -> None:
    session = m3ter_nb.login()
    for odd in ODD:
        if isinstance(odd, bytes):  # a query may be bytes
            continue
        with pytest.raises(InvalidArgument) as caught:
            call(session, odd)
        assert "\n" not in str(caught.value)

    assert [record.path for record in sandbox_environ.log] == ["/oauth/token"]


@pytest.mark.parametrize("odd", [np.array([1, 2]), pd.DataFrame({"a": [1, 2]}), object(), math.nan, {"x"}])
@pytest.mark.parametrize("field", ["name", "customFields.tier"])
def test_a_change_to_what_is_no_json_is_refused(sandbox_environ: Sandbox, odd: Any, field: str) -> None:
    session = m3ter_nb.login()
    product = session.post("products", {"name": "P", "code": "p", "customFields": {"tier": "gold"}})

    with pytest.raises(InvalidArgument, match=r"The body (holds|is not JSON)"):
        session.update(f"products/{product['id']}", {field: odd})

    assert sandbox_environ.log[-1].method == "GET"  # nothing was put
