"""The command line: ``python -m m3ter_nb login``, ``profiles``, ``forget``.

It remembers a login for the notebooks and scripts of this machine. The secret is asked for, never an argument: a
process's arguments are open to every user of the machine, and stay in the shell's history.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import TYPE_CHECKING, Never

from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.platforms import not_the_user_s
from m3ter_nb.auth.profiles import (
    DEFAULT_PROFILE,
    checked_profile,
    forget,
    profiles,
    remember,
    unknown_profile,
)
from m3ter_nb.errors import CredentialsMissing, InvalidArgument, M3terError
from m3ter_nb.hiding import without_frames
from m3ter_nb.notebook.logins import Login
from m3ter_nb.spelling import printable
from m3ter_nb.wording import on_a_line

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """A parser that repeats no word that it does not know: it may be a secret."""

    def error(self, _message: str) -> Never:
        self.print_usage(sys.stderr)
        self.exit(2, "An argument was not understood. A key or a secret is never one: they are asked for.\n")


@on_a_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command; return the exit code: 0, or 1 where it failed.

    Args:
        arguments: without the program's name; None for the process's own.
    """
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "login":
                _log_in(options.profile, options.base_url, options.org_id)
            case "profiles":
                _list_profiles()
            case _:
                _forget(options.profile)
    except M3terError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write("\nCancelled: nothing was remembered.\n")
        return 1
    return 0


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m m3ter_nb", description="Remember m3ter logins in this computer's keychain."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    login_ = commands.add_parser("login", help="ask for key and secret, try them, and remember them")
    login_.add_argument(
        "--profile", default=DEFAULT_PROFILE, metavar="NAME", help="under which name (default)"
    )
    login_.add_argument("--base-url", metavar="URL", help="of the API; else M3TER_BASE_URL, else production")
    login_.add_argument("--org-id", metavar="ID", help="the organization that the token must be for")
    commands.add_parser("profiles", help="list what is remembered, without keys and secrets")
    forget_ = commands.add_parser("forget", help="take a profile out of the keychain")
    forget_.add_argument(
        "profile", nargs="?", default=DEFAULT_PROFILE, metavar="NAME", help="which one (default)"
    )
    return parser


@without_frames
def _log_in(profile: str, base_url: str | None, org_id: str | None) -> None:
    checked_profile(profile)
    if reason := not_the_user_s():
        raise InvalidArgument(f"Nothing is remembered here: {reason}.")
    if not sys.stdin.isatty():
        raise CredentialsMissing(
            "Nobody can type here: run this in a terminal, or set M3TER_API_KEY and M3TER_API_SECRET."
        )
    credentials = Credentials.pasted(
        input("Access Key ID: "), getpass.getpass("API Secret (hidden): "), source="the prompt"
    )
    with login(credentials, base_url=base_url, org_id=org_id, notify=_say) as session:
        _say(f"Logged in to {session.host}.")
        _say(
            remember(
                credentials,
                base_url=session.base_url,
                org_id=session.token.org_id,
                organization=Login(profile, session, typed=True).organization_name,
                profile=profile,
            ).sentence
        )


def _list_profiles() -> None:
    known = profiles()
    for profile in known:
        organization = profile.organization or profile.org_id or "-"
        _say(f"{profile.name}\t{profile.host}\t{organization}\t{profile.remembered_at}")
    if not known:
        _say("No profile is remembered.")


def _forget(profile: str) -> None:
    if not forget(profile):
        raise unknown_profile("No profile of that name is remembered")
    _say(f"The profile {profile} is forgotten.")


def _say(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
