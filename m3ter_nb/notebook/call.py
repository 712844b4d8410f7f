"""What ``%m3ter`` does with a call: show it, confirm it, make it, follow its pages."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from m3ter_nb.api.doubts import doubts
from m3ter_nb.api.operations import largest_page, reads_only
from m3ter_nb.api.pages import Pages
from m3ter_nb.errors import ConfirmationNeeded, M3terError
from m3ter_nb.spelling import printable, spell_out
from m3ter_nb.views.records import Records, as_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from m3ter_nb.api.update import Edit
    from m3ter_nb.notebook.call_line import Call
    from m3ter_nb.notebook.logins import Login

__all__ = ["WriteGuard", "carry_out", "make_call", "snippet"]

# Seconds before a progress bar appears: a short list needs none.
_PROGRESS_DELAY = 1.0
_YES = {"y", "yes"}


class WriteGuard:
    """Asks before a write to a PRODUCTION organization: once for each organization, and before each change of fields.

    Args:
        ask: returns what puts a question and returns the answer; None where nobody can answer.
        sandbox_url: returns the base URL of the kernel's own sandbox, ``""`` where none runs.
    """

    def __init__(
        self, ask: Callable[[], Callable[[str], str] | None], sandbox_url: Callable[[], str]
    ) -> None:
        self._ask = ask
        self._sandbox_url = sandbox_url
        self._confirmed: set[str] = set()

    def check(self, login: Login, call: Call) -> None:
        """Let a call pass, or ask.

        Raises:
            ConfirmationNeeded: the answer was no, or nobody can answer.
        """
        if call.yes or reads_only(call.method, call.path) or login.session.org_id in self._confirmed:
            return
        if self._put(login, f"{call.method} {call.path} writes", "Go on, for the rest of this kernel?"):
            self._confirmed.add(login.session.org_id)

    def check_each(self, login: Login, what: str, *, yes: bool) -> None:
        """Let one write pass, or ask, however often it has asked before.

        Args:
            login: that writes.
            what: subject and verb of the question: ``"%m3ter_submit of 5 rows writes"``.
            yes: whether ``--yes`` was given.

        Raises:
            ConfirmationNeeded: the answer was no, or nobody can answer.
        """
        if not yes:
            self._put(login, what, "Go on?")

    def _put(self, login: Login, what: str, question: str) -> bool:
        """Ask before a write to a PRODUCTION organization; tell whether that was needed.

        Raises:
            ConfirmationNeeded: the answer was no, or nobody can answer.
        """
        session, kind = login.session, login.organization_type
        if session.base_url == self._sandbox_url() or kind == "SANDBOX" or (not kind and session.is_loopback):
            return False
        organization = login.organization or session.org_id
        what = f"{what} to the {kind or 'possibly PRODUCTION'} organization {organization}"
        ask = self._ask()
        if ask is None:
            raise ConfirmationNeeded(
                f"{what}, and nobody can confirm it here. Add --yes, or set %config M3terMagics.confirm_writes = False.",
            )
        try:
            answer = ask(printable(f"{spell_out(what)}. {question} [y/N] "))
        except (EOFError, KeyboardInterrupt):
            answer = ""
        if answer.strip().lower() not in _YES:
            raise ConfirmationNeeded("Not confirmed: nothing was sent.")
        return True


def carry_out(login: Login, call: Call, guard: WriteGuard | None, say: Callable[[str], None]) -> Any:
    """Do what a line asks for: show the request, change fields, or make the call.

    Args:
        login: which one.
        call: what the line asks for.
        guard: asks before a write, or None.
        say: tells the person something.

    Raises:
        ConfirmationNeeded: nobody confirmed a write.
        M3terError: as :func:`make_call`, or :func:`m3ter_nb.notebook.edit.make_edit`.
    """
    if call.show:
        say(snippet(login, call))
        return None
    if call.edits is not None:
        from m3ter_nb.notebook.edit import make_edit

        def confirm(edit: Edit) -> None:
            if guard is not None:
                keys = [change.key for change in edit.changes]
                shown = ", ".join(keys[:5]) + (", …" if len(keys) > 5 else "")
                what = f"{call.method} {call.path} writes {shown}"
                guard.check_each(login, what, yes=call.yes)

        return make_edit(login, call.path, call.edits, confirm, say)
    if guard is not None:
        guard.check(login, call)
    return make_call(login, call, say)


def make_call(login: Login, call: Call, say: Callable[[str], None]) -> Any:
    """Make a call and return its answer as a value that shows itself.

    Returns:
        Record | Records | None: a :class:`~m3ter_nb.views.records.Records` with ``--all`` or ``--limit``, marked partial
        where an interrupt cut it short.

    Raises:
        ApiError, ConnectionFailed, InvalidArgument: as :meth:`m3ter_nb.M3terSession.request`; ``items`` holds what
            of a list came before.
    """
    session = login.session
    if not call.all and call.limit is None:
        answer = session.request(call.method, call.path, params=call.params or None, json=call.json)
        deleted = call.method == "DELETE"
        if deleted and answer is None:
            say(f"Deleted: {call.path}")
        return as_records(answer, path=call.path, deleted=deleted)
    params: dict[str, Any] = dict(call.params)
    if call.limit is not None:
        params.setdefault("pageSize", min(call.limit, largest_page(call.path)))
    items = Records(path=call.path)
    try:
        pages = Pages(session, call.path, params, {})
        for page in _with_progress(pages, call.path):
            room = len(page) if call.limit is None else call.limit - len(items)
            items.extend(page[:room])
            if len(items) == call.limit:
                items.limited = pages.has_next or len(page) > room
                break
    except KeyboardInterrupt:
        items.partial = True
        say(f"Interrupted: {len(items):,} items so far; the list is partial.")
    except M3terError as error:
        # An error, and not a shorter list: a job must not go on with half of the data.
        if items:
            items.partial = True
            error.items = items
            error.args = (f"{error} The {len(items):,} items that came before are in sys.last_value.items.",)
        raise
    return items


def snippet(login: Login, call: Call) -> str:
    """Return the request as cURL or Python text; nothing is sent."""
    from m3ter_nb.bridges import snippets

    write = snippets.curl if call.show == "curl" else snippets.python
    params, note = dict(call.params), ""
    if call.all or call.limit is not None:
        page = largest_page(call.path)
        params.setdefault("pageSize", str(min(call.limit or page, page)))
        note = "# One page; the next one: nextToken of the answer as the parameter nextToken, until there is none.\n"
    url = login.session.url(call.path, call.method)
    json = login.session.add_version(call.method, call.path, call.json)
    note += "".join(f"# {doubt}\n" for doubt in doubts(call.method, call.path, call.params, json))
    return note + write(call.method, url, params=params or None, json=json)


def _with_progress(pages: Iterator[list[Any]], path: str) -> Iterator[list[Any]]:
    """Pass pages on, with a progress bar where it takes long; tqdm's own delay leaves a bar behind at an error."""
    started = time.monotonic()
    bar: Any = None
    count = 0
    try:
        for page in pages:
            if bar is None and time.monotonic() - started > _PROGRESS_DELAY:
                from tqdm.auto import tqdm

                bar = tqdm(desc=path, unit=" items", initial=count, leave=False)
            count += len(page)
            if bar is not None:
                bar.update(len(page))
            yield page
    finally:
        if bar is not None:
            bar.close()
