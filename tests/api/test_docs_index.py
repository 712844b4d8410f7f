"""The documentation's index: fetched without a token, kept for a day, and trusted in nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.api.docs_index import Page, cached_pages, fetch_index, pages_of
from m3ter_nb.errors import ConnectionFailed, InvalidArgument, UnsafeDestination
from m3ter_nb.notebook.docs import look_up
from odd_servers import OddServer, answer, stall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

INDEX = (
    b"# m3ter documentation\n\n"
    b"- [List Bills](https://docs.m3ter.com/api/bill/list-bills.md): Retrieve a list\n"
    b"- [Running and Managing Bills](https://docs.m3ter.com/guides/running-bills.md)\n"
    b"- [Pricing](https://docs.m3ter.com/guides/pricing.md)\n"
)


@pytest.fixture
def server() -> Iterator[OddServer]:
    with OddServer.saying(answer(200, INDEX)) as running:
        yield running


def test_titles_and_links_to_pages_for_people_are_read() -> None:
    assert pages_of(INDEX.decode(), "https://docs.m3ter.com/llms.txt") == [
        Page("List Bills", "https://docs.m3ter.com/api/bill/list-bills"),
        Page("Running and Managing Bills", "https://docs.m3ter.com/guides/running-bills"),
        Page("Pricing", "https://docs.m3ter.com/guides/pricing"),
    ]


@pytest.mark.parametrize(
    "link",
    [
        "http://docs.m3ter.com/a",
        "https://evil.example/a",
        "https://docs.m3ter.com@evil.example/a",
        "https://user:pw@docs.m3ter.com/a",
        "https://docs.m3ter.com.evil.example/a",
        "https://evil.example\\@docs.m3ter.com/a",
        "https://docs.m3ter.com\\.evil.example/a",
        "javascript:alert(1)",
        "JaVaScRiPt://docs.m3ter.com/%0aalert(1)",
        "data:text/html,x",
        "//docs.m3ter.com/a",
        "/a",
        'https://docs.m3ter.com/a"onmouseover="x',
        "https://docs.m3ter.com/<script>",
        "https://docs.m3ter.com:99999999/a",
        "https://d\u043ecs.m3ter.com/a",
        "https://[::1]/a",
    ],
)
def test_a_link_that_leads_elsewhere_is_not_taken(link: str) -> None:
    assert pages_of(f"- [x]({link})", "https://docs.m3ter.com/llms.txt") == []


def test_pages_of_the_indexs_own_host_are_taken() -> None:
    text = "- [x](https://docs.example.com/a)\n- [y](https://docs.m3ter.com/b)\n- [z](https://other.example.com/c)"

    assert [page.title for page in pages_of(text, "https://docs.example.com/llms.txt")] == ["x", "y"]


def test_a_title_is_one_line_without_controls_and_html_stays_text() -> None:
    text = f"- [\x1b[31mRed \u202e evil <img src=x onerror=alert(1)> {'x' * 500}](https://docs.m3ter.com/a)"
    (page,) = pages_of(text, "")
    shown = look_up("red evil", lambda: [page])

    assert len(page.title) == 120
    assert page.title.isprintable()
    assert page.title.startswith("[31mRed evil <img")
    assert "<img" not in shown._repr_html_()


@pytest.mark.parametrize(("count", "said"), [(10, ""), (13, "3 more pages match: .pages has them all.")])
def test_pages_that_are_left_out_are_said(count: int, said: str) -> None:
    shown = look_up(
        "red", lambda: [Page(f"red {number}", "https://docs.example.com/x") for number in range(count)]
    )

    assert ("more pages match" in repr(shown)) is bool(said)
    assert said in repr(shown)
    assert len(shown.pages) == count


def test_a_huge_hostile_index_is_read_in_linear_time() -> None:
    assert pages_of("- [" * 300_000 + "\n" + "- [x](" * 100_000 + "\n[" * 100_000, "") == []


def test_it_is_fetched_once_a_day_by_address_and_without_a_token(server: OddServer, tmp_path: Path) -> None:
    now = [1_700_000_000.0]

    def pages(path: str = "/llms.txt") -> list[Page]:
        return cached_pages(server.url + path, folder=tmp_path / "deep" / "er", now=lambda: now[0])

    assert len(pages()) == len(pages()) == 3
    assert len(server.seen) == 1
    assert "authorization" not in server.seen[0].headers
    assert "cookie" not in server.seen[0].headers
    assert len(pages("/other.txt")) == 3
    assert len(server.seen) == 2
    now[0] += 86_399
    pages()
    assert len(server.seen) == 2
    now[0] += 2
    pages()
    assert len(server.seen) == 3


def test_a_folder_that_cannot_be_written_does_no_harm(server: OddServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    assert len(cached_pages(f"{server.url}/llms.txt", folder=tmp_path / "file")) == 3


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([answer(404)], "was answered with 404"),
        ([answer(302, b"", Location="https://evil.example/llms.txt")], "was answered with 302"),
        ([answer(200, b"<html>no index</html>")], "names no page"),
        ([answer(200, b"\xff\xfe\x00" * 1000)], "names no page"),
        ([b"garbage\r\n\r\n"], "could not be had"),
        ([answer(200, b"- [x](https://docs.m3ter.com/a)\n" * 200_000)], "could not be had"),
    ],
)
def test_an_odd_server_is_one_sentence_and_is_not_kept(said: list[Any], message: str, tmp_path: Path) -> None:
    with OddServer(lambda _: said) as server, pytest.raises(ConnectionFailed, match=message):
        cached_pages(f"{server.url}/llms.txt", folder=tmp_path / "kept")

    assert not (tmp_path / "kept").exists()
    assert len(server.seen) == 1


def test_a_server_that_stalls_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3ter_nb.api.docs_index._SECONDS", 0.3)

    with (
        OddServer(lambda _: [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n- [", stall]) as server,
        pytest.raises(ConnectionFailed),
    ):
        fetch_index(f"{server.url}/llms.txt")


@pytest.mark.parametrize(
    "url", ["http://docs.m3ter.com/llms.txt", "https://user:pw@docs.m3ter.com/", "ftp://x/y", "llms.txt", ""]
)
def test_an_address_that_is_no_plain_https_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises((InvalidArgument, UnsafeDestination)):
        cached_pages(url, folder=tmp_path)


def test_the_magic_finds_pages_at_the_configured_address(shell: InteractiveShell, server: OddServer) -> None:
    shell.run_cell(f"%config M3terMagics.docs_url = '{server.url}/llms.txt'").raise_error()

    found = shell.run_cell("%m3ter_docs bills").result
    shell.run_cell("%m3ter_docs GET bills").raise_error()

    assert [page.title for page in found.pages] == ["List Bills", "Running and Managing Bills"]
    assert found.operations[0].path == "bills"
    assert (
        '<a href="https://docs.m3ter.com/guides/running-bills" target="_blank" rel="noopener noreferrer">'
        in found._repr_html_()
    )
    assert re.search(
        r"^  Running and Managing Bills +https://docs\.m3ter\.com/guides/running-bills$",
        repr(found),
        re.MULTILINE,
    )
    assert len(server.seen) == 1


def test_without_a_network_it_says_so_and_shows_what_ships(shell: InteractiveShell) -> None:
    with OddServer.saying(b"") as gone:
        url = gone.url
    shell.run_cell(f"%config M3terMagics.docs_url = '{url}/llms.txt'").raise_error()

    found = shell.run_cell("%m3ter_docs bills").result

    assert found.pages == []
    assert found.operations[0].path == "bills"
    assert re.search(r"could not be had\. Shown is what ships with m3ter_nb\.$", repr(found), re.MULTILINE)
