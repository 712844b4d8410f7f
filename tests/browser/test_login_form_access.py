"""Whether everybody can use the form: axe-core, JupyterLab's themes, narrow and zoomed pages, the keyboard alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships no types
from playwright.sync_api import expect

from jupyter_page import NotebookPage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import BrowserContext

    from jupyter_page import Flavour, JupyterServer

pytestmark = pytest.mark.browser

# Every state side by side; the callables are never called.
GALLERY = """
import time
from m3ter_nb.form import LoginCard, LoginForm

def form(**options):
    return LoginForm(host="api.m3ter.com", on_submit=lambda key_id, secret: None, **options)

def card(kind, left, renews):
    rows = (("Organization", "Umbra Analytics, a subsidiary with rather a long name (5a4db0c5-7e57-4a11-8b0c-0d3a05a4db0c)"),
            ("Service user", "Ada's notebooks"), ("Host", "api.m3ter.com"), ("Credentials from", "the form"),
            ("Ready to use", "m3ter_token, m3ter_session"), ("Time left", "4 h 59 min"))
    return LoginCard("Logged in to m3ter", rows, kind, ("White space around the API Secret was removed.",),
                     counting="Time left", expires_at=time.time() + left, renews=renews)

everything = form(notice="The environment holds no complete credentials.", place="binder",
                  on_demo=lambda: None, on_sandbox=lambda: None)
refused = form()
refused._show("refused", "api.m3ter.com does not accept this key id and secret. Check both in the Console.")
unreachable = form()
unreachable._show("unreachable", "api.m3ter.com could not be reached. Check the network, then try again.")
busy = form()
busy._show("busy", "Logging in.")
production = form(on_logout=lambda: None)
production.show_card(card("PRODUCTION", 250, False))
sandbox = form(on_logout=lambda: None)
sandbox.show_card(card("SANDBOX", 17999, True))
display(everything, refused, unreachable, busy, production, sandbox)
"""
FORMS = 6
THEMES = ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"]


@contextlib.contextmanager
def opened_gallery(
    jupyter: JupyterServer, browser: BrowserContext, flavour: Flavour
) -> Iterator[NotebookPage]:
    """A notebook that shows the form in every state, the help unfolded."""
    page = browser.new_page()
    page.set_viewport_size({"width": 1100, "height": 2900})
    with NotebookPage.open(jupyter, page, f"gallery-{flavour}.ipynb", [GALLERY], flavour) as notebook:
        notebook.run_all()
        expect(page.locator(".m3ter-nb-form")).to_have_count(FORMS)
        page.get_by_text("Where do I find these?").first.click()
        # JupyterLab's body has no height and hides what overflows it; axe takes all its texts for invisible.
        page.add_style_tag(content="body, .jp-LabShell { overflow: visible !important; height: 100%; }")
        yield notebook


@pytest.fixture(scope="module")
def lab_gallery(jupyter: JupyterServer, browser: BrowserContext) -> Iterator[NotebookPage]:
    """Every state of the form, in JupyterLab."""
    with opened_gallery(jupyter, browser, "lab") as notebook:
        yield notebook


@pytest.fixture(scope="module")
def notebook_gallery(jupyter: JupyterServer, browser: BrowserContext) -> Iterator[NotebookPage]:
    """Every state of the form, in Notebook 7, which still has room for a notebook at 320 px."""
    with opened_gallery(jupyter, browser, "notebook") as notebook:
        yield notebook


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_in_any_state(lab_gallery: NotebookPage, theme: str) -> None:
    lab_gallery.page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    expect(lab_gallery.page.locator("body")).to_have_attribute("data-jp-theme-name", theme)
    lab_gallery.page.wait_for_timeout(300)
    found = Axe().run(lab_gallery.page, ".m3ter-nb-form", {}).response
    lab_gallery.screenshot(f"gallery-{theme.lower().replace(' ', '-')}")

    assert [(v["id"], v["impact"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
    assert [(r["id"], [n["html"] for n in r["nodes"]]) for r in found["incomplete"]] == [], (
        "axe could not tell"
    )
    passed = {rule["id"]: len(rule["nodes"]) for rule in found["passes"]}
    assert passed["color-contrast"] > 50, "axe is to have looked at the texts of all six forms"


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_is_cut_off_on_a_narrow_or_zoomed_page(notebook_gallery: NotebookPage, width: int) -> None:
    """640 CSS px is what a zoom of 200 % leaves of 1280 px."""
    notebook_gallery.page.set_viewport_size({"width": width, "height": 2900})
    notebook_gallery.page.wait_for_timeout(300)
    cut_off = notebook_gallery.page.evaluate(
        """() => [...document.querySelectorAll('.m3ter-nb-form')].flatMap(form => {
             const edge = form.getBoundingClientRect().right;
             const room = form.closest('.jp-OutputArea-output').getBoundingClientRect().right;
             const parts = [...form.querySelectorAll('label, input, button, dd, dt, p, li, .m3ter-nb-head *')];
             return [...(edge > room + 0.5 ? [form] : []), ...parts.filter(
               part => getComputedStyle(part).position !== 'absolute' && part.getBoundingClientRect().right > edge
             )].map(node => node.outerHTML);
           })"""
    )
    notebook_gallery.screenshot(f"gallery-{width}-px")

    assert cut_off == []


def test_the_keyboard_alone_walks_through_the_form_in_reading_order(lab_gallery: NotebookPage) -> None:
    form = lab_gallery.form(1)
    form.key_id.focus()
    walked = []
    for _ in range(5):
        walked.append(
            lab_gallery.page.evaluate(
                "() => { const on = document.activeElement; return on.getAttribute('aria-label') "
                "|| on.labels?.[0]?.textContent || on.textContent; }"
            )
        )
        lab_gallery.page.keyboard.press("Tab")

    assert walked == ["Access Key ID", "API Secret", "Show the secret", "Log in", "Where do I find these?"]


def test_the_secret_can_be_shown_and_hidden_and_is_hidden_again_on_submit(lab_gallery: NotebookPage) -> None:
    form = lab_gallery.form(1)
    form.fill("key", "secret")
    expect(form.secret).to_have_attribute("type", "password")
    form.button("Show the secret").click()
    expect(form.secret).to_have_attribute("type", "text")
    form.button("Hide the secret").click()
    expect(form.secret).to_have_attribute("type", "password")
    form.button("Show the secret").click()
    form.secret.press("Enter")

    expect(form.secret).to_have_attribute("type", "password")


def test_the_card_warns_before_a_token_that_is_not_renewed_ends(lab_gallery: NotebookPage) -> None:
    warning, calm = lab_gallery.form(4), lab_gallery.form(5)

    expect(warning.box.locator("[data-row=left]")).to_have_class("m3ter-nb-warning")
    expect(warning.box.locator("[data-row=left]")).to_contain_text("log in again soon")
    expect(warning.status).to_contain_text("log in again soon")
    expect(calm.box.locator("[data-row=left]")).not_to_have_class("m3ter-nb-warning")
