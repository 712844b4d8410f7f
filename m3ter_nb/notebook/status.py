"""What is said of a login: its card, for the login itself, its form and ``%m3ter_status``, and one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from m3ter_nb.auth.token import time_left
from m3ter_nb.notebook.logins import DEFAULT_NAME, name_option
from m3ter_nb.views.card import TIME_LEFT, UNKNOWN, Card, make_card

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.auth.source import TokenSource
    from m3ter_nb.notebook.logins import Login, Logins

__all__ = ["login_card", "login_sentence", "status_of"]

_UNKNOWN_TYPE = (
    "m3ter does not say what type of organization this is: before a write you are asked as on PRODUCTION."
)


def login_card(login: Login, notes: tuple[str, ...] = ()) -> Card:
    """Say who is logged in, where, with what, and for how long; asks ``users/me`` once.

    Args:
        login: the login.
        notes: sentences to end with.
    """
    session = login.session
    kind = login.organization_type
    facts = {
        "Organization": login.organization,
        "Service user": login.user,
        "Host": session.host,
        "Credentials from": session.credentials_source,
        "Remembered as": f"the profile {login.profile} in the keychain" if login.profile else None,
        "Ready to use": ", ".join(login.names) if login.bound else None,
        TIME_LEFT: _time_left(session.source),
    }
    if not kind and not session.is_loopback:
        notes = (_UNKNOWN_TYPE, *notes)
    return make_card("Logged in to m3ter", facts, badge=kind or UNKNOWN, notes=notes)


def login_sentence(login: Login) -> str:
    """Say in one sentence that a login is there."""
    session = login.session
    return (
        f"Logged in to {session.host} with the credentials from {session.credentials_source}: "
        f"{' and '.join(login.names)} are ready, {_time_left(session.source)}."
    )


def status_of(
    logins: Logins, name: str | None, *, has_stopped: Callable[[str], bool] = lambda _url: False
) -> Card:
    """Return what ``%m3ter_status`` shows.

    Args:
        logins: of the notebook.
        name: of one login; None for the plain one, or the first where there is no plain one.
        has_stopped: tells whether a base URL is that of a sandbox that has stopped.
    """
    names = tuple(login.name for login in logins)
    asked = name or (DEFAULT_NAME if DEFAULT_NAME in names or not names else names[0])
    login = logins.find(asked)
    if login is None:
        logged_in = (f"Logged in: {', '.join(names)}.",) if names else ()
        return Card(logins.absence(asked), (), (*logged_in, *_remembered()))
    if login.session.source.current is None:
        return Card(f"{login.names[1]} is closed: %m3ter_login{name_option(asked)} logs in again.")
    if has_stopped(login.session.base_url):
        return Card(
            f"The sandbox that {login.names[1]} is logged in to has stopped: %m3ter_sandbox starts one, and "
            f"%m3ter_login{name_option(asked)} logs in to it."
        )
    others = ", ".join(other for other in names if other != asked)
    return login_card(login, (*((f"Other logins: {others}.",) if others else ()), *_remembered()))


def _remembered() -> tuple[str, ...]:
    from m3ter_nb.auth.profiles import profiles

    known = ", ".join(f"{profile.name} ({urlsplit(profile.host).netloc})" for profile in profiles())
    return (f"Remembered profiles: {known}.",) if known else ()


def _time_left(source: TokenSource) -> str:
    token = source.current
    left = time_left(token.seconds_left if token is not None else None).removesuffix(" left")
    if not source.renews:
        return f"{left}, not renewed"
    return f"{left}, renews by itself" if source.failure is None else f"{left}; {source.failure}"
