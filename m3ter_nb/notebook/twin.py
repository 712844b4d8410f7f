"""The one sandbox of a kernel, and the environment variables that point to it."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from m3ter_nb.auth.variables import VARIABLES
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.views.card import SANDBOX, Card, make_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m3ter_nb.sandbox import Sandbox

__all__ = ["VALUED_FAULTS", "SandboxControl", "SandboxStatus"]

#: The faults that take a value.
VALUED_FAULTS = ("fail", "delay", "refuse", "accept")

# Seconds (https://docs.m3ter.com/api/authentication).
_DOCUMENTED_LIFETIME = 18_000
_WHAT_ELSE = "%m3ter_sandbox assumptions lists what it assumes where m3ter's documentation is silent."


N = TypeVar("N", int, float)


def _number(text: str, kind: type[N], what: str) -> N:
    try:
        number = kind(text)
    except ValueError:
        number = kind(-1)
    if not 0 <= number < math.inf:
        raise ValueError(f"it wants {what}.")
    return number


def _refusal(kind: str, error: Exception) -> str:
    """Say why a fault was not prepared, in the words of the magic."""
    if isinstance(error, LookupError):
        return f"The sandbox has no such access key. %m3ter_sandbox {kind} alone means its demo key."
    return f"%m3ter_sandbox {kind}: {error}"


class SandboxStatus(Card):
    """The sandbox of this kernel: a :class:`Card` with the sandbox at hand.

    Args:
        card: what is shown.
        sandbox: None where none runs.

    Attributes:
        sandbox: the running :class:`m3ter_nb.sandbox.Sandbox`.
    """

    def __init__(self, card: Card, sandbox: Sandbox | None = None) -> None:
        super().__init__(card.title, card.lines, card.notes, card.badge)
        self.sandbox = sandbox

    @property
    def url(self) -> str:
        """Its base URL, ``""`` where none runs."""
        return self.sandbox.url if self.sandbox is not None else ""

    @property
    def environ(self) -> dict[str, str]:
        """The variables that it sets, with its public demo credentials."""
        return self.sandbox.environ if self.sandbox is not None else {}


class SandboxControl:
    """Starts and stops the sandbox, sets ``M3TER_*`` in this process to it, and takes that back."""

    def __init__(self) -> None:
        self._sandbox: Sandbox | None = None
        self._before: dict[str, str | None] = {}
        self._set: dict[str, str] = {}
        self._urls: set[str] = set()

    @property
    def running(self) -> Sandbox | None:
        """The running sandbox, or None."""
        return self._sandbox if self._sandbox is not None and self._sandbox.is_running else None

    def has_stopped(self, url: str) -> bool:
        """Tell whether a base URL is that of a sandbox of this kernel that does not run any more."""
        return url in self._urls and (self.running is None or self.running.url != url)

    def start(
        self,
        port: int | None = None,
        token_lifetime: int | None = None,
        visible_after: float | None = None,
    ) -> Sandbox:
        """Start it, or return the one that runs.

        Args:
            port: on loopback; None for any free one.
            token_lifetime: of its tokens, in seconds; None for m3ter's own, 18,000.
            visible_after: seconds that accepted usage takes to show; None for 0.

        Raises:
            InvalidArgument: one runs already and other options were asked for, or the port is taken.
            MissingExtra: its web framework is not installed.
        """
        running = self.running
        if running is not None:
            if (port, token_lifetime, visible_after) != (None, None, None):
                raise InvalidArgument(
                    "The sandbox runs already; %m3ter_sandbox stop it before giving it other options."
                )
            return running
        try:
            from m3ter_nb.sandbox import Sandbox
        except ImportError as error:
            from m3ter_nb.extras import missing_extra

            what = f"The sandbox needs {error.name}, which is not installed"
            raise missing_extra(what, "sandbox") from None
        lifetime = _DOCUMENTED_LIFETIME if token_lifetime is None else token_lifetime
        try:
            sandbox = Sandbox(port or 0, lifetime, visible_after=visible_after or 0.0).start()
        except (OSError, ValueError) as error:
            raise InvalidArgument(f"The sandbox did not start: {error}") from None
        self._sandbox = sandbox
        self._urls.add(sandbox.url)
        self._point_here(sandbox)
        return sandbox

    def reset(self) -> None:
        """Empty it: no data, no log, no faults.

        Raises:
            InvalidArgument: none runs.
        """
        self._needed().reset()

    def log(self, last: int = 20) -> SandboxStatus:
        """Show its latest requests, oldest first."""
        sandbox = self._needed()
        records = sandbox.log
        lines = tuple((f"{record.method} {record.status}", record.path) for record in records[-last:])
        shown = f"the last {len(lines)} of {len(records)}" if len(lines) < len(records) else str(len(records))
        return SandboxStatus(Card(f"Requests to the sandbox: {shown}.", lines), sandbox)

    def fault(
        self,
        kind: str,
        value: str | None,
        *,
        times: int = 1,
        path: str | None = None,
        retry_after: float | None = None,
    ) -> str:
        """Prepare trouble for the next requests, and say what was prepared.

        Args:
            kind: ``fail``, ``delay``, ``drop``, ``cut``, ``expire``, ``refuse``, ``accept``, or ``clear``, which takes
                back what waits.
            value: a status for ``fail``, seconds for ``delay``, a key id for ``refuse`` and ``accept`` (the demo key
                where there is none).
            times: how many requests meet it.
            path: only requests whose path ends so.
            retry_after: seconds for a ``Retry-After`` header of ``fail``.

        Raises:
            InvalidArgument: none runs, or the value does not fit.
        """
        sandbox = self._needed()
        if times < 1 or (retry_after is not None and not 0 <= retry_after < math.inf):
            raise InvalidArgument("--times is at least 1, and --retry-after a number of seconds.")
        faults = sandbox.faults
        key_id = value or sandbox.environ["M3TER_API_KEY"]
        where = " to that path" if path else ""
        whom = f"The next {times} requests{where}" if times > 1 else f"The next request{where}"
        try:
            match kind:
                case "fail":
                    faults.fail(
                        _number(value or "503", int, "a status from 400 to 599, such as 503"),
                        times,
                        path,
                        retry_after=retry_after,
                    )
                    said = f"{whom} will be answered with {value or 503}."
                case "delay":
                    faults.delay(_number(value or "1", float, "a number of seconds"), times, path)
                    said = f"{whom} will wait {value or 1} s."
                case "drop":
                    faults.drop(times, path)
                    said = f"{whom} will get no answer: the connection is closed."
                case "cut":
                    faults.cut(times, path)
                    said = f"{whom} will get half of the answer."
                case "expire":
                    faults.expire_tokens()
                    said = "Every token issued so far has expired."
                case "refuse":
                    faults.refuse_key(key_id)
                    said = f"The key {key_id} is inactive."
                case "accept":
                    faults.accept_key(key_id)
                    said = f"The key {key_id} is active."
                case _:
                    faults.clear()
                    said = "No fault waits any more."
        except (ValueError, LookupError) as error:
            raise InvalidArgument(_refusal(kind, error)) from None
        return said

    def carry_out(self, action: str, value: str | None, options: Mapping[str, Any]) -> SandboxStatus | str:
        """Do what ``%m3ter_sandbox`` was asked to; return a status to show, or a sentence to say.

        Args:
            action: ``start``, ``stop``, ``status``, ``assumptions``, ``reset``, ``log``, or a kind of :meth:`fault`.
            value: of a fault that takes one.
            options: ``port``, ``token_lifetime`` and ``visible_after`` for ``start``; ``times``, ``path`` and ``retry_after`` for a fault.

        Raises:
            InvalidArgument, MissingExtra: as the method that does it.
        """
        if value is not None and action not in VALUED_FAULTS:
            raise InvalidArgument(f"%m3ter_sandbox {action} takes no value; %m3ter_sandbox? shows what does.")
        match action:
            case "stop":
                return "The sandbox has stopped." if self.stop() else "No sandbox runs in this kernel."
            case "log":
                return self.log()
            case "start":
                self.start(options["port"], options["token_lifetime"], options["visible_after"])
            case "reset":
                self.reset()
            case "status":
                return self.status(_WHAT_ELSE)
            case "assumptions":
                return self.assumptions()
            case kind:
                return self.fault(
                    kind, value, **{name: options[name] for name in ("times", "path", "retry_after")}
                )
        return self.status()

    def _needed(self) -> Sandbox:
        running = self.running
        if running is None:
            raise InvalidArgument("No sandbox runs in this kernel; %m3ter_sandbox starts one.")
        return running

    def stop(self) -> bool:
        """Stop it and take back the variables; tell whether one ran."""
        running = self.running
        self._point_back()
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None
        return running is not None

    def assumptions(self) -> SandboxStatus:
        """List what it assumes about m3ter."""
        sandbox = self._needed()
        assumed = sandbox.assumptions
        notes = tuple(f"- {text}" for text in assumed)
        title = f"Where m3ter's documentation is silent, the sandbox assumes {len(assumed)} things:"
        return SandboxStatus(Card(title, notes=notes), sandbox)

    def status(self, *notes: str) -> SandboxStatus:
        """Say where it is and how to log in, and what else is to be said."""
        sandbox = self.running
        if sandbox is None:
            return SandboxStatus(Card("No sandbox runs in this kernel; %m3ter_sandbox starts one."))
        environ = sandbox.environ
        here = f"{', '.join(sorted(environ))} point here until %m3ter_sandbox stop."
        card = make_card(
            "m3ter sandbox, on this machine alone",
            {
                "Organization": f"m3ter_nb sandbox ({environ['M3TER_ORG_ID']})",
                "Host": urlsplit(sandbox.url).netloc,
                "URL": sandbox.url,
                "Access Key ID": environ["M3TER_API_KEY"],
                "API Secret": f"{environ['M3TER_API_SECRET']} (public, opens nothing but the sandbox)",
                "Requests so far": str(len(sandbox.log)),
            },
            badge=SANDBOX,
            notes=(here, *notes),
        )
        return SandboxStatus(card, sandbox)

    def _point_here(self, sandbox: Sandbox) -> None:
        self._point_back()  # of a sandbox that stopped by itself
        self._before = {name: os.environ.get(name) for name in VARIABLES}
        self._set = dict(sandbox.environ)
        for name in VARIABLES:  # a ready token of the real API must not meet the sandbox's key
            os.environ.pop(name, None)
        os.environ.update(self._set)

    def _point_back(self) -> None:
        """Take back the variables, but leave those that somebody has changed since."""
        for name, value in self._before.items():
            if os.environ.get(name) == self._set.get(name):
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
        self._before, self._set = {}, {}
