"""Processes: the server beside the measured ones, and fresh ones to measure in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kernels import Cost, cost_of_cell
from server import KEY_ID, ORG_ID, SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Bench", "benchmark_server", "counts", "forget_counts"]

HERE: Final = Path(__file__).resolve().parent
MEASURED: Final = HERE / "measured"
_PATIENCE = 300
_SECONDS_TO_END = 10

# What must not differ between the developer's machine and another one.
_UNWANTED = (
    "M3TER_",
    "BINDER_",
    "PYTHON",  # PYTHONDONTWRITEBYTECODE would have our modules compiled at each start, and nobody else's
    "NETRC",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
)


@contextmanager
def benchmark_server() -> Iterator[str]:
    """Run the server in a process of its own, and give its URL."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(_SECONDS_TO_END)
        process.stdout.close()


def counts(url: str) -> dict[str, int]:
    """Return what the server was asked: ``token``, ``call`` (any other request), ``connection``; absent for none."""
    return _counts(url, "GET")


def forget_counts(url: str) -> None:
    """Have the server count anew."""
    _counts(url, "DELETE")


def _counts(url: str, method: str) -> dict[str, int]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{url}/counts", method=method), timeout=30) as answer:
        told: dict[str, int] = json.load(answer)
    return told


class Bench:
    """One run of the benchmark: where the server is, how often to measure, and a clean place to do it.

    Args:
        url: of the benchmark's server.
        quick: measure a little, to see that everything works; the figures mean less.
        home: an empty folder that stands for the user's home.
    """

    def __init__(self, url: str, *, quick: bool, home: Path) -> None:
        self.url = url
        self.quick = quick
        self._home = home
        self.environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_UNWANTED) and not name.lower().endswith("_proxy")
        } | {
            "HOME": str(home),
            "IPYTHONDIR": str(home / "ipython"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "PYTHONPATH": str(MEASURED),
            "PYTHON_KEYRING_BACKEND": "keychain_in_a_file.Keyring",
            "M3TER_BASE_URL": url,
            "M3TER_API_KEY": KEY_ID,
            "M3TER_API_SECRET": SECRET,
            "M3TER_ORG_ID": ORG_ID,
        }

    @classmethod
    @contextmanager
    def of(cls, url: str, *, quick: bool) -> Iterator[Bench]:
        """Give a bench with a home that is removed afterwards."""
        with tempfile.TemporaryDirectory() as home:
            yield cls(url, quick=quick, home=Path(home))

    def rounds(self, usual: int) -> int:
        """Return how many rounds to measure."""
        return max(3, usual // 5) if self.quick else usual

    def run(self, script: str, *arguments: str) -> Any:
        """Run one of the scripts in ``measured/`` in a fresh process, and return the JSON that it prints last.

        Raises:
            RuntimeError: it failed; what it said is in the message.
        """
        done = subprocess.run(
            [sys.executable, str(MEASURED / script), *arguments],
            env=self.environ,
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{script} failed:\n{done.stderr or done.stdout}")
        return json.loads(done.stdout.splitlines()[-1])

    def cost_of_cell(self, cell: str) -> Cost:
        """Return what a cell costs in a fresh kernel."""
        return cost_of_cell(cell, self.environ, self._home)
