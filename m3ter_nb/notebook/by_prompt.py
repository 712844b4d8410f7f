"""A login by two questions at a prompt."""

from __future__ import annotations

import getpass

from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.errors import NotLoggedIn
from m3ter_nb.hiding import without_frames

__all__ = ["ask_credentials", "confirm_host"]


def confirm_host(host: str) -> None:
    """Ask before a secret is typed for a host that only a ``.env`` names.

    Raises:
        NotLoggedIn: the answer was not yes.
    """
    try:
        answer = input(f"Send to {host}? [y/N] ")
    except (KeyboardInterrupt, EOFError):
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise NotLoggedIn("Nothing was sent. Name the host yourself: %m3ter_login --prompt --base-url URL.")


@without_frames
def ask_credentials(*, hidden_key_id: bool) -> Credentials:
    """Ask for key id and secret; the secret is never shown, the key id only where showing it keeps it nowhere.

    Args:
        hidden_key_id: whether the key id is asked for unseen too.

    Raises:
        NotLoggedIn: Ctrl-C, Ctrl-D, or an interrupt.
        CredentialsError: what was typed cannot be a key and its secret.
    """
    # Each time by its module: a kernel replaces both functions while a cell runs.
    try:
        key_id = getpass.getpass("Access Key ID (hidden): ") if hidden_key_id else input("Access Key ID: ")
        secret = getpass.getpass("API Secret (hidden): ")
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
