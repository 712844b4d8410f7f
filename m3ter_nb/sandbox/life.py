"""The :class:`Sandbox`: its life cycle, and what tests and notebooks read and set."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from os import PathLike
from types import NoneType
from typing import TYPE_CHECKING, Any, Self

from m3ter_nb.sandbox.app import build
from m3ter_nb.sandbox.arguments import check_types
from m3ter_nb.sandbox.assumptions import ASSUMPTIONS
from m3ter_nb.sandbox.faults import Faults
from m3ter_nb.sandbox.http_server import Server, listen
from m3ter_nb.sandbox.identity import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, Identity
from m3ter_nb.sandbox.limits import Limits
from m3ter_nb.sandbox.locks import Lock
from m3ter_nb.sandbox.moments import timestamp
from m3ter_nb.sandbox.page import Door, is_page
from m3ter_nb.sandbox.store import Store
from m3ter_nb.sandbox.world import LastPage, OrganizationType, RequestRecord, World

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Sandbox"]

_LOG_AT_LEAST = 100_000
_LONGEST_PATH = 256
# Seconds: thirty years.
_LONGEST_HIDDEN = 10**9

_all: weakref.WeakSet[Sandbox] = weakref.WeakSet()


class Sandbox:
    """A m3ter twin on this machine: real HTTP on loopback, tokens, entities, measurements, limits and errors.

    ::

        with Sandbox() as sandbox:
            requests.post(f"{sandbox.url}/oauth/token", auth=(DEMO_KEY_ID, DEMO_SECRET), data={...})

    It starts with two service users: ``DEMO_KEY_ID`` / ``DEMO_SECRET`` may do everything, ``NARROW_KEY_ID`` /
    ``NARROW_SECRET`` may only upload measurements. :attr:`faults` makes the next requests fail, wait or break off
    (see :class:`~m3ter_nb.sandbox.faults.Faults`); :attr:`keys` makes, retires and revives access keys (see
    :class:`~m3ter_nb.sandbox.identity.Identity`).

    Args:
        port: of the listening socket; 0 for any free one.
        token_lifetime: seconds that a token is valid.
        limits: whether the documented request rates are kept (50 a second, and others).
        data: a file that keeps entities and measurements, or None for memory.
        host: a loopback address.
        clock: returns the time in seconds since 1970; tokens, limits and timestamps follow it.
        organization_type: what users/me says: ``"SANDBOX"`` or ``"PRODUCTION"``.
        conflict_status: the answer to a stale version or a taken code, 409 or 400.
        last_page: how the last page says so: nextToken ``"absent"``, ``"null"`` or ``"empty"``.
        visible_after: seconds from the acceptance of a measurement until usage queries and failure events know of it.
        refuse_future: whether a measurement with a timestamp in the future fails its check.

    Raises:
        ValueError: an argument is out of range, or the host is not loopback.
        TypeError: an argument is of another kind.
    """

    def __init__(
        self,
        port: int = 0,
        token_lifetime: int = 18_000,
        *,
        limits: bool = True,
        data: str | PathLike[str] | None = None,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
        organization_type: OrganizationType = "SANDBOX",
        conflict_status: int = 409,
        last_page: LastPage = "absent",
        visible_after: float = 0.0,
        refuse_future: bool = True,
    ) -> None:
        check_types(
            port=(port, int, "a whole number"),
            token_lifetime=(token_lifetime, int, "a whole number of seconds"),
            visible_after=(visible_after, (int, float), "a number of seconds"),
            data=(data, (str, PathLike, NoneType), "the path of a file"),
            clock=(clock, Callable, "a function that returns the time"),
            limits=(limits, bool, "True or False"),
            refuse_future=(refuse_future, bool, "True or False"),
            host=(host, str, "127.0.0.1 or ::1"),
            organization_type=(organization_type, str, "SANDBOX or PRODUCTION"),
            conflict_status=(conflict_status, int, "400 or 409"),
            last_page=(last_page, str, "absent, null or empty"),
        )
        if token_lifetime < 1:
            raise ValueError(f"A token lives for at least 1 second, not {token_lifetime}.")
        if organization_type not in ("SANDBOX", "PRODUCTION"):
            raise ValueError("An organization is SANDBOX or PRODUCTION.")
        if conflict_status not in (400, 409):
            raise ValueError("A version conflict is answered with 400 or 409.")
        if last_page not in ("absent", "null", "empty"):
            raise ValueError("The last nextToken is absent, null or empty.")
        if not 0 <= visible_after <= _LONGEST_HIDDEN:
            raise ValueError(
                f"What is accepted shows after 0 to {_LONGEST_HIDDEN:,} seconds, not {visible_after}."
            )
        if host not in ("127.0.0.1", "localhost", "::1"):
            raise ValueError("The sandbox listens on loopback only (127.0.0.1 or ::1).")
        self._wanted = (host, port)
        self._data = data
        self._clock = clock
        self._switches: dict[str, Any] = {
            "organization_type": organization_type,
            "conflict_status": conflict_status,
            "last_page": last_page,
            "visible_after": visible_after,
            "refuse_future": refuse_future,
        }
        self._limits = Limits(clock) if limits else None
        self._lock = Lock(threading.RLock)
        self._log: list[RequestRecord] = []
        self._server: Server | Door | None = None
        self._world: World | None = None
        self.keys = Identity(clock, token_lifetime)
        self.faults = Faults(self.keys)
        _all.add(self)

    def __repr__(self) -> str:
        return f"<Sandbox {self.url}>" if self.is_running else "<Sandbox, stopped>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def is_running(self) -> bool:
        """Whether the sandbox answers."""
        return self._server is not None

    @property
    def url(self) -> str:
        """The base URL, as ``http://127.0.0.1:PORT``.

        Raises:
            RuntimeError: the sandbox is not running.
        """
        if self._server is None:
            raise RuntimeError("The sandbox is not running: call start(), or use it in a with statement.")
        host, port = self._server.host, self._server.port
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables that point a client, the official SDK included, at the sandbox.

        Raises:
            RuntimeError: the sandbox is not running.
        """
        return {
            "M3TER_BASE_URL": self.url,
            "M3TER_API_KEY": DEMO_KEY_ID,
            "M3TER_API_SECRET": DEMO_SECRET,
            "M3TER_ORG_ID": DEMO_ORG_ID,
        }

    @property
    def log(self) -> list[RequestRecord]:
        """The requests so far, oldest first: method, path and status, never a header, a query or a body.

        Of a long life only the latest are kept, 100,000 at least.
        """
        with self._lock:
            return list(self._log)

    @property
    def assumptions(self) -> list[str]:
        """What the sandbox does although no source says that m3ter does it."""
        return list(ASSUMPTIONS)

    def start(self) -> Self:
        """Listen and answer, from a daemon thread; harmless where it runs already.

        In a browser page nobody can listen: there the requests of this process alone are answered, by urllib3's door to
        the browser.

        Raises:
            OSError: the port is taken, or the data file cannot be used.
        """
        with self._lock:
            if self._server is not None:
                return self
            if is_page():
                world = self._make_world()
                server: Server | Door = Door(self._wanted[1], build(world), self._record)
            else:
                listening = listen(*self._wanted)
                try:
                    world = self._make_world()
                except OSError:
                    listening.close()
                    raise
                server = Server(listening, build(world), self._record)
            server.begin()
            self._world, self._server = world, server
        return self

    def stop(self) -> None:
        """Stop answering and close every connection; harmless where it does not run. Data in memory is gone.

        In a forked child it lets go of the parent's, which goes on.
        """
        with self._lock:
            server, world = self._server, self._world
            self._server = self._world = None
        if isinstance(server, Server) and server.is_inherited:
            server.server_close()  # the rest is the parent's
            return
        if server is None or world is None:
            return
        world.stopping.set()
        server.end()
        world.store.close()

    def reset(self) -> None:
        """Go back to the beginning: no data, no log, no faults, no counted requests, the first keys only."""
        with self._lock:
            self._log.clear()
            if self._world is not None:
                self._world.store.clear()
        self.faults.clear()
        self.keys.reset()
        if self._limits is not None:
            self._limits.reset()

    def leave_to_parent(self) -> None:
        """Touch no data any more, in a child process: SQLite's connections are not inherited, the server is the parent's."""
        self._world = None

    def _make_world(self) -> World:
        started = timestamp(self._clock())
        store = Store(self._data)
        return World(
            self._clock, self.keys, store, self.faults, self._limits, started=started, **self._switches
        )

    def _record(self, method: str, path: str, status: int) -> None:
        with self._lock:
            self._log.append(RequestRecord(method, path[:_LONGEST_PATH], status))
            if len(self._log) >= 2 * _LOG_AT_LEAST:
                del self._log[:_LOG_AT_LEAST]


def _after_fork() -> None:
    for sandbox in list(_all):
        sandbox.leave_to_parent()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)
