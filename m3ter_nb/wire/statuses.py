"""What an HTTP status says by itself, wherever it comes from: the API, or what stands on the way to it.

Names of the statuses: https://www.iana.org/assignments/http-status-codes. Those from 520 on are not registered; networks
that stand in front of a host give them where they cannot reach it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m3ter_nb.wire.answer import Answer

__all__ = ["advice_for"]

_PROXY: Final = "Something on the way, such as a proxy, may have changed the request."
_NO_USE: Final = "To try again is of no use: check the base URL, and what stands on the way."
_TOO_LONG: Final = frozenset({HTTPStatus.REQUEST_URI_TOO_LONG, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
# Characters and bytes of a request that nobody calls long.
_SHORT: Final = 500
_UNREACHED: Final = range(520, 531)

_ADVICE: Final[Mapping[int, str]] = {
    HTTPStatus.PAYMENT_REQUIRED: "The organization's contract does not cover it, or a payment is due: ask m3ter.",
    HTTPStatus.NOT_ACCEPTABLE: f"It has no answer in JSON there. {_PROXY} Check the base URL.",
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: (
        "A proxy on the way wants a name and a password: put them into HTTPS_PROXY (http://NAME:PASSWORD@PROXY:PORT)."
    ),
    HTTPStatus.REQUEST_TIMEOUT: "The request did not come whole in time: check the network, then run the cell again.",
    HTTPStatus.GONE: "What was there is gone for good; a list shows what there is.",
    HTTPStatus.LENGTH_REQUIRED: f"The length of the request did not arrive. {_PROXY}",
    HTTPStatus.PRECONDITION_FAILED: "What is stored is not what the request expects: read it again, then repeat the change.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: f"It does not take JSON there. {_PROXY} Check the path.",
    HTTPStatus.EXPECTATION_FAILED: _PROXY,
    HTTPStatus.MISDIRECTED_REQUEST: "The request reached a host that does not answer for this one: check the base URL, and the proxy.",
    HTTPStatus.LOCKED: "It is locked, by a job perhaps: try again when that has ended.",
    HTTPStatus.TOO_EARLY: "It came too early on a new connection: run the cell again.",
    HTTPStatus.UPGRADE_REQUIRED: f"It wants another version of HTTP or TLS. {_PROXY}",
    HTTPStatus.PRECONDITION_REQUIRED: "It wants to know what the change builds on: read the entity, and send its version too.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "The headers are longer than something on the way takes; the token is most of them. Ask whoever runs the proxy."
    ),
    HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS: "It may not be shown for legal reasons, or a network on the way blocks the host.",
    HTTPStatus.NOT_IMPLEMENTED: f"The server cannot do this at all. {_NO_USE}",
    HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: f"The server does not speak this version of HTTP. {_NO_USE}",
    HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED: (
        "The network itself wants a login: open any page in a browser, log in there, then run the cell again."
    ),
}


def advice_for(answer: Answer) -> str:
    """Return what to do about a status that has one meaning whatever was asked; ``""`` where it has none."""
    if answer.status in _TOO_LONG and len(answer.url) + len(answer.sent) < _SHORT:
        return f"The request is short, and m3ter takes longer ones. {_PROXY}"
    if answer.status == HTTPStatus.REQUEST_URI_TOO_LONG:
        return f"The URL is too long ({len(answer.url):,} characters): send fewer ids or filters in one call."
    if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return f"The body has {len(answer.sent):,} bytes, more than is taken there: send it in several parts."
    if answer.status in _UNREACHED:
        return "What stands in front of the host did not reach it. Try again in a minute."
    return _ADVICE.get(answer.status, "")
