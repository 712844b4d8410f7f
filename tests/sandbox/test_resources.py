"""Entities: pages, versions, filters, codes and bodies, over real HTTP."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.sandbox import DEMO_ORG_ID, Sandbox
from sandbox_fixtures import Client, SettableClock

if TYPE_CHECKING:
    from pathlib import Path


def product(api: Client, code: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = api.post("products", {"name": f"Product {code}", "code": code, **fields}).json()
    return made


def account(api: Client, code: str, **fields: Any) -> dict[str, Any]:
    body = {"name": f"Account {code}", "code": code, "emailAddress": f"{code}@example.com", **fields}
    made: dict[str, Any] = api.post("accounts", body).json()
    return made


def codes(answer: dict[str, Any]) -> list[str]:
    return [entity["code"] for entity in answer["data"]]


def test_a_start_compiles_no_maker_of_urls_which_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiled(*_: object) -> None:
        pytest.fail("a maker of URLs was compiled")

    monkeypatch.setattr("werkzeug.routing.Rule._get_func_code", compiled)

    with Sandbox() as sandbox:
        assert Client(sandbox).log_in().get("products").status_code == 200


def test_a_new_entity_has_version_1_a_uuid_and_its_maker(settable_clock: SettableClock) -> None:
    with Sandbox(clock=settable_clock) as sandbox:
        made = product(Client(sandbox).log_in(), "p1")

    assert len(made.pop("id")) == 36
    assert made == {
        "version": 1,
        "name": "Product p1",
        "code": "p1",
        "dtCreated": "2023-11-14T22:13:20.000Z",
        "dtLastModified": "2023-11-14T22:13:20.000Z",
        "createdBy": "2b1f6c0e-5a4d-4b0c-9d3a-000000000001",
        "lastModifiedBy": "2b1f6c0e-5a4d-4b0c-9d3a-000000000001",
    }


def test_an_update_replaces_everything_and_keeps_the_birth(settable_clock: SettableClock) -> None:
    with Sandbox(clock=settable_clock) as sandbox:
        api = Client(sandbox).log_in()
        made = product(api, "p1", customFields={"tier": "gold"})
        settable_clock.advance(60)
        changed = api.put(f"products/{made['id']}", {"name": "New", "code": "p1", "version": 1}).json()

    assert changed == {
        **{key: value for key, value in made.items() if key != "customFields"},
        "name": "New",
        "version": 2,
        "dtLastModified": "2023-11-14T22:14:20.000Z",
    }


@pytest.mark.parametrize("version", [{}, {"version": 0}, {"version": 2}], ids=["missing", "old", "future"])
def test_an_update_with_another_version_changes_nothing(api: Client, version: dict[str, int]) -> None:
    made = product(api, "p1")
    answer = api.put(f"products/{made['id']}", {"name": "New", "code": "p1", **version})

    assert answer.status_code == 409
    assert api.get(f"products/{made['id']}").json() == made


def test_a_switch_makes_a_version_conflict_400() -> None:
    with Sandbox(conflict_status=400) as sandbox:
        api = Client(sandbox).log_in()
        made = product(api, "p1")

        assert api.put(f"products/{made['id']}", {"name": "New", "code": "p1"}).status_code == 400


def test_a_taken_code_is_refused_on_create_and_on_update(api: Client) -> None:
    product(api, "p1")
    second = product(api, "p2")
    created = api.post("products", {"name": "Again", "code": "p1"})
    updated = api.put(f"products/{second['id']}", {"name": "Again", "code": "p1", "version": 1})

    assert (created.status_code, updated.status_code) == (409, 409)
    assert created.json() == {"message": "A Product with code p1 exists already"}
    assert api.post("products", {"name": "Case", "code": "P1"}).status_code == 200


def test_delete_returns_the_entity_and_ends_it(api: Client) -> None:
    made = product(api, "p1")
    deleted = api.delete(f"products/{made['id']}")

    assert (deleted.status_code, deleted.json()) == (200, made)
    assert api.get(f"products/{made['id']}").status_code == 404
    assert api.delete(f"products/{made['id']}").json() == {"message": "Product not found"}


def test_lists_are_newest_first_and_the_last_page_has_no_next_token(api: Client) -> None:
    for number in range(5):
        product(api, f"p{number}")
    first = api.get("products", params={"pageSize": 3}).json()
    second = api.get("products", params={"pageSize": 3, "nextToken": first["nextToken"]}).json()

    assert (codes(first), codes(second)) == (["p4", "p3", "p2"], ["p1", "p0"])
    assert "nextToken" not in second


def test_a_full_last_page_has_no_next_token(api: Client) -> None:
    for number in range(3):
        product(api, f"p{number}")

    assert "nextToken" not in api.get("products", params={"pageSize": 3}).json()


@pytest.mark.parametrize(("last_page", "value"), [("null", None), ("empty", "")])
def test_the_last_next_token_can_be_null_or_empty(last_page: Any, value: str | None) -> None:
    with Sandbox(last_page=last_page) as sandbox:
        assert Client(sandbox).log_in().get("products").json() == {"data": [], "nextToken": value}


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("products", "200", 200),
        ("products", "201", 400),
        ("accounts", "100", 200),
        ("accounts", "101", 400),
        ("meters", "101", 400),
        ("products", "0", 400),
        ("products", "-1", 400),
        ("products", "ten", 400),
        ("products", "1" * 30, 400),
        ("products", "²", 400),
        ("products", "", 200),
    ],
)
def test_page_sizes_keep_to_the_documented_maximum(api: Client, path: str, size: str, status: int) -> None:
    assert api.get(path, params={"pageSize": size}).status_code == status


@pytest.mark.parametrize(
    "token", ["x", "WzFd", "W10=", "e30=", "WyJwcm9kdWN0cyIsIngiXQ==", "%%%", "\N{SNOWMAN}"]
)
def test_an_invented_next_token_is_400(api: Client, token: str) -> None:
    assert api.get("products", params={"nextToken": token}).status_code == 400


def test_a_next_token_of_another_list_is_400(api: Client) -> None:
    for number in range(2):
        product(api, f"p{number}")
    token = api.get("products", params={"pageSize": 1}).json()["nextToken"]

    assert api.get("accounts", params={"nextToken": token}).json() == {
        "message": "nextToken was not given by this list"
    }


def test_an_empty_next_token_is_the_first_page(api: Client) -> None:
    product(api, "p1")

    assert codes(api.get("products", params={"nextToken": ""}).json()) == ["p1"]


def test_ids_are_taken_joined_and_repeated(api: Client) -> None:
    ids = [product(api, f"p{number}")["id"] for number in range(4)]
    joined = api.get("products", params={"ids": f"{ids[0]},{ids[2]}"}).json()
    repeated = api.get("products", params={"ids": [ids[0], ids[2]]}).json()

    assert codes(joined) == codes(repeated) == ["p2", "p0"]


def test_codes_filter_accounts_and_meters(api: Client) -> None:
    for code in ("a", "b", "c"):
        account(api, code)

    assert codes(api.get("accounts", params={"codes": "a,c"}).json()) == ["c", "a"]
    assert codes(api.get("accounts", params={"codes": "A"}).json()) == []
    assert codes(api.get("accounts", params={"codes": ""}).json()) == ["c", "b", "a"]


def test_meters_are_filtered_by_product(api: Client) -> None:
    owner = product(api, "p1")
    fields = {"dataFields": [{"category": "WHO", "code": "who", "name": "Who"}], "derivedFields": []}
    api.post("meters", {"name": "Global", "code": "m1", **fields})
    api.post("meters", {"name": "Own", "code": "m2", "productId": owner["id"], **fields})

    assert codes(api.get("meters", params={"productId": owner["id"]}).json()) == ["m2"]


@pytest.mark.parametrize(
    ("archived", "found"), [("true", ["old"]), ("false", ["new", "live"]), ("maybe", [])]
)
def test_a_flag_is_a_filter_and_false_where_it_was_never_set(
    api: Client, archived: str, found: list[str]
) -> None:
    for code, flag in (("live", {"archived": False}), ("old", {"archived": True}), ("new", {})):
        api.post("picklists/currency", {"name": code, "code": code, **flag})

    assert codes(api.get("picklists/currency", params={"archived": archived}).json()) == found


def test_filters_hold_over_pages(api: Client) -> None:
    parent = account(api, "parent")
    for number in range(5):
        account(api, f"child{number}", parentAccountId=parent["id"])
        account(api, f"other{number}")
    children = [entity["code"] for entity in api.pages(f"accounts/{parent['id']}/children", pageSize=2)]

    assert children == ["child4", "child3", "child2", "child1", "child0"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": "P"}, "The body must contain ['code'] properties"),
        ({"name": None, "code": "p"}, "The body must contain ['name'] properties"),
        ({"name": "", "code": "p"}, "name must be longer than or equal to 1 characters"),
        ({"name": "n" * 201, "code": "p"}, "name must be shorter than or equal to 200 characters"),
        ({"name": "P", "code": "c" * 81}, "code must be shorter than or equal to 80 characters"),
        ({"name": "P", "code": " p"}, "code has a form that is not allowed"),
        ({"name": "P", "code": "a\tb"}, "code has a form that is not allowed"),
        ({"name": 1, "code": "p"}, "name must be string"),
        (
            {"name": "P", "code": "p", "customFields": {"a": True}},
            "customFields.a must be a string or a number",
        ),
        (
            {"name": "P", "code": "p", "customFields": {"a": {}}},
            "customFields.a must be a string or a number",
        ),
        (
            {"name": "P", "code": "p", "customFields": dict.fromkeys(map(str, range(101)), 1)},
            "customFields must hold at most 100 fields",
        ),
        ([], "The body must be a JSON object"),
        ("text", "The body must be a JSON object"),
        (None, "Malformed JSON: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_a_wrong_body_is_400_and_the_message_names_the_field(api: Client, body: Any, message: str) -> None:
    answer = api.post("products", body)

    assert (answer.status_code, answer.json()) == (400, {"message": message})


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b'{"name": "\xff", "code": "p"}',
        b'{"name": "P", "code": "\\ud800"}',
        b'{"name": "P", "code": "p", "customFields": {"n": NaN}}',
        b'{"name": "P", "code": "p", "customFields": {"n": 1e999}}',
        b'{"name": "P", "code": "p", "customFields": {"n": ' + b"1" * 5000 + b"}}",
        b"[" * 100_000,
    ],
    ids=["cut", "latin-1", "surrogate", "nan", "infinite", "endless", "deep"],
)
def test_what_is_no_sound_json_is_400(api: Client, text: bytes) -> None:
    answer = api.call("POST", "products", data=text)

    assert answer.status_code == 400
    assert answer.json()["message"].startswith("Malformed JSON: ")


def test_unicode_comes_back_as_it_went(api: Client) -> None:
    made = product(api, "größe 🎉", customFields={"ключ": "値"})

    assert api.get(f"products/{made['id']}").json() == made
    assert made["code"] == "größe 🎉"
    assert made["customFields"] == {"ключ": "値"}


def test_unknown_fields_are_ignored(api: Client) -> None:
    assert "colour" not in product(api, "p1", colour="red", id="mine", version=7)
    assert product(api, "p2", version=7)["version"] == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"emailAddress": "a@example.com"}, 200),
        ({"emailAddress": "nobody"}, 400),
        ({"email": "a@example.com"}, 400),
        ({"emailAddress": "a@example.com", "daysBeforeBillDue": -1}, 400),
        ({"emailAddress": "a@example.com", "address": {"postCode": "1" * 21}}, 400),
        ({"emailAddress": "a@example.com", "billEpoch": "31.01.2024"}, 400),
        ({"emailAddress": "a@example.com", "billEpoch": "2024-02-30"}, 400),
        ({"emailAddress": "a@example.com", "billEpoch": "2024-W01-1"}, 400),
        ({"emailAddress": "a@example.com", "billEpoch": "2024-02-29"}, 200),
        ({"emailAddress": "a@example.com", "daysBeforeBillDue": 1.0}, 400),
        ({"emailAddress": "a@example.com", "daysBeforeBillDue": True}, 400),
        ({"emailAddress": "a@example.com", "creditApplicationOrder": ["CASH"]}, 400),
    ],
)
def test_accounts_keep_to_the_documented_fields(api: Client, fields: dict[str, Any], status: int) -> None:
    assert api.post("accounts", {"name": "A", "code": "a", **fields}).status_code == status


WHO = {"category": "WHO", "code": "who", "name": "Who"}


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"dataFields": [WHO], "derivedFields": []}, 200),
        ({"dataFields": [WHO] * 15, "derivedFields": []}, 200),
        ({"dataFields": [WHO]}, 400),
        ({"dataFields": [WHO], "derivedFields": None}, 400),
        ({"dataFields": [], "derivedFields": []}, 400),
        ({"dataFields": [WHO] * 16, "derivedFields": []}, 400),
        ({"dataFields": [{**WHO, "code": "1st"}], "derivedFields": []}, 400),
        ({"dataFields": [{**WHO, "category": "COLOUR"}], "derivedFields": []}, 400),
        ({"dataFields": [WHO], "derivedFields": [{**WHO, "calculation": ""}]}, 400),
        ({"dataFields": [WHO], "derivedFields": [], "productId": "short"}, 400),
    ],
)
def test_meters_keep_to_the_documented_fields(api: Client, fields: dict[str, Any], status: int) -> None:
    assert api.post("meters", {"name": "M", "code": "m", **fields}).status_code == status


def test_an_unknown_path_is_404_and_a_wrong_method_405(api: Client) -> None:
    wrong = api.call("PATCH", "products")

    assert api.get("nothing").json() == {"message": "Not Found"}
    assert api.get("products/").status_code == 404
    assert (wrong.status_code, wrong.json()) == (405, {"message": "Method Not Allowed"})
    assert api.get("/").status_code == 404


def test_a_nested_collection_needs_its_parent(api: Client) -> None:
    owner = account(api, "a")
    body = {"name": "B", "code": "b", "currency": "USD", "accountId": owner["id"]}
    dates = {"startDate": "2024-01-01T00:00:00Z", "endDate": "2025-01-01T00:00:00Z"}
    balance = api.post("balances", {**body, **dates}).json()

    assert api.get(f"balances/{balance['id']}/transactions").json() == {"data": []}
    assert api.get("balances/nothing/transactions").status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["ab", "ba", "aa"]),
        ({"searchQuery": "code:aa"}, ["aa"]),
        ({"searchQuery": "name~account A"}, ["ab", "aa"]),
        ({"searchQuery": "name~Account a$currency:USD"}, ["aa"]),
        ({"searchQuery": "code:ba$currency:USD", "operator": "OR"}, ["ba", "aa"]),
        ({"searchQuery": "code>aa", "sortBy": "code", "sortOrder": "ASC"}, ["ab", "ba"]),
        ({"searchQuery": "codes:aa,ba"}, ["ba", "aa"]),
        ({"searchQuery": "code>=aa$code<=ab"}, ["ab", "aa"]),
        ({"searchQuery": "name~%"}, []),
        ({"sortBy": "code", "sortOrder": "DESC", "pageSize": "2"}, ["ba", "ab"]),
        ({"sortBy": "code", "sortOrder": "ASC", "pageSize": "2", "fromDocument": "1"}, ["ab", "ba"]),
    ],
)
def test_accounts_are_searched(api: Client, query: dict[str, str], found: list[str]) -> None:
    account(api, "aa", currency="USD")
    account(api, "ba")
    account(api, "ab")

    assert codes(api.get("accounts/search", params=query).json()) == found


def test_a_search_has_ten_entities_a_page_by_default(api: Client) -> None:
    for number in range(11):
        account(api, f"a{number}")

    assert len(api.get("accounts/search").json()["data"]) == 10


@pytest.mark.parametrize(
    "query",
    [
        {"searchQuery": "code"},
        {"searchQuery": "co'de:x"},
        {"searchQuery": "1a:x"},
        {"sortBy": "code'"},
        {"operator": "XOR"},
        {"sortOrder": "UP"},
        {"fromDocument": "-1"},
        {"pageSize": "101"},
    ],
)
def test_a_search_that_cannot_be_understood_is_400(api: Client, query: dict[str, str]) -> None:
    assert api.get("accounts/search", params=query).status_code == 400


def test_a_body_over_512000_bytes_is_403_on_every_path(api: Client) -> None:
    fits = json.dumps({"name": "P", "code": "p"}).encode().ljust(512_000)

    assert api.call("POST", "products", data=fits).status_code == 200
    for path in ("products", "measurements", "/oauth/token"):
        answer = api.call("POST", path, data=fits + b" ")
        assert (answer.status_code, answer.json()) == (403, {"message": "Forbidden"})


def test_a_data_file_outlives_the_sandbox(tmp_path: Path) -> None:
    file = tmp_path / "twin.sqlite"
    with Sandbox(data=file) as sandbox:
        made = product(Client(sandbox).log_in(), "p1")
    with Sandbox(data=file) as sandbox:
        kept = Client(sandbox).log_in().get(f"products/{made['id']}").json()

    assert kept == made


def test_without_a_file_a_new_start_is_empty() -> None:
    sandbox = Sandbox()
    with sandbox:
        product(Client(sandbox).log_in(), "p1")
    with sandbox:
        assert Client(sandbox).log_in().get("products").json() == {"data": []}


def test_the_organization_configuration_has_the_documented_defaults(api: Client) -> None:
    found = api.get("organizationconfig").json()

    assert (found["timezone"], found["yearEpoch"], found["weekEpoch"]) == ("UTC", "2022-01-01", "2022-01-04")
    assert api.get("organizationconfig").json() == found


def test_paths_in_the_log_name_the_organization(api: Client, sandbox: Sandbox) -> None:
    api.get("products", params={"pageSize": 1})

    assert sandbox.log[-1] == ("GET", f"/organizations/{DEMO_ORG_ID}/products", 200)
