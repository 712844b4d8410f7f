"""Calls through a session, over HTTP to the sandbox."""

from __future__ import annotations

import gc
import pickle
from enum import Enum
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from m3ter_nb.api.operations import largest_page
from m3ter_nb.api.session import M3terSession
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import (
    BadRequest,
    CredentialsMissing,
    Forbidden,
    InvalidArgument,
    LoginRefused,
    NotFound,
    OrganizationMismatch,
    UnsafeDestination,
    VersionConflict,
)
from m3ter_nb.hiding import Sealed
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET
from m3ter_nb.wire.encoding import query_of
from m3ter_nb.wire.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.sandbox import Sandbox


@pytest.fixture
def session(sandbox: Sandbox, credentials: Credentials) -> Iterator[M3terSession]:
    """Return a session with the sandbox."""
    with m3ter_nb.login(credentials, base_url=sandbox.url) as opened:
        yield opened


def test_login_from_the_environment_makes_one_token_request(sandbox_environ: Sandbox) -> None:
    with m3ter_nb.login() as session:
        session.get("products")
        session.get("accounts")

    assert [(record.method, record.path.rpartition("/")[2]) for record in sandbox_environ.log] == [
        ("POST", "token"),
        ("GET", "products"),
        ("GET", "accounts"),
    ]


def test_login_without_credentials_names_the_variables() -> None:
    with pytest.raises(CredentialsMissing, match="M3TER_API_KEY and M3TER_API_SECRET"):
        m3ter_nb.login()


def test_a_wrong_secret_is_refused_and_not_repeated(sandbox: Sandbox) -> None:
    wrong = m3ter_nb.Credentials(DEMO_KEY_ID, "not-the-secret-8471")

    with pytest.raises(LoginRefused) as caught:
        m3ter_nb.login(wrong, base_url=sandbox.url)

    assert caught.value.status == 401
    assert "not-the-secret-8471" not in str(caught.value)
    assert "ACTIVE in the Console" in str(caught.value)


def test_a_secret_in_place_of_the_key_id_is_not_repeated(sandbox: Sandbox) -> None:
    with pytest.raises(LoginRefused) as caught:
        m3ter_nb.login(m3ter_nb.Credentials(DEMO_SECRET, DEMO_KEY_ID), base_url=sandbox.url)

    assert DEMO_SECRET[:4] not in str(caught.value)


