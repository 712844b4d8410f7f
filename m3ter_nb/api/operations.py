"""What follows from the facts of the API for a call: the largest page, and whether it may be sent twice."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from m3ter_nb.api.facts import METHODS, find

__all__ = ["METHODS", "largest_page", "reads_only", "safe_to_repeat"]

# RFC 9110 section 9.2.2; a PUT carries a version, so a second one that follows a lost answer is refused, not applied.
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
# POSTs that only read.
_READING_POSTS = ("/usage/query", "/dataexplorer/")

# What the documented maxima of pageSize have in common: a list that the table does not know takes so many.
_USUAL_PAGE = 100


def largest_page(path: str) -> int:
    """Return the largest ``pageSize`` that a list takes (its documented maximum)."""
    listing = find("GET", path)
    return (listing and listing.largest_page) or _USUAL_PAGE


def reads_only(method: str, path: str) -> bool:
    """Tell whether a call asks and changes nothing: a GET, or a POST that is a usage query."""
    return method == "GET" or (method == "POST" and any(mark in f"/{path}" for mark in _READING_POSTS))


def safe_to_repeat(method: str, url: str, json: Any) -> bool:
    """Tell whether a call may be sent twice.

    An idempotent one, one that only reads, and measurements: m3ter drops the second of two with the same uid.
    """
    if method in _IDEMPOTENT:
        return True
    path = urlsplit(url).path
    if reads_only(method, path):
        return True
    if not path.endswith("/measurements") or not isinstance(json, dict):
        return False
    measurements = json.get("measurements")
    # Idempotent "within a 35-day window" by uid (docs: faqs-metering).
    return isinstance(measurements, list) and all(isinstance(m, dict) and m.get("uid") for m in measurements)
