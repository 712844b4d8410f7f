"""A login by a form: what the form's buttons do, and what it shows of the login of its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.profiles import can_remember
from m3ter_nb.auth.settings import Settings
from m3ter_nb.form import LOGGED_OUT, LoginCard, LoginForm
from m3ter_nb.notebook.login_options import keep_login
from m3ter_nb.notebook.status import login_card
from m3ter_nb.views.card import TIME_LEFT

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.notebook.login_options import LoginOptions
    from m3ter_nb.notebook.logins import Login, Logins
    from m3ter_nb.notebook.twin import SandboxControl
    from m3ter_nb.sandbox import Sandbox

__all__ = ["FormLogin"]

_TYPED = "the form"
_NOT_AGAIN = (
    "Not to type this again: set M3TER_API_KEY and M3TER_API_SECRET in the environment or a .env file."
)
_TICK_IT = (
    "Not to type this again: tick Remember on this computer the next time, or run %m3ter_login --remember."
)


class FormLogin:
    """One form, and the logins that it listens to.

    Args:
        logins: of the notebook.
        twin: the kernel's sandbox.
        options: what was asked for.
        known: what is known of host and organization.
        place: where real secrets do not belong, as :class:`LoginForm` takes it.
        notice: one sentence above the inputs.
        notify: is told what a person should know while the login is under way.

    Attributes:
        widget: the form.
    """

    def __init__(
        self,
        logins: Logins,
        twin: SandboxControl,
        options: LoginOptions,
        known: Settings,
        *,
        place: str,
        notice: str,
        notify: Callable[[str], None],
    ) -> None:
        self._logins = logins
        self._twin = twin
        self._options = options
        self._known = known
        self._notify = notify
        self._notes: tuple[str, ...] = ()
        sandbox = twin.running
        offered = sandbox is not None and sandbox.url == options.base_url_with(known)
        self.widget = LoginForm(
            host=options.host_with(known),
            on_submit=self._submit,
            on_demo=self._use_demo if offered else None,
            on_logout=self._log_out,
            on_sandbox=None if offered else self._start_sandbox,
            place="" if offered else place,
            notice=notice,
            doubt=options.doubt(known),
            remember_offered=can_remember(),
            remember=options.remember,
        )
        logins.on_change(self._follow)

    @property
    def name(self) -> str:
        """The name of its login."""
        return self._options.name

    @property
    def seen(self) -> bool:
        """Whether a view of it has been drawn."""
        return self.widget.seen

    def resume(self) -> bool:
        """Show the card of a login that was typed for the same host, as Run All finds it; tell whether there is one."""
        login = self._logins.find(self._options.name)
        host = self._options.base_url_with(self._known)
        if login is None or not login.typed or login.session.base_url != host:
            return False
        self.widget.show_card(self._card(login))
        return True

    def _follow(self, name: str, login: Login | None) -> None:
        """Show what has become of the login of this form's name."""
        if name != self._options.name:
            return
        if login is None:
            self.widget.show_empty(LOGGED_OUT)
        # Not over a form that is at work, nor over one in which a person types other credentials.
        elif self.widget.phase == "in" or (self.widget.phase != "busy" and not self.widget.card):
            self.widget.show_card(self._card(login))

    def _card(self, login: Login) -> LoginCard:
        card = login_card(login, self._notes)
        source = login.session.source
        return LoginCard(
            card.title,
            card.lines,
            card.badge,
            card.notes,
            counting=TIME_LEFT,
            expires_at=source.current.expires_at if source.current is not None else None,
            renews=source.renews,
        )

    def _submit(self, key_id: str, secret: str) -> LoginCard:
        return self._log_in(Credentials.pasted(key_id, secret, source=_TYPED))

    def _use_demo(self) -> LoginCard:
        sandbox = self._twin.running
        if sandbox is None or sandbox.url != self._options.base_url_with(self._known):
            # The one that was offered has stopped since.
            sandbox = self._move_to_sandbox()
        environ = sandbox.environ
        return self._log_in(
            Credentials(environ["M3TER_API_KEY"], environ["M3TER_API_SECRET"], "the sandbox's demo")
        )

    def _log_in(self, credentials: Credentials) -> LoginCard:
        # Printed by a widget's message, a note would go where nobody looks: the card says it.
        self._notes = credentials.notes
        session = self._options.open(self._known.with_credentials(credentials), self._notify)
        login = self._logins.add(self._options.name, session, typed=True)
        if credentials.source == _TYPED:
            self._notes = (*self._notes, self._keep(login, credentials))
        return self._card(login)

    def _keep(self, login: Login, credentials: Credentials) -> str:
        """Remember a typed login where that was asked for; say what was kept, or how not to type it again."""
        if self.widget.remember_asked or (self._options.remember and not self.widget.remember_offered):
            return keep_login(self._options, login, credentials)
        return _TICK_IT if self.widget.remember_offered else _NOT_AGAIN

    def _log_out(self) -> None:
        self._logins.remove(self._options.name)

    def _start_sandbox(self) -> None:
        self._move_to_sandbox()

    def _move_to_sandbox(self) -> Sandbox:
        """Log in to the kernel's sandbox from now on, started if it does not run."""
        sandbox = self._twin.start()
        self._options = self._options._replace(base_url=sandbox.url, org_id=None)
        self._known = Settings()
        self.widget.set_host(self._options.host_with(self._known))
        self.widget.offer_demo(self._use_demo)
        self.widget.doubt = self.widget.notice = self.widget.place = ""
        self.widget.sandbox_offered = False
        return sandbox
