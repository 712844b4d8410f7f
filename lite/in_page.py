"""A notebook as the page shows it: what no browser can run is there to be read, and the rest says what it loads."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

# The official SDK stands on a compiled package and on sockets.
_SDK = re.compile(r"^import m3ter$|\.(?:async_)?sdk\(\)", re.MULTILINE)
_NO_SDK = "# The official SDK does not run in a browser page: there, this cell fails.\n"
# What is compiled is on Pyodide's CDN alone, and its kernel loads from there what a cell imports.
_COMPILED = re.compile(r"^ *(?:import|from) (pandas|matplotlib)\b", re.MULTILINE)
_LOADS = "# In this page, {} comes from Pyodide's CDN, the first time in each notebook.\n"
_FRAME = "import pandas  # for to_frame(); in this page it comes from Pyodide's CDN, the first time in each notebook\n"
# What no page has, by what stands in a cell that needs it.
_MISSING = {
    "bash and cURL": re.compile(r"^%%bash"),
    "a second Python": re.compile(r"^import subprocess$", re.MULTILINE),
}
_TO_READ = (
    "**In this page** no cell can run that needs {}: it is here to be read, with what it printed on a computer. "
    "All other cells run."
)
_SANDBOX = (
    "**In this page** stay with the sandbox, whatever is said of your own organization: anybody can host such a page, "
    "and no real secret belongs in one."
)
_WAITS = re.compile(r"^[^#]*\bawait login\b", re.MULTILINE)
_NO_WAIT = (
    "**In this page** no cell can wait for the form: *Run All* stops below it, and shows the end of the notebook. "
    "Scroll up, submit the form, then run that cell again and go on."
)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def adapt(text: str, present: Collection[str]) -> str:
    """Return a notebook for the page.

    Args:
        text: of the notebook's file.
        present: what its relative links may lead to there.
    """
    notebook = json.loads(text)
    cells: list[dict[str, Any]] = notebook["cells"]
    first = next(place for place, cell in enumerate(cells) if cell["cell_type"] == "code")
    missing = {what: None for cell in cells if (what := _missing(cell))}
    notes = [_words("sandbox", _SANDBOX)]
    notes += [_words(f"to-read-{at}", _TO_READ.format(what)) for at, what in enumerate(missing)]
    if any(cell["cell_type"] == "code" and _WAITS.search("".join(cell["source"])) for cell in cells):
        notes.append(_words("no-wait", _NO_WAIT))
    cells[first:first] = notes
    notebook["cells"] = [_adapted(cell, present) for cell in cells]
    notebook["metadata"]["kernelspec"] = {
        "name": "python",
        "display_name": "Python (Pyodide)",
        "language": "python",
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _words(name: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def _missing(cell: dict[str, Any]) -> str:
    """Return what a cell needs that no page has; "" for nothing."""
    source = "".join(cell["source"])
    return next(
        (what for what, needs in _MISSING.items() if cell["cell_type"] == "code" and needs.search(source)), ""
    )


def _adapted(cell: dict[str, Any], present: Collection[str]) -> dict[str, Any]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return {**cell, "source": _LINK.sub(lambda link: _link(link, present), source)}
    if _missing(cell):
        return _words(cell["id"], _as_text(source, cell["outputs"]))
    if _SDK.search(source):
        return {**cell, "source": _NO_SDK + source, "metadata": {"tags": ["raises-exception"]}}
    if compiled := dict.fromkeys(_COMPILED.findall(source)):
        return {**cell, "source": _LOADS.format(" and ".join(compiled)) + source}
    return {**cell, "source": _FRAME + source} if ".to_frame(" in source else cell


def _as_text(source: str, outputs: list[dict[str, Any]]) -> str:
    """Return a code cell and what it printed as Markdown."""
    printed = "".join(
        "".join(output.get("text") or output.get("data", {}).get("text/plain", "")) for output in outputs
    )
    language = "bash" if source.startswith("%%bash") else "python"
    return f"````{language}\n{source}\n````\n\nIt printed:\n\n````text\n{printed.rstrip()}\n````"


def _link(link: re.Match[str], present: Collection[str]) -> str:
    """Return a link as it is where it leads somewhere, else its words alone."""
    words, target = link.groups()
    leads = "://" in target or target.startswith("#") or target.partition("#")[0] in present
    return link[0] if leads else words
