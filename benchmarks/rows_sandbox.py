"""Rows about the sandbox, beside prism on the official OpenAPI document."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET
from prism import prism_command
from results import Goal, Line, Samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from processes import Bench

__all__ = ["Running", "asked", "running", "sandbox"]

_PRODUCTS: Final = f"/organizations/{DEMO_ORG_ID}/products"
_STARTS: Final = 8
_RATES: Final = 6
_LOAD_SECONDS: Final = 1.0
_CONNECTIONS: Final = (1, 8)
_POLL_SECONDS: Final = 0.002
_START_SECONDS: Final = 60
_END_SECONDS: Final = 10


@dataclass(frozen=True)
class Running:
    """A server that has given its first answer.

    Attributes:
        url: its base URL.
        token: what it takes as a bearer token.
        seconds: from the start of its process to its first answer.
        pid: of its process.
    """

    url: str
    token: str
    seconds: float
    pid: int


def sandbox(bench: Bench) -> list[Line]:
    """Measure start to first answer and answers per second, of the sandbox and of prism by turns."""
    command = prism_command()
    commands = {"sandbox": [sys.executable, "-m", "m3ter_nb.sandbox", "--no-limits"]}
    if isinstance(command, list):
        commands["prism"] = command
    note = command if isinstance(command, str) else ""
    starts = _starts(bench, commands)
    rates = _rates(bench, commands)
    faster, more = Goal("ratio", 1.0), Goal("ratio", 1.0, at_least=True)
    return [
        Line(
            "the sandbox: start of its process to the first list",
            "prism on the OpenAPI document",
            starts["sandbox"],
            starts.get("prism"),
            faster,
            note,
        ),
        *(
            Line(
                f"the sandbox: a product read over {connections} connection{'s' if connections > 1 else ''}",
                "prism on the OpenAPI document",
                rates["sandbox", connections],
                rates.get(("prism", connections)),
                more,
                note,
            )
            for connections in _CONNECTIONS
        ),
    ]


def _starts(bench: Bench, commands: dict[str, list[str]]) -> dict[str, Samples]:
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(bench.rounds(_STARTS) + 1):
        for name, command in commands.items():
            with running(bench, command) as server:
                if number:  # the first one fills the caches of files and bytecode
                    seconds[name].append(server.seconds)
    return {name: Samples("s", tuple(values)) for name, values in seconds.items()}


def _rates(bench: Bench, commands: dict[str, list[str]]) -> dict[tuple[str, int], Samples]:
    """Return answers per second by server and number of connections; an idle server costs the other nothing."""
    rates: dict[tuple[str, int], list[float]] = {}
    if "prism" in commands:
        with running(bench, commands["sandbox"]) as ours, running(bench, commands["prism"]) as theirs:
            _take_turns(bench, {"sandbox": ours, "prism": theirs}, rates)
    else:
        with running(bench, commands["sandbox"]) as ours:
            _take_turns(bench, {"sandbox": ours}, rates)
    return {key: Samples("1/s", tuple(values)) for key, values in rates.items()}


def _take_turns(bench: Bench, servers: dict[str, Running], rates: dict[tuple[str, int], list[float]]) -> None:
    product = {"name": "Product", "code": "product", "customFields": {"tier": "gold"}}
    paths = {
        name: f"{_PRODUCTS}/{asked(server.url, 'POST', _PRODUCTS, server.token, product)['id']}"
        for name, server in servers.items()
    }
    seconds = str(_LOAD_SECONDS / 2 if bench.quick else _LOAD_SECONDS)
    for number in range(bench.rounds(_RATES) + 1):
        for connections in _CONNECTIONS:
            for name, server in servers.items():
                answers = bench.run(
                    "load.py", server.url + paths[name], server.token, str(connections), seconds
                )
                if number:  # a server warms up, too: V8 compiles what runs often
                    rates.setdefault((name, connections), []).append(answers)


@contextmanager
def running(bench: Bench, command: Sequence[str]) -> Iterator[Running]:
    """Start a server and wait for its first answer; end it afterwards."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port)],
        env=bench.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _await(port, process)
        # prism takes any token; the sandbox is logged in to, which counts for its first answer.
        token = "any"
        if "m3ter_nb.sandbox" in command:
            token = asked(url, "POST", "/oauth/token", None, {"grant_type": "client_credentials"})[
                "access_token"
            ]
        asked(url, "GET", _PRODUCTS, token)
        yield Running(url, token, time.perf_counter() - started, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until somebody listens on a port.

    Raises:
        RuntimeError: the process has ended, or takes too long.
    """
    until = time.perf_counter() + _START_SECONDS
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(_POLL_SECONDS)
        else:
            return
    raise RuntimeError(f"the server did not listen within {_START_SECONDS} s")


def asked(url: str, method: str, path: str, token: str | None, body: Any = None) -> Any:
    """Return the decoded answer to one request.

    Raises:
        RuntimeError: it was refused.
    """
    basic = b64encode(f"{DEMO_KEY_ID}:{DEMO_SECRET}".encode()).decode("ascii")
    headers = {
        "Authorization": f"Bearer {token}" if token else f"Basic {basic}",
        "Content-Type": "application/json",
    }
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_START_SECONDS)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise RuntimeError(f"{method} {path} was answered with {answer.status}: {content[:200]!r}")
    return json.loads(content)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
