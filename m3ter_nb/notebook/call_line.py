"""The language of ``%m3ter METHOD PATH [key=value ...] [options]``: from a line and a cell to one ``Call``.

Words are split at white space; quotes keep it, as in a shell, ``#`` begins a comment, and ``{{expression}}`` is one piece wherever it stands.
After ``--body`` comes a Python expression, whose own brackets and quotes keep it together.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from m3ter_nb.api.facts import METHODS, resources
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.edit import Edits, is_torn, read_edits
from m3ter_nb.notebook.expressions import evaluate, placeholder_end
from m3ter_nb.notebook.json_body import fill_json
from m3ter_nb.notebook.placeholders import fill_path, fill_query, json_value, split_query
from m3ter_nb.wire.encoding import encode_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["METHODS", "OPTIONS", "Call", "near_method", "parse_call", "unknown_method"]

OPTIONS: Final = (*("--all", "--body", "--diff", "--limit", "--name", "--set", "--show", "--unset", "--yes"),)
SHOWABLE: Final = ("curl", "python")

_VALUED: Final = frozenset({"--body", "--limit", "--name", "--show"})
# Each takes the words up to the next option.
_LISTS: Final = frozenset({"--set", "--unset"})
_EDITING: Final = ("--set", "--unset", "--diff")
_BODY: Final = "--body"
_KNOWN_METHODS: Final = f"{', '.join(METHODS[:-1])} or {METHODS[-1]}"
_EXAMPLE: Final = "%m3ter GET products pageSize=10"
_CELL_FIRST_LINE: Final = 2  # the magic itself is the first line of the cell
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_STRING: Final = re.compile(r""" "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' """, re.DOTALL | re.VERBOSE)
_LIMIT: Final = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call:
    """One API call, as it was asked for; every ``{{expression}}`` is filled in.

    Attributes:
        method: GET, POST, PUT or DELETE.
        path: percent-encoded; without a leading slash it is under ``/organizations/{orgId}/``. An absolute URL
            passes through: the session judges its host.
        params: the query; a repeated key, or a list from the namespace, is a list of texts.
        json: the body, an object or a list; None for none.
        all: follow the pages to the end.
        limit: at most this many items, or None.
        show: ``"curl"`` or ``"python"`` to show the request instead of sending it, or None.
        name: which login (``--name staging``), or None.
        yes: a write to PRODUCTION is confirmed.
        edits: the fields to change, or None where the call is sent as it is.
    """

    method: str
    path: str
    params: dict[str, str | list[str]] = field(default_factory=dict)
    json: dict[str, Any] | list[Any] | None = None
    all: bool = False
    limit: int | None = None
    show: str | None = None
    name: str | None = None
    yes: bool = False
    edits: Edits | None = None


class _Word(NamedTuple):
    text: str
    plain: bool  # it does not start with a quote, so that it may be an option


def parse_call(line: str, cell: str | None, namespace: Mapping[str, Any]) -> Call:
    """Read the arguments of the magic.

    Args:
        line: what follows ``%m3ter`` on its line.
        cell: the cell below ``%%m3ter``: a JSON body; None for the line magic. A blank cell is no body.
        namespace: the user's variables, for ``{{expression}}`` and ``--body``.

    Raises:
        InvalidArgument: the call is malformed. Nothing was sent.
    """
    options, words = _options(_split(line))
    method = _method(words)
    if len(words) == 1:
        raise InvalidArgument(f"{method} needs a path: {_EXAMPLE}.")
    path, in_path = split_query(words[1])
    pairs = [*in_path, *words[2:]]
    params = _params(pairs, namespace, after_body=_BODY in options)
    body = _body(_last(options, _BODY), cell, namespace)
    if body is not None and method == "GET":
        raise InvalidArgument("GET sends no body: take the body away, or use POST or PUT.")
    paging = [option for option in ("--all", "--limit") if option in options]
    if paging and method != "GET":
        raise InvalidArgument(f"{paging[0]} reads a list, so it goes with GET, not with {method}.")
    path = fill_path(path, namespace)
    return Call(
        method=method,
        path=path,
        params=params,
        json=body,
        all="--all" in options,
        limit=_limit(_last(options, "--limit"), namespace),
        show=_show(_last(options, "--show")),
        name=_name(_last(options, "--name")),
        yes="--yes" in options,
        edits=_edits(options, method, path, namespace, has_more=bool(params) or body is not None),
    )


