"""The sandbox under load: many threads, and nothing lost."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from m3ter_nb.sandbox import Sandbox
from sandbox_fixtures import Client


@pytest.mark.parametrize(
    "each", [pytest.param(156, marks=pytest.mark.slow, id="5000 requests"), pytest.param(2, id="a few")]
)
def test_16_threads_and_their_requests_lose_nothing(each: int) -> None:
    """Half of the requests create, half read back; no answer may be a failure, and all entities must be there."""
    threads = 16
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def work(worker: int) -> list[str]:
        api = Client(sandbox)
        api.session.headers["Authorization"] = authorization
        seen: Counter[int] = Counter()
        codes = []
        for number in range(each):
            code = f"p{worker}-{number}"
            made = api.post("products", {"name": code, "code": code})
            read = api.get(f"products/{made.json()['id']}")
            seen.update((made.status_code, read.status_code))
            codes.append(read.json()["code"])
        with lock:
            statuses.update(seen)
        return codes

    with Sandbox(limits=False) as sandbox:
        reader = Client(sandbox).log_in()
        authorization = reader.session.headers["Authorization"]
        with ThreadPoolExecutor(threads) as pool:
            made = [code for codes in pool.map(work, range(threads)) for code in codes]
        listed = [entity["code"] for entity in reader.pages("products", pageSize=200)]
        requests_logged = len(sandbox.log)

    assert statuses == {200: threads * each * 2}
    assert sorted(listed) == sorted(made)
    pages = len(made) // 200 + 1
    assert requests_logged == 1 + threads * each * 2 + pages
