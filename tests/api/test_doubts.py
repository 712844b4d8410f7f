"""What the API does not know is warned of before a wrong answer, and sent all the same."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import m3ter_nb
from m3ter_nb.api import facts
from m3ter_nb.api.describe import draft_of
from m3ter_nb.api.doubts import doubts, heard_by, near_path_advice
from m3ter_nb.errors import InvalidArgument, M3terWarning, NotFound
from m3ter_nb.wording import on_a_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.sandbox import Sandbox


@pytest.fixture
def session(sandbox: Sandbox, credentials: Credentials) -> Iterator[M3terSession]:
    with m3ter_nb.login(credentials, base_url=sandbox.url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "params", "doubt"),
    [
        ("products", {"codes": "u1"}, "products has no filter codes; it has ids."),
        (
            "products",
            {"pagesize": 2},
            "products has no filter pagesize; did you mean pageSize?",
        ),
        (
            "bills",
            {"accoutnId": "x"},
            "bills has no filter accoutnId; did you mean accountId?",
        ),
        (
            "bills",
            {"status": "PENDNG"},
            "status of bills takes PENDING, APPROVED. Did you mean PENDING?",
        ),
        (
            "bills",
            {"status": ["PENDING", "LOCKED"]},
            "status of bills takes PENDING, APPROVED.",
        ),
        (
            "products/1",
            {"pageSize": 2},
            "products/{id} has no parameter pageSize; it has none.",
        ),
        (
            "bills",
            {"excludeLineItems": "yes"},
            "excludeLineItems of bills takes true or false.",
        ),
        (
            "bills",
            "excludeLineItems=TRUE",
            "excludeLineItems of bills takes true or false. Did you mean true?",
        ),
        (
            "products",
            {"pageSize": "ten"},
            "pageSize of products takes a whole number from 1 to 200.",
        ),
        (
            "products",
            {"pageSize": 0},
            "pageSize of products takes a whole number from 1 to 200.",
        ),
        (
            "bills",
            {"billDateStart": "01/11/2026"},
            "billDateStart of bills takes a date in ISO 8601, such as 2026-11-01.",
        ),
        (
            "bills?externalInvoiceDateStart=2026-11-01T00:00:00+02:00",
            None,
            "externalInvoiceDateStart of bills takes a date in ISO 8601, such as 2026-11-01.",
        ),
        (
            "accounts",
            {"codes": ["acme", "{code}"]},
            "codes of accounts holds braces that nothing filled: is the f before the quotes missing?",
        ),
        ("products?codes=a", None, "products has no filter codes; it has ids."),
        ("products", "codes=a&pageSize=2", "products has no filter codes; it has ids."),
        (
            "products",
            [("ids", "a"), ("codes", "b")],
            "products has no filter codes; it has ids.",
        ),
        (
            "products",
            {"eyJhbGciOi.J9.x=/": "1"},
            "products has no filter of that name; it has ids.",
        ),
    ],
)
def test_a_filter_that_a_list_does_not_have_is_doubted(path: str, params: Any, doubt: str) -> None:
    assert doubts("GET", path, params, None) == [doubt]


@pytest.mark.parametrize(
    ("method", "path", "params", "json"),
    [
        ("GET", "products", {"ids": "a", "pageSize": 1, "nextToken": None}, None),
        ("GET", "bills", {"status": "PENDING", "codes": None}, None),
        ("GET", "bills", {"excludeLineItems": True, "billDate": dt.date(2026, 11, 1)}, None),
        (
            "GET",
            "bills",
            {"billDateStart": "2026-11-01T00:00:00.000Z", "status": {"PENDING", "APPROVED"}},
            None,
        ),
        ("GET", "nothingknown", {"x": 1}, None),
        ("POST", "products", None, {"name": "x", "code": "y", "customFields": {"anything": {"deep": 1}}}),
        (
            "POST",
            "products",
            None,
            {"name": "x", "code": "y", "id": "1", "version": 1, "dtCreated": "x", "createdBy": "y"},
        ),
        ("PUT", "accounts/1", None, {"name": "x", "dtLastModified": "x", "address": {"country": "GB"}}),
        (
            "POST",
            "usage/query",
            None,
            {
                "groups": [
                    {"groupType": "TIME", "frequency": "DAY"},
                    {"groupType": "DIMENSION", "meterId": "m", "fieldCode": "f"},
                ]
            },
        ),
        (
            "POST",
            "measurements",
            None,
            {"measurements": [{"uid": "u", "meter": "m", "account": "a", "ts": "t", "what": {"x": "y"}}]},
        ),
        (
            "PUT",
            "pricings/1",
            None,
            {
                "aggregationType": "SIMPLE",
                "pricingBands": [{"id": "b", "lowerLimit": 0, "fixedPrice": 0, "unitPrice": 1}],
            },
        ),
    ],
)
def test_what_the_api_knows_is_not_doubted(method: str, path: str, params: Any, json: Any) -> None:
    assert doubts(method, path, params, json) == []


def test_no_documented_body_is_doubted() -> None:
    for operation in facts.operations():
        draft = draft_of(operation)
        assert draft is None or doubts(operation.method, operation.path, None, draft) == []


@pytest.mark.parametrize(
    ("method", "path", "json", "expected"),
    [
        (
            "POST",
            "products",
            {"cod": 1},
            ["POST products has no field cod; did you mean code?"],
        ),
        (
            "POST",
            "meters",
            {"dataFields": [{"code": "a"}, {"cde": 1}, {"cde": 2}]},
            ["POST meters has no field dataFields.cde; did you mean code?"],
        ),
        (
            "PUT",
            "accounts/1",
            {"address": {"cuntry": 1}},
            ["PUT accounts/{id} has no field address.cuntry; did you mean country?"],
        ),
        (
            "POST",
            "products",
            {"xyzzy": 1},
            ["POST products has no field xyzzy; it has code, customFields, name."],
        ),
    ],
)
def test_a_field_that_a_body_does_not_have_is_doubted_once(
    method: str, path: str, json: Any, expected: list[str]
) -> None:
    found = doubts(method, path, None, json)

    assert found == expected


@pytest.mark.parametrize(
    ("method", "path", "on_line", "in_python"),
    [
        ("POST", "products", "the body: --body or the cell below %%m3ter.", "the body: json=."),
        (
            "PUT",
            "products/1",
            "the body: --body or the cell below %%m3ter (--set changes it alone).",
            "the body: json= (session.update changes it alone).",
        ),
    ],
)
def test_a_field_in_the_place_of_a_parameter_is_told_where_it_goes(
    method: str, path: str, on_line: str, in_python: str
) -> None:
    (told,) = doubts(method, path, {"name": "x"}, None)
    with on_a_line():
        (said,) = doubts(method, path, {"name": "x"}, None)

    assert told.endswith(f"has no parameter name; as a field it goes into {in_python}")
    assert said.endswith(f"has no parameter name; as a field it goes into {on_line}")


def test_the_session_warns_every_time_and_sends(session: M3terSession, sandbox: Sandbox) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(3):
            session.get("products", codes="x")

    assert [(str(w.message), w.category, w.filename) for w in shown] == [
        ("products has no filter codes; it has ids. Sending it all the same.", M3terWarning, __file__)
    ] * 3
    assert sum(record.method == "GET" for record in sandbox.log) == 3


def test_a_list_of_many_pages_warns_once(session: M3terSession) -> None:
    for number in range(3):
        session.post("products", {"name": "x", "code": f"c{number}"})

    with pytest.warns(M3terWarning) as shown:
        assert len(list(session.pages("products", pageSize=1, codes="x"))) == 3

    assert len(shown) == 1


def test_a_user_can_filter_the_warning(session: M3terSession) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", m3ter_nb.M3terWarning)
        session.get("products", codes="x")
        warnings.simplefilter("error", m3ter_nb.M3terWarning)
        with pytest.raises(M3terWarning, match="no filter codes"):
            session.get("products", codes="x")


def test_in_a_script_the_warning_shows_each_time_with_the_line_that_made_the_call(
    sandbox_environ: Sandbox,
) -> None:
    code = "import m3ter_nb\nwith m3ter_nb.login() as session:\n    for _ in range(2):\n        session.get('products', codes='x')\n"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stderr.count("<string>:4: M3terWarning: products has no filter codes; it has ids.") == 2


def test_who_listens_hears_it_and_no_warning_shows(session: M3terSession) -> None:
    heard: list[str] = []
    with heard_by(heard.append):
        session.get("products", codes="x")

    assert heard == ["products has no filter codes; it has ids. Sending it all the same."]


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("prodcuts", "The API has no such path. Did you mean products?"),
        ("acounts/81c/childen", "The API has no such path. Did you mean accounts/81c/children?"),
        ("products/81c49a54", "Check the path and the id; a list shows which there are."),
        ("xyzzyxyzzy", "The API has no such path. %m3ter_docs lists what there is."),
    ],
)
def test_a_404_names_what_is_near(session: M3terSession, path: str, advice: str) -> None:
    with pytest.raises(NotFound) as caught:
        session.get(path)

    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("acounts", "accounts"),
        ("accounts,", "accounts"),
        ("bill", "bills"),
        ("pricing", "pricings"),
        ("counter/1", "counters/1"),
        ("acountplans", "accountplans"),
    ],
)
def test_of_two_paths_that_are_near_the_nearer_was_meant(written: str, meant: str) -> None:
    assert near_path_advice("GET", written) == f"The API has no such path. Did you mean {meant}?"


@pytest.mark.parametrize("url", ["http://[", "http://[::1/products"])
def test_what_is_no_url_is_refused_in_words_whatever_is_to_be_sent_there(
    session: M3terSession, sandbox: Sandbox, url: str
) -> None:
    before = len(sandbox.log)
    for send in (
        lambda: session.request("GET", url),
        lambda: session.request("GET", url, params={"pageSize": 1}),
        lambda: session.request("POST", url, json={}),
        lambda: session.update(url, {"name": "x"}),
        lambda: session.pages(url, pageSize=1),
    ):
        with pytest.raises(InvalidArgument, match="not a URL that can be asked for"):
            send()
    assert len(sandbox.log) == before
