"""How ``%m3ter_login`` goes: which way it takes, why, and what it says.

In this order: complete credentials in the environment or ``.env``; a form, where a notebook shows one; a prompt, in a
terminal; otherwise an error that names the variables to set. Never a form that nobody can fill, never a hang.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from m3ter_nb.api.login import open_session
from m3ter_nb.auth.credentials import Credentials, Settings, find_host, find_settings
from m3ter_nb.auth.source import DEFAULT_MARGIN
from m3ter_nb.auth.token import time_left
from m3ter_nb.errors import CredentialsMissing, InvalidArgument, M3terError, NotLoggedIn
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL
from m3ter_nb.wire.transport import DEFAULT_TIMEOUT, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.form import LoginCard, LoginForm
    from m3ter_nb.notebook.logins import Login, Logins
    from m3ter_nb.sandbox import Sandbox

__all__ = ["FrontEnd", "LoginFlow", "LoginHandle", "LoginOptions"]

_VARIABLES_TO_SET = (
    "set M3TER_API_KEY and M3TER_API_SECRET in the environment or in a .env file (M3TER_ORG_ID and M3TER_BASE_URL "
    "are optional)"
)


class FrontEnd(NamedTuple):
    """What the front end can do.

    Attributes:
        shows_forms: whether somebody may be there to fill a form.
        prompts: whether somebody may be there to answer a prompt.
        echoes: whether what is typed at a visible prompt is kept in the notebook.
        waits: whether a cell can await the form.
        binder: whether this is a public Binder machine.
    """

    shows_forms: bool = False
    prompts: bool = False
    echoes: bool = False
    waits: bool = False
    binder: bool = False


class LoginOptions(NamedTuple):
    """What was asked for.

    Attributes:
        way: ``"form"``, ``"prompt"``, ``"env"``, or None to decide.
        dotenv: a ``.env`` file to take everything from.
        name: of the login; its variables begin with it.
        org_id: the organization that the token must be for.
        base_url: of the API.
        refresh: whether the token is renewed; if not, no secret is kept.
        timeout: seconds to wait.
        margin: seconds before its end at which the token is renewed.
    """

    way: str | None = None
    dotenv: str | None = None
    name: str = "m3ter"
    org_id: str | None = None
    base_url: str | None = None
    refresh: bool = True
    timeout: Timeout = DEFAULT_TIMEOUT
    margin: float = DEFAULT_MARGIN


class LoginHandle:
    """What ``%m3ter_login`` returns: it says how the login went, has its ``session``, and can be awaited.

    Args:
        logins: the notebook's logins.
        name: of the login.
        waits: whether the kernel can wait for the form.
        by_form: whether its cell shows a form, which speaks for itself.

    Attributes:
        shown: whether the person has been told how the login went, by the form or by this value's display.
        quiet: whether displaying it shows nothing; so while the cell of the form runs.
    """

    def __init__(self, logins: Logins, name: str, *, waits: bool, by_form: bool) -> None:
        self._logins = logins
        self._name = name
        self._waits = waits
        self.shown = self.quiet = by_form

    @property
    def session(self) -> M3terSession:
        """The session.

        Raises:
            NotLoggedIn: the form has not been submitted.
        """
        return self._logins.get(self._name).session

    def __await__(self) -> Generator[Any, None, M3terSession]:
        """Wait until the form has been submitted, and return the session.

        Raises:
            NotLoggedIn: this kernel handles the form only between cells, so waiting would never end.
        """
        if self._logins.find(self._name) is None and not self._waits:
            raise NotLoggedIn(
                "This kernel cannot wait for the form (that takes ipykernel 7.4 or later): submit it, then run this "
                "cell again.",
            )
        return self._logins.wait(self._name)

    def __repr__(self) -> str:
        self.shown = True
        login = self._logins.find(self._name)
        return "Not logged in yet: submit the form." if login is None else _sentence(login)

    def _ipython_display_(self) -> None:
        if not self.quiet:
            # Printed, as all that the magics say: choosing among IPython's formatters takes as long as the login.
            print(repr(self))  # noqa: T201 - what a magic says to the person who runs it


class LoginFlow:
    """Carries out ``%m3ter_login`` and ``%m3ter_logout``.

    Args:
        logins: the notebook's logins.
        say: tells the person something, one line at a time.
        show: displays a form.
        sandbox: returns the kernel's running sandbox, or None.
        start_sandbox: starts it.
    """

    def __init__(
        self,
        logins: Logins,
        *,
        say: Callable[[str], None],
        show: Callable[[object], object],
        sandbox: Callable[[], Sandbox | None],
        start_sandbox: Callable[[], Sandbox],
    ) -> None:
        self._logins = logins
        self._say = say
        self._show = show
        self._sandbox = sandbox
        self._start_sandbox = start_sandbox
        self._forms: list[_FormLogin] = []
        logins.on_renewal(self._refresh_cards)

    def login(self, options: LoginOptions, front_end: FrontEnd) -> LoginHandle:
        """Log in, or show the form that does.

        Raises:
            CredentialsError, ConnectionFailed, InvalidArgument: as :func:`m3ter_nb.login`.
            NotLoggedIn: the prompt was left with Ctrl-C or Ctrl-D.
        """
        if options.way == "form" and front_end.shows_forms:
            by_form = self._by_form(options, find_host(), front_end, "")
        elif options.way == "prompt":
            by_form = self._by_prompt(options, find_host(), front_end)
        else:
            by_form = self._by_finding(options, front_end)
        return LoginHandle(self._logins, options.name, waits=front_end.waits, by_form=by_form)

    def logout(self, name: str) -> None:
        """Forget a login, and say so; say too if the environment would log in again."""
        was_there = self._logins.remove(name)
        for form in self._forms:
            if form.options.name == name:
                form.widget.show_empty("Logged out.")
        again = ""
        try:
            settings = find_settings()
        except M3terError:
            settings = Settings()
        if settings.complete:
            again = f" Credentials are still in {settings.source}: %m3ter_login would log in again without asking."
        self._say(
            ("Logged out: token and credentials are forgotten." if was_there else "Not logged in.") + again
        )

    def close(self) -> None:
        """Forget the forms."""
        for form in self._forms:
            form.widget.close()
        self._forms.clear()

    # Each way tells whether it shows a form, which speaks for itself.

    def _by_finding(self, options: LoginOptions, front_end: FrontEnd) -> bool:
        """Take what the environment or ``.env`` holds; failing that, ask where somebody can answer."""
        settings = find_settings(dotenv=options.dotenv)
        if settings.complete:
            return self._by_settings(settings, options, front_end)
        if options.way == "env":
            raise CredentialsMissing(
                f"No credentials in the environment or a .env file: {_VARIABLES_TO_SET}."
            )
        if front_end.shows_forms:
            notice = "No credentials in the environment or a .env file, so here is the form."
            return self._by_form(options, settings, front_end, notice)
        if front_end.prompts:
            return self._by_prompt(options, settings, front_end)
        raise CredentialsMissing(
            "No credentials found, and nobody can type here (a job, papermill, nbconvert or nbval): "
            f"{_VARIABLES_TO_SET}.",
        )

    def _by_settings(self, settings: Settings, options: LoginOptions, front_end: FrontEnd) -> bool:
        if options.way == "form":
            self._say(f"Nobody can fill a form here: logging in with the credentials from {settings.source}.")
        login = self.open(settings, options, typed=False)
        if front_end.binder and not login.session.is_loopback:
            self._say(
                "Binder machines are public: real credentials do not belong here. Rotate this key afterwards."
            )
        return False

    def _by_prompt(self, options: LoginOptions, known: Settings, front_end: FrontEnd) -> bool:
        if not front_end.prompts:
            raise CredentialsMissing(f"Nobody can answer a prompt here: {_VARIABLES_TO_SET}.")
        target = self.target(options, known)
        self._say(
            f"Logging in to {target}{_because_of(known, options)}. Nothing you type is kept in the notebook."
        )
        credentials = _asked(hidden_key_id=front_end.echoes)
        self.open(_typed(known, credentials), options, typed=True)
        return False

    def _by_form(self, options: LoginOptions, known: Settings, front_end: FrontEnd, notice: str) -> bool:
        form = _FormLogin(self, options, known, front_end, notice + _because_of(known, options, of_form=True))
        existing = self._logins.find(options.name)
        if existing is not None and existing.typed and existing.session.base_url == form.base_url:
            # Run All after a login: the card, not a form that wants it all again.
            form.widget.show_card(form.card(existing))
        else:
            self._logins.await_form(options.name)
        self._forms.append(form)
        self._show(form.widget)
        return True

    def open(self, settings: Settings, options: LoginOptions, *, typed: bool) -> Login:
        """Make the token request and bind the names."""
        settings = settings._replace(
            base_url=options.base_url or settings.base_url,
            org_id=options.org_id or settings.org_id,
        )
        session = open_session(
            settings,
            refresh=options.refresh,
            timeout=options.timeout,
            margin=options.margin,
            notify=self._say,
        )
        login = self._logins.add(options.name, session, typed=typed)
        self._refresh_cards(login)
        return login

    def target(self, options: LoginOptions, known: Settings) -> str:
        """Return the host that a login will go to."""
        return urlsplit(options.base_url or known.base_url or DEFAULT_BASE_URL).netloc

    def sandbox(self) -> Sandbox | None:
        """Return the kernel's running sandbox, or None."""
        return self._sandbox()

    def start_sandbox(self) -> Sandbox:
        """Start the kernel's sandbox."""
        return self._start_sandbox()

    def remove(self, name: str) -> None:
        """Forget a login, from its form."""
        self._logins.remove(name)
        for form in self._forms:
            if form.options.name == name:
                form.widget.show_empty("Logged out.")

    def _refresh_cards(self, login: Login) -> None:
        """Show a login in every form of its name."""
        for form in self._forms:
            # Not over a form that is at work, nor over one in which a person types other credentials.
            free = form.widget.phase == "in" or (form.widget.phase != "busy" and not form.widget.card)
            if form.options.name == login.name and free:
                form.widget.show_card(form.card(login))


