"""Which proxy the environment names for a host."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from m3ter_nb.hiding import Hidden
from m3ter_nb.wire.hosts import is_loopback

__all__ = ["is_socks", "proxy_for"]

_QUOTES = "'\""
# Behind a name, or behind the brackets of an IPv6 address.
_PORT = re.compile(r"^[^:]+:\d{1,5}$|\]:\d{1,5}$", re.ASCII)


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
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    exempt = re.split(r"[\s,;]+", proxies.get("no", ""))
    if proxy_bypass(parts.netloc) or any(_is_meant(host, port, entry.strip(_QUOTES)) for entry in exempt):
        return None
    proxy = (proxies.get(parts.scheme) or proxies.get("all") or "").strip(" \t\r\n" + _QUOTES)
    if not proxy:
        return None
    return Hidden(proxy if "://" in proxy else f"http://{proxy.removeprefix('//')}")


def is_socks(proxy: str) -> bool:
    """Tell whether a proxy's URL is that of a SOCKS proxy."""
    return proxy.lower().startswith("socks")


def _is_meant(host: str, port: int, entry: str) -> bool:
    """Tell whether an entry of ``NO_PROXY`` means a host.

    As curl and others read it, beside ``urllib.request``: any host (``*``), a domain (``*.example.com``), one port
    (``example.com:443``), a network (``10.0.0.0/8``).
    """
    if entry == "*":
        return True
    name, _, given_port = entry.rpartition(":") if _PORT.search(entry) else (entry, "", "")
    name = name.strip("[]").lower().removeprefix("*").removeprefix(".")
    if given_port and int(given_port) != port:
        return False
    return bool(name) and (host == name or host.endswith(f".{name}") or _is_in_network(host, name))


def _is_in_network(host: str, network: str) -> bool:
    try:
        return "/" in network and ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:  # a name, or no network
        return False
