"""The README is true: its blocks run, its links resolve, its badge agrees with the setting."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from m3ter_nb.notebook.call_line import OPTIONS
from m3ter_nb.notebook.options import candidates
from m3ter_nb.sandbox import DEMO_ORG_ID, DEMO_SECRET
from places import ROOT

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import Sandbox

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))
TOUR = "A tour, cell by cell"
PROFILE = "In every notebook, without `%load_ext`"


def blocks_by_section() -> list[tuple[str, str, str]]:
    """Return heading, language and text of each block."""
    found, heading = [], ""
    for match in re.finditer(r"^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        heading = match[1] or heading
        if match[2]:
            found.append((heading, match[2], match[3]))
    return found


BLOCKS = blocks_by_section()


def blocks(language: str, section: str | None = None) -> list[str]:
    """Return the blocks of a language, in order."""
    return [text for heading, found, text in BLOCKS if found == language and section in {None, heading}]


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {language for _, language, _ in BLOCKS} == {"bash", "ipython", "python"}


def test_the_tour_answers_cell_by_cell_as_it_is_printed(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.extension_manager.unload_extension("m3ter_nb")
    shown = []
    for cell in blocks("ipython", TOUR):
        shell.run_cell(cell).raise_error()
        shown.append(capsys.readouterr().out)

    for part, text in zip(
        [
            "Logged in to m3ter  [SANDBOX]",
            "API calls",
            "API calls",
            "<m3ter token",
            "USD",
            "curl ",
            "SANDBOX",
        ],
        shown,
        strict=True,
    ):
        assert part in text
    assert "eyJ" not in "".join(shown)


def test_each_cell_of_the_tour_shows_its_last_line_or_nothing() -> None:
    """A value that stands alone within a cell is not shown; only the last one is."""
    for cell in blocks("ipython", TOUR):
        for line in cell.splitlines()[:-1]:
            assert "=" in line or re.match(r"%(load_ext|m3ter_sandbox)\b", line)


@pytest.mark.parametrize(
    "section", sorted({heading for heading, language, _ in BLOCKS if language == "ipython"})
)
def test_the_cells_of_each_section_run_on_the_sandbox(shell: InteractiveShell, section: str) -> None:
    shell.run_cell("%m3ter_sandbox\n%m3ter_login").raise_error()
    for cell in blocks("ipython", section):
        shell.run_cell(cell).raise_error()


@pytest.mark.slow
def test_the_scripts_run(sandbox_environ: Sandbox, tmp_path: Path) -> None:
    import m3ter_nb

    with m3ter_nb.login() as session:
        session.post("products", json={"name": "Storage", "code": "storage"})
    path = tmp_path / "script.py"
    scripts = [text for heading, language, text in BLOCKS if language == "python" and heading != PROFILE]
    printed = []
    for script in [*scripts, *scripts]:
        path.write_text(script)
        done = subprocess.run(
            [sys.executable, str(path)], capture_output=True, text=True, timeout=60, check=True, cwd=tmp_path
        )
        assert done.stderr == ""
        printed.append(done.stdout)

    (listed, _, sent), (listed_again, _, sent_again) = printed[:3], printed[3:]
    assert listed == listed_again == f"Logged in to {DEMO_ORG_ID}\nStorage\n"
    (told,) = re.findall(r"^It says `(.*)\.`", README, re.MULTILINE)
    assert "60 rows for api_calls: all can be sent." in sent
    assert told in sent
    assert "60 ingested, 60 of them were there already" in sent_again
    assert "Empty DataFrame" not in sent


@pytest.mark.slow
def test_a_script_gets_a_sandbox_as_the_readme_says(tmp_path: Path) -> None:
    ((*words, _port),) = (shlex.split(block, comments=True) for block in blocks("bash", TOUR))
    script = tmp_path / "script.py"
    script.write_text(next(text for heading, _, text in BLOCKS if heading == TOUR and "import" in text))
    command = [sys.executable, *words[1:], "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as sandbox:
        assert sandbox.stdout is not None
        lines = [sandbox.stdout.readline() for _ in range(6)]
        exports = dict(
            line.removeprefix("export ").strip().split("=", 1) for line in lines if "export" in line
        )
        environ = {name: value for name, value in os.environ.items() if not name.startswith("M3TER_")}
        done = subprocess.run(
            [sys.executable, str(script)],
            env=environ | exports,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            cwd=tmp_path,
        )
        sandbox.terminate()

        lost = subprocess.run(
            [sys.executable, str(script)],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )

    assert len(exports) == 4
    assert "Without an account: python -m m3ter_nb.sandbox" in lost.stderr
    assert done.stdout == f"Logged in to {DEMO_ORG_ID}\n"


@pytest.mark.slow
def test_the_line_of_the_profile_loads_the_extension(tmp_path: Path) -> None:
    (line,) = blocks("python", PROFILE)
    ipython = [sys.executable, "-m", "IPython"]
    environ = os.environ | {"IPYTHONDIR": str(tmp_path)}
    for words in (["profile", "create"], ["locate", "profile"]):
        made = subprocess.run([*ipython, *words], env=environ, capture_output=True, text=True, check=True)
    config = Path(made.stdout.strip()) / "ipython_config.py"
    assert config.is_file()
    config.write_text("c = get_config()\n" + line)

    done = subprocess.run(
        [*ipython, "-c", "print(get_ipython().find_line_magic('m3ter').__name__)"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "m3ter\n"


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
        case [".venv/bin/jupyter", "lab"]:
            assert re.search(r"jupyter lab +# .* (notebooks/\w+\.ipynb)", command)
            assert (ROOT / re.findall(r"notebooks/\S+", command)[0]).is_file()
        case ["git", "clone", *_, "m3ter_nb"] | ["cd", "m3ter_nb"]:
            pass
        case ["python", "-m", "m3ter_nb.sandbox", "--port", "8765"]:
            pass  # it is run below
        case ["pip", "install", requirement]:
            name, _, source = requirement.partition(" @ ")
            assert name == "m3ter-nb[lab]"
            assert source
        case _:
            pytest.fail(f"no test knows this command: {command}")


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`make ([\w-]+)`", README))))
def test_every_make_target_that_is_named_exists(name: str) -> None:
    assert name in TARGETS


LINKS = sorted(set(re.findall(r"\]\(([^)\s]+)\)", README)))


@pytest.mark.parametrize("link", [link for link in LINKS if not link.startswith("https://")])
def test_every_internal_link_resolves(link: str) -> None:
    path, _, anchor = link.partition("#")
    assert not path or (ROOT / path).exists()
    headings = {
        re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    assert not anchor or anchor in headings


def test_every_magic_that_is_named_exists(shell: InteractiveShell) -> None:
    magics = {name for name in shell.magics_manager.magics["line"] if name.startswith("m3ter")}

    assert set(re.findall(r"%(m3ter\w*)", README)) == magics


ROWS = re.findall(r"^\| `%+(m3ter\w*)(.*)$", README, re.MULTILINE)


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, row in ROWS if "--" in row])
def test_every_option_in_the_row_of_a_magic_is_one_that_it_takes(
    shell: InteractiveShell, name: str, row: str
) -> None:
    taken = OPTIONS if name == "m3ter" else candidates(shell.find_line_magic(name), "")

    assert set(re.findall(r"--[a-z-]+", row)) <= set(taken)


def test_nobody_is_sent_to_the_bare_name_on_an_index() -> None:
    texts = [path.read_text("utf-8") for path in ROOT.glob("m3ter_nb/**/*.py")]
    texts += [path.read_text("utf-8") for path in ROOT.glob("notebooks/*.ipynb")]

    for text in [README, *texts]:
        assert not re.search(r"install[^\n]*\bm3ter[-_]nb\b(?!(\[\w+\])? @)", text)


def test_the_readme_holds_no_secret() -> None:
    assert DEMO_SECRET not in README
    assert not re.search(r"eyJ[\w-]{10,}", README)


def test_badge_and_source_are_made_from_the_setting() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "badge.py"), "--check"], check=False)
    assert done.returncode == 0


def test_a_set_repository_gives_a_badge_that_opens_the_first_notebook_and_an_address_to_clone() -> None:
    import badge

    made = badge.rewritten(README, "someone/m3ter_nb")

    assert (
        "https://mybinder.org/v2/gh/someone/m3ter_nb/main?urlpath=lab/tree/notebooks/01_log_in.ipynb" in made
    )
    assert "(https://someone.github.io/m3ter_nb/)" in made
    assert "git clone https://github.com/someone/m3ter_nb.git" in made
    assert "pip install 'm3ter-nb[lab] @ git+https://github.com/someone/m3ter_nb.git'" in made
    assert badge.rewritten(made, "") == badge.rewritten(README, "")


def test_the_readme_opens_with_what_it_is_and_a_picture() -> None:
    opening = README[: README.index("## ")]

    assert re.match(r"# m3ter_nb\n\nLog in to ", opening)
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", opening)
    assert (ROOT / picture).is_file()
