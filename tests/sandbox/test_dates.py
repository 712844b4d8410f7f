"""List filters by date, where the documentation names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sandbox_fixtures import Client

ACCOUNT = "00000000-0000-4000-8000-000000000001"


def listed(api: Client, path: str, field: str, **params: str) -> list[Any]:
    """Return a field of the entities that a filter lets through, in the order of their creation."""
    answer = api.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return [entity[field] for entity in reversed(answer.json()["data"])]


@pytest.fixture
def commitments(api: Client) -> Client:
    """Return a client of an organization with three commitments: January, January to March, March."""
    for amount, start, end in ((1, "01-01", "02-01"), (2, "01-01", "04-01"), (3, "03-01", "04-01")):
        body = {"accountId": ACCOUNT, "amount": amount, "currency": "USD"}
        made = api.post("commitments", {**body, "startDate": f"2024-{start}", "endDate": f"2024-{end}"})
        assert made.status_code == 200, made.text
    return api


@pytest.mark.parametrize(
    ("params", "amounts"),
    [
        ({}, [1, 2, 3]),
        ({"endDateStart": "2024-02-01"}, [1, 2, 3]),
        ({"endDateStart": "2024-02-02"}, [2, 3]),
        ({"endDateEnd": "2024-02-01"}, []),
        ({"endDateEnd": "2024-02-01T00:00:00.001Z"}, [1]),
        ({"endDateStart": "2024-02-01T01:00:00+02:00", "endDateEnd": "2024-04-01"}, [1]),
        ({"date": "2023-12-31"}, []),
        ({"date": "2024-01-01"}, [1, 2]),
        ({"date": "2024-02-01"}, [2]),
        ({"date": "2024-03-31"}, [2, 3]),
        ({"date": "2024-04-01"}, []),
    ],
    ids=str,
)
def test_commitments_are_filtered_by_date(
    commitments: Client, params: dict[str, str], amounts: list[int]
) -> None:
    assert listed(commitments, "commitments", "amount", **params) == amounts


def test_a_pricing_without_an_end_is_active_for_ever(api: Client) -> None:
    bands = {"pricingBands": [{"fixedPrice": 1, "lowerLimit": 0, "unitPrice": 1}]}
    for code, dates in (
        ("ended", {"startDate": "2024-01-01T00:00:00Z", "endDate": "2024-02-01T00:00:00Z"}),
        ("open", {"startDate": "2024-01-01T00:00:00Z"}),
    ):
        made = api.post("counterpricings", {**bands, **dates, "code": code, "counterId": "c"})
        assert made.status_code == 200, made.text

    assert listed(api, "counterpricings", "code", date="2024-01-31T12:00:00Z") == ["ended", "open"]
    assert listed(api, "counterpricings", "code", date="2030-01-01") == ["open"]


def test_the_end_of_a_balance_is_that_of_its_rollover_where_an_amount_rolls_over(api: Client) -> None:
    dates = {"startDate": "2024-01-01T00:00:00Z", "endDate": "2024-02-01T00:00:00Z"}
    later = {"rolloverEndDate": "2024-06-01T00:00:00Z"}
    for code, rollover in (("plain", {}), ("unused", later), ("rolls", {**later, "rolloverAmount": 5})):
        body = {"accountId": ACCOUNT, "code": code, "name": code, "currency": "USD", **dates, **rollover}
        assert api.post("balances", body).status_code == 200

    assert listed(api, "balances", "code", endDateStart="2024-05-01") == ["rolls"]
    assert listed(api, "balances", "code", endDateEnd="2024-05-01") == ["plain", "unused"]


def test_counter_adjustments_are_filtered_by_their_date_and_have_no_end(api: Client) -> None:
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        api.post("counteradjustments", {"accountId": ACCOUNT, "counterId": "c", "date": day, "value": 1})

    assert listed(api, "counteradjustments", "date", dateStart="2024-01-02") == ["2024-01-02", "2024-01-03"]
    assert listed(api, "counteradjustments", "date", dateEnd="2024-01-02") == ["2024-01-01"]
    assert listed(api, "counteradjustments", "date", date="2024-01-02") == ["2024-01-02"]
    assert len(listed(api, "counteradjustments", "date", endDateStart="2030-01-01")) == 3


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bills", "billDateStart"),
        ("bills", "externalInvoiceDateEnd"),
        ("dataexports/jobs", "dateCreatedStart"),
    ],
)
@pytest.mark.parametrize("text", ["yesterday", "2024-02-30", "2024-01-01T00:00:00", "1", "' OR 1=1 --"])
def test_what_is_no_date_is_400(api: Client, path: str, name: str, text: str) -> None:
    answer = api.get(path, params={name: text})

    assert (answer.status_code, answer.json()["message"].partition(" must")[0]) == (400, name)
    assert api.get(path, params={name: "2024-01-31"}).json() == {"data": []}
