"""What a sandbox was asked for, as tests compare it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m3ter_nb.sandbox import DEMO_ORG_ID

if TYPE_CHECKING:
    from m3ter_nb.sandbox import Sandbox

__all__ = ["FIVE_HOURS", "calls", "token_requests"]

#: Seconds that a token lives.
FIVE_HOURS = 18_000


def calls(sandbox: Sandbox) -> list[str]:
    """Return the requests so far, as ``GET products 200``."""
    return [
        f"{record.method} {record.path.removeprefix(f'/organizations/{DEMO_ORG_ID}/')} {record.status}"
        for record in sandbox.log
    ]


def token_requests(sandbox: Sandbox) -> int:
    """Return how many tokens were asked for."""
    return sum(record.path == "/oauth/token" for record in sandbox.log)
