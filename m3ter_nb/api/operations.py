"""What is known of the m3ter API itself: its methods, its page sizes, and which calls may be sent twice."""

from __future__ import annotations

from typing import Any

__all__ = ["METHODS", "largest_page", "reads_only", "safe_to_repeat"]

#: The methods of the API; it has no PATCH (OpenAPI document).
METHODS = ("GET", "POST", "PUT", "DELETE")

# RFC 9110 section 9.2.2; a PUT carries a version, so a second one that follows a lost answer is refused, not applied.
_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})
# POSTs that only read.
_READING_POSTS = ("/usage/query", "/dataexplorer/")

# The largest pageSize that a list takes is 100 but for these (pageSize maxima of the OpenAPI document).
_PAGES_OF_200 = frozenset(
    {
        "balancechargeschedules",
        "balancetransactionschedules",
        "charges",
        "children",
        "counterpricings",
        "counters",
        "destinations",
        "externalmappings",
        "integrationconfigs",
        "integrationruns",
        "invitations",
        "lookuptables",
        "permissions",
        "plangroups",
        "products",
        "revisions",
        "transactions",
        "usergroups",
        "users",
        "webhooks",
    }
)
_PAGE_SIZE = {"usageReport": 50}


def largest_page(path: str) -> int:
    """Return the largest ``pageSize`` that a list takes (its documented maximum)."""
    pieces = [piece for piece in path.partition("?")[0].split("/") if piece]
    name = pieces[-1] if pieces else ""
    return _PAGE_SIZE.get(name, 200 if name in _PAGES_OF_200 else 100)


def reads_only(method: str, path: str) -> bool:
    """Tell whether a call asks and changes nothing: a GET, or a POST that is a usage query."""
    return method == "GET" or (method == "POST" and any(mark in f"/{path}" for mark in _READING_POSTS))


def safe_to_repeat(method: str, path: str, json: Any) -> bool:
    """Tell whether a call may be sent twice.

    An idempotent one, one that only reads, and measurements: m3ter drops the second of two with the same uid.
    """
    if method in _IDEMPOTENT or reads_only(method, path):
        return True
    if not path.endswith("/measurements") or not isinstance(json, dict):
        return False
    measurements = json.get("measurements")
    # Idempotent "within a 35-day window" by uid (docs: faqs-metering).
    return isinstance(measurements, list) and all(isinstance(m, dict) and m.get("uid") for m in measurements)
