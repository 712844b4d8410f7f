"""Which hosts a secret or a token may be sent to."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from m3ter_nb.errors import InvalidArgument, UnsafeDestination

__all__ = ["DEFAULT_BASE_URL", "checked_base_url", "ingest_url", "is_loopback", "origin"]

#: The Config API of production (https://docs.m3ter.com/api, ``servers`` of the OpenAPI document).
DEFAULT_BASE_URL = "https://api.m3ter.com"

# Letters that urllib3 and urlsplit read alike; a host of other scripts is written in punycode, so that it cannot
# pass for another.
_BASE_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[a-z0-9._~-]*)*)",
    re.IGNORECASE | re.ASCII,
)
_BARE_HOST = r"[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+(?::[0-9]+)?/?"
_LAST_PORT = 65_535


def checked_base_url(url: object) -> str:
    """Return a base URL without its trailing slash, scheme and host in lower case, if secrets may be sent there.

    Raises:
        InvalidArgument: it is no text, or no plain http(s) URL (a user name, a query, a fragment, an odd character).
        UnsafeDestination: plain http to a host that is not loopback.
    """
    if not isinstance(url, str):
        raise InvalidArgument(f"A base URL is text such as {DEFAULT_BASE_URL}.")
    text = url.strip()
    if "@" in text:
        raise InvalidArgument("The base URL must not hold a user name or a password; give the host alone.")
    if not text.isascii():
        raise InvalidArgument(
            "The base URL holds a letter that is not ASCII, which can look like another. Write the host in punycode "
            "(xn--...) if it is meant.",
        )
    match = _BASE_URL.fullmatch(text) if origin(text)[1] else None
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
        port = parts.port if parts.port is not None else {"https": 443, "http": 80}.get(parts.scheme, 0)
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


def ingest_url(base_url: str) -> str:
    """Return the Ingest API's base URL: ``https://ingest.m3ter.com`` for production, as in the official SDKs.

    Any other base URL serves both.
    """
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if host.startswith("api.") and host.endswith(".m3ter.com"):
        return parts._replace(netloc=parts.netloc.lower().replace("api.", "ingest.", 1)).geturl()
    return base_url
