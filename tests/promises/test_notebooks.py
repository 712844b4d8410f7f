"""The walkthrough notebooks: they show the documented steps, run anywhere, and hold nothing that should not be shared."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import nbformat
import pytest
from IPython.core.oinspect import getdoc
from nbclient import NotebookClient

import m3ter_nb
import over_ipc
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, Sandbox
from openapi import read_document
from places import ROOT
from walkthroughs import NAMES, PATHS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import AccessKey

SANITIZE = ROOT / "tests" / "nbval.cfg"
BY_NOTEBOOK = pytest.mark.parametrize("path", PATHS, ids=NAMES)

#: What a notebook writes in the place of the documented host and placeholders, so that it runs and holds no secret.
STAND_INS = {
    '"$M3TER_BASE_URL/oauth/token"': "https://api.m3ter.com/oauth/token",
    '"$M3TER_API_KEY:$M3TER_API_SECRET"': "your_access_key_id:your_api_secret",
    "os.environ['M3TER_API_KEY']": "'your_access_key_id'",
    "os.environ['M3TER_API_SECRET']": "'your_api_secret'",
    "os.environ['M3TER_BASE_URL'] + '/oauth/token'": "'https://api.m3ter.com/oauth/token'",
}


def cells(name_or_path: str | Path, kind: str) -> list[Any]:
    """Return the cells of a kind (``code`` or ``markdown``)."""
    notebook = nbformat.read(ROOT / "notebooks" / name_or_path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def prose(name_or_path: str | Path) -> str:
    """Return all Markdown of a notebook."""
    return "\n\n".join(cell.source for cell in cells(name_or_path, "markdown"))


def code(name_or_path: str | Path) -> str:
    """Return all code of a notebook, with the documentation's own placeholders."""
    text = "\n\n".join(cell.source for cell in cells(name_or_path, "code"))
    for ours, documented in STAND_INS.items():
        text = text.replace(ours, documented)
    return text


@pytest.fixture(scope="module")
def introduction() -> str:
    """Return the introduction of the official OpenAPI document."""
    return str(read_document()["info"]["description"])


