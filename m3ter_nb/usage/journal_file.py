"""Where the journal is kept, and whom it trusts: a file and a folder that nobody else can write."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from m3ter_nb.wire.hosts import is_loopback, origin

__all__ = ["NoJournal", "journal_path", "make_private"]

#: File systems on which SQLite's locks or shared memory do not work.
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "fuse.sshfs", "fuse.glusterfs"}
)
# What SQLite reads beside the file itself, and would take for its own work that was cut short.
_BESIDE: Final = ("-wal", "-shm", "-journal")


class NoJournal(Exception):
    """A journal cannot be kept here; the text says why."""


def journal_path(folder: Path | None, org_id: str, meter: str, base_url: str) -> Path:
    """Return where the journal of a meter is kept: below the files' folder, else the working directory.

    A sandbox has a port of its own each time, and one organization: each gets a journal of its own.
    """
    name = re.sub(r"[^\w-]", "_", meter)[:60]
    if name != meter:  # of two codes that differ in what a file's name cannot hold, each has its own
        name += f"-{blake2b(meter.encode(), digest_size=4).hexdigest()}"
    _, host, port = origin(base_url)
    if is_loopback(host):
        name += f"-{port}"
    return (folder or _here()) / ".m3ter" / f"usage-{org_id[:8]}-{name}.sqlite"


def _here() -> Path:
    try:
        return Path.cwd()
    except (
        FileNotFoundError
    ):  # it was deleted under the kernel: no journal can be kept there, which is said later
        return Path()


def make_private(path: Path) -> None:
    """Make the file and a folder of its own, readable by nobody else; trust nothing that another user can have written.

    Raises:
        NoJournal: the file or one beside it is a link or no file, or others may write it or its folder.
        OSError: it cannot be made.
    """
    folder = path.parent
    if folder.name == ".m3ter" and not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")
    kind = _file_system(folder)
    if kind in _NETWORK:
        raise NoJournal(f"{folder} is on a network file system ({kind})")
    _check_folder(folder)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    _check_file(path)
    for each in _BESIDE:
        with suppress(FileNotFoundError):
            _check_file(path.with_name(path.name + each))


def _check_folder(folder: Path) -> None:
    """Refuse a folder in which somebody else could put another file in the place of ours."""
    if not hasattr(os, "getuid"):
        return
    found = folder.stat()
    if found.st_uid not in (os.getuid(), 0):
        raise NoJournal(f"{folder} belongs to somebody else")
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise NoJournal(f"{folder} can be written by everybody")


def _check_file(path: Path) -> None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise NoJournal(f"{path} is no plain file")
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o077):
        raise NoJournal(f"{path} can be read or written by others (chmod 600 it if it is yours)")


def _file_system(folder: Path) -> str:
    """Return the type of the file system that a folder is on, or ``""`` where the system does not tell."""
    try:
        mounts = Path("/proc/self/mounts").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    where, kind = "", ""
    real = f"{folder.resolve()}/"
    for line in mounts:
        _, point, of_kind, *_ = line.split(" ")
        inside = real.startswith(f"{point.rstrip('/')}/")
        if inside and len(point) >= len(where):
            where, kind = point, of_kind
    return kind
