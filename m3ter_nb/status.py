"""What ``%m3ter_status`` and ``%m3ter_sandbox`` show: small values with a text and an HTML view."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from m3ter_nb.auth.token import time_left

if TYPE_CHECKING:
    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.logins import Login
    from m3ter_nb.sandbox import Sandbox

__all__ = ["SandboxStatus", "Status", "login_status"]

# The size of tables in JupyterLab, for the whole.
_SMALL = "font-size:var(--jp-ui-font-size1, 13px)"
_STYLE = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


@dataclass(frozen=True)
class Status:
    """A title and a few lines, shown as aligned text or as a table.

    Attributes:
        title: one sentence.
        lines: pairs of a label and a value.
        notes: further sentences, each on its own line.
    """

    title: str
    lines: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        width = max((len(label) for label, _ in self.lines), default=0)
        rows = [f"  {label:<{width}}  {value}" for label, value in self.lines]
        return "\n".join([self.title, *rows, *self.notes])

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr style="background:none"><th scope="row" style="{_STYLE}">{escape(label)}</th>'
            f'<td style="{_STYLE}">{_emphasized(label, value)}</td></tr>'
            for label, value in self.lines
        )
        table = f'<table style="margin:4px 0 0">{rows}</table>' if rows else ""
        notes = "".join(f'<div style="margin-top:4px">{escape(note)}</div>' for note in self.notes)
        return f'<div style="{_SMALL}"><strong>{escape(self.title)}</strong>{table}{notes}</div>'


@dataclass(frozen=True, repr=False)
class SandboxStatus(Status):
    """The sandbox of this kernel: a :class:`Status` with the sandbox at hand.

    Attributes:
        sandbox: the running :class:`m3ter_nb.sandbox.Sandbox`.
    """

    sandbox: Sandbox | None = field(default=None)

    @property
    def url(self) -> str:
        """Its base URL, ``""`` where none runs."""
        return self.sandbox.url if self.sandbox is not None else ""

    @property
    def environ(self) -> dict[str, str]:
        """The variables that it sets, with its public demo credentials."""
        return self.sandbox.environ if self.sandbox is not None else {}


def login_status(login: Login, others: tuple[str, ...] = ()) -> Status:
    """Say who is logged in, where, from where, and for how long; asks ``users/me`` once.

    Args:
        login: the login.
        others: names of the other logins.
    """
    session = login.session
    token = session.source.current
    if token is None:
        return Status(f"{login.names[1]} is closed: log in again with %m3ter_login.")
    me = login.me()
    organization = me.get("organization") or {}
    user = me.get("serviceUser") or me.get("user") or {}
    left = time_left(token.seconds_left)
    org_id = str(organization.get("orgId") or token.org_id or "unknown")
    name = str(organization.get("organizationName") or "")
    kind = login.organization_type
    lines = [
        ("organization", f"{name} ({org_id})" if name else org_id),
        ("type", kind or "unknown (users/me is not allowed or not reachable)"),
        ("service user", str(user.get("name") or user.get("email") or "unknown")),
        ("host", session.host),
        ("credentials from", session.credentials_source),
        ("token", f"{left}, {_renewal(session.source)}"),
        ("variables", ", ".join(login.names)),
    ]
    notes = (f"Other logins: {', '.join(others)}.",) if others else ()
    return Status(f"Logged in to {session.host}", tuple(lines), notes)


def _renewal(source: TokenSource) -> str:
    if not source.renews:
        return "not renewed"
    return "renewed by itself" if source.failure is None else f"its renewal has failed: {source.failure}"


def _emphasized(label: str, value: str) -> str:
    if label == "type" and value == "PRODUCTION":
        return f'<strong style="color:var(--jp-error-color1, #b3261e)">{escape(value)}</strong>'
    return escape(value)
