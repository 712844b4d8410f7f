"""Make a number of calls in one of several ways: ``python many_calls.py WAY CALLS``. The server counts what they take.

Ways: ``ours``, ``magic``, ``threads`` (16 of them share the session), ``all`` (the whole list, CALLS times),
``sdk`` (the official SDK unaided), ``our-sdk`` and ``our-async-sdk`` (the official SDK on our token).
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout

import m3ter
from shells import fresh_shell, run

import m3ter_nb

PATH = "products/00000000-0000-4000-8000-000000004711"
PRODUCT_ID = PATH.rpartition("/")[2]
THREADS = 16


def ours(calls: int) -> None:
    """Call through one session."""
    with m3ter_nb.login() as session:
        for _ in range(calls):
            session.get(PATH)


def threads(calls: int) -> None:
    """Call through one session from many threads."""
    with m3ter_nb.login() as session, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: session.get(PATH), range(calls)))


def magic(calls: int) -> None:
    """Call by the magic, in a shell."""
    by_magic(f"GET {PATH}", calls)


def whole_list(calls: int) -> None:
    """Read the whole list by the magic, in a shell."""
    by_magic("GET products --all", calls)


def by_magic(line: str, calls: int) -> None:
    """Log in and call in a fresh shell."""
    shell = fresh_shell()
    with redirect_stdout(io.StringIO()):
        run(shell, "%load_ext m3ter_nb", "%m3ter_login", *[f"answer = %m3ter {line}"] * calls)


def sdk(calls: int) -> None:
    """Call by the official SDK, as it is documented."""
    call_by(m3ter.M3ter(), calls)


def our_sdk(calls: int) -> None:
    """Call by the official SDK on our token."""
    with m3ter_nb.login() as session:
        call_by(session.sdk(), calls)


def call_by(client: m3ter.M3ter, calls: int) -> None:
    """Read one product again and again."""
    for _ in range(calls):
        client.products.retrieve(PRODUCT_ID)


def our_async_sdk(calls: int) -> None:
    """Call by the official async SDK on our token."""

    async def call() -> None:
        client = session.async_sdk()
        for _ in range(calls):
            await client.products.retrieve(PRODUCT_ID)

    with m3ter_nb.login() as session:
        asyncio.run(call())


WAYS = {
    "ours": ours,
    "threads": threads,
    "magic": magic,
    "all": whole_list,
    "sdk": sdk,
    "our-sdk": our_sdk,
    "our-async-sdk": our_async_sdk,
}

if __name__ == "__main__":
    WAYS[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps("done"))
