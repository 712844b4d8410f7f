"""The page without a server: what a reader's browser does with the built site, and what it keeps."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest

from browsers import BROWSERS
from places import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from page import LitePage, Site

pytestmark = [pytest.mark.more, pytest.mark.browser, pytest.mark.network, pytest.mark.timeout(900)]

FIGURES = ROOT / "build" / "page.json"
_WRONG = "wrong-secret-8471"
_TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}")
_BEGIN = "%load_ext m3ter_nb\ntwin = %m3ter_sandbox"


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
    assert site.missed == []
    assert size < 45e6
    assert not list(site.folder.rglob("*.map"))
    assert site.refused == []


def test_python_is_there_compiled_and_nothing_is_installed_or_looked_for_over_and_over(
    site: Site, open_page: Callable[[str], LitePage]
) -> None:
    opened = open_page("01_log_in.ipynb")
    opened.run(_BEGIN)
    begun = len(site.asked)
    said = text(opened.run("%pip install 'm3ter-nb[sandbox]'\nimport requests, flask, ipywidgets"))

    assert said == ""
    assert not any(".whl" in url or "pypi" in url for url in site.asked)
    assert begun < 260
    assert sum("/api/drive" in url for url in site.asked) < 50
    for archive in (site.folder / "static" / "python").glob("*.zip"):
        names = ZipFile(archive).namelist()
        assert any(name.endswith(".pyc") for name in names)
        assert not any(name.endswith(".py") for name in names)


def test_the_page_as_published_asks_the_cdn_for_the_core_of_python_alone(
    public_site: Site, public_page: LitePage
) -> None:
    public_page.run(_BEGIN)

    said = text(public_page.run("%m3ter_login"))

    others = {url for url in public_site.asked if url.startswith("http") and public_site.url not in url}
    assert said.startswith("Logged in to m3ter")
    assert others == set(public_site.elsewhere)
    assert public_site.refused == []


@pytest.mark.parametrize("name", ["02_service_user_and_keys.ipynb", "04_python.ipynb", "06_token_life.ipynb"])
def test_a_notebook_runs_from_top_to_bottom_and_shows_its_pictures(
    site: Site, open_page: Callable[[str], LitePage], name: str
) -> None:
    opened = open_page(name)
    opened.forget_saved_outputs()

    assert opened.run_from() is None, opened.failures()
    assert [cell["source"] for cell in opened.cells() if not cell["count"]] == []
    assert len(opened.pictures()) == (1 if name.startswith("02") else 0)
    assert all(opened.pictures())
    assert site.missed == []
    assert site.refused == []


def test_the_notebook_of_curl_says_what_it_needs_and_keeps_what_it_showed(
    site: Site, open_page: Callable[[str], LitePage]
) -> None:
    opened = open_page("03_curl.ipynb")

    assert opened.run_from() is None, opened.failures()
    words = "\n".join(opened.words())
    assert "no cell can run that needs bash and cURL" in words
    for command, shown in (("-u ", "(masked before it was saved)"), ("-w ", "HTTP status: 401")):
        assert command in words
        assert shown in words
    assert not any("%%bash" in cell["source"] for cell in opened.cells())
    assert site.refused == []


def test_without_pandas_each_cell_of_the_calls_runs_but_those_that_say_that_they_load_it(
    site: Site, open_page: Callable[[str], LitePage]
) -> None:
    opened = open_page("05_calling_the_api.ipynb")
    opened.forget_saved_outputs()
    failed = []
    number = opened.run_from()
    while number is not None:
        failed.append(opened.cells()[number])
        number = opened.run_from(number + 1)

    assert [cell for cell in opened.cells() if "CDN" in cell["source"]] == failed
    assert len(failed) == 3
    assert all("No module named" in text(cell["outputs"]) for cell in failed)
    (listed,) = (cell for cell in opened.cells() if cell["source"].endswith("\naccounts"))
    assert "nb_demo_initech" in text(listed["outputs"])
    assert opened.cells()[-1]["count"]
    assert site.refused == []


def test_the_notebook_of_usage_runs_up_to_pandas_and_usage_says_that_it_needs_it(
    site: Site, open_page: Callable[[str], LitePage]
) -> None:
    opened = open_page("07_usage_in.ipynb")
    opened.forget_saved_outputs()
    stopped = opened.run_from()
    assert stopped is not None
    cell = opened.cells()[stopped]
    said = text(opened.run("m3ter_session.submit_usage([{'calls': 1}], 'nb_demo_calls', uid='event_id')"))

    assert "pandas comes from Pyodide's CDN" in cell["source"]
    assert "No module named 'pandas'" in text(cell["outputs"])
    assert "needs a second Python" in "\n".join(opened.words())
    assert "needs pandas" in said
    assert "%pip install" in said
    assert site.refused == []


@pytest.mark.parametrize("browser", BROWSERS, ids=lambda known: known.name, indirect=True)
def test_neither_secret_nor_token_is_kept_by_the_browser(open_page: Callable[[str], LitePage]) -> None:
    opened = open_page("01_log_in.ipynb")
    opened.forget_saved_outputs()
    opened.run(_BEGIN)
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
    opened.run(_BEGIN)
    said = text(
        opened.run(
            "import m3ter_nb\n"
            "m3ter_nb.login(m3ter_nb.Credentials('a', 'b'), base_url='https://api.m3ter.com')"
        )
    )

    assert "CORS" in said
    assert len(site.refused) == 1