def test_a_token_for_another_organization_is_refused_at_login(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    with pytest.raises(OrganizationMismatch, match=DEMO_ORG_ID):
        m3ter_nb.login(credentials, base_url=sandbox.url, org_id="81c49a54-dfcd-4da5-bbf3-d2885ec025dd")


def test_the_organization_comes_from_the_token(session: M3terSession) -> None:
    assert session.org_id == DEMO_ORG_ID


def test_entities_are_created_read_replaced_and_deleted(session: M3terSession) -> None:
    created = session.post("products", json={"name": "API calls", "code": "api_calls"})
    path = f"products/{created['id']}"

    replaced = session.put(path, json={**created, "name": "API requests"})
    read = session.get(path)
    deleted = session.delete(path)

    assert (created["version"], replaced["version"], read["name"], deleted["id"]) == (
        1,
        2,
        "API requests",
        created["id"],
    )
    with pytest.raises(NotFound):
        session.get(path)


def test_a_missing_version_is_that_of_the_last_read(session: M3terSession) -> None:
    created = session.post("products", json={"name": "API calls", "code": "api_calls"})

    replaced = session.put(f"products/{created['id']}", json={"name": "New", "code": "api_calls"})

    assert replaced["version"] == 2


def test_a_stale_version_is_a_conflict_that_overwrites_nothing(session: M3terSession) -> None:
    created = session.post("products", json={"name": "API calls", "code": "api_calls"})
    path = f"products/{created['id']}"
    session.put(path, json={**created, "name": "Theirs"})

    with pytest.raises(VersionConflict, match="GET it again"):
        session.put(path, json={**created, "name": "Mine"})

    assert session.get(path)["name"] == "Theirs"


def test_a_stale_version_answered_with_400_is_a_conflict_too(credentials: Credentials) -> None:
    with (
        m3ter_nb.Sandbox(conflict_status=400) as sandbox,
        m3ter_nb.login(credentials, base_url=sandbox.url) as session,
    ):
        created = session.post("products", json={"name": "API calls", "code": "api_calls"})
        session.put(f"products/{created['id']}", json=created)

        with pytest.raises(VersionConflict):
            session.put(f"products/{created['id']}", json=created)


@pytest.mark.parametrize("last_page", ["absent", "null", "empty"])
def test_pages_yields_every_item_once_newest_first(credentials: Credentials, last_page: str) -> None:
    with (
        m3ter_nb.Sandbox(limits=False, last_page=last_page) as sandbox,
        m3ter_nb.login(credentials, base_url=sandbox.url) as session,
    ):
        for number in range(7):
            session.post("products", json={"name": f"P{number}", "code": f"p{number}"})

        codes = [product["code"] for product in session.pages("products", pageSize=3)]

    assert codes == ["p6", "p5", "p4", "p3", "p2", "p1", "p0"]


class Colour(Enum):
    """Something that people put into a query."""

    RED = "red"


def test_a_query_that_no_url_can_carry_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no URL can carry"):
        query_of({"name": "\ud800"})


@pytest.mark.parametrize(
    ("params", "query"),
    [
        (None, ""),
        ({}, ""),
        (
            {"ids": ["a", "b"], "codes": ("c",), "n": 3, "active": True, "none": None},
            "ids=a%2Cb&codes=c&n=3&active=true",
        ),
        ([("id", "a"), ("id", "b & c")], "id=a&id=b+%26+c"),
        ("as=it%20is", "as=it%20is"),
        ("?a=1", "a=1"),
        (b"a=1", "a=1"),
        (
            {"n": range(2), "colour": Colour.RED, "colours": [Colour.RED], "keys": {"k": 1}.keys()},
            "n=0%2C1&colour=red&colours=red&keys=k",
        ),
        ({"name": "Zoë"}, "name=Zo%C3%AB"),
    ],
)
def test_a_query_is_written_as_the_official_sdks_write_it(params: object, query: str) -> None:
    assert query_of(params) == query


def test_a_query_is_added_to_one_that_the_path_has(session: M3terSession) -> None:
    first, second, _ = [
        session.post("products", json={"name": code, "code": code}) for code in ("a", "b", "c")
    ]

    page = session.get("products?pageSize=1", params={"ids": [first["id"], second["id"]]})

    assert page["data"] == [second]
    assert session.get("products?pageSize=5", params={"ids": first["id"]})["data"] == [first]


@pytest.mark.parametrize("path", ["products", "{}/organizations/o/products"])
@pytest.mark.parametrize(
    ("query", "said"), [("ids=A#B", "%23"), ("ids=", "an empty text, by which nothing is filtered")]
)
def test_a_path_whose_query_is_cut_off_or_filters_nothing_is_refused(
    session: M3terSession, sandbox: Sandbox, path: str, query: str, said: str
) -> None:
    before = len(sandbox.log)

    with pytest.raises(InvalidArgument, match=said):
        session.get(f"{path.format(sandbox.url)}?{query}")

    assert len(sandbox.log) == before


def test_pages_asks_for_the_largest_page_by_default(session: M3terSession, sandbox: Sandbox) -> None:
    for number in range(120):
        session.post("products", json={"name": f"P{number}", "code": f"p{number}"})
    before = len(sandbox.log)

    assert len(list(session.pages("products"))) == 120
    assert len(sandbox.log) - before == 1


def test_pages_of_something_that_is_no_list_is_an_error(session: M3terSession) -> None:
    with pytest.raises(InvalidArgument, match="not a list"):
        next(session.pages("users/me"))


def test_the_documented_page_sizes_are_known() -> None:
    assert [
        largest_page(path) for path in ("products", "accounts", "meters", "users", "accounts/1/children")
    ] == [
        200,
        100,
        100,
        200,
        200,
    ]


def test_another_organization_in_the_path_is_explained(session: M3terSession) -> None:
    with pytest.raises(Forbidden, match=f"the token is for {DEMO_ORG_ID}"):
        session.get("/organizations/81c49a54-dfcd-4da5-bbf3-d2885ec025dd/products")


def test_a_missing_permission_names_what_the_token_allows(sandbox: Sandbox) -> None:
    narrow = m3ter_nb.Credentials(NARROW_KEY_ID, NARROW_SECRET)
    with m3ter_nb.login(narrow, base_url=sandbox.url) as session, pytest.raises(Forbidden) as caught:
        session.get("products")

    assert "MEASUREMENTS_UPLOAD" in str(caught.value)


def test_a_fresh_token_that_is_refused_is_not_renewed(sandbox: Sandbox) -> None:
    narrow = m3ter_nb.Credentials(NARROW_KEY_ID, NARROW_SECRET)
    with m3ter_nb.login(narrow, base_url=sandbox.url) as session, pytest.raises(Forbidden):
        session.get("products")

    assert [record.status for record in sandbox.log] == [200, 403]


def test_the_error_carries_what_is_known_and_no_token(session: M3terSession) -> None:
    with pytest.raises(BadRequest) as caught:
        session.post("products", json={"name": "no code"})

    error = caught.value
    assert (error.status, error.method, error.path) == (400, "POST", f"/organizations/{DEMO_ORG_ID}/products")
    assert error.reason
    assert error.response is not None
    assert error.response.request.headers["Authorization"] == "Bearer <hidden>"
    assert error.response.request.body == b'{"name":"no code"}'
    assert (error.response.status_code, error.response.reason) == (400, "BAD REQUEST")
    assert error.response.json()["message"] in str(error)
    assert error.response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "path",
    ["http://127.0.0.1:1/products", "https://example.com/products", "//example.com/products", "ftp://x/y"],
)
def test_the_token_is_not_sent_to_another_host(session: M3terSession, path: str) -> None:
    with pytest.raises(UnsafeDestination):
        session.get(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "  ",
        "/",
        "../users",
        "products/../../oauth/token",
        "products/./x",
        "products/%2e%2e/%2E%2E/x",
        "a\ud800",
    ],
)
def test_a_path_that_climbs_or_is_empty_is_refused(
    session: M3terSession, sandbox: Sandbox, path: str
) -> None:
    with pytest.raises(InvalidArgument):
        session.get(path)

    assert len(sandbox.log) == 1


