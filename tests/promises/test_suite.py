"""The suite itself: what it skips, and when it may not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib

import pytest

from places import ROOT

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
