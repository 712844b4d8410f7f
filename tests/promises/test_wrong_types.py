"""A value of the wrong type is refused where it enters, by an error of ours in one line, and nothing is sent."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

import m3ter_nb
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET, Sandbox
from m3ter_nb.usage.options import CheckOptions, SubmitOptions
from usage_frames import METER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from m3ter_nb import M3terSession


class Contrary:
    """Says nothing but errors, and shows a secret."""

    __hash__ = None  # type: ignore[assignment]  # how Python says that there is none

    def __bool__(self) -> bool:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def __repr__(self) -> str:
        return "5ecret"


ODD: list[Any] = [1.5, math.nan, 10**400, 1j, b"\xff", object(), len, type, ["x"], {"x"}, pd.NA]
ODD += [np.array([1, 2]), pd.DataFrame({"a": [1, 2]}), np.array(1), Contrary(), ["5ecret"], {"5ecret": 1}]


def but(odd: Any, kinds: Any, other: object) -> Any:
    """Return an odd value, but for one that is taken."""
    return other if isinstance(odd, kinds) else odd


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
    "a form's host": lambda odd: m3ter_nb.login_form(base_url=odd),
    "a profile": lambda odd: m3ter_nb.login(profile=odd),
    "timeout": lambda odd: log_in(timeout=but(odd, float, -1.0)),
    "total_timeout": lambda odd: log_in(total_timeout=but(odd, float, -1.0)),
    "max_answer_bytes": lambda odd: log_in(max_answer_bytes=but(odd, int, -1)),
    "margin": lambda odd: log_in(margin=but(odd, float, -1.0)),
    "dotenv": lambda odd: m3ter_nb.login(dotenv=odd),
    "credentials": m3ter_nb.login,
    "a key id": lambda odd: m3ter_nb.Credentials(odd, "x"),
    "a secret": lambda odd: m3ter_nb.Credentials("x", odd),
    "where credentials came from": lambda odd: m3ter_nb.Credentials("x", "y", source=odd),
    "a form's listener": lambda odd: m3ter_nb.login_form(odd if not callable(odd) else 1),  # type: ignore[arg-type]  # the mistake that is meant
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
        assert "5ecret" not in str(caught.value)
    assert sandbox_environ.log == []


@pytest.mark.parametrize("odd", ["60", math.nan, math.inf, -math.inf, 1j, [60], pd.NA])
def test_a_token_s_lifetime_is_a_number_that_ends(odd: Any) -> None:
    with pytest.raises(InvalidArgument, match="expires_in is a number of seconds"):
        m3ter_nb.Token("x", odd)


@pytest.mark.parametrize("name", inspect.signature(Sandbox).parameters)
def test_the_sandbox_says_which_argument_is_of_a_wrong_type(name: str) -> None:
    odd_ones = [1j, b"\xff", ["x"], {"x"}, pd.DataFrame({"a": [1, 2]}), pd.NA, Contrary()]
    odd_ones += ["5ecret" if name != "data" else 5]
    for odd in odd_ones:
        with pytest.raises((TypeError, ValueError), match=r"^(A|An|The|What|[a-z_]+) .*\.$") as caught:
            Sandbox(**{name: odd})
        assert "5ecret" not in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda faults, odd: faults.fail(odd),
        lambda faults, odd: faults.fail(500, odd),
        lambda faults, odd: faults.fail(500, 1, odd),
        lambda faults, odd: faults.fail(500, retry_after=odd),
        lambda faults, odd: faults.fail(500, html=odd),
        lambda faults, odd: faults.delay(odd),
        lambda faults, odd: faults.drop(odd),
        lambda faults, odd: faults.cut(1, odd),
    ],
)
def test_trouble_that_cannot_be_meant_is_refused_before_a_request_meets_it(
    sandbox: Sandbox, call: Callable[[Any, Any], object]
) -> None:
    for odd in [1j, b"\xff", ["x"], {"5ecret"}, pd.NA, Contrary()]:
        with pytest.raises(TypeError, match=r"is .*, not of type"):
            call(sandbox.faults, odd)
    assert repr(sandbox.faults) == "<Faults: 0 waiting>"


CALLS: dict[str, Callable[[M3terSession, Any], object]] = {
    "a path": lambda session, odd: session.get(odd),
    "a list's path": lambda session, odd: list(session.pages(odd)),
    "a method": lambda session, odd: session.request(odd, "products"),
    "a changed entity's path": lambda session, odd: session.update(odd, {"name": "x"}),
    "changes": lambda session, odd: session.update("products/x", but(odd, dict, 1)),
    "what is removed": lambda session, odd: session.update(
        "products/x", {"name": "x"}, remove=but(odd, (list, set), 1)
    ),
    "a URL": lambda session, odd: session.url(odd),
    "a query": lambda session, odd: session.get("products", but(odd, dict, 1)),
    "a list's query": lambda session, odd: list(session.pages("products", but(odd, dict, 1))),
    "a query of POST": lambda session, odd: session.post("products", {"name": "P"}, params=but(odd, dict, 1)),
    "a query of DELETE": lambda session, odd: session.delete("products/x", params=but(odd, dict, 1)),
}


#: Of each option what it does take.
OPTIONS: dict[str, Any] = dict.fromkeys((*CheckOptions.__annotations__, *SubmitOptions.__annotations__), ())
OPTIONS |= {"confirm": float, "patience": float, "key": (list, set)}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_usage_refuses_what_it_does_not_take(sandbox_environ: Sandbox, name: str) -> None:
    session = m3ter_nb.login()
    for odd in ODD:
        if isinstance(odd, OPTIONS[name]) and odd == odd:  # noqa: PLR0124 - NaN is none
            continue
        with pytest.raises(InvalidArgument) as caught:
            session.submit_usage([{"account": "a"}], "m", **{name: odd})
        assert "\n" not in str(caught.value)
        assert "5ecret" not in str(caught.value)

    assert [record.path for record in sandbox_environ.log] == ["/oauth/token"]


@pytest.mark.parametrize(
    "odd",
    [
        1j,
        b"\xff",
        object(),
        len,
        type,
        1.5,
        np.array(1),
        "\0",
        "a" * 5_000,
        "~nobody-of-this-name/x.csv",
        "**x.csv",
        "",
    ],
)
def test_a_source_that_is_none_is_refused(sandbox_environ: Sandbox, odd: Any) -> None:
    session = m3ter_nb.login()
    with pytest.raises(InvalidArgument) as caught:
        session.check_usage(odd, "m")

    assert "\n" not in str(caught.value)
    assert [record.path for record in sandbox_environ.log] == ["/oauth/token"]


@pytest.mark.parametrize(
    "odd", [*(each for each in ODD if type(each) is not float), math.nan, math.inf, -1, 10**9]
)
def test_a_submission_is_not_confirmed_for_ever(odd: Any) -> None:
    submission = m3ter_nb.Submission("m", 0, m3ter_nb.UsageReport("m"))

    with pytest.raises(InvalidArgument, match="seconds= is a number from 0 to 86400"):
        submission.confirm(odd)


@pytest.mark.parametrize("path", ["a" * 300, "no/such/folder/at.all/x", "folder"])
def test_a_journal_that_cannot_be_kept_is_told_and_the_check_goes_on(
    sandbox_environ: Sandbox, tmp_path: Path, path: str
) -> None:
    session = m3ter_nb.login()
    session.post("meters", METER)
    (tmp_path / "folder").mkdir()
    rows = [{"account": "a", "ts": "2026-01-01T00:00:00Z", "region": "eu", "requests": 1}]

    report = session.check_usage(rows, METER["code"], journal=tmp_path / path, new_accounts="create")

    assert report.ok


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

    assert sandbox_environ.log[-1].method == "POST"  # nothing was read, nothing was put