def fenced(introduction: str, language: str, containing: str) -> str:
    """Return the one block of the introduction that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", introduction, re.DOTALL)
    (block,) = (block for block in blocks if containing in block)
    return str(block).strip()


# The documented steps


def test_the_documented_curl_command_runs_as_it_is_printed(introduction: str) -> None:
    command = fenced(introduction, "bash", "curl")

    assert command.startswith("curl -X POST https://api.m3ter.com/oauth/token \\")
    assert command in code("03_curl.ipynb")


@pytest.mark.parametrize(
    "part",
    [
        "-X POST",
        "https://api.m3ter.com/oauth/token",
        "-H 'Content-Type: application/x-www-form-urlencoded'",
        "-u your_access_key_id:your_api_secret",
        "-d 'grant_type=client_credentials'",
    ],
)
def test_each_part_of_the_curl_command_is_explained(introduction: str, part: str) -> None:
    assert part in fenced(introduction, "bash", "curl")
    assert re.search(rf"^\| `{re.escape(part)}` \| \S", prose("03_curl.ipynb"), re.MULTILINE)


def test_no_part_of_the_curl_command_is_left_out_of_the_test_above(introduction: str) -> None:
    command = fenced(introduction, "bash", "curl")

    assert sorted(re.findall(r" (-\w) ", command)) == ["-H", "-X", "-d", "-u"]


def test_each_field_of_the_documented_answer_is_explained(introduction: str) -> None:
    answer = json.loads(fenced(introduction, "json", "access_token"))

    assert answer == {"access_token": "your_bearer_token", "token_type": "Bearer", "expires_in": 18000}
    for field in answer:
        assert f"| `{field}` |" in prose("03_curl.ipynb")
    assert "18000" in prose("03_curl.ipynb").replace(",", "")


def test_the_documented_python_script_runs_as_it_is_printed(introduction: str) -> None:
    script = fenced(introduction, "python", "requests.post")

    assert script.startswith("import requests\nimport base64\n")
    assert script.endswith("print(f'Error: {response.status_code} - {response.text}')")
    assert script in code("04_python.ipynb")


def test_each_weak_point_of_the_script_has_a_section() -> None:
    headings = [line for line in prose("04_python.ipynb").splitlines() if line.startswith("## Weak point")]

    assert len(headings) >= 4
    for word in ("literal", "printed", "timeout", "expires"):
        assert any(word in heading for heading in headings), word


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("03_curl.ipynb", ("Open your terminal or command prompt.", "Use the following `cURL` command")),
        (
            "04_python.ipynb",
            ("Install the `requests` library if you haven't already", "Use the following Python script"),
        ),
    ],
)
def test_the_numbered_steps_of_the_examples_are_there(
    introduction: str, name: str, steps: tuple[str, ...]
) -> None:
    for step in steps:
        assert step in introduction
        assert step in prose(name)
    assert "pip install requests" in introduction
    assert "pip install requests" in prose("04_python.ipynb")


@pytest.mark.parametrize(
    "term",
    [
        "Settings",
        "Access",
        "Service Users",
        "Administrator",
        "Authorization Code",
        "Client Credentials",
    ],
)
def test_each_term_of_the_documented_console_steps_is_there(introduction: str, term: str) -> None:
    assert f"**{term}**" in introduction
    assert term.lower() in prose("02_service_user_and_keys.ipynb").lower()


# The shape of a walkthrough


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="no clone: what belongs to the repository is git's to tell"
)
def test_the_repository_holds_these_notebooks_and_no_others() -> None:
    command = ["git", "ls-files", "notebooks/*.ipynb"]
    tracked = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert tracked == [f"notebooks/{name}" for name in NAMES]


@pytest.mark.slow
def test_a_notebook_of_the_reader_s_own_is_not_run() -> None:
    command = ["make", "--dry-run", "notebooks"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    (line,) = (line for line in shown.replace("\\\n", "").splitlines() if "--nbval " in line)
    assert re.findall(r"\S+\.ipynb", line) == [f"notebooks/{name}" for name in NAMES]
    assert " notebooks " not in f"{line} "


@BY_NOTEBOOK
def test_it_opens_with_what_the_reader_will_be_able_to_do_and_how_long_it_takes(path: Path) -> None:
    opening = cells(path, "markdown")[0].source

    assert opening.startswith(f"# {int(path.name[:2])} · ")
    assert "You will" in opening
    assert "minutes" in opening


@pytest.mark.parametrize(("name", "following"), list(pairwise(NAMES)))
def test_it_ends_with_a_link_to_the_next(name: str, following: str) -> None:
    closing = cells(name, "markdown")[-1].source

    assert closing.startswith("Next: [")
    assert f"]({following})" in closing


@BY_NOTEBOOK
def test_every_internal_link_resolves(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(path))

    for link in links:
        parts = urlsplit(link)
        assert parts.scheme == "https" or (path.parent / parts.path).exists(), link
    assert path.name == NAMES[-1] or links


def test_usage_in_begins_anew_beside_what_an_earlier_run_has_left(shell: InteractiveShell) -> None:
    sources = [cell.source for cell in cells("07_usage_in.ipynb", "code")]
    first_of_file = next(number for number, source in enumerate(sources) if "tempfile" in source)
    for source in [*sources[:first_of_file], *sources[1 : first_of_file + 1]]:
        shell.run_cell(source).raise_error()

    assert [meter["code"] for meter in shell.user_ns["m3ter_session"].pages("meters")] == ["nb_demo_calls"]


@BY_NOTEBOOK
def test_every_magic_and_option_in_it_exists(path: Path, shell: InteractiveShell) -> None:
    text = prose(path) + code(path)
    magics = {kind: set(names) for kind, names in shell.magics_manager.magics.items()}
    helped = "".join(
        getdoc(shell.find_line_magic(name)) or "" for name in magics["line"] if name.startswith("m3ter")
    )

    assert set(re.findall(r"(?<![%\w])%(m3ter\w*)", text)) <= magics["line"]
    assert set(re.findall(r"%%(m3ter\w*)", text)) <= magics["cell"]
    for line in re.findall(r"%m3ter[^`\n]*", text):
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]+", line):
            assert option in helped, option


# What a walkthrough holds


@BY_NOTEBOOK
def test_its_outputs_are_those_of_one_run_from_top_to_bottom(path: Path) -> None:
    executed = cells(path, "code")

    assert [cell.execution_count for cell in executed] == list(range(1, len(executed) + 1))
    assert any(cell.outputs for cell in executed)


@BY_NOTEBOOK
def test_only_cells_that_are_meant_to_fail_have_failed(path: Path) -> None:
    for cell in cells(path, "code"):
        kinds = {output.output_type for output in cell.outputs}
        assert "error" not in kinds or "raises-exception" in cell.metadata.get("tags", ())


@BY_NOTEBOOK
def test_no_output_is_noise_on_standard_error(path: Path) -> None:
    for cell in cells(path, "code"):
        assert not [output for output in cell.outputs if output.get("name") == "stderr"]


@BY_NOTEBOOK
def test_no_plot_in_it_asks_for_a_ground_of_its_own(path: Path) -> None:
    assert grounds(nbformat.read(path, as_version=4)) == []


def grounds(notebook: Any) -> list[str]:
    """Return the grounds that Jupyter puts behind the plots of a notebook: a white block on a dark page."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    return [ground for output in outputs if (ground := output.get("metadata", {}).get("needs_background"))]


@BY_NOTEBOOK
def test_its_metadata_name_a_plain_python_kernel_and_nothing_of_the_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)

    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}


@BY_NOTEBOOK
def test_it_holds_no_token_no_basic_header_no_widget_and_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text("utf-8")

    assert unshareable(text) == []


