"""The ``.env`` file: named, or come upon from the working directory upwards. Never a wait without end.

A file that was merely come upon may belong to anything: what cannot be read of it is passed over. ``os.environ`` is
left alone throughout.
"""

from __future__ import annotations

import io
import os
import re
import selectors
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

from m3ter_nb.auth.variables import VARIABLES
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.hiding import without_frames
from m3ter_nb.spelling import with_literal_repr

if TYPE_CHECKING:
    from dotenv.parser import Original

__all__ = ["EnvFile", "find_dotenv", "read_dotenv"]

# Bytes: what a .env of ours needs is a few hundred.
_LARGEST = 1_000_000
# Lines: python-dotenv takes a second for so many, which a file of somebody else's could multiply.
_MOST_LINES = 10_000
# Blanks in a row, for which python-dotenv takes their square.
_MOST_BLANKS = 200
_BLANKS = re.compile(r"[^\S\r\n]++")
_NEWLINE = re.compile(r"\r\n|\n|\r")
# How a line begins that is meant for us.
_OURS = re.compile(rf"\s*+(?:export\s++)?['\"]?(?P<name>{'|'.join(VARIABLES)})\b")
# Such a line within the value of another variable.
_SWALLOWED = re.compile(
    rf"[\r\n][^\S\r\n]*+(?:export\s++)?['\"]?(?P<name>{'|'.join(VARIABLES)})['\"]?[^\S\r\n]*+="
)
#: Seconds to wait for what writes to a named pipe: a password manager asks a person first.
PIPE_TIMEOUT = 10.0


@with_literal_repr
class EnvFile:
    """What a ``.env`` says.

    Args:
        path: where it lies; ``""`` where there is none that names one of our variables.
        values: its ``M3TER_*`` variables, as written.
        passed_over: why nearer files were not taken, one sentence each.
        fault: what is wrong with a line that names one of our variables, one sentence; ``""`` for nothing.
    """

    __slots__ = ("fault", "passed_over", "path", "values")

    def __init__(
        self, path: str, values: dict[str, str], passed_over: tuple[str, ...], fault: str = ""
    ) -> None:
        self.path = path
        self.values = values
        self.passed_over = passed_over
        self.fault = fault

    def __repr__(self) -> str:
        return f"EnvFile({self.path!r}, values hidden)"


