"""The names under which credentials are set: those of the official SDKs.

Source: https://docs.m3ter.com/api/authentication
"""

from __future__ import annotations

from m3ter_nb.auth.cleaning import BASE_URL, KEY_ID, ORG_ID, SECRET, TOKEN

__all__ = [
    "HOST_VARIABLE",
    "KEY_VARIABLE",
    "KINDS",
    "ORG_VARIABLE",
    "SECRET_VARIABLE",
    "TOKEN_VARIABLE",
    "VARIABLES",
]

KEY_VARIABLE = "M3TER_API_KEY"
SECRET_VARIABLE = "M3TER_API_SECRET"  # noqa: S105 - the name of a variable, not a secret
TOKEN_VARIABLE = "M3TER_API_TOKEN"  # noqa: S105 - the name of a variable, not a token
ORG_VARIABLE = "M3TER_ORG_ID"
HOST_VARIABLE = "M3TER_BASE_URL"

#: What each variable holds, in the order in which help texts name them.
KINDS = {
    KEY_VARIABLE: KEY_ID,
    SECRET_VARIABLE: SECRET,
    ORG_VARIABLE: ORG_ID,
    HOST_VARIABLE: BASE_URL,
    TOKEN_VARIABLE: TOKEN,
}

#: Every environment variable that is read.
VARIABLES = tuple(KINDS)
