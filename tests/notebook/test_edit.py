"""%m3ter PUT PATH --set: one field changes, and nobody loses another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.errors import ConfirmationNeeded, InvalidArgument, NotFound, VersionConflict
from m3ter_nb.notebook.call_line import parse_call
from m3ter_nb.sandbox import Sandbox

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

ID = "81c49a54-dfcd-4da5-bbf3-d2885ec025dd"


def run(shell: InteractiveShell, cell: str) -> Any:
    result = shell.run_cell(cell)
    result.raise_error()
    return result.result


@pytest.fixture
def account(shell: InteractiveShell, sandbox_environ: Sandbox) -> dict[str, Any]:
    run(shell, "%m3ter_login")
    shell.user_ns["account"] = account = run(
        shell,
        '%%m3ter POST accounts\n{"name": "Acme", "code": "acme", "emailAddress": "a@example.com", '
        '"daysBeforeBillDue": 30, "customFields": {"tier": "gold"}}',
    )
    return dict(account)


def puts(sandbox: Sandbox) -> int:
    return sum(record.method == "PUT" for record in sandbox.log)


def changes(pairs: str, path: str = f"accounts/{ID}", **namespace: Any) -> dict[str, Any]:
    edits = parse_call(f"PUT {path} --set {pairs}", None, namespace).edits
    assert edits is not None
    return edits.changes


def refusal(line: str, cell: str | None = None, **namespace: Any) -> str:
    with pytest.raises(InvalidArgument) as caught:
        parse_call(line, cell, namespace)
    return str(caught.value)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ("name=2", {"name": "2"}),
        ("name=true", {"name": "true"}),
        ("name=NaN", {"name": "NaN"}),
        ("name=", {"name": ""}),
        ('name="New name" code=x', {"name": "New name", "code": "x"}),
        ("daysBeforeBillDue=14", {"daysBeforeBillDue": 14}),
        ("daysBeforeBillDue=null", {"daysBeforeBillDue": None}),
        ("address.country=44", {"address.country": "44"}),
        (
            "customFields.a=1 customFields.b=1.10 customFields.c=x",
            {"customFields.a": 1, "customFields.b": 1.1, "customFields.c": "x"},
        ),
        ("""'customFields.d="2"' customFields.e=""", {"customFields.d": "2", "customFields.e": ""}),
        ("""'customFields={"a": [1, null]}'""", {"customFields": {"a": [1, None]}}),
        ("name={{n}}", {"name": 7}),
        ("name=x{{n}} customFields.f={{d}}", {"name": "x7", "customFields.f": {"k": [1]}}),
        ('creditApplicationOrder=[\\"PREPAYMENT\\"]', {"creditApplicationOrder": ["PREPAYMENT"]}),
    ],
)
def test_a_value_is_read_by_the_fields_type(pairs: str, expected: dict[str, Any]) -> None:
    found = changes(pairs, n=7, d={"k": [1]})

    assert found == expected
    assert [type(value) is bool for value in found.values()] == [
        type(value) is bool for value in expected.values()
    ]


def test_a_path_that_the_table_does_not_know_reads_json_where_it_can_be() -> None:
    assert changes("a=1 b=true c=null d=text e=[1,2] f=1e5", "somethingnew/1") == {
        "a": 1,
        "b": True,
        "c": None,
        "d": "text",
        "e": [1, 2],
        "f": 100000.0,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("PUT accounts/1 --set daysBeforeBillDue=soon", "daysBeforeBillDue takes a whole number."),
        ("PUT accounts/1 --set daysBeforeBillDue=1.5", "daysBeforeBillDue takes a whole number."),
        ("PUT accounts/1 --set daysBeforeBillDue=true", "daysBeforeBillDue takes a whole number."),
        ("PUT accounts/1 --set daysBeforeBillDue=", "--unset daysBeforeBillDue"),
        (
            "PUT accounts/1 --set customFields={a:1}",
            "customFields takes an object in JSON. White space and quotes",
        ),
        ("PUT accounts/1 --set customFields.x=NaN", "NaN and Infinity are no values of JSON"),
        ("PUT accounts/1 --set customFields.x=[1,-Infinity]", "NaN and Infinity are no values of JSON"),
        ("PUT accounts/1 --set customFields.x={{nan}}", "which JSON cannot hold"),
        ("PUT accounts/1 --set name", "key=value"),
        ("PUT accounts/1 --set =x", "key=value"),
        ("PUT accounts/1 --set", "--set needs a key"),
        ("PUT accounts/1 --set name=a name=b", "name is set twice"),
        ("PUT accounts/1 --set name=$nan", "a value is written {{name}}"),
        ("PUT accounts/1 --set customFields.x={nan}", "a value is written {{name}}"),
        ("PUT accounts/1 --unset name=a", "--unset takes keys alone"),
        ("PUT accounts/1 --diff", "add one of them"),
        ("GET accounts/1 --set name=a", "it goes with PUT, not with GET"),
        ("POST accounts --unset name", "it goes with PUT, not with POST"),
        ("PUT accounts/1 --set name=a --body {'b':1}", "goes with no body"),
        ("PUT accounts/1 x=1 --set name=a", "goes with no body"),
        ("PUT accounts/1 --set name=a --show curl", "goes with no body"),
        ("PUT accounts/1 --set name=a --all", "so it goes with GET"),
    ],
)
def test_what_is_meant_otherwise_is_refused(line: str, message: str) -> None:
    assert message in refusal(line, nan=math.nan)


def test_a_cell_below_is_refused() -> None:
    assert "goes with no body" in refusal("PUT accounts/1 --set name=a", '{"b": 1}')


def test_one_field_changes_and_the_difference_is_shown(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    changed = run(
        shell,
        'changed = %m3ter PUT accounts/{{account["id"]}} --set name="Acme Ltd" customFields.seats=12 --unset customFields.tier\nchanged',
    )

    assert (changed["name"], changed["customFields"], changed["daysBeforeBillDue"]) == (
        "Acme Ltd",
        {"seats": 12},
        30,
    )
    assert changed["version"] == 2
    assert capsys.readouterr().out.startswith(
        f'accounts/{account["id"]} "Acme", version 1\n'
        '- name: "Acme"\n+ name: "Acme Ltd"\n- customFields.tier: "gold"\n+ customFields.seats: 12\n'
    )


def test_diff_shows_and_sends_nothing(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(shell, '%m3ter PUT accounts/{{account["id"]}} --set name=New --diff') is None

    out = capsys.readouterr().out
    assert '- name: "Acme"\n+ name: "New"\nNothing was sent.\n' in out
    assert puts(sandbox_environ) == 0


@pytest.mark.parametrize("written", ["12345678901234567.891", "0.1234567890123456789", "1e400", "[[1.10]]"])
def test_what_is_shown_has_the_digits_of_what_is_sent(
    shell: InteractiveShell, account: dict[str, Any], capsys: pytest.CaptureFixture[str], written: str
) -> None:
    line = f"%m3ter PUT accounts/{account['id']} --set customFields.rate={written} --diff"

    assert run(shell, line) is None

    assert f"+ customFields.rate: {written}\n" in capsys.readouterr().out


def test_nothing_to_change_says_so_and_sends_nothing(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    same = run(
        shell, '%m3ter PUT accounts/{{account["id"]}} --set name=Acme daysBeforeBillDue=30 --unset nothing'
    )

    assert dict(same) == account
    assert (
        "Nothing to change: name, daysBeforeBillDue are as you say already; nothing is not there to be unset. Nothing was sent."
    ) in " ".join(capsys.readouterr().out.split())
    assert puts(sandbox_environ) == 0


@pytest.mark.parametrize("ends", ["", " --diff"])
def test_what_changes_nothing_beside_a_change_is_said(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    ends: str,
) -> None:
    capsys.readouterr()
    words = "--set name=New code=acme address.country=GB --unset customFields.teir currency"
    run(shell, f'%m3ter PUT accounts/{{{{account["id"]}}}} {words}{ends}')

    said = " ".join(capsys.readouterr().out.split())
    assert (
        "Nothing else: code is as you say already; customFields.teir, currency are not there to be unset."
        in said
    )


@pytest.mark.parametrize(("outcome", "puts_sent"), [("shown", 0), ("refused", 0), ("sent", 1)])
def test_a_field_that_is_not_known_is_never_said_to_be_sent_where_nothing_is(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    outcome: str,
    puts_sent: int,
) -> None:
    if outcome == "refused":  # nobody can answer here
        login = shell.find_line_magic("m3ter_login").__self__._logins.get("m3ter")
        monkeypatch.setattr(type(login), "organization_type", "PRODUCTION")
    capsys.readouterr()
    option = "--diff" if outcome == "shown" else ""
    result = shell.run_cell(
        f'%m3ter PUT accounts/{{{{account["id"]}}}} --set nam=New --unset currensy {option}'
    )

    said = " ".join(capsys.readouterr().out.split())
    assert result.success is (outcome != "refused")
    assert "no field nam; did you mean name? m3ter would ignore it." in said
    assert "no field currensy; did you mean currency? m3ter would ignore it." in said
    assert "all the same" not in said
    assert puts(sandbox_environ) == puts_sent


def test_a_request_that_is_only_shown_carries_its_doubts_as_comments(
    shell: InteractiveShell,
    sandbox_environ: Sandbox,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    run(shell, "%m3ter GET products codes=a --show curl")

    said = capsys.readouterr().out
    assert said.startswith("# products has no filter codes; it has ids.\nprintf ")


def test_secrets_of_integrations_are_masked_in_the_difference(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%m3ter_login")
    made = run(
        shell,
        'hook = %m3ter POST integrationdestinations/webhooks --body {"name":"h","code":"h","description":"d","url":"https://example.com","credentials":{"type":"M3TER_SIGNED_REQUEST","apiKey":"k","secret":"old-s3cret"}}\nhook',
    )
    assert made["name"] == "h"
    run(
        shell,
        '%m3ter PUT integrationdestinations/webhooks/{{hook["id"]}} --set name=n credentials.type=M3TER_SIGNED_REQUEST credentials.apiKey=new-key-1 credentials.secret=new-s3cret',
    )

    out = capsys.readouterr().out
    assert "+ credentials: ••••" in out
    assert "new-s3cret" not in out
    assert "new-key-1" not in out


def test_a_conflict_in_between_is_shown_and_overwrites_nothing(
    shell: InteractiveShell,
    account: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from m3ter_nb.api import update

    session = shell.user_ns["m3ter_session"]
    read = update.read_edit

    def read_and_be_overtaken(*args: Any) -> Any:
        edit = read(*args)
        session.put(f"accounts/{account['id']}", {**account, "emailAddress": "b@example.com"})
        return edit

    monkeypatch.setattr("m3ter_nb.notebook.edit.read_edit", read_and_be_overtaken)

    with pytest.raises(VersionConflict, match="Somebody else changed"):
        run(shell, '%m3ter PUT accounts/{{account["id"]}} --set name=Mine')

    assert "What somebody else changed in between:\n" in (out := capsys.readouterr().out)
    assert '- emailAddress: "a@example.com"\n+ emailAddress: "b@example.com"\n' in out
    assert session.get(f"accounts/{account['id']}")["name"] == "Acme"


def test_production_is_asked_about_each_time_with_the_organizations_name(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    replies = ["n", "y", "", "y"]

    def ask(question: str) -> str:
        asked.append(question)
        return replies.pop(0)

    monkeypatch.setattr("m3ter_nb.notebook.front_end.can_prompt", lambda _: True)
    monkeypatch.setattr("builtins.input", ask)
    with Sandbox(organization_type="PRODUCTION") as production:
        for name, value in production.environ.items():
            monkeypatch.setenv(name, value)
        run(shell, "%m3ter_login")
        session = shell.user_ns["m3ter_session"]
        shell.user_ns["account"] = session.post(
            "accounts", {"name": "Acme", "code": "a", "emailAddress": "a@example.com"}
        )
        name = session.whoami()["organization"]["organizationName"]
        line = '%m3ter PUT accounts/{{account["id"]}} --set name='
        with pytest.raises(ConfirmationNeeded, match="Not confirmed: nothing was sent"):
            run(shell, line + "One")
        assert '- name: "Acme"\n+ name: "One"' in capsys.readouterr().out
        assert run(shell, line + "Two")["name"] == "Two"
        with pytest.raises(ConfirmationNeeded):
            run(shell, line + "Three")
        assert len(asked) == 3
        assert all(
            name in question and "writes name to the PRODUCTION organization" in question
            for question in asked
        )
        assert run(shell, line + "Four --diff") is None
        assert run(shell, line + "Four --yes")["name"] == "Four"
        run(shell, "%m3ter DELETE accounts/{{account['id']}}")
        assert name in asked[3]
        assert "DELETE accounts/" in asked[3]
        assert "for the rest of this kernel" in asked[3]


def test_a_doubt_is_said_once_a_cell_and_again_in_the_next(
    shell: InteractiveShell, sandbox_environ: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    run(shell, "%m3ter_login")
    capsys.readouterr()
    cell = (
        "for _ in range(3):\n    %m3ter GET products codes=u1\n    %m3ter GET products --limit 300 codes=u1"
    )
    run(shell, cell)
    run(shell, cell)

    assert (
        capsys.readouterr().out.count("products has no filter codes; it has ids. Sending it all the same.\n")
        == 2
    )


def test_a_query_behind_a_path_simply_works(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    assert parse_call("GET products?pageSize=2&ids=a%20b,c ids={{x}}", None, {"x": "d"}).params == {
        "pageSize": "2",
        "ids": ["a b,c", "d"],
    }
    assert parse_call("GET products/{{x}}?ids={{'a?b&c'}}&", None, {"x": "1/2"}).params == {"ids": "a?b&c"}
    run(shell, "%m3ter_login")
    for code in "abc":
        shell.user_ns["m3ter_session"].post("products", {"name": code, "code": code})
    assert len(run(shell, "%m3ter GET products?pageSize=2")["data"]) == 2


@pytest.mark.parametrize("value", ["{code}", "$code", "${code}", "a,{code}", "x,$code", "{account['code']}"])
def test_what_another_magic_would_fill_in_is_refused_in_a_query(value: str) -> None:
    assert "a value is written {{name}}" in refusal(f"GET accounts codes={value}", code="acme")


@pytest.mark.parametrize("path", ["products/$id", "products/${id}", "products/{id}"])
def test_what_another_magic_would_fill_in_is_refused_in_a_path(path: str) -> None:
    assert "a value is written {{name}}" in refusal(f"GET {path}", id="1")


def test_terms_of_a_search_may_be_joined_by_a_dollar() -> None:
    assert parse_call("GET bills/search searchQuery=name:a$status:b", None, {}).params == {
        "searchQuery": "name:a$status:b"
    }
    assert parse_call("GET accounts codes={{'{'}}x", None, {}).params == {"codes": "{x"}


def test_an_entity_that_is_not_there_is_a_404(shell: InteractiveShell, sandbox_environ: Sandbox) -> None:
    run(shell, "%m3ter_login")
    with pytest.raises(NotFound):
        run(shell, f"%m3ter PUT accounts/{ID} --set name=x")


def test_a_refused_change_is_told_to_be_shown_by_diff(
    shell: InteractiveShell, sandbox_environ: Sandbox, account: dict[str, Any]
) -> None:
    result = shell.run_cell('%m3ter PUT accounts/{{account["id"]}} --unset name')

    assert "(of --set and --unset, --diff) shows what was sent" in str(result.error_in_exec)
