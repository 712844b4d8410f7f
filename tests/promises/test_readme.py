"""The README is true: its blocks run, its links resolve, its badge agrees with the setting."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from IPython.core.oinspect import getdoc

from m3ter_nb.sandbox import DEMO_SECRET
from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import Sandbox

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^(\w+):", MAKEFILE, re.MULTILINE))


def blocks(language: str) -> list[str]:
    """Return the blocks of a language, in order."""
    return [text for found, text in BLOCKS if found == language]


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "ipython", "python"}


def test_the_tour_runs_in_one_cell_as_it_is_printed(shell: InteractiveShell) -> None:
    shell.extension_manager.unload_extension("m3ter_nb")
    (tour,) = blocks("ipython")

    shell.run_cell(tour).raise_error()


def test_the_tour_runs_line_by_line_as_it_is_printed(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.extension_manager.unload_extension("m3ter_nb")
    (tour,) = blocks("ipython")
    for line in tour.splitlines():
        shell.run_cell(line).raise_error()

    shown = capsys.readouterr().out
    assert "Logged in to 127.0.0.1" in shown
    assert "API calls" in shown
    assert "<m3ter token" in shown
    assert "curl " in shown
    assert "SANDBOX" in shown
    assert "eyJ" not in shown
    assert len(tour.splitlines()) == 10


def test_the_script_runs(sandbox_environ: Sandbox, tmp_path: Path) -> None:
    import m3ter_nb

    with m3ter_nb.login() as session:
        session.post("products", json={"name": "Storage", "code": "storage"})
    (script,) = blocks("python")
    path = tmp_path / "script.py"
    path.write_text(script)

    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "Storage\n"


@pytest.mark.parametrize("command", [line for block in blocks("bash") for line in block.splitlines()])
def test_a_shell_command_is_one_that_the_project_has(command: str) -> None:
    words = shlex.split(command, comments=True)
    match words:
        case ["make", target]:
            assert target in TARGETS
            assert (
                subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False).returncode
                == 0
            )
        case ["python3", "-m", "venv", ".venv"]:
            pass
        case [".venv/bin/pip", "install", ".[lab]"]:
            assert "\nlab = [" in (ROOT / "pyproject.toml").read_text("utf-8")
        case [".venv/bin/jupyter", "lab", notebook]:
            assert (ROOT / notebook).is_file()
        case _:
            pytest.fail(f"no test knows this command: {command}")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`make (\w+)`", README))))
def test_every_make_target_that_is_named_exists(name: str) -> None:
    assert name in TARGETS


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)\s]+)\)", README))))
def test_every_internal_link_resolves(link: str) -> None:
    if link.startswith("https://"):
        return
    path, _, anchor = link.partition("#")
    assert not path or (ROOT / path).exists()
    headings = {
        re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    assert not anchor or anchor in headings


def test_every_option_and_magic_that_is_named_exists(shell: InteractiveShell) -> None:
    from m3ter_nb.notebook.call_line import OPTIONS

    magics = {name for name in shell.magics_manager.magics["line"] if name.startswith("m3ter")}
    assert set(re.findall(r"%(m3ter\w*)", README)) <= magics
    known = set(OPTIONS) | {"--no-sandbox"}
    for name in magics:
        known |= set(re.findall(r"--[a-z-]+", getdoc(shell.find_line_magic(name)) or ""))
    assert set(re.findall(r"`(--[a-z-]+)", README)) <= known


def test_the_readme_holds_no_secret() -> None:
    assert DEMO_SECRET not in README
    assert not re.search(r"eyJ[\w-]{10,}", README)


def test_the_badge_is_made_from_the_setting() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "badge.py"), "--check"], check=False)
    assert done.returncode == 0


def test_a_set_repository_gives_a_badge_that_opens_the_first_notebook() -> None:
    import badge

    made = badge.rewritten(README, "someone/m3ter_nb")

    assert (
        "https://mybinder.org/v2/gh/someone/m3ter_nb/main?urlpath=lab/tree/notebooks/01_log_in.ipynb" in made
    )
