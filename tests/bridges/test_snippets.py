"""What --show prints runs as it is, in bash, sh and Python, and holds no secret."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import example, given, settings
from hypothesis import strategies as st

from m3ter_nb.bridges.snippets import curl, curl_login, python, python_login
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Sandbox
from m3ter_nb.wire.encoding import encode_body

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AWKWARD = 'O\'Brien "said" $HOME `id` \\ \n ü 計 !! {{x}} %41 @file'
SHELLS = [shell for shell in ("bash", "dash", "zsh") if shutil.which(shell)]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Return a running sandbox without rate limits."""
    with Sandbox(limits=False) as running:
        yield running


@pytest.fixture(scope="module")
def environ(sandbox: Sandbox) -> dict[str, str]:
    """Return the environment of a user who has exported key, secret and token."""
    answer = requests.post(
        f"{sandbox.url}/oauth/token",
        auth=(DEMO_KEY_ID, DEMO_SECRET),
        data={"grant_type": "client_credentials"},
        timeout=30,
    )
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "M3TER_API_KEY": DEMO_KEY_ID,
        "M3TER_API_SECRET": DEMO_SECRET,
        "M3TER_API_TOKEN": answer.json()["access_token"],
    }


def run(text: str, interpreter: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a printed text: by a shell as a script, by Python as a file."""
    command = [sys.executable, "-I", "-X", "utf8", "-"] if interpreter == "python" else [interpreter, "-s"]
    return subprocess.run(
        command,
        input=text,
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def answer_of(text: str, interpreter: str, environ: dict[str, str]) -> Any:
    """Return the decoded JSON that a printed text prints."""
    finished = run(text, interpreter, environ)
    assert finished.returncode == 0, finished.stderr
    return ast.literal_eval(finished.stdout) if interpreter == "python" else json.loads(finished.stdout)


def write(interpreter: str, *arguments: Any, **options: Any) -> str:
    """Write the text for an interpreter."""
    return (python if interpreter == "python" else curl)(*arguments, **options)


def products(sandbox: Sandbox) -> str:
    """Return the URL of the products."""
    return f"{sandbox.url}/organizations/{DEMO_ORG_ID}/products"


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", [*SHELLS, "python"])
def test_a_printed_post_creates_what_it_says(
    interpreter: str, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    body = {"name": AWKWARD, "code": f"awkward_{interpreter}", "customFields": {"it's": AWKWARD, "n": 1.5}}

    answer = answer_of(write(interpreter, "POST", products(sandbox), json=body), interpreter, environ)

    assert answer["name"] == AWKWARD
    assert answer["customFields"] == {"it's": AWKWARD, "n": 1.5}


@pytest.mark.parametrize("interpreter", [*SHELLS, "python"])
def test_a_printed_get_sends_its_query(interpreter: str, sandbox: Sandbox, environ: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {environ['M3TER_API_TOKEN']}"}
    ids = [
        requests.post(
            products(sandbox),
            json={"name": "n", "code": f"q{index}{interpreter}"},
            headers=headers,
            timeout=30,
        ).json()["id"]
        for index in range(3)
    ]

    text = write(
        interpreter, "GET", products(sandbox), params={"pageSize": "9", "ids": ids[:2], "note": "a b&c=ü"}
    )

    assert {product["id"] for product in answer_of(text, interpreter, environ)["data"]} == set(ids[:2])


@pytest.mark.slow
@pytest.mark.parametrize("interpreter", [*SHELLS, "python"])
def test_a_printed_text_runs_with_a_body_near_the_limit(
    interpreter: str, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    measurement = {
        "meter": "m",
        "account": "a",
        "ts": "2026-10-01T09:30:00.000Z",
        "what": {"text": "x'" * 60},
    }
    body: dict[str, Any] = {
        "measurements": [measurement | {"uid": f"{interpreter}{index}"} for index in range(1000)]
    }
    body["measurements"][0]["metadata"] = {f"k{index}": "y" * 200 for index in range(1200)}
    assert len(encode_body(body)) < 512_000 < len(json.dumps(body, indent=2))

    text = write(interpreter, "POST", f"{sandbox.url}/organizations/{DEMO_ORG_ID}/measurements", json=body)

    assert answer_of(text, interpreter, environ) == {"result": "accepted"}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_printed_curl_login_leads_to_the_first_call(
    shell: str, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    del (fresh := dict(environ))["M3TER_API_TOKEN"]

    me = answer_of(
        f"{curl_login(sandbox.url)}\n{curl('GET', f'{sandbox.url}/organizations/{DEMO_ORG_ID}/users/me')}",
        shell,
        fresh,
    )

    assert me["organization"]["id"] == DEMO_ORG_ID


def test_the_printed_python_login_leads_to_the_first_call(sandbox: Sandbox, environ: dict[str, str]) -> None:
    del (fresh := dict(environ))["M3TER_API_TOKEN"]
    call = python("GET", f"{sandbox.url}/organizations/{DEMO_ORG_ID}/users/me")

    finished = run(f"{python_login(sandbox.url)}\n{call}", "python", fresh)

    assert finished.stderr == ""
    received, me = finished.stdout.splitlines()
    assert received == "Bearer Token received, valid for 18000 seconds"
    assert ast.literal_eval(me)["organization"]["id"] == DEMO_ORG_ID


@pytest.mark.parametrize("interpreter", [*SHELLS, "python"])
def test_a_printed_login_prints_neither_secret_nor_token(
    interpreter: str, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    finished = run(
        (python_login if interpreter == "python" else curl_login)(sandbox.url), interpreter, environ
    )

    assert finished.returncode == 0
    assert "eyJ" not in finished.stdout + finished.stderr
    assert DEMO_SECRET not in finished.stdout + finished.stderr


@pytest.mark.parametrize("interpreter", [*SHELLS, "python"])
def test_a_printed_login_with_a_wrong_secret_fails(
    interpreter: str, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    text = (python_login if interpreter == "python" else curl_login)(sandbox.url)

    finished = run(text, interpreter, environ | {"M3TER_API_SECRET": "wrong"})

    assert finished.returncode != 0
    assert "401" in finished.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_process_list_shows_neither_secret_nor_token(
    shell: str, sandbox: Sandbox, environ: dict[str, str], tmp_path: Path
) -> None:
    for tool in ("curl", "sed", "base64", "tr"):
        recorder = tmp_path / tool
        recorder.write_text(
            f'#!/bin/sh\necho "{tool} $*" >> {tmp_path}/seen\nexec {shutil.which(tool)} "$@"\n'
        )
        recorder.chmod(0o755)
    text = f"{curl_login(sandbox.url)}\n{curl('POST', products(sandbox), json={'name': 'n', 'code': f'ps_{shell}'})}"

    answer_of(text, shell, environ | {"PATH": f"{tmp_path}:{environ['PATH']}"})

    seen = (tmp_path / "seen").read_text()
    assert seen.count("curl -") == 2
    assert DEMO_SECRET not in seen
    assert "eyJ" not in seen


def test_brackets_in_a_url_are_no_pattern_to_curl() -> None:
    assert "--globoff 'https://[::1]:8000/x'" in curl("GET", "https://[::1]:8000/x")


def test_a_url_that_has_a_query_keeps_it() -> None:
    text = curl("GET", "https://api.m3ter.com/x?a=1", params={"b": 2, "c": True})

    assert "'https://api.m3ter.com/x?a=1&b=2&c=true'" in text


def test_the_texts_name_the_variables_and_the_documented_parts() -> None:
    assert "-H 'Content-Type: application/x-www-form-urlencoded'" in curl_login("https://api.m3ter.com/")
    assert "curl -fsS -X POST https://api.m3ter.com/oauth/token" in curl_login("https://api.m3ter.com/")
    assert "-d 'grant_type=client_credentials'" in curl_login("https://api.m3ter.com")
    assert "response = requests.post(token_url, headers=headers, data=payload" in python_login(
        "https://api.m3ter.com"
    )


def test_a_short_call_reads_like_the_documentation() -> None:
    assert curl("POST", "https://api.m3ter.com/organizations/x/products", json={"name": "Acme"}) == (
        "printf 'Authorization: Bearer %s' \"$M3TER_API_TOKEN\" |\n"
        "  curl -sS -X POST https://api.m3ter.com/organizations/x/products \\\n"
        "    --max-time 60 \\\n"
        "    -H @- \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        "    -d '{\n"
        '  "name": "Acme"\n'
        "}'"
    )
    assert python(
        "GET", "https://api.m3ter.com/x", params={"pageSize": 5}, token_variable="STAGING_TOKEN"
    ) == (
        "import os\n"
        "\n"
        "import requests\n"
        "\n"
        "response = requests.get(\n"
        "    'https://api.m3ter.com/x',\n"
        "    headers={'Authorization': f\"Bearer {os.environ['STAGING_TOKEN']}\"},\n"
        "    params={'pageSize': '5'},\n"
        "    timeout=(5, 60),\n"
        ")\n"
        "response.raise_for_status()\n"
        "print(response.json())"
    )


@pytest.mark.parametrize("write", [curl, python])
@pytest.mark.parametrize("variable", ["", "A B", "$(id)", "ü", "1X"])
def test_a_variable_that_is_no_name_is_refused(write: Any, variable: str) -> None:
    with pytest.raises(InvalidArgument, match="no name of an environment variable"):
        write("GET", "https://api.m3ter.com/x", token_variable=variable)


@pytest.mark.parametrize("write", [curl, python])
@pytest.mark.parametrize("body", [{"a": {1}}, {"a": float("nan")}, {"a": "\ud800"}])
def test_a_body_that_is_not_json_is_refused(write: Any, body: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"The body (is not JSON|holds)"):
        write("POST", "https://api.m3ter.com/x", json=body)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text("ab'\" \n\\é", max_size=8), children, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.dictionaries(st.text("ab'\"", max_size=5), json_values, min_size=1, max_size=3))
def test_the_python_text_holds_the_body_as_it_is(body: dict[str, Any]) -> None:
    tree = ast.parse(python("POST", "https://api.m3ter.com/x", json=body))

    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.keywords)
    assert ast.literal_eval({keyword.arg: keyword.value for keyword in call.keywords}["json"]) == body


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.text("ab'\"", max_size=5), json_values, min_size=1, max_size=3),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30
    ).filter(str.strip),
)
@example({"": None}, "\r.")
def test_the_shell_hands_url_and_body_to_curl_as_they_are(body: dict[str, Any], value: str) -> None:
    text = curl("POST", "https://api.m3ter.com/x", params={"q": value}, json=body)

    shown = subprocess.run(
        ["bash", "-s"],
        input=f"curl() {{ printf '%s\\0' \"$@\"; }}\n{text}",
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    ).stdout.split("\0")

    assert shown[3] == requests.Request("GET", "https://api.m3ter.com/x", params={"q": value}).prepare().url
    assert json.loads(shown[shown.index("-d") + 1]) == body
