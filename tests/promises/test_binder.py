"""What repo2docker reads: enough to install the package with all that the notebooks need, and nothing else."""

from __future__ import annotations

import re
import tomllib

from places import ROOT

BINDER = ROOT / "binder"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_folder_holds_what_repo2docker_reads_and_nothing_else() -> None:
    assert sorted(path.name for path in BINDER.iterdir()) == ["requirements.txt", "runtime.txt"]


def test_the_package_itself_is_installed_with_what_the_notebooks_need() -> None:
    lines = (BINDER / "requirements.txt").read_text("utf-8").splitlines()

    assert [line for line in lines if not line.startswith("#")] == [".[lab]"]
    assert {"sandbox", "sdk", "pandas"} <= set(re.findall(r"\w+", PROJECT["optional-dependencies"]["lab"][0]))


def test_the_python_is_one_that_the_package_supports() -> None:
    python = (BINDER / "runtime.txt").read_text("utf-8").strip().removeprefix("python-")

    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
