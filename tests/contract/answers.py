"""What holds every answer of the sandbox to the official OpenAPI document."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import jsonschema

import surface
from sandbox_fixtures import Client

if TYPE_CHECKING:
    import requests

    from m3ter_nb.sandbox import Sandbox

#: Where the documented examples contradict their own schema: a null in a field that the schema calls a string.
#: ``scope`` is null in the documented token answer; ``dtActioned`` is required, although an event that nobody has
#: actioned has no such time.
NULLABLE = (("BearerAccessTokenResponse", "scope"), ("EventResponse", "dtActioned"))

#: Operations whose documented answer is that of another entity, and the schema of the entity they are about.
MISDESCRIBED = {
    "GetIntegrationConfig": "IntegrationConfigResponse",
    "PostCompoundAggregation": "CompoundAggregationResponse",
    "PutCompoundAggregation": "CompoundAggregationResponse",
}

#: Lists whose items the document describes by what all kinds of them have in common.
BASE_LISTS = ("ListDestinations", "listSchedules")

_formats = jsonschema.FormatChecker(formats=())


@_formats.checks("date-time", ValueError)
def _date_time(value: Any) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value.upper()).tzinfo is not None


@_formats.checks("date", ValueError)
def _date(value: Any) -> bool:
    return not isinstance(value, str) or isinstance(date.fromisoformat(value), date)


class Contract:
    """The document, asked one question: is this an answer that it allows?"""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        for name, field in NULLABLE:
            document["components"]["schemas"][name]["properties"][field]["nullable"] = True
        _understand(document)
        self.exercised: set[tuple[str, int]] = set()
        self._paths = [
            (re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"), item)
            # A path with fewer names wins: users/me before users/{id}.
            for path, item in sorted(document["paths"].items(), key=lambda entry: entry[0].count("{"))
        ]

    def operation(self, method: str, path: str) -> dict[str, Any] | None:
        """Return the operation that a request is, or None."""
        for pattern, item in self._paths:
            if pattern.match(path) and method.lower() in item:
                return dict(item[method.lower()])
        return None

    def check(self, answer: requests.Response) -> None:
        """Hold an answer to the document: its status, its media type, its schema, and no field of its own."""
        method = str(answer.request.method)
        path = str(answer.request.path_url).partition("?")[0]
        operation = self.operation(method, path)
        if operation is None:
            assert answer.status_code in (403, 404, 405), (method, path, answer.status_code)
            self._validate({"$ref": "#/components/responses/Error/content/application~1json/schema"}, answer)
            return
        status = answer.status_code
        described = operation["responses"].get(str(status)) or operation["responses"].get(
            f"{status // 100}XX"
        )
        assert described is not None, f"{operation['operationId']} has no answer {status}"
        described = surface.resolve(self.document, described)
        self.exercised.add((operation["operationId"], status))
        if "content" in described:
            ((media, content),) = described["content"].items()
            assert media in (answer.headers["Content-Type"], "*/*")
            schema = content["schema"]
            if answer.ok and operation["operationId"] in MISDESCRIBED:
                schema = {"$ref": f"#/components/schemas/{MISDESCRIBED[operation['operationId']]}"}
            self._validate(schema, answer, entities=operation["operationId"] not in BASE_LISTS)

    def _validate(self, schema: dict[str, Any], answer: requests.Response, *, entities: bool = True) -> None:
        value = answer.json()
        whole = {**schema, "components": self.document["components"]}
        jsonschema.Draft4Validator(whole, format_checker=_formats).validate(value)
        if answer.ok and isinstance(value, dict):
            known = surface.compact(self.document, schema)
            assert_known(value, known)
            item = known.get("properties", {}).get("data", {}).get("items", {})
            for entity in value.get("data", ()) if entities and "properties" in item else ():
                assert_known(entity, item)


def assert_known(value: dict[str, Any], known: dict[str, Any]) -> None:
    """Hold an object to the fields that the document has for it."""
    variants = [variant.get("properties", {}) for variant in (known, *known.get("oneOf", ()))]
    if any(variants):
        assert set(value) <= {name for variant in variants for name in variant}, (
            "fields that the document does not have"
        )


def _understand(node: Any) -> None:
    """Write OpenAPI 3.0's ``nullable`` in the words of JSON Schema, and Java's patterns in Python's."""
    if isinstance(node, dict):
        if isinstance(node.get("pattern"), str):
            node["pattern"] = surface.PATTERNS.get(node["pattern"], node["pattern"])
        if node.get("nullable") is True and isinstance(node.get("type"), str):
            node["type"] = [node["type"], "null"]
        for child in node.values():
            _understand(child)
    elif isinstance(node, list):
        for child in node:
            _understand(child)


class CheckedClient(Client):
    """A client that asks the contract about every answer it gets."""

    contract: Contract

    def token(self) -> requests.Response:
        """Ask for a token."""
        answer = super().token()
        self.contract.check(answer)
        return answer

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request and check the answer."""
        answer = super().call(method, path, **options)
        self.contract.check(answer)
        return answer


def checked(sandbox: Sandbox, contract: Contract, **options: Any) -> CheckedClient:
    """Return a client, not logged in, whose every answer is checked."""
    client = CheckedClient(sandbox, **options)
    client.contract = contract
    return client