class _FormLogin:
    """One form, and what its buttons do."""

    def __init__(
        self,
        flow: LoginFlow,
        options: LoginOptions,
        known: Settings,
        front_end: FrontEnd,
        notice: str,
    ) -> None:
        from m3ter_nb.form import LoginForm

        self._flow = flow
        self._notes = ""
        self.options = options
        self._known = known
        sandbox = flow.sandbox()
        offered = sandbox is not None and sandbox.url == self.base_url
        self.widget: LoginForm = LoginForm(
            host=flow.target(options, known),
            on_submit=self._submit,
            on_demo=self._demo if offered else None,
            on_logout=self._logout,
            on_sandbox=self._sandbox if front_end.binder and not offered else None,
            binder=front_end.binder and not offered,
            notice=notice,
        )

    @property
    def base_url(self) -> str:
        return (self.options.base_url or self._known.base_url or DEFAULT_BASE_URL).rstrip("/")

    def card(self, login: Login) -> LoginCard:
        """Return what the card shows of a login."""
        from m3ter_nb.form import LoginCard

        me = login.me()
        organization: dict[str, Any] = me.get("organization") or {}
        token = login.session.source.current
        return LoginCard(
            service_user=str((me.get("serviceUser") or {}).get("name") or ""),
            organization=str(organization.get("organizationName") or (token.org_id if token else None) or ""),
            organization_type=login.organization_type,
            host=login.session.host,
            names=login.names,
            expires_at=token.expires_at if token else None,
            renews=login.session.source.renews,
            source=f"{login.session.credentials_source}. {self._notes}"
            if self._notes
            else login.session.credentials_source,
        )

    def _submit(self, key_id: str, secret: str) -> LoginCard:
        return self._login(Credentials.pasted(key_id, secret, source="the form"))

    def _demo(self) -> LoginCard:
        sandbox = self._flow.sandbox()
        if sandbox is None:
            raise InvalidArgument("The sandbox is not running any more; start it with %m3ter_sandbox.")
        environ = sandbox.environ
        return self._login(
            Credentials(environ["M3TER_API_KEY"], environ["M3TER_API_SECRET"], "the sandbox's demo")
        )

    def _login(self, credentials: Credentials) -> LoginCard:
        # Printed by a widget's message, a note would go where nobody looks: the card says it.
        self._notes = " ".join(credentials.notes)
        return self.card(self._flow.open(_typed(self._known, credentials), self.options, typed=True))

    def _logout(self) -> None:
        self._flow.remove(self.options.name)

    def _sandbox(self) -> None:
        sandbox = self._flow.start_sandbox()
        self.options = self.options._replace(base_url=sandbox.url, org_id=None)
        self._known = Settings()
        self.widget.set_host(self._flow.target(self.options, self._known))
        self.widget.offer_demo(self._demo)
        self.widget.binder = self.widget.sandbox_offered = False


