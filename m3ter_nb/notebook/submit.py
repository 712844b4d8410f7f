"""What ``%m3ter_submit`` does: find the source in the notebook, ask, and hand over to the usage functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.usage.options import Options
from m3ter_nb.usage.report import counted
from m3ter_nb.usage.submit import check_usage, submit_usage
from m3ter_nb.views.records import Records

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from m3ter_nb.notebook.call import WriteGuard
    from m3ter_nb.notebook.logins import Login
    from m3ter_nb.usage.report import UsageReport
    from m3ter_nb.usage.submission import Submission

__all__ = ["submit", "words"]

_OF_COLUMNS = ("--uid", "--key", "--account", "--ts")


def submit(
    login: Login, arguments: Namespace, names: Mapping[str, Any], guard: WriteGuard | None
) -> Submission | UsageReport:
    """Check usage, or check and send it.

    Args:
        login: that sends.
        arguments: the options of the magic.
        names: the notebook's variables.
        guard: asks before rows go to a PRODUCTION organization; None not to ask.

    Raises:
        InvalidArgument: no meter, or no such source.
        M3terError: as :func:`m3ter_nb.usage.submit.submit_usage`.
    """
    if not arguments.meter:
        raise InvalidArgument("Name the meter: %m3ter_submit SOURCE --meter CODE.")

    def approve(report: UsageReport) -> None:
        if guard is not None:
            rows = f"{counted(report.rows - report.bad_rows, 'row')} of {counted(report.accounts, 'account')}"
            what = f"{rows}, {report.start} to {report.end}, for meter {report.meter}: %m3ter_submit writes"
            guard.check_each(login, what, yes=arguments.yes)

    options = Options(
        account=arguments.account,
        ts=arguments.ts,
        columns=dict(_pair(each) for each in arguments.map),
        uid=arguments.uid,
        key=arguments.key,
        new_accounts=arguments.new_accounts,
        invalid=arguments.invalid,
        timezone=arguments.timezone,
        journal=arguments.journal or "auto",
        confirm=arguments.confirm,
        approve=approve,
    )
    session = login.session
    do = check_usage if arguments.check else submit_usage
    return do(session, session.usage_channel(), _source(arguments.source, names), arguments.meter, options)


def words(before: str, names: Mapping[str, Any]) -> list[str]:
    """Return what may stand next on the magic's line, as far as the notebook knows it; nobody is asked.

    Args:
        before: what stands between the magic's name and the cursor.
        names: the notebook's variables.
    """
    typed = before.split(" ")[:-1]
    if not typed:
        return [
            name for name, value in names.items() if hasattr(value, "columns") and not name.startswith("_")
        ]
    if typed[-1] in _OF_COLUMNS:
        return [str(each) for each in getattr(names.get(typed[0]), "columns", ())]
    if typed[-1] == "--meter":
        lists = [
            value for value in names.values() if isinstance(value, Records) and value.path.endswith("meters")
        ]
        return sorted({str(each.get("code")) for meters in lists for each in meters})
    return []


def _source(word: str, names: Mapping[str, Any]) -> Any:
    if word in names:
        return names[word]
    if any(mark in word for mark in "./*\\"):
        return word
    raise InvalidArgument(
        "What is to be sent is no name of this notebook, and no path of CSV or Parquet files. Bind the frame to a name first."
    )


def _pair(word: str) -> tuple[str, str]:
    field, equals, column = word.partition("=")
    if not (field and equals and column):
        raise InvalidArgument("--map takes pairs, as --map region=zone requests=n.")
    return field, column
