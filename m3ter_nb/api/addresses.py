"""Where a call goes: its URL, its query, and the organization that both are for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote

from m3ter_nb.errors import InvalidArgument, OrganizationMismatch
from m3ter_nb.spelling import MASK, holds_mask, is_mask
from m3ter_nb.wire.encoding import check_query, query_of, query_pairs
from m3ter_nb.wire.hosts import origin
from m3ter_nb.wording import option

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["agree_on_org_id", "measures", "merge_queries", "query_by_name", "url_of"]

# Documented as a UUID; what matters is that it stays one segment of a path.
_ORG_ID = re.compile(r"[\w-]+", re.ASCII)
# A path in which nothing is to be encoded, and nothing climbs.
_PLAIN_PATH = re.compile(r"/*[A-Za-z0-9_~-][A-Za-z0-9_~/-]*")


def measures(path: object) -> bool:
    """Tell whether a path is that of measurements, which are posted to the ingest host."""
    plain = str(path).partition("?")[0].strip().rstrip("/")
    return plain == "measurements" or plain.endswith("/measurements")


def url_of(host: str, path: object, org_id: Callable[[], str]) -> str:
    """Return the URL of a path.

    Args:
        host: base URL, without a trailing slash.
        path: under ``/organizations/{orgId}/`` without a leading slash, from the host's root with one; an absolute URL
            is left as it is.
        org_id: returns the organization's id, or raises.

    Raises:
        InvalidArgument: the path is no text, is empty or climbs (``..``), a ``#`` would cut off its query, or a
            parameter in that has no value.
    """
    if not isinstance(path, str):
        raise InvalidArgument(f"A path is text such as 'products'; this is of type {type(path).__name__}.")
    plain, question, query = path.partition("?")
    if "#" in query:
        raise InvalidArgument(
            "A # in the query of a path ends it, and what follows would not be sent: write %23, or give the filter by name."
        )
    check_query(query)
    is_plain = _PLAIN_PATH.fullmatch(plain) is not None
    if not is_plain:
        _refuse_masks(plain)
    if "://" in plain or plain.startswith("//"):
        if origin(path)[1] == "":
            raise InvalidArgument("This is not a URL that can be asked for; give a path such as 'products'.")
        return path
    if not is_plain:
        plain = _quote(plain)
    if not plain.startswith("/"):
        plain = f"/organizations/{org_id()}/{plain}"
    return f"{host}{plain}{question}{query}"


def _refuse_masks(path: str) -> None:
    if holds_mask(unquote(path)) and any(is_mask(unquote(piece)) for piece in path.split("/")):
        raise InvalidArgument(
            f"The path holds what a view shows ({MASK}, …) in place of a value: give the value itself. Nothing was sent."
        )


def merge_queries(params: Any, filters: dict[str, Any]) -> Any:
    """Return one query of two."""
    if not filters or params is None:
        return filters or params
    if isinstance(params, (str, bytes)):
        return "&".join(filter(None, (query_of(params), query_of(filters))))
    return [*query_pairs(params), *query_pairs(filters)]


def query_by_name(params: Any) -> dict[str, str]:
    """Return the texts of a query by name; a name that comes twice has both values, joined by a comma.

    Raises:
        InvalidArgument: as :func:`m3ter_nb.wire.encoding.query_pairs`.
    """
    if isinstance(params, (str, bytes)):
        params = parse_qsl(query_of(params), keep_blank_values=True)
    texts: dict[str, str] = {}
    for name, text in () if params is None else query_pairs(params):
        texts[name] = f"{texts[name]},{text}" if name in texts else text
    return texts


def _quote(path: str) -> str:
    """Percent-encode what is not yet.

    Raises:
        InvalidArgument: the path is empty or climbs.
    """
    if not path.strip("/ ") or any(unquote(piece).strip() in ("..", ".") for piece in path.split("/")):
        raise InvalidArgument("This is no path of the API; give one such as 'products' or 'products/ID'.")
    try:
        return quote(path.strip(), safe="/%:@!$&'()*+,;=-._~")
    except UnicodeEncodeError:
        raise InvalidArgument("The path holds a character that no URL can carry.") from None


def agree_on_org_id(of_token: str | None, asked_for: object) -> str | None:
    """Return the organization's id; one that was asked for is not repeated, for it may be a secret in the wrong place."""
    if asked_for is not None and not isinstance(asked_for, str):
        raise InvalidArgument("An organization id is text; copy it from the Console.")
    for org_id in (of_token, asked_for):
        if org_id and not _ORG_ID.fullmatch(org_id):
            raise InvalidArgument(
                "The organization id holds a character that none has; copy it from the Console."
            )
    if of_token and asked_for and of_token != asked_for:
        raise OrganizationMismatch(
            f"The token is for organization {of_token}, but another was asked for ({option('org_id')} or M3TER_ORG_ID). "
            "Use a key of that organization, or leave the id out: the token knows its own.",
        )
    return asked_for or of_token
