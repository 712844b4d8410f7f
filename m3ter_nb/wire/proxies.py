"""Which proxy the environment names for a host."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from m3ter_nb.hiding import Hidden
from m3ter_nb.wire.hosts import is_loopback

__all__ = ["is_socks", "proxy_for"]


def proxy_for(url: str) -> Hidden | None:
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
    proxy = (proxies.get(parts.scheme) or proxies.get("all") or "").strip(" \t\r\n'\"")
    if not proxy:
        return None
    return Hidden(proxy if "://" in proxy else f"http://{proxy.removeprefix('//')}")


def is_socks(proxy: str) -> bool:
    """Tell whether a proxy's URL is that of a SOCKS proxy."""
    return proxy.lower().startswith("socks")


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
