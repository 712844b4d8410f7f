"""The house: its rooms, what they hand out, and how long a function may be. Read from the source, nothing is run."""

from __future__ import annotations

import ast
import importlib
import re
import statistics
import subprocess
import sys
import tomllib

import pytest

import wings
from places import ROOT

PACKAGE = ROOT / "m3ter_nb"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}
WINGS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def lengths() -> list[int]:
    """Return the number of lines of each function, from its ``def`` to its end."""
    return sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_the_root_shows_at_most_twelve_modules() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_functions_are_short() -> None:
    found = lengths()

    assert len(found) > 500
    assert statistics.median(found) <= 9
    assert found[int(0.9 * len(found))] <= 28
    assert found[-1] <= 65


def test_the_linter_is_overruled_at_33_lines_at_most() -> None:
    assert sum(path.read_text("utf-8").count("# noqa") for path in MODULES.values()) <= 33


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(TREES[name])


def named_by(tree: ast.Module) -> list[str] | None:
    """Return what ``__all__`` holds; None where a module has none."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            found: list[str] = ast.literal_eval(node.value)  # type: ignore[attr-defined]  # an assignment
            return found
    return None


def made_by(tree: ast.Module) -> set[str]:
    """Return the public functions and classes that a module defines."""
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
    }


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if named_by(tree) is not None])
def test_what_a_module_says_it_hands_out_is_there_and_whole(name: str) -> None:
    handed_out = named_by(TREES[name]) or []
    module = importlib.import_module(name)

    assert len(handed_out) == len(set(handed_out))  # that they are sorted is held by ruff
    assert [missing for missing in handed_out if not hasattr(module, missing)] == []
    # An extension's two functions are called by IPython, and a module's ``__getattr__`` by Python.
    assert made_by(TREES[name]) - set(handed_out) <= {
        "load_ipython_extension",
        "unload_ipython_extension",
        "main",
    }


@pytest.mark.parametrize(
    "name", [n for n, tree in TREES.items() if made_by(tree) and not n.endswith("__main__")]
)
def test_a_module_with_public_names_says_which(name: str) -> None:
    assert named_by(TREES[name]) is not None


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_takes_from_another_is_handed_out_by_it(name: str) -> None:
    taken = [
        (node.module, alias.name)
        for node in ast.walk(TREES[name])
        if isinstance(node, ast.ImportFrom) and node.module in MODULES
        for alias in node.names
        if f"{node.module}.{alias.name}" not in MODULES and alias.name != "__version__"
    ]

    assert [(module, one) for module, one in taken if one not in (named_by(TREES[module]) or ())] == []


# Who may import whom


def higher_than(wing: str) -> set[str]:
    """Return the wings that a wing may not import, by the contract."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    above: set[str] = set()
    for contract in settings["contracts"]:
        if contract["type"] == "layers":
            order = [layer.strip("()") for layer in contract["layers"]]
            if wing in order:
                above |= set(order[: order.index(wing)])
        elif wing in contract.get("source_modules", ()) and not contract.get("allow_indirect_imports"):
            above |= set(contract["forbidden_modules"])
    return above - {"m3ter_nb", "m3ter_nb._version"}


@pytest.mark.slow
@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_imports_alone_and_pulls_in_no_wing_above_it(wing: str) -> None:
    every = [
        name for name in MODULES if name.startswith(f"m3ter_nb.{wing}") and not name.endswith("__main__")
    ]
    script = f"import sys, importlib\nfor name in {every}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    loaded = {".".join(name.split(".")[:2]) for name in done.stdout.split() if name.startswith("m3ter_nb.")}
    assert f"m3ter_nb.{wing}" in loaded
    assert higher_than(f"m3ter_nb.{wing}") or wing == "notebook"  # the highest of all
    assert loaded & higher_than(f"m3ter_nb.{wing}") == set()


def test_the_sandbox_may_import_none_of_its_siblings() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = (known for known in settings["contracts"] if known["id"] == "sandbox")

    rooms = {".".join(name.split(".")[:2]) for name in MODULES}
    assert set(contract["forbidden_modules"]) == rooms - {"m3ter_nb", "m3ter_nb.__main__", "m3ter_nb.sandbox"}


def test_the_picture_shows_the_contracts_as_they_are() -> None:
    assert wings.PICTURE.read_text("utf-8") == wings.render(), "run `make picture`"


def test_the_picture_names_every_wing_once() -> None:
    shown = re.findall(r'class="name"[^>]*>([^<]+)<', wings.render())

    assert sorted(shown[:-1]) == WINGS


@pytest.mark.parametrize("wing", WINGS)
def test_the_readme_says_of_each_wing_what_the_wing_says_of_itself(wing: str) -> None:
    assert f"| `{wing}/` | {wings.first_line(wing)} |\n" in (ROOT / "README.md").read_text("utf-8")
