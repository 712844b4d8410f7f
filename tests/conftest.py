"""Fixtures for every test: a clean environment, a clock, a sandbox, a shell."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.variables import VARIABLES
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import Sandbox

import over_ipc  # noqa: F401 - before any kernel starts
from clocks import TwoClocks
from sandbox_fixtures import _shared_sandbox, api, sandbox, settable_clock  # noqa: F401 - fixtures

# jsonschema, where it finds this, compiles a grammar of internationalized URLs: three seconds of every process, for a
# format that no schema here names.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # what import takes for "there is none"

# A red test is to be red for what was changed: the same examples each time. `make quick` tries the
# first of them (`brief`), `make seeds` looks further.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.register_profile("brief", derandomize=True, deadline=None, max_examples=20)
hypothesis.settings.register_profile("explore", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("repeatable")

_PLACES = ("BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST", "BINDER_REPO_URL", "XDG_CONFIG_HOME")
_LEAKY = (*VARIABLES, "M3TER_PROFILE", "NETRC", *_PLACES)
# No test touches the developer's own keychain; those of the keychain bring one.
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_HIDDEN = ("HOME", *_LEAKY, *_PROXIES, *(name.lower() for name in _PROXIES))
_homes = [0]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[Any]:
    """Have the collector stand still meanwhile: nearly all that is made then stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let the collector pass over what stays until the end: it would look through 100 MB again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _as_failure(report: Any) -> Any:
    """Turn a skip into a failure where ``CI`` is set: there, everything that a test needs is installed."""
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        _, _, reason = report.longrepr
        report.outcome, report.longrepr = "failed", f"A CI machine must not skip this. {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[Any]:
    """Skip no test on a CI machine."""
    return _as_failure((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[Any]:
    """Skip no file on a CI machine."""
    return _as_failure((yield))


def _empty_home(folder: Path) -> Path:
    """Return a folder with nothing in it: the last test's, where that left nothing; to make one takes as long as a test."""
    home = folder / f"home-{_homes[0]}"
    if not home.is_dir() or any(home.iterdir()):
        _homes[0] += 1
        home = folder / f"home-{_homes[0]}"
        home.mkdir()
    return home


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Go to an empty home folder, from which the developer's own credentials, proxies, netrc and .env are not seen."""
    before = Path.cwd()
    hidden = {name: os.environ.pop(name) for name in _HIDDEN if name in os.environ}
    home = _empty_home(tmp_path_factory.getbasetemp())
    os.environ["HOME"] = str(home)
    os.chdir(home)
    yield home
    os.chdir(before)
    os.environ.update(hidden)


@pytest.fixture
def clocks() -> TwoClocks:
    """Return a settable pair of clocks; ``clocks.clock`` is what the package takes."""
    return TwoClocks()


@pytest.fixture
def waits() -> list[float]:
    """Return the seconds that were waited, in turn; nobody really waits."""
    return []


@pytest.fixture
def told() -> list[str]:
    """Return what the person was told, in turn."""
    return []


@pytest.fixture
def credentials() -> Credentials:
    """Return the sandbox's public credentials."""
    return Credentials(DEMO_KEY_ID, DEMO_SECRET, "a test")


@pytest.fixture
def sandbox_environ(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:  # noqa: F811 - the fixture
    """Point the environment at the sandbox, and return it."""
    for name, value in sandbox.environ.items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[InteractiveShell]:
    """Return an IPython shell without history file, with the extension loaded; unloaded afterwards."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    # One for all: what keeps something takes a place of its own.
    monkeypatch.setenv("IPYTHONDIR", str(home.parent / "ipython"))
    InteractiveShell.clear_instance()
    # Without colours a traceback takes a quarter of the time, and no mark in it is cut by an escape sequence.
    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    made = InteractiveShell.instance(config=config)
    made.extension_manager.load_extension("m3ter_nb")
    yield made
    made.extension_manager.unload_extension("m3ter_nb")
    InteractiveShell.clear_instance()
    # At exit IPython resets every shell it has made, with a whole garbage collection for each.
    atexit.unregister(made.atexit_operations)
