"""``{{expression}}``: Python of the user, evaluated in the user's own kernel, as IPython's ``{expression}`` is."""

from __future__ import annotations

import builtins
import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.errors import InvalidArgument, M3terError, excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["evaluate", "placeholder_end", "show"]

# Characters between the braces.
_LONGEST: Final = 2_000
_JSON_NAMES: Final = {"true": "True", "false": "False", "null": "None"}
_NO_JSON: Final = frozenset({"nan", "NaN", "inf", "Infinity", "undefined"})
# White space beyond ASCII, and format characters: zero-width, of direction, the byte order mark.
_UNSEEN: Final = re.compile(r"[^\S\t-\r ]|[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")
_SHOWN_CHARS: Final = 200


def placeholder_end(text: str, start: int) -> int:
    """Return the index behind the placeholder that starts at ``start`` (where ``{{`` stands).

    It ends at the first ``}}`` that leaves a whole Python expression, so that ``{{ {"a": {"b": 1}}["a"] }}`` works.

    Raises:
        InvalidArgument: it is not closed, or no such expression is found.
    """
    first = end = text.find("}}", start + 2, start + _LONGEST)
    problem = ""
    while end >= 0:
        try:
            _compiled(text[start + 2 : end])
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            problem = problem or getattr(error, "msg", None) or str(error)
        else:
            return end + 2
        end = text.find("}}", end + 1, start + _LONGEST)
    if first < 0:
        raise InvalidArgument(
            f'{show(text[start:])} is not closed: write {{{{name}}}}. A literal {{{{ is written {{{{"{{{{"}}}}.'
        )
    written = text[start : first + 2]
    if not written.strip("{} \t\r\n"):
        raise InvalidArgument(
            f"{written} is empty: put the name of a variable, or an expression, between the braces."
        )
    raise InvalidArgument(f"{show(written)} holds no Python expression: {problem}.")


def evaluate(expression: str, namespace: Mapping[str, Any], *, written: str) -> Any:
    """Evaluate a Python expression in the user's namespace, without changing the namespace.

    Args:
        expression: Python source.
        namespace: the user's variables.
        written: the expression as the user wrote it, for messages.

    Raises:
        InvalidArgument: it does not compile, names something undefined, or raises.
        M3terError: one that the expression itself raised, such as "not logged in yet", unchanged.
    """
    try:
        return eval(_compiled(expression), dict(namespace))  # noqa: S307 - the user's own code in the user's own kernel
    except M3terError:
        raise
    except NameError as error:
        if error.name is None or error.name in namespace:
            raise _failed(written, error) from error
        raise InvalidArgument(
            f"{show(written)}: the name {error.name!r} is not defined.{_near_name(error.name, expression, namespace)}"
        ) from error
    except SyntaxError as error:
        raise InvalidArgument(
            f"{show(written)} is no Python expression: {error.msg}.{_hint(written)}"
        ) from error
    except Exception as error:
        raise _failed(written, error) from error


def show(text: str) -> str:
    """Return a text as a message shows it: on one line, cut, and with a name for what nobody sees."""
    return excerpt(_UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text), _SHOWN_CHARS)


def _compiled(expression: str) -> Any:
    return compile(expression.strip(), "<m3ter_nb>", "eval", dont_inherit=True)


def _failed(written: str, error: Exception) -> InvalidArgument:
    return InvalidArgument(
        f"{show(written)} raised {type(error).__name__}: {show(str(error))}.{_hint(written)}"
    )


def _hint(written: str) -> str:
    if written.startswith("{{") or "{{" not in written:
        return ""
    return " The whole of it is Python: write name there, not {{name}}."


def _near_name(name: str, expression: str, namespace: Mapping[str, Any]) -> str:
    if name in _JSON_NAMES:
        return f" In Python it is {_JSON_NAMES[name]}."
    if name in _NO_JSON:
        return " JSON has no such value: leave the field out, or give None."
    if re.search(rf"[{{,]\s*{re.escape(name)}\s*:", expression):
        return " The name of a field stands in quotes."
    known = [known for known in namespace if not known.startswith("_")]
    near = get_close_matches(name, known + dir(builtins), n=1)
    return f" Did you mean {near[0]!r}?" if near else " Run the cell that defines it first."
