"""Random and mutated requests to a sandbox in a process of its own: it lives, answers, and does not grow."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET
from raw_http import exchange, reset, status_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SEED = 20_261_125
THREADS = 4
GROWTH_MB = 150
BASIC = b64encode(f"{DEMO_KEY_ID}:{DEMO_SECRET}".encode())
BODIES = [
    b'{"name": "P", "code": "p"}',
    b'{"measurements": [{"meter": "m", "account": "a", "ts": "2024-01-31T12:00:00Z", "measure": {"x": 1}}]}',
    b'{"startDate": "2024-01-01T00:00:00Z", "endDate": "2025-01-01T00:00:00Z"}',
    b"grant_type=client_credentials",
]
PATHS = [
    b"/",
    b"/oauth/token",
    *(
        f"/organizations/{DEMO_ORG_ID}/{path}".encode()
        for path in (
            "products",
            "measurements",
            "usage/query",
            "accounts/search?searchQuery=name~a",
            "events",
        )
    ),
]
NASTY = [
    b"\x00",
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\xff" * 9,
    b"-1",
    b"40000000",
    b"ffffffffffffffff",
    b"9" * 400,
    b"%00",
    b"../" * 50,
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: evil\r\n",
    b"Connection: close\r\n",
    b"[" * 5_000,
    b'{"a":' * 2_000,
    b"1e999",
    b"NaN",
    b"\\ud800",
    b"x" * 70_000,
]


def plausible(rng: random.Random, token: bytes) -> bytes:
    """Return a request that could be answered."""
    body = rng.choice(BODIES)
    chunked = rng.random() < 0.3
    authorization = rng.choice([b"Bearer " + token, b"Basic " + BASIC, b"Bearer x"])
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    if chunked:
        at = rng.randrange(len(body))
        body = (
            b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:at], body[at:], b"") if part)
            + b"0\r\n\r\n"
        )
    method = rng.choice([b"GET", b"POST", b"PUT", b"DELETE", b"HEAD", b"OPTIONS"])
    lines = [b"%s %s HTTP/1.1" % (method, rng.choice(PATHS)), b"Host: localhost", framing]
    lines += [b"Authorization: " + authorization, b"Content-Type: application/json", b"", body]
    return b"\r\n".join(lines)


def mutated(rng: random.Random, text: bytes) -> bytes:
    """Return a request with a few bytes changed, doubled, left out, put in, or cut off."""
    changed = bytearray(text)
    for _ in range(rng.randrange(4)):
        at, end = sorted(rng.randrange(len(changed) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0:
                changed[at : at + 1] = rng.randbytes(1)
            case 1:
                changed[at:at] = rng.choice(NASTY)
            case 2:
                del changed[at : min(end, at + 30)]
            case 3:
                changed[at:at] = changed[at:end]
            case _:
                del changed[at:]
    return bytes(changed)


def resident_mb(process: subprocess.Popen[str]) -> float:
    """Return what a process holds in memory, in MB; 0 where the system does not say."""
    statm = Path(f"/proc/{process.pid}/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if statm.exists() else 0.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a sandbox in a process of its own; where the test fails, what it said is shown."""
    command = [sys.executable, "-m", "m3ter_nb.sandbox", "--no-limits"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    said = tmp_path / "stderr"
    with (
        said.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ) as run,
    ):
        yield run
        run.terminate()
    sys.stderr.write(said.read_text())


@pytest.mark.slow
def test_nothing_that_reaches_the_port_ends_or_bloats_the_sandbox(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    url = process.stdout.readline().split()[5]
    host, _, port = url.removeprefix("http://").partition(":")
    place = (host, int(port))

    def log_in() -> requests.Response:
        grant = {"grant_type": "client_credentials"}
        return requests.post(f"{url}/oauth/token", auth=(DEMO_KEY_ID, DEMO_SECRET), data=grant, timeout=30)

    token = log_in().json()["access_token"].encode()
    before = resident_mb(process)

    def attack(seed: int) -> dict[int, int]:
        rng, seen = random.Random(seed), dict[int, int]()
        for _ in range(600):
            text = rng.randbytes(rng.randrange(2_000)) if rng.random() < 0.1 else plausible(rng, token)
            text = mutated(rng, text) if rng.random() < 0.9 else text
            if rng.random() < 0.05:
                reset(place, text)
                continue
            status = status_of(exchange(place, text))
            seen[status] = seen.get(status, 0) + 1
            assert status != 500, text
        return seen

    with ThreadPoolExecutor(THREADS) as pool:
        seen = list(pool.map(attack, range(SEED, SEED + THREADS)))
    statuses = {status for of_thread in seen for status in of_thread}

    assert process.poll() is None
    assert log_in().status_code == 200
    assert {200, 400, 401, 403, 404} <= statuses, "the requests no longer reach what they are meant to reach"
    assert resident_mb(process) - before < GROWTH_MB
