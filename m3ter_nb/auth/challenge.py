"""What a server says of a token that it has refused (``WWW-Authenticate``, RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re

__all__ = ["blames_the_token"]

# A parameter, or what stands between two of them; what is quoted holds none. Nothing is gone through twice.
# A text: most logins end without a refusal, and to compile it takes as long as two modules.
_PIECE = r"""(?xsa)
    (?P<name> [\w!\#$%&'*+.^`|~-]++ ) (?: [ \t]*+ = [ \t]*+ (?P<value> "(?:[^"\\]|\\.)*+"?+ | [^\s,"]++ ) )?+
    | "(?:[^"\\]|\\.)*+"?+
    """
_ESCAPED = r"(?s)\\(.)"
_LONGEST = 65_536


def blames_the_token(challenge: str | None) -> bool:
    """Tell whether challenges say that the token is "expired, revoked, malformed, or invalid for other reasons".

    Args:
        challenge: of every ``WWW-Authenticate`` of an answer, joined by commas; None where it has none.

    Source: RFC 6750 section 3.1
    """
    if challenge is None:
        return False
    return any(
        piece["name"] and piece["name"].lower() == "error" and _text_of(piece["value"]) == "invalid_token"
        for piece in re.finditer(_PIECE, challenge[:_LONGEST])
    )


def _text_of(value: str | None) -> str:
    return re.sub(_ESCAPED, r"\1", value or "").strip("\"' ").lower()
