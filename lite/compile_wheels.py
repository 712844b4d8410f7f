"""Compile the wheels of /sources into one archive of /target, and the standard library; run by compile.mjs, in Pyodide.

What comes out has no sources: a traceback in the page shows no lines of these packages, and the page half the bytes.
"""

from __future__ import annotations

import io
import marshal
import re
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["compile_archives"]

# For people at a desktop: files of Jupyter's own, typing stubs of other packages and of Python 2, tests.
_LEFT_OUT = re.compile(
    r"[^/]+\.data/|.*/tests?/|jedi/third_party/(?:django-stubs|typeshed/(?:third_party/2(?:and3)?|stdlib/2))/"
)
# PEP 552: by hash, and never compared with a source.
_UNCHECKED = (1).to_bytes(4, "little") + bytes(8)


def compile_archives(archives: Iterable[bytes], place: str) -> bytes:
    """Return the contents of wheels, or of the standard library, in one ZIP file, with bytecode instead of sources.

    Args:
        archives: the bytes of ZIP files.
        place: the folder that their files will have in the page, for tracebacks.
    """
    made = io.BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as target:
        for archive in archives:
            with ZipFile(io.BytesIO(archive)) as sources:
                for entry in sources.infolist():
                    if not (entry.is_dir() or _LEFT_OUT.match(entry.filename)):
                        name, content = _compiled(entry.filename, sources.read(entry), place)
                        # Without its date, so that the same sources make the same bytes.
                        target.writestr(ZipInfo(name), content, ZIP_DEFLATED)
    return made.getvalue()


def _compiled(name: str, content: bytes, place: str) -> tuple[str, bytes]:
    """Return the name and the bytes of a file, compiled where it is Python."""
    if not name.endswith(".py"):
        return name, content
    code = compile(content, f"{place}/{name}", "exec", dont_inherit=True)
    return f"{name}c", MAGIC_NUMBER + _UNCHECKED + marshal.dumps(code)


if __name__ == "__main__":
    sources, target = Path("/sources"), Path("/target")
    wheels = [path.read_bytes() for path in sorted(sources.glob("*.whl"))]
    (target / "wheels.zip").write_bytes(compile_archives(wheels, "/lib/python3.14/site-packages"))
    for path in sources.glob("*.zip"):
        (target / path.name).write_bytes(compile_archives([path.read_bytes()], "/lib/python314.zip"))
