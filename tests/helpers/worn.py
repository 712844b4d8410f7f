"""What copying leaves around a value."""

from __future__ import annotations

__all__ = ["WORN", "in_full_width"]

WORN = {
    "spaces": "  {} \t",
    "a line break": "{}\r\n",
    "no-break spaces": "\u00a0{}\u202f",
    "an ideographic space": "\u3000{}",
    "a byte order mark": "\ufeff{}",
    "a zero width space": "{}\u200b",
    "a mark of direction": "\u202a{}\u202c",
    "a soft hyphen": "{}\u00ad",
    "a braille blank": "\u2800{}",
    "straight quotes": '"{}"',
    "single quotes": "'{}'",
    "backquotes": "`{}`",
    "typographic quotes": "\u201c{}\u201d",
    "German quotes": "\u201e{}\u201c",
    "French quotes with spaces": "\u00ab\u00a0{}\u00a0\u00bb",
    "half-typographic quotes": '\u201c{}"',
    "full-width quotes": "\uff02{}\uff02",
    "Japanese brackets": "\u300c{}\u300d",
    "quotes that JSON escapes": '\\"{}\\"',
    "quotes within quotes": "'\"{}\"'",
    "a comma": "{},",
    "a line of JSON": ' "{}",\n',
    "a comma within the quotes": '"{},"',
    "a line of a .env": "M3TER_API_SECRET={}",
    "a line of PowerShell": "$env:M3TER_API_SECRET = '{}'",
    "a line of YAML": "M3TER_API_SECRET: {}",
    "a line of a JSON object": '"M3TER_API_SECRET": "{}",',
    "a line of a file from Windows": "\ufeffset M3TER_API_SECRET={}\r\n",
    "a line of a shell": 'export M3TER_API_KEY = "{}"',
}


def in_full_width(text: str) -> str:
    """Return a text as an input method for East Asian scripts writes it."""
    return "".join(chr(ord(each) + 0xFEE0) for each in text)
