"""Paging as a property: whatever happens between two pages, nothing that stayed is lost or repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_fixtures import Client

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox

#: What happens between two pages: an insert, or the deletion of one of the entities there are.
CHANGES = st.lists(st.one_of(st.just("insert"), st.integers(0, 30)), max_size=4)


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(0, 12),
    size=st.integers(1, 5),
    between=st.lists(CHANGES, max_size=8),
)
def test_what_stays_is_listed_exactly_once(
    sandbox: Sandbox, count: int, size: int, between: list[list[str | int]]
) -> None:
    sandbox.reset()
    api = Client(sandbox).log_in()
    serial = iter(range(1000))

    def insert() -> str:
        number = next(serial)
        return str(api.post("products", {"name": f"P{number}", "code": f"p{number}"}).json()["id"])

    before = [insert() for _ in range(count)]
    alive = list(before)
    listed: list[str] = []
    token = ""
    while True:
        page = api.get("products", params={"pageSize": size, "nextToken": token}).json()
        listed += [entity["id"] for entity in page["data"]]
        for change in between.pop(0) if between else ():
            if change == "insert":
                alive.append(insert())
            elif alive:
                api.delete(f"products/{alive.pop(int(change) % len(alive))}")
        token = page.get("nextToken", "")
        if not token:
            break

    stayed = [entity for entity in before if entity in alive]
    assert len(listed) == len(set(listed))
    assert [entity for entity in listed if entity in stayed] == stayed[::-1]
    assert set(listed) <= set(before)