def test_a_path_that_is_no_text_is_refused(session: M3terSession) -> None:
    with pytest.raises(InvalidArgument, match="NoneType"):
        session.get(None)  # type: ignore[arg-type]  # the mistake that is meant


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.com\\@api.m3ter.com/x",
        "https://api.m3ter.com\\@evil.com/x",
        "https://api.m3ter.com\t.evil.com/x",
        "https://api.m3te\nr.com/x",
        "https://api.m3ter.com.:443/x",
        "https://api.m3ter.com%2eevil.com/x",
        "https:///api.m3ter.com/x",
        "https://api.m3ter.com;x/",
        "https://\uff41pi.m3ter.com/x",
        "https://[::1]/x",
        "http://api.m3ter.com/x",
        "https://api.m3ter.com:0/x",
        "https://[",
        "https://api.m3ter.com/\ud800",
    ],
)
def test_an_odd_url_leads_nowhere_and_its_error_is_one_line(url: str) -> None:
    session = M3terSession(TokenSource(Token("opaque", 60)), Transport(), org_id="o")

    with pytest.raises(InvalidArgument) as caught:
        session.get(url)

    assert str(caught.value).isprintable()


@pytest.mark.parametrize("org_id", ["../evil", "x#f", "x?y=1", "a b", "a/b"])
def test_an_organization_id_stays_one_segment_of_the_path(org_id: str) -> None:
    source = TokenSource(Token("opaque", 60))

    with pytest.raises(InvalidArgument, match="copy it from the Console"):
        M3terSession(source, Transport(), org_id=org_id)


