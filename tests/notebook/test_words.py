"""Tab: what can stand next, from IPython's real completer and from a kernel, without a network."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.completer import provisionalcompleter

from m3ter_nb.api import facts
from m3ter_nb.api.facts import METHODS, resources
from m3ter_nb.notebook.call_line import parse_call
from m3ter_nb.notebook.words import completions, docs_completions

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import Sandbox

ID = "81c49a54-dfcd-4da5-bbf3-d2885ec025dd"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ["GET", "POST", "PUT", "DELETE"]),
        ("%m3ter p", ["POST", "PUT"]),
        ("%%m3ter ", ["GET", "POST", "PUT", "DELETE"]),
        ("products = %m3ter D", ["DELETE"]),
        ("GET prod", ["products"]),
        ("GET Pic", [path for path in resources("GET") if path.startswith("picklists/")]),
        ("PUT prod", ["products/"]),
        ("DELETE organizationconfig", []),
        ("POST events", []),
        ("GET bills/", ["bills/accountid/", "bills/billingperiod/", "bills/latest/", "bills/search"]),
        (
            f"GET bills/{ID}/",
            [
                f"bills/{ID}/{piece}"
                for piece in (
                    "creditlineitems",
                    "debitlineitems",
                    "lineitems",
                    "statement/csv",
                    "statement/json",
                )
            ],
        ),
        (
            f"PUT bills/{ID}/",
            [f"bills/{ID}/{piece}" for piece in ("creditlineitems/", "debitlineitems/", "lock", "status")],
        ),
        (f"GET bills/{ID}/li", [f"bills/{ID}/lineitems"]),
        ("GET products ", ["ids=", "nextToken=", "pageSize=", "--all", "--limit", "--name", "--show"]),
        ("GET products pa", ["pageSize="]),
        ("GET products pageSize=1 ", ["ids=", "nextToken=", "--all", "--limit", "--name", "--show"]),
        ("GET bills acc", ["accountId="]),
        ("GET bills status=", ["status=PENDING", "status=APPROVED"]),
        ("GET bills status=a", ["status=APPROVED"]),
        ("GET bills locked=", ["locked=true", "locked=false"]),
        ("GET products --a", ["--all"]),
        ("GET products --all -", ["--limit", "--name", "--show"]),
        ("GET products --show ", ["curl", "python"]),
        ("GET products --show p", ["python"]),
        ("GET products --limit ", []),
        ("GET products --name ", ["m3ter", "staging"]),
        ("GET products pageSize=1", []),
        (
            f"PUT products/{ID} --set ",
            ["code=", "customFields=", "name=", "--body", "--diff", "--name", "--show", "--unset", "--yes"],
        ),
        (f"PUT products/{ID} --set name=x --unset c", ["code", "customFields"]),
        (f"PUT accounts/{ID} --set address.co", ["address.country="]),
        (f"PUT bills/{ID}/status --set status=", ["status=PENDING", "status=APPROVED"]),
        (f"PUT accounts/{ID} --set autoGenerateStatementMode=N", ["autoGenerateStatementMode=NONE"]),
        ("help G", ["GET"]),
        ("help GET prod", ["products", "products/"][:1]),
    ],
)
def test_tab_offers_what_can_stand_there(line: str, expected: list[str]) -> None:
    assert completions(line, logins=["m3ter", "staging"]) == expected


def test_tab_looks_no_further_than_the_cursor() -> None:
    assert completions("%m3ter GE products", 9) == ["GET"]


def test_a_path_is_offered_only_where_it_has_the_method() -> None:
    for method in METHODS:
        for path in completions(f"{method} "):
            whole = (
                path
                if not path.endswith("/")
                else next(
                    o.path for o in facts.operations() if o.method == method and o.path.startswith(path)
                )
            )
            assert facts.find(method, whole) is not None, (method, path)


def test_every_completed_word_is_accepted() -> None:
    for method in METHODS:
        for resource in completions(f"{method} "):
            assert parse_call(f"{method} {resource}", None, {}).path == resource
    for filled in completions("GET bills status="):
        assert parse_call(f"GET bills {filled}", None, {}).params == {"status": filled.partition("=")[2]}


def test_docs_completes_methods_resources_and_paths() -> None:
    assert docs_completions("p")[:2] == ["POST", "PUT"]
    assert "products" in docs_completions("prod")
    assert docs_completions("POST prod") == ["products"]


def offered(shell: InteractiveShell, line: str) -> list[str]:
    """Return the lines that IPython's own completer makes of a line."""
    with provisionalcompleter():
        found = list(shell.Completer.completions(line, len(line)))
    return [line[: c.start] + c.text for c in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%m3ter GET prod", ["%m3ter GET products"]),
        ("%m3ter GET bills acc", ["%m3ter GET bills accountId="]),
        ("%m3ter GET bills status=PEN", ["%m3ter GET bills status=PENDING"]),
        (
            "x = %m3ter GET bills status=",
            ["x = %m3ter GET bills status=PENDING", "x = %m3ter GET bills status=APPROVED"],
        ),
        (f"%m3ter GET bills/{ID}/li", [f"%m3ter GET bills/{ID}/lineitems"]),
        ("%m3ter PUT accounts/x --set address.cou", ["%m3ter PUT accounts/x --set address.country="]),
        ("%m3ter_docs POST prod", ["%m3ter_docs POST products"]),
        ("%m3ter_sandbox sta", ["%m3ter_sandbox start", "%m3ter_sandbox status"]),
    ],
)
def test_ipythons_completer_offers_it(shell: InteractiveShell, line: str, expected: list[str]) -> None:
    assert sorted(offered(shell, line)) == sorted(expected)


def test_login_names_are_offered_by_every_magic(
    shell: InteractiveShell, sandbox_environ: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.run_cell("%m3ter_login\n%m3ter_login --name staging").raise_error()

    def refuse(*_: Any) -> None:
        raise AssertionError("Tab went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert offered(shell, "%m3ter GET products --name st") == ["%m3ter GET products --name staging"]
    assert offered(shell, "%m3ter_status --name ") == [
        "%m3ter_status --name m3ter",
        "%m3ter_status --name staging",
    ]
    assert offered(shell, "%m3ter GET bills acc") == ["%m3ter GET bills accountId="]


@pytest.mark.slow
def test_a_kernel_completes_filters() -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel()
    try:
        client.execute_interactive("%load_ext m3ter_nb", timeout=30)
        client.complete("%m3ter GET bills acc")
        reply = client.get_shell_msg(timeout=30)
        while reply["msg_type"] != "complete_reply":
            reply = client.get_shell_msg(timeout=30)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

    content = reply["content"]
    assert content["matches"] == ["accountId="]
    assert "%m3ter GET bills acc"[: content["cursor_start"]] == "%m3ter GET bills "


@pytest.mark.slow
def test_the_first_completion_loads_the_table_of_the_api_and_nothing_else() -> None:
    code = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
        "s.run_line_magic('load_ext', 'm3ter_nb'); s.complete('', '%time pr', 8); before = set(sys.modules); "
        "s.complete('', '%m3ter GET bills acc', 20); print(*sorted(set(sys.modules) - before))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.split() == ["m3ter_nb.api", "m3ter_nb.api.facts", "m3ter_nb.notebook.words"]
