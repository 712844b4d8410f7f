"""How ``%m3ter_login`` goes: which way it takes, why, and what it says.

In this order: complete credentials in the environment or ``.env``; the platform's secrets; a remembered profile; a form, where a notebook shows one; a prompt, in a
terminal; otherwise an error that names the variables to set. Never a form that nobody can fill, never a hang.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from m3ter_nb.auth.search import search
from m3ter_nb.auth.settings import Settings, find_host, find_settings
from m3ter_nb.errors import CredentialsMissing, M3terError, NotLoggedIn
from m3ter_nb.notebook.login_options import keep_login
from m3ter_nb.notebook.logins import DEFAULT_NAME
from m3ter_nb.notebook.status import login_card, login_sentence
from m3ter_nb.spelling import with_literal_repr
from m3ter_nb.views.card import Card

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.notebook.by_form import FormLogin
    from m3ter_nb.notebook.front_end import FrontEnd
    from m3ter_nb.notebook.login_options import LoginOptions
    from m3ter_nb.notebook.logins import Login, Logins
    from m3ter_nb.notebook.twin import SandboxControl

__all__ = ["Desk", "LoginFlow", "LoginHandle"]

_VARIABLES_TO_SET = (
    "set M3TER_API_KEY and M3TER_API_SECRET in the environment or in a .env file (M3TER_ORG_ID and M3TER_BASE_URL "
    "are optional)"
)

_PUBLIC = {"binder": "Binder machines are public", "page": "Anybody can host a page like this one"}
_NO_WAIT = "This kernel cannot wait for the form (that takes ipykernel 7.4 or later)"
_NO_WAIT_IN_PAGE = "A browser page cannot wait for the form (its kernel takes one message at a time)"

# Seconds after which a form that nobody has seen is spoken of.
_PATIENCE = 10.0
# Seconds in which an idle kernel hears of a form that was drawn.
_UNSEEN_AFTER = 3.0


class Desk(NamedTuple):
    """Where things are said and shown.

    Attributes:
        say: tells the person something, one line at a time.
        show: displays a form or a card.
        cell: returns what tells a cell from the next.
        idle: returns how many seconds the kernel had nothing to do before this cell.
    """

    say: Callable[[str], None]
    show: Callable[[object], object]
    cell: Callable[[], object] = int
    idle: Callable[[], float] = float


@with_literal_repr
class LoginHandle:
    """What ``%m3ter_login`` returns: it says how the login went, has its ``session``, and can be awaited.

    Args:
        logins: the notebook's logins.
        name: of the login.
        form: that logs in, where there is one.
        front_end: what the front end can do.
        desk: where things are said and shown.
    """

    def __init__(
        self, logins: Logins, name: str, form: FormLogin | None, front_end: FrontEnd, desk: Desk
    ) -> None:
        self._logins = logins
        self._name = name
        self._form = form
        self._front_end = front_end
        self._desk = desk
        self._told_in = desk.cell()

    @property
    def session(self) -> M3terSession:
        """The session.

        Raises:
            NotLoggedIn: the form has not been submitted.
        """
        return self._logins.get(self._name).session

    def __await__(self) -> Generator[Any, None, M3terSession]:
        """Wait until the form has been submitted, and return the session; at once where the login is there.

        Raises:
            NotLoggedIn: there is no form, this kernel handles it only between cells, or nobody can fill it.
        """
        return self._submitted().__await__()

    async def _submitted(self) -> M3terSession:
        if self._form is None or self._logins.find(self._name) is not None:
            return self.session
        if not self._front_end.waits:
            who = _NO_WAIT_IN_PAGE if self._front_end.place == "page" else _NO_WAIT
            raise NotLoggedIn(f"{who}: {_advice(self._form, self._front_end)}.")
        if await self._logins.wait(self._name, _PATIENCE) is None and not self._form.seen:
            if not self._front_end.prompts:
                raise NotLoggedIn(f"Nobody has seen the form: {_VARIABLES_TO_SET}.")
            self._desk.say("No form seen yet: scroll up to it, or interrupt and run %m3ter_login --prompt.")
        await self._logins.wait(self._name)
        return self.session

    def __repr__(self) -> str:
        login = self._logins.find(self._name)
        if login is not None:
            return login_sentence(login)
        if self._form is None:
            return self._logins.absence(self._name)
        return f"Not logged in yet: {_advice(self._form, self._front_end)}."

    def _ipython_display_(self) -> None:
        if self._desk.cell() == self._told_in:  # in its own cell the login has spoken for itself
            return
        login = self._logins.find(self._name)
        self._desk.show(Card(repr(self)) if login is None else login_card(login))


class LoginFlow:
    """Carries out ``%m3ter_login`` and ``%m3ter_logout``.

    Args:
        logins: the notebook's logins.
        twin: the kernel's sandbox.
        desk: where things are said and shown.
    """

    def __init__(self, logins: Logins, twin: SandboxControl, desk: Desk) -> None:
        self._logins = logins
        self._twin = twin
        self._desk = desk
        self._say = desk.say
        self._forms: list[FormLogin] = []

    def login(self, options: LoginOptions, front_end: FrontEnd) -> LoginHandle:
        """Log in, or show the form that does.

        Raises:
            CredentialsError, ConnectionFailed, InvalidArgument: as :func:`m3ter_nb.login`.
            NotLoggedIn: the prompt was left with Ctrl-C or Ctrl-D.
        """
        form: FormLogin | None = None
        if options.way == "form" and front_end.shows_forms:
            form = self._by_form(options, self._told(find_host()), front_end, "")
        elif options.way == "prompt":
            self._by_prompt(options, self._told(find_host()), front_end)
        else:
            form = self._by_finding(options, front_end)
        return LoginHandle(self._logins, options.name, form, front_end, self._desk)

    def logout(self, name: str, forget: str | None = None) -> None:
        """Forget a login, and say so; say too if something would log in again.

        Args:
            name: of the login.
            forget: a profile to take out of the keychain too; ``""`` for the one that the login is of, else the
                default; None for none.

        Raises:
            CredentialsMissing: no profile of that name is remembered.
            KeychainUnavailable: the keychain is not there, or did not take it out.
        """
        from m3ter_nb.auth.profiles import default_profile

        forgotten = "" if forget is None else self._forget_profile(name, forget)
        was_there = self._logins.remove(name)
        option = f" --name {name}" if was_there and name != DEFAULT_NAME else ""
        again = f"%m3ter_login{option} logs in again." if was_there else ""
        try:
            settings = find_settings(pipes=False)
        except M3terError:
            settings = Settings()
        if settings.complete:
            again = f"Credentials are still in {settings.source}: %m3ter_login{option} logs in again without asking."
        elif remembered := default_profile():
            again = (
                f"The profile {remembered} is remembered: %m3ter_login{option} logs in again without asking."
            )
        others = ", ".join(login.name for login in self._logins)
        absence = f"Not logged in under this name. Logged in: {others}." if others else "Not logged in."
        said = "Logged out: token and credentials are forgotten." if was_there else absence
        self._say(" ".join(filter(None, ("" if forgotten and not was_there else said, forgotten, again))))

    def _forget_profile(self, name: str, profile: str) -> str:
        from m3ter_nb.auth.profiles import DEFAULT_PROFILE, unknown_profile
        from m3ter_nb.auth.profiles import forget as forget_profile

        login = self._logins.find(name)
        profile = profile or (login.profile if login is not None else "") or DEFAULT_PROFILE
        if not forget_profile(profile):
            raise unknown_profile("No profile of that name is remembered")
        return f"The profile {profile} is taken out of the keychain."

    def close(self) -> None:
        """Forget the forms."""
        for form in self._forms:
            form.widget.close()
        self._forms.clear()

    def _by_finding(self, options: LoginOptions, front_end: FrontEnd) -> FormLogin | None:
        """Take what the environment or ``.env`` holds; failing that, ask where somebody can answer."""
        settings = _find(options)
        if settings.complete:
            self._by_settings(settings, options, front_end)
            return None
        settings = self._told(settings)
        if options.way == "env":
            raise CredentialsMissing(
                f"No credentials in the environment or a .env file: {_VARIABLES_TO_SET}."
            )
        if options.way == "form" and front_end.draws:
            return self._by_form(options, settings, front_end, "")
        if front_end.prompts and self._drawn_nowhere(options.name):
            self._say("The form above was never drawn, so here is a prompt.")
            self._by_prompt(options, settings, front_end)
        elif front_end.shows_forms:
            notice = "No credentials in the environment or a .env file, so here is the form."
            return self._by_form(options, settings, front_end, notice)
        elif front_end.prompts:
            self._by_prompt(options, settings, front_end)
        else:
            raise CredentialsMissing(
                "No credentials found, and nobody can type here (a job, papermill, nbconvert or nbval): "
                f"{_VARIABLES_TO_SET}.",
            )
        return None

    def _drawn_nowhere(self, name: str) -> bool:
        """Whether there are forms of a name, the front end has had time to draw them, and has drawn none."""
        forms = [form for form in self._forms if form.name == name]
        return bool(forms) and self._desk.idle() > _UNSEEN_AFTER and not any(form.seen for form in forms)

    def _by_settings(self, settings: Settings, options: LoginOptions, front_end: FrontEnd) -> None:
        if options.way == "form":
            self._say(f"Nobody can fill a form here: logging in with the credentials from {settings.source}.")
        login = self._open(settings, options, typed=False)
        if front_end.place and not login.session.is_loopback:
            self._say(
                f"{_PUBLIC[front_end.place]}: real credentials do not belong here. Rotate this key afterwards."
            )

    def _by_prompt(self, options: LoginOptions, known: Settings, front_end: FrontEnd) -> None:
        from m3ter_nb.notebook.by_prompt import ask_credentials, confirm_host

        if not front_end.prompts:
            raise CredentialsMissing(f"Nobody can answer a prompt here: {_VARIABLES_TO_SET}.")
        why = options.why_host(known)
        self._say(
            f"Logging in to {options.host_with(known)}{f' ({why})' if why else ''}. Nothing you type is kept in the "
            "notebook."
        )
        if options.doubt(known):
            confirm_host(options.host_with(known))
        credentials = ask_credentials(hidden_key_id=front_end.echoes)
        self._open(known.with_credentials(credentials), options, typed=True)

    def _by_form(self, options: LoginOptions, known: Settings, front_end: FrontEnd, notice: str) -> FormLogin:
        from m3ter_nb.notebook.by_form import FormLogin

        why = options.why_host(known)
        form = FormLogin(
            self._logins,
            self._twin,
            options,
            known,
            place=front_end.place,
            notice=f"{notice} Note that {why}.".lstrip() if why and not options.doubt(known) else notice,
            notify=self._say,
        )
        self._forms.append(form)
        if not form.resume():
            self._logins.await_form(options.name, partial(_advice, form, front_end))
        self._desk.show(form.widget)
        return form

    def _told(self, settings: Settings) -> Settings:
        """Say now what was mended or passed over: a form would say it where nobody looks."""
        for note in settings.notes:
            self._say(note)
        return settings._replace(notes=())

    def _open(self, settings: Settings, options: LoginOptions, *, typed: bool) -> Login:
        """Make the token request, bind the names, and say so."""
        login = self._logins.add(options.name, options.open(settings, self._say), typed=typed)
        login.profile = settings.profile
        kept = keep_login(options, login, settings.credentials) if options.remember else ""
        self._desk.show(login_card(login))
        if kept:
            self._say(kept)
        return login


def _find(options: LoginOptions) -> Settings:
    """Find credentials where the options let them be: by name in the keychain, in the environment and ``.env``, or all."""
    if options.way == "env":
        return find_settings(dotenv=options.dotenv)
    if options.profile is not None and not options.remember:
        from m3ter_nb.auth.bound import recall

        return recall(options.profile)
    # What is to be remembered does not come from the keychain.
    return search(take_remembered=not options.remember)


def _advice(form: FormLogin, front_end: FrontEnd) -> str:
    """Say what leads from a form to a login; where no view has been drawn, name the other way too."""
    other = "run %m3ter_login --prompt" if front_end.prompts else "set M3TER_API_KEY and M3TER_API_SECRET"
    return f"submit the form above{'' if form.seen else f', or {other}'}, then run this cell again"
