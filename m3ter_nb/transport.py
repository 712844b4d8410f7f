"""How requests travel: which hosts may be spoken to, over what, how long to wait, and when to try again.

With :mod:`m3ter_nb.failures`, the only module that knows the exceptions of ``requests``; everything above it sees
:mod:`m3ter_nb.errors` only.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests import exceptions as rx
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3 import connection, connectionpool
from urllib3 import exceptions as u3
from urllib3.util.retry import Retry

from m3ter_nb import __version__
from m3ter_nb.errors import (
    ConnectionBroken,
    ConnectionFailed,
    Interrupted,
    InvalidArgument,
    M3terError,
    UnexpectedAnswer,
    UnsafeDestination,
)
from m3ter_nb.failures import translated

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_TIMEOUT",
    "Timeout",
    "Transport",
    "checked_base_url",
    "is_loopback",
    "origin",
]

#: The Config API of production (https://docs.m3ter.com/api, ``servers`` of the OpenAPI document).
DEFAULT_BASE_URL = "https://api.m3ter.com"

# 429, and the statuses a gateway gives for an origin that is briefly away (RFC 9110 section 15.6).
_RETRY_STATUSES = frozenset({429, 502, 503, 504})
_TOO_MANY = 429
_ATTEMPTS_AFTER_THE_FIRST = 3
# The per-organization limit lasts "for the rest of that second" (docs: config-api-limits).
_TOO_MANY_FLOOR = 1.0
#: Seconds: a longer Retry-After is an error that says when to come back.
LONGEST_WAIT = 60.0
# Seconds: a longer wait is told to the person who waits.
_SILENT_WAIT = 3.0

_log = logging.getLogger("m3ter_nb")


class Timeout(NamedTuple):
    """How long to wait, in seconds: for the connection, and for each piece of the answer."""

    connect: float = 5.0
    read: float = 30.0


DEFAULT_TIMEOUT = Timeout()


class _QuietHTTPConnection(connection.HTTPConnection):
    # http.client prints whole requests, Authorization included, where a user has set debuglevel on its class.
    debuglevel = 0


class _QuietHTTPSConnection(connection.HTTPSConnection):
    debuglevel = 0


class _QuietHTTPPool(connectionpool.HTTPConnectionPool):
    ConnectionCls = _QuietHTTPConnection


class _QuietHTTPSPool(connectionpool.HTTPSConnectionPool):
    ConnectionCls = _QuietHTTPSConnection


class _QuietAdapter(HTTPAdapter):
    """An adapter whose connections never print what they send."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _QuietHTTPPool, "https": _QuietHTTPSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _QuietHTTPPool, "https": _QuietHTTPSPool}
        return manager


