"""JSON on one line, as a view shows it."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["json_line"]


def json_line(value: Any) -> str:
    """Return a value as JSON on one line; a number that keeps the digits in which it was written shows these.

    ``json`` itself would show the float that is nearest to it. What JSON has no form for is shown as a text.
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(str(name))}: {json_line(item)}' for name, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(json_line, value))}]"
    if isinstance(value, float) and type(value) is not float:
        return repr(value)
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
