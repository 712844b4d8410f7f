"""What the magics of one shell work with, put together in one place.

Made with the first magic that is run, not with the extension: what it is made of brings urllib3.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from IPython.display import display, publish_display_data

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook import front_end
from m3ter_nb.notebook.idle import IdleWatch
from m3ter_nb.notebook.log_in import Desk, LoginFlow, LoginHandle
from m3ter_nb.notebook.login_options import LoginOptions
from m3ter_nb.notebook.logins import checked_name
from m3ter_nb.notebook.twin import SandboxControl
from m3ter_nb.views.card import Card
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, checked_base_url
from m3ter_nb.wire.transport import Timeout

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.notebook.call import WriteGuard
    from m3ter_nb.notebook.call_line import Call
    from m3ter_nb.notebook.logins import Login, Logins

__all__ = ["LoginConfig", "Workbench"]


class LoginConfig(Protocol):
    """What ``%config M3terMagics`` sets for logins and calls."""

    base_url: str
    confirm_writes: bool
    connect_timeout: float
    read_timeout: float
    total_timeout: float
    max_answer_bytes: int
    refresh_margin: float


class Workbench:
    """Logins, the way in, the sandbox and the guard before writes, of one shell.

    Args:
        shell: the shell.
        config: what ``%config`` sets.
        logins: of the notebook.
        say: tells the person something.

    Attributes:
        twin: the kernel's sandbox.
        flow: what logs in and out.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        config: LoginConfig,
        logins: Logins,
        say: Callable[[str], None],
    ) -> None:
        self._shell = shell
        self._config = config
        self._say = say
        self._doubted: set[str] = set()
        self.twin = SandboxControl()
        self._idle = IdleWatch()
        desk = Desk(say, _show, cell=lambda: shell.execution_count, idle=lambda: self._idle.seconds)
        self.flow = LoginFlow(logins, self.twin, desk)

    @cached_property
    def guard(self) -> WriteGuard:
        """What asks before a write to a PRODUCTION organization."""
        from m3ter_nb.notebook.call import WriteGuard

        return WriteGuard(
            lambda: input if front_end.can_prompt(self._shell) else None,
            lambda: self.twin.running.url if self.twin.running else "",
        )

    def log_in(self, arguments: Namespace) -> LoginHandle | None:
        """Log in as the options of ``%m3ter_login`` say, or print the token request as code that runs.

        Raises:
            InvalidArgument: options exclude each other, or there is a word that is none.
            M3terError: as :meth:`LoginFlow.login`.
        """
        if arguments.words:
            raise InvalidArgument(
                "A key or a secret is never an argument: it stays in this cell and in IPython's history. Delete it "
                "from the cell, rotate the key if it was real, and run %m3ter_login alone.",
            )
        if arguments.show:
            self._show_login(arguments)
            return None
        return self.flow.login(self._login_options(arguments), front_end.look_at(self._shell))

    def log_out(self, arguments: Namespace) -> None:
        """Log out as the options of ``%m3ter_logout`` say.

        Raises:
            InvalidArgument: no login can have this name.
            M3terError: as :meth:`LoginFlow.logout`.
        """
        self.flow.logout(checked_name(arguments.name), arguments.forget)

    def _login_options(self, arguments: Namespace) -> LoginOptions:
        chosen = {"form": arguments.form, "prompt": arguments.prompt, "env": arguments.env is not None}
        ways = [way for way, is_chosen in chosen.items() if is_chosen]
        if len(ways) > 1:
            raise InvalidArgument(f"--{' and --'.join(ways)} exclude each other; choose one.")
        if arguments.profile is not None:
            from m3ter_nb.auth.profiles import checked_profile

            checked_profile(arguments.profile)
            if ways and ways != ["form"] and not arguments.remember:
                raise InvalidArgument(
                    f"--profile with --{ways[0]} says where to keep the login: add --remember, or leave --{ways[0]} out."
                )
        return LoginOptions(
            way=ways[0] if ways else None,
            dotenv=arguments.env or None,
            name=checked_name(arguments.name),
            org_id=arguments.org_id,
            base_url=arguments.base_url or self._config.base_url or None,
            refresh=not arguments.no_refresh,
            profile=arguments.profile,
            remember=arguments.remember,
            timeout=Timeout(self._config.connect_timeout, self._config.read_timeout),
            total_timeout=self._config.total_timeout,
            max_answer_bytes=self._config.max_answer_bytes,
            margin=self._config.refresh_margin,
        )

    def call(self, login: Login, call: Call) -> Any:
        """Make a call of ``%m3ter``; what the API does not know of it is said once a cell.

        Raises:
            M3terError: as :func:`m3ter_nb.notebook.call.carry_out`.
        """
        from m3ter_nb.api.doubts import heard_by
        from m3ter_nb.notebook.call import carry_out

        with heard_by(self._say_once):
            return carry_out(login, call, self.guard if self._config.confirm_writes else None, self._say)

    def before_cell(self) -> None:
        """Take note that a cell starts, and forget what was said in the one before."""
        self._idle.before_cell()
        self._doubted.clear()

    def after_cell(self) -> None:
        """Take note that a cell has ended."""
        self._idle.after_cell()

    def _say_once(self, doubt: str) -> None:
        if doubt not in self._doubted:
            self._doubted.add(doubt)
            self._say(doubt)

    def _show_login(self, arguments: Namespace) -> None:
        from m3ter_nb.auth.settings import find_host
        from m3ter_nb.bridges import snippets

        base_url = arguments.base_url or self._config.base_url or find_host().base_url or DEFAULT_BASE_URL
        write = snippets.curl_login if arguments.show == "curl" else snippets.python_login
        self._say(write(checked_base_url(base_url)))

    def close(self) -> bool:
        """Forget the forms and stop the sandbox; tell whether one ran."""
        self.flow.close()
        return self.twin.stop()


def _show(value: object) -> None:
    publish: Callable[..., None] = publish_display_data
    choose: Callable[..., object] = display
    if isinstance(value, Card):  # at once: choosing among IPython's formatters takes as long as a login
        publish({"text/plain": repr(value), "text/html": value._repr_html_()})
    else:
        choose(value)
