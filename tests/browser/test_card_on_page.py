"""One look: the card of a login, of the form, of the status and of the sandbox, measured on a real page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from playwright.sync_api import expect

from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_page import NotebookPage

pytestmark = pytest.mark.browser

# A login by the form, one from the environment, the status, the sandbox, and one of PRODUCTION.
CELLS = (
    "%m3ter_login --form",
    "%m3ter_sandbox",
    "%m3ter_login --name other",
    "%m3ter_status",
    (
        "from m3ter_nb.sandbox import Sandbox\nproduction = Sandbox(organization_type='PRODUCTION').start()\n"
        "os.environ.update(production.environ)\n%m3ter_login --name real"
    ),
)
CARDS = ".m3ter-nb-card, .m3ter-nb-form"
THEMES = ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"]
# An id is no word: no browser finds room for it in a narrow card, and Firefox breaks none between a hyphen and a digit.
BROKEN_WORDS = """cards => [...document.querySelectorAll(cards)].flatMap(card => {
  const broken = [];
  const id = /\\(?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\)?/g;
  const walker = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (node.parentElement.closest("[role=status]")) continue; // for screen readers alone, and one pixel wide
    for (const word of node.textContent.replace(id, hidden => " ".repeat(hidden.length)).matchAll(/[^\\s-]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (lines.size > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""
LEFT_EDGES = """cards => [...document.querySelectorAll(cards)].flatMap(card => {
  const edge = node => Math.round(node.getBoundingClientRect().left);
  const seen = [...card.querySelectorAll("dt, .m3ter-nb-title, :scope > div:first-child > span:first-child")];
  return seen.filter(node => node.offsetParent).map(edge);
})"""


def all_cards(open_notebook: Callable[..., NotebookPage], width: int) -> NotebookPage:
    """Open a notebook that shows every card."""
    notebook = open_notebook(*CELLS, flavour="notebook", width=width, height=2200)
    notebook.run_cell(0)
    notebook.run_cell(1)
    form = notebook.form()
    form.fill(DEMO_KEY_ID, DEMO_SECRET)
    form.secret.press("Enter")
    form.expect_phase("in")
    for cell in (2, 3, 4, 5):
        notebook.run_cell(cell)
    expect(notebook.page.locator(CARDS)).to_have_count(5, timeout=30_000)
    return notebook


@pytest.mark.parametrize("width", [320, 700, 1280])
def test_every_card_breaks_at_words_and_has_the_same_left_edge(
    open_notebook: Callable[..., NotebookPage], width: int
) -> None:
    notebook = all_cards(open_notebook, width)

    notebook.screenshot(f"cards-{width}-px")
    assert notebook.page.evaluate(BROKEN_WORDS, CARDS) == []
    assert len(set(notebook.page.evaluate(LEFT_EDGES, CARDS))) == 1


def test_every_card_of_a_login_has_the_same_labels_in_the_same_order(
    open_notebook: Callable[..., NotebookPage],
) -> None:
    notebook = all_cards(open_notebook, 1280)

    logins = notebook.page.locator(CARDS).filter(has_text="Logged in to m3ter")
    labels = [logins.nth(place).locator("dt").all_inner_texts() for place in range(logins.count())]
    assert (
        labels
        == [["Organization", "Service user", "Host", "Credentials from", "Ready to use", "Time left"]] * 4
    )


def test_axe_finds_nothing_on_any_card(open_notebook: Callable[..., NotebookPage]) -> None:
    notebook = all_cards(open_notebook, 1280)
    notebook.page.add_style_tag(content="body { overflow: visible !important; height: 100%; }")
    for theme in THEMES:
        notebook.page.evaluate(
            "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme
        )
        expect(notebook.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
        notebook.page.wait_for_timeout(300)
        found = Axe().run(notebook.page, CARDS, {}).response
        notebook.screenshot(f"cards-{theme.lower().replace(' ', '-')}")

        assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
