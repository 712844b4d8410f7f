"""Pooled connections: through the proxies and with the certificates that the environment names, printing nothing.

On urllib3 itself, which ``requests`` stands on: what ``requests`` adds (redirects that are followed, ``.netrc``,
cookies, the environment read anew for each call) must not happen to a token, and its import is most of a first login.
"""

from __future__ import annotations

import sys
import warnings
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import urllib3
from urllib3 import exceptions as u3
from urllib3.util.url import parse_url

from m3ter_nb.wire.body import read_body
from m3ter_nb.wire.bounds import bounded
from m3ter_nb.wire.certificates import trusting
from m3ter_nb.wire.proxies import is_socks

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from urllib3.response import BaseHTTPResponse

    from m3ter_nb.wire.bounds import Allowance

__all__ = ["Connections"]

# Connections kept for threads that call at the same time.
_POOL = 32
# Nothing is repeated or followed in there; made once, for making it takes as long as a tenth of a call.
_ONCE = urllib3.Retry(total=False, redirect=False)


class Connections:
    """Connections to a few hosts, kept open between requests. Safe to share between threads.

    Args:
        proxies: for each origin, as :func:`m3ter_nb.wire.hosts.origin` gives it, the proxy's URL, or None.
        ca: the file or folder of the certificate authorities to trust; None for those of ``certifi``.
    """

    def __init__(self, proxies: Mapping[tuple[str, str, int], str | None], ca: str | None) -> None:
        self._proxies = proxies
        self._ca = ca
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return trusting(self._ca)

    def exchange(
        self,
        where: tuple[str, str, int],
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        connect: float,
        allowance: Allowance,
    ) -> tuple[BaseHTTPResponse, bytes]:
        """Send one request, once, and read the answer; a redirect is an answer like any other.

        Args:
            where: one of the origins.
            method: upper case.
            target: path and query.
            headers: all but those that frame the message.
            body: or None.
            connect: seconds to wait for the connection, at most.
            allowance: what else it may take.

        Returns:
            The answer and its body, decompressed.

        Raises:
            urllib3.exceptions.HTTPError, OSError, TooLong: whatever went wrong.
        """
        try:
            with allowance:
                step = allowance.seconds()
                response = self._pool(where).urlopen(
                    method,
                    target,
                    body=body,
                    headers=headers,
                    timeout=_timeout(min(connect, step), step),
                    redirect=False,
                    retries=_ONCE,
                    assert_same_host=False,
                    preload_content=False,
                    decode_content=False,
                )
                return response, read_body(response, allowance.longest)
        except (u3.NewConnectionError, u3.ConnectTimeoutError) as error:
            proxy = self._proxies[where]
            if proxy is None or not is_socks(proxy):
                raise
            # urllib3 does not tell a SOCKS proxy that fails from a host that does.
            raise u3.ProxyError("the SOCKS proxy", error) from None

    def close(self) -> None:
        """Close what is open."""
        for pool in list(self._pools.values()):
            pool.close()
        self._pools.clear()

    def _pool(self, where: tuple[str, str, int]) -> urllib3.HTTPConnectionPool:
        pool = self._pools.get(where)
        if pool is None:
            scheme, host, port = where
            checks = scheme == "https" and sys.platform != "emscripten"  # a browser checks by itself
            manager = _manager_through(self._proxies[where], self._context if checks else None)
            manager.pool_classes_by_scheme = {
                name: bounded(kind) for name, kind in manager.pool_classes_by_scheme.items()
            }
            made = manager.connection_from_host(host, port, scheme)
            pool = self._pools.setdefault(where, made)  # of two threads, the first one's
        return pool


# urllib3 makes a copy of it for each request, two in fact.
@lru_cache(maxsize=16)
def _timeout(connect: float, read: float) -> urllib3.Timeout:
    return urllib3.Timeout(connect=connect, read=read)


def _manager_through(proxy: str | None, context: ssl.SSLContext | None) -> urllib3.PoolManager:
    options: dict[str, Any] = {"maxsize": _POOL}
    if context is not None:
        options |= {"cert_reqs": "CERT_REQUIRED", "ssl_context": context}
    if not proxy:
        return urllib3.PoolManager(**options)
    try:
        auth = parse_url(proxy).auth
        if is_socks(proxy):
            user, _, password = (auth or "").partition(":")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", u3.DependencyWarning)
                from urllib3.contrib.socks import SOCKSProxyManager

            return SOCKSProxyManager(
                proxy,
                username=unquote(user) if auth else None,
                password=unquote(password) if auth else None,
                **options,
            )
        return urllib3.ProxyManager(
            proxy,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=unquote(auth)) if auth else None,
            proxy_ssl_context=context,
            **options,
        )
    except ImportError:
        raise u3.ProxySchemeUnsupported("no package that speaks SOCKS") from None
    except (u3.HTTPError, ValueError) as error:
        raise u3.ProxyError("the proxy's URL cannot be used", error) from None
