"""The server's own message in an error answer, as one line without a token. Whatever it sends, reading it is quick."""

from __future__ import annotations

import html
import re
from itertools import islice
from typing import TYPE_CHECKING, Any

from m3ter_nb.errors import excerpt
from m3ter_nb.wire.encoding import decode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from m3ter_nb.auth.token import Token
    from m3ter_nb.wire.answer import Answer

__all__ = ["hide_tokens", "reason_of"]

_LONGEST_BODY = 1_000_000
# Characters that are looked through, and characters that are shown.
_LONGEST_TEXT = 2_000
_LONGEST_REASON = 300
# A JWT, whole or cut off. It takes what it begins, so that no text is gone through twice.
_JWT = re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}", re.ASCII)
_TITLE = re.compile(r"<(title|h1|message|faultstring)[\s>]", re.IGNORECASE)
# Texts and levels of an answer in JSON that are looked at, and the names of its fields that say something, in lower case.
_MOST_TEXTS = 10
_DEEPEST = 5
_SAYING = (
    "message",
    "messages",
    "title",
    "error",
    "error_description",
    "errormessage",
    "detail",
    "details",
    "description",
    "reason",
    "errors",
    "violations",
    "fielderrors",
)
_PLACES = ("field", "path", "property", "propertypath", "loc", "pointer")
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

    def hide(text: str) -> str:
        """Take the token out of a text before it is cut: a piece of it could be left."""
        return text if token is None else text.replace(token.reveal(), "<token>")

    text = hide(_text_of(answer)) if len(answer.content) <= _LONGEST_BODY else ""
    decoded, is_json = decode_body(text.encode("utf-8", "replace"))
    if is_json:
        text = ": ".join(dict.fromkeys(islice(_texts(decoded, hide), _MOST_TEXTS)))
    elif text.lstrip().startswith("<"):
        text = _title_of(text)
    line = "".join(c for c in " ".join(text[:_LONGEST_TEXT].split()) if c.isprintable())
    # A token that was spelled with escapes, or in UTF-16, shows only now.
    return hide_tokens(excerpt(hide(line), _LONGEST_REASON))


def hide_tokens(text: str) -> str:
    """Return a text without what has the shape of a token."""
    return _JWT.sub("<token>", text)


def _texts(value: Any, hide: Callable[[str], str], depth: int = 0) -> Iterator[str]:
    """Yield what JSON says of an error: m3ter's ``message``, and what gateways, frameworks and RFC 9457 have in its place."""
    if isinstance(value, str):
        if text := hide(value)[:_LONGEST_TEXT].strip():
            yield text
    elif depth < _DEEPEST and isinstance(value, list):
        for each in value[:_MOST_TEXTS]:
            yield from _texts(each, hide, depth + 1)
    elif depth < _DEEPEST and isinstance(value, dict):
        by_name = {str(key).lower(): each for key, each in value.items()}
        # At the top, what is called a path is that of the request.
        where = next((by_name[name] for name in _PLACES if depth and isinstance(by_name.get(name), str)), "")
        for name in _SAYING:
            for text in _texts(by_name.get(name), hide, depth + 1):
                yield f"{where} {text}" if where else text


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
