"""The magics: one method for each verb, a few lines over the plain functions and classes that do the work.

Loading imports IPython and traitlets, which a shell has anyway, and of ours what a shell must know of the magics;
urllib3, ipywidgets, the sandbox, the logins and even the errors come with the first magic that needs them.
"""

from __future__ import annotations

from functools import cached_property, partial
from importlib import import_module
from types import MethodType
from typing import TYPE_CHECKING, Any

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Bool, Float, Int, TraitError, Unicode

from m3ter_nb.notebook.completion import MagicMatcher
from m3ter_nb.notebook.options import candidates, option, parsed
from m3ter_nb.notebook.question import asked_about, set_question_apart
from m3ter_nb.wording import on_a_line

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.notebook.log_in import LoginHandle
    from m3ter_nb.notebook.logins import Logins
    from m3ter_nb.notebook.twin import SandboxStatus
    from m3ter_nb.notebook.workbench import Workbench
    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.submission import Submission
    from m3ter_nb.views.card import Card
    from m3ter_nb.views.reference import Reference

__all__ = ["M3terMagics", "load", "unload"]

_FAULTS = ("fail", "delay", "drop", "cut", "expire", "refuse", "accept", "clear")
_SANDBOX_ACTIONS = ("start", "stop", "status", "assumptions", "reset", "log", *_FAULTS)


def _profile_names() -> list[str]:
    from m3ter_nb.auth.profiles import profiles

    return [profile.name for profile in profiles()]


