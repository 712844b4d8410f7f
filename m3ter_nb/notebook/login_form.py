"""The login form outside IPython's magics: in marimo, in Voila, in an application of one's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from m3ter_nb.auth.settings import read_environ
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.by_form import FormLogin
from m3ter_nb.notebook.front_end import no_place_for_secrets
from m3ter_nb.notebook.login_options import LoginOptions
from m3ter_nb.notebook.logins import Login, Logins
from m3ter_nb.notebook.twin import SandboxControl
from m3ter_nb.wire.hosts import checked_base_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.form import LoginForm

__all__ = ["login_form"]


def login_form(
    on_login: Callable[[M3terSession], object] | None = None, *, base_url: str | None = None
) -> LoginForm:
    """Return a login form to display; in marimo also as ``mo.ui.anywidget(m3ter_nb.login_form(...))``.

    Args:
        on_login: is given the session of each login.
        base_url: of the API; None: ``M3TER_BASE_URL`` of the environment, else production.

    Raises:
        InvalidArgument: a malformed or unsafe base URL, or an ``on_login`` that cannot be called.
    """
    if on_login is not None and not callable(on_login):
        raise InvalidArgument("on_login is a function that takes the session of a login.")
    asked: object = base_url
    is_named = asked is not None and not (isinstance(asked, str) and not asked)
    options = LoginOptions(base_url=checked_base_url(base_url) if is_named else None)
    known = read_environ()._replace(notes=())
    logins = Logins(None)
    told: list[M3terSession] = []

    def tell(_name: str, login: Login | None) -> None:
        if login is not None and login.session not in told and on_login is not None:
            told[:] = [login.session]
            on_login(login.session)

    logins.on_change(tell)
    notify = logging.getLogger(__name__).info
    return FormLogin(
        logins, SandboxControl(), options, known, place=no_place_for_secrets(), notice="", notify=notify
    ).widget