def _split(line: str) -> list[_Word]:
    """Split a line into words (see the module's docstring)."""
    words: list[_Word] = []
    position = 0
    while position < len(line):
        if line[position].isspace():
            position += 1
        elif line[position] == "#":
            line = line[:position]  # a comment
        elif words and words[-1] == (_BODY, True):
            expression, position = _expression_at(line, position)
            words.append(_Word(expression, plain=False))
        elif line.startswith(f"{_BODY}=", position):
            words.append(_Word(_BODY, plain=True))
            position += len(_BODY) + 1
        else:
            plain = line[position] not in "'\""
            text, position = _word_at(line, position)
            words.append(_Word(text, plain))
    # The semicolon at the end keeps IPython from showing the value; in quotes it would be part of a word.
    if words and line.rstrip().endswith(";") and words[-1].text.endswith(";"):
        last = words.pop()
        if last.text != ";":
            words.append(last._replace(text=last.text[:-1].rstrip()))
    return words


def _word_at(line: str, position: int) -> tuple[str, int]:
    """Return the word that starts here, without its quotes, and the index behind it."""
    parts: list[str] = []
    quote = ""
    opened = position
    while position < len(line) and (quote or not line[position].isspace()):
        char = line[position]
        if line.startswith("{{", position):
            end = placeholder_end(line, position)
            parts.append(line[position:end])
            position = end
            continue
        if quote:
            if char == "\\" and quote == '"' and line[position + 1 : position + 2] in {'"', "\\"}:
                position += 1
                parts.append(line[position])
            elif char == quote:
                quote = ""
            else:
                parts.append(char)
        elif char in "'\"":
            quote, opened = char, position
        elif char == "\\" and position + 1 < len(line):
            position += 1
            parts.append(line[position])
        else:
            parts.append(char)
        position += 1
    if quote:
        raise InvalidArgument(
            f"The quote {quote} at column {opened + 1} of the arguments is not closed. "
            f'A value with a quote in it goes into the other kind: "name=O\'Brien".'
        )
    return "".join(parts), position


def _expression_at(line: str, position: int) -> tuple[str, int]:
    """Return the Python expression that starts here, and the index behind it: white space outside brackets ends it.

    An expression with such white space goes into quotes, which are taken off.
    """
    start = position
    closing: list[str] = []
    while position < len(line) and (closing or not line[position].isspace()):
        char = line[position]
        if char in "'\"":
            string = _STRING.match(line, position)
            if string is None:
                raise InvalidArgument(f"The expression after {_BODY} is not closed: {char} is missing.")
            position = string.end()
            continue
        if char in _CLOSING:
            closing.append(_CLOSING[char])
        elif closing and char == closing[-1]:
            closing.pop()
        position += 1
    if closing:
        raise InvalidArgument(f"The expression after {_BODY} is not closed: {closing[-1]} is missing.")
    return _unquoted(line[start:position]), position


def _unquoted(expression: str) -> str:
    """Take the quotes off an expression that is one string: no string is a body."""
    if not _STRING.fullmatch(expression):
        return expression
    try:
        return str(ast.literal_eval(expression))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return expression


def _method(words: list[str]) -> str:
    if not words:
        raise InvalidArgument(f"A method and a path are needed: {_EXAMPLE}.")
    word = words[0]
    method = word.upper()
    if method in METHODS:
        return method
    if method != "PATCH" and (resource := word.partition("/")[0]) in {
        path.partition("/")[0] for path in resources()
    }:
        raise InvalidArgument(f"A method comes first ({_KNOWN_METHODS}): did you mean %m3ter GET {resource}?")
    raise InvalidArgument(unknown_method(word))


def unknown_method(word: str) -> str:
    """Say of a word in the place of a method that it is none; it is not repeated, for it may be a secret."""
    if word.upper() == "PATCH":
        return "m3ter has no PATCH: read the entity, change it, and PUT it whole."
    near = near_method(word)
    meant = f" Did you mean {near}?" if near else ""
    return f"There is no such method: use {_KNOWN_METHODS}.{meant}"


def near_method(word: str) -> str:
    """Return the method that a word is near to, ``""`` where it is near to none."""
    return next(iter(get_close_matches(word.upper(), METHODS, n=1)), "")


def _options(words: list[_Word]) -> tuple[dict[str, list[str]], list[str]]:
    """Separate options, with their values, from the other words; they may stand anywhere."""
    options: dict[str, list[str]] = {}
    others: list[str] = []
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if not (word.plain and word.text.startswith("-")):
            others.append(word.text)
            continue
        option, equals, value = word.text.partition("=")
        if option not in OPTIONS:
            near = _did_you_mean(option.lstrip("-"), [known.lstrip("-") for known in OPTIONS], "--")
            raise InvalidArgument(f"There is no such option.{near} A filter has no dashes: pageSize=10.")
        if option in options and option not in _LISTS:
            raise InvalidArgument(f"{option} is given twice.")
        options.setdefault(option, []).extend(_values_of(option, value if equals else None, remaining))
    return options, others


