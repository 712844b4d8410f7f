"""The official OpenAPI document, and a client that holds every answer of the sandbox to it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [entry for entry in (str(HERE), str(HERE.parent)) if entry not in sys.path]

import surface  # noqa: E402 - found through the path just set
from answers import CheckedClient, Contract, checked  # noqa: E402 - found through the path just set

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox


def read_document() -> dict[str, Any]:
    """Return the document; skip where it is absent, but fail on a CI machine."""
    if not surface.DOCUMENT.exists():
        reason = f"the OpenAPI document is not at {surface.DOCUMENT}"
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
