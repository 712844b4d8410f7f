"""What no view shows: secrets, known by their field's name, and tokens, known by their shape.

Only texts are masked, and whole: what is left of a text that held a token must not look like a value that could be
sent back. Every search is linear in the length of the text.
"""

from __future__ import annotations

import re
from typing import Any, Final

from m3ter_nb.spelling import MASK

__all__ = ["MASK", "mask", "masked", "may_hold_secrets", "names_secret"]

# Whole names, without case, "_", "-" and spaces: those that m3ter's OpenAPI document has for a secret, and those of the
# Console, of OAuth (RFC 6749) and of HTTP that end up in custom fields. nextToken is a cursor and a key's id is public.
_SECRET_NAMES: Final = frozenset(
    {"accesstoken", "apikey", "apisecret", "authorization", "clientsecret", "credentials", "password"}
    | {"refreshtoken", "secret"}
)
_WITHOUT_GAPS: Final = str.maketrans("", "", "_- ")
_NAME_LENGTH: Final = 20
_DEEPEST: Final = 100
_HEADER: Final = re.compile(r"\b(?:bearer|basic)\s+([\w.~+/=-]{20,})", re.IGNORECASE | re.ASCII)
# "Basic Infrastructure-Monitoring" is the name of a plan: two words and more, years among them.
_WORD: Final = r"(?:[A-Z]?[a-z]{1,17}|[A-Z]{1,18}|\d{1,4})"
_WORDS: Final = re.compile(rf"{_WORD}(?:[-_./+]{_WORD})+\.?")
_RUN: Final = re.compile(r"[\w.-]+", re.ASCII)
# The query of a pre-signed URL is its key (of AWS, Google Cloud and Azure, where m3ter's exports lie).
_SIGNED: Final = re.compile(r"[?&](?:X-(?:Amz|Goog)-Signature|Signature|sig)=", re.IGNORECASE)
_MAY_HOLD: Final = re.compile(
    r"eyJ|(?i:bearer|basic|secret|password|authorization|credentials|api[_-]?key|(?:access|refresh)[_-]?token|sig(?:nature)?=)"
)


def names_secret(name: object) -> bool:
    """Tell whether a field of this name holds a secret."""
    if not isinstance(name, str) or len(name) > _NAME_LENGTH:
        return False
    return name.lower().translate(_WITHOUT_GAPS) in _SECRET_NAMES


def mask(text: str) -> str:
    """Return a text as it may be shown: itself, or a mask where it holds a token by its shape.

    A shape is that of a JWT (RFC 7519), or ``Bearer`` or ``Basic`` with a token of 20 characters and more that is not
    several words. Of a pre-signed URL all but the query stays.
    """
    if ("eyJ" in text and _holds_jwt(text)) or any(
        not _WORDS.fullmatch(found[1]) for found in _HEADER.finditer(text)
    ):
        return MASK
    if "://" in text and _SIGNED.search(text):
        return f"{text.partition('?')[0]}?{MASK}"
    return text


def masked(value: Any, name: object = "", depth: int = _DEEPEST) -> Any:
    """Return a plain copy of decoded JSON in which secrets and tokens are replaced by a mask.

    Args:
        value: decoded JSON; below ``depth`` levels it is left out.
        name: the name of the field that holds it.
        depth: levels to go down.
    """
    if isinstance(value, str):
        return MASK if value and names_secret(name) else mask(value)
    if isinstance(value, (dict, list)) and not depth:
        return "…"
    if isinstance(value, dict):
        return {
            mask(field) if isinstance(field, str) else field: masked(content, field, depth - 1)
            for field, content in value.items()
        }
    if isinstance(value, list):
        return [masked(item, name, depth - 1) for item in value]
    return value


def may_hold_secrets(literal: str) -> bool:
    """Tell whether the literal of a value may show something that ``masked`` hides (a quick test that errs on yes)."""
    return _MAY_HOLD.search(literal) is not None


def _holds_jwt(text: str) -> bool:
    """Tell whether a text holds a JWT, whose header begins ``{"``: ``eyJ`` in base64url, and so does its payload."""
    for run in _RUN.finditer(text):
        parts = run[0].split(".")
        for index, part in enumerate(parts[:-1]):
            follows = parts[index + 1]
            if "eyJ" in part and follows.startswith("eyJ"):
                return True
            if part.startswith("eyJ") and len(part) >= 9 and follows and len(parts) > index + 2:
                return True
    return False
