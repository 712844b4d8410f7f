"""The options of a magic: declared above its method, read from its line, shown by ``%magic?``.

IPython's ``magic_arguments`` builds the parser and formats the help of every magic when its class is defined, which
was most of what loading took. Here both are made when a line has options, and when somebody asks for help.
"""

from __future__ import annotations

import os
import re
import shlex
from argparse import Namespace
from functools import cache
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from IPython.core.magic_arguments import MagicArgumentParser

__all__ = ["candidates", "option", "parsed"]


def option(
    *names: str, suggest: Callable[[], list[str]] | None = None, stray: str = "", **settings: Any
) -> Callable[[Any], Any]:
    """Declare an option, or a word, of a magic.

    Args:
        names: as ``argparse.ArgumentParser.add_argument`` takes them.
        suggest: returns the words that Tab offers as its value, where they are known only then.
        stray: what is said where the option is missing and a word stands alone, which is likely its value.
        settings: likewise.
    """

    def declare(magic: Any) -> Any:
        if not hasattr(magic, "options"):
            magic.options = []
            magic.suggestions = {}
            magic.strays = {}
            # IPython's inspector calls it where an object has it.
            magic.getdoc = lambda: _parser_of(magic).format_help()
        magic.suggestions |= dict.fromkeys(names, suggest) if suggest is not None else {}
        magic.strays |= dict.fromkeys(names, stray) if stray else {}
        magic.options.insert(0, (names, settings))  # decorators are applied from the last to the first
        return magic

    return declare


def candidates(
    magic: Any, before: str, *, values: Mapping[str, Callable[[], Iterable[str]]] | None = None
) -> list[str]:
    """Return what may stand next on a magic's line: a choice of the option before it, or words and options.

    Args:
        magic: with options.
        before: what stands between its name and the cursor.
        values: for an option with values that only the notebook knows, what returns them.
    """
    settings_of = _settings_of(magic)
    words = before.split(" ")[:-1]
    last = settings_of.get(words[-1], {}) if words else {}
    if values and words and words[-1] in values:
        return list(values[words[-1]]())
    if words and words[-1].startswith("-") and last and "action" not in last:
        suggest = magic.suggestions.get(words[-1])
        return suggest() if suggest is not None else list(last.get("choices", ()))
    found: list[str] = []
    for name, settings in settings_of.items():
        if name.startswith("-"):
            found += [name] if name not in words else []
        elif not any(word in settings.get("choices", ()) for word in words):
            found += settings.get("choices", ())
    return found


def parsed(magic: Callable[..., Any], line: str) -> Namespace:
    """Read a magic's line.

    Args:
        magic: with options.
        line: what follows its name.

    Raises:
        InvalidArgument: the line has an option or a word that the magic does not take; no word of the line that the
            magic does not know is repeated, for it may be a secret in the wrong place.
    """
    line = _bare(line)
    if not line:
        return _defaults_of(magic)
    try:
        # Quotes group words and are no part of them; a backslash does the same, but for Windows, where it is in paths.
        words = shlex.split(line, posix=os.name != "nt")
    except ValueError:
        said = "a quote is not closed."
    else:
        try:
            arguments: Namespace = _parser_of(magic).parse_args(words)
        except UsageError as error:
            said = _problem(magic, words, str(error))
        else:
            return arguments
    from m3ter_nb.errors import InvalidArgument

    name = "%" + magic.__name__
    raise InvalidArgument(f"{name}: {said} {name}? shows what it takes.")


def _problem(magic: Any, words: list[str], refusal: str) -> str:
    """Say what argparse refused in words of the magic's own."""
    options = _settings_of(magic)
    lacking = re.match(r"argument ([\w-]+): (?:expected|invalid)", refusal)
    if lacking and lacking[1] in options:
        return f"{lacking[1]} takes {_wanted(options[lacking[1]])}{_nearest(words, options[lacking[1]].get('choices', ()))}"
    unknown = [word for word in words if word.startswith("-") and word.split("=")[0] not in options]
    if unknown:
        return f"there is no such option{_nearest(unknown, options)}"
    given = {word.split("=")[0] for word in words}
    strays: list[str] = [stray for name, stray in magic.strays.items() if name not in given]
    if strays and refusal.startswith("unrecognized"):
        return strays[0]
    return "it does not take what is written there."


def _wanted(settings: dict[str, Any]) -> str:
    if "choices" in settings:
        *rest, last = settings["choices"]
        return f"{', '.join(rest)} or {last}"
    return {int: "a whole number", float: "a number"}.get(settings.get("type", str), "a value")


def _nearest(words: list[str], known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = [match for word in words for match in get_close_matches(word.split("=")[0], known, n=1)]
    return f": did you mean {near[0]}?" if near and near[0] not in words else "."


def _settings_of(magic: Any) -> dict[str, dict[str, Any]]:
    return {name: settings for names, settings in magic.options for name in names}


def _bare(line: str) -> str:
    """Return a line without white space around it, a comment, and the semicolon that keeps a value from being shown."""
    quote = ""
    for position, character in enumerate(line):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and (line[position - 1] if position else " ").isspace():
            line = line[:position]
            break
    return line.strip().removesuffix(";").rstrip()


def _defaults_of(magic: Any) -> Namespace:
    """Return what an empty line means; most lines are, and the parser takes longer to build than a login."""
    arguments = Namespace()
    for names, settings in magic.options:
        absent: Any = None
        if settings.get("action") == "store_true":
            absent = False
        elif settings.get("nargs") == "*":
            absent = []
        setattr(arguments, names[-1].lstrip("-").replace("-", "_"), settings.get("default", absent))
    return arguments


@cache
def _parser_of(magic: Any) -> MagicArgumentParser:
    from IPython.core.magic_arguments import MagicArgumentParser

    parser = MagicArgumentParser(magic.__name__, description=magic.__doc__)  # type: ignore[no-untyped-call]  # it has no types
    for names, settings in magic.options:
        parser.add_argument(*names, **settings)
    return parser
