"""Put into the README what depends on one setting: ``repository`` of ``[tool.m3ter_nb]`` in pyproject.toml.

That is the Binder badge, the link to the page, and where to clone and install from. ``python docs/badge.py`` rewrites what stands between the
marks in README.md; ``--check`` only tells whether it agrees with the setting.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
_OPENS = "urlpath=lab/tree/notebooks/01_log_in.ipynb"
_SOURCE = """\
```bash
git clone {clone} m3ter_nb
cd m3ter_nb
make lab     # makes a virtual environment, installs, opens JupyterLab on the first notebook
```

Into an environment of your own:

```bash
pip install 'm3ter-nb[lab] @ {install}'
```

(`m3ter-nb` is on no package index; there, the bare name would be somebody else's.)
"""


def badge(repository: str) -> str:
    """Return the Markdown of the badge, and of the link to the page where GitHub Pages serves it.

    Args:
        repository: ``owner/name`` on GitHub, or ``""``: then there is nothing to open.

    Source: https://mybinder.readthedocs.io/en/latest/howto/badges.html, https://docs.github.com/en/pages
    """
    if not repository:
        return ""
    owner, _, name = repository.partition("/")
    return (
        "[![Launch on Binder](https://mybinder.org/badge_logo.svg)]"
        f"(https://mybinder.org/v2/gh/{repository}/main?{_OPENS})\n"
        f"[Try it in your browser, without a machine](https://{owner.lower()}.github.io/{name}/)\n"
    )


def source(repository: str) -> str:
    """Return the Markdown that says where to clone and install from.

    Args:
        repository: ``owner/name`` on GitHub, or ``""``: then the reader has the clone and its URL already.
    """
    if not repository:
        return _SOURCE.format(clone="<URL of this repository>", install="file:///path/to/the/clone")
    home = f"https://github.com/{repository}.git"
    return _SOURCE.format(clone=home, install=f"git+{home}")


def rewritten(readme: str, repository: str) -> str:
    """Return the README of a repository."""
    for mark, made in (("badge", badge(repository)), ("source", source(repository))):
        between = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
        readme = between.sub(rf"\g<1>{made}\g<2>", readme)
    return readme


def main(arguments: list[str]) -> int:
    """Rewrite or check the README; return the exit status."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["m3ter_nb"]
    path = ROOT / "README.md"
    before = path.read_text("utf-8")
    after = rewritten(before, settings["repository"])
    if arguments == ["--check"]:
        return int(before != after)
    path.write_text(after, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
