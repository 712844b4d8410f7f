"""From settings to a session: find the credentials, get a token, open the session."""

from __future__ import annotations

from functools import partial
from os import PathLike
from types import NoneType
from typing import TYPE_CHECKING

from m3ter_nb.api.session import M3terSession
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.grant import fetch_token
from m3ter_nb.auth.search import search
from m3ter_nb.auth.settings import find_settings, read_environ
from m3ter_nb.auth.source import DEFAULT_MARGIN, TokenSource, check_margin
from m3ter_nb.auth.token import Token, ready_token
from m3ter_nb.errors import CredentialsMissing, InvalidArgument, LoginRefused
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL
from m3ter_nb.wire.transport import (
    DEFAULT_MAX_ANSWER_BYTES,
    DEFAULT_TIMEOUT,
    DEFAULT_TOTAL_TIMEOUT,
    Timeout,
    Transport,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.auth.settings import Settings

__all__ = ["login", "open_session"]


@without_frames
def login(
    credentials: Credentials | None = None,
    *,
    base_url: str | None = None,
    org_id: str | None = None,
    profile: str | None = None,
    refresh: bool = True,
    dotenv: str | PathLike[str] | None = None,
    timeout: Timeout | tuple[float, float] | float = DEFAULT_TIMEOUT,
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
    margin: float = DEFAULT_MARGIN,
    notify: Callable[[str], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> M3terSession:
    """Log in to m3ter and return a session; the token request is made at once.

    Args:
        credentials: of a service user; None to find them: the environment, ``.env``, the platform's secrets, the
            remembered profile (``M3TER_PROFILE``, else ``default``).
        base_url: of the API; None: ``M3TER_BASE_URL``, then production.
        org_id: the organization that the token must be for; None: ``M3TER_ORG_ID``, else whatever the token says.
        profile: the remembered login to take, whatever the environment holds.
        refresh: whether the token is renewed; if not, no secret is kept.
        dotenv: a ``.env`` file to take everything from.
        timeout: seconds to wait: one number, or two for the connection and for each piece of an answer.
        total_timeout: seconds that a call may take in all, its repeats and the waits between them included; a new token
            on the way takes at most 60 more. The look-up of a host's name is the operating system's, and not bounded.
        max_answer_bytes: the longest answer that is taken, in bytes, decompressed.
        margin: seconds before its end at which a token is renewed.
        notify: is told of long waits and failed renewals; the default logs them.
        clock: where time comes from, and what waits.

    Raises:
        CredentialsError: missing, contradictory or refused credentials, or another organization's.
        ConnectionFailed: the host could not be reached.
        InvalidArgument: a malformed or unsafe base URL, an argument of the wrong type, or two that exclude each other.
        UnsafeDestination: a remembered secret would go to another host than its own.
    """
    settings = _settled(credentials, profile, dotenv).directed(base_url, org_id)
    return open_session(
        settings,
        refresh=refresh,
        timeout=timeout,
        total_timeout=total_timeout,
        max_answer_bytes=max_answer_bytes,
        margin=margin,
        notify=notify,
        clock=clock,
    )


def _settled(
    credentials: Credentials | None, profile: str | None, dotenv: str | PathLike[str] | None
) -> Settings:
    """Return what to log in with: what was handed over, else what is found."""
    if credentials is not None and not isinstance(credentials, Credentials):
        raise InvalidArgument("login() takes m3ter_nb.Credentials(key_id, secret), or nothing.")
    if sum(given is not None for given in (credentials, profile, dotenv)) > 1:
        raise InvalidArgument("credentials, profile and dotenv exclude each other; give one of them.")
    if not isinstance(dotenv, (str, PathLike, NoneType)):
        raise InvalidArgument(f"dotenv is the path of a .env file, not of type {type(dotenv).__name__}.")
    if credentials is None:
        settings = _found(profile, dotenv)
        if not settings.complete:
            raise CredentialsMissing(
                "No credentials: set M3TER_API_KEY and M3TER_API_SECRET in the environment or in a .env file "
                "(or M3TER_API_TOKEN for a ready token), or remember them once (python -m m3ter_nb login). Without an account: "
                "python -m m3ter_nb.sandbox runs a m3ter twin, and says what to set. "
                f"{' '.join(settings.notes)}".rstrip(),
            )
        return settings
    # Credentials that were handed over go to the host that the caller or the environment names, as in the SDKs;
    # a .env that merely lies about has no say.
    return read_environ().with_credentials(credentials)


@without_frames
def open_session(
    settings: Settings,
    *,
    refresh: bool = True,
    timeout: Timeout | tuple[float, float] | float = DEFAULT_TIMEOUT,
    total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
    margin: float = DEFAULT_MARGIN,
    notify: Callable[[str], None] | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> M3terSession:
    """Log in with complete settings; the arguments and errors are those of :func:`login`."""
    check_margin(margin)
    if not isinstance(refresh, bool):
        raise InvalidArgument("refresh is True or False.")
    transport = Transport(
        settings.base_url or DEFAULT_BASE_URL,
        timeout=Timeout.of(timeout),
        total_timeout=total_timeout,
        max_answer_bytes=max_answer_bytes,
        notify=notify,
        clock=clock,
    )
    for note in (*settings.notes, *(settings.credentials.notes if settings.credentials else ())):
        transport.notify(note)
    renew: Callable[[], Token] | None = None
    if settings.credentials is None:
        token = _given_token(settings, clock)
        identity = hash(token)
    else:
        fetch = partial(fetch_token, settings.credentials, transport, clock=clock)
        token = _first_token(fetch, settings)
        renew = partial(_newer_token, fetch, settings.source, transport.host)
        identity = hash(settings.credentials.key_id)
    source = TokenSource(
        token,
        renew if refresh else None,
        margin=margin,
        clock=clock,
        notify=transport.notify,
        identity=identity,
    )
    return M3terSession(source, transport, org_id=settings.org_id, credentials_source=settings.source)


def _found(profile: str | None, dotenv: str | PathLike[str] | None) -> Settings:
    if profile is not None:
        from m3ter_nb.auth.bound import recall

        return recall(profile)
    return search() if dotenv is None else find_settings(dotenv=dotenv)


def _first_token(fetch: Callable[[], Token], settings: Settings) -> Token:
    try:
        return fetch()
    except LoginRefused as error:
        if not settings.profile:
            raise
        raise LoginRefused(
            f"m3ter does not accept the key that is remembered as the profile {settings.profile} ({error.status}): it was "
            f"rotated, or made inactive. Log in with the new one (%m3ter_login --form --remember --profile "
            f"{settings.profile}), or forget this one (%m3ter_logout --forget {settings.profile}).",
            status=error.status,
        ) from None


def _newer_token(fetch: Callable[[], Token], source: str, host: str) -> Token:
    try:
        return fetch()
    except LoginRefused as error:
        raise LoginRefused(
            f"{host} no longer accepts the key from {source}, which it took before ({error.status}): it was rotated, or "
            "made inactive. Log in again (%m3ter_login) with one that is ACTIVE in the Console (Settings > Access > "
            "Service Users).",
            status=error.status,
        ) from None


def _given_token(settings: Settings, clock: Clock) -> Token:
    return ready_token(settings.token.reveal() if settings.token else "", source=settings.source, clock=clock)
