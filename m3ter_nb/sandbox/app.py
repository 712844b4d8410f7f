"""The web application: the token endpoint, what every call must pass, and the routes of all operations."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from flask import Flask, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from m3ter_nb.sandbox import ingest, organization, resources, search, usage
from m3ter_nb.sandbox.answers import Refusal, json_answer, parse_json
from m3ter_nb.sandbox.framing import Malformed
from m3ter_nb.sandbox.identity import DEMO_ORG_ID, invalid_credentials
from m3ter_nb.sandbox.ingest import DOWNLOADS
from m3ter_nb.sandbox.limits import MAX_BODY_BYTES
from m3ter_nb.sandbox.surface import load, rule

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.sandbox.limits import Api
    from m3ter_nb.sandbox.world import World

__all__ = ["SANDBOX_HEADER", "WIRE", "build"]

#: Every answer carries this header, so that nobody takes the sandbox for the real thing.
SANDBOX_HEADER = "X-M3ter-Sandbox"
#: Where the server puts a list, in which the application says what to do with the connection: "drop" or "cut".
WIRE = "m3ter_nb.sandbox.wire"

_TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
_ACTIONS = {
    "GET": "CONFIG_RETRIEVE",
    "POST": "CONFIG_CREATE",
    "PUT": "CONFIG_UPDATE",
    "DELETE": "CONFIG_DELETE",
}


class _Route(Rule):
    """A route that requests are matched with, and from which no URL is ever made.

    Werkzeug compiles two functions for each route that make its URL: most of what a start would take, in a browser
    page above all. Should it come to call this method no more, a start is slow again, and right all the same.
    """

    def _compile_builder(self, *_: bool, **__: bool) -> Callable[..., tuple[str, str]]:
        return _make_no_url


def _make_no_url(*_: object, **__: object) -> tuple[str, str]:
    raise NotImplementedError("No URL is made from a route of the sandbox")


# The routes of every sandbox are the same, and to compile them is most of a start: they are compiled once.
_routes = Map(merge_slashes=False)
_routed: set[str] = set()


class _Application(Flask):
    """An application on the routes that all share: it adds those that nobody has added, and its own views."""

    url_rule_class = _Route

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        if endpoint is not None and endpoint in _routed:
            self.view_functions[endpoint] = view_func
            return
        super().add_url_rule(rule, endpoint, view_func, *args, **options)
        _routed.add(endpoint or "")


def build(world: World) -> Flask:
    """Return the application that plays m3ter on ``world``."""
    app = _Application("m3ter_nb.sandbox", static_folder=None, template_folder=None)
    app.url_map = _routes
    app.before_request(lambda: _admit(world))
    app.url_value_preprocessor(_drop_organization)
    app.after_request(_sign)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(Malformed, _malformed)
    app.register_error_handler(HTTPException, _failed)
    app.register_error_handler(sqlite3.OperationalError, _too_much)
    app.add_url_rule(
        _TOKEN_PATH, "GenerateToken", lambda: _token(world), methods=["POST"], provide_automatic_options=False
    )
    organization.register(app, world)
    handlers = resources.register(app, world)
    search.register(app, handlers)
    ingest.register(app, world, handlers)
    usage.register(app, world)
    for operation, name in load().others.items():
        method, path = operation.split(" ", 1)
        if name not in app.view_functions:
            app.add_url_rule(rule(path), name, _not_played, methods=[method], provide_automatic_options=False)
    return app


def _token(world: World) -> Response:
    """Answer the token endpoint: HTTP Basic, and ``grant_type`` in a form or in JSON."""
    try:
        basic = request.authorization
    except ValueError:  # Werkzeug lets through that characters beyond ASCII are no base64
        basic = None
    if basic is None or basic.type != "basic":
        raise invalid_credentials()
    answer = world.identity.issue(basic.username or "", basic.password or "")
    _read_body()
    if request.mimetype == "application/json":
        fields = parse_json(request.get_data())
        grant = fields.get("grant_type") if isinstance(fields, dict) else None
    else:
        grant = request.form.get("grant_type")
    if grant != "client_credentials":
        reason = "unsupported_grant_type" if grant else "invalid_request"
        text = "grant_type must be client_credentials"
        raise Refusal(400, text, body={"error": reason, "error_description": text})
    return json_answer(answer)


def _admit(world: World) -> None:
    """Let a request through the fault injection, the firewall, the limits and the authorization, in this order.

    Its body is read at the end: nobody without a token has one kept.
    """
    _meet_faults(world)
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise Refusal(403, "Forbidden")
    if request.path != _TOKEN_PATH:
        _authorize(world)
        _read_body()


def _authorize(world: World) -> None:
    """Hold a request to the limits and to what its token allows."""
    api: Api = "ingest" if request.path.endswith("/measurements") and request.method == "POST" else "config"
    if world.limits is not None:
        world.limits.admit_address(api, request.remote_addr or "")
    if request.path.startswith(DOWNLOADS):
        return
    g.bearer = world.identity.check(request.headers.get("Authorization"))
    _, top, *below = request.path.split("/")
    if top != "organizations" or not below:
        return
    if below[0] != DEMO_ORG_ID:
        raise Refusal(403, "Forbidden")
    if world.limits is not None:
        world.limits.admit_organization(api)
    service, action = _permission(request.method, "/".join(below[1:]))
    if not g.bearer.may(service, action):
        raise Refusal(403, f"Forbidden: the permission {service}:{action} is missing")
    if world.limits is not None and request.endpoint == "PostUsageDataQuery":
        world.limits.admit_explorer()


def _read_body() -> None:
    """Read the body, which the request keeps; a longer one than the firewall lets through is refused."""
    if len(request.get_data()) > MAX_BODY_BYTES:
        raise Refusal(403, "Forbidden")


def _meet_faults(world: World) -> None:
    """Do to the request what was asked for: wait, fail, or tell the server to drop or cut it."""
    wait, fault = world.faults.take(request.path)
    if wait:
        world.pause(wait)
    if fault is None:
        return
    if fault.kind == "fail":
        raise _fault_answer(fault.status, html=fault.html, retry_after=fault.retry_after)
    request.environ.setdefault(WIRE, []).append(fault.kind)
    if fault.kind == "drop":
        raise Refusal(500, "The connection is dropped instead of this answer")


def _permission(method: str, path: str) -> tuple[str, str]:
    """Return the service and the action that a call needs (action names: the document's enumeration)."""
    if path == "measurements":
        return "MEASUREMENTS", "MEASUREMENTS_UPLOAD"
    if path.startswith("measurements/"):
        return "MEASUREMENTS", "MEASUREMENTS_RETRIEVE"
    if path.startswith("fileuploads/"):
        return "MEASUREMENTS", "MEASUREMENTS_FILEUPLOAD"
    if path.startswith(("usage/query", "dataexplorer/")):
        return "ANALYTICS", "ANALYTICS_QUERY"
    return "CONFIG", _ACTIONS.get(method, "CONFIG_RETRIEVE")


def _drop_organization(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Take the organization out of the arguments of a view: there is one, and it has been checked."""
    del endpoint
    if values is not None:
        values.pop("org_id", None)


def _not_played(**names: str) -> Response:
    """Refuse an operation that is documented, but that the sandbox does not play."""
    del names
    raise Refusal(501, f"The sandbox does not play the operation {request.endpoint}; the real API does")


def _fault_answer(status: int, *, html: bool, retry_after: str | None) -> Refusal:
    """Return the refusal of a fault that was asked for."""
    phrase = HTTP_STATUS_CODES.get(status, "Error")
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    if html:
        headers["Content-Type"] = "text/html"
    return Refusal(status, phrase, headers=headers)


def _refused(refusal: Refusal) -> Response:
    """Answer a refusal; a gateway's comes as HTML, as from a load balancer."""
    if refusal.headers.get("Content-Type") == "text/html":
        title = f"{refusal.status} {refusal}"
        page = f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        return Response(page, refusal.status, refusal.headers)
    return json_answer(refusal.body, refusal.status, refusal.headers)


def _malformed(error: Malformed) -> Response:
    """Answer a request whose body broke the rules while it was read."""
    return json_answer({"message": str(error)}, error.status)


def _too_much(error: sqlite3.OperationalError) -> Response:
    """Answer a request of more terms, filters or aggregations than SQLite takes in one statement."""
    return json_answer({"message": f"The sandbox cannot work that out: {error}"}, 400)


def _failed(error: HTTPException) -> Response:
    """Answer what the framework refuses (no such path, wrong method) and our own failures in the API's error shape."""
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return json_answer({"message": error.name}, error.code or 500, headers)


def _sign(response: Response) -> Response:
    response.headers[SANDBOX_HEADER] = "m3ter_nb"
    return response