@pytest.mark.parametrize(
    "leak",
    [
        "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "Authorization: Basic c2FuZGJveC1kZW1vLWtleS1pZDpz",
        '"application/vnd.jupyter.widget-view+json"',
        'File "/home/ada/notebooks/x.py"',
        "C:\\\\Users\\\\ada",
        "/tmp/ipykernel_1234/1.py",
    ],
)
def test_the_scan_finds_what_it_looks_for(leak: str) -> None:
    assert unshareable(f'{{"text": "{leak}"}}')


def unshareable(text: str) -> list[str]:
    """Return what must be in no shared notebook: tokens, Basic headers, widgets, absolute paths."""
    patterns = (
        r"eyJ[\w-]{10,}",
        r"Basic [A-Za-z0-9+/=]{16,}",
        r"jupyter\.widget",
        r"(?<![\w.$}/])/(?:home|root|tmp|work|Users|private|var|opt)/",
        r"[A-Z]:\\\\",
    )
    return [found for pattern in patterns for found in re.findall(pattern, text)]


# Runs


@pytest.fixture
def organization() -> Iterator[tuple[Sandbox, AccessKey]]:
    """Run somebody's organization: one that the notebooks do not start, whose only key is secret."""
    with Sandbox() as running:
        key = running.keys.add_service_user("Somebody's notebooks")
        running.keys.deactivate_key(DEMO_KEY_ID)
        yield running, key


def without_sandbox(notebook: Any) -> Any:
    """Leave out what a notebook tells the owner of an organization to skip."""
    kept = []
    for cell in notebook.cells:
        cell.source = "\n".join(
            line for line in cell.source.splitlines() if not line.startswith("%m3ter_sandbox")
        )
        if cell.cell_type == "markdown" or not re.search(r"\bproject\b", cell.source):
            kept.append(cell)
    notebook.cells = kept
    return notebook


@pytest.mark.notebook
@BY_NOTEBOOK
def test_it_runs_on_an_organization_without_the_sandbox_keeps_its_secret_and_leaves_nothing(
    path: Path, organization: tuple[Sandbox, AccessKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, key = organization
    for name, value in {
        "M3TER_BASE_URL": running.url,
        "M3TER_API_KEY": key.key_id,
        "M3TER_API_SECRET": key.secret,
        "M3TER_ORG_ID": DEMO_ORG_ID,
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text(
        f"M3TER_API_KEY={key.key_id}\nM3TER_API_SECRET={key.secret}\nM3TER_BASE_URL={running.url}\n"
    )
    (tmp_path / "ipython").mkdir()
    there = files(tmp_path)
    notebook = without_sandbox(nbformat.read(path, as_version=4))

    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()

    saved = nbformat.writes(notebook)
    # A cell that may fail may fail as it is shown to, and in no other way.
    assert failures(notebook).items() <= failures(nbformat.read(path, as_version=4)).items()
    assert files(tmp_path) == there
    assert grounds(notebook) == []
    with m3ter_nb.login() as session:
        assert [list(session.pages(kind)) for kind in ("products", "meters", "accounts")] == [[], [], []]
    assert any(record.path == "/oauth/token" and record.status == 200 for record in running.log)
    assert key.secret not in saved
    assert base64.b64encode(f"{key.key_id}:{key.secret}".encode()).decode() not in saved
    assert not re.search(r"eyJ[\w-]{10,}", saved)


def files(folder: Path) -> dict[str, str]:
    """Return what is in a folder, and the text of its files."""
    return {path.name: path.read_text("utf-8") if path.is_file() else "" for path in folder.iterdir()}


def failures(notebook: Any) -> dict[str, str]:
    """Return the class of each error in a notebook, by the id of its cell."""
    return {
        cell.id: output.ename
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error"
    }


def nbval(path: Path) -> subprocess.CompletedProcess[str]:
    """Run nbval on one notebook as ``make notebooks`` does."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "nbval",
        "-p",
        "over_ipc",
        "--nbval",
        "--nbval-current-env",
    ]
    return subprocess.run(
        [*command, "--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", "60", path.name],
        cwd=path.parent,
        env={**os.environ, **over_ipc.ENVIRON},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.notebook
def test_an_unchanged_notebook_passes_and_a_changed_output_fails(tmp_path: Path) -> None:
    copy = tmp_path / NAMES[0]
    shutil.copy(PATHS[0], copy)
    unchanged = nbval(copy)
    text = copy.read_text("utf-8")
    assert "SANDBOX" in text
    copy.write_text(text.replace("SANDBOX", "PRODUCTION"), "utf-8")
    changed = nbval(copy)

    assert unchanged.returncode == 0, unchanged.stdout
    assert changed.returncode == 1
    assert re.search(r"[1-9]\d* failed", changed.stdout)


def test_the_sanitise_file_is_short() -> None:
    sections = re.findall(r"^\[(.+)\]$", SANITIZE.read_text("utf-8"), re.MULTILINE)

    assert len(sections) <= 5


def test_the_part_with_dask_passes_without_it_and_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cell,) = (each.source for each in cells("07_usage_in.ipynb", "code") if "LocalCluster" in each.source)
    for name in ("dask", "dask.dataframe", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)

    exec(cell, {})

    assert "pip install 'dask[dataframe]' distributed" in capsys.readouterr().out