def _typed(known: Settings, credentials: Credentials) -> Settings:
    return known._replace(credentials=credentials, token=None, source=credentials.source)


def _because_of(known: Settings, options: LoginOptions, *, of_form: bool = False) -> str:
    """Say who named the host, where that is a file: somebody else may have written it."""
    if options.base_url or not known.base_url_source.endswith(".env"):
        return ""
    said = f"the host is named by {known.base_url_source}"
    return f" Note that {said}." if of_form else f" ({said})"


@without_frames
def _asked(*, hidden_key_id: bool) -> Credentials:
    """Ask for key id and secret; the secret is never shown, the key id only where showing it keeps it nowhere.

    Raises:
        NotLoggedIn: Ctrl-C, Ctrl-D, or an interrupt.
    """
    import getpass

    try:
        key_id = getpass.getpass("Access Key id (hidden): ") if hidden_key_id else input("Access Key id: ")
        secret = getpass.getpass("Api Secret (hidden): ")
    except (KeyboardInterrupt, EOFError):
        cancelled = True
    else:
        cancelled = False
    if cancelled:  # out of the handler: the first error's frames hold what was typed
        print()  # noqa: T201 - the error begins on a line of its own
        raise NotLoggedIn(
            "Cancelled: nothing was sent. Run %m3ter_login again when you have the key at hand."
        )
    return Credentials.pasted(key_id, secret, source="the prompt")


def _sentence(login: Login) -> str:
    session = login.session
    token = session.source.current
    left = time_left(token.seconds_left if token is not None else None)
    renewed = "renewed by itself" if session.source.renews else "not renewed"
    organization = token.org_id if token is not None and token.org_id else "unknown"
    return (
        f"Logged in to {session.host} with the credentials from {session.credentials_source} "
        f"(organization {organization}): {' and '.join(login.names)} are ready, {left}, {renewed}."
    )
