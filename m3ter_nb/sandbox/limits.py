"""The documented request rates.

Sources: https://www.m3ter.com/docs/guides/m3ter-apis/config-api-limits (Config API and Data Explorer) and
https://www.m3ter.com/docs/guides/m3ter-apis/ingest-api-limits (Ingest API).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.locks import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_BODY_BYTES", "Api", "Limits"]

#: A longer body is refused with 403 by the firewall, on every API.
MAX_BODY_BYTES = 512_000

Api = Literal["config", "ingest"]

_WINDOW = 300.0
_PER_ADDRESS = {"config": 20_000, "ingest": 5_000}
_PER_SECOND = 50
_EXPLORER_RATE = 1.0
_EXPLORER_BURST = 10.0
_MOST_ADDRESSES = 1_000


class Limits:
    """Counts requests and refuses those above the documented rates. Safe to use from several threads.

    A refused request is not counted (an assumption: otherwise a client that keeps trying would never get through).

    Args:
        clock: returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self.reset()

    def reset(self) -> None:
        """Forget all requests so far."""
        with self._lock:
            self._by_address: dict[tuple[Api, str], deque[float]] = {}
            self._second: dict[Api, tuple[int, int]] = {}
            self._explorer = (0.0, _EXPLORER_BURST)

    def admit_address(self, api: Api, address: str) -> None:
        """Count a request of this address in the rolling five minutes.

        Raises:
            Refusal: 429, until the total of the last five minutes is below the limit.
        """
        now = self._clock()
        with self._lock:
            if len(self._by_address) > _MOST_ADDRESSES:
                self._forget_addresses(now - _WINDOW)
            times = self._by_address.setdefault((api, address), deque())
            while times and times[0] <= now - _WINDOW:
                times.popleft()
            if len(times) >= _PER_ADDRESS[api]:
                raise Refusal(429, "Too many requests from this address in 5 minutes")
            times.append(now)

    def _forget_addresses(self, before: float) -> None:
        self._by_address = {key: times for key, times in self._by_address.items() if times[-1] > before}

    def admit_organization(self, api: Api) -> None:
        """Count a request of the organization in this second.

        Raises:
            Refusal: 429, for the rest of the second.
        """
        second = int(self._clock())
        with self._lock:
            counted, number = self._second.get(api, (second, 0))
            if counted != second:
                number = 0
            if number >= _PER_SECOND:
                raise Refusal(429, f"More than {_PER_SECOND} requests of the organization in a second")
            self._second[api] = (second, number + 1)

    def admit_explorer(self) -> None:
        """Take one of the tokens that fill up at one a second, ten at most.

        Raises:
            Refusal: 429, where none is left.
        """
        now = self._clock()
        with self._lock:
            last, tokens = self._explorer
            tokens = min(_EXPLORER_BURST, tokens + max(0.0, now - last) * _EXPLORER_RATE)
            if tokens < 1:
                raise Refusal(429, "More than 1 usage query a second, or a burst of more than 10")
            self._explorer = (now, tokens - 1)
