"""Pooled connections: through the proxies and with the certificates that the environment names, printing nothing.

On urllib3 itself, which ``requests`` stands on: what ``requests`` adds (redirects that are followed, ``.netrc``,
cookies, the environment read anew for each call) must not happen to a token, and its import is most of a first login.
"""

from __future__ import annotations

import ipaddress
import os
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import certifi
import urllib3
from urllib3 import exceptions as u3
from urllib3.util.url import parse_url

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.hiding import Hidden
from m3ter_nb.wire.hosts import is_loopback, origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.response import BaseHTTPResponse

__all__ = ["Connections", "ca_bundle", "proxy_for"]

# Connections kept for threads that call at the same time.
_POOL = 32


class Connections:
    """Connections to a few hosts, kept open between requests. Safe to share between threads.

    Args:
        proxies: for each origin, as :func:`m3ter_nb.wire.hosts.origin` gives it, the proxy's URL, or None.
        ca: the file or folder of the certificate authorities to trust; None for those of ``certifi``.
    """

    def __init__(self, proxies: Mapping[tuple[str, str, int], str | None], ca: str | None) -> None:
        self._proxies = proxies
        self._ca = ca or certifi.where()
        self._managers: dict[str | None, urllib3.PoolManager] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        connect: float,
        read: float,
    ) -> BaseHTTPResponse:
        """Send one request, once; a redirect is an answer like any other. The body of the answer is still to be read.

        Args:
            method: upper case.
            url: absolute, of one of the origins.
            headers: all but those that frame the message.
            body: or None.
            connect: seconds to wait for the connection.
            read: seconds to wait for each piece of the answer.

        Raises:
            urllib3.exceptions.HTTPError, OSError: whatever went wrong.
        """
        proxy = self._proxies[origin(url)]
        manager = self._manager(proxy)
        try:
            return manager.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=connect, read=read),
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except (u3.NewConnectionError, u3.ConnectTimeoutError) as error:
            if proxy is None or not _is_socks(proxy):
                raise
            # urllib3 does not tell a SOCKS proxy that fails from a host that does.
            raise u3.ProxyError("the SOCKS proxy", error) from None

    def close(self) -> None:
        """Close what is open."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, proxy: str | None) -> urllib3.PoolManager:
        manager = self._managers.get(proxy)
        if manager is None:
            manager = _quiet(_manager_through(proxy, self._ca))
            manager = self._managers.setdefault(proxy, manager)  # of two threads, the first one's
        return manager


def proxy_for(url: str) -> str | None:
    """Return the URL of the proxy that the environment, or the system, names for a host; None for loopback.

    ``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, as ``urllib.request`` reads them.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host):
        return None
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    if proxy_bypass(parts.netloc) or _in_a_network(host, proxies.get("no", "")):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy:
        return None
    return Hidden(proxy if "://" in proxy else f"http://{proxy.removeprefix('//')}")


def _in_a_network(host: str, no_proxy: str) -> bool:
    """Tell whether a host's address is in one of the networks of ``NO_PROXY`` (``10.0.0.0/8``), as curl reads it."""
    for entry in no_proxy.split(","):
        try:
            if "/" in entry and ipaddress.ip_address(host) in ipaddress.ip_network(
                entry.strip(), strict=False
            ):
                return True
        except ValueError:  # a name, or no network
            continue
    return False


def _is_socks(proxy: str) -> bool:
    return proxy.lower().startswith("socks")


def ca_bundle() -> str | None:
    """Return the CA file or folder that the environment names, in the variables of requests and curl, or None.

    Raises:
        InvalidArgument: it is not there.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            if not os.path.exists(path):  # noqa: PTH110 - a path as text, as urllib3 takes it
                raise InvalidArgument(f"There is no CA bundle {path}: mend or unset {variable}.")
            return path
    return None


def _manager_through(proxy: str | None, ca: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {
        "maxsize": _POOL,
        "cert_reqs": "CERT_REQUIRED",
        "ca_cert_dir" if os.path.isdir(ca) else "ca_certs": ca,  # noqa: PTH112 - as urllib3 takes it
    }
    if not proxy:
        return urllib3.PoolManager(**options)
    try:
        auth = parse_url(proxy).auth
        if _is_socks(proxy):
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
            **options,
        )
    except ImportError:
        raise u3.ProxySchemeUnsupported("no package that speaks SOCKS") from None
    except (u3.HTTPError, ValueError) as error:
        raise u3.ProxyError("the proxy's URL cannot be used", error) from None


class _Quiet:
    """Makes a pool's connections print nothing.

    http.client prints whole requests, Authorization included, where a user has set ``debuglevel`` on its class.
    """

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]  # of the pool that it is mixed into
        connection.debuglevel = 0
        return connection


def _quiet(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    manager.pool_classes_by_scheme = {
        scheme: _quiet_pool(pool) for scheme, pool in manager.pool_classes_by_scheme.items()
    }
    return manager


@cache
def _quiet_pool(pool: type[Any]) -> type[Any]:
    return type(f"Quiet{pool.__name__}", (_Quiet, pool), {})
