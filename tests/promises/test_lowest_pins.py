"""The lowest versions that pyproject.toml allows of what the package needs, in an environment of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from places import ROOT

pytestmark = [pytest.mark.more, pytest.mark.network, pytest.mark.timeout(600)]

# Without pandas, whose lowest version needs a numpy of its time, and without the file of tests that needs it.
_EXTRAS = "sandbox,keyring,sdk"
# What the tests need beside the package; numpy for the scalars of a query, pickleshare for IPython 8.20's %store.
_TOOLS = (
    "hypothesis",
    "ipykernel",
    "jupyter_client",
    "jsonschema",
    "nbclient",
    "numpy",
    "pexpect",
    "pickleshare",
    "pysocks",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "rich",
    "sentry-sdk",
    "stackprinter",
)
_CORE = (
    "tests/wire",
    "tests/auth",
    "tests/api",
    "tests/notebook/test_front_end.py",
    "tests/notebook/test_kernels.py",
    "tests/notebook/test_login_form.py",
    "tests/notebook/test_magics.py",
)


def run(*command: str) -> str:
    """Run a command in the repository, and return what it printed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_the_core_works_with_the_lowest_versions_it_allows() -> None:
    uv = (sys.executable, "-m", "uv")
    folder = ROOT / "build" / "venvs" / "lowest"
    run(*uv, "venv", "--clear", "--python", sys.executable, str(folder))
    into = ("--python", str(folder / "bin" / "python"))
    run(*uv, "pip", "install", *into, "--resolution", "lowest-direct", "-e", f"{ROOT}[{_EXTRAS}]")
    pins = [line for line in run(*uv, "pip", "freeze", *into).splitlines() if not line.startswith("-e")]
    held = folder / "pins.txt"
    held.write_text("\n".join(pins))
    run(*uv, "pip", "install", *into, "--constraint", str(held), *_TOOLS)

    said = run(
        *(str(folder / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2"),
        *("-m", "not more and not browser and not network and not notebook"),
        "--ignore=tests/wire/test_encoding.py",
        *_CORE,
    )

    assert "ipython==8.20.0" in pins
    assert "urllib3==2.2.0" in pins
    assert " passed" in said
    assert " skipped" not in said
