"""One answer, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer"]


@dataclass(slots=True, eq=False)
class Answer:
    """One answer, its body read.

    Attributes:
        status: the HTTP status.
        method: of the request, upper case.
        url: of the request.
        sent_headers: of the request, without Authorization.
        sent: the body of the request.
        reason: the phrase beside the status, or None.
        headers: of the answer; names in any case.
        content: the body, decompressed.
        attempts: how many requests were sent until it came.
    """

    status: int
    method: str = field(repr=False)
    url: str = field(repr=False)
    sent_headers: Mapping[str, str] = field(repr=False)
    sent: bytes = field(repr=False)
    reason: str | None = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    attempts: int = field(default=1, repr=False)
