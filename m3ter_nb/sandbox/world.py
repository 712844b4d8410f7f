"""Everything that one sandbox knows; the application reads and writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Literal, NamedTuple

from m3ter_nb.sandbox.moments import timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.sandbox.faults import Faults
    from m3ter_nb.sandbox.identity import Identity
    from m3ter_nb.sandbox.limits import Limits
    from m3ter_nb.sandbox.store import Store

__all__ = ["LastPage", "OrganizationType", "RequestRecord", "World"]

OrganizationType = Literal["SANDBOX", "PRODUCTION"]
LastPage = Literal["absent", "null", "empty"]


class RequestRecord(NamedTuple):
    """One request as the log keeps it: never a header, a query or a body.

    Attributes:
        method: upper case.
        path: without the query.
        status: of the answer; 0 where the connection was dropped without one.
    """

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class World:
    """The parts of one sandbox.

    Attributes:
        clock: returns the time in seconds since 1970.
        identity: service users, keys and tokens.
        store: entities and measurements.
        faults: trouble on demand.
        limits: the documented rates, or None where they are off.
        organization_type: what users/me says of the organization.
        conflict_status: answers a stale version or a code that is taken.
        last_page: how a list says that nothing follows.
        visible_after: seconds from the acceptance of a measurement until its usage, or the event of its failure, shows.
        refuse_future: whether a measurement with a timestamp in the future fails its check.
        started: the time of the start, as the API writes it.
        stopping: set when the sandbox stops, so that no delay outlives it.
    """

    clock: Callable[[], float]
    identity: Identity
    store: Store
    faults: Faults
    limits: Limits | None
    organization_type: OrganizationType = "SANDBOX"
    conflict_status: int = 409
    last_page: LastPage = "absent"
    visible_after: float = 0.0
    refuse_future: bool = True
    started: str = ""
    stopping: Event = field(default_factory=Event)

    def now(self) -> str:
        """Return the time as the API writes it."""
        return timestamp(self.clock())

    def latest_shown(self) -> float | None:
        """Return until which receipt, in seconds since 1970, usage and events show; None where there is no delay."""
        return self.clock() - self.visible_after if self.visible_after else None

    def pause(self, seconds: float) -> None:
        """Wait so long, or until the sandbox stops."""
        self.stopping.wait(seconds)
