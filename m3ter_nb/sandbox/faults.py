"""Trouble on demand: what a test or a lesson wants the next requests to meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Literal

from m3ter_nb.sandbox.arguments import check_types
from m3ter_nb.sandbox.locks import Lock

if TYPE_CHECKING:
    from m3ter_nb.sandbox.identity import Identity

__all__ = ["Fault", "Faults"]

_LAST_ERROR_STATUS = 599
# Seconds: a thread that waits has an end.
_LONGEST_DELAY = 86_400.0


@dataclass(frozen=True)
class Fault:
    """What one request meets."""

    kind: Literal["fail", "delay", "drop", "cut"]
    path: str | None = None
    status: int = 0
    seconds: float = 0.0
    retry_after: str | None = None
    html: bool = False


class Faults:
    """The faults that wait for the next requests, first come first served. Safe to use from several threads.

    Each fault is used up by ``times`` requests; with ``path``, only by requests whose path ends with that text (as
    ``"/oauth/token"`` or ``"/products"``). A delay adds to whatever else a request meets.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._lock = Lock()
        # Each with how many requests it is for still.
        self._waiting: list[tuple[Fault, int]] = []
        self._refused: set[str] = set()

    def __repr__(self) -> str:
        return f"<Faults: {sum(times for _, times in self._waiting)} waiting>"

    def fail(
        self,
        status: int,
        times: int = 1,
        path: str | None = None,
        *,
        retry_after: float | str | None = None,
        html: bool | None = None,
    ) -> None:
        """Answer the next ``times`` requests with ``status``.

        Args:
            status: an HTTP status from 400 to 599.
            times: how many requests.
            path: only requests whose path ends so.
            retry_after: value of a ``Retry-After`` header: seconds, rounded up to whole ones, or an HTTP date
                (RFC 9110, section 10.2.3).
            html: an HTML body, as a gateway sends it; None means: for 502, 503 and 504.

        Raises:
            ValueError: ``status`` is no error, or ``times`` is below 1.
        """
        check_types(
            status=(status, int, "a whole number from 400 to 599"),
            retry_after=(retry_after, (int, float, str, NoneType), "a number of seconds, or a date of HTTP"),
            html=(html, (bool, NoneType), "True, False or None"),
        )
        if not 400 <= status <= _LAST_ERROR_STATUS:
            raise ValueError(f"A fault has a status from 400 to 599, not {status}.")
        gateway = status in (502, 503, 504)
        wait = str(math.ceil(retry_after)) if isinstance(retry_after, (int, float)) else retry_after
        self._add(
            Fault("fail", path, status=status, retry_after=wait, html=gateway if html is None else html),
            times,
        )

    def delay(self, seconds: float, times: int = 1, path: str | None = None) -> None:
        """Hold the next ``times`` requests back for so many seconds before they are worked on.

        Raises:
            ValueError: they are not from 0 to a day.
        """
        check_types(seconds=(seconds, (int, float), "a number of seconds"))
        if not 0 <= seconds <= _LONGEST_DELAY:
            raise ValueError(f"A delay takes from 0 to {_LONGEST_DELAY:,.0f} s, not {seconds}.")
        self._add(Fault("delay", path, seconds=seconds), times)

    def drop(self, times: int = 1, path: str | None = None) -> None:
        """Close the connection of the next ``times`` requests without an answer, and without doing the work."""
        self._add(Fault("drop", path), times)

    def cut(self, times: int = 1, path: str | None = None) -> None:
        """Do the work, but send only half of the body that ``Content-Length`` announces, and close the connection."""
        self._add(Fault("cut", path), times)

    def expire_tokens(self) -> None:
        """Make every token issued so far expired, at once; the next token is a new one."""
        self._identity.expire_tokens()

    def refuse_key(self, key_id: str) -> None:
        """Make an access key inactive: the token endpoint refuses it; tokens it got live on.

        Raises:
            LookupError: there is no such key.
        """
        self._identity.deactivate_key(key_id)
        with self._lock:
            self._refused.add(key_id)

    def accept_key(self, key_id: str) -> None:
        """Make an access key active again.

        Raises:
            LookupError: there is no such key.
        """
        self._identity.activate_key(key_id)
        with self._lock:
            self._refused.discard(key_id)

    def clear(self) -> None:
        """Take back the waiting faults and accept the keys refused by :meth:`refuse_key`."""
        with self._lock:
            self._waiting.clear()
            refused, self._refused = self._refused, set()
        for key_id in refused:
            self._identity.activate_key(key_id)

    def take(self, path: str) -> tuple[float, Fault | None]:
        """Use up what waits for a request to ``path``: the seconds to wait, and the first other fault."""
        if not self._waiting:
            return 0.0, None
        with self._lock:
            delay = self._use_up(path, delays=True)
            other = self._use_up(path, delays=False)
        return delay.seconds if delay else 0.0, other

    def _use_up(self, path: str, *, delays: bool) -> Fault | None:
        for place, (fault, times) in enumerate(self._waiting):
            if (fault.kind == "delay") == delays and (fault.path is None or path.endswith(fault.path)):
                self._waiting[place : place + 1] = [(fault, times - 1)] if times > 1 else []
                return fault
        return None

    def _add(self, fault: Fault, times: int) -> None:
        check_types(
            times=(times, int, "a whole number"),
            path=(fault.path, (str, NoneType), "how the paths end that are meant"),
        )
        if times < 1:
            raise ValueError(f"A fault is for 1 request or more, not {times}.")
        with self._lock:
            self._waiting.append((fault, times))
