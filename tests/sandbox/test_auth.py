"""The token endpoint and what a bearer token opens, over real HTTP."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET, Sandbox
from sandbox_fixtures import Client, SettableClock

if TYPE_CHECKING:
    from collections.abc import Iterator

INVALID = {"error": "invalid_request", "error_description": "Invalid Credentials"}
GRANT = {"grant_type": "client_credentials"}


def token_request(sandbox: Sandbox, **options: Any) -> requests.Response:
    return requests.post(f"{sandbox.url}/oauth/token", timeout=30, **options)


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


@pytest.fixture
def timed(settable_clock: SettableClock) -> Iterator[Sandbox]:
    """Return a sandbox whose tokens live for 60 seconds of a clock that stands still."""
    with Sandbox(token_lifetime=60, clock=settable_clock) as running:
        yield running


@pytest.mark.parametrize("form", [{"data": GRANT}, {"json": GRANT}], ids=["form", "json"])
def test_both_documented_bodies_get_a_token(sandbox: Sandbox, form: dict[str, Any]) -> None:
    answer = token_request(sandbox, auth=(DEMO_KEY_ID, DEMO_SECRET), **form)

    assert answer.status_code == 200
    assert answer.json() == {
        "token_type": "Bearer",
        "access_token": answer.json()["access_token"],
        "expires_in": 18000,
        "scope": None,
    }


def test_the_token_has_the_documented_header_and_claims(timed: Sandbox) -> None:
    token = token_request(timed, auth=(NARROW_KEY_ID, NARROW_SECRET), data=GRANT).json()["access_token"]
    header, payload, _ = token.split(".")

    assert decoded(header) == {
        "typ": "JWT",
        "pt": "service",
        "alg": "RS256",
        "kid": f"serviceUser_{DEMO_ORG_ID}",
    }
    assert decoded(payload) == {
        "sub": "2b1f6c0e-5a4d-4b0c-9d3a-000000000002",
        "permissions": {"MEASUREMENTS#MEASUREMENTS_UPLOAD#ITEM#*": True},
        "iss": "https://m3ter.com/oauth2",
        "exp": 1700000060,
        "iat": 1700000000,
        "orgId": DEMO_ORG_ID,
    }


def test_the_token_is_signed_with_the_sandboxs_key(sandbox: Sandbox) -> None:
    token = token_request(sandbox, auth=(DEMO_KEY_ID, DEMO_SECRET), data=GRANT).json()["access_token"]
    # The documented kid names the service user, not the key; joserfc wants a key set to match it.
    current = {**sandbox.keys.public_keys()[0], "kid": f"serviceUser_{DEMO_ORG_ID}"}

    verified = jwt.decode(
        token, KeySet.import_key_set({"keys": [current]}), registry=JWSRegistry(strict_check_header=False)
    )

    assert verified.claims["orgId"] == DEMO_ORG_ID


@pytest.mark.parametrize(
    "options",
    [
        {"auth": (DEMO_KEY_ID, "wrong")},
        {"auth": ("wrong", DEMO_SECRET)},
        {"auth": ("wrong", "")},
        {"auth": (DEMO_SECRET, DEMO_KEY_ID)},
        {},
        {"headers": {"Authorization": "Basic !!!"}},
        {"headers": {"Authorization": "Basic \xff\xff"}},
        {"headers": {"Authorization": "Bearer abc"}},
        {"data": {**GRANT, "client_id": DEMO_KEY_ID, "client_secret": DEMO_SECRET}},
    ],
    ids=["secret", "key", "empty", "swapped", "none", "garbled", "no-ascii", "bearer", "in-the-body"],
)
def test_wrong_credentials_are_refused_with_401(sandbox: Sandbox, options: dict[str, Any]) -> None:
    answer = token_request(sandbox, **{"data": GRANT, **options})

    assert (answer.status_code, answer.json()) == (401, INVALID)


@pytest.mark.parametrize(
    "options",
    [{"data": {}}, {"data": {"grant_type": "password"}}, {"json": {}}, {"json": [1]}, {"data": b"{"}],
    ids=["none", "other", "empty-json", "json-list", "no-form"],
)
def test_another_grant_is_refused_with_400(sandbox: Sandbox, options: dict[str, Any]) -> None:
    answer = token_request(sandbox, auth=(DEMO_KEY_ID, DEMO_SECRET), **options)

    assert answer.status_code == 400
    assert answer.json()["error_description"] == "grant_type must be client_credentials"


def test_users_me_names_the_service_user_and_the_organization(api: Client) -> None:
    me = api.get("users/me").json()

    assert me["serviceUser"]["name"] == "Sandbox administrator"
    assert me["organization"]["orgId"] == DEMO_ORG_ID
    assert me["organization"]["type"] == "SANDBOX"


def test_users_me_can_say_production() -> None:
    with Sandbox(organization_type="PRODUCTION") as sandbox:
        assert Client(sandbox).log_in().get("users/me").json()["organization"]["type"] == "PRODUCTION"


def test_a_token_ends_with_its_lifetime(timed: Sandbox, settable_clock: SettableClock) -> None:
    client = Client(timed).log_in()
    settable_clock.advance(59)
    before = client.get("products").status_code
    settable_clock.advance(1)
    after = client.get("products")

    assert before == 200
    assert (after.status_code, after.json()) == (403, {"message": "Unauthorized"})


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer abc.def.ghi", "Basic YTpi"])
def test_no_or_a_garbled_bearer_is_403(sandbox: Sandbox, header: str | None) -> None:
    client = Client(sandbox)
    if header is not None:
        client.session.headers["Authorization"] = header

    assert client.get("products").status_code == 403


def test_only_a_token_that_has_ended_is_called_invalid(timed: Sandbox, settable_clock: SettableClock) -> None:
    """By its time or by expire_tokens; what was never a token, or lacks a permission, is a plain 403."""
    by_time, by_hand, narrow = (
        Client(timed).log_in(),
        Client(timed),
        Client(timed, NARROW_KEY_ID, NARROW_SECRET),
    )
    settable_clock.advance(60)
    by_hand.log_in()
    timed.faults.expire_tokens()
    narrow.log_in()
    garbled = Client(timed)
    garbled.session.headers["Authorization"] = "Bearer abc.def.ghi"
    answers = [client.get("products") for client in (by_time, by_hand, narrow, garbled, Client(timed))]

    assert [answer.status_code for answer in answers] == [403] * 5
    assert [answer.headers.get("WWW-Authenticate") for answer in answers] == [
        'Bearer error="invalid_token"',
        'Bearer error="invalid_token"',
        None,
        None,
        None,
    ]


def test_a_token_changed_by_one_character_is_403(api: Client) -> None:
    scheme_and_token = str(api.session.headers["Authorization"])
    api.session.headers["Authorization"] = scheme_and_token[:-1] + (
        "A" if scheme_and_token[-1] != "A" else "B"
    )

    assert api.get("products").status_code == 403


def test_a_foreign_organization_is_403(api: Client) -> None:
    api.org_id = "00000000-0000-4000-8000-000000000000"

    assert (api.get("meters").status_code, api.get("meters").json()) == (403, {"message": "Forbidden"})


def test_the_narrow_user_may_not_read(sandbox: Sandbox) -> None:
    client = Client(sandbox, NARROW_KEY_ID, NARROW_SECRET).log_in()

    assert client.get("products").json() == {
        "message": "Forbidden: the permission CONFIG:CONFIG_RETRIEVE is missing"
    }
    assert client.get("users/me").status_code == 403


def test_expire_tokens_ends_every_token_and_the_next_one_differs(api: Client, sandbox: Sandbox) -> None:
    old = api.session.headers["Authorization"]
    sandbox.faults.expire_tokens()

    assert api.get("products").status_code == 403
    assert api.log_in().session.headers["Authorization"] != old
    assert api.get("products").status_code == 200


def test_a_rotated_key_works_and_the_old_one_does_not(api: Client, sandbox: Sandbox) -> None:
    fresh = sandbox.keys.create_key(DEMO_KEY_ID)
    sandbox.keys.deactivate_key(DEMO_KEY_ID)

    assert api.token().status_code == 401
    assert Client(sandbox, fresh.key_id, fresh.secret).token().status_code == 200
    assert api.get("products").status_code == 200  # a token of the old key lives on


def test_a_refused_key_is_accepted_again_after_clear(api: Client, sandbox: Sandbox) -> None:
    sandbox.faults.refuse_key(DEMO_KEY_ID)
    refused = api.token().status_code
    sandbox.faults.clear()

    assert (refused, api.token().status_code) == (401, 200)


def test_a_new_service_user_has_the_permissions_it_was_given(sandbox: Sandbox) -> None:
    key = sandbox.keys.add_service_user("Reader", {"CONFIG#CONFIG_RETRIEVE#ITEM#*": True})
    client = Client(sandbox, key.key_id, key.secret).log_in()

    assert client.get("products").status_code == 200
    assert client.post("products", json={"name": "P", "code": "p"}).status_code == 403


def test_a_keys_text_form_hides_its_secret(sandbox: Sandbox) -> None:
    key = sandbox.keys.create_key()

    assert key.secret not in repr(key)


def test_every_answer_says_that_it_is_the_sandbox(sandbox: Sandbox) -> None:
    answers = [
        token_request(sandbox),
        Client(sandbox).get("products"),
        requests.get(f"{sandbox.url}/", timeout=30),
    ]

    assert [answer.headers["X-M3ter-Sandbox"] for answer in answers] == ["m3ter_nb"] * 3
    assert {answer.headers["Server"] for answer in answers} == {"m3ter_nb-sandbox"}
