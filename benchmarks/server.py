"""A minimal m3ter API on loopback, so that what is measured is the client: ``python server.py [--port N]``.

HTTP/1.1 with connections that stay open, in a process of its own. Head and body of an answer leave in one write: two
writes of a small answer meet Nagle's algorithm and the delayed ACK (RFC 1122 section 4.2.3.2), and every call would
take 40 ms, whoever made it.

It answers ``POST /oauth/token``, and under ``/organizations/{orgId}/``: ``products`` (10,000 of them, with
``pageSize`` and ``nextToken``), ``products/{id}``, ``users/me``, a meter and accounts for usage; it accepts every
``measurements``, and counts no row of them. ``GET /counts`` tells what has been asked for
since ``DELETE /counts``; neither is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import time
from collections import Counter
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

__all__ = ["ACCOUNTS", "KEY_ID", "METER", "ORG_ID", "PRODUCTS", "SECRET", "main"]

KEY_ID: Final = "benchmark-key-id"
SECRET: Final = "benchmark-api-secret"
ORG_ID: Final = "b0f6c7d2-0b4e-4f0e-9d55-2f9b5d1c7a10"
PRODUCTS: Final = 10_000
ACCOUNTS: Final = 90
METER: Final = {
    "id": "11111111-0000-4000-8000-000000000001",
    "code": "api_requests",
    "dataFields": [
        {"category": "WHERE", "code": "region"},
        {"category": "MEASURE", "code": "requests"},
        {"category": "MEASURE", "code": "bytes"},
    ],
}

_BASE = f"/organizations/{ORG_ID}/"
_LIFETIME = 18_000
_DEFAULT_PAGE = 100
_LARGEST_PAGE = 200
_BASIC = "Basic " + base64.b64encode(f"{KEY_ID}:{SECRET}".encode()).decode("ascii")
_REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found"}


def product(number: int) -> dict[str, Any]:
    """Return one product, with the fields of the documented answer."""
    return {
        "id": f"00000000-0000-4000-8000-{number:012d}",
        "version": 1 + number % 7,
        "dtCreated": f"2024-03-{1 + number % 28:02d}T09:30:00.000Z",
        "dtLastModified": f"2025-03-{1 + number % 28:02d}T09:30:00.000Z",
        "createdBy": "2906d18f-e71b-4e10-9bd6-fd07b52638f2",
        "lastModifiedBy": "2906d18f-e71b-4e10-9bd6-fd07b52638f2",
        "name": f"Product {number}",
        "code": f"product_{number}",
        "customFields": {"tier": "gold" if number % 3 else "silver", "rank": number},
    }


def access_token() -> str:
    """Return a token that looks like m3ter's: a JWT (RFC 7519) that names the organization. Nobody verifies it."""
    now = int(time.time())
    claims = {"orgId": ORG_ID, "iat": now, "exp": now + _LIFETIME, "sub": "benchmark"}
    parts = [{"typ": "JWT", "alg": "RS256"}, claims]
    texts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode("ascii") for part in parts
    ]
    return ".".join([*texts, "c2lnbmF0dXJl" * 28])


class Api:
    """What the server knows: its answers, made once, and what it was asked."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._products = [json.dumps(product(number)).encode() for number in range(PRODUCTS)]
        self._answers: dict[str, bytes] = {}
        self._bearer = "Bearer " + (token := access_token())
        self._token = {"token_type": "Bearer", "access_token": token, "expires_in": _LIFETIME, "scope": None}

    def answer(self, method: str, target: str, authorization: str) -> tuple[int, bytes]:
        """Return status and body, and count the request."""
        if target == "/oauth/token" and method == "POST":
            self.counts["token"] += 1
            return (200, json.dumps(self._token).encode()) if authorization == _BASIC else _refusal(401)
        self.counts["call"] += 1
        if authorization != self._bearer:
            return _refusal(401)
        if method == "POST" and target == f"{_BASE}measurements":
            return 200, b'{"result":"accepted"}'
        body = self._answers.get(target) or self._made(target)
        return (200, body) if method == "GET" and body else _refusal(404)

    def _made(self, target: str) -> bytes:
        parts = urlsplit(target)
        if not parts.path.startswith(_BASE):
            return b""
        match parts.path.removeprefix(_BASE).split("/"):
            case ["products"]:
                body = self._page(parse_qs(parts.query), PRODUCTS)
            case ["lists", total]:  # the products again and again, as long a list as is asked for
                return self._page(parse_qs(parts.query), int(total))
            case ["products", product_id]:
                body = self._products[int(product_id[-12:])]
            case ["meters"]:
                body = json.dumps({"data": [METER]}).encode()
            case ["accounts"]:
                body = json.dumps({"data": [{"code": f"acct-{each}"} for each in range(ACCOUNTS)]}).encode()
            case ["users", "me"]:
                body = json.dumps({"organization": {"orgId": ORG_ID, "type": "SANDBOX"}}).encode()
            case _:
                return b""
        self._answers[target] = body
        return body

    def _page(self, query: dict[str, list[str]], total: int) -> bytes:
        size = min(int(query.get("pageSize", [str(_DEFAULT_PAGE)])[0]), _LARGEST_PAGE)
        start = int(query.get("nextToken", ["0"])[0])
        end = min(start + size, total)
        tail = f',"nextToken":"{end}"' if end < total else ""
        items = [self._products[number % PRODUCTS] for number in range(start, end)]
        return b'{"data":[' + b",".join(items) + b"]" + tail.encode() + b"}"


def _refusal(status: int) -> tuple[int, bytes]:
    return status, json.dumps({"message": _REASONS[status]}).encode()


class Connection(asyncio.Protocol):
    """One connection: requests in, answers out, each in one write."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = b""
        self._counted = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            first, *fields = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
            whole = end + 4 + int(headers.get("content-length", "0"))
            if len(self._buffer) < whole:
                return
            self._buffer = self._buffer[whole:]
            method, target, _ = first.split(" ")
            status, body = self._answer(method, target, headers.get("authorization", ""))
            assert self._transport is not None
            self._transport.write(
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode("latin-1")
                + body,
            )
            if headers.get("connection", "").lower() == "close":
                self._transport.close()

    def _answer(self, method: str, target: str, authorization: str) -> tuple[int, bytes]:
        counts = self._api.counts
        if target == "/counts":
            told = json.dumps(counts).encode()
            if method == "DELETE":
                counts.clear()
            return 200, told
        if not self._counted:
            self._counted = True
            counts["connection"] += 1
        return self._api.answer(method, target, authorization)


async def serve(port: int) -> None:
    """Serve until standard input ends, so that the server never outlives whoever started it."""
    api = Api()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(api), "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    """Print the URL, and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; any free one by default")
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
