"""What ``%m3ter_status`` says of a login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m3ter_nb.auth.token import time_left
from m3ter_nb.notebook.logins import DEFAULT_NAME
from m3ter_nb.views.status import Status

if TYPE_CHECKING:
    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.notebook.logins import Login, Logins

__all__ = ["status_of"]


def status_of(logins: Logins, name: str | None) -> Status:
    """Say who is logged in, where, from where, and for how long; asks ``users/me`` once.

    Args:
        logins: of the notebook.
        name: of one login; None for the plain one, or the first where there is no plain one.
    """
    names = tuple(login.name for login in logins)
    asked = name or (DEFAULT_NAME if DEFAULT_NAME in names or not names else names[0])
    login = logins.find(asked)
    if login is None:
        others = (f"Logged in: {', '.join(names)}.",) if names else ()
        option = f" --name {name}" if name else ""
        return Status(f"Not logged in: run %m3ter_login{option}.", (), others)
    return _login_status(login, tuple(other for other in names if other != asked))


def _login_status(login: Login, others: tuple[str, ...]) -> Status:
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
