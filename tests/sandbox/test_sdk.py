"""The official SDK (``m3ter`` on PyPI) through the sandbox, unchanged but for the base URL."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET, Sandbox
from sandbox_fixtures import Client

m3ter = pytest.importorskip("m3ter", reason="the official SDK is in the extra 'sdk'")

if TYPE_CHECKING:
    from m3ter import M3ter

METER = {
    "name": "Requests",
    "code": "requests",
    "data_fields": [{"category": "MEASURE", "code": "n", "name": "N", "unit": "1"}],
    "derived_fields": [],
}


def official(sandbox: Sandbox, key: str = DEMO_KEY_ID, secret: str = DEMO_SECRET, **options: object) -> M3ter:
    client: M3ter = m3ter.M3ter(
        api_key=key,
        api_secret=secret,
        org_id=DEMO_ORG_ID,
        base_url=sandbox.url,
        **{"max_retries": 0, **options},
    )
    return client


@pytest.fixture
def sdk(sandbox: Sandbox) -> M3ter:
    """Return the official client of ``sandbox``, without retries."""
    return official(sandbox)


def test_create_retrieve_update_delete(sdk: M3ter) -> None:
    made = sdk.products.create(name="P", code="p", custom_fields={"tier": "gold"})
    changed = sdk.products.update(made.id, name="New", code="p", version=made.version)
    deleted = sdk.products.delete(made.id)

    assert (made.version, made.custom_fields) == (1, {"tier": "gold"})
    assert (changed.id, changed.name, changed.version, changed.custom_fields) == (made.id, "New", 2, None)
    assert deleted.to_dict() == changed.to_dict()
    with pytest.raises(m3ter.NotFoundError):
        sdk.products.retrieve(made.id)


def test_a_list_pages_by_itself(sdk: M3ter, sandbox: Sandbox) -> None:
    for number in range(7):
        sdk.products.create(name=f"P{number}", code=f"p{number}")
    sandbox.reset()
    for number in range(7):
        sdk.products.create(name=f"P{number}", code=f"p{number}")

    assert [product.code for product in sdk.products.list(page_size=3)] == [
        f"p{number}" for number in range(6, -1, -1)
    ]
    lists = Counter(record.method for record in sandbox.log if record.path.endswith("/products"))
    assert lists == {"POST": 7, "GET": 3}


def test_a_stale_update_is_a_conflict(sdk: M3ter) -> None:
    made = sdk.products.create(name="P", code="p")
    sdk.products.update(made.id, name="First", code="p", version=1)

    with pytest.raises(m3ter.ConflictError, match="version 2"):
        sdk.products.update(made.id, name="Second", code="p", version=1)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (502, "InternalServerError"),
    ],
)
def test_every_status_is_the_sdks_class(sdk: M3ter, sandbox: Sandbox, status: int, name: str) -> None:
    sandbox.faults.fail(status, path="/products")

    with pytest.raises(getattr(m3ter, name)):
        sdk.products.list()


def test_a_dropped_connection_is_the_sdks_connection_error(sdk: M3ter, sandbox: Sandbox) -> None:
    sandbox.faults.drop(path="/products")

    with pytest.raises(m3ter.APIConnectionError):
        sdk.products.list()


def test_the_sdk_retries_a_rate_limit_as_told(sandbox: Sandbox) -> None:
    sandbox.faults.fail(429, path="/products", retry_after=0.01)

    assert list(official(sandbox, max_retries=1).products.list()) == []


def test_wrong_credentials_are_an_authentication_error(sandbox: Sandbox) -> None:
    with pytest.raises(m3ter.AuthenticationError, match="Invalid Credentials"):
        official(sandbox, secret="wrong").products.list()


def test_an_expired_token_is_permission_denied(sandbox: Sandbox) -> None:
    token = Client(sandbox).token().json()["access_token"]
    sandbox.faults.expire_tokens()

    with pytest.raises(m3ter.PermissionDeniedError, match="Unauthorized"):
        official(sandbox, token=token).products.list()


def test_the_narrow_user_is_denied(sandbox: Sandbox) -> None:
    with pytest.raises(m3ter.PermissionDeniedError, match="CONFIG_RETRIEVE"):
        official(sandbox, NARROW_KEY_ID, NARROW_SECRET).products.list()


def test_users_me(sdk: M3ter) -> None:
    me = sdk.users.me()

    assert me.service_user is not None
    assert me.service_user.name == "Sandbox administrator"
    assert me.organization is not None
    assert (me.organization.org_id, me.organization.type) == (DEMO_ORG_ID, "SANDBOX")
    assert me.user is None


def test_codes_and_ids_as_the_sdk_sends_them(sdk: M3ter) -> None:
    made = [
        sdk.accounts.create(name=code, code=code, email_address=f"{code}@example.com")
        for code in ("a", "b", "c")
    ]

    assert [one.code for one in sdk.accounts.list(codes=["a", "c"])] == ["c", "a"]
    assert [one.code for one in sdk.accounts.list(ids=[made[0].id, made[1].id])] == ["b", "a"]


def test_usage_is_submitted_and_queried(sdk: M3ter) -> None:
    meter = sdk.meters.create(**METER)  # type: ignore[arg-type]  # a plain dict
    answer = sdk.usage.submit(
        measurements=[
            {
                "uid": f"u{number}",
                "meter": "requests",
                "account": "acme",
                "ts": "2024-01-31T12:00:00Z",
                "measure": {"n": 2},
            }
            for number in range(3)
        ]
    )
    found = sdk.usage.query(
        start_date="2024-01-01T00:00:00Z",
        end_date="2025-01-01T00:00:00Z",
        aggregations=[{"meterId": meter.id, "fieldCode": "n", "fieldType": "MEASURE", "function": "SUM"}],  # type: ignore[typeddict-item]  # the names of the API
    )

    assert answer.result == "accepted"
    assert found.data == [{"requests.n.SUM": 6}]
    assert [account.code for account in sdk.accounts.list()] == ["acme"]


def test_ingest_failures_are_events(sdk: M3ter) -> None:
    sdk.usage.submit(
        measurements=[{"uid": "u", "meter": "none", "account": "acme", "ts": "2024-01-31T12:00:00Z"}]
    )
    (event,) = sdk.events.list(event_name="ingest.validation.failure")
    file = str(event.m3ter_event["getDownloadUrl"]).partition("?file=")[2]

    assert event.event_name == "ingest.validation.failure"
    assert sdk.usage.get_failed_ingest_download_url(file=file).url.startswith("http://127.0.0.1:")  # type: ignore[union-attr]  # it has one


@pytest.mark.parametrize(
    "name",
    ["plans", "plan_templates", "aggregations", "contracts", "bills", "permission_policies", "counters"],
)
def test_every_other_list_is_empty_and_no_error(sdk: M3ter, name: str) -> None:
    assert list(getattr(sdk, name).list()) == []
