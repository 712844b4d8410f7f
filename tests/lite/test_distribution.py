"""What Python in the page is made of: compiled archives, and the lock file that names them."""

from __future__ import annotations

import io
import json
import marshal
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING
from zipfile import ZipFile

from compile_wheels import compile_archives
from distribution import CORE, LOCK, OURS, THEIRS, lock_file

if TYPE_CHECKING:
    from pathlib import Path

ELSEWHERE = "https://cdn.example/"


def zipped(**files: str) -> bytes:
    """Return a ZIP file; a double underscore in a name stands for a slash, a single one for a dot."""
    made = io.BytesIO()
    with ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return made.getvalue()


def test_an_archive_holds_bytecode_for_every_source_and_all_else_as_it_was() -> None:
    made = compile_archives([zipped(a__b_py="x = 6 * 7", a__b_json="{}"), zipped(c_py="")], "/place")

    with ZipFile(io.BytesIO(made)) as archive:
        assert sorted(archive.namelist()) == ["a/b.json", "a/b.pyc", "c.pyc"]
        assert archive.read("a/b.json") == b"{}"
        bytecode = archive.read("a/b.pyc")
    code = marshal.loads(bytecode[16:])
    found: dict[str, int] = {}
    exec(code, found)
    assert bytecode[:8] == MAGIC_NUMBER + b"\1\0\0\0"  # by hash, unchecked
    assert code.co_filename == "/place/a/b.py"
    assert found["x"] == 42


def test_the_same_sources_make_the_same_bytes() -> None:
    archive = zipped(a_py="x = {1, 2, 3}")

    assert compile_archives([archive], "/place") == compile_archives([archive], "/place")


def test_what_no_page_needs_is_left_out() -> None:
    made = compile_archives([zipped(p_data__data__x_js="", p__tests__t_py="", p__a_py="")], "/place")

    assert ZipFile(io.BytesIO(made)).namelist() == ["p/a.pyc"]


def test_what_an_archive_holds_comes_from_it_and_the_rest_from_elsewhere(tmp_path: Path) -> None:
    entry = {"depends": [], "file_name": "six-1.whl", "imports": ["six"]}
    pandas = {"depends": ["six", "NumPy"], "file_name": "pandas-3.whl", "imports": ["pandas"]}
    packages = {"six": entry, "pandas": pandas, "numpy": {**entry, "file_name": "numpy-2.whl"}}
    (tmp_path / LOCK).write_text(json.dumps({"info": {"python": "3.14.2"}, "packages": packages}))
    for name, content in ((THEIRS, {"six_pyc": "", "six-1_dist-info__METADATA": ""}), (OURS, {"m3_pyc": ""})):
        (tmp_path / name).write_bytes(zipped(**content))

    whole = json.loads(lock_file(tmp_path, tmp_path, ""))
    public = json.loads(lock_file(tmp_path, tmp_path, ELSEWHERE))

    assert list(whole["packages"]) == ["theirs", "ours"]
    assert whole["packages"]["theirs"]["imports"] == ["six"]
    assert whole["info"] == {"python": "3.14.2"}
    assert sorted(public["packages"]) == ["numpy", "ours", "pandas", "theirs"]
    assert public["packages"]["pandas"]["file_name"] == f"{ELSEWHERE}pandas-3.whl"
    assert public["packages"]["pandas"]["depends"] == ["NumPy"]
    assert not set(CORE) & set(public["packages"])
