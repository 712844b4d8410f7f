"""A light import stays light; which wing may import which is a contract of import-linter, in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from places import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = (
    "requests",
    "urllib3",
    "IPython",
    "ipywidgets",
    "anywidget",
    "flask",
    "joserfc",
    "pandas",
    "m3ter",
    "tqdm",
    "dotenv",
    "keyring",
    "platformdirs",
)


# What loading imports of ours, beside the packages themselves; and what the first login adds.
LOADED = {f"notebook.{name}" for name in ("completion", "magics", "options", "question")}
FOR_A_LOGIN = {
    "api": "addresses facts login operations pages session",
    "auth": "binder challenge cleaning credentials grant search settings signed_call source token variables",
    "notebook": "front_end idle log_in login_options logins status twin workbench",
    "views": "card",
    "wire": "answer body bounds causes certificates clock connections digits encoding failures hosts proxies retry "
    "statuses transport",
}

_SHELL = (
    "from IPython.core.interactiveshell import InteractiveShell\n"
    "shell = InteractiveShell.instance(history_length=0)\n"
    "shell.extension_manager.load_extension('m3ter_nb')\n"
)


def modules_after(code: str) -> set[str]:
    """Return the names of all modules that are there once a fresh process has run some code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('MODULES', *sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def imported_by(code: str) -> set[str]:
    """Return the heavy packages that are imported once a fresh process has run some code."""
    return modules_after(code) & set(HEAVY)


def ours_after(code: str) -> set[str]:
    """Return the modules of the package, named from within it, that are there once a fresh process has run some code."""
    return {
        name.removeprefix("m3ter_nb.") for name in modules_after(code) if name.partition(".")[0] == "m3ter_nb"
    }


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import m3ter_nb") == set()


def test_loading_the_extension_imports_only_the_shell() -> None:
    assert imported_by(_SHELL) == {"IPython"}


def test_loading_the_extension_imports_no_more_of_ours_than_a_shell_must_know() -> None:
    """Each module costs a twentieth of what loading may: what is needed later is imported later."""
    assert ours_after(_SHELL) == LOADED | {"m3ter_nb", "notebook", "wording"}


def test_a_script_does_without_ipython_and_widgets(sandbox_environ: object) -> None:
    assert imported_by("import m3ter_nb\nm3ter_nb.login().get('products')") == {"urllib3"}


@pytest.mark.slow
def test_a_login_from_the_environment_imports_no_widgets(sandbox_environ: object) -> None:
    assert imported_by(f"{_SHELL}shell.run_line_magic('m3ter_login', '')") == {"IPython", "urllib3"}


@pytest.mark.slow
def test_a_login_from_the_environment_imports_no_more_of_ours_than_it_needs(sandbox_environ: object) -> None:
    """Forms, prompts, doubts, refusals, and where else credentials may be, are imported by the login that needs them."""
    loaded = {name for name in ours_after(f"{_SHELL}shell.run_line_magic('m3ter_login', '')") if "." in name}

    assert loaded == LOADED | {
        f"{wing}.{room}" for wing, rooms in FOR_A_LOGIN.items() for room in rooms.split()
    }


def test_the_public_names_are_there_and_no_others() -> None:
    import m3ter_nb

    assert [name for name in m3ter_nb.__all__ if getattr(m3ter_nb, name, None) is None] == []
    assert sorted(m3ter_nb.__all__) == m3ter_nb.__all__
    assert m3ter_nb.__version__.count(".") == 2


PLANTED = {
    "an import that runs up": ("wire/clock.py", "import m3ter_nb.auth.token\n", "wings"),
    "one within a function": (
        "wire/clock.py",
        "def _f() -> None:\n    import m3ter_nb.api.session\n",
        "wings",
    ),
    "one for an annotation alone": (
        "auth/token.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from m3ter_nb.bridges import snippets\n",
        "wings",
    ),
    "a sibling of the sandbox": ("sandbox/answers.py", "from m3ter_nb.errors import M3terError\n", "sandbox"),
    "a session in a view": ("views/records.py", "from m3ter_nb.api.session import M3terSession\n", "faces"),
    "a view in a session": ("api/session.py", "from m3ter_nb.views import records\n", "notebook-shows"),
    "a form in usage": ("usage/report.py", "import m3ter_nb.form\n", "usage-shows"),
    "a circle of two rooms": ("wire/clock.py", "import m3ter_nb.wire.transport\n", "rooms"),
    "the front door": ("auth/source.py", "import m3ter_nb\n", "root"),
}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold a copy of the package to the contracts of pyproject.toml."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-S", "-c", code, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        cwd=folder,
        env={
            "PYTHONPATH": os.pathsep.join([str(folder), *site.getsitepackages()]),
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a folder with a copy of the package."""
    shutil.copytree(ROOT / "m3ter_nb", tmp_path / "m3ter_nb", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_package_keeps_its_contracts(copied: Path) -> None:
    done = lint_imports(copied)

    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_import_breaks_its_contract(copied: Path, what: str) -> None:
    room, planted, contract = PLANTED[what]
    path = copied / "m3ter_nb" / room
    path.write_text(f"{path.read_text('utf-8')}\n{planted}", "utf-8")

    done = lint_imports(copied)

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (name,) = (known["name"] for known in settings["contracts"] if known["id"] == contract)
    assert done.returncode == 1
    assert f"{name} BROKEN" in done.stdout


def test_every_contract_is_seen_to_break() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]

    assert {contract for _, _, contract in PLANTED.values()} == {
        known["id"] for known in settings["contracts"]
    }