def _values_of(option: str, value: str | None, remaining: list[_Word]) -> list[str]:
    """Return the values of an option, and take those away that are words of their own.

    Args:
        option: one of ``OPTIONS``.
        value: what stands behind its ``=``, or None.
        remaining: the words that follow.
    """
    values = [] if value is None else [value]
    if option in _LISTS:
        while remaining and not (remaining[0].plain and remaining[0].text.startswith("-")):
            values.append(remaining.pop(0).text)
        if not values:
            raise InvalidArgument(f"{option} needs a key.")
    elif option not in _VALUED:
        if values:
            raise InvalidArgument(f"{option} takes no value.")
    elif not values:
        if not remaining or (remaining[0].plain and remaining[0].text in OPTIONS):
            raise InvalidArgument(f"{option} needs a value.")
        values.append(remaining.pop(0).text)
    return values


def _last(options: Mapping[str, list[str]], option: str) -> str | None:
    """Return the value of an option that has one, or None."""
    return options[option][-1] if options.get(option) else None


def _edits(
    options: Mapping[str, list[str]],
    method: str,
    path: str,
    namespace: Mapping[str, Any],
    *,
    has_more: bool,
) -> Edits | None:
    """Return the changes of a line that changes fields; it takes neither a body nor a query."""
    given = [option for option in _EDITING if option in options]
    if not given:
        return None
    if method != "PUT":
        raise InvalidArgument(
            f"{given[0]} changes fields of what is there, so it goes with PUT, not with {method}."
        )
    if has_more or "--show" in options:
        raise InvalidArgument(f"{given[0]} goes with no body, no --show and no key=value before it.")
    return read_edits(
        options.get("--set", ()), options.get("--unset", ()), path, namespace, only_shows="--diff" in options
    )


def _params(
    pairs: list[str], namespace: Mapping[str, Any], *, after_body: bool
) -> dict[str, str | list[str]]:
    params: dict[str, str | list[str]] = {}
    for position, pair in enumerate(pairs):
        key, equals, text = pair.partition("=")
        if not key or not equals or "{{" in key or text.startswith("="):
            if is_torn(pairs, position):
                raise InvalidArgument(
                    "No space stands around the = of a parameter: codes=acme, not codes = acme."
                )
            _refuse_pair(pair, after_body=after_body)
        if not key.isprintable():
            raise InvalidArgument("A key holds a character that cannot be printed.")
        value = fill_query(text, namespace)
        if key not in params:
            params[key] = value
            continue
        known, added = params[key], value
        params[key] = [
            *(known if isinstance(known, list) else [known]),
            *(added if isinstance(added, list) else [added]),
        ]
    return params


def _refuse_pair(pair: str, *, after_body: bool) -> NoReturn:
    if after_body:
        advice = f"An expression with spaces after {_BODY} goes into brackets or quotes"
    elif pair.startswith(("{", "[")) and not pair.startswith("{{"):
        advice = f"A body goes behind {_BODY}, or as JSON into the cell below %%m3ter"
    elif f"--{pair}" in OPTIONS:
        advice = f"Did you mean --{pair}"
    else:
        advice = "A parameter is written key=value, such as pageSize=10"
    raise InvalidArgument(
        f"A word is neither an option nor key=value. {advice}{'?' if 'mean' in advice else '.'}"
    )


def _body(
    expression: str | None, cell: str | None, namespace: Mapping[str, Any]
) -> dict[str, Any] | list[Any] | None:
    filled = cell is not None and cell.strip()
    if expression is not None and filled:
        raise InvalidArgument(f"There are two bodies, the cell and {_BODY}: keep one of them.")
    if expression is not None:
        written = f"{_BODY} {expression}"
        body = json_value(evaluate(expression, namespace, written=written), written)
    elif cell is not None and filled:
        body = fill_json(cell, namespace, first_line=_CELL_FIRST_LINE)
    else:
        return None
    if not isinstance(body, (dict, list)):
        raise InvalidArgument(
            f"The body is of type {type(body).__name__}; m3ter takes an object (a dict) or a list."
        )
    encode_body(body)
    return body


def _limit(text: str | None, namespace: Mapping[str, Any]) -> int | None:
    if text is None:
        return None
    value = fill_query(text, namespace)
    if not isinstance(value, str) or not _LIMIT.fullmatch(value):
        raise InvalidArgument("--limit wants a positive whole number, such as --limit 50.")
    return int(value)


def _show(text: str | None) -> str | None:
    if text is not None and text not in SHOWABLE:
        raise InvalidArgument(f"--show knows curl and python.{_did_you_mean(text, SHOWABLE)}")
    return text


def _name(text: str | None) -> str | None:
    if text is not None and not text.isidentifier():
        raise InvalidArgument("--name wants a name as Python has them (letters, digits, _).")
    return text


def _did_you_mean(word: str, candidates: Sequence[str], dashes: str = "") -> str:
    if near := get_close_matches(word, candidates, n=1):
        return f" Did you mean {dashes}{near[0]}?"
    return f" There are {', '.join(f'{dashes}{candidate}' for candidate in candidates)}."
