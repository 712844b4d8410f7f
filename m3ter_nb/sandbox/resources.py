"""Collections of entities: one behaviour for all of them.

Lists are pages ``{data, nextToken}``, newest first; a PUT replaces the whole entity and checks ``version``; every
success is 200; DELETE returns the entity. Source: the OpenAPI document, section "Pagination" and ``AbstractRequest``.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from typing import TYPE_CHECKING, Any

from flask import g, request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_json
from m3ter_nb.sandbox.dates import date_condition
from m3ter_nb.sandbox.moments import timestamp
from m3ter_nb.sandbox.surface import Collection, load, rule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.world import World

__all__ = ["Entities", "new_stamps", "next_stamps", "page_size", "register", "require", "values_of"]

_DEFAULT_PAGE_SIZE = 100
_READ_ONLY = ("id", "version", "dtCreated", "dtLastModified", "createdBy", "lastModifiedBy")


def register(app: Flask, world: World) -> dict[str, Entities]:
    """Add the routes of every collection; return what handles them, by path."""
    handlers = {
        path: (_Events if path == "events" else Entities)(world, collection)
        for path, collection in load().collections.items()
    }
    for path, entities in handlers.items():
        views: dict[str, tuple[str, str, Callable[..., Response]]] = {
            "list": ("GET", path, entities.list_page),
            "create": ("POST", path, entities.create),
            "retrieve": ("GET", path + "/{id}", entities.retrieve),
            "update": ("PUT", path + "/{id}", entities.update),
            "delete": ("DELETE", path + "/{id}", entities.delete),
        }
        for verb, operation in entities.collection.operations.items():
            method, at, view = views[verb]
            app.add_url_rule(rule(at), operation, view, methods=[method], provide_automatic_options=False)
    return handlers


def require(entity: dict[str, Any] | None, what: str) -> dict[str, Any]:
    """Return the entity.

    Raises:
        Refusal: 404, where there is none.
    """
    if entity is None:
        raise Refusal(404, f"{what} not found")
    return entity


def values_of(name: str) -> list[str]:
    """Return the values of a filter, given repeated (``ids=a&ids=b``) or joined by commas (``ids=a,b``)."""
    return [value for text in request.args.getlist(name) for value in text.split(",") if value]


def page_size(maximum: int, default: int = _DEFAULT_PAGE_SIZE) -> int:
    """Return the requested page size.

    Raises:
        Refusal: 400, where it is no number from 1 to ``maximum``.
    """
    text = request.args.get("pageSize", "")
    if not text:
        return min(default, maximum)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= maximum):
        raise Refusal(400, f"pageSize must be a whole number from 1 to {maximum}")
    return int(text)


def new_stamps(world: World) -> dict[str, Any]:
    """Return who made an entity, and when: the caller, now."""
    now, user = world.now(), g.bearer.user.id
    return {"dtCreated": now, "dtLastModified": now, "createdBy": user, "lastModifiedBy": user}


def next_stamps(world: World, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stamps of an entity that the caller changes now."""
    return {
        "dtCreated": stored["dtCreated"],
        "dtLastModified": world.now(),
        "createdBy": stored["createdBy"],
        "lastModifiedBy": g.bearer.user.id,
    }


