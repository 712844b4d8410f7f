"""The server's own message in an error answer, as one line without a token. Whatever it sends, reading it is quick."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from m3ter_nb.errors import excerpt
from m3ter_nb.wire.encoding import decode_body

if TYPE_CHECKING:
    from m3ter_nb.auth.token import Token
    from m3ter_nb.wire.answer import Answer

__all__ = ["hide_tokens", "reason_of"]

_LONGEST_BODY = 1_000_000
# Characters that are looked through, and characters that are shown.
_LONGEST_TEXT = 2_000
_LONGEST_REASON = 300
# A JWT, whole or cut off. It takes what it begins, so that no text is gone through twice.
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}", re.ASCII)
_TITLE = re.compile(r"<(title|h1)[\s>]", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
# Python knows many more, some of which take minutes for what others take at once.
_CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin-1": "latin-1",
    "latin1": "latin-1",
}


def reason_of(answer: Answer, token: Token | None = None) -> str:
    """Return the server's own message as one line: of either JSON shape, or of a web page its title.

    Args:
        answer: what came.
        token: what the call carried; a message that echoes it is shown without.
    """
    text = _text_of(answer) if len(answer.content) <= _LONGEST_BODY else ""
    if token is not None:
        text = text.replace(
            token.reveal(), "<token>"
        )  # before it is cut, or a piece of the token could be left
    decoded, _ = decode_body(text.encode("utf-8", "replace"))
    if isinstance(decoded, dict):
        parts = [decoded.get(key) for key in ("message", "error", "error_description")]
        text = ": ".join(part[:_LONGEST_TEXT] for part in parts if isinstance(part, str) and part)
    elif text.lstrip().startswith("<"):
        text = _title_of(text)
    elif decoded is not None:
        text = ""
    line = "".join(c for c in " ".join(text[:_LONGEST_TEXT].split()) if c.isprintable())
    return hide_tokens(excerpt(line, _LONGEST_REASON))


def hide_tokens(text: str) -> str:
    """Return a text without what has the shape of a token."""
    return _JWT.sub("<token>", text)


def _title_of(page: str) -> str:
    found = _TITLE.search(page)
    begin = page.find(">", found.end() - 1) + 1 if found else 0
    if not found or not begin:
        return "(a web page)"
    title = page[begin : begin + _LONGEST_TEXT]
    end = title.lower().find(f"</{found[1].lower()}")
    return html.unescape(_TAG.sub(" ", title[:end])) if end >= 0 else "(a web page)"


def _text_of(answer: Answer) -> str:
    """Return the body as text: in the character set that it names, or UTF-8, or the one that takes every byte."""
    _, _, charset = answer.headers.get("Content-Type", "").lower().partition("charset=")
    for name in (_CHARSETS.get(charset.split(";")[0].strip("\"' ")), "utf-8"):
        try:
            if name is not None:
                return answer.content.decode(name)
        except ValueError:  # not in it
            continue
    return answer.content.decode("latin-1")
