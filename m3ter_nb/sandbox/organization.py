"""The organization itself: who is logged in, and the objects of which an organization has one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from flask import g, request

from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_json
from m3ter_nb.sandbox.identity import DEMO_ORG_ID
from m3ter_nb.sandbox.resources import new_stamps, next_stamps
from m3ter_nb.sandbox.surface import Singleton, load, rule

if TYPE_CHECKING:
    from flask import Flask
    from werkzeug.wrappers import Response

    from m3ter_nb.sandbox.world import World

__all__ = ["register"]

#: What a new organization is configured as; the dates and the time zone are the document's defaults.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "organizationconfig": {
        "timezone": "UTC",
        "yearEpoch": "2022-01-01",
        "monthEpoch": "2022-01-01",
        "weekEpoch": "2022-01-04",
        "dayEpoch": "2022-01-01",
        "currency": "USD",
        "currencyConversions": [],
        "daysBeforeBillDue": 30,
        "scheduledBillInterval": 0,
        "standingChargeBillInAdvance": False,
        "commitmentFeeBillInAdvance": False,
        "minimumSpendBillInAdvance": False,
    },
}


def register(app: Flask, world: World) -> None:
    """Add users/me and the singletons."""

    def me() -> Response:
        user = g.bearer.user
        return json_answer(
            {
                "serviceUser": {"id": user.id, "version": 1, "name": user.name, "dtCreated": world.started},
                "organization": {
                    "id": DEMO_ORG_ID,
                    "version": 1,
                    "orgId": DEMO_ORG_ID,
                    "organizationName": "m3ter_nb sandbox",
                    "shortName": "sandbox",
                    "type": world.organization_type,
                    "status": "ACTIVE",
                    "dtCreated": world.started,
                },
            }
        )

    app.add_url_rule(rule("users/me"), "GetMe", me, methods=["GET"], provide_automatic_options=False)
    for singleton in load().singletons.values():
        single = _Single(world, singleton)
        views = {"get": single.retrieve, "put": single.update}
        for method, operation in singleton.operations.items():
            app.add_url_rule(
                rule(singleton.path),
                operation,
                views[method],
                methods=[method.upper()],
                provide_automatic_options=False,
            )


class _Single:
    """One object at a path without an id; it exists from the start."""

    def __init__(self, world: World, singleton: Singleton) -> None:
        self.world = world
        self.singleton = singleton
        self.id = str(uuid.uuid5(uuid.UUID(DEMO_ORG_ID), singleton.path))

    def retrieve(self) -> Response:
        """Answer the object."""
        return json_answer(self._stored())

    def update(self) -> Response:
        """Answer a full replacement, its version checked as that of any entity."""
        fields = self.singleton.body.check(parse_json(request.get_data()))
        with self.world.store.transaction():
            stored = self._stored()
            if fields.get("version") != stored["version"]:
                raise Refusal(
                    self.world.conflict_status, f"Version mismatch: it is at version {stored['version']}"
                )
            changed = {**fields, "id": self.id, "version": stored["version"] + 1}
            if self.singleton.stamps:
                changed |= next_stamps(self.world, stored)
            self.world.store.put(self.singleton.path, changed)
        return json_answer(changed)

    def _stored(self) -> dict[str, Any]:
        path = self.singleton.path
        with self.world.store.transaction():
            stored = self.world.store.get(path, self.id)
            if stored is None:
                stored = {"id": self.id, "version": 1, **_DEFAULTS.get(path, {})}
                if self.singleton.stamps:
                    stored |= new_stamps(self.world)
                self.world.store.put(path, stored)
        return stored