class Entities:
    """The operations on one collection."""

    def __init__(self, world: World, collection: Collection) -> None:
        self.world = world
        self.collection = collection
        self.kind = collection.path.rpartition("/")[2].removesuffix("s").capitalize()

    def key(self, names: Mapping[str, str]) -> str:
        """Return the name of the concrete collection in the store.

        Raises:
            Refusal: 404, where it belongs to an entity that does not exist.
        """
        concrete = self.collection.path.format_map(names)
        if self.collection.parent is not None:
            above, _, parent_id = self.collection.parent.format_map(names).rpartition("/")
            require(self.world.store.get(above, parent_id), above.rpartition("/")[2])
        return concrete

    def list_page(self, **names: str) -> Response:
        """Answer a list: one page, newest first."""
        return self.page(self.key(names), self.conditions(), self.collection.page_size_max)

    def page(self, key: str, where: Sequence[tuple[str, Sequence[Any]]], maximum: int) -> Response:
        """Answer the page of ``key`` that the request asks for, of entities that meet ``where``."""
        before = self._place(key)
        entities, place = self.world.store.page(key, size=page_size(maximum), before=before, where=where)
        answer: dict[str, Any] = {"data": entities}
        if place is not None:
            text = json.dumps([key, place], separators=(",", ":"))
            answer["nextToken"] = base64.urlsafe_b64encode(text.encode()).decode()
        elif self.world.last_page != "absent":
            answer["nextToken"] = None if self.world.last_page == "null" else ""
        return json_answer(answer)

    def create(self, **names: str) -> Response:
        """Answer a create: the entity at version 1."""
        fields = self._fields()
        key = self.key(names)
        with self.world.store.transaction():
            self._refuse_taken_code(key, fields)
            return json_answer(self.insert(key, fields))

    def insert(self, key: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Store a new entity with these fields and return it."""
        entity = {"id": str(uuid.uuid4()), "version": 1, **self._shown(fields)}
        if self.collection.stamps:
            entity |= new_stamps(self.world)
        self.world.store.put(key, entity)
        return entity

    def retrieve(self, id: str, **names: str) -> Response:  # noqa: A002 - the path parameter's name in the document
        """Answer one entity."""
        return json_answer(self._stored(self.key(names), id))

    def update(self, id: str, **names: str) -> Response:  # noqa: A002 - the path parameter's name in the document
        """Answer a full replacement: the entity one version on."""
        fields = self._fields()
        key = self.key(names)
        with self.world.store.transaction():
            stored = self._stored(key, id)
            given = fields.get("version")
            if given != stored["version"]:
                raise Refusal(
                    self.world.conflict_status,
                    f"Version mismatch: the {self.kind} is at version {stored['version']}, the request has {given}",
                )
            self._refuse_taken_code(key, fields, but=id)
            entity = {"id": id, "version": stored["version"] + 1, **self._shown(fields)}
            if self.collection.stamps:
                entity |= next_stamps(self.world, stored)
            self.world.store.put(key, entity)
        return json_answer(entity)

    def delete(self, id: str, **names: str) -> Response:  # noqa: A002 - the path parameter's name in the document
        """Answer a delete: the entity as it was."""
        key = self.key(names)
        with self.world.store.transaction():
            entity = self._stored(key, id)
            self.world.store.delete(key, id)
        return json_answer(entity)

    def _stored(self, key: str, entity_id: str) -> dict[str, Any]:
        return require(self.world.store.get(key, entity_id), self.kind)

    def _shown(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a body that the entity shows."""
        hidden = self.collection.write_only.union(_READ_ONLY)
        return {name: value for name, value in fields.items() if name not in hidden}

    def _fields(self) -> dict[str, Any]:
        value = parse_json(request.get_data())
        body = self.collection.body
        return body.check(value) if body is not None else dict(value)

    def _refuse_taken_code(self, key: str, fields: Mapping[str, Any], but: str | None = None) -> None:
        body = self.collection.body
        if body is None or "code" not in body.required:
            return
        taken = self.world.store.by_code(key, fields["code"])
        if taken is not None and taken["id"] != but:
            raise Refusal(
                self.world.conflict_status, f"A {self.kind} with code {fields['code']} exists already"
            )

    def conditions(self) -> list[tuple[str, Sequence[Any]]]:
        """Return the filters of the request as conditions of the store."""
        where: list[tuple[str, Sequence[Any]]] = []
        for name, kind in self.collection.filters.items():
            values: list[Any] = values_of(name)
            marks = ",".join("?" * len(values))
            if not values:
                continue
            if name in ("ids", "codes"):
                where.append((f"{name[:-1]} IN ({marks})", values))
            elif kind == "boolean":
                # The name comes from the table, never from the request. A flag that was never set is false.
                flags = [{"true": 1, "false": 0}.get(value.lower()) for value in values]
                where.append((f"COALESCE(json_extract(body, '$.{name}'), 0) IN ({marks})", flags))
            elif kind in ("string", "integer", "number"):
                where.append((f"CAST(json_extract(body, '$.{name}') AS TEXT) IN ({marks})", values))
            else:
                by_date = date_condition(self.collection, name, values[0])
                where += [] if by_date is None else [by_date]
        return where

    def _place(self, key: str) -> int | None:
        text = request.args.get("nextToken", "")
        if not text:
            return None
        try:
            of, place = json.loads(base64.urlsafe_b64decode(text.encode()))
        except (binascii.Error, ValueError, TypeError, RecursionError):
            of, place = None, None
        if of != key or not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < 2**63:
            raise Refusal(400, "nextToken was not given by this list")
        return place


class _Events(Entities):
    """The events of the organization: written by the sandbox, read by clients."""

    def conditions(self) -> list[tuple[str, Sequence[Any]]]:
        """Return the filters of the request; the category and the account are inside an event."""
        where = super().conditions()
        for name in ("eventType", "accountId", "notificationId", "notificationCode", "resourceId"):
            values = values_of(name)
            if values:
                where.append(
                    (f"json_extract(body, '$.m3terEvent.{name}') IN ({','.join('?' * len(values))})", values)
                )
        shown = self._latest_shown()
        return where if shown is None else [*where, ("json_extract(body, '$.eventTime') <= ?", [shown])]

    def _stored(self, key: str, entity_id: str) -> dict[str, Any]:
        event, shown = super()._stored(key, entity_id), self._latest_shown()
        return require(event if shown is None or event["eventTime"] <= shown else None, self.kind)

    def _latest_shown(self) -> str | None:
        shown = self.world.latest_shown()
        return None if shown is None else timestamp(shown)
