"""What an error answer of the API means, and what to do next.

m3ter documents the statuses (https://m3ter.mintlify.app/guides/m3ter-apis/http-error-codes) and the body
``{"message": ...}``; the token endpoint, and what stands in front of the API, answer in other shapes.
"""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from m3ter_nb.api.addresses import measures
from m3ter_nb.api.doubts import near_path_advice
from m3ter_nb.api.facts import find
from m3ter_nb.api.operations import reads_only
from m3ter_nb.api.reasons import hide_tokens, reason_of
from m3ter_nb.auth.challenge import blames_the_token
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
from m3ter_nb.wire.encoding import LONGEST_BODY
from m3ter_nb.wire.retry import retry_after
from m3ter_nb.wire.statuses import advice_for
from m3ter_nb.wording import either

if TYPE_CHECKING:
    import requests

    from m3ter_nb.auth.token import Token
    from m3ter_nb.wire.answer import Answer

__all__ = ["explain"]

_ELSEWHERE = "The API sent the call elsewhere, and a token does not follow. Check the base URL."
_DOUBTFUL = "It may have carried out the call all the same: check before you repeat it."
_NOT_M3TER = "m3ter answers with JSON, not with a page: check the base URL, and what stands on the way, such as a proxy."
_KEPT = "It says that nothing has changed, which nobody asked: something on the way keeps answers."


def explain(answer: Answer, *, org_id: str | None, token: Token | None) -> ApiError:
    """Return the error for an answer with a status of 300 or more.

    Args:
        answer: what came.
        org_id: the organization that the session is for.
        token: the token that the call carried.
    """
    path, reason = urlsplit(answer.url).path, reason_of(answer, token)
    shown = path.removeprefix(f"/organizations/{org_id}/")
    said = f"{answer.method} {shown} was refused with {answer.status}" + (f": {reason}" if reason else ".")
    kind, advice = _meaning(answer, reason, path, shown)
    if kind is Forbidden:
        advice = _forbidden_advice(answer, path, org_id, token)
    error = kind(
        hide_tokens(f"{said.rstrip('.')}. {advice}"),
        status=answer.status,
        method=answer.method,
        path=hide_tokens(path),
        reason=reason,
        response=partial(_response_of, answer),
    )
    if isinstance(error, RateLimited):
        error.retry_after = retry_after(answer)
    return error


def _meaning(answer: Answer, reason: str, path: str, shown: str) -> tuple[type[ApiError], str]:
    """Return the kind of error, and what to do next; nothing for one that takes more than the answer to tell."""
    status, method = answer.status, answer.method
    if status == HTTPStatus.CONFLICT or (
        method == "PUT" and status == HTTPStatus.BAD_REQUEST and "version" in reason.lower()
    ):
        advice = _conflict_advice(method, answer.attempts, names_version=b'"version"' in answer.sent)
        return VersionConflict if method == "PUT" else Conflict, advice
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return Forbidden, ""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited, _come_back(answer)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        advice = advice_for(answer) or f"This is on m3ter's side. {_come_back(answer)}"
        done = method != "POST" or reads_only(method, shown) or measures(path)
        return ServerError, advice if done else f"{advice} {_DOUBTFUL}"
    return _request_meaning(answer, reason, path, shown)


def _request_meaning(answer: Answer, reason: str, path: str, shown: str) -> tuple[type[ApiError], str]:
    if answer.status < HTTPStatus.BAD_REQUEST:
        return ApiError, _ELSEWHERE if answer.status != HTTPStatus.NOT_MODIFIED else _KEPT
    if answer.status == HTTPStatus.NOT_FOUND:
        if answer.method == "DELETE" and answer.attempts > 1:
            return NotFound, "An earlier attempt of this call was cut off and may have deleted it."
        advice = near_path_advice(answer.method, shown)
        return NotFound, advice or "Check the path and the id; a list shows which there are."
    if advice := advice_for(answer):
        of_proxy = answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        return ApiError if of_proxy else BadRequest, advice
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        advice = (
            near_path_advice(answer.method, shown)
            or f"{answer.method} is not taken there. Check the base URL."
        )
    elif answer.content.lstrip()[:1] == b"<":
        advice = _NOT_M3TER
    elif not answer.sent and (operation := find(answer.method, shown)) is not None and operation.body:
        advice = f"It was sent without a body: %m3ter_docs {answer.method} {shown} shows one to start from."
    elif reason:
        shows = "--show curl (of --set and --unset, --diff)" if answer.method == "PUT" else "--show curl"
        advice = "Mend the request as it says" + either(".", f"; {shows} shows what was sent.")
    else:
        advice = (
            f"It gave no reason: %m3ter_docs {answer.method} {shown or path} shows the fields and filters that there "
            "are" + either(".", ", and --show curl what was sent.")
        )
    return BadRequest, advice


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


def _forbidden_advice(answer: Answer, path: str, org_id: str | None, token: Token | None) -> str:
    """Give the causes that m3ter hides behind one status, likeliest first."""
    size = len(answer.sent)
    if size > LONGEST_BODY:
        return f"The body has {size:,} bytes; m3ter's firewall refuses more than {LONGEST_BODY:,}."
    if blames_the_token(answer.headers.get("WWW-Authenticate")):
        return (
            "It calls the token invalid: log in again. Where that does not help, the key was made inactive in the Console "
            "(Settings > Access > Service Users)."
        )
    match = re.match(r"/organizations/([^/]+)", path)
    token_org = token.org_id if token is not None else None
    home = token_org or org_id
    if match and home and match.group(1) != home:
        return f"The path names organization {match.group(1)}, but the token is for {home}."
    causes = []
    if answer.status == HTTPStatus.UNAUTHORIZED:
        causes.append("the token is no longer accepted: log in again")
    permissions = token.permissions if token is not None else ()
    if "*" in permissions and not causes:
        causes.append("the token is no longer accepted, though its time is not up: log in again")
    elif permissions and "*" not in permissions:
        shown = ", ".join(permissions[:5]) + (", …" if len(permissions) > 5 else "")
        causes.append(f"the service user lacks the permission (its token allows {shown})")
    elif not permissions:
        causes.append("the service user lacks the permission")
    causes.append("its key was made inactive or its policy changed (log in again)")
    causes.append("the firewall took something in the request for an attack")
    return f"Likely causes, in order: {'; '.join(causes)}."


def _come_back(answer: Answer) -> str:
    wait = retry_after(answer)
    if wait is None:
        return "Try again in a minute."
    if wait < 120:
        return f"Try again in {max(wait, 1):.0f} s."
    if wait < 7_200:
        return f"Try again in {wait / 60:.0f} minutes."
    return f"Try again in {wait / 3_600:.0f} hours."