@without_frames
def read_dotenv(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read the ``M3TER_*`` variables of a ``.env`` file, values as written, empty ones too.

    ``${...}`` is not interpolated: a secret may hold it. A named pipe, as password managers make one, is read once.

    Args:
        path: of the file.

    Raises:
        InvalidArgument: the file is not there, not readable, not UTF-8, larger than 1 MB, or of more than
            10,000 lines; or a line that names one of the variables gives it no value that can be read.
    """
    try:
        path = Path(path).expanduser()
        path.stat()
    except (OSError, ValueError, RuntimeError):  # RuntimeError: the home of a user that is not there
        # The name is not repeated: it may be a secret that was meant for elsewhere.
        raise InvalidArgument(
            "There is no file of that name that you may read; name an existing .env file, or leave --env without one."
        ) from None
    try:
        read = _read(path)
    except InvalidArgument as error:
        raise InvalidArgument(f"{path} cannot be used: {error}") from None
    if read.fault:
        raise InvalidArgument(f"{path} cannot be used: {read.fault}")
    return read.values


def find_dotenv(*, pipes: bool = True) -> EnvFile:
    """Find the nearest ``.env`` from the working directory upwards that names one of our variables.

    Args:
        pipes: whether to read one that is a named pipe.
    """
    passed_over: list[str] = []
    for path in _candidates():
        try:
            mode = path.stat().st_mode
            if stat.S_ISDIR(mode) or (stat.S_ISFIFO(mode) and not pipes):
                continue
            read = _read(path)
        except (FileNotFoundError, NotADirectoryError):
            if path.is_symlink():
                passed_over.append(f"{path} was passed over: it is a link to what is not there.")
            continue
        except (InvalidArgument, OSError) as error:
            reason = str(error) if isinstance(error, InvalidArgument) else _unreadable(error)
            passed_over.append(f"{path} was passed over: {reason}")
            continue
        if read.values or read.fault:
            if not any(read.values.values()) and not read.fault:
                passed_over.append(f"{path} names {', '.join(read.values)}, but gives no value.")
            fault = f"{path} cannot be used: {read.fault}" if read.fault else ""
            return EnvFile(str(path), read.values, tuple(passed_over), fault)
        passed_over.append(f"{path} was passed over: it names none of {', '.join(VARIABLES)}.")
    return EnvFile("", {}, tuple(passed_over))


def _candidates() -> list[Path]:
    # Looked for by hand: python-dotenv costs its import at each login without a file.
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working directory was deleted under the kernel
        return []
    return [folder / ".env" for folder in (here, *here.parents)]


@without_frames
def _read(path: Path) -> EnvFile:
    """Return what a file says of our variables.

    Raises:
        InvalidArgument: it cannot be read; the message begins with "it" and does not name the file.
    """
    try:
        text = _content(path).decode("utf-8-sig")  # Windows editors put a byte order mark first
    except UnicodeDecodeError:
        raise InvalidArgument("it is not UTF-8 text: save it as UTF-8.") from None
    except OSError as error:
        raise InvalidArgument(_unreadable(error)) from None
    if "\0" in text:  # UTF-16 without a byte order mark is UTF-8 full of them
        raise InvalidArgument("it is not UTF-8 text, for it holds null bytes: save it as UTF-8.")
    if not any(name in text for name in VARIABLES):
        return EnvFile("", {}, ())
    if max(text.count("\n"), text.count("\r")) > _MOST_LINES:
        raise InvalidArgument(
            f"it has more than {_MOST_LINES:,} lines; what m3ter needs of a .env are a few."
        )
    if max(map(len, _BLANKS.findall(text)), default=0) > _MOST_BLANKS:
        raise InvalidArgument(
            f"it has more than {_MOST_BLANKS} blanks in a row; take out those that nothing needs."
        )
    return _parse(text)


def _parse(text: str) -> EnvFile:
    from dotenv.parser import parse_stream  # dotenv_values would log what it does not understand

    values: dict[str, str] = {}
    swallowed: dict[str, int] = {}
    fault = ""
    for binding in parse_stream(io.StringIO(text)):
        ours = _OURS.match(binding.original.string)
        if ours is None or not (binding.error or binding.key in VARIABLES):
            begin = _first_line(binding.original)
            swallowed |= {
                found["name"]: begin for found in _SWALLOWED.finditer(binding.original.string.lstrip())
            }
            continue
        line = _first_line(binding.original)
        if binding.error:
            fault = fault or f"line {line}, {ours['name']}, is not NAME=value (is a quote not closed?)."
        elif binding.value is not None and _NEWLINE.search(binding.value.strip()):
            fault = (
                fault
                or f"the value of {ours['name']} in line {line} does not end there: is a quote not closed?"
            )
        elif (
            binding.value is not None or ours["name"] not in values
        ):  # a lone "export NAME" takes no value away
            values[ours["name"]] = binding.value or ""
    lost = next((name for name in swallowed if name not in values), "")
    if lost and not fault:
        fault = (
            f"{lost} stands within the value that begins in line {swallowed[lost]}: is a quote not closed?"
        )
    return EnvFile("", values, (), fault)


def _first_line(original: Original) -> int:
    """Return the number of the line in which something begins, behind the blank ones that are read with it."""
    text = original.string
    return original.line + len(_NEWLINE.findall(text[: len(text) - len(text.lstrip())]))


def _unreadable(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"it is a named pipe, and nothing came through it within {PIPE_TIMEOUT:g} s."
    if isinstance(error, PermissionError):
        return "you may not read it, or not look into its folder."
    return f"it cannot be read ({error.strerror or type(error).__name__})."


def _content(path: Path) -> bytes:
    mode = path.stat().st_mode
    if stat.S_ISFIFO(mode):
        content = _from_pipe(path, PIPE_TIMEOUT)
    elif stat.S_ISREG(mode):
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    else:
        raise InvalidArgument("it is no file of text.")
    if len(content) > _LARGEST:
        raise InvalidArgument("it is larger than 1 MB; what m3ter needs of a .env are a few lines.")
    return content


def _from_pipe(path: Path, seconds: float) -> bytes:
    """Read what one writer writes to a named pipe.

    Raises:
        TimeoutError: nothing, or no end of it, came in time.
    """
    deadline = time.monotonic() + seconds
    content = b""
    # Opened without waiting: a pipe that nobody writes to would hold the login for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(content) <= _LARGEST:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not selector.select(left):
                continue
            piece = pipe.read(65_536)
            content += piece or b""
            if piece == b"":
                if content:
                    break
                time.sleep(0.01)  # some systems call a pipe readable before its writer has come
    return content
