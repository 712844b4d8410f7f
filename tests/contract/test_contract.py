"""Every operation of the sandbox, successes and errors, against the official OpenAPI document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from answers import CheckedClient, Contract, checked
from bodies import example
from m3ter_nb.sandbox import NARROW_KEY_ID, NARROW_SECRET, Sandbox
from m3ter_nb.sandbox.surface import Collection, load

if TYPE_CHECKING:
    from pathlib import Path

TABLE = load()
NOWHERE = "00000000-0000-4000-8000-000000000000"
PLAYED_BY_HAND = ("GetMe", "SubmitMeasurements", "PostUsageDataQuery", "GetValidationErrorDownloadUrl")

collections = pytest.mark.parametrize("collection", TABLE.collections.values(), ids=TABLE.collections)
writable = pytest.mark.parametrize(
    "collection",
    [entry for entry in TABLE.collections.values() if "create" in entry.operations],
    ids=lambda entry: entry.path,
)


def placed(api: CheckedClient, collection: Collection) -> str:
    """Return the path of a collection, below entities that exist (or cannot exist, where nobody can create them)."""
    if collection.parent is None:
        return collection.path.replace("{type}", "accounts")
    above, _, _ = collection.parent.rpartition("/")
    parent = TABLE.collections[above]
    if "create" not in parent.operations:
        return re.sub(r"\{\w+\}", NOWHERE, collection.path)
    at = placed(api, parent)
    made = api.post(at, body_of(parent)).json()
    return collection.path.replace(f"{collection.parent}", f"{at}/{made['id']}")


def body_of(collection: Collection) -> dict[str, Any]:
    assert collection.body is not None
    body: dict[str, Any] = example(dict(collection.body.schema))
    return body


@writable
def test_an_entity_lives_from_create_to_delete(checked_api: CheckedClient, collection: Collection) -> None:
    at = placed(checked_api, collection)
    if NOWHERE in at:
        assert checked_api.post(at, body_of(collection)).status_code == 404
        return
    body = body_of(collection)
    created = checked_api.post(at, body)
    entity = created.json()

    assert created.status_code == 200, created.text
    shown = {name: value for name, value in body.items() if name not in collection.write_only}
    assert {name: entity[name] for name in shown} == shown
    assert entity["version"] == 1
    assert checked_api.get(at).json()["data"] == [entity]
    if "retrieve" in collection.operations:
        assert checked_api.get(f"{at}/{entity['id']}").json() == entity
    if "update" in collection.operations:
        changed = checked_api.put(f"{at}/{entity['id']}", {**body, "version": 1})
        assert (changed.status_code, changed.json()["version"]) == (200, 2)
        assert checked_api.put(f"{at}/{entity['id']}", {**body, "version": 1}).status_code == 409
        entity = changed.json()
    if "delete" in collection.operations:
        assert checked_api.delete(f"{at}/{entity['id']}").json() == entity
        assert checked_api.get(at).json()["data"] == []


@collections
def test_a_list_is_a_page_and_an_unknown_id_is_404(
    checked_api: CheckedClient, collection: Collection
) -> None:
    at = placed(checked_api, collection)
    answer = checked_api.get(at)
    singles = [
        checked_api.call(method, f"{at}/{NOWHERE}", json={})
        for method, name in (("GET", "retrieve"), ("DELETE", "delete"))
        if name in collection.operations
    ]

    assert answer.status_code == (404 if NOWHERE in at else 200)
    assert {single.status_code for single in singles} <= {404}


@writable
def test_a_body_without_its_required_fields_is_400(
    checked_api: CheckedClient, collection: Collection
) -> None:
    assert collection.body is not None
    at = placed(checked_api, collection)
    answer = checked_api.post(at, {})

    assert answer.status_code == (
        400 if collection.body.required or "oneOf" in collection.body.schema else 200
    )
    assert checked_api.post(at, [1]).status_code == 400
    assert checked_api.call("POST", at, data=b"{").json()["message"].startswith("Malformed JSON")


@pytest.mark.parametrize("path", TABLE.views)
def test_a_view_is_a_page(checked_api: CheckedClient, path: str) -> None:
    account = checked_api.post("accounts", {"name": "A", "code": "a", "emailAddress": "a@example.com"}).json()
    at = path.replace("accounts/{id}", f"accounts/{account['id']}")
    answer = checked_api.get(re.sub(r"\{\w+\}", "something", at))

    assert answer.status_code == 200
    assert answer.json()["data"] == ([account] if path == "accounts/search" else [])


@pytest.mark.parametrize("path", TABLE.singletons)
def test_a_singleton_is_read_and_replaced(checked_api: CheckedClient, path: str) -> None:
    body = TABLE.singletons[path].body
    before = checked_api.get(path).json()
    after = checked_api.put(path, {**example(dict(body.schema)), "version": before["version"]})

    assert (after.status_code, after.json()["version"]) == (200, 2)
    assert checked_api.get(path).json() == after.json()
    assert checked_api.put(path, {**example(dict(body.schema)), "version": 1}).status_code == 409


@pytest.mark.parametrize(
    "operation", [key for key, name in TABLE.others.items() if name not in PLAYED_BY_HAND]
)
def test_what_the_sandbox_does_not_play_says_so(checked_api: CheckedClient, operation: str) -> None:
    method, path = operation.split(" ")
    answer = checked_api.call(method, re.sub(r"\{\w+\}", NOWHERE, path))

    assert answer.status_code == 501
    assert TABLE.others[operation] in answer.json()["message"]


def test_who_am_i(checked_api: CheckedClient) -> None:
    assert checked_api.get("users/me").status_code == 200


def test_measurements_events_and_usage(checked_api: CheckedClient) -> None:
    meter = checked_api.post("meters", example(dict(TABLE.collections["meters"].body.schema))).json()  # type: ignore[union-attr]  # meters have a body
    measurement = {
        "uid": "u1",
        "meter": meter["code"],
        "account": "acme",
        "ts": "2024-01-31T12:00:00Z",
        "who": {"code1": "ada"},
    }
    accepted = checked_api.post("measurements", {"measurements": [measurement, measurement]})
    event = checked_api.get("events", params={"eventName": "ingest.validation.failure"}).json()["data"][0]
    period = {"startDate": "2024-01-01T00:00:00Z", "endDate": "2024-02-01T00:00:00Z"}
    usage = checked_api.post("usage/query", period).json()

    assert accepted.json() == {"result": "accepted"}
    assert checked_api.get(f"events/{event['id']}").json() == event
    assert len(usage["data"]) == 1
    file = event["m3terEvent"]["getDownloadUrl"].partition("?file=")[2]
    url = checked_api.get("measurements/failedIngest/getDownloadUrl", params={"file": file}).json()["url"]
    assert requests.get(url, timeout=30).json()[0]["failureType"] == "DuplicateUid"
    assert checked_api.post("measurements", {"measurements": []}).status_code == 400
    assert checked_api.post("usage/query", {}).status_code == 400


@pytest.mark.parametrize("status", [400, 403, 404, 413, 429, 500])
def test_an_error_on_demand_has_the_documented_shape(
    checked_api: CheckedClient, sandbox: Sandbox, status: int
) -> None:
    sandbox.faults.fail(status)

    assert checked_api.get("products").status_code == status


def test_the_errors_of_authorization_have_the_documented_shapes(sandbox: Sandbox, contract: Contract) -> None:
    wrong = checked(sandbox, contract, secret="wrong")
    narrow = checked(sandbox, contract, key_id=NARROW_KEY_ID, secret=NARROW_SECRET)
    narrow.log_in()

    assert wrong.token().status_code == 401
    assert wrong.get("products").status_code == 403
    assert narrow.get("products").status_code == 403
    assert narrow.get("no/such/path").status_code == 403
    narrow.org_id = NOWHERE
    assert narrow.get("products").status_code == 403


def test_rate_limits_answer_with_the_documented_shape(contract: Contract) -> None:
    with Sandbox(clock=lambda: 1_700_000_000.0) as limited:
        client = checked(limited, contract)
        client.log_in()
        statuses = [client.get("products").status_code for _ in range(51)]

    assert statuses == [200] * 50 + [429]


@pytest.mark.slow
def test_the_document_is_not_needed_at_run_time(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = "from m3ter_nb.sandbox import Sandbox\nwith Sandbox() as s: print(s.url)"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert ran.stdout.startswith("http://127.0.0.1:")