@magics_class
class M3terMagics(Magics):
    """Log in to m3ter and call its API from a notebook."""

    base_url = Unicode(
        "", help="Base URL of the API for the next login; empty: M3TER_BASE_URL, then https://api.m3ter.com."
    ).tag(config=True)
    connect_timeout = Float(
        5.0, min=0.1, help="Seconds to wait for a connection, from the next login on."
    ).tag(config=True)
    read_timeout = Float(
        30.0, min=0.1, help="Seconds to wait for each piece of an answer, from the next login on."
    ).tag(config=True)
    total_timeout = Float(
        300.0, min=0.1, help="Seconds that a call may take in all, from the next login on."
    ).tag(config=True)
    max_answer_bytes = Int(
        200_000_000, min=1, help="Bytes of the longest answer that is taken, from the next login on."
    ).tag(config=True)
    refresh_margin = Float(
        300.0,
        min=0.0,
        help="Seconds before its end at which a token is renewed (at most a tenth of its lifetime), from the next login on.",
    ).tag(config=True)
    docs_url = Unicode(
        "https://docs.m3ter.com/llms.txt",
        help="Address of the documentation's index, in which %m3ter_docs finds pages; no token goes there.",
    ).tag(config=True)
    confirm_writes = Bool(True, help="Ask once before POST, PUT or DELETE to a PRODUCTION organization.").tag(
        config=True
    )

    def __init__(self, shell: InteractiveShell, **kwargs: Any) -> None:
        super().__init__(shell=shell, **kwargs)
        self._shell = shell
        names = {"--name": self._login_names}
        self._matcher = MagicMatcher(
            {
                "m3ter": self._call_words,
                "m3ter_docs": _docs_words,
                "m3ter_submit": self._submit_words,
                **{
                    magic.__name__: partial(candidates, magic, values=names)
                    for magic in (self.m3ter_login, self.m3ter_status, self.m3ter_logout, self.m3ter_sandbox)
                },
            },
        )

    @no_var_expand
    @option("--form", action="store_true", help="show the form, whatever the environment holds")
    @option("--prompt", action="store_true", help="ask with a prompt, the secret unseen")
    @option(
        "--env", nargs="?", const="", metavar="FILE", help="take the environment, or this .env FILE, or fail"
    )
    @option(
        "--profile",
        metavar="NAME",
        suggest=_profile_names,
        help="take the login remembered under this name, or with --remember keep it there",
    )
    @option(
        "--remember",
        action="store_true",
        help="keep key, secret, host and organization in the keychain of this computer",
    )
    @option("--org-id", metavar="ID", help="the organization that the token must be for")
    @option("--base-url", metavar="URL", help="base URL of the API, e.g. https://api.m3ter.com")
    @option("--name", help="bind NAME_token and NAME_session, for several logins side by side")
    @option(
        "--no-refresh",
        action="store_true",
        help="keep no secret: the token is not renewed, and its end is announced",
    )
    @option(
        "--show",
        choices=("curl", "python"),
        help="print the token request as code that runs, and log in to nothing",
    )
    @option("words", nargs="*", help="nothing: a key or a secret on this line would stay in the notebook")
    @line_magic
    @on_a_line()
    def m3ter_login(self, line: str) -> LoginHandle | None:
        """Log in to m3ter: get a bearer token, and bind m3ter_token and m3ter_session.

        With no option: complete credentials in the environment, then in a .env file, log in at once
        (M3TER_API_KEY and M3TER_API_SECRET, or M3TER_API_TOKEN; optional M3TER_ORG_ID and M3TER_BASE_URL).
        Then the secrets of Colab, Kaggle or Databricks, and the login that --remember has kept in this computer's keychain.
        Otherwise a notebook shows a form, and a terminal asks. Where nobody can type, an error says what to set.

        m3ter_token shows a mask and works as a str: requests.get(url, headers={"Authorization": f"Bearer {m3ter_token}"}).
        m3ter_session makes calls: m3ter_session.get("products"). Both stay fresh by themselves.

        Never write a key or a secret on this line: it would stay in the notebook and in IPython's history.
        """
        return self._workbench.log_in(parsed(M3terMagics.m3ter_login, line))

    @no_var_expand
    @option("--name", help="which login, where there are several")
    @line_magic
    @on_a_line()
    def m3ter_status(self, line: str) -> Card:
        """Show who is logged in, to which organization and host, where the credentials came from, and the time left."""
        from m3ter_nb.notebook.status import status_of

        name = parsed(M3terMagics.m3ter_status, line).name
        if "_workbench" not in vars(self):  # then no sandbox was started either
            return status_of(self._logins, name)
        return status_of(self._logins, name, has_stopped=self._workbench.twin.has_stopped)

    @no_var_expand
    @option("--name", help="which login, where there are several")
    @option(
        "--forget",
        nargs="?",
        const="",
        metavar="PROFILE",
        suggest=_profile_names,
        help="take a remembered login out of the keychain too: this one's, or the one named; needs no login",
    )
    @line_magic
    @on_a_line()
    def m3ter_logout(self, line: str) -> None:
        """Forget the token and the credentials, and remove m3ter_token and m3ter_session."""
        arguments = parsed(M3terMagics.m3ter_logout, line)
        self._workbench.log_out(arguments)

    @no_var_expand
    @needs_local_scope
    @line_cell_magic
    @on_a_line()
    def m3ter(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Call the m3ter API: %m3ter METHOD PATH [key=value ...] [options], or %%m3ter with the cell as JSON body.

        METHOD is GET, POST, PUT or DELETE. PATH without a leading slash is under /organizations/{orgId}/.
        key=value pairs are the query. {{expression}} in path, query or body takes a value from the notebook.

        --all           follow every page, and return the whole list
        --limit N       follow pages up to N items
        --body EXPR     a Python expression as JSON body
        --show curl     print the request as cURL (or python), with the token as a variable, and send nothing
        --name NAME     which login, where there are several
        --yes           do not ask before a write to a PRODUCTION organization

        PUT PATH --set key=value ... --unset key ... changes these fields alone: it reads the entity, shows what changes,
        and puts it back whole with its version. Dotted keys lead into objects and lists.
        --diff          show what would change, and send nothing

        products = %m3ter GET products --all
        %m3ter GET accounts codes=acme
        %m3ter help accounts            what can be called, and with what
        %m3ter PUT products/{{product["id"]}} --set name="New name" customFields.tier=gold
        """
        if (question := asked_about(line)) is not None:
            return self._look_up(question)
        from m3ter_nb.notebook.call_line import parse_call

        # Within a function, its own names go first, as everywhere in Python.
        call = parse_call(line, cell, {**self._shell.user_ns, **(local_ns or {})})
        return self._workbench.call(self._logins.get(call.name or None), call)

    @no_var_expand
    @option("source", help="a frame's name, or a path or glob of CSV or Parquet files")
    @option(
        "--meter",
        metavar="CODE",
        stray="the meter is given with --meter CODE.",
        help="the meter; its fields are read from m3ter",
    )
    @option("--uid", metavar="COLUMN", help="the source's own id of each row")
    @option("--key", nargs="+", metavar="COLUMN", help="the columns that together name a row")
    @option("--account", default="account", metavar="COLUMN", help="account codes; 'account' by default")
    @option("--ts", default="ts", metavar="COLUMN", help="times; 'ts' by default")
    @option(
        "--map", nargs="+", default=[], metavar="FIELD=COLUMN", help="fields whose column has another name"
    )
    @option(
        "--new-accounts",
        choices=("refuse", "create"),
        default="refuse",
        help="codes that m3ter does not know",
    )
    @option("--invalid", choices=("refuse", "skip"), default="refuse", help="rows that cannot be sent")
    @option("--timezone", default="UTC", metavar="ZONE", help="of times without one; UTC by default")
    @option("--journal", metavar="PATH", help="what was accepted; by default in .m3ter")
    @option(
        "--confirm",
        type=float,
        default=60,
        metavar="SECONDS",
        help="to wait for m3ter's count; 60 by default",
    )
    @option("--check", action="store_true", help="only say what is wrong with the rows; send nothing")
    @option("--yes", action="store_true", help="do not ask before rows go to a PRODUCTION organization")
    @option("--name", help="which login, where there are several")
    @needs_local_scope
    @line_magic
    @on_a_line()
    def m3ter_submit(self, line: str, local_ns: dict[str, Any] | None = None) -> Submission | UsageReport:
        """Get usage in: check rows, send them, and confirm that m3ter has counted each once.

        %m3ter_submit df --meter api_requests --uid event_id --check
        %m3ter_submit df --meter api_requests --uid event_id
        %m3ter_submit usage/2026-11-*.csv --meter api_requests

        Run again, the same line goes on where it stopped. It asks each time before rows go to a PRODUCTION
        organization.
        """
        from m3ter_nb.notebook.submit import submit

        arguments = parsed(M3terMagics.m3ter_submit, line)
        guard = self._workbench.guard if self.confirm_writes else None
        return submit(
            self._logins.get(arguments.name), arguments, {**self._shell.user_ns, **(local_ns or {})}, guard
        )

    @no_var_expand
    @line_magic
    @on_a_line()
    def m3ter_docs(self, line: str) -> Reference:
        """Look up what the m3ter API takes: %m3ter_docs WORDS, %m3ter_docs METHOD PATH, or alone for an overview.

        It needs no login. WORDS find operations by name, path and fields; METHOD PATH shows one of them whole:
        parameters, filters, fields with their limits, a body to start from, and the line to type.

        %m3ter_docs credit line items
        %m3ter_docs POST accounts
        """
        return self._look_up(line)

    @no_var_expand
    @option(
        "action",
        nargs="?",
        default="start",
        choices=_SANDBOX_ACTIONS,
        help="what to do; start is the default",
    )
    @option(
        "value", nargs="?", help="for fail: a status; for delay: seconds; for refuse and accept: a key id"
    )
    @option("--port", type=int, help="start: port on 127.0.0.1; any free one by default")
    @option(
        "--token-lifetime", type=int, metavar="SECONDS", help="start: lifetime of tokens, 18000 by default"
    )
    @option(
        "--visible-after",
        type=float,
        metavar="SECONDS",
        help="start: how long accepted usage takes to show, 0 by default",
    )
    @option("--times", type=int, default=1, metavar="N", help="faults: how many requests meet it")
    @option("--path", help="faults: only requests whose path ends so, e.g. /oauth/token")
    @option("--retry-after", type=float, metavar="SECONDS", help="fail: a Retry-After header")
    @line_magic
    @on_a_line()
    def m3ter_sandbox(self, line: str) -> SandboxStatus | None:
        """Run a m3ter twin on this machine, with public demo credentials: everything can be tried without an account.

        It sets M3TER_BASE_URL, M3TER_API_KEY, M3TER_API_SECRET and M3TER_ORG_ID in this kernel, and takes them back on
        stop. assumptions lists what it assumes about m3ter where the documentation is silent; log shows its latest
        requests; reset empties it.

        Trouble on demand, for lessons: fail 503, delay 2, drop, cut, expire (all tokens), refuse and accept (a key),
        clear.
        """
        arguments = parsed(M3terMagics.m3ter_sandbox, line)
        answer = self._workbench.twin.carry_out(arguments.action, arguments.value, vars(arguments))
        if not isinstance(answer, str):
            return answer
        _say(answer)
        return None

    def attach(self) -> None:
        """Register the magics, the hooks before and after each cell, and the completions."""
        self._shell.register_magics(self)
        self._shell.events.register("pre_run_cell", self._before_cell)
        self._shell.events.register("post_run_cell", self._after_cell)
        self._shell.Completer.custom_matchers.append(self._matcher)
        self._shell.input_transformers_cleanup.append(set_question_apart)

    def detach(self) -> None:
        """Take back all that the magics have put into the shell, the namespace and the environment."""
        ended = ["logged out"] if list(self._logins) else []
        self._logins.clear()
        if "_workbench" in vars(self) and self._workbench.close():
            ended.append("the sandbox has stopped")
        if ended:
            _say(f"m3ter_nb was unloaded: {' and '.join(ended)}.")
        self._shell.events.unregister("pre_run_cell", self._before_cell)
        self._shell.events.unregister("post_run_cell", self._after_cell)
        self._shell.Completer.custom_matchers.remove(self._matcher)
        self._shell.input_transformers_cleanup.remove(set_question_apart)
        configurables: list[Any] = self._shell.configurables
        configurables.remove(self)  # Magics puts itself there, so that %config knows it
        manager = self._shell.magics_manager
        manager.registry.pop(type(self).__name__, None)
        for kind in manager.magics.values():
            # No look at an attribute of the others: IPython's lazy ones would be loaded by it.
            bound = [(name, magic) for name, magic in kind.items() if isinstance(magic, MethodType)]
            for name in [name for name, magic in bound if magic.__self__ is self]:
                del kind[name]

    def _submit_words(self, before: str) -> list[str]:
        from m3ter_nb.notebook.submit import words

        return words(before, self._shell.user_ns) or candidates(
            self.m3ter_submit, before, values={"--name": self._login_names}
        )

    def _before_cell(self, _info: object = None) -> None:
        if "_logins" in vars(self):
            self._logins.before_cell()
        if "_workbench" in vars(self):
            self._workbench.before_cell()

    def _after_cell(self, _result: object = None) -> None:
        if "_workbench" in vars(self):
            self._workbench.after_cell()

    def _call_words(self, before: str) -> list[str]:
        from m3ter_nb.notebook.words import completions

        return completions("%m3ter " + before, logins=self._login_names())

    def _look_up(self, line: str) -> Reference:
        from m3ter_nb.api.docs_index import cached_pages
        from m3ter_nb.notebook.docs import look_up

        return look_up(line, partial(cached_pages, self.docs_url))

    def _login_names(self) -> list[str]:
        return [login.name for login in self._logins] if "_logins" in vars(self) else []

    @cached_property
    def _logins(self) -> Logins:
        from m3ter_nb.notebook.logins import Logins

        return Logins(self._shell.user_ns, _say)

    @cached_property
    def _workbench(self) -> Workbench:
        # Before all that is ours and imports it: CPython 3.11 and later take 30 ms longer where hot code, here that which
        # compiles urllib3's patterns, lies across two chunks of the interpreter's stack, and so it does further in.
        import_module("urllib3")
        from m3ter_nb.notebook.workbench import Workbench

        return Workbench(self._shell, self, self._logins, _say)


def load(shell: InteractiveShell) -> None:
    """Register the magics in a shell."""
    try:
        magics = M3terMagics(shell)
    except TraitError as error:
        # %config keeps a value that it has refused; without this the extension could not be loaded again.
        del shell.config[M3terMagics.__name__]
        configurables: list[Any] = shell.configurables
        configurables[:] = [known for known in configurables if not isinstance(known, M3terMagics)]
        magics = M3terMagics(shell)
        _say(f"A configured value was refused ({error}): the defaults are used.")
    magics.attach()


def unload(shell: InteractiveShell) -> None:
    """Take back all that :func:`load`, and using the magics, has left in the shell."""
    magics = shell.magics_manager.registry.get(M3terMagics.__name__)
    if magics is not None:
        magics.detach()


def _say(text: str) -> None:
    """Print a sentence, broken between its words (JupyterLab breaks within them), or lines of code as they are."""
    from m3ter_nb.spelling import fold, printable, spell_out

    lines = "\n".join(fold(text, 80)).split("\n")
    print(printable("\n".join(map(spell_out, lines))))  # noqa: T201 - what a magic says to the person who runs it


def _docs_words(before: str) -> list[str]:
    from m3ter_nb.notebook.words import docs_completions

    return docs_completions(before)