# Connections kept for threads that call at the same time.
_POOL = 32
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
        self.ingest_url = _ingest_url(self.base_url)
        self.timeout = timeout
        self.notify = notify or _log.warning
        self._sleep = sleep
        self.origins = frozenset({origin(self.base_url), origin(self.ingest_url)})
        self._adapter = _QuietAdapter(pool_maxsize=_POOL)
        _open.add(self)
        # Read once: requests does it for every call, and would read .netrc along with it.
        self._proxies = {
            origin(url): {} if is_loopback(urlsplit(url).hostname or "") else dict(get_environ_proxies(url))
            for url in (self.base_url, self.ingest_url)
        }
        self.ca_bundle = _ca_bundle() if self.base_url.startswith("https:") else None
        self._headers = {
            "User-Agent": f"m3ter_nb/{__version__} {requests.utils.default_user_agent()}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
        }

    @property
    def host(self) -> str:
        """Host (and port, where it is not the scheme's own) of the Config API."""
        return urlsplit(self.base_url).netloc

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def send(  # noqa: PLR0913 - one request, all by keyword
        self,
        method: str,
        url: str,
        *,
        auth: Callable[[requests.PreparedRequest], requests.PreparedRequest],
        params: Any = None,
        body: str | bytes | None = None,
        content_type: str | None = None,
        repeatable: bool = False,
        max_bytes: int | None = None,
    ) -> requests.Response:
        """Send one request, and again where that is safe and may help; the answer's body has been read.

        Args:
            method: upper case.
            url: absolute; its origin must be one of :attr:`origins`.
            auth: sets the Authorization header, anew for each attempt.
            params: query, as ``requests`` takes it.
            body: sent as it is.
            content_type: of the body.
            repeatable: whether sending twice does no more than sending once. A request that was refused with 429
                is repeated in any case: it was not carried out.
            max_bytes: the longest body accepted; None for no bound.

        Returns:
            The answer, whatever its status. ``response.attempts`` tells how many requests were sent.

        Raises:
            ConnectionFailed: and its kinds; nothing came, or something broken.
            UnsafeDestination: the URL is of another origin.
        """
        if origin(url) not in self.origins:
            raise UnsafeDestination(
                f"{_shown(url)} is not {self.host}: the token goes to the m3ter API that issued it and nowhere else. "
                "Give a path, or log in to that host with %m3ter_login --base-url.",
            )
        request = requests.Request(
            method,
            url,
            headers=self._headers
            if content_type is None
            else {**self._headers, "Content-Type": content_type},
            params=params,
            data=body,
        )
        try:
            prepared = request.prepare()
        except (rx.InvalidURL, rx.MissingSchema, rx.InvalidSchema, UnicodeError):
            raise InvalidArgument(f"{_shown(url)} is not a URL that can be asked for.") from None
        # Once more, for what requests will really ask: parsers differ about odd URLs.
        if origin(prepared.url or "") not in self.origins:
            raise UnsafeDestination(
                f"{_shown(url)} leads to another host than {self.host}; nothing was sent."
            )
        retry: Retry | None = None
        attempts = 1
        while True:
            response, failure = self._attempt(auth(prepared), max_bytes)
            if response is not None and response.status_code not in _RETRY_STATUSES:
                response.attempts = attempts  # type: ignore[attr-defined]  # our own note on the answer
                return response
            retry = retry or Retry(
                total=_ATTEMPTS_AFTER_THE_FIRST,
                backoff_factor=0.5,
                backoff_max=8,
                backoff_jitter=0.25,
                allowed_methods=None,
            )
            retry, wait = _next_wait(retry, prepared, response, failure, repeatable=repeatable)
            if retry is None or wait is None:
                if response is None:
                    raise failure or ConnectionFailed(f"No answer from {self.host}.")
                response.attempts = attempts  # type: ignore[attr-defined]  # our own note on the answer
                return response
            if wait > _SILENT_WAIT:
                why = f"answered {response.status_code}" if response is not None else "broke the connection"
                self.notify(f"{self.host} {why}: trying again in {wait:.0f} s (Interrupt stops the wait).")
            self._wait(wait)
            attempts += 1

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
        prepared: requests.PreparedRequest,
        max_bytes: int | None,
    ) -> tuple[requests.Response | None, M3terError | None]:
        """Send once. A failure is returned, not raised, so that no frame that holds headers is in its traceback."""
        interrupted = False
        try:
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(self.timeout.connect, self.timeout.read),
                verify=self.ca_bundle or True,
                proxies=self._proxies.get(origin(prepared.url or ""), {}),
            )
            _read(response, max_bytes, self.host)
        except KeyboardInterrupt:
            interrupted = True
        except M3terError as error:
            return None, error.with_traceback(None)
        except (rx.RequestException, u3.HTTPError, OSError, UnicodeError) as error:
            return None, translated(error, self.host, *self.timeout)
        else:
            return response, None
        # Raised anew, out of the handler: the first one's frames hold the Authorization header (%xmode Verbose).
        assert interrupted  # noqa: S101 - the only way here
        raise Interrupted(f"stopped waiting for the answer of {self.host}; it may have carried out the call.")

    def renew_connections(self) -> None:
        """Leave the pooled connections to whoever shares them, and open new ones from now on."""
        self._adapter = _QuietAdapter(pool_maxsize=_POOL)

    def close(self) -> None:
        """Close the pooled connections."""
        self._adapter.close()


def _after_fork() -> None:
    """Give a child process connections of its own: two processes on one socket read each other's answers."""
    for transport in list(_open):
        transport.renew_connections()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_after_fork)


# Letters that urllib3 and urlsplit read alike; a host of other scripts is written in punycode, so that it cannot
# pass for another.
_BASE_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[a-z0-9._~-]*)*)",
    re.IGNORECASE | re.ASCII,
)
_BARE_HOST = r"[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+(?::[0-9]+)?/?"
_LAST_PORT = 65_535


