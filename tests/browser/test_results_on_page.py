"""What a reader sees beside the form: the table of a call's result, and the pictures of the README."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import expect

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_page import FormOnPage, NotebookPage

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


_ORDINARY = """
ids = [f"{n}1c49a54-dfcd-4da5-bbf3-d2885ec025dd" for n in range(3)]
audit = {"version": 1, "dtCreated": "2026-10-01T09:30:00.000Z", "dtLastModified": "2026-10-01T09:30:00.000Z",
         "createdBy": ids[0], "lastModifiedBy": ids[0]}
meters = [{"id": ids[n], "name": f"Calls of the public API {n}", "code": f"public_api_calls_{n}",
           "productId": ids[0], "groupId": ids[1], "dataFields": [{"code": "calls", "category": "MEASURE"}] * 9,
           **audit} for n in range(3)]
bills = [{"id": ids[n], "accountId": ids[0], "accountCode": f"customer_{n}", "billDate": "2026-11-01", "currency": "GBP",
          "status": "PENDING", "billTotal": 1234.5 * n, "locked": False, "billingFrequency": "MONTHLY",
          "startDate": "2026-10-01", "endDate": "2026-11-01", "lineItems": [{"description": "x" * 80}] * 20,
          "purchaseOrderNumber": "PO-2026-10-44", **audit} for n in range(3)]
"""
_THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")


def test_an_ordinary_list_needs_no_sideways_scrolling_at_1280_pixels(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(
        "from m3ter_nb.views.records import Record, Records",
        _ORDINARY,
        "Records(meters, path='meters')",
        "Records(bills, path='bills')",
        "Record(bills[0] | {'url': 'https://example.com/' + 'x' * 300})",
        width=1280,
    )
    notebook.run_all()
    regions = notebook.page.get_by_role("region", name=re.compile("^table: "))
    expect(regions).to_have_count(3)

    for index in range(3):
        assert regions.nth(index).evaluate("box => box.scrollWidth <= box.clientWidth")
    for cell in (3, 4, 5):
        area = notebook.output(cell).locator(".jp-OutputArea-output")
        assert area.evaluate("box => box.scrollWidth <= box.clientWidth")
    expect(notebook.output(3).locator("thead th")).to_have_text(["name", "code", "id", "version"])
    expect(notebook.output(3)).to_contain_text("not shown: productId, groupId, dtCreated")
    expect(notebook.output(4).locator("thead th").first).to_have_text("accountCode")
    expect(notebook.output(4).locator("thead th").last).to_have_text("id")
    notebook.screenshot("tables-1280")


def test_axe_finds_nothing_at_tables_in_any_theme(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook(
        "from m3ter_nb.views.records import Record, Records",
        _ORDINARY,
        "Records(meters, path='meters')",
        "Record(bills[0])",
        width=700,
    )
    notebook.run_all()
    expect(notebook.output(4).locator("table")).to_be_visible()
    # JupyterLab's body has no height and hides what overflows it; axe takes all its texts for invisible.
    notebook.page.add_style_tag(content="body, .jp-LabShell { overflow: visible !important; height: 100%; }")
    for theme in _THEMES:
        notebook.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
        )
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        notebook.page.wait_for_timeout(300)
        found = Axe().run(notebook.page, ".tex2jax_ignore", {}).response
        notebook.screenshot(f"tables-700-{theme.removeprefix('JupyterLab ').lower().replace(' ', '-')}")

        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
        passed = {rule["id"]: len(rule["nodes"]) for rule in found["passes"]}
        assert passed["color-contrast"] > 20, "axe is to have looked at the texts of both tables"
        assert passed["scrollable-region-focusable"] == 1, "and at the one that is too wide"


def test_a_table_that_is_too_wide_scrolls_alone_and_the_keyboard_reaches_it(
    open_notebook: OpenNotebook,
) -> None:
    notebook = open_notebook(
        "from m3ter_nb.views.records import Records", _ORDINARY, "Records(bills, path='bills')", width=700
    )
    notebook.run_all()
    region = notebook.page.get_by_role("region", name="table: 3 bills")
    count = notebook.output(3).get_by_text("3 bills", exact=True)
    cells = notebook.cell_count()
    region.hover()  # which may scroll the page to it
    before = count.bounding_box()
    notebook.page.mouse.wheel(300, 0)

    notebook.page.wait_for_function(
        "document.querySelector('[role=region][aria-label^=table]').scrollLeft > 0"
    )
    assert count.bounding_box() == before

    region.focus()
    notebook.page.keyboard.press("Shift+Tab")
    expect(region).not_to_be_focused()
    notebook.page.keyboard.press("Tab")
    expect(region).to_be_focused()
    # JupyterLab keeps the arrow keys for itself; Shift+Enter runs the cell from here, too.
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.wait_for_function(
        f"jupyterapp.shell.currentWidget.content.model.cells.length === {cells + 1}"
    )


def words(form: FormOnPage) -> str:
    """Return what a form says, whatever its port, the hour and the browser's way with lines."""
    return " ".join(re.sub(r":\d+|\d+ h \d+ min", "", form.box.inner_text()).split())


def test_the_picture_of_the_readme_says_what_the_product_says(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", "%m3ter_login --form", width=900)
    notebook.run_all()
    form = notebook.form()
    expect(form.key_id).to_be_visible()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    empty, said = Image.open(io.BytesIO(form.box.screenshot())), words(form)
    form.button("Log in").click()
    form.expect_phase("in")
    card, said = Image.open(io.BytesIO(form.box.screenshot())), f"{said} | {words(form)}"

    whole = Image.new(
        "RGB", (empty.width + card.width + 3 * _GAP, max(empty.height, card.height) + 2 * _GAP), "white"
    )
    whole.paste(empty, (_GAP, _GAP))
    whole.paste(card, (2 * _GAP + empty.width, _GAP))
    PICTURES.mkdir(parents=True, exist_ok=True)
    # The picture carries its words, for text can be compared on any machine, and pixels cannot.
    carried = PngInfo()
    carried.add_text("words", said)
    whole.save(PICTURES / f"login-{notebook.browser}.png", optimize=True, pnginfo=carried)

    with Image.open(ROOT / "docs" / "login.png") as kept:
        assert kept.info.get("words") == said, "stale: copy build/screenshots/login-chromium.png to docs/"


def test_white_space_around_a_paste_is_removed_and_the_card_says_so(open_notebook: OpenNotebook) -> None:
    notebook = open_notebook("%m3ter_sandbox", "%m3ter_login --form")
    notebook.run_all()
    form = notebook.form()
    form.fill(DEMO_KEY_ID, f"  {DEMO_SECRET} ")
    form.secret.press("Enter")
    form.expect_phase("in")

    expect(form.box).to_contain_text("White space around the API Secret was removed.")
