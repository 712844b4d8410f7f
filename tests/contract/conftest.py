"""The official OpenAPI document, and a client that holds every answer of the sandbox to it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

import surface
from answers import CheckedClient, Contract, checked

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox


def read_document() -> dict[str, Any]:
    """Return the document; skip where it is absent, but fail on a CI machine."""
    if not surface.DOCUMENT.exists():
        reason = (
            f"m3ter's OpenAPI document is not at {surface.DOCUMENT}: save it there "
            "(https://docs.m3ter.com/api), or name its path in M3TER_OPENAPI"
        )
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found: dict[str, Any] = json.loads(surface.DOCUMENT.read_text("utf-8"))
    return found


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """Return the official OpenAPI document."""
    return read_document()


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Return what answers are held to."""
    return Contract(read_document())


@pytest.fixture
def checked_api(sandbox: Sandbox, contract: Contract) -> CheckedClient:
    """Return a logged-in client whose every answer is checked."""
    client = checked(sandbox, contract)
    client.log_in()
    return client
