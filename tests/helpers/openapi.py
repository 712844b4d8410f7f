"""m3ter's official OpenAPI document, which is not ours to carry: read where it lies, or say how to get it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from surface import DOCUMENT

__all__ = ["read_document"]


def read_document() -> dict[str, Any]:
    """Return the document; skip the test where it is absent."""
    if not DOCUMENT.exists():
        pytest.skip(
            f"m3ter's OpenAPI document is not at {DOCUMENT}: save it there (https://docs.m3ter.com/api), or name its path"
            " in M3TER_OPENAPI"
        )
    found: dict[str, Any] = json.loads(DOCUMENT.read_text("utf-8"))
    return found