def checked_base_url(url: str) -> str:
    """Return a base URL without its trailing slash, scheme and host in lower case, if secrets may be sent there.

    Raises:
        InvalidArgument: it is no plain http(s) URL (a user name, a query, a fragment, an odd character).
        UnsafeDestination: plain http to a host that is not loopback.
    """
    text = url.strip()
    if "@" in text:
        raise InvalidArgument("The base URL must not hold a user name or a password; give the host alone.")
    if not text.isascii():
        raise InvalidArgument(
            "The base URL holds a letter that is not ASCII, which can look like another. Write the host in punycode "
            "(xn--...) if it is meant.",
        )
    match = _BASE_URL.fullmatch(text)
    if match is None or not 0 < int(match["port"] or 1) <= _LAST_PORT or ".." in match["path"]:
        # The text is repeated only where it is clearly a host: it may be a secret in the wrong variable.
        hint = f" Did you mean https://{text.rstrip('/')}?" if re.fullmatch(_BARE_HOST, text) else ""
        raise InvalidArgument(
            f"The base URL is not a plain http(s) URL such as {DEFAULT_BASE_URL}: a scheme, a host, perhaps a port "
            f"and a path.{hint}",
        )
    scheme, host = match["scheme"].lower(), match["host"].lower()
    if scheme == "http" and not is_loopback(host.strip("[]")):
        raise UnsafeDestination(
            f"http://{host} would carry the secret and the token in clear; use https://{host}. "
            "Plain http is for this machine alone.",
        )
    port = f":{match['port']}" if match["port"] else ""
    return f"{scheme}://{host}{port}{match['path'].rstrip('/')}"


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a URL (RFC 6454 section 4); ``("", "", 0)`` where it has none."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    except ValueError:
        return ("", "", 0)
    return (parts.scheme, (parts.hostname or "").lower(), port)


def is_loopback(host: str) -> bool:
    """Tell whether a host name means this machine: ``localhost``, 127.0.0.0/8, ``::1``.

    Not ``*.localhost``, although RFC 6761 section 6.3 says so: some resolvers ask the network for it.
    """
    host = host.lower().rstrip(".")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ca_bundle() -> str | None:
    """Return the CA file or folder that the environment names, as requests reads it, or None."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            if not os.path.exists(path):  # noqa: PTH110 - requests asks in these words
                raise InvalidArgument(f"There is no CA bundle {path}: mend or unset {variable}.")
            return path
    return None


def _ingest_url(base_url: str) -> str:
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host.startswith("api.") and host.endswith(".m3ter.com"):
        return parts._replace(netloc=parts.netloc.lower().replace("api.", "ingest.", 1)).geturl()
    return base_url


def _shown(url: str) -> str:
    """Return a URL as it may stand in a message: no user name, no query."""
    bare = url.split("?", 1)[0].split("#", 1)[0]
    scheme, slashes, rest = bare.partition("//")
    authority, slash, path = rest.partition("/")
    shown = scheme + slashes + authority.rpartition("@")[2] + slash + path
    return shown if len(shown) <= 100 else shown[:99] + "…"  # noqa: PLR2004 - one line of a message


def _next_wait(
    retry: Retry,
    prepared: requests.PreparedRequest,
    response: requests.Response | None,
    failure: M3terError | None,
    *,
    repeatable: bool,
) -> tuple[Retry | None, float | None]:
    """Return the next state of the policy and the seconds to wait; ``(None, None)`` to give up."""
    too_many = response is not None and response.status_code == _TOO_MANY
    if not (repeatable or too_many) or (response is None and not isinstance(failure, ConnectionBroken)):
        return None, None
    try:
        retry = retry.increment(prepared.method, prepared.url, error=u3.ProtocolError())
    except u3.MaxRetryError:
        return None, None
    wait = retry.get_backoff_time()
    if response is not None:
        asked = _retry_after(retry, response)
        if asked is not None and asked > LONGEST_WAIT:
            return None, None
        wait = asked if asked is not None else max(wait, _TOO_MANY_FLOOR) if too_many else wait
    return retry, wait


def _retry_after(retry: Retry, response: requests.Response) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3), or None."""
    try:
        return retry.get_retry_after(response)  # type: ignore[arg-type]  # it reads .headers only
    except (u3.InvalidHeader, ValueError, OverflowError):  # no number and no date, or a date of no calendar
        return None


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds that an answer asks to wait (RFC 9110 section 10.2.3), or None where it does not say."""
    return _retry_after(Retry(), response)


def _read(response: requests.Response, max_bytes: int | None, host: str) -> None:
    """Read the whole body into the response, at most ``max_bytes`` of it."""
    if max_bytes is None:
        response.content  # noqa: B018 - the property reads the body
        return
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_content(65_536):
        size += len(piece)
        if size > max_bytes:
            response.close()
            raise UnexpectedAnswer(
                f"{host} answered with more than {max_bytes:,} bytes where a token is a few thousand; "
                "is it a m3ter API? Check the base URL.",
            )
        pieces.append(piece)
    # requests has no public way to say "the body is this"; these two are what iter_content itself sets.
    response._content = b"".join(pieces)  # noqa: SLF001
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001
