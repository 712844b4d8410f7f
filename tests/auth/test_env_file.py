"""A ``.env``: what is merely come upon never stops a login, what is named and wrong is an error, nothing hangs."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from m3ter_nb.auth import env_file
from m3ter_nb.auth.env_file import find_dotenv, read_dotenv
from m3ter_nb.auth.settings import find_host, find_settings
from m3ter_nb.errors import CredentialsMissing, InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from m3ter_nb.sandbox import Sandbox

NOBODY = 65_534
OURS = "M3TER_API_KEY=key-2\nM3TER_API_SECRET=other\nM3TER_BASE_URL=https://a.example\n"

SOMEBODY_ELSES = {
    "Latin-1": "NAME=Jürgen\n".encode("latin-1"),
    "Latin-1 with our names": "# für m3ter\nM3TER_API_KEY=k\nM3TER_API_SECRET=s\n".encode("latin-1"),
    "UTF-16": OURS.encode("utf-16"),
    "UTF-16 without a byte order mark": OURS.encode("utf-16-le"),
    "bytes of no text": bytes(range(256)),
    "no name of ours": b"DATABASE_URL=postgres://localhost\n",
    "more than 1 MB": OURS.encode() + b"#" * 1_000_000,
    "more than 10,000 lines": OURS.encode() + b"A=1\n" * 10_000,
    "more than 10,000 lines of an old Mac": OURS.encode() + b"A='\r" * 10_001,
    "blanks in a row, whose square would be hours": OURS.encode() + b"A=a" + b" " * 900_000 + b"b\n",
    "blanks of another kind": OURS.encode() + f"A=a{chr(0x2028) * 50_000}b\n".encode(),
    "nothing": b"",
}
# A line that is meant for us, what is said of it, and what of a file that names it alone.
NOT_UNDERSTOOD = {
    "a quote that is not closed": (
        'M3TER_API_KEY=k\nM3TER_API_SECRET="marked\n',
        "line 2, M3TER_API_SECRET, is not",
    ),
    "one that swallows the next name": (
        "M3TER_API_KEY='marked\nM3TER_API_SECRET=marked'\n",
        "the value of M3TER_API_KEY in line 1 does not end there",
    ),
    "one that ends in the next line": (
        'M3TER_API_KEY="marked\nM3TER_API_SECRET="marked"\n',
        "line 1, M3TER_API_KEY, is not",
    ),
    "a colon": ("\n\r\n  M3TER_API_KEY: marked\nM3TER_API_SECRET=s\n", "line 3, M3TER_API_KEY, is not"),
    "a quote of another variable's, that swallows it": (
        "\nPASSWORD='marked\r\nexport M3TER_API_KEY=marked\nM3TER_API_SECRET=it's\n",
        "M3TER_API_KEY stands within the value that begins in line 2: is a quote not closed",
    ),
    "one that swallows half": (
        'PASSWORD="marked\nM3TER_API_KEY="marked"\nM3TER_API_SECRET=s\n',
        "M3TER_API_KEY stands within the value that begins in line 1",
    ),
    "the host": (
        'M3TER_API_KEY=k\nM3TER_API_SECRET=s\nexport M3TER_BASE_URL="https://marked\n',
        "line 3, M3TER_BASE_URL, is not",
    ),
}


@pytest.fixture
def below() -> Iterator[Path]:
    """Work in a folder below one with a usable ``.env``; return where a nearer one would lie."""
    home = Path.cwd()
    (home / ".env").write_text(OURS)
    folder = home / "project"
    folder.mkdir()
    os.chdir(folder)
    yield folder / ".env"
    os.chdir(home)


@pytest.mark.parametrize("content", SOMEBODY_ELSES.values(), ids=SOMEBODY_ELSES)
def test_a_file_merely_come_upon_is_passed_over_with_a_notice(below: Path, content: bytes) -> None:
    below.write_bytes(content)

    for settings in (find_settings({}), find_host({})):
        assert settings.base_url == "https://a.example"
        assert [note for note in settings.notes if note.startswith(f"{below} was passed over: ")]


@pytest.mark.parametrize("content", SOMEBODY_ELSES.values(), ids=SOMEBODY_ELSES)
def test_the_same_file_named_is_an_error(below: Path, content: bytes) -> None:
    below.write_bytes(content)

    with pytest.raises(
        (InvalidArgument, CredentialsMissing), match=f"{below} (cannot be used: it|names no credentials)"
    ):
        find_settings({}, dotenv=below)


@contextmanager
def without_roots_rights() -> Iterator[None]:
    """Be nobody for a while where the tests run as root, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_a_file_that_may_not_be_read_is_passed_over(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import dotenv  # noqa: F401 - nobody may not be allowed to read the installed packages

    # Not in pytest's own folder, which is for one user alone.
    with tempfile.TemporaryDirectory() as made:
        home, closed_folder = Path(made), Path(made) / "closed"
        below = closed_folder / ".env"
        closed_folder.mkdir()
        for path in (home / ".env", below):
            path.write_text(OURS)
        home.chmod(0o755)
        closed_folder.chmod(0 if what == "its folder" else 0o755)
        below.chmod(0 if what == "the file" else 0o644)
        monkeypatch.chdir(closed_folder)
        with without_roots_rights():
            settings = find_settings({})
        closed_folder.chmod(0o755)
        monkeypatch.chdir("/")

    assert settings.complete
    assert "you may not read it" in settings.notes[0]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.EACCES, "you may not read it, or not look into its folder."),
        (errno.EIO, "it cannot be read (broken)."),
    ],
)
def test_a_file_of_which_the_system_says_nothing_is_passed_over(
    below: Path, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = Path.stat

    def failing(self: Path, **options: bool) -> os.stat_result:
        if self == below:
            raise OSError(code, "broken")
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", failing)

    assert find_settings({}).notes == (f"{below} was passed over: {said}",)


@pytest.mark.parametrize(("content", "said"), NOT_UNDERSTOOD.values(), ids=NOT_UNDERSTOOD)
def test_a_line_of_ours_that_is_not_understood_is_an_error_that_names_it(
    below: Path, content: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    below.write_text(content, newline="")

    with pytest.raises(CredentialsMissing, match=f"^{below} cannot be used: {said}") as come_upon:
        find_settings({})
    with pytest.raises(InvalidArgument, match=f"^{below} cannot be used: {said}") as named:
        find_settings({}, dotenv=below)
    typed = find_host({})

    assert [note.startswith(f"{below} cannot be used: ") for note in typed.notes] == [True]
    assert "marked" not in f"{come_upon.value}{named.value}{typed.notes}{caplog.text}"
    assert caplog.records == []


def test_lines_that_are_not_for_us_may_be_as_they_like(below: Path, caplog: pytest.LogCaptureFixture) -> None:
    odd = "A=\"never closed\nB: c\n'\n# M3TER_API_KEY: see the wiki\nSEE M3TER_API_KEY: there\nM3TER_API_KEY_OLD: x\n"
    below.write_text(odd + "B='several\nM3TER_API_KEY=lines'\n" + OURS)

    settings = find_settings({})

    assert (settings.source, settings.notes, caplog.records) == (str(below), (), [])


def test_a_name_that_is_exported_on_a_line_of_its_own_keeps_its_value(below: Path) -> None:
    below.write_text(OURS + "export M3TER_API_KEY\nexport M3TER_API_SECRET\n")

    settings = find_settings({})

    assert settings.credentials is not None
    assert (settings.source, settings.credentials.key_id) == (str(below), "key-2")


@pytest.mark.parametrize(
    "content", ["M3TER_API_KEY=\nM3TER_API_SECRET=''\n", "M3TER_API_KEY\nM3TER_API_SECRET\n"]
)
def test_names_without_a_value_are_said(below: Path, content: str) -> None:
    below.write_text(content)

    assert find_settings({}).notes == (f"{below} names M3TER_API_KEY, M3TER_API_SECRET, but gives no value.",)


@pytest.mark.parametrize("target", ["gone", ".env"], ids=["to nothing", "to itself"])
def test_a_link_that_leads_nowhere_is_passed_over_with_a_notice(below: Path, target: str) -> None:
    below.symlink_to(target)

    settings = find_settings({})

    assert settings.complete
    assert [note.startswith(f"{below} was passed over: ") for note in settings.notes] == [True]


def test_a_folder_called_dotenv_is_none(below: Path) -> None:
    below.mkdir()

    assert find_settings({}).notes == ()
    assert find_settings({}).complete


def test_a_file_with_our_names_left_empty_ends_the_search(below: Path) -> None:
    below.write_text("M3TER_API_KEY=\nM3TER_API_SECRET=\n")

    assert not find_settings({}).complete
    assert find_dotenv().path == str(below)


def test_an_environment_that_is_complete_reads_no_file(below: Path) -> None:
    os.mkfifo(below)

    settings = find_settings({"M3TER_API_KEY": "k", "M3TER_API_SECRET": "s"})

    assert (settings.source, settings.notes) == ("the environment", ())


def write_once(path: Path, text: str) -> threading.Thread:
    """Write into a named pipe what a password manager would, for one reader."""
    thread = threading.Thread(target=path.write_text, args=(text,), daemon=True)
    thread.start()
    return thread


def test_a_named_pipe_is_read_once(below: Path) -> None:
    os.mkfifo(below)
    writer = write_once(below, OURS)

    settings = find_settings({})

    writer.join(5)
    assert not writer.is_alive()
    assert settings.credentials is not None
    assert (settings.credentials.reveal_secret(), settings.source) == ("other", str(below))


def test_a_pipe_that_is_named_is_read_too(below: Path) -> None:
    os.mkfifo(below)
    write_once(below, OURS)

    assert read_dotenv(below)["M3TER_API_KEY"] == "key-2"


def test_a_pipe_into_which_nobody_writes_ends_in_time(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(below)
    monkeypatch.setattr(env_file, "PIPE_TIMEOUT", 0.1)

    settings = find_settings({})

    assert settings.source == str(below.parent.parent / ".env")
    assert settings.notes == (
        f"{below} was passed over: it is a named pipe, and nothing came through it within 0.1 s.",
    )
    with pytest.raises(InvalidArgument, match="named pipe"):
        read_dotenv(below)


def test_a_logout_does_not_ask_a_pipe(below: Path) -> None:
    os.mkfifo(below)

    assert find_settings({}, pipes=False).source == str(below.parent.parent / ".env")


def test_a_name_of_no_file_is_not_repeated() -> None:
    for name in ("M3TER_API_SECRET=5ecret", "5ecret\0", "~5ecret/.env", "5ecret" * 1_000):
        with pytest.raises(InvalidArgument, match="There is no file of that name") as caught:
            read_dotenv(name)

        assert "5ecret" not in str(caught.value)


def test_a_login_says_what_was_passed_over(
    below: Path, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """By the log in a script."""
    below.write_bytes(b"\xff")
    text = "".join(f"{name}={value}\n" for name, value in sandbox.environ.items())
    (below.parent.parent / ".env").write_text(text)

    with caplog.at_level(logging.WARNING, "m3ter_nb"), m3ter_nb.login():
        pass

    assert f"{below} was passed over" in caplog.text


def test_a_login_that_finds_nothing_else_says_it_in_its_error(below: Path) -> None:
    below.write_bytes(b"\xff")
    (below.parent.parent / ".env").unlink()

    with pytest.raises(CredentialsMissing, match=f"{below} was passed over"):
        m3ter_nb.login()


def test_a_magic_says_what_was_passed_over_before_it_asks(
    below: Path, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    below.write_bytes(b"\xff")
    (below.parent.parent / ".env").unlink()

    shell.run_cell("%m3ter_login")

    assert f"{below} was passed over" in " ".join(capsys.readouterr().out.split())
