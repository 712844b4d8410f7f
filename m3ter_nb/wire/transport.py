"""How requests travel: over what, how long to wait, and when to try again.

With :mod:`m3ter_nb.wire.failures` and :mod:`m3ter_nb.wire.connections`, the only module that knows the exceptions of urllib3;
everything above it sees :mod:`m3ter_nb.errors` only.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from typing import TYPE_CHECKING, NamedTuple, Never
from urllib.parse import urlsplit

from urllib3 import exceptions as u3
from urllib3.util.url import parse_url

from m3ter_nb._version import __version__
from m3ter_nb.errors import (
    ConnectionBroken,
    Interrupted,
    InvalidArgument,
    UnexpectedAnswer,
    UnsafeDestination,
    excerpt,
)
from m3ter_nb.hiding import without_frames
from m3ter_nb.spelling import with_literal_repr
from m3ter_nb.wire.answer import Answer
from m3ter_nb.wire.body import ACCEPTED_ENCODING
from m3ter_nb.wire.bounds import Allowance, Deadline, TooLong
from m3ter_nb.wire.certificates import ca_bundle
from m3ter_nb.wire.clock import SYSTEM_CLOCK, Clock, is_seconds
from m3ter_nb.wire.connections import Connections
from m3ter_nb.wire.failures import translate
from m3ter_nb.wire.hosts import DEFAULT_BASE_URL, checked_base_url, ingest_url, is_loopback, origin
from m3ter_nb.wire.proxies import proxy_for
from m3ter_nb.wire.retry import Retrier, RetryPolicy
from m3ter_nb.wording import either

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEFAULT_MAX_ANSWER_BYTES", "DEFAULT_TIMEOUT", "DEFAULT_TOTAL_TIMEOUT", "Timeout", "Transport"]

# Seconds: a longer wait is told to the person who waits.
_SILENT_WAIT = 3.0
#: Seconds that a request may take in all, its repeats and the waits between them included.
DEFAULT_TOTAL_TIMEOUT = 300.0
#: Bytes, decompressed, that an answer may have.
DEFAULT_MAX_ANSWER_BYTES = 200_000_000

_log = logging.getLogger("m3ter_nb")


class Timeout(NamedTuple):
    """How long to wait, in seconds: for the connection, and for each piece of the answer."""

    connect: float = 5.0
    read: float = 30.0

    @classmethod
    def of(cls, seconds: object) -> Timeout:
        """Return the timeout that a person means by one number, or by two.

        Raises:
            InvalidArgument: they are no numbers of seconds, above 0 and at most a day.
        """
        pair = seconds if isinstance(seconds, (tuple, list)) else (seconds, seconds)
        if len(pair) != len(cls._fields) or not all(is_seconds(part) for part in pair):
            name = either("A timeout", "Each of %config M3terMagics.connect_timeout and read_timeout")
            more = either("; or two, for the connection and for each piece of the answer", "")
            raise InvalidArgument(f"{name} is a number of seconds, above 0 and at most a day{more}.")
        return cls(*map(float, pair))


DEFAULT_TIMEOUT = Timeout()


_POLICY = RetryPolicy()


class _Request(NamedTuple):
    """One request, as each attempt sends it."""

    method: str
    url: str
    where: tuple[str, str, int]
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    authorization: Callable[[], str]
    repeatable: bool
    timeout: Timeout
    longest: int


_open: weakref.WeakSet[Transport] = weakref.WeakSet()


@with_literal_repr
class Transport:
    """Pooled connections to one m3ter API and its ingest host.

    Never follows a redirect, never reads ``.netrc``. Proxies and CA bundles of the environment are honoured, but
    for loopback, which never goes through a proxy. Safe to share between threads.

    Args:
        base_url: of the Config API; see :func:`checked_base_url`.
        timeout: seconds to wait, for the connection and for each piece of an answer.
        total_timeout: seconds that a request may take in all, its repeats and the waits between them included.
        max_answer_bytes: the longest body of an answer, decompressed.
        notify: is told of a wait of more than a few seconds; the default logs it.
        clock: where time comes from, and what waits.

    Attributes:
        base_url: without a trailing slash.
        ingest_url: of the Ingest API: ``https://ingest.m3ter.com`` for production, else the base URL itself, as in
            the official SDKs.
        origins: the origins that a token may go to.
        ca_bundle: the CA file or folder that the environment names, or None.

    Raises:
        InvalidArgument: the base URL is malformed, the CA bundle that the environment names cannot be used, or a
            number is none.
        UnsafeDestination: plain http to a host that is not loopback.
    """

    base_url = ""  # for the repr, where the constructor raises

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        *,
        timeout: Timeout = DEFAULT_TIMEOUT,
        total_timeout: float = DEFAULT_TOTAL_TIMEOUT,
        max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES,
        notify: Callable[[str], None] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.base_url = checked_base_url(base_url)
        self.ingest_url = ingest_url(self.base_url)
        self.timeout = Timeout.of(timeout)
        if not is_seconds(total_timeout):
            raise InvalidArgument("total_timeout is a number of seconds, above 0 and at most a day.")
        if not _is_count(max_answer_bytes):
            raise InvalidArgument("max_answer_bytes is a whole number of bytes, such as 200_000_000.")
        if notify is not None and not callable(notify):
            raise InvalidArgument("notify is a function that takes a text.")
        if not isinstance(clock, Clock):
            raise InvalidArgument("clock is a m3ter_nb.wire.clock.Clock.")
        self.total_timeout = float(total_timeout)
        self.max_answer_bytes = max_answer_bytes
        self.notify = notify or _log.warning
        self._clock = clock
        self.ca_bundle = ca_bundle() if self.base_url.startswith("https:") else None
        # Read once, as the certificates: what changes later in the environment moves no token.
        self.proxies = {origin(url): proxy_for(url) for url in (self.base_url, self.ingest_url)}
        self.origins = frozenset(self.proxies)
        self._starts = {_start_of(url): origin(url) for url in (self.base_url, self.ingest_url)}
        self._connections = Connections(self.proxies, self.ca_bundle)
        _open.add(self)
        self._headers = {
            "User-Agent": f"m3ter_nb/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": ACCEPTED_ENCODING,
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

    @without_frames
    def send(
        self,
        method: str,
        url: str,
        *,
        authorization: Callable[[], str],
        query: str = "",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        timeout: Timeout | None = None,
        total_timeout: float | None = None,
        max_bytes: int | None = None,
    ) -> Answer:
        """Send one request, and again where that is safe and may help; the answer's body has been read.

        Args:
            method: upper case.
            url: absolute; its origin must be one of :attr:`origins`.
            authorization: returns the value of the Authorization header, anew for each attempt.
            query: added to the URL's own.
            body: sent as it is.
            headers: besides those that every request has, or in their place.
            repeatable: whether sending twice does no more than sending once. A request that was refused with 429
                is repeated in any case: it was not carried out.
            timeout: instead of the transport's own.
            total_timeout: likewise.
            max_bytes: likewise, the longest body accepted.

        Returns:
            The answer, whatever its status.

        Raises:
            ConnectionFailed: and its kinds; nothing came, or something broken.
            UnsafeDestination: the URL is of another origin.
        """
        url = url.partition("#")[0]
        url = f"{url}{'&' if '?' in url else '?'}{query}" if query else url
        request = _Request(
            method,
            url,
            *self._destination(url),
            {**self._headers, **headers} if headers else self._headers,
            body,
            authorization,
            repeatable,
            timeout or self.timeout,
            max_bytes or self.max_answer_bytes,
        )
        deadline = Deadline(total_timeout or self.total_timeout, self._clock.monotonic)
        retrier = Retrier(_POLICY, repeatable=repeatable)
        while True:
            outcome: Answer | ConnectionBroken
            try:
                outcome = self._attempt(request, deadline)
            except ConnectionBroken as error:
                outcome = error
            wait = retrier(outcome)
            if wait is not None and wait < deadline.left():
                self._wait(wait, outcome)
            elif isinstance(outcome, Answer):
                outcome.attempts = retrier.attempts
                return outcome
            else:
                raise outcome

    def _destination(self, url: str) -> tuple[tuple[str, str, int], str]:
        """Return origin and target of a URL if it leads to one of the origins, in the eyes of all who read it."""
        for start, where in self._starts.items():
            if url.startswith(start) and _is_plain(target := url[len(start) - 1 :]):
                return where, target
        if origin(url) not in self.origins:
            raise UnsafeDestination(
                f"{_shown(url)} is not {self.host}: the token goes to the m3ter API that issued it and nowhere else. "
                "Give a path, or log in to that host with "
                f"{either('m3ter_nb.login(base_url=...)', '%m3ter_login --base-url')}.",
            )
        try:
            url.encode()  # urllib3 would send a lone surrogate somehow
            parsed = (
                parse_url(url) if url.isprintable() else None
            )  # of the others each parser makes something else
        except (u3.LocationParseError, UnicodeError):
            parsed = None
        if parsed is None:
            raise InvalidArgument(f"{_shown(url)} is not a URL that can be asked for.")
        # Once more, for what urllib3 will really ask: parsers differ about odd URLs.
        where = origin(parsed.url)
        if where not in self.origins:
            raise UnsafeDestination(
                f"{_shown(url)} leads to another host than {self.host}; nothing was sent."
            )
        return where, parsed.request_uri

    def _wait(self, seconds: float, outcome: Answer | ConnectionBroken) -> None:
        if seconds > _SILENT_WAIT:
            why = f"answered {outcome.status}" if isinstance(outcome, Answer) else "broke the connection"
            self.notify(f"{self.host} {why}: trying again in {seconds:.0f} s (Interrupt stops the wait).")
        try:
            self._clock.sleep(seconds)
        except KeyboardInterrupt:
            raise Interrupted(f"stopped waiting for {self.host}; the call was not made.") from None

    @without_frames
    def _attempt(self, request: _Request, deadline: Deadline) -> Answer:
        """Send once; what comes is an answer, or one of our errors."""
        authorization = _checked_header(request.authorization())
        outside = sys.exception()
        try:
            response, content = self._connections.exchange(
                request.where,
                request.method,
                request.target,
                {**request.headers, "Authorization": authorization},
                request.body,
                connect=request.timeout.connect,
                allowance=Allowance(deadline, request.timeout.read, request.longest),
            )
        except KeyboardInterrupt:
            raise Interrupted(
                f"stopped waiting for the answer of {self.host}; it may have carried out the call."
            ) from None
        except TooLong:
            raise self._too_long(request.longest) from None
        except (u3.HTTPError, OSError, ValueError, ArithmeticError, MemoryError) as error:
            # The last three: a length that no answer has.
            raise translate(
                error,
                self.host,
                request.timeout,
                deadline=deadline,
                repeatable=request.repeatable,
                outside=outside,
            ) from None
        return Answer(
            response.status,
            request.method,
            request.url,
            request.headers,
            request.body or b"",
            response.reason,
            response.headers,
            content,
        )

    def _too_long(self, longest: int) -> UnexpectedAnswer:
        if longest < self.max_answer_bytes:
            return UnexpectedAnswer(
                f"{self.host} answered with more than {longest:,} bytes where a token is a few thousand; "
                "is it a m3ter API? Check the base URL.",
            )
        return UnexpectedAnswer(
            f"{self.host} answered with more than {longest:,} bytes, which is all that is taken. Ask for less (a "
            f"filter, a smaller pageSize, a shorter period), or {either('', 'set %config M3terMagics.max_answer_bytes and ')}"
            f"log in with a larger {either('max_answer_bytes', 'one')}.",
        )

    def renew_connections(self) -> None:
        """Leave the pooled connections to whoever shares them, and open new ones from now on."""
        self._connections = Connections(self.proxies, self.ca_bundle)

    def close(self) -> None:
        """Close the pooled connections."""
        self._connections.close()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_plain(target: str) -> bool:
    """Tell whether every parser reads a target alike: no control character, no backslash, nothing that climbs."""
    return (
        target.isascii() and target.isprintable() and not (" " in target or "\\" in target or "/." in target)
    )


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
    return excerpt(shown, 100)


def _start_of(base_url: str) -> str:
    """Return how a plain URL of an origin begins; its host ends at the slash, whoever reads it."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}/"
