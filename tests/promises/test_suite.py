"""The suite itself: what it skips, and when it may not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from typing import TYPE_CHECKING

import pytest

from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def run_without_the_document(**environ: str) -> subprocess.CompletedProcess[str]:
    """Run a test that needs m3ter's OpenAPI document where there is none."""
    chosen = ["tests/contract/test_surface.py", "-k", "committed"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        cwd=ROOT,
        env={**os.environ, "CI": "", "M3TER_OPENAPI": "/nowhere/openapi.json", **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_is_skipped_says_how_to_get_it() -> None:
    done = run_without_the_document()

    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert "M3TER_OPENAPI" in done.stdout.replace("\n", "")


def test_a_ci_machine_skips_nothing() -> None:
    done = run_without_the_document(CI="true")

    assert done.returncode == 1
    assert "A CI machine must not skip this." in done.stdout
    assert "M3TER_OPENAPI" in done.stdout


@pytest.mark.parametrize("name", [".pre-commit-config.yaml", "Makefile"])
def test_every_file_of_the_tests_that_is_named_there_exists(name: str) -> None:
    named = re.findall(r"\b(?:tests|docs|notebooks|benchmarks)/[\w./]+\w", (ROOT / name).read_text("utf-8"))

    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_is_packed_as_source_exists() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]

    assert [name for name in settings["sdist"]["include"] if not (ROOT / name).exists()] == []


def side_by_side(*commands: str) -> subprocess.Popen[bytes]:
    """Start the commands as ``make quick`` does, in a process group of their own, as a terminal would."""
    helper = ROOT / "tests" / "helpers" / "side_by_side.py"
    return subprocess.Popen(
        [sys.executable, helper, *commands],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def test_of_commands_side_by_side_each_is_shown_and_one_that_fails_is_named() -> None:
    failing = r"printf '\377two\n'; exit 3"
    beginning = side_by_side("echo one", failing, "echo three")
    said, _ = beginning.communicate(timeout=20)

    assert beginning.returncode == 1
    *shown, last = said.splitlines()
    assert sorted(shown) == [b"one", b"three", b"\xfftwo"]
    assert last == f"Failed: {failing}".encode()


def test_ctrl_c_shows_what_commands_side_by_side_have_said_so_far(home: Path) -> None:
    code = "import sys, time; print('so far'); open(sys.argv[1], 'w').close(); time.sleep(20)"
    places = [home / "one", home / "two"]
    started = side_by_side(*(f'exec {sys.executable} -c "{code}" {place}' for place in places))
    while not all(place.exists() for place in places) and started.poll() is None:
        time.sleep(0.01)

    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=20)

    assert started.returncode == 1
    assert said.count(b"so far\n") == len(places)
