"""Put the Binder badge into the README, made from one setting: ``repository`` of ``[tool.m3ter_nb]`` in pyproject.toml.

``python docs/badge.py`` rewrites what stands between the two marks in README.md; ``--check`` only tells whether it
agrees with the setting.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
_MARKED = re.compile(r"(<!-- badge -->\n).*?(<!-- /badge -->)", re.DOTALL)
_OPENS = "urlpath=lab/tree/notebooks/01_log_in.ipynb"


def badge(repository: str) -> str:
    """Return the Markdown of the badge; a sentence where the repository's public home is not set.

    Args:
        repository: ``owner/name`` on GitHub, or ``""``.

    Source: https://mybinder.readthedocs.io/en/latest/howto/badges.html
    """
    if not repository:
        return "The launch badge appears here once `repository` is set (see [Binder](#binder)).\n"
    return (
        "[![Launch on Binder](https://mybinder.org/badge_logo.svg)]"
        f"(https://mybinder.org/v2/gh/{repository}/main?{_OPENS})\n"
    )


def rewritten(readme: str, repository: str) -> str:
    """Return the README with the badge of a repository."""
    return _MARKED.sub(lambda marked: marked.group(1) + badge(repository) + marked.group(2), readme)


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
