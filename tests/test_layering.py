"""The imports hold to the design: data flows one way, and a light import stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "m3ter_nb"

# What each module may import of its siblings; imports for annotations alone count too.
ALLOWED: dict[str, set[str]] = {
    "__init__": {"_version"},
    "_version": set(),
    "errors": set(),
    "frames": {"errors"},
    "failures": {"errors"},
    "api": {"errors"},
    "bodies": {"errors"},
    "credentials": {"errors", "frames"},
    "clock": set(),
    "hosts": {"errors"},
    "connections": {"errors", "frames", "hosts"},
    "transport": {"_version", "connections", "errors", "failures", "hosts"},
    "tokens": {"bodies", "clock", "credentials", "errors", "frames", "transport"},
    "token_source": {"clock", "errors", "frames", "tokens"},
    "token_auth": {"errors", "hosts", "token_source"},
    "refusals": {"bodies", "errors", "tokens", "transport"},
    "session": {
        "api",
        "bodies",
        "clock",
        "credentials",
        "errors",
        "frames",
        "hosts",
        "refusals",
        "sdk",
        "token_auth",
        "token_source",
        "tokens",
        "transport",
    },
    "sdk": {"errors", "hosts", "session", "tokens"},
    "placeholders": {"bodies", "errors"},
    "calls": {"api", "bodies", "errors", "placeholders"},
    "snippets": {"errors"},
    "table": {"errors"},
    "records": {"errors", "table"},
    "logins": {"errors", "session"},
    "front_end": set(),
    "completion": set(),
    "magic_options": {"errors"},
    "status": {"logins", "sandbox", "token_source", "tokens"},
    "form": {"errors"},
    "sandbox_control": {"credentials", "errors", "sandbox", "status"},
    "login_flow": {
        "credentials",
        "errors",
        "form",
        "frames",
        "hosts",
        "logins",
        "sandbox",
        "session",
        "token_source",
        "tokens",
        "transport",
    },
    "api_calls": {"api", "calls", "errors", "logins", "records", "session", "snippets"},
}


def sources(module: str) -> list[Path]:
    """Return the files of a module or package of ours."""
    folder = PACKAGE / module
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{module}.py"]


def siblings(path: Path, module: str) -> set[str]:
    """Return the siblings that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom):
            inside_package = node.level == 1 and path.parent != PACKAGE
            if node.level and not inside_package:
                names = [node.module] if node.module else [alias.name for alias in node.names]
            elif node.module == "m3ter_nb":
                names = [alias.name for alias in node.names if alias.name != "__version__"]
            elif (node.module or "").startswith("m3ter_nb."):
                names = [(node.module or "").split(".")[1]]
            else:
                continue
            found |= {name.split(".")[0] for name in names if name}
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("m3ter_nb.")}
    return found - {module}


def modules() -> list[str]:
    """Return the names of all modules and packages of ours."""
    return sorted(
        path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    )


@pytest.mark.parametrize(
    "module", [module for module in modules() if module not in ("magics", "__init__", "sandbox")]
)
def test_a_module_imports_only_what_stands_before_it(module: str) -> None:
    imported = set().union(*(siblings(path, module) for path in sources(module)))

    assert imported <= ALLOWED[module], f"{module} imports {sorted(imported - ALLOWED[module])}"


def test_the_sandbox_imports_nothing_of_its_siblings() -> None:
    assert set().union(*(siblings(path, "sandbox") for path in sources("sandbox"))) == set()


def test_only_the_magics_import_everything() -> None:
    assert [module for module in modules() if "magics" in ALLOWED.get(module, set())] == []


def test_the_table_of_imports_knows_every_module() -> None:
    assert set(modules()) == {*ALLOWED, "magics", "sandbox"}


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
    import m3ter_nb  # noqa: PLC0415 - what is tested

    assert [name for name in m3ter_nb.__all__ if getattr(m3ter_nb, name, None) is None] == []
    assert sorted(m3ter_nb.__all__) == m3ter_nb.__all__
    assert m3ter_nb.__version__.count(".") == 2
