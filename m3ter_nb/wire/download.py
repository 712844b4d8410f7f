"""Files behind pre-signed URLs: fetched without the token, for the URL itself is the permission."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from urllib3 import exceptions as u3

from m3ter_nb.errors import UnexpectedAnswer, UnsafeDestination
from m3ter_nb.hiding import without_frames
from m3ter_nb.wire.body import ACCEPTED_ENCODING
from m3ter_nb.wire.bounds import Allowance, Deadline, TooLong
from m3ter_nb.wire.certificates import ca_bundle
from m3ter_nb.wire.connections import Connections
from m3ter_nb.wire.failures import translate
from m3ter_nb.wire.hosts import is_loopback, origin
from m3ter_nb.wire.proxies import proxy_for

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["download"]

_TIMEOUT = (5.0, 30.0)
_TOTAL = 300.0
_LONGEST = 50_000_000


@without_frames
def download(url: str, *, api: str) -> bytes:
    """Fetch a pre-signed URL: no token, no redirect, at most 50,000,000 bytes.

    Args:
        url: as m3ter's ``getDownloadUrl`` answers it; its query is as good as a key, and is in no message.
        api: base URL of the API; plain http is taken only where both are on this machine.

    Raises:
        UnsafeDestination: plain http to another machine, or no URL at all.
        ConnectionFailed: nothing came, or too much, or a refusal.
    """
    where = origin(url)
    scheme, host, _ = where
    local = is_loopback(host) and is_loopback(origin(api)[1])
    if not host or not url.isascii() or not (scheme == "https" or (scheme == "http" and local)):
        raise UnsafeDestination("m3ter named a download URL that is not https; nothing was fetched.")
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline = Deadline(_TOTAL, time.monotonic)
    connections = Connections({where: proxy_for(url)}, ca_bundle() if scheme == "https" else None)
    try:
        with _unlogged():
            response, content = connections.exchange(
                where,
                "GET",
                target,
                {"Accept-Encoding": ACCEPTED_ENCODING},
                None,
                connect=_TIMEOUT[0],
                allowance=Allowance(deadline, _TIMEOUT[1], _LONGEST),
            )
    except TooLong:
        raise UnexpectedAnswer(f"{host} sent a file of more than {_LONGEST:,} bytes.") from None
    except (u3.HTTPError, OSError, ValueError) as error:
        raise translate(error, host, _TIMEOUT, deadline=deadline, repeatable=True) from None
    finally:
        connections.close()
    if response.status != HTTPStatus.OK:
        raise UnexpectedAnswer(f"{host} answered the download of a file with {response.status}.")
    return content


@contextmanager
def _unlogged() -> Iterator[None]:
    """Keep urllib3, which logs each target with its query, from logging what this thread asks for."""
    logger, thread = logging.getLogger("urllib3.connectionpool"), threading.get_ident()

    def is_of_another(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger.addFilter(is_of_another)
    try:
        yield
    finally:
        logger.removeFilter(is_of_another)
