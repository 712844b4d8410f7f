"""What to type where an optional package is missing: from where this very copy came, never a bare name on an index.

m3ter-nb is on no index: there its name belongs to whoever registers it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import MissingExtra

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = ["install_command", "missing_extra"]

_NAME = "m3ter-nb"


def missing_extra(what: str, extra: str) -> MissingExtra:
    """Return the error that says what needs an extra, and the command that installs it.

    Args:
        what: a clause that says what is missing (``"to_frame() needs pandas, which is not installed"``).
        extra: the extra's name in pyproject.toml.
    """
    return MissingExtra(f"{what}: run  {install_command(extra)}")


def install_command(extra: str) -> str:
    """Return the line for a notebook that installs an extra.

    It names the folder, archive or repository that pip or uv took this copy from
    (https://packaging.python.org/en/latest/specifications/direct-url/); where they left no such note, the packages that
    the extra stands for.
    """
    import shlex
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        installed = distribution(_NAME)
    except PackageNotFoundError:
        return f"pip install with the extra {extra}, from where this copy of {_NAME} came"
    wanted = _from_its_source(installed, extra) or _packages(installed, extra)
    return f"%pip install {shlex.join(wanted)}"


def _from_its_source(installed: Distribution, extra: str) -> list[str]:
    import json
    from urllib.request import url2pathname

    try:
        origin: dict[str, Any] = json.loads(installed.read_text("direct_url.json") or "{}")
    except ValueError:
        return []
    url = _without_userinfo(str(origin.get("url", "")))
    if not url:
        return []
    if origin.get("dir_info", {}).get("editable"):
        return ["--editable", f"{url2pathname(url.removeprefix('file://'))}[{extra}]"]
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    if folder := origin.get("subdirectory"):
        url += f"#subdirectory={folder}"
    return [f"{_NAME}[{extra}] @ {url}"]


def _without_userinfo(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _packages(installed: Distribution, extra: str) -> list[str]:
    import re

    marker = re.compile(rf"""extra\s*==\s*["']{re.escape(extra)}["']""")
    wanted = [line.partition(";") for line in installed.requires or ()]
    return [requirement.strip() for requirement, _, condition in wanted if marker.search(condition)]