def test_white_space_and_quotes_around_the_organization_id_are_taken_off(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    with m3ter_nb.login(credentials, base_url=sandbox.url, org_id=f' "{DEMO_ORG_ID}"\n') as session:
        assert session.org_id == DEMO_ORG_ID


def test_the_organization_of_the_environment_is_held_against_credentials_that_were_handed_over(
    sandbox: Sandbox, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M3TER_ORG_ID", "another-organization")

    with pytest.raises(OrganizationMismatch):
        m3ter_nb.login(credentials, base_url=sandbox.url)


def test_login_takes_one_timeout_or_two_and_nothing_but_credentials(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    for timeout in (10, (1.0, 2.0)):
        m3ter_nb.login(credentials, base_url=sandbox.url, timeout=timeout).close()
    with pytest.raises(InvalidArgument, match="Credentials"):
        m3ter_nb.login("key")  # type: ignore[arg-type]  # the mistake that is meant


def test_a_version_that_only_a_list_has_shown_is_not_filled_in(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    with (
        m3ter_nb.login(credentials, base_url=sandbox.url) as mine,
        m3ter_nb.login(credentials, base_url=sandbox.url) as theirs,
    ):
        created = mine.post("products", json={"name": "First", "code": "c"})
        theirs.put(f"products/{created['id']}", json={**created, "name": "Theirs"})
        mine.get("products")

        with pytest.raises(VersionConflict):
            mine.put(f"products/{created['id']}", json={"name": "Mine", "code": "c"})

        assert theirs.get(f"products/{created['id']}")["name"] == "Theirs"


def test_a_put_that_names_no_version_is_told_so(
    session: M3terSession, sandbox: Sandbox, credentials: Credentials
) -> None:
    with m3ter_nb.login(credentials, base_url=sandbox.url) as other:
        created = other.post("products", json={"name": "First", "code": "c"})

    with pytest.raises(m3ter_nb.M3terError, match="GET the entity"):
        session.put(f"products/{created['id']}", json={"name": "Mine", "code": "c"})


def test_errors_travel_between_processes(session: M3terSession) -> None:
    with pytest.raises(NotFound) as caught:
        session.get("products/8a2a8b0c-0000-4000-8000-000000000000")
    refused = LoginRefused("refused", status=401)

    copied, copied_refusal = pickle.loads(pickle.dumps(caught.value)), pickle.loads(pickle.dumps(refused))

    assert (type(copied), str(copied), copied.status, copied.response) == (
        NotFound,
        str(caught.value),
        404,
        None,
    )
    assert copied_refusal.status == 401


def test_a_token_in_a_path_is_not_repeated(session: M3terSession) -> None:
    with pytest.raises(NotFound) as caught:
        session.get(f"products/{session.token}")

    assert session.token.reveal() not in str(caught.value)
    assert session.token.reveal() not in caught.value.path


def test_an_unknown_method_is_refused(session: M3terSession) -> None:
    with pytest.raises(InvalidArgument, match="GET, POST, PUT, DELETE"):
        session.request("PATCH", "products")


def test_a_body_over_the_limit_is_refused_before_sending(session: M3terSession, sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgument, match="512,000"):
        session.post("products", json={"name": "x" * 512_000, "code": "x"})

    assert len(sandbox.log) == 1


def test_measurements_of_production_go_to_the_ingest_host() -> None:
    session = M3terSession(TokenSource(Token("t", 60)), Transport(), org_id="org")

    assert session.url("measurements", "POST") == "https://ingest.m3ter.com/organizations/org/measurements"
    assert session.url("measurements", "GET") == "https://api.m3ter.com/organizations/org/measurements"


def test_whoami_is_empty_where_it_is_not_allowed(sandbox: Sandbox, session: M3terSession) -> None:
    sandbox.faults.fail(403, path=f"/organizations/{DEMO_ORG_ID}/users/me")

    assert session.whoami() == {}
    assert session.whoami()["serviceUser"]["name"] == "Sandbox administrator"


def test_close_forgets_the_token(sandbox: Sandbox, credentials: Credentials) -> None:
    session = m3ter_nb.login(credentials, base_url=sandbox.url)
    session.close()

    with pytest.raises(m3ter_nb.M3terError, match="This session is closed"):
        session.get("products")


def test_a_ready_token_is_used_as_it_is(
    sandbox: Sandbox, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    with m3ter_nb.login(credentials, base_url=sandbox.url) as first:
        monkeypatch.setenv("M3TER_API_TOKEN", first.token.reveal())
        monkeypatch.setenv("M3TER_BASE_URL", sandbox.url)

        with m3ter_nb.login() as session:
            session.get("products")

    assert not session.source.renews
    assert sum(record.path == "/oauth/token" for record in sandbox.log) == 1


def test_the_secret_is_not_reachable_from_a_session_that_does_not_renew(sandbox: Sandbox) -> None:
    secret = "".join(DEMO_SECRET)
    kept, forgotten = (
        m3ter_nb.login(m3ter_nb.Credentials(DEMO_KEY_ID, secret), base_url=sandbox.url, refresh=refresh)
        for refresh in (True, False)
    )

    assert secret in _reachable(kept)
    assert secret not in _reachable(forgotten)


def _reachable(root: object) -> list[str]:
    """Return every text that is reachable from an object, but for modules and code."""
    seen: dict[int, object] = {}
    todo = [root]
    while todo:
        item = todo.pop()
        if id(item) not in seen and not isinstance(item, (type, ModuleType, FunctionType)):
            seen[id(item)] = item
            todo += gc.get_referents(item)
    sealed = [item.open() for item in seen.values() if isinstance(item, Sealed)]
    return [item for item in seen.values() if isinstance(item, str)] + sealed


def test_filters_are_named_or_given_as_the_query(session: M3terSession, sandbox: Sandbox) -> None:
    ids = [session.post("products", {"name": "x", "code": code})["id"] for code in ("a", "b", "c")]

    assert len(session.get("products", pageSize=2)["data"]) == 2
    assert len(session.get("products", {"pageSize": 2})["data"]) == 2
    assert len(session.get("products", params="pageSize=1")["data"]) == 1
    assert len(session.get("products", {"pageSize": 2}, ids=ids[:1])["data"]) == 1
    assert len(session.get("products", "pageSize=2", ids=ids[0])["data"]) == 1
    assert [p["id"] for p in session.pages("products", {"pageSize": 1}, ids=ids[:2])] == ids[1::-1]
    assert [p["id"] for p in session.pages("products", [("ids", ids[0]), ("ids", ids[2])])] == [
        ids[2],
        ids[0],
    ]
    assert [p["id"] for p in session.pages("products", f"ids={ids[0]}")] == ids[:1]


@pytest.mark.parametrize("ask", ["get", "pages", "request"])
@pytest.mark.parametrize("more", [{}, {"pageSize": 5}], ids=["alone", "with a filter by name"])
def test_a_query_of_pairs_that_can_be_read_once_filters_all_the_same(
    session: M3terSession, ask: str, more: dict[str, int]
) -> None:
    first, *_ = [session.post("products", {"name": "x", "code": code})["id"] for code in ("a", "b", "c")]
    pairs = (pair for pair in [("ids", first)])

    if ask == "request":
        found = session.request("GET", "products", params=pairs)["data"]
    else:
        answer = getattr(session, ask)("products", pairs, **more)
        found = answer["data"] if ask == "get" else list(answer)

    assert [product["id"] for product in found] == [first]


def test_a_body_is_the_second_argument_or_named(session: M3terSession) -> None:
    one = session.post("products", {"name": "x", "code": "a"})
    two = session.post("products", json={"name": "x", "code": "b"}, params=None)

    assert session.put(f"products/{one['id']}", {**one, "name": "y"})["name"] == "y"
    assert session.put(f"products/{two['id']}", json={**two, "name": "z"})["name"] == "z"


def test_a_session_shows_what_it_can_do(session: M3terSession) -> None:
    from IPython.core.formatters import DisplayFormatter

    shown, _ = DisplayFormatter().format(session)

    assert shown["text/plain"].startswith(repr(session))
    for method in ("get", "pages", "post", "update", "put", "delete", "whoami", "sdk"):
        assert f".{method}(" in shown["text/plain"]
        assert callable(getattr(session, method))
