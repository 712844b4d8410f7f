"""The logins of one notebook: named sessions, and the variables of the namespace that follow them.

Plain Python over a dict; the magics give it the notebook's namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

from m3ter_nb.errors import InvalidArgument, M3terError, NotLoggedIn
from m3ter_nb.spelling import printable, spell_out

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, MutableMapping

    from m3ter_nb.api.session import M3terSession

__all__ = ["DEFAULT_NAME", "Login", "Logins", "NotYet", "checked_name", "name_option"]

DEFAULT_NAME = "m3ter"

# Seconds before its end at which a token that is not renewed is announced to end.
_ANNOUNCED = 300.0


class NotYet:
    """Stands for a variable until the form is submitted: showing it says so, any use raises :class:`NotLoggedIn`.

    Args:
        advice: returns what to do, as a phrase that fits after "yet:".
    """

    def __init__(self, advice: Callable[[], str]) -> None:
        self._advice = advice

    def __repr__(self) -> str:
        return printable(spell_out(f"<not logged in yet: {self._advice()}>"))

    def __getattr__(self, name: str) -> Never:
        if name.startswith("_"):  # inspectors and IPython's display ask for these
            raise AttributeError(name)
        raise NotLoggedIn(f"Not logged in yet: {self._advice()}.")

    def _use(self, *_args: object, **_kwargs: object) -> Never:
        raise NotLoggedIn(f"Not logged in yet: {self._advice()}.")

    __str__ = __format__ = __add__ = __radd__ = __mod__ = __rmod__ = _use
    __call__ = __iter__ = __len__ = __getitem__ = __contains__ = __bool__ = _use
    __enter__ = __exit__ = __await__ = __bytes__ = _use


class Login:
    """One named login.

    Args:
        name: ``"m3ter"``, or what ``--name`` said.
        session: the session.
        typed: whether a person typed the credentials.

    Attributes:
        names: the two variables that it binds.
        bound: the variables that it has bound, and to what.
        announced: whether the end of a token that is not renewed has been announced.
        profile: under which it is remembered, ``""`` where it is not.
    """

    def __init__(self, name: str, session: M3terSession, *, typed: bool) -> None:
        self.name = name
        self.names = (f"{name}_token", f"{name}_session")
        self.session = session
        self.typed = typed
        self.bound: dict[str, object] = {}
        self.announced = False
        self.profile = ""
        self._me: dict[str, Any] | None = None

    def me(self) -> dict[str, Any]:
        """Return who this is (``users/me``), asked for once; empty where it cannot be known now."""
        if self._me is None:
            try:
                self._me = self.session.whoami()
            except M3terError:
                return {}
        return self._me

    @property
    def organization_type(self) -> str:
        """``"PRODUCTION"``, ``"SANDBOX"``, or ``""`` where it cannot be known."""
        kind = _part(self.me(), "organization").get("type")
        return kind if kind in ("PRODUCTION", "SANDBOX") else ""

    @property
    def organization_name(self) -> str:
        """The organization's name, ``""`` where it cannot be known."""
        return _text(_part(self.me(), "organization").get("organizationName"))

    @property
    def organization(self) -> str:
        """The organization's name and id, as far as they are known."""
        said = _part(self.me(), "organization")
        token = self.session.source.current
        org_id = _text(said.get("orgId")) or (token.org_id if token is not None else None) or ""
        name = self.organization_name
        return f"{name} ({org_id})" if name and org_id else name or org_id

    @property
    def user(self) -> str:
        """The name of the service user, or of the user; ``""`` where it cannot be known."""
        me = self.me()
        user = _part(me, "serviceUser") or _part(me, "user")
        return _text(user.get("name")) or _text(user.get("email"))


