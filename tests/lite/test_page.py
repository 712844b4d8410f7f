"""The page without a server: what a reader's browser does with the built site, and what it keeps."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from page import LitePage, Site

pytestmark = [pytest.mark.more, pytest.mark.browser, pytest.mark.network, pytest.mark.timeout(900)]

FIGURES = ROOT / "build" / "page.json"
_WRONG = "wrong-secret-8471"
_TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")
_INSTALL = "%pip install -q m3ter-nb[sandbox]\n%load_ext m3ter_nb\ntwin = %m3ter_sandbox"


def text(outputs: list[dict[str, Any]]) -> str:
    """Return all text of a cell's outputs."""
    pieces: list[Any] = []
    for output in outputs:
        shown = output.get("data", {}).get("text/plain", "")
        pieces += [output.get("text", ""), output.get("evalue", ""), shown]
    return "\n".join("".join(piece) for piece in pieces).strip()


def test_the_first_notebook_logs_in_by_the_demo_button_and_asks_no_other_host(
    site: Site, open_page: Callable[[str], LitePage], capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    opened = open_page("")
    opened.forget_saved_outputs()
    stopped = opened.run_from()  # at the first cell that needs the login
    assert stopped is not None
    opened.form.get_by_role("button", name=re.compile("demo")).click()
    opened.form.get_by_text("Time left").wait_for()
    took = time.monotonic() - started
    left = opened.form.inner_text()
    opened.run_from(stopped)

    size = sum(path.stat().st_size for path in site.folder.rglob("*") if path.is_file())
    with capsys.disabled():
        sys.stdout.write(f"\nThe page: {size / 1e6:.1f} MB, {took:.1f} s to the first login.\n")
    FIGURES.write_text(json.dumps({"seconds": took, "bytes": size}), "utf-8")  # make bench shows them
    assert "NaN" not in left
    assert opened.failures() == []
    assert opened.cells()[-1]["count"]
    assert size < 45e6
    assert not list(site.folder.rglob("*.map"))
    assert site.refused == []


@pytest.mark.parametrize("name", ["02_service_user_and_keys.ipynb", "04_python.ipynb", "06_token_life.ipynb"])
def test_a_notebook_runs_from_top_to_bottom(
    site: Site, open_page: Callable[[str], LitePage], name: str
) -> None:
    opened = open_page(name)
    opened.forget_saved_outputs()

    assert opened.run_from() is None, opened.failures()
    assert all(cell["count"] for cell in opened.cells())
    assert site.refused == []


def test_neither_secret_nor_token_is_kept_by_the_browser(open_page: Callable[[str], LitePage]) -> None:
    opened = open_page("01_log_in.ipynb")
    opened.forget_saved_outputs()
    opened.run(_INSTALL)
    # Backwards, for what is shown is kept; the demo pair is public, and stands in the notebooks' saved outputs.
    made = text(opened.run("key = twin.sandbox.keys.create_key()\nprint(key.key_id, key.secret[::-1])"))
    key_id, backwards = made.split()
    right = backwards[::-1]
    opened.run("%m3ter_login --form")
    for secret, answer in ((_WRONG, "does not accept"), (right, "Time left")):
        opened.form.get_by_label("Access Key ID").fill(key_id)
        opened.form.get_by_label("API Secret", exact=True).fill(secret)
        opened.form.get_by_role("button", name="Log in").click()
        opened.form.get_by_text(answer).first.wait_for()
    called = text(opened.run("%m3ter GET organizationconfig"))
    documented = text(opened.run("%m3ter_docs products"))
    masked = text(opened.run("m3ter_token"))
    works = text(opened.run("len(f'Bearer {m3ter_token}') > 200"))
    opened.save()

    kept = opened.kept()
    assert "currency" in called
    assert re.search(r"GET +products +ListProducts", documented)
    assert masked.startswith("<m3ter token")
    assert works == "True"
    assert "%m3ter GET organizationconfig" in kept  # the notebook was saved
    assert _WRONG not in kept
    assert right not in kept
    assert backwards in kept
    assert not _TOKEN.search(kept)


def test_a_host_that_names_no_page_is_asked_once_and_said_so(
    site: Site, open_page: Callable[[str], LitePage]
) -> None:
    opened = open_page("01_log_in.ipynb")
    opened.run(_INSTALL)
    said = text(
        opened.run(
            "import m3ter_nb\n"
            "m3ter_nb.login(m3ter_nb.Credentials('a', 'b'), base_url='https://api.m3ter.com')"
        )
    )

    assert "CORS" in said
    assert len(site.refused) == 1
