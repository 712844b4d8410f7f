"""Notebooks as the page shows them: read from what is built, without a browser."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from in_page import adapt
from places import ROOT
from walkthroughs import NAMES, PATHS

if TYPE_CHECKING:
    from pathlib import Path

_TARGET = re.compile(r"\]\(([^)\s]+)\)")


def cells_of(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook of the page."""
    cells: list[dict[str, Any]] = json.loads(adapt(path.read_text("utf-8"), NAMES))["cells"]
    return cells


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_every_link_and_picture_leads_to_what_the_page_has(path: Path) -> None:
    words = "\n".join("".join(cell["source"]) for cell in cells_of(path) if cell["cell_type"] == "markdown")
    targets = [target for target in _TARGET.findall(words) if "://" not in target]

    assert targets
    for target in targets:
        assert target in NAMES or (target.startswith("images/") and (ROOT / "notebooks" / target).is_file())


@pytest.mark.parametrize(
    "picture", sorted((ROOT / "notebooks" / "images").glob("*.svg")), ids=lambda path: path.name
)
def test_a_picture_is_plain_ascii_which_the_page_can_put_into_an_address(picture: Path) -> None:
    assert picture.read_bytes().isascii()


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_notebook_says_before_its_first_cell_that_no_real_secret_belongs_there(path: Path) -> None:
    cells = cells_of(path)
    first = next(place for place, cell in enumerate(cells) if cell["cell_type"] == "code")

    assert any("no real secret belongs" in "".join(cell["source"]) for cell in cells[:first])


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_no_cell_is_lost_or_changed_but_for_a_line_above_it(path: Path) -> None:
    before = json.loads(path.read_text("utf-8"))["cells"]
    now = {cell["id"]: cell for cell in cells_of(path)}

    for cell in before:
        if cell["cell_type"] == "code":
            assert "".join(cell["source"]) in "".join(now[cell["id"]]["source"])


def test_what_needs_a_shell_is_shown_with_what_it_printed() -> None:
    shown = [cell for cell in cells_of(PATHS[2]) if "%%bash" in "".join(cell["source"])]

    assert {cell["cell_type"] for cell in shown} == {"markdown"}
    assert sum("````text" in cell["source"] for cell in shown) == 4


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_notebook_that_waits_for_the_form_says_that_it_cannot_in_a_page(path: Path) -> None:
    cells = cells_of(path)
    waits = any(cell["cell_type"] == "code" and "await login" in "".join(cell["source"]) for cell in cells)

    assert waits == any("no cell can wait for the form" in "".join(cell["source"]) for cell in cells)
