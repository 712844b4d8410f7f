"""What an error answer of the API means, and what to do next.

m3ter documents the statuses (https://m3ter.mintlify.app/guides/m3ter-apis/http-error-codes) and the body
``{"message": ...}``; the token endpoint, and what stands in front of the API, answer in other shapes.
"""

from __future__ import annotations

import html
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from m3ter_nb.errors import (
    ApiError,
    BadRequest,
    Conflict,
    Forbidden,
    NotFound,
    RateLimited,
    ServerError,
    VersionConflict,
)
from m3ter_nb.wire.encoding import LONGEST_BODY, decode_body
from m3ter_nb.wire.retry import retry_after

if TYPE_CHECKING:
    import requests

    from m3ter_nb.auth.token import Token
    from m3ter_nb.wire.answer import Answer

__all__ = ["explain", "reason_of"]

_LONGEST_REASON = 300
_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


def explain(answer: Answer, *, org_id: str | None, token: Token | None) -> ApiError:
    """Return the error for an answer with a status of 300 or more.

    Args:
        answer: what came.
        org_id: the organization that the session is for.
        token: the token that the call carried.
    """
    method, path, sent, attempts = answer.method, urlsplit(answer.url).path, answer.sent, answer.attempts
    status, reason = answer.status, reason_of(answer, token)
    shown = path.removeprefix(f"/organizations/{org_id}/")
    said = f"{method} {shown} was refused with {status}" + (f": {reason}" if reason else ".")
    kind: type[ApiError]
    if status == HTTPStatus.CONFLICT or (
        method == "PUT" and status == HTTPStatus.BAD_REQUEST and "version" in reason.lower()
    ):
        kind = VersionConflict if method == "PUT" else Conflict
        advice = _conflict_advice(method, attempts, names_version=b'"version"' in sent)
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        kind, advice = Forbidden, _forbidden_advice(path, org_id, token, len(sent))
    elif status == HTTPStatus.NOT_FOUND:
        kind, advice = NotFound, "Check the path and the id; a list shows which there are."
        if method == "DELETE" and attempts > 1:
            advice = "An earlier attempt of this call was cut off and may have deleted it."
    elif status == HTTPStatus.TOO_MANY_REQUESTS:
        kind, advice = RateLimited, _come_back(answer)
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, advice = ServerError, f"This is on m3ter's side. {_come_back(answer)}"
    elif status < HTTPStatus.BAD_REQUEST:
        kind, advice = (
            ApiError,
            "The API sent the call elsewhere, and a token does not follow. Check the base URL.",
        )
    else:
        kind, advice = BadRequest, "Mend the request as it says; --show curl shows what was sent."
    error = kind(
        _JWT.sub("<token>", f"{said.rstrip('.')}. {advice}"),
        status=status,
        method=method,
        path=_JWT.sub("<token>", path),
        reason=reason,
        response=partial(_response_of, answer),
    )
    if isinstance(error, RateLimited):
        error.retry_after = retry_after(answer)
    return error


def reason_of(answer: Answer, token: Token | None = None) -> str:
    """Return the server's own message as one line: of either JSON shape, or of a web page its title.

    Args:
        answer: what came.
        token: what the call carried; a message that echoes it is shown without.
    """
    text = _text_of(answer) if len(answer.content) <= 1_000_000 else ""
    decoded, _ = decode_body(text.encode())
    if isinstance(decoded, dict):
        parts = [decoded.get(key) for key in ("message", "error", "error_description")]
        text = ": ".join(part for part in parts if isinstance(part, str) and part)
    elif text.lstrip().startswith("<"):
        title = re.search(r"<(title|h1)[^>]*>(.*?)</\1>", text, re.IGNORECASE | re.DOTALL)
        text = html.unescape(re.sub(r"<[^>]+>", " ", title.group(2))) if title else "(a web page)"
    elif decoded is not None:
        text = ""
    if token is not None:
        text = text.replace(token.reveal(), "<token>")
    line = " ".join(_JWT.sub("<token>", text).split())
    line = "".join(c for c in line if c.isprintable())
    return line if len(line) <= _LONGEST_REASON else line[: _LONGEST_REASON - 1] + "…"


def _text_of(answer: Answer) -> str:
    """Return the body as text: in the character set that it names, or UTF-8, or the one that takes every byte."""
    _, _, charset = answer.headers.get("Content-Type", "").lower().partition("charset=")
    for name in (charset.split(";")[0].strip("\"' "), "utf-8"):
        try:
            return answer.content.decode(name)
        except (LookupError, ValueError):  # no such character set, or not in it
            continue
    return answer.content.decode("iso-8859-1")


def _response_of(answer: Answer) -> requests.Response:
    from m3ter_nb.bridges.requests_session import response_of

    return response_of(answer)


def _conflict_advice(method: str, attempts: int, *, names_version: bool) -> str:
    if method == "PUT" and attempts > 1:
        return (
            "An earlier attempt of this call was cut off and may have succeeded: read the entity and compare."
        )
    if method == "PUT" and not names_version:
        return "A PUT needs the version that it replaces: GET the entity, make your change on that, and PUT it whole."
    if method == "PUT":
        return (
            "The version you sent is not the stored one: somebody changed it since you read it, and nothing was "
            "overwritten. GET it again, make your change on that, and PUT."
        )
    if method == "POST":
        return "Nothing was changed. GET what is there, or take another code."
    return "It clashes with what is stored; nothing was changed."


def _forbidden_advice(path: str, org_id: str | None, token: Token | None, size: int) -> str:
    """Give the causes that m3ter hides behind one status, likeliest first."""
    if size > LONGEST_BODY:
        return f"The body has {size:,} bytes; m3ter's firewall refuses more than {LONGEST_BODY:,}."
    match = re.match(r"/organizations/([^/]+)", path)
    token_org = token.org_id if token is not None else None
    home = token_org or org_id
    if match and home and match.group(1) != home:
        return f"The path names organization {match.group(1)}, but the token is for {home}."
    causes = []
    permissions = token.permissions if token is not None else ()
    if "*" in permissions:
        causes.append("the token is no longer accepted, though its time is not up: log in again")
    elif permissions:
        shown = ", ".join(permissions[:5]) + (", …" if len(permissions) > 5 else "")
        causes.append(f"the service user lacks the permission (its token allows {shown})")
    else:
        causes.append("the service user lacks the permission")
    causes.append("its key was made inactive or its policy changed (log in again)")
    causes.append("the firewall took something in the request for an attack")
    return f"Likely causes, in order: {'; '.join(causes)}."


def _come_back(answer: Answer) -> str:
    wait = retry_after(answer)
    if wait is None:
        return "Try again in a minute."
    if wait < 120:
        return f"Try again in {wait:.0f} s."
    return f"Try again in {wait / 60:.0f} minutes."
