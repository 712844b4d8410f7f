"""A light import stays light; which wing may import which is a contract of import-linter, in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys

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
)


def imported_by(code: str) -> set[str]:
    """Return the heavy packages that are imported once a fresh process has run some code."""
    report = f"\nimport sys; print('HEAVY', *[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.splitlines()[-1].split()[1:])


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert imported_by("import m3ter_nb") == set()


def test_loading_the_extension_imports_only_the_shell() -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "InteractiveShell.instance().extension_manager.load_extension('m3ter_nb')"
    )
    assert imported_by(code) == {"IPython"}


def test_a_script_does_without_ipython_and_widgets(sandbox_environ: object) -> None:
    assert imported_by("import m3ter_nb\nm3ter_nb.login().get('products')") == {"urllib3"}


def test_a_login_from_the_environment_imports_no_widgets(sandbox_environ: object) -> None:
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance(history_length=0)\n"
        "shell.extension_manager.load_extension('m3ter_nb')\n"
        "shell.run_line_magic('m3ter_login', '')"
    )
    assert imported_by(code) == {"IPython", "urllib3"}


def test_the_public_names_are_there_and_no_others() -> None:
    import m3ter_nb

    assert [name for name in m3ter_nb.__all__ if getattr(m3ter_nb, name, None) is None] == []
    assert sorted(m3ter_nb.__all__) == m3ter_nb.__all__
    assert m3ter_nb.__version__.count(".") == 2
