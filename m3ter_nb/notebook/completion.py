"""Tab completion of the magics' options (IPython itself completes none of a magic's arguments)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.completer import CompletionContext, SimpleMatcherResult

__all__ = ["MagicMatcher"]

# Behind an assignment, or a magic such as %time.
_LINE = r"^\s*(?:[^%=]+=\s*)?(?:%{1,2}\w+\s+)?%{1,2}(m3ter\w*)\s(.*)$"


class MagicMatcher:
    """A matcher for IPython's completer (``Completer.custom_matchers``, matcher API version 2).

    Args:
        candidates: for each magic, a callable that takes what stands between its name and the cursor and returns
            the words that may stand there.
    """

    matcher_api_version = 2
    matcher_identifier = "m3ter_nb"
    # Before Python names: after %m3ter_login they are never meant.
    matcher_priority = 1000

    def __init__(self, candidates: dict[str, Callable[[str], Iterable[str]]]) -> None:
        self._candidates = candidates
        # The completer reads it of every matcher, as of a function.
        self.__qualname__ = self.matcher_identifier

    def __call__(self, context: CompletionContext) -> SimpleMatcherResult:
        """Return the completions of the word before the cursor."""
        from IPython.core.completer import SimpleCompletion

        line = context.full_text.split("\n")[context.cursor_line]
        match = re.match(_LINE, line[: context.cursor_position], re.DOTALL)
        words: Iterable[str] = ()
        if match and match.group(1) in self._candidates:
            words = self._candidates[match.group(1)](match.group(2))
        # The completer replaces its own idea of a token, which may begin inside our word ("--org-id").
        typed = match.group(2).rpartition(" ")[2] if match else ""
        cut = len(typed) - len(context.token) if typed.endswith(context.token) else 0
        completions = [
            SimpleCompletion(word[cut:], type="option") for word in words if word.startswith(typed)
        ]
        return {"completions": completions, "suppress": bool(completions)}
