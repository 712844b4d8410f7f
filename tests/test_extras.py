"""A missing extra names the command that installs it, from where this very copy came."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

import pytest

from m3ter_nb.extras import install_command, missing_extra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA = """Metadata-Version: 2.4
Name: m3ter-nb
Version: 9.9.9
Requires-Dist: requests>=2.32
Requires-Dist: pandas>=2.1; extra == "pandas"
Requires-Dist: flask>=3.0 ; python_version >= "3.11" and extra == 'sandbox'
Requires-Dist: joserfc>=1.0; extra == 'sandbox'
"""
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Return a function that installs a copy which shadows the real one, with this direct_url.json."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def install(direct_url: str | None) -> None:
        folder = tmp_path / "m3ter_nb-9.9.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(METADATA)
        if direct_url is not None:
            (folder / "direct_url.json").write_text(direct_url)

    return install


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        ({"url": "file:///home/me/a%20clone", "dir_info": {}}, ["m3ter-nb[sdk] @ file:///home/me/a%20clone"]),
        (
            {"url": "file:///home/me/a%20clone", "dir_info": {"editable": True}},
            ["--editable", "/home/me/a clone[sdk]"],
        ),
        (
            {"url": "file:///tmp/m3ter_nb-0.1.0-py3-none-any.whl", "archive_info": {"hash": "sha256=0"}},
            ["m3ter-nb[sdk] @ file:///tmp/m3ter_nb-0.1.0-py3-none-any.whl"],
        ),
        (
            {
                "url": "https://me:s3cr3t@git.example.com/m3ter_nb",
                "vcs_info": {"vcs": "git", "commit_id": COMMIT},
            },
            [f"m3ter-nb[sdk] @ git+https://git.example.com/m3ter_nb@{COMMIT}"],
        ),
        (
            {"url": "https://example.com/all.zip", "archive_info": {}, "subdirectory": "python"},
            ["m3ter-nb[sdk] @ https://example.com/all.zip#subdirectory=python"],
        ),
    ],
)
def test_the_command_names_the_source_of_this_copy(
    installed: Callable[[str | None], None], origin: dict[str, Any], words: list[str]
) -> None:
    installed(json.dumps(origin))

    assert shlex.split(install_command("sdk")) == ["%pip", "install", *words]


@pytest.mark.parametrize("direct_url", [None, "no JSON", "{}"])
def test_a_copy_of_unknown_source_names_the_packages_and_no_bare_name(
    installed: Callable[[str | None], None], direct_url: str | None
) -> None:
    installed(direct_url)

    assert install_command("pandas") == "%pip install 'pandas>=2.1'"
    assert install_command("sandbox") == "%pip install 'flask>=3.0' 'joserfc>=1.0'"


def test_the_error_says_what_is_missing_and_what_to_run() -> None:
    error = missing_extra("to_frame() needs pandas, which is not installed", "pandas")

    assert str(error) == f"to_frame() needs pandas, which is not installed: run  {install_command('pandas')}"
    assert isinstance(error, ImportError)
