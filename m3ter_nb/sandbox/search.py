"""Lists over entities that live elsewhere: searches, the children of an account, the bills of an account.

Syntax of a search: the OpenAPI document, ``searchQuery`` of SearchAccounts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flask import request

from m3ter_nb.sandbox.answers import Refusal, json_answer
from m3ter_nb.sandbox.resources import page_size, require
from m3ter_nb.sandbox.surface import load, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.resources import Entities

__all__ = ["register"]

_DEFAULT_PAGE_SIZE = 10
_TERM = re.compile(r"\s*(\w+)\s*(>=|<=|>|<|:|~)(.*)", re.DOTALL)
_SQL_COMPARATORS = {">": ">", ">=": ">=", "<": "<", "<=": "<=", ":": "="}

#: The field of the entity that each part of a view's path stands for.
_VIEW_FIELDS = {
    "bills/accountid/{accountId}": ("bills", {"accountId": "accountId"}),
    "bills/billingperiod/{lastDateInBillingPeriod}/{billingFrequency}": (
        "bills",
        {"lastDateInBillingPeriod": "lastDateInBillingPeriod", "billingFrequency": "billingFrequency"},
    ),
    "externalmappings/external/{entity}/{m3terId}": (
        "externalmappings",
        {"entity": "m3terEntity", "m3terId": "m3terId"},
    ),
    "externalmappings/externalid/{system}/{externalTable}/{externalId}": (
        "externalmappings",
        {"system": "externalSystem", "externalTable": "externalTable", "externalId": "externalId"},
    ),
}


def register(app: Flask, handlers: Mapping[str, Entities]) -> None:
    """Add the routes of the views."""
    for path, (operation, maximum) in load().views.items():
        view = _view(path, maximum, handlers)
        app.add_url_rule(rule(path), operation, view, methods=["GET"], provide_automatic_options=False)


def _view(path: str, maximum: int, handlers: Mapping[str, Entities]) -> Callable[..., Response]:
    if path.endswith("/search"):
        return lambda: _search(handlers[path.removesuffix("/search")], maximum)
    if path == "accounts/{id}/children":
        return lambda id: _children(handlers["accounts"], maximum, id)  # noqa: A006 - the path parameter's name
    if path in _VIEW_FIELDS:
        source, fields = _VIEW_FIELDS[path]
        return lambda **names: handlers[source].page(source, _equal(fields, names), maximum)
    # Nothing in the sandbox ever runs an integration or permits a resource group: the list is empty.
    return lambda **_: json_answer({"data": []})


def _equal(fields: Mapping[str, str], names: Mapping[str, str]) -> list[tuple[str, Sequence[Any]]]:
    """Return the conditions that the fields have the values in the path."""
    return [(f"json_extract(body, '$.{field}') = ?", [names[name]]) for name, field in fields.items()]


def _children(accounts: Entities, maximum: int, account_id: str) -> Response:
    """Answer the accounts whose parent is this one."""
    require(accounts.world.store.get("accounts", account_id), "Account")
    return accounts.page("accounts", [("json_extract(body, '$.parentAccountId') = ?", [account_id])], maximum)


def _search(entities: Entities, maximum: int) -> Response:
    """Answer a search: a page that starts at ``fromDocument``, the number of entities before it.

    Raises:
        Refusal: 400, where a parameter cannot be understood.
    """
    size = page_size(maximum, _DEFAULT_PAGE_SIZE)
    start = request.args.get("fromDocument") or "0"
    if not re.fullmatch(r"[0-9]{1,9}", start):
        raise Refusal(400, "fromDocument must be a whole number from 0")
    terms = [_term(text) for text in (request.args.get("searchQuery") or "").split("$") if text.strip()]
    operator = (request.args.get("operator") or "AND").upper()
    order = (request.args.get("sortOrder") or "DESC").upper()
    if operator not in ("AND", "OR") or order not in ("ASC", "DESC"):
        raise Refusal(400, "operator must be AND or OR, sortOrder ASC or DESC")
    sort = request.args.get("sortBy") or ""
    if not re.fullmatch(r"[A-Za-z]\w*|", sort, re.ASCII):
        raise Refusal(400, "sortBy must be the name of a field")
    by = f"json_extract(body, '$.{sort}') {order}, seq DESC" if sort else f"seq {order}"
    where = f" {operator} ".join(condition for condition, _ in terms)
    values = [value for _, arguments in terms for value in arguments]
    found = entities.world.store.select(
        entities.collection.path, where, values, order=by, limit=size, offset=int(start)
    )
    return json_answer({"data": found})


def _term(text: str) -> tuple[str, list[str]]:
    """Return one term of a search as a condition and its values."""
    matched = _TERM.match(text)
    if matched is None:
        raise Refusal(400, f"searchQuery has a term without a comparator (: ~ > >= < <=): {text!r}")
    field, comparator, value = matched.groups()
    if not re.fullmatch(r"[A-Za-z]\w*", field, re.ASCII):
        raise Refusal(400, f"searchQuery names no field: {field!r}")
    value = value.strip()
    if field in ("ids", "codes"):
        parts = [part.strip() for part in value.split(",")]
        return f"json_extract(body, '$.{field[:-1]}') IN ({','.join('?' * len(parts))})", parts
    at = f"CAST(json_extract(body, '$.{field}') AS TEXT)"
    if comparator == "~":
        # GLOB and LIKE have wildcards of their own; a comparison of the beginning has none.
        return f"lower(substr({at}, 1, length(?))) = lower(?)", [value, value]
    return f"{at} {_SQL_COMPARATORS[comparator]} ?", [value]
