"""What of the API matches a few words: operations by name, path and fields, pages of the documentation by title."""

from __future__ import annotations

import re
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from m3ter_nb.api.facts import METHODS, fields_of, operations, resources, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from m3ter_nb.api.facts import Operation

__all__ = ["is_known", "matching_operations", "matching_titles", "near", "near_path", "near_words", "tokens"]

T = TypeVar("T")

# How much a word says about an operation that has it: at the end of its path, within it, and so on.
_LAST_SEGMENT: Final = 16
_SEGMENT: Final = 8
_WITHIN_SEGMENT: Final = 5
_NAME: Final = 4
_PARAMETER: Final = 2
_BODY_FIELD: Final = 2
_ANSWER_FIELD: Final = 1
_VERBS: Final = {
    "GET": ("get", "list", "read", "retrieve", "find", "show", "search"),
    "POST": ("post", "create", "add", "new", "make"),
    "PUT": ("put", "update", "change", "edit", "set", "replace"),
    "DELETE": ("delete", "remove"),
}
_HUMP: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LOWEST_LIKENESS: Final = 0.6


def tokens(text: str) -> tuple[str, ...]:
    """Return the words of a text in the singular and in lower case; ``camelCase`` is two words."""
    return tuple(_singular(word.lower()) for word in _HUMP.findall(text))


def matching_operations(words: str) -> list[Operation]:
    """Return the operations that have every word, best first; where none has, those that have most of them."""
    wanted = tokens(words)
    scored: list[tuple[int, int, Operation]] = []
    for operation in operations():
        values = _worth(operation.method, operation.path)
        hits = [_value_of(word, values) for word in wanted]
        if any(hits):
            together = values.get("".join(wanted), 0) if len(wanted) > 1 else 0
            worth_of_all = sum(hits) + together
            scored.append((hits.count(0), len(segments(operation.path)) - worth_of_all, operation))
    fewest = min((entry[0] for entry in scored), default=0)
    order = {method: rank for rank, method in enumerate(METHODS)}
    scored.sort(key=lambda entry: (entry[1], entry[2].path, order[entry[2].method]))
    return [operation for missed, _, operation in scored if missed == fewest]


def matching_titles(words: str, titled: Iterable[T], title: Callable[[T], str]) -> list[T]:
    """Return what has every word in its title, best first: the shorter a title, the more a word says of it.

    Args:
        words: as a person types them.
        titled: what has a title.
        title: returns it.
    """
    wanted = tokens(words)
    found: list[tuple[float, int, T]] = []
    for index, item in enumerate(titled):
        has = tokens(title(item))
        hits = sum(
            any(word == own or (len(word) > 3 and own.startswith(word)) for own in has) for word in wanted
        )
        if wanted and hits == len(wanted):
            found.append((-hits / len(has), index, item))
    return [item for _, _, item in sorted(found, key=lambda entry: entry[:2])]


def near(word: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that somebody who wrote ``word`` most likely meant, or None."""
    known = list(candidates)
    by_letters = {_letters(candidate): candidate for candidate in known}
    letters = _letters(word)
    if letters in by_letters:
        return by_letters[letters]
    found = get_close_matches(letters, by_letters, n=1, cutoff=_LOWEST_LIKENESS)
    return by_letters[found[0]] if found else None


def near_path(method: str, path: str) -> str | None:
    """Return the known path that somebody who wrote an unknown one most likely meant, with the ids that it has.

    Args:
        method: upper case; a path that has it is preferred.
        path: as it was written.
    """
    written = segments(path)
    for wanted in (method, None):
        known = [segments(operation.path) for operation in operations() if wanted in (None, operation.method)]
        alike = [pieces for pieces in known if len(pieces) == len(written)]
        scored = [(score, pieces) for pieces in alike if (score := _likeness(written, pieces)) > 0]
        if scored:
            best = max(scored, key=lambda entry: entry[0])[1]
            return "/".join(
                w if piece.startswith("{") else piece for w, piece in zip(written, best, strict=True)
            )
    return near(path, resources())


def is_known(word: str) -> bool:
    """Tell whether any operation has a word, as :func:`tokens` returns it."""
    return word in _vocabulary() or (len(word) > 2 and any(word in known for known in _vocabulary()))


def near_words(words: str) -> str | None:
    """Return words that are known, for some that match nothing, or None."""
    known = _vocabulary()
    found = [word if word in known else near(word, known) for word in tokens(words)]
    return " ".join(word for word in found if word) if any(found) else None


def _value_of(word: str, values: Mapping[str, int]) -> int:
    if word in values:
        return values[word]
    # The paths run words together: account plans are at accountplans.
    return max(
        (min(value, _WITHIN_SEGMENT) for own, value in values.items() if len(word) > 2 and word in own),
        default=0,
    )


@cache
def _worth(method: str, path: str) -> Mapping[str, int]:
    """Return the words of an operation, each with how much it says about it."""
    operation = next(o for o in operations() if (o.method, o.path) == (method, path))
    worth: dict[str, int] = {}

    def add(words: Iterable[str], value: int) -> None:
        for word in words:
            worth[word] = max(worth.get(word, 0), value)

    for field in _names_within(operation.answer):
        add({_singular(field.lower()), *tokens(field)}, _ANSWER_FIELD)
    for field in _names_within(operation.body):
        add({_singular(field.lower()), *tokens(field)}, _BODY_FIELD)
    for name in operation.query:
        add({_singular(name.lower()), *tokens(name)}, _PARAMETER)
    add(tokens(operation.name), _NAME)
    add(_VERBS[method], _NAME)
    literal = [piece for piece in segments(path) if not piece.startswith("{")]
    for piece in literal:
        add({_singular(piece.strip("/").lower()), *tokens(piece)}, _SEGMENT)
    add({_singular(literal[-1].strip("/").lower())}, _LAST_SEGMENT)
    return worth


def _names_within(shape: Mapping[str, Any] | None) -> Iterable[str]:
    for name, field in fields_of(shape).items():
        yield name
        yield from _names_within(field)
        yield from _names_within(field.get("items"))


@cache
def _vocabulary() -> frozenset[str]:
    words: set[str] = set()
    for operation in operations():
        words.update(_worth(operation.method, operation.path))
    return frozenset(words)


def _likeness(written: list[str], known: list[str]) -> float:
    """Return how alike two paths of one length are, 0 where a segment is too far off."""
    total = 0.0
    for own, piece in zip(written, known, strict=True):
        if piece.startswith("{"):
            total += 0.5
        elif likeness := _likeness_of_words(own, piece):
            total += likeness
        else:
            return 0
    return total


def _likeness_of_words(own: str, known: str) -> float:
    """Return 1 for the same word, less the more letters differ, 0 where they are too far off."""
    if own == known:
        return 1
    ratio = SequenceMatcher(None, _letters(own), _letters(known)).ratio()
    return 0.99 * ratio if ratio >= _LOWEST_LIKENESS else 0


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3 else word


def _letters(word: str) -> str:
    return re.sub(r"[\W_]", "", word).lower()
