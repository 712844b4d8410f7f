"""How requests travel: over what, how long to wait, and when to try again.

With :mod:`m3ter_nb.wire.failures` and :mod:`m3ter_nb.wire.connections`, the only module that knows the exceptions of urllib3;
everything above it sees :mod:`m3ter_nb.errors` only.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple, Never
from urllib.parse import urlsplit

from urllib3 import exceptions as u3
from urllib3.util.retry import Retry
from urllib3.util.url import parse_url

from m3ter_nb._version import __version__
from m3ter_nb.errors import (
    ConnectionBroken,
    ConnectionFailed,
    Interrupted,
    InvalidArgument,
    M3terError,
    UnexpectedAnswer,
    UnsafeDestination,
)
from m3ter_nb.wire.connections import Connections, ca_bundle, proxy_for
from m3ter_nb.wire.failures import translated
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, checked_base_url, ingest_url, is_loopback, origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.response import BaseHTTPResponse

__all__ = ["DEFAULT_TIMEOUT", "Answer", "Timeout", "Transport", "retry_after"]

# 429, and the statuses a gateway gives for an origin that is briefly away (RFC 9110 section 15.6).
_RETRY_STATUSES = frozenset({429, 502, 503, 504})
_TOO_MANY = 429
_ATTEMPTS_AFTER_THE_FIRST = 3
# The per-organization limit lasts "for the rest of that second" (docs: config-api-limits).
_TOO_MANY_FLOOR = 1.0
#: Seconds: a longer Retry-After is an error that says when to come back.
LONGEST_WAIT = 60.0
# Seconds: what a socket takes has an end.
_LONGEST_TIMEOUT = 86_400.0
# Seconds: a longer wait is told to the person who waits.
_SILENT_WAIT = 3.0

_log = logging.getLogger("m3ter_nb")


class Timeout(NamedTuple):
    """How long to wait, in seconds: for the connection, and for each piece of the answer."""

    connect: float = 5.0
    read: float = 30.0


DEFAULT_TIMEOUT = Timeout()


class Answer:
    """One answer, its body read.

    Attributes:
        method: of the request, upper case.
        url: of the request.
        sent_headers: of the request, without Authorization.
        sent: the body of the request.
        status: the HTTP status.
        reason: the phrase beside it, or None.
        headers: of the answer; names in any case.
        content: the body, decompressed.
        attempts: how many requests were sent until it came.
    """

    __slots__ = (
        *("attempts", "content", "headers", "method", "reason", "sent", "sent_headers", "status", "url"),
    )

    def __init__(
        self,
        method: str,
        url: str,
        sent_headers: Mapping[str, str],
        sent: bytes,
        *,
        response: BaseHTTPResponse,
        content: bytes,
    ) -> None:
        self.method = method
        self.url = url
        self.sent_headers = sent_headers
        self.sent = sent
        self.status = response.status
        self.reason = response.reason
        self.headers = response.headers
        self.content = content
        self.attempts = 1

    def __repr__(self) -> str:
        return f"Answer({self.status})"


_open: weakref.WeakSet[Transport] = weakref.WeakSet()


class Transport:
    """Pooled connections to one m3ter API and its ingest host.

    Never follows a redirect, never reads ``.netrc``. Proxies and CA bundles of the environment are honoured, but
    for loopback, which never goes through a proxy. Safe to share between threads.

    Args:
        base_url: of the Config API; see :func:`checked_base_url`.
        timeout: seconds to wait.
        notify: is told of a wait of more than a few seconds; the default logs it.
        sleep: waits a number of seconds; injected by tests.

    Attributes:
        base_url: without a trailing slash.
        ingest_url: of the Ingest API: ``https://ingest.m3ter.com`` for production, else the base URL itself, as in
            the official SDKs.
        origins: the origins that a token may go to.
        ca_bundle: the CA file or folder that the environment names, or None.

    Raises:
        InvalidArgument: the base URL is malformed, or the CA bundle that the environment names is not there.
        UnsafeDestination: plain http to a host that is not loopback.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        notify: Callable[[str], None] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.ingest_url = ingest_url(self.base_url)
        self.timeout = _checked_timeout(timeout)
        self.notify = notify or _log.warning
        self._sleep = sleep
        self.ca_bundle = ca_bundle() if self.base_url.startswith("https:") else None
        # Read once, as the certificates: what changes later in the environment moves no token.
        self._proxies = {origin(url): proxy_for(url) for url in (self.base_url, self.ingest_url)}
        self.origins = frozenset(self._proxies)
        self._connections = Connections(self._proxies, self.ca_bundle)
        _open.add(self)
        self._headers = {
            "User-Agent": f"m3ter_nb/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }

    @property
    def host(self) -> str:
        """Host (and port, where it is not the scheme's own) of the Config API."""
        return urlsplit(self.base_url).netloc

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine."""
        return is_loopback(urlsplit(self.base_url).hostname or "")

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def __reduce_ex__(self, protocol: object) -> Never:
        raise InvalidArgument("A transport is not pickled or copied: it holds the proxy's password.")

    def send(
        self,
        method: str,
        url: str,
        *,
        authorization: Callable[[], str],
        query: str = "",
        body: bytes | None = None,
        content_type: str | None = None,
        repeatable: bool = False,
        max_bytes: int | None = None,
    ) -> Answer:
        """Send one request, and again where that is safe and may help; the answer's body has been read.

        Args:
            method: upper case.
            url: absolute; its origin must be one of :attr:`origins`.
            authorization: returns the value of the Authorization header, anew for each attempt.
            query: added to the URL's own.
            body: sent as it is.
            content_type: of the body.
            repeatable: whether sending twice does no more than sending once. A request that was refused with 429
                is repeated in any case: it was not carried out.
            max_bytes: the longest body accepted; None for no bound.

        Returns:
            The answer, whatever its status.

        Raises:
            ConnectionFailed: and its kinds; nothing came, or something broken.
            UnsafeDestination: the URL is of another origin.
        """
        url = url.partition("#")[0]
        url = self._checked(f"{url}{'&' if '?' in url else '?'}{query}" if query else url)
        headers = self._headers if content_type is None else {**self._headers, "Content-Type": content_type}
        retry: Retry | None = None
        attempts = 1
        while True:
            signed = {**headers, "Authorization": _checked_header(authorization())}
            answer, failure = self._attempt(method, url, signed, body, max_bytes, repeatable=repeatable)
            if answer is not None:
                answer.attempts = attempts
                if answer.status not in _RETRY_STATUSES:
                    return answer
            retry = retry or Retry(
                total=_ATTEMPTS_AFTER_THE_FIRST,
                backoff_factor=0.5,
                backoff_max=8,
                backoff_jitter=0.25,
                allowed_methods=None,
            )
            retry, wait = _next_wait(retry, method, url, answer, failure, repeatable=repeatable)
            if retry is None or wait is None:
                if answer is None:
                    raise failure or ConnectionFailed(f"No answer from {self.host}.")
                return answer
            if wait > _SILENT_WAIT:
                why = f"answered {answer.status}" if answer is not None else "broke the connection"
                self.notify(f"{self.host} {why}: trying again in {wait:.0f} s (Interrupt stops the wait).")
            self._wait(wait)
            attempts += 1

    def _checked(self, url: str) -> str:
        """Return a URL if it leads to one of the origins, in the eyes of all who read it."""
        if origin(url) not in self.origins:
            raise UnsafeDestination(
                f"{_shown(url)} is not {self.host}: the token goes to the m3ter API that issued it and nowhere else. "
                "Give a path, or log in to that host with %m3ter_login --base-url.",
            )
        try:
            url.encode()  # urllib3 would send a lone surrogate somehow
            parsed = parse_url(url)
        except (u3.LocationParseError, UnicodeError):
            raise InvalidArgument(f"{_shown(url)} is not a URL that can be asked for.") from None
        # Once more, for what urllib3 will really ask: parsers differ about odd URLs.
        if origin(parsed.url) not in self.origins:
            raise UnsafeDestination(
                f"{_shown(url)} leads to another host than {self.host}; nothing was sent."
            )
        return parsed.url

    def _wait(self, seconds: float) -> None:
        interrupted = False
        try:
            self._sleep(seconds)
        except KeyboardInterrupt:
            interrupted = True
        if interrupted:
            raise Interrupted(f"stopped waiting for {self.host}; the call was not made.")

    def _attempt(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        max_bytes: int | None,
        *,
        repeatable: bool,
    ) -> tuple[Answer | None, M3terError | None]:
        """Send once. A failure is returned, not raised, so that no frame that holds headers is in its traceback."""
        interrupted = False
        foreign: BaseException | None = None
        outside = sys.exception()
        try:
            response = self._connections.send(
                method, url, headers, body, connect=self.timeout.connect, read=self.timeout.read
            )
            content = _read(response, max_bytes, self.host)
        except KeyboardInterrupt:
            interrupted = True
        except M3terError as error:
            return None, error.with_traceback(None)
        except (u3.HTTPError, OSError, ValueError, ArithmeticError, MemoryError) as error:
            # The last three: a length that no answer has.
            return None, translated(error, self.host, *self.timeout, repeatable=repeatable, outside=outside)
        except BaseException as error:  # noqa: BLE001 - a signal's handler can raise anything
            foreign = error
        else:
            shown = {name: value for name, value in headers.items() if name != "Authorization"}
            answer = Answer(method, url, shown, body or b"", response=response, content=content)
            return answer, None
        if foreign is not None:
            foreign.__cause__ = foreign.__context__ = None
            raise foreign.with_traceback(None)
        # Raised anew, out of the handler: the first one's frames hold the Authorization header (%xmode Verbose).
        assert interrupted  # noqa: S101 - the only way here
        raise Interrupted(f"stopped waiting for the answer of {self.host}; it may have carried out the call.")

    def renew_connections(self) -> None:
        """Leave the pooled connections to whoever shares them, and open new ones from now on."""
        self._connections = Connections(self._proxies, self.ca_bundle)

    def close(self) -> None:
        """Close the pooled connections."""
        self._connections.close()


def _checked_timeout(timeout: Timeout) -> Timeout:
    numbers: tuple[object, ...] = timeout
    for seconds in numbers:
        if not isinstance(seconds, (int, float)) or not 0 < seconds <= _LONGEST_TIMEOUT:
            raise InvalidArgument("A timeout is a number of seconds, above 0 and at most a day.")
    return timeout


def _checked_header(value: str) -> str:
    """Return a header's value; what http.client says of one that it refuses holds the value."""
    if not (value.isascii() and value.isprintable()):
        raise InvalidArgument("The token is not one that a header can carry.")
    return value


def _after_fork() -> None:
    """Give a child process connections of its own: two processes on one socket read each other's answers."""
    for transport in list(_open):
        transport.renew_connections()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


def _shown(url: str) -> str:
    """Return a URL as it may stand in a message of one line: no user name, no query."""
    bare = url.split("?", 1)[0].split("#", 1)[0]
    scheme, slashes, rest = bare.partition("//")
    authority, slash, path = rest.partition("/")
    shown = "".join(
        character if character.isprintable() else "?"
        for character in scheme + slashes + authority.rpartition("@")[2] + slash + path
    )
    return shown if len(shown) <= 100 else shown[:99] + "…"


def _next_wait(
    retry: Retry,
    method: str,
    url: str,
    answer: Answer | None,
    failure: M3terError | None,
    *,
    repeatable: bool,
) -> tuple[Retry | None, float | None]:
    """Return the next state of the policy and the seconds to wait; ``(None, None)`` to give up."""
    too_many = answer is not None and answer.status == _TOO_MANY
    if not (repeatable or too_many) or (answer is None and not isinstance(failure, ConnectionBroken)):
        return None, None
    try:
        retry = retry.increment(method, url, error=u3.ProtocolError())
    except u3.MaxRetryError:
        return None, None
    wait = retry.get_backoff_time()
    if answer is not None:
        asked = retry_after(answer)
        if asked is not None and asked > LONGEST_WAIT:
            return None, None
        wait = asked if asked is not None else max(wait, _TOO_MANY_FLOOR) if too_many else wait
    return retry, wait


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait (RFC 9110 section 10.2.3), or None where it does not say."""
    asked = answer.headers.get("Retry-After")
    try:
        return None if asked is None else Retry().parse_retry_after(asked)
    except (u3.InvalidHeader, ValueError, OverflowError):  # no number and no date, or a date of no calendar
        return None


def _read(response: BaseHTTPResponse, max_bytes: int | None, host: str) -> bytes:
    """Return the whole body, decompressed, of at most ``max_bytes`` (None: of any length).

    Piece by piece: read at once, a length of the server's own invention would be set aside in memory.
    """
    pieces: list[bytes] = []
    size = 0
    for piece in response.stream(65_536, decode_content=True):
        size += len(piece)
        if max_bytes is not None and size > max_bytes:
            response.close()
            raise UnexpectedAnswer(
                f"{host} answered with more than {max_bytes:,} bytes where a token is a few thousand; "
                "is it a m3ter API? Check the base URL.",
            )
        pieces.append(piece)
    return b"".join(pieces)
