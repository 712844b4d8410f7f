"""What a reader sees beside the form: the table of a call's result, and the pictures of the README."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import expect

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_page import NotebookPage

    OpenNotebook = Callable[..., NotebookPage]

pytestmark = pytest.mark.browser

PICTURES = ROOT / "build" / "screenshots"
_GAP = 24

_MARKUP = "<img src=x onerror=\"document.title='owned'\">"


def test_a_list_is_a_table_whose_markup_is_text(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(
        "%m3ter_sandbox",
        "%m3ter_login",
        f'name = """{_MARKUP}"""\nfor n in range(3):\n    m3ter_session.post("products", json={{"name": name, "code": f"c{{n}}"}})',
        "%m3ter GET products --all",
    )
    notebook.run_all()
    table = notebook.output(4).locator("table")

    expect(table.locator("tbody tr")).to_have_count(3)
    expect(table.locator("thead th").first).to_have_text("name")
    expect(table.locator("tbody tr").first).to_contain_text("<img src=x")
    expect(table.locator("img")).to_have_count(0)
    expect(notebook.output(4)).to_contain_text("3 products")
    assert notebook.page.title() != "owned"
    notebook.screenshot("table")


def test_the_pictures_of_the_readme_are_what_the_product_looks_like(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", "%m3ter_login --form", width=900)
    notebook.run_all()
    form = notebook.form()
    expect(form.key_id).to_be_visible()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    empty = Image.open(io.BytesIO(form.box.screenshot()))
    form.button("Log in").click()
    form.expect_phase("in")
    card = Image.open(io.BytesIO(form.box.screenshot()))

    whole = Image.new(
        "RGB", (empty.width + card.width + 3 * _GAP, max(empty.height, card.height) + 2 * _GAP), "white"
    )
    whole.paste(empty, (_GAP, _GAP))
    whole.paste(card, (2 * _GAP + empty.width, _GAP))
    PICTURES.mkdir(parents=True, exist_ok=True)
    whole.save(PICTURES / f"login-{notebook.browser}.png", optimize=True)

    assert empty.width > 300
    assert card.width > 300


def test_white_space_around_a_paste_is_removed_and_the_card_says_so(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", "%m3ter_login --form")
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, f"  {DEMO_SECRET} ")
    form.secret.press("Enter")
    form.expect_phase("in")

    expect(form.box).to_contain_text("the form. White space around the API Secret was removed.")
