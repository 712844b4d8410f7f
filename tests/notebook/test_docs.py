"""%m3ter_docs, and all that leads to it: before any login, without a network."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import bodies
from m3ter_nb.api import facts
from m3ter_nb.api.describe import draft_of, is_to_fill, line_for
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.call_line import parse_call
from m3ter_nb.notebook.docs import look_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.views.reference import Reference
    from sandbox_fixtures import Client


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Refuse every connection, where a test does not ask for the sandbox."""
    if "api" in request.fixturenames:
        return

    def refuse(*_: Any) -> None:
        raise AssertionError("somebody went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def paths(found: Reference, count: int) -> list[str]:
    return [f"{operation.method} {operation.path}" for operation in found.operations[:count]]


def run(shell: InteractiveShell, cell: str) -> Any:
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("GTE products", "Did you mean GET?"),
        ("gte products", "Did you mean GET?"),
        ("POTS bills/{id}", "Did you mean POST?"),
        ("DELTE products/{id}", "Did you mean DELETE?"),
        ("PATCH products/{id}", "m3ter has no PATCH"),
    ],
)
def test_a_misspelt_method_before_a_path_is_told_as_by_the_call_itself(line: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as looked_up:
        look_up(line)
    with pytest.raises(InvalidArgument) as called:
        parse_call(line, None, {})

    assert said in str(looked_up.value)
    assert str(looked_up.value) == str(called.value)


@pytest.mark.parametrize("words", ["gte", "set products", "gets limits", "post code", "patch notes"])
def test_words_that_are_near_to_a_method_are_words(words: str) -> None:
    assert look_up(words).title


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("bills", "GET bills"),
        ("bill", "GET bills"),
        ("account plans", "GET accountplans"),
        ("accountPlan", "GET accountplans"),
        ("create product", "POST products"),
        ("credit line items", "GET bills/{billId}/creditlineitems"),
        ("delete meter", "DELETE meters/{id}"),
        ("usage query", "POST usage/query"),
        ("daysBeforeBillDue", "POST accounts"),
        ("currency", "GET picklists/currency"),
        ("webhook", "GET integrationdestinations/webhooks"),
    ],
)
def test_words_find_the_operation_that_is_meant_first(words: str, first: str) -> None:
    found = look_up(words)

    assert paths(found, 1) == [first]
    assert f"{first.partition(' ')[2]} " in repr(found)


def test_words_that_nothing_has_are_not_repeated_and_get_a_suggestion() -> None:
    found = look_up("prodcuts")

    assert "prodcuts" not in repr(found) + found._repr_html_()
    assert "%m3ter_docs product" in repr(found)
    assert "S3cretS3cret" not in repr(look_up("S3cretS3cret bills"))


@pytest.mark.parametrize(
    "written",
    [
        "GET bills/{billId}/lineitems/{id}",
        "get bills/81c49a54-dfcd-4da5-bbf3-d2885ec025dd/lineitems/x1",
        "GET bills/{{bill_id}}/lineitems/{{x}}",
        "GET /organizations/81c49a54/bills/1/lineitems/2",
        "GET https://api.m3ter.com/organizations/81c49a54/bills/1/lineitems/2?x=1",
    ],
)
def test_a_path_is_understood_with_ids_and_with_placeholders(written: str) -> None:
    assert paths(look_up(written), 2) == ["GET bills/{billId}/lineitems/{id}"]


def test_an_operation_is_shown_whole() -> None:
    found = look_up("POST meters")
    text = repr(found)

    assert found.link == "https://docs.m3ter.com/api/meter/create-meter"
    assert re.search(r"^  dataFields +list of object +required +1 to 15 items$", text, re.MULTILINE)
    assert re.search(
        r"^  dataFields\[\]\.category +text +required +WHO, WHERE, WHAT, OTHER,", text, re.MULTILINE
    )
    assert "  %%m3ter POST meters\n  {" in text
    assert "dtLastModified" in text
    assert (
        '<a href="https://docs.m3ter.com/api/meter/create-meter" target="_blank" rel="noopener noreferrer">'
        in found._repr_html_()
    )


def test_filters_are_shown_with_their_values_and_limits() -> None:
    text = repr(look_up("GET bills"))

    assert re.search(r"^  status +text +PENDING, APPROVED$", text, re.MULTILINE)
    assert re.search(r"^  pageSize +whole number +1 to 100$", text, re.MULTILINE)
    assert "%m3ter GET bills --all" in text


