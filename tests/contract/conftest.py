"""The official OpenAPI document, and a client that holds every answer of the sandbox to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from answers import CheckedClient, Contract, checked
from openapi import read_document

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox


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
