"""What copying leaves around a value, taken off: one rule for everything that is pasted, set or stored.

The environment, ``.env``, the secrets of a platform, the keychain, the form and the prompt all come through here.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BASE_URL", "KEY_ID", "ORG_ID", "SECRET", "TOKEN", "Kind", "can_be_bearer", "clean"]


class Kind(NamedTuple):
    """What a value is.

    Attributes:
        label: what a sentence calls it.
        plain: whether it can hold no quotes, commas and blanks itself, so that a single one at either end goes too, and a
            comment.
        bearer: whether the scheme of an Authorization header may stand before it.
    """

    label: str
    plain: bool = False
    bearer: bool = False


KEY_ID = Kind("Access Key ID")
SECRET = Kind("API Secret")
TOKEN = Kind("token", plain=True, bearer=True)
ORG_ID = Kind("organization id", plain=True)
BASE_URL = Kind("base URL", plain=True)

_DOUBLE = '"\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02\u301d\u301e\u301f\u2033'
_SINGLE = "'`\u00b4\u2018\u2019\u201a\u201b\u2039\u203a\uff07\u2032"
_QUOTES = _DOUBLE + _SINGLE
# Texts, as the other patterns: to compile all of them takes longer than a request for a token, and most values need none.
# Between two quotes of one sort, straight or typographic; a shell or JSON may have put a backslash before each.
_QUOTED = (
    rf"(?s)\\?[{_DOUBLE}](?P<double>.*?)\\?[{_DOUBLE}]|\\?[{_SINGLE}](?P<single>.*?)\\?[{_SINGLE}]"
    "|\u300c(?P<corner>.*)\u300d|\u300e(?P<white>.*)\u300f"
)
# How such a value begins.
_OPENING = (*_QUOTES, "\\", "\u300c", "\u300e")
# A line of a .env or of a shell, where only what stands behind the sign was meant.
_ASSIGNED = r"(?i)\A[\"']?(?:export\s{1,9}|setx?\s{1,9}|\$env:)?M3TER_[A-Z_]{1,30}[\"']?\s{0,9}[=:]"
_BEARER = r"(?i)(?:authorization\s*:\s*)?bearer\s+"
# RFC 6750 section 2.1: b64token.
_B64TOKEN = r"[A-Za-z0-9._~+/-]+=*"
# RFC 7515 section 7.1: three parts in base64url, of which the first begins with {" in JSON. What follows is none of it,
# though a b64token may end so; a run of dots stands for what was cut off.
_JWT = r"eyJ[\w-]*\.[\w-]+\.[\w-]+"
# RFC 7516 section 7.1: five parts, of which the key may be empty.
_ENCRYPTED = r"eyJ[\w-]*(?:\.[\w-]*){4}"
_AFTER_JWT = rf"({_JWT})(?:(?!.*\.\.)[./!?:)\]}}>~+\s\"'\u3001\u3002]{{1,4}}|=+)"
# As an input method for East Asian scripts writes what is typed on a Latin keyboard.
_FULL_WIDTH = {0xFF01 + place: 0x21 + place for place in range(94)}
# Quotes within quotes that are taken off; without a bound, a .env of nothing but quotes would hold a login for hours.
_LAYERS = 20
# Blank on every screen, though Unicode's categories call them letters, marks or symbols.
_BLANK = "\u034f\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))


def clean(value: str, kind: Kind) -> tuple[str, tuple[str, ...]]:
    """Take off what copying has left: white space seen and unseen, quotes, a trailing comma, ``Bearer``.

    What stands around a value in a file goes too: the variable's name before it, and, of what cannot hold blanks itself, a
    comment behind it.

    Args:
        value: as pasted, set or stored.
        kind: what it is.

    Returns:
        The value, ``""`` where nothing is left of it, and one sentence for each thing that was mended. No sentence
        repeats the value.
    """
    if not value:
        return "", ()
    mended: dict[str, None] = {}
    steps = _steps(kind)
    for _ in range(_LAYERS):
        before = value
        for sentence, step in steps:
            shorter = step(value)
            if shorter != value:
                mended[sentence] = None
                value = shorter
        if value == before:
            break
    return value, tuple(sentence.format(kind.label) for sentence in mended)


def can_be_bearer(text: str) -> bool:
    """Tell whether a text can be a bearer token (RFC 6750 section 2.1, ``b64token``), and if it begins as a JWT, is one."""
    if text.startswith("eyJ") and "." in text:
        return any(re.fullmatch(shape, text, re.ASCII) for shape in (_JWT, _ENCRYPTED))
    return re.fullmatch(_B64TOKEN, text) is not None


def _steps(kind: Kind) -> list[tuple[str, Callable[[str], str]]]:
    steps: list[tuple[str, Callable[[str], str]]] = [
        ("White space around the {} was removed.", _trim),
        ("Full-width characters of the {} were written in ASCII.", lambda text: text.translate(_FULL_WIDTH)),
        ("The variable's name before the {} was removed.", _without_name),
        ("Quotes around the {} were removed.", _unquote_plain if kind.plain else _unquote),
        ("A comma after the {} was removed.", lambda text: text.rstrip(",;" if kind.plain else ",")),
        ("Characters without width were removed from the {}.", _without_unseen),
    ]
    if kind.plain:
        steps.append(("A comment after the {} was removed.", _without_comment))
    if kind.bearer:
        steps.append(
            ("The word Bearer before the {} was removed.", lambda text: re.sub(_BEARER, "", text, count=1))
        )
        steps.append(("Punctuation after the {} was removed.", _without_punctuation))
    return steps


def _is_blank(character: str) -> bool:
    return (
        character.isspace()
        or unicodedata.category(character) in ("Zs", "Zl", "Zp", "Cf")
        or character in _BLANK
    )


def _trim(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_blank(text[start]):
        start += 1
    while start < end and _is_blank(text[end - 1]):
        end -= 1
    return text[start:end]


def _without_name(text: str) -> str:
    return re.sub(_ASSIGNED, "", text, count=1) if "m3ter_" in text.lower() else text


def _without_comment(text: str) -> str:
    return text.partition(" #")[0].partition("\t#")[0]


def _without_punctuation(text: str) -> str:
    found = re.fullmatch(_AFTER_JWT, text, re.ASCII)
    return text if found is None else found[1]


def _unquote(text: str) -> str:
    match = re.fullmatch(_QUOTED, text) if text.startswith(_OPENING) else None
    return text if match is None else next(inner for inner in match.groups() if inner is not None)


def _unquote_plain(text: str) -> str:
    return text.strip(_QUOTES + "\\\u300c\u300d\u300e\u300f")


def _without_unseen(text: str) -> str:
    """Remove what has no width at all, such as a zero width space or a soft hyphen."""
    if text.isascii():
        return text
    return "".join(
        character for character in text if unicodedata.category(character) != "Cf" and character not in _BLANK
    )
