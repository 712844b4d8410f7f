"""What was asked of ``%m3ter_login``, and the token request that follows from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from m3ter_nb.api.login import open_session
from m3ter_nb.auth.source import DEFAULT_MARGIN
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, is_loopback
from m3ter_nb.wire.transport import DEFAULT_MAX_ANSWER_BYTES, DEFAULT_TIMEOUT, DEFAULT_TOTAL_TIMEOUT, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.auth.settings import Settings
    from m3ter_nb.notebook.logins import Login

__all__ = ["LoginOptions", "keep_login"]


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
        total_timeout: seconds that a call may take in all.
        max_answer_bytes: the longest answer that is taken, decompressed.
        margin: seconds before its end at which the token is renewed.
        profile: the remembered login to take, or where to keep this one; None for the default.
        remember: whether to keep the login in the keychain, once it has succeeded.
    """

    way: str | None = None
    dotenv: str | None = None
    name: str = "m3ter"
    org_id: str | None = None
    base_url: str | None = None
    refresh: bool = True
    timeout: Timeout = DEFAULT_TIMEOUT
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES
    margin: float = DEFAULT_MARGIN
    profile: str | None = None
    remember: bool = False

    def base_url_with(self, known: Settings) -> str:
        """Return the base URL that a login will go to."""
        return (self.base_url or known.base_url or DEFAULT_BASE_URL).rstrip("/")

    def host_with(self, known: Settings) -> str:
        """Return the host that a login will go to."""
        return urlsplit(self.base_url_with(known)).netloc

    def why_host(self, known: Settings) -> str:
        """Say who named the host, where that is a file: somebody else may have written it. Else ``""``."""
        named_by_file = not self.base_url and known.base_url_source.endswith(".env")
        return f"the host is named by {known.base_url_source}" if named_by_file else ""

    def doubt(self, known: Settings) -> str:
        """Say why the host wants a second look before a typed secret goes there; ``""`` where it needs none.

        A host that a ``.env`` names, and that is neither m3ter's nor this machine, may be a stranger's.
        """
        host = urlsplit(self.base_url_with(known)).hostname or ""
        if not self.why_host(known) or host.endswith(".m3ter.com") or is_loopback(host):
            return ""
        return f"{host} is named by {known.base_url_source} alone, and is not m3ter's own host."

    def open(self, settings: Settings, notify: Callable[[str], None]) -> M3terSession:
        """Make the token request.

        Raises:
            CredentialsError, ConnectionFailed, InvalidArgument: as :func:`m3ter_nb.login`.
        """
        return open_session(
            settings.directed(self.base_url, self.org_id),
            refresh=self.refresh,
            timeout=self.timeout,
            total_timeout=self.total_timeout,
            max_answer_bytes=self.max_answer_bytes,
            margin=self.margin,
            notify=notify,
        )


def keep_login(options: LoginOptions, login: Login, credentials: Credentials | None) -> str:
    """Remember a login that has just succeeded, as its options say; return the sentence that says what was kept."""
    from m3ter_nb.auth.profiles import DEFAULT_PROFILE, PROFILE_VARIABLE, remember

    session = login.session
    token = session.source.current
    kept = remember(
        credentials,
        base_url=session.base_url,
        org_id=token.org_id if token is not None else None,
        organization=login.organization_name,
        profile=options.profile or os.environ.get(PROFILE_VARIABLE) or DEFAULT_PROFILE,
    )
    login.profile = kept.profile
    return kept.sentence
