"""The index of m3ter's documentation (``llms.txt``): fetched when it is needed, kept for a day, trusted in nothing.

One line of it is a page: ``- [title](url): note``. Its content is a stranger's text: of each line a title without
controls is taken, and a link that leads to the documentation or to the index's own host, over https.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from m3ter_nb._version import __version__
from m3ter_nb.errors import ConnectionFailed
from m3ter_nb.hiding import without_frames
from m3ter_nb.spelling import with_literal_repr
from m3ter_nb.wire.hosts import checked_base_url, origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["DEFAULT_INDEX", "Page", "cached_pages", "fetch_index", "pages_of"]

DEFAULT_INDEX: Final = "https://docs.m3ter.com/llms.txt"

_DOCS_HOST: Final = "docs.m3ter.com"
_DAY: Final = 86_400.0
_SECONDS: Final = 5.0
_LONGEST_INDEX: Final = 5_000_000
_LONGEST_TITLE: Final = 120
_LONGEST_LINE: Final = 2_000
_MOST_PAGES: Final = 5_000
_ENTRY: Final = re.compile(r"\s*[-*] \[([^\]]*)\]\(([^()\s]+)\)")
# What every parser of URLs reads alike: no user, no backslash, no odd letter.
_LINK: Final = re.compile(r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9/._~%+#=&?,-]*", re.ASCII)


@with_literal_repr
class Page(NamedTuple):
    """A page of the documentation.

    Attributes:
        title: on one line, without controls, at most 120 characters.
        url: of the page for people, https.
    """

    title: str
    url: str


def pages_of(text: str, index_url: str) -> list[Page]:
    """Return the pages that an index names, in its order.

    Args:
        text: of the index.
        index_url: where it came from; links to its host are taken.
    """
    hosts = {_DOCS_HOST, (urlsplit(index_url).hostname or "").lower()}
    found: list[Page] = []
    for line in text.splitlines():
        entry = _ENTRY.match(line[:_LONGEST_LINE])
        if entry is None or len(found) == _MOST_PAGES:
            continue
        title = " ".join("".join(c for c in entry[1] if c.isprintable()).split())
        if title and _LINK.fullmatch(entry[2]) and urlsplit(entry[2]).hostname in hosts:
            cut = title if len(title) <= _LONGEST_TITLE else title[: _LONGEST_TITLE - 1] + "…"
            found.append(Page(cut, entry[2].removesuffix(".md")))
    return found


def cached_pages(
    url: str = DEFAULT_INDEX,
    *,
    folder: Path | None = None,
    fetch: Callable[[str], str] | None = None,
    now: Callable[[], float] = time.time,
) -> list[Page]:
    """Return the pages of an index, from disk where it was fetched within a day; a failure is not kept.

    Args:
        url: the whole address of the index.
        folder: where indexes are kept, each by its address; None for the user's cache folder.
        fetch: returns the text at an address.
        now: seconds since the epoch.

    Raises:
        ConnectionFailed: it could not be had.
        InvalidArgument: the address is no plain https URL.
    """
    kept = (folder or _cache_folder()) / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.txt"
    with suppress(OSError, UnicodeError):
        if 0 <= now() - kept.stat().st_mtime < _DAY:
            return pages_of(kept.read_text("utf-8"), url)
    text = (fetch or fetch_index)(url)
    pages = pages_of(text, url)
    if not pages:
        raise ConnectionFailed("The documentation index names no page of the documentation.")
    with suppress(OSError, UnicodeError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_text(text, "utf-8")
        os.utime(partial, (now(), now()))
        partial.replace(kept)
    return pages


@without_frames
def fetch_index(url: str) -> str:
    """Fetch an index: without a token, without following a redirect, within seconds and megabytes.

    Raises:
        ConnectionFailed: nothing came, or something else than an index.
        InvalidArgument: the address is no plain https URL (http is for this machine alone).
    """
    from urllib3.exceptions import HTTPError

    from m3ter_nb.wire.bounds import Allowance, Deadline, TooLong
    from m3ter_nb.wire.certificates import ca_bundle
    from m3ter_nb.wire.connections import Connections
    from m3ter_nb.wire.proxies import proxy_for

    url = checked_base_url(url)
    where = origin(url)
    connections = Connections({where: proxy_for(url)}, ca_bundle())
    host = urlsplit(url).netloc
    try:
        answer, content = connections.exchange(
            where,
            "GET",
            urlsplit(url).path or "/",
            {
                "User-Agent": f"m3ter_nb/{__version__}",
                "Accept": "text/plain",
                "Accept-Encoding": "gzip, deflate",
            },
            None,
            connect=_SECONDS,
            allowance=Allowance(Deadline(_SECONDS, time.monotonic), _SECONDS, _LONGEST_INDEX),
        )
    except (HTTPError, OSError, ValueError, ArithmeticError, MemoryError, TooLong):
        raise ConnectionFailed(f"The documentation index at {host} could not be had.") from None
    finally:
        connections.close()
    if answer.status != HTTPStatus.OK:
        raise ConnectionFailed(f"The documentation index at {host} was answered with {answer.status}.")
    return content.decode("utf-8", "replace")


def _cache_folder() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("m3ter_nb", appauthor=False) / "docs"
