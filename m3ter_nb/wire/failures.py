"""What a failure of the network is called: every exception of urllib3 and the socket by one of our names."""

from __future__ import annotations

import sys
from collections.abc import Callable
from http.client import BadStatusLine, LineTooLong
from typing import TYPE_CHECKING

from urllib3 import exceptions as u3

from m3ter_nb.errors import (
    ConnectionBroken,
    ConnectionFailed,
    ConnectionTimeout,
    InvalidArgument,
    M3terError,
    UnexpectedAnswer,
)
from m3ter_nb.wire.causes import why_no_connection, why_no_tls
from m3ter_nb.wording import either

if TYPE_CHECKING:
    from m3ter_nb.wire.bounds import Deadline

__all__ = ["translate", "unusable_proxy"]

_REPEAT = " Run the cell again."
_CAUTION = " It may have carried out the call all the same: check before you repeat it."
_NO_HTTP = "{host} answered with what is no HTTP; is it a m3ter API? Check the base URL: its scheme, its host and its port."
_NO_PROXY = "The proxy on the way to {host} could not be used. Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY."
_NO_SOCKS = (
    "The proxy on the way to {host} speaks SOCKS, for which a package is missing: run %pip install {package}."
)
# How http.client says that a proxy answered CONNECT so.
_PROXY_REFUSED = "Tunnel connection failed: 407"
# In this order: the first kind found in an exception, or in what it wraps, names our error.
_Text = str | Callable[[list[BaseException], str], str]
_TRANSLATIONS: tuple[tuple[tuple[type[BaseException], ...], type[M3terError], _Text], ...] = (
    (
        (u3.ProxySchemeUnsupported,),
        ConnectionFailed,
        _NO_SOCKS.replace("{package}", "pysocks"),
    ),
    (
        (u3.ProxyError, u3.ProxySchemeUnknown),
        ConnectionFailed,
        _NO_PROXY,
    ),
    (
        (u3.NameResolutionError,),
        ConnectionFailed,
        "The host {host} is not known. Check the base URL, or the network.",
    ),
    (
        (u3.NewConnectionError, ConnectionRefusedError),
        ConnectionFailed,
        why_no_connection,
    ),
    (
        (u3.ConnectTimeoutError,),
        ConnectionTimeout,
        (
            "{host} did not take the connection within {connect:g} s. Check the network, or the host in the "
            "base URL, then run the cell again."
        ),
    ),
    (
        (u3.TimeoutError, TimeoutError),
        ConnectionTimeout,
        "{host} did not answer within {read:g} s.{caution}",
    ),
    (
        (u3.SSLError,),
        ConnectionFailed,
        lambda reasons, _: why_no_tls(reasons),
    ),
    (
        (u3.LocationParseError, u3.URLSchemeUnknown, UnicodeError),
        InvalidArgument,
        "The request to {host} could not be built: its URL is malformed.",
    ),
    (
        (u3.InvalidHeader, LineTooLong),
        UnexpectedAnswer,
        "{host} sent an answer whose headers make no sense; is it a m3ter API? Check the base URL.",
    ),
    (
        (u3.DecodeError,),
        UnexpectedAnswer,
        "{host} sent an answer whose compression is broken, or was not asked for. Run the cell again.",
    ),
)


def unusable_proxy(host: str, package: str = "") -> ConnectionFailed:
    """Return the error for a proxy that cannot be used, or that takes a package which is not installed."""
    text = _NO_SOCKS if package else _NO_PROXY
    return ConnectionFailed(text.format(host=host, package=repr(package)))


def translate(
    error: BaseException,
    host: str,
    timeout: tuple[float, float],
    *,
    deadline: Deadline | None = None,
    repeatable: bool = False,
    outside: BaseException | None = None,
) -> M3terError:
    """Return our error for one of urllib3 or the socket; the texts of theirs are not repeated.

    Args:
        error: theirs.
        host: that was asked.
        timeout: seconds that were waited, at most, for the connection and for each piece of the answer.
        deadline: of the whole request.
        repeatable: whether sending the request twice does no more than sending it once.
        outside: what the caller was handling when the request was made.
    """
    caution = _REPEAT if repeatable else _CAUTION
    reasons = _reasons(error, outside)
    if deadline is not None and deadline.left() <= 0 and _is_one_of(reasons, (u3.TimeoutError, TimeoutError)):
        return ConnectionTimeout(
            f"{host} did not finish its answer within {deadline.seconds:g} s in all.{caution} "
            f"{either('total_timeout of the login', '%config M3terMagics.total_timeout')} sets how long a call may take.",
        )
    if any(str(reason).startswith(_PROXY_REFUSED) for reason in reasons if isinstance(reason, OSError)):
        return ConnectionFailed(
            f"The proxy on the way to {host} wants a name and a password (407): put them into HTTPS_PROXY "
            "(http://NAME:PASSWORD@PROXY:PORT).",
        )
    for kinds, ours, text in _TRANSLATIONS:
        if _is_one_of(reasons, kinds):
            said = text if isinstance(text, str) else text(reasons, host)
            if not said:
                break
            return ours(said.format(host=host, connect=timeout[0], read=timeout[1], caution=caution))
    if sys.platform == "emscripten":
        # A page is not told why: nearly always it is the host, which names no page that may read it.
        return ConnectionFailed(
            f"The browser does not let this page read {host} (CORS), or cannot reach it. Use the sandbox here, or a "
            "Jupyter with a kernel of its own.",
        )
    if any(isinstance(reason, BadStatusLine) and not isinstance(reason, OSError) for reason in reasons):
        return UnexpectedAnswer(_NO_HTTP.format(host=host) + ("" if repeatable else _CAUTION))
    return ConnectionBroken(f"{host} broke the connection before its answer was complete.{caution}")


def _is_one_of(reasons: list[BaseException], kinds: tuple[type[BaseException], ...]) -> bool:
    return any(isinstance(reason, kinds) for reason in reasons)


def _reasons(error: BaseException, outside: BaseException | None) -> list[BaseException]:
    """Return an exception and all that it wraps, as urllib3 wraps: in args, reason, cause."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        # Not what the caller was handling already, which is the context of all that fails meanwhile.
        if isinstance(item, BaseException) and item is not outside and item not in seen:
            seen.append(item)
            todo += [*item.args, getattr(item, "reason", None), item.__cause__, item.__context__]
    return seen
