"""The wheel that people install: complete, and usable with the source out of reach."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from typing import TYPE_CHECKING

import pytest

from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT = """
import pathlib, sys
import m3ter_nb
from m3ter_nb.form import LoginForm
assert m3ter_nb.__file__.startswith({target!r}), m3ter_nb.__file__
with m3ter_nb.Sandbox() as sandbox:
    credentials = m3ter_nb.Credentials(sandbox.environ["M3TER_API_KEY"], sandbox.environ["M3TER_API_SECRET"])
    with m3ter_nb.login(credentials, base_url=sandbox.url) as session:
        print(session.get("products"))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=170,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.network
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"m3ter_nb"}
    for needed in (
        "py.typed",
        "form/form.js",
        "form/form.css",
        "sandbox/surface.json",
        "api/operations.json",
    ):
        assert f"m3ter_nb/{needed}" in names


@pytest.mark.network
def test_the_wheel_works_with_the_source_out_of_reach(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(target=str(target)))

    # -S and an explicit path: the editable install of this environment must not be found.
    site_packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    done = subprocess.run(
        [sys.executable, "-S", str(script)],
        env={"PYTHONPATH": ":".join([str(target), *site_packages]), "HOME": str(tmp_path), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'data': []}"


def test_supported_pythons_are_listed_once_and_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [c.rpartition(" ")[2] for c in project["classifiers"] if "Python :: 3." in c]

    assert project["requires-python"] == f">={listed[0]}"
