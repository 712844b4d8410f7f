"""Why no connection came about, or none that is safe: what the system and TLS say of it, in a sentence for whoever waits."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from m3ter_nb.wire.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["why_no_connection", "why_no_tls"]

_REFUSED: Final = "{host} refused the connection. Is it running, and is the base URL right?"
_NOBODY_HERE: Final = (
    "{host} refused the connection: nothing runs there. Was it the sandbox? %m3ter_sandbox starts one and shows where it "
    "is; then %m3ter_login."
)
_NO_WAY: Final = "There is no way to {host}: check the network, or the VPN."
_NOT_ALLOWED: Final = (
    "This machine lets no connection out to {host}: a firewall, perhaps. Ask whoever runs it."
)
_TOO_MANY: Final = (
    "No connection to {host} could be opened, for this kernel has too many files or connections open. Close some, or "
    "restart it."
)
_CUT: Final = "{host} broke the connection as soon as it stood. Is the base URL right, its port above all?"
_CONNECTING: Final[Mapping[int | None, str]] = {
    errno.ECONNREFUSED: _REFUSED,
    errno.ENETUNREACH: _NO_WAY,
    errno.ENETDOWN: _NO_WAY,
    errno.EHOSTUNREACH: _NO_WAY,
    errno.EHOSTDOWN: _NO_WAY,
    errno.EACCES: _NOT_ALLOWED,
    errno.EPERM: _NOT_ALLOWED,
    errno.EMFILE: _TOO_MANY,
    errno.ENFILE: _TOO_MANY,
    errno.EADDRNOTAVAIL: _TOO_MANY,
    errno.ECONNRESET: _CUT,
    errno.ECONNABORTED: _CUT,
}

_UNVERIFIED: Final = "The certificate of {host} could not be verified"
_NOT_TRUSTED: Final = (
    "nobody whom this computer trusts has signed it. Behind a company proxy, name its CA file in REQUESTS_CA_BUNDLE; "
    "otherwise check the host."
)
_OTHER_NAME: Final = "it is that of another host. Check the base URL; a network that wants a login, or a proxy, can also stand between."
# Numbers of OpenSSL's x509_vfy.h, as ssl.SSLCertVerificationError.verify_code gives them.
_CERTIFICATES: Final[Mapping[object, str]] = {
    9: "it is not valid yet. Check the clock of this computer.",
    10: "it has expired. Check the clock of this computer; if that is right, whoever runs the host has to renew it.",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
_NO_TLS: Final = "{host} speaks no TLS there. Check the base URL: its scheme (https), its host and its port."
_NO_COMMON: Final = "{host} and this Python have no version or cipher of TLS in common. Check what stands on the way, a proxy perhaps."
_CLIENT: Final = "{host} wants a certificate of its clients, which m3ter does not. Check the base URL."
# Reasons of OpenSSL, as ssl.SSLError.reason gives them.
_HANDSHAKES: Final[Mapping[str, str]] = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "HTTP_REQUEST": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "UNEXPECTED_EOF_WHILE_READING": "{host} broke the connection off before TLS stood. Check the base URL, its port above all.",
    "UNSUPPORTED_PROTOCOL": _NO_COMMON,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_COMMON,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": _NO_COMMON,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CLIENT,
    "SSLV3_ALERT_BAD_CERTIFICATE": _CLIENT,
}


def why_no_connection(reasons: Iterable[BaseException], host: str) -> str:
    """Return the sentence for a host that took no connection, ``{host}`` in its place.

    Args:
        reasons: the errors, the system's among them.
        host: and its port.
    """
    code = next((reason.errno for reason in reasons if isinstance(reason, OSError) and reason.errno), None)
    text = _CONNECTING.get(code, _REFUSED)
    here = is_loopback(urlsplit(f"//{host}").hostname or "")
    return _NOBODY_HERE if text is _REFUSED and here else text


def why_no_tls(reasons: Iterable[BaseException]) -> str:
    """Return the sentence for a connection that TLS did not accept, ``{host}`` in its place; ``""`` for one that ended.

    Args:
        reasons: the errors, that of ``ssl`` among them, which is not imported here: a browser page has none.
    """
    said = list(reasons)
    verified = [reason.verify_code for reason in said if hasattr(reason, "verify_code")]
    if verified:
        return f"{_UNVERIFIED}: {_CERTIFICATES.get(verified[0], _NOT_TRUSTED)}"
    for reason in said:
        name = str(getattr(reason, "reason", ""))
        if name in _HANDSHAKES:
            return _HANDSHAKES[name]
    if any(type(reason).__name__ == "SSLEOFError" for reason in said):
        return ""
    return "TLS with {host} failed. Check the base URL, and what stands on the way, a proxy perhaps."