def test_alone_it_shows_the_resources() -> None:
    found = look_up("")

    assert len(found.operations) == 323
    assert re.search(r"^  products +GET POST PUT DELETE$", repr(found), re.MULTILINE)
    assert re.search(r"^  events +GET$", repr(found), re.MULTILINE)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("GET prodcuts", "The API has no such path. Did you mean products?"),
        ("PUT bills/1", r"bills/{id} has GET and DELETE, no PUT\."),
        ("acounts/1/childen", "Did you mean accounts/1/children?"),
    ],
)
def test_an_unknown_path_names_what_is_near(written: str, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        look_up(written)


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        ("%m3ter_docs GET bills", "GET bills (ListBills)"),
        ("%m3ter help GET bills", "GET bills (ListBills)"),
        ("%m3ter GET bills --help", "GET bills (ListBills)"),
        ("%m3ter GET bills -h", "GET bills (ListBills)"),
        ("%m3ter GET bills?", "GET bills (ListBills)"),
        ("%m3ter GET bills ?", "GET bills (ListBills)"),
        ("%m3ter GET bills/{{id}}?", "GET bills/{id} (GetBill)"),
        ("%m3ter GET bills/81c49a54-dfcd-4da5-bbf3-d2885ec025dd?", "GET bills/{id} (GetBill)"),
        ("x = 1\n%m3ter GET bills/81c49a54-dfcd??", "GET bills/{id} (GetBill)"),
        ("%m3ter_docs bills/{id}?", "What can be called at bills/{id}"),
        ("%m3ter --help", "The m3ter API: 323 operations on 46 resources"),
        ("%m3ter -h", "The m3ter API: 323 operations on 46 resources"),
        ("%m3ter help", "The m3ter API: 323 operations on 46 resources"),
        ("%m3ter_docs", "The m3ter API: 323 operations on 46 resources"),
    ],
)
def test_every_way_to_ask_leads_there_before_a_login(shell: InteractiveShell, cell: str, title: str) -> None:
    assert run(shell, cell).title == title


def test_a_question_mark_in_a_cell_of_python_stays_with_ipython(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shell, 'text = """\n%time x?\n"""\ntext') == "\n%time x?\n"
    shell.run_cell("%m3ter?")
    assert "METHOD is GET" in capsys.readouterr().out


def fill(draft: Any, shape: Mapping[str, Any], name: str = "") -> Any:
    """Return a draft with its places filled in, as somebody who reads the limits would."""
    if is_to_fill(draft):
        return bodies.example(dict(shape), name)
    if isinstance(draft, list):
        return [fill(item, shape.get("items", {}), name) for item in draft]
    if isinstance(draft, dict):
        fields = facts.fields_of(shape)
        return {key: fill(value, fields.get(key, {}), key) for key, value in draft.items()}
    return draft


def test_every_body_to_start_from_is_valid_once_it_is_filled_in() -> None:
    checked = 0
    for operation in facts.operations():
        draft = draft_of(operation)
        if draft is None:
            continue
        jsonschema.Draft4Validator(dict(operation.body or {})).validate(fill(draft, operation.body or {}))
        checked += 1
    assert checked == 124


@pytest.mark.parametrize(
    "path",
    [
        "products",
        "accounts",
        "meters",
        "plangroups",
        "picklists/currency",
        "customfields",
        "usage/query",
        "measurements",
        "integrationdestinations/webhooks",
    ],
)
def test_the_sandbox_takes_a_body_to_start_from(api: Client, path: str) -> None:
    operation = facts.find("POST", path) or facts.find("PUT", path)
    assert operation is not None
    body = fill(draft_of(operation), operation.body or {})

    answer = api.call(operation.method, path, json=body)

    assert answer.status_code == 200, answer.text


def test_every_line_to_type_is_one_that_the_magic_reads() -> None:
    read = 0
    for operation in facts.operations():
        line, _, cell = line_for(operation).partition("\n")
        if "--set" in line or line == "%m3ter_login":
            continue
        names = dict.fromkeys(operation.parameters, "x1")
        call = parse_call(re.sub(r"^%+m3ter ", "", line), cell or None, names)
        assert (call.method, facts.find(call.method, call.path)) == (operation.method, operation)
        assert not cell or call.json == json.loads(cell)
        read += 1
    assert read > 270