class Logins:
    """All logins of one namespace.

    Args:
        namespace: where the variables are bound; None to bind none.
        notify: is told what a person should know.
    """

    def __init__(
        self, namespace: MutableMapping[str, Any] | None, notify: Callable[[str], None] = print
    ) -> None:
        self._namespace: MutableMapping[str, Any] = {} if namespace is None else namespace
        self._binds = namespace is not None
        self._notify = notify
        self._logins: dict[str, Login] = {}
        self._waiting: dict[str, dict[str, NotYet]] = {}
        self._advice: dict[str, Callable[[], str]] = {}
        self._left: set[str] = set()
        self._waiters: list[asyncio.Future[None]] = []
        self._listeners: list[Callable[[str, Login | None], None]] = []

    def __iter__(self) -> Iterator[Login]:
        return iter(list(self._logins.values()))

    def find(self, name: str) -> Login | None:
        """Return the login of a name, or None."""
        return self._logins.get(name)

    def get(self, name: str | None) -> Login:
        """Return the login of a name; None is that of the plain one.

        Raises:
            NotLoggedIn: there is none.
        """
        name = DEFAULT_NAME if name is None else name
        login = self._logins.get(name)
        if login is not None:
            return login
        if name in self._waiting:
            raise NotLoggedIn(f"Not logged in yet: {self._advice[name]()}.")
        others = ", ".join(self._logins)
        hint = f" Logged in: {others}." if others else ""
        raise NotLoggedIn(self.absence(name) + hint)

    def absence(self, name: str) -> str:
        """Say that there is no login of a name, and how there will be one."""
        known = name in self._left or name in self._logins or name in self._waiting
        option = name_option(name if known else "NAME") if name != DEFAULT_NAME else ""
        if name in self._left:
            return f"Logged out: %m3ter_login{option} logs in again."
        return f"Not logged in{' under this name' if option else ''}: run %m3ter_login{option} first."

    def await_form(self, name: str, advice: Callable[[], str]) -> None:
        """Bind the names to stand-ins that say what to do, until the form is submitted.

        Args:
            name: of the login.
            advice: as :class:`NotYet` takes it.
        """
        if name in self._logins:
            return
        stand_ins = {variable: NotYet(advice) for variable in (f"{name}_token", f"{name}_session")}
        self._waiting[name], self._advice[name] = stand_ins, advice
        self._namespace.update(stand_ins)

    def add(self, name: str, session: M3terSession, *, typed: bool) -> Login:
        """Keep a session under a name, close the one it follows or take it over, and bind its two variables."""
        previous = self._logins.get(name)
        if previous is not None and not session.take_over(previous.session):
            previous.session.source.forget(
                f"A later login as {name} closed this session, for it has another key, host or organization. "
                f"Go on with {name}_session."
            )
            previous.session.close()
        login = self._logins[name] = Login(name, session, typed=typed)
        self._waiting.pop(name, None)
        self._left.discard(name)
        if self._binds:
            login.bound = dict(zip(login.names, (session.token, session), strict=True))
        self._namespace.update(login.bound)
        for future in self._waiters:
            future.get_loop().call_soon_threadsafe(_resolve, future)
        self._waiters.clear()
        self._tell(name, login)
        return login

    def remove(self, name: str) -> bool:
        """Forget a login and its variables; a variable that the user has bound anew stays. Tell whether there was one."""
        login = self._logins.pop(name, None)
        bound: dict[str, Any] = dict(self._waiting.pop(name, {}))
        if login is not None:
            self._left.add(name)
            bound |= login.bound
            login.session.source.forget(
                f"This session was logged out. Go on with {login.names[1]}, once you have logged in again "
                f"(%m3ter_login{name_option(name)})."
            )
            login.session.close()
        for variable, value in bound.items():
            if self._namespace.get(variable) is value:
                del self._namespace[variable]
        self._tell(name, None)
        return login is not None

    def clear(self) -> None:
        """Forget every login."""
        for name in {*self._logins, *self._waiting}:
            self.remove(name)

    def on_change(self, listener: Callable[[str, Login | None], None]) -> None:
        """Have a callable told of each login that is new or has a new token, by name, and with None of each that has gone."""
        self._listeners.append(listener)

    def _tell(self, name: str, login: Login | None) -> None:
        for listener in self._listeners:
            listener(name, login)

    def before_cell(self) -> None:
        """Renew what is near its end and rebind its variable; almost free when there is nothing to do."""
        for login in self:
            source = login.session.source
            variable = login.names[0]
            if source.due():
                # Nothing to do about a failure here: the source has said so, and a call that needs a token will raise.
                try:
                    source.token()
                except M3terError as error:
                    self._notify(f"{variable}: {error}")
                except KeyboardInterrupt:  # IPython would print a traceback and run the cell all the same
                    self._notify(f"{variable}: its renewal was interrupted; the next cell tries again.")
            current = source.current
            bound = login.bound.get(variable)
            if current is not bound and current is not None:
                login.bound[variable] = current
                if self._namespace.get(variable) is bound:
                    self._namespace[variable] = current
                self._tell(login.name, login)
            elif not source.renews and not login.announced:
                self._announce(login)

    def _announce(self, login: Login) -> None:
        """Say once that a token that cannot be renewed is about to end."""
        token = login.session.source.current
        left = token.seconds_left if token is not None else None
        if token is None or left is None or left > min(_ANNOUNCED, (token.lifetime or _ANNOUNCED) / 10):
            return
        login.announced = True
        ends = f"ends in {left:.0f} s" if left else "has ended"
        self._notify(
            f"{login.names[0]} {ends} and cannot be renewed: run %m3ter_login{name_option(login.name)} again."
        )

    async def wait(self, name: str, seconds: float | None = None) -> Login | None:
        """Wait until there is a login of that name, and return it; None where there is none after so many seconds."""
        from asyncio import get_running_loop, wait

        loop = get_running_loop()
        until = None if seconds is None else loop.time() + seconds
        while (login := self._logins.get(name)) is None:
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append(future)
            left = None if until is None else until - loop.time()
            if not (await wait([future], timeout=left))[0]:
                return None
        return login


def checked_name(name: str | None) -> str:
    """Return a login's name if variables can be called by it; for None, that of the plain one.

    Raises:
        InvalidArgument: it is no Python identifier.
    """
    if name is None:
        return DEFAULT_NAME
    if not name.isidentifier():
        raise InvalidArgument(
            "--name takes letters, digits and _, for variables are called by it, e.g. --name staging."
        )
    return name


def name_option(name: str) -> str:
    """Return what says on a magic's line which login is meant; nothing for the plain one."""
    return "" if name == DEFAULT_NAME else f" --name {name}"


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _part(me: dict[str, Any], key: str) -> dict[str, Any]:
    part = me.get(key)
    return part if isinstance(part, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
