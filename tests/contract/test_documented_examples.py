"""The cURL and Python examples of the documentation, run as printed but for host and credentials."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET

if TYPE_CHECKING:
    from answers import CheckedClient
    from m3ter_nb.sandbox import Sandbox


def fenced(document: dict[str, Any], language: str, containing: str) -> str:
    """Return the one code block of the introduction in this language that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", document["info"]["description"], re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return str(block)


def for_sandbox(code: str, sandbox: Sandbox, key_id: str = DEMO_KEY_ID, secret: str = DEMO_SECRET) -> str:
    """Replace the host and the two placeholders, each of which must be there."""
    for old, new in (
        ("https://api.m3ter.com", sandbox.url),
        ("your_access_key_id", key_id),
        ("your_api_secret", secret),
    ):
        assert old in code
        code = code.replace(old, new)
    return code


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_curl_example_gets_a_bearer_token(
    document: dict[str, Any], sandbox: Sandbox, checked_api: CheckedClient
) -> None:
    command = for_sandbox(fenced(document, "bash", "curl"), sandbox)
    answer = json.loads(run("sh", "-c", command).stdout)
    checked_api.session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 18000)
    assert checked_api.get("users/me").json()["organization"]["orgId"] == DEMO_ORG_ID


def test_the_python_example_prints_a_bearer_token(
    document: dict[str, Any], sandbox: Sandbox, checked_api: CheckedClient
) -> None:
    script = for_sandbox(fenced(document, "python", "requests.post"), sandbox)
    printed = run(sys.executable, "-c", script).stdout
    checked_api.session.headers["Authorization"] = (
        printed.strip().removeprefix("Bearer Token: ").join(("Bearer ", ""))
    )

    assert re.fullmatch(r"Bearer Token: eyJ[\w-]+\.[\w-]+\.[\w-]+\n", printed)
    assert checked_api.get("users/me").status_code == 200


def test_the_python_example_shows_a_refusal(document: dict[str, Any], sandbox: Sandbox) -> None:
    script = for_sandbox(fenced(document, "python", "requests.post"), sandbox, secret="wrong")

    assert run(sys.executable, "-c", script).stdout == (
        'Error: 401 - {"error":"invalid_request","error_description":"Invalid Credentials"}\n'
    )


def test_the_documented_token_answer_has_the_keys_of_ours(
    document: dict[str, Any], checked_api: CheckedClient
) -> None:
    documented = document["components"]["schemas"]["BearerAccessTokenResponse"]["example"]
    ours = checked_api.token().json()

    assert list(ours) == list(documented)
    assert {key: ours[key] for key in ours if key != "access_token"} == {
        key: documented[key] for key in documented if key != "access_token"
    }
