"""Fixtures that run the sandbox for other tests; load with ``pytest_plugins`` or import the names in a conftest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import requests

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 30


class SettableClock:
    """A clock that moves only when a test says so: ``clock.advance(3600)``."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


@dataclass
class Client:
    """Plain ``requests`` against one sandbox, logged in, with paths below the organization."""

    sandbox: Sandbox
    key_id: str = DEMO_KEY_ID
    secret: str = field(default=DEMO_SECRET, repr=False)
    org_id: str = DEMO_ORG_ID
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def token(self) -> requests.Response:
        """Ask for a token, without keeping it."""
        return self.session.post(
            f"{self.sandbox.url}/oauth/token",
            auth=(self.key_id, self.secret),
            data={"grant_type": "client_credentials"},
            timeout=TIMEOUT,
        )

    def log_in(self) -> Client:
        """Ask for a token and send it from now on."""
        answer = self.token()
        answer.raise_for_status()
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return self

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request; a path without a leading slash is below the organization."""
        below = path if path.startswith("/") else f"/organizations/{self.org_id}/{path}"
        return self.session.request(method, self.sandbox.url + below, timeout=TIMEOUT, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Send a GET."""
        return self.call("GET", path, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        """Send a POST with a JSON body."""
        return self.call("POST", path, json=json, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        """Send a PUT with a JSON body."""
        return self.call("PUT", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        """Send a DELETE."""
        return self.call("DELETE", path, **options)

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield every item of a list."""
        while True:
            page = self.get(path, params=params).json()
            yield from page["data"]
            if not page.get("nextToken"):
                return
            params["nextToken"] = page["nextToken"]


@pytest.fixture(scope="session")
def _shared_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the whole run, without rate limits."""
    with Sandbox(limits=False) as running:
        yield running


@pytest.fixture
def sandbox(_shared_sandbox: Sandbox) -> Iterator[Sandbox]:
    """Return a running sandbox without rate limits, as new."""
    _shared_sandbox.reset()
    yield _shared_sandbox
    _shared_sandbox.reset()


@pytest.fixture
def api(sandbox: Sandbox) -> Client:
    """Return a logged-in client of ``sandbox``; the log holds its one token request."""
    return Client(sandbox).log_in()


@pytest.fixture
def settable_clock() -> SettableClock:
    """Return a clock that moves only when told."""
    return SettableClock()
