"""What is wrong with a text that is no JSON, and where: the mistake itself, in the words of whoever made it (RFC 8259)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

__all__ = ["Mistake", "find_mistake"]

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')
_SOUND: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_CHUNK: Final = re.compile(r"[\w.+-]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_WORDS: Final = frozenset({"true", "false", "null"})
_PYTHONS: Final = {"True": "true", "False": "false", "None": "null"}
_NO_VALUES: Final = frozenset({"nan", "infinity", "inf", "undefined"})
_CLOSING: Final = {"{": "}", "[": "]"}
# Of English, German, French and Swedish, and the two accents that are taken for quotes.
_TYPOGRAPHIC: Final = frozenset("\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b`\u00b4")
_LONGEST_NAME: Final = 60
_QUOTES: Final = "texts and names stand in double quotes"


@dataclass(frozen=True)
class Mistake:
    """The first mistake in a text.

    Attributes:
        position: index of the character.
        told: what it is, without a full stop.
        seen: what else stands where: a word, and an index; or None.
        is_python: whether Python would take it.
    """

    position: int
    told: str
    seen: tuple[str, int] | None = None
    is_python: bool = False


@dataclass
class _Open:
    """An object or a list that is not closed yet."""

    bracket: str
    position: int
    names: dict[str, int] = field(default_factory=dict)


def find_mistake(text: str) -> Mistake | None:
    """Return the first mistake; None for JSON, in which no name stands twice in one object."""
    scanner = _Scanner(text)
    while scanner.mistake is None and not scanner.is_done:
        scanner.step()
    return scanner.mistake


class _Scanner:
    """Reads JSON piece by piece, and stops where it is none."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[_Open] = []
        self._wants = self._value
        self._may_close = False
        self.mistake: Mistake | None = None
        self.is_done = False

    def step(self) -> None:
        """Read one piece."""
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
        here = self._text[self._at : self._at + 2]
        if not here:
            self._end()
        elif here in ("//", "/*") or here[0] == "#":
            self._stop("a comment, and JSON has none: take it out")
        elif here[0] in _TYPOGRAPHIC:
            self._stop(f'{here[0]} is a typographic quote, and JSON has " alone')
        elif here[0] == "'":
            self._stop(f"a single quote: {_QUOTES}", is_python=True)
        else:
            self._wants(here[0])

    def _stop(
        self,
        told: str,
        at: int | None = None,
        *,
        seen: tuple[str, int] | None = None,
        is_python: bool = False,
    ) -> None:
        self.mistake = Mistake(self._at if at is None else at, told, seen, is_python)

    def _end(self) -> None:
        self.is_done = True
        if self._open:
            last = self._open[-1]
            self._stop(
                f"{_CLOSING[last.bracket]} is missing at the end", seen=("its bracket opens", last.position)
            )
        elif self._wants != self._behind:
            self._stop("there is nothing")

    def _value(self, here: str) -> None:
        may_close, self._may_close = self._may_close, False
        if here == '"':
            self._string()
        elif here in _CLOSING:
            self._open.append(_Open(here, self._at))
            self._at += 1
            self._may_close = True
            self._wants = self._name if here == "{" else self._value
        elif here == "]" and may_close:
            self._close()
        elif here in ",]}":
            self._stop(f"a value is missing before {here}")
        elif found := _CHUNK.match(self._text, self._at):
            self._word(found[0])
        else:
            self._stop(
                "no value of JSON: an object, a list, a text in double quotes, a number, true, false or null"
            )

    def _word(self, word: str) -> None:
        if word in _WORDS or _NUMBER.fullmatch(word):
            self._at += len(word)
            self._wants = self._behind
        elif word in _PYTHONS:
            self._stop(f"{word} is Python's: JSON has {_PYTHONS[word]}", is_python=True)
        elif word.lstrip("+-").lower() in _NO_VALUES:
            self._stop("no value of JSON: leave the field out, or write null")
        elif word.lstrip("+-.")[:1].isdigit():
            self._stop("no number as JSON has them: 12, -0.5, 1e3, no zero before other digits")
        else:
            self._stop(f"a bare word: {_QUOTES}")

    def _name(self, here: str) -> None:
        may_close, self._may_close = self._may_close, False
        if here == '"':
            self._named()
        elif here == "}" and may_close:
            self._close()
        elif here == ",":
            self._stop("a comma too many: a name and a value are missing before it")
        elif _CHUNK.match(self._text, self._at):
            self._stop(f"a bare name: {_QUOTES}")
        else:
            self._stop("a name in double quotes is missing here")

    def _named(self) -> None:
        start = self._at
        self._string()
        self._wants = self._colon
        if self.mistake is not None:
            return
        written, names = self._text[start : self._at], self._open[-1].names
        name = json.loads(written)  # "\u0061" is "a"
        if name in names:
            self._stop(
                f"{written[:_LONGEST_NAME]} twice in one object: keep one of them",
                start,
                seen=("first", names[name]),
            )
        names[name] = start

    def _colon(self, here: str) -> None:
        if here == ":":
            self._at += 1
            self._wants = self._value
        elif here in "=;,":
            self._stop(f"{here} in the place of the colon between a name and its value")
        else:
            self._stop("the colon between a name and its value is missing")

    def _behind(self, here: str) -> None:
        """Read what stands behind a value."""
        if not self._open:
            self._extra(here)
        elif here == ",":
            self._comma()
        elif here == _CLOSING[self._open[-1].bracket]:
            self._close()
        elif here in "]}":
            last = self._open[-1]
            told = f"{here} where {_CLOSING[last.bracket]} is missing"
            self._stop(told, seen=("its bracket opens", last.position))
        elif here in ";:=":
            self._stop(f"{here} in the place of a comma")
        else:
            self._stop("a comma is missing before this")

    def _comma(self) -> None:
        comma = self._at
        found = _SPACE.match(self._text, comma + 1)
        self._at = found.end() if found else comma + 1
        behind = self._text[self._at : self._at + 1]
        if behind and behind in "]}":
            self._stop(f"a comma before {behind}, behind which nothing follows: take the comma out", comma)
        elif behind == ",":
            self._stop("two commas, and nothing between them")
        self._wants = self._name if self._open[-1].bracket == "{" else self._value

    def _extra(self, here: str) -> None:
        if here in "]}":
            self._stop(f"a {here} too many: every bracket is closed before it")
        elif here in ",{[":
            self._stop(
                "a second value behind the first: send one after the other, or put both into a list, [...]"
            )
        else:
            self._stop("something behind the end of the JSON")

    def _close(self) -> None:
        self._open.pop()
        self._at += 1
        self._wants = self._behind

    def _string(self) -> None:
        if found := _STRING.match(self._text, self._at):
            self._at = found.end()
            self._wants = self._behind
            return
        sound = _SOUND.match(self._text, self._at)
        end = sound.end() if sound else self._at
        odd = self._text[end : end + 1]
        if odd == "\\":
            self._stop("a backslash, which is written twice within a text: \\\\", end)
        elif odd and odd not in "\r\n":
            self._stop(
                "a tab or another control character within a text, where it is written \\t or \\u0009", end
            )
        else:
            self._stop(
                "a text that does not end on its line: its last quote is missing, or a line break, written \\n",
                end if odd else self._at,
            )
