"""What a failure of the network is called: every exception of urllib3 and the socket by one of our names."""

from __future__ import annotations

from urllib3 import exceptions as u3

from m3ter_nb.errors import (
    ConnectionBroken,
    ConnectionFailed,
    ConnectionTimeout,
    InvalidArgument,
    M3terError,
    UnexpectedAnswer,
)

__all__ = ["translated"]

_REPEAT = " Run the cell again."
_CAUTION = " It may have carried out the call all the same: check before you repeat it."
# In this order: the first kind found in an exception, or in what it wraps, names our error.
_TRANSLATIONS: tuple[tuple[tuple[type[BaseException], ...], type[M3terError], str], ...] = (
    (
        (u3.ProxySchemeUnsupported,),
        ConnectionFailed,
        "The proxy on the way to {host} speaks SOCKS, for which a package is missing: run %pip install pysocks.",
    ),
    (
        (u3.ProxyError, u3.ProxySchemeUnknown),
        ConnectionFailed,
        "The proxy on the way to {host} could not be used. Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
    ),
    (
        (u3.NameResolutionError,),
        ConnectionFailed,
        "The host {host} is not known. Check the base URL, or the network.",
    ),
    (
        (u3.NewConnectionError, ConnectionRefusedError),
        ConnectionFailed,
        "{host} refused the connection. Is it running, and is the base URL right?",
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
        (
            "The certificate of {host} could not be verified. Behind a company proxy, name its CA file in "
            "REQUESTS_CA_BUNDLE; otherwise check the host."
        ),
    ),
    (
        (u3.LocationParseError, u3.URLSchemeUnknown, UnicodeError),
        InvalidArgument,
        "The request to {host} could not be built: its URL is malformed.",
    ),
    (
        (u3.InvalidHeader,),
        UnexpectedAnswer,
        "{host} sent an answer whose headers make no sense; is it a m3ter API? Check the base URL.",
    ),
    (
        (u3.DecodeError,),
        UnexpectedAnswer,
        "{host} sent an answer whose compression is broken. Run the cell again.",
    ),
)


def translated(
    error: BaseException,
    host: str,
    connect: float,
    read: float,
    *,
    repeatable: bool = False,
    outside: BaseException | None = None,
) -> M3terError:
    """Return our error for one of urllib3 or the socket; the texts of theirs are not repeated.

    Args:
        error: theirs.
        host: that was asked.
        connect: seconds that were waited for the connection, at most.
        read: seconds that were waited for each piece of the answer, at most.
        repeatable: whether sending the request twice does no more than sending it once.
        outside: what the caller was handling when the request was made.
    """
    caution = _REPEAT if repeatable else _CAUTION
    reasons = _reasons(error, outside)
    for kinds, ours, text in _TRANSLATIONS:
        if any(isinstance(reason, kinds) for reason in reasons):
            return ours(text.format(host=host, connect=connect, read=read, caution=caution))
    return ConnectionBroken(f"{host} broke the connection before its answer was complete.{caution}")


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
