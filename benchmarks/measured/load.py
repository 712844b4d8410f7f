"""Ask for one URL over some connections at once, again and again: ``python load.py URL TOKEN CONNECTIONS SECONDS``.

Prints how many answers came per second. The client does as little as it can, so that the server is what is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from functools import partial
from urllib.parse import urlsplit


class _Asker(asyncio.Protocol):
    """One connection: the next request leaves when the last answer is complete."""

    def __init__(self, request: bytes, until: float, ended: asyncio.Future[None]) -> None:
        self._request = request
        self._until = until
        self._ended = ended
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.answers = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        start = head.index(b"content-length:") + len(b"content-length:")
        length = int(head[start:].partition(b"\r\n")[0])
        if len(self._buffer) < end + 4 + length:
            return
        if not head.startswith(b"http/1.1 200 "):
            self._end(RuntimeError(f"answered with {head[:15]!r}"))
            return
        self._buffer = b""
        self.answers += 1
        assert self._transport is not None
        if time.perf_counter() < self._until:
            self._transport.write(self._request)
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._until and exc is None:
            exc = ConnectionError("the server closed the connection")
        self._end(exc)

    def _end(self, error: Exception | None) -> None:
        if not self._ended.done():
            if error is None:
                self._ended.set_result(None)
            else:
                self._ended.set_exception(error)


async def rate(url: str, token: str, connections: int, seconds: float) -> float:
    """Return answers per second."""
    parts = urlsplit(url)
    request = (
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: application/json\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode("latin-1")
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    ends: list[asyncio.Future[None]] = []
    askers: list[_Asker] = []
    for _ in range(connections):
        ended = loop.create_future()
        made = partial(_Asker, request, started + seconds, ended)
        _, asker = await loop.create_connection(made, parts.hostname or "", parts.port or 80)
        ends.append(ended)
        askers.append(asker)
    await asyncio.gather(*ends)
    return sum(asker.answers for asker in askers) / (time.perf_counter() - started)


if __name__ == "__main__":
    asked_for, bearer, how_many, how_long = sys.argv[1:]
    print(json.dumps(asyncio.run(rate(asked_for, bearer, int(how_many), float(how_long)))))
