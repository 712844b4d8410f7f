"""A request as the documented cURL or Python (requests) text, with token, key id and secret as environment variables.

What is printed runs as it is where the variables are exported, and holds no secret: ``M3TER_API_KEY``,
``M3TER_API_SECRET`` and, from the login snippet on, ``M3TER_API_TOKEN``. It follows the two examples of
https://docs.m3ter.com/api/authentication and differs where these would leak: the secret and the token are not among
curl's arguments, where ``ps`` shows them to every user of the machine, and the token is kept instead of printed.
The cURL text is for any POSIX shell (bash, zsh, dash) and curl 7.55 or later (``-H @-``).
"""

from __future__ import annotations

import json as json_
import shlex
from typing import TYPE_CHECKING, Any, Final

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.wire.digits import holds_digits
from m3ter_nb.wire.encoding import json_text, query_of, query_pairs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["curl", "curl_login", "python", "python_login"]

TOKEN_VARIABLE: Final = "M3TER_API_TOKEN"  # noqa: S105 - a variable's name
_TIMEOUTS: Final = "(5, 60)"
"""Seconds to connect and between two bytes of the answer, in the Python text."""
_TOTAL_SECONDS: Final = 60
_LONGEST_ARGUMENT: Final = 100_000
"""Bytes: Linux takes 131,072 for one argument (MAX_ARG_STRLEN); a longer body goes through a file descriptor."""
_WIDTH: Final = 88


def curl(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    token_variable: str = TOKEN_VARIABLE,
) -> str:
    """Return a call as cURL text.

    The Authorization header is written by the shell itself (printf is a builtin) and reaches curl on standard input.

    Args:
        method: upper case.
        url: absolute.
        params: the query; a list is joined by commas, as the session and the official SDKs send it.
        json: the body, None for none.
        token_variable: the environment variable that holds the bearer token.

    Raises:
        InvalidArgument: the body is not JSON, or the variable's name is no name.
    """
    address = _with_query(url, params)
    command = [f"curl -sS -X {method}"]
    # Brackets and braces are patterns to curl, unless it is told otherwise.
    if any(mark in address for mark in "[]{}"):
        command[0] += " --globoff"
    command[0] += f" {shlex.quote(address)}"
    command += [f"--max-time {_TOTAL_SECONDS}", "-H @-"]
    below = ""
    if json is not None:
        body = _spelled(json_text(json, indent=2))
        command.append("-H 'Content-Type: application/json'")
        if len(body.encode()) <= _LONGEST_ARGUMENT:
            command.append(f"-d {shlex.quote(body)}")
        else:
            # JSON text has no line that is a bare word, so none ends the here-document early.
            # Compact, as the session sends it: m3ter counts the bytes.
            body = _spelled(json_text(json))
            command.append("--data-binary @/dev/fd/3 3<<'END_OF_BODY'")
            below = f"\n{body}\nEND_OF_BODY"
    header = f"""printf 'Authorization: Bearer %s' "${_name(token_variable)}" |\n  """
    return header + " \\\n    ".join(command) + below


def python(
    method: str,
    url: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    token_variable: str = TOKEN_VARIABLE,
) -> str:
    """Return a call as Python text for ``requests``; arguments and errors as for ``curl``.

    ``json=`` lets requests write the body, a few per cent longer than the session does: one that is just below
    512,000 bytes may be just above there.
    """
    lines = [
        "import os",
        "",
        "import requests",
        "",
        f"response = requests.{method.lower()}(",
        f"    {url!r},",
        f"""    headers={{'Authorization': f"Bearer {{os.environ['{_name(token_variable)}']}}\"{_content_type(json)}}},""",
    ]
    if params:
        lines.append(_argument("params", dict(query_pairs(params))))
    if holds_digits(json):  # requests would send the nearest float
        lines.append(_argument("data", json_text(json)))
    elif json is not None:
        lines.append(_argument("json", json_.loads(json_text(json))))
    lines += [f"    timeout={_TIMEOUTS},", ")", "response.raise_for_status()", "print(response.json())"]
    return "\n".join(lines)


def curl_login(base_url: str) -> str:
    """Return the documented token request as cURL text; it leaves the token in ``$M3TER_API_TOKEN``."""
    token_url = shlex.quote(f"{base_url.rstrip('/')}/oauth/token")
    return rf"""# The header is what -u "$M3TER_API_KEY:$M3TER_API_SECRET" sends; -u shows the secret in the process list.
answer="$(
  printf '%s' "$M3TER_API_KEY:$M3TER_API_SECRET" | base64 | tr -d '\n' | sed 's/^/Authorization: Basic /' |
    curl -fsS -X POST {token_url} \
      --max-time {_TOTAL_SECONDS} \
      -H 'Content-Type: application/x-www-form-urlencoded' \
      -H @- \
      -d 'grant_type=client_credentials'
)" &&
  export {TOKEN_VARIABLE}="$(printf '%s' "$answer" | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')" &&
  unset answer"""


def python_login(base_url: str) -> str:
    """Return the documented token request as Python text; it leaves the token in ``os.environ["M3TER_API_TOKEN"]``."""
    token_url = f"{base_url.rstrip('/')}/oauth/token"
    return f"""import base64
import os

import requests

access_key_id = os.environ['M3TER_API_KEY']
api_secret = os.environ['M3TER_API_SECRET']

# Encode the Access Key ID and API Secret in base64 format
credentials = base64.b64encode(f'{{access_key_id}}:{{api_secret}}'.encode('utf-8')).decode('utf-8')

# Set the m3ter token endpoint URL
token_url = {token_url!r}

# Set the headers for the request
headers = {{
    'Authorization': f'Basic {{credentials}}',
    'Content-Type': 'application/x-www-form-urlencoded'
}}

# Set the payload for the request
payload = {{
    'grant_type': 'client_credentials'
}}

# Send the request to obtain the Bearer Token
response = requests.post(token_url, headers=headers, data=payload, timeout={_TIMEOUTS})
response.raise_for_status()

# Keep the Bearer Token for the calls that follow; printed, it would be saved with the notebook
os.environ['{TOKEN_VARIABLE}'] = response.json()['access_token']
print(f"Bearer Token received, valid for {{response.json()['expires_in']}} seconds")"""


def _with_query(url: str, params: Mapping[str, Any] | None) -> str:
    query = query_of(params)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


def _spelled(body: str) -> str:
    """Return JSON in which what a terminal would act upon stands as JSON spells it; every other line break is our own."""
    return "".join(each if each.isprintable() or each == "\n" else json_.dumps(each)[1:-1] for each in body)


def _content_type(body: Any) -> str:
    return ", 'Content-Type': 'application/json'" if holds_digits(body) else ""


def _argument(name: str, value: Any) -> str:
    return f"    {name}={_literal(value, indent=4)},"


def _literal(value: Any, indent: int) -> str:
    """Return plain JSON data as a Python literal, one item a line where it is long."""
    literal = repr(value)
    if len(literal) + indent <= _WIDTH or not value or not isinstance(value, (dict, list)):
        return literal
    margin = " " * (indent + 4)
    if isinstance(value, dict):
        items = [f"{margin}{key!r}: {_literal(item, indent + 4)},\n" for key, item in value.items()]
        return f"{{\n{''.join(items)}{' ' * indent}}}"
    items = [f"{margin}{_literal(item, indent + 4)},\n" for item in value]
    return f"[\n{''.join(items)}{' ' * indent}]"


def _name(variable: str) -> str:
    if not (variable.isascii() and variable.isidentifier()):
        raise InvalidArgument(f"{variable!r} is no name of an environment variable.")
    return variable
