"""Changing a field: what was not named stays, digit for digit, and nobody's change is overwritten."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import m3ter_nb
from m3ter_nb.api import facts
from m3ter_nb.api.exact import decode_exactly
from m3ter_nb.api.update import differences, read_edit
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.errors import InvalidArgument, M3terWarning, NotFound, VersionConflict
from m3ter_nb.wire.encoding import encode_body
from odd_servers import OddServer, Seen, answer, json_answer, token_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.sandbox import Sandbox
    from sandbox_fixtures import Client


@pytest.fixture
def session(sandbox: Sandbox, credentials: Credentials) -> Iterator[M3terSession]:
    with m3ter_nb.login(credentials, base_url=sandbox.url) as opened:
        yield opened


@pytest.fixture
def account(session: M3terSession) -> dict[str, Any]:
    """Return an account with something of everything."""
    fields = {
        "name": "Acme",
        "code": "acme",
        "emailAddress": "billing@example.com",
        "address": {"addressLine1": "1 High St", "country": "GB"},
        "daysBeforeBillDue": 30,
        "customFields": {"tier": "gold", "seats": 12, "with.dot": "x"},
    }
    made: dict[str, Any] = session.post("accounts", fields)
    return made


def sent(sandbox: Sandbox, method: str) -> int:
    return sum(record.method == method for record in sandbox.log)


def at(account: dict[str, Any]) -> str:
    return f"accounts/{account['id']}"


def test_one_field_changes_and_the_others_stay(
    session: M3terSession, account: dict[str, Any], sandbox: Sandbox
) -> None:
    changed = session.update(
        at(account), {"name": "Acme Ltd", "address.locality": "Leeds"}, remove=["customFields.seats"]
    )

    assert changed["name"] == "Acme Ltd"
    assert changed["address"] == {"addressLine1": "1 High St", "country": "GB", "locality": "Leeds"}
    assert changed["customFields"] == {"tier": "gold", "with.dot": "x"}
    assert changed["version"] == account["version"] + 1
    stamps = {"version", "dtLastModified"}
    kept = set(account) - stamps - {"name", "address", "customFields"}
    assert {name: changed[name] for name in kept} == {name: account[name] for name in kept}
    assert session.get(at(account)) == changed


def test_a_dict_is_merged_and_none_is_a_value(session: M3terSession, account: dict[str, Any]) -> None:
    edit = read_edit(
        session,
        at(account),
        {"customFields": {"tier": "iron", "new": {"a": 1}}, "address": {"country": None}},
    )

    assert edit.after["customFields"] == {"tier": "iron", "seats": 12, "with.dot": "x", "new": {"a": 1}}
    assert edit.after["address"] == {"addressLine1": "1 High St", "country": None}
    assert [change.key for change in edit.changes] == [
        "address.country",
        "customFields.tier",
        "customFields.new",
    ]


def test_a_key_that_holds_a_dot_is_found(session: M3terSession, account: dict[str, Any]) -> None:
    edit = read_edit(session, at(account), {"customFields.with.dot": "y", "customFields.deep.er": 1})

    assert edit.after["customFields"] == {"tier": "gold", "seats": 12, "with.dot": "y", "deep": {"er": 1}}


def test_places_of_a_list_are_changed_and_removed_by_number(session: M3terSession) -> None:
    meter = session.post(
        "meters",
        {
            "name": "M",
            "code": "m",
            "derivedFields": [],
            "dataFields": [
                {"category": "MEASURE", "code": f"f{n}", "name": f"F{n}", "unit": "{u}"} for n in range(4)
            ],
        },
    )

    edit = read_edit(
        session,
        f"meters/{meter['id']}",
        {"dataFields.2.name": "Third"},
        ["dataFields.0", "dataFields.1", "dataFields.9"],
    )

    assert [field["name"] for field in edit.after["dataFields"]] == ["Third", "F3"]
    with pytest.raises(
        InvalidArgument, match=r"dataFields\.4\.name names no place of a list that has places 0 to 3"
    ):
        session.update(f"meters/{meter['id']}", {"dataFields.4.name": "x"})
    with pytest.raises(InvalidArgument, match="leads into what is no object"):
        session.update(f"meters/{meter['id']}", {"name.first": "x"})


def test_nothing_to_change_sends_nothing(
    session: M3terSession, account: dict[str, Any], sandbox: Sandbox
) -> None:
    unchanged = session.update(
        at(account),
        {"name": "Acme", "daysBeforeBillDue": 30.0, "customFields": {"seats": 12}, "address": {}},
        remove=("customFields.nothing", "address.region"),
    )

    assert unchanged == account
    assert sent(sandbox, "PUT") == 0


@pytest.mark.parametrize(
    "name", ["id", "version", "dtCreated", "dtLastModified", "createdBy", "lastModifiedBy", "id.x"]
)
def test_what_m3ter_sets_alone_is_refused_and_nothing_is_sent(
    session: M3terSession, account: dict[str, Any], sandbox: Sandbox, name: str
) -> None:
    before = len(sandbox.log)

    with pytest.raises(InvalidArgument, match=f"^{name.partition('.')[0]} is set by m3ter alone"):
        session.update(at(account), {name: "x"})
    with pytest.raises(InvalidArgument, match="is set by m3ter alone"):
        session.update(at(account), {}, remove=name)

    assert len(sandbox.log) == before


def test_a_date_that_a_put_takes_is_not_taken_for_one_of_m3ters(session: M3terSession) -> None:
    with pytest.raises(NotFound):
        session.update("users/81c49a54-dfcd-4da5-bbf3-d2885ec025dd", {"dtEndAccess": "2026-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bills/1", r"bills/\{id\} has GET and DELETE, no PUT"),
        ("bills/1/status", r"bills/\{id\}/status has no GET.*\(session.put\)"),
        ("products", r"products is a list: name one of it, products/ID"),
    ],
)
def test_what_cannot_be_read_and_replaced_is_refused_before_anything_is_sent(
    session: M3terSession, sandbox: Sandbox, path: str, message: str
) -> None:
    before = len(sandbox.log)

    with pytest.raises(InvalidArgument, match=message):
        session.update(path, {"status": "APPROVED"})

    assert len(sandbox.log) == before


@pytest.mark.parametrize(("key", "remove"), [("", ()), ("a..b", ()), (1, ()), ("name", "name"), ("x", [2])])
def test_a_malformed_key_is_refused(
    session: M3terSession, account: dict[str, Any], key: Any, remove: Any
) -> None:
    with pytest.raises(InvalidArgument):
        session.update(at(account), {key: "x"}, remove=remove)


ODD_CHANGES: dict[str, tuple[Any, Any, str]] = {
    "nothing": (None, (), "is a dict"),
    "pairs": ([("name", "x")], (), "is a dict"),
    "no list of what goes": ({}, None, "a list of fields"),
    "set twice": (
        {"customFields.tier": 1, "customFields": {"tier": 2}},
        [],
        "customFields.tier is set twice",
    ),
    "set and removed": ({"name": "x"}, ["name"], "both set and removed"),
    "set in what is removed": ({"customFields.tier": "x"}, ["customFields"], "both set and removed"),
    "set to a mask": ({"name": "••••"}, (), "would be set to a mask"),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("changes", "remove", "told"), ODD_CHANGES.values(), ids=ODD_CHANGES)
def test_changes_that_make_no_sense_are_refused(
    session: M3terSession, account: dict[str, Any], changes: Any, remove: Any, told: str
) -> None:
    with pytest.raises(InvalidArgument, match=told):
        session.update(at(account), changes, remove=remove)

    assert session.get(at(account))["version"] == account["version"]


@pytest.mark.filterwarnings("error")
def test_what_is_refused_is_not_said_to_be_sent_all_the_same(
    session: M3terSession, account: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgument, match="leads into"):
        session.update(at(account), {"name.first": "x"})


def test_a_field_that_the_put_does_not_take_is_warned_of(
    session: M3terSession, account: dict[str, Any]
) -> None:
    with pytest.warns(
        M3terWarning,
        match=r"PUT accounts/\{id\} has no field nam; did you mean name\? m3ter would ignore it\.",
    ):
        session.update(at(account), {"nam": "x"})
    with pytest.warns(M3terWarning, match=r"no field nam; did you mean name\? m3ter would ignore it\."):
        session.update(at(account), {}, remove=["nam"])


def test_only_what_can_be_written_is_named_in_the_place_of_an_unknown_field(
    session: M3terSession, account: dict[str, Any]
) -> None:
    with pytest.warns(M3terWarning, match="no field xyzzy; it has ") as shown:
        session.update(at(account), {"xyzzy": "x"})

    told = re.split(r"it has |, …", str(shown[0].message))[1].split(", ")
    assert "address" in told
    assert not [name for name in told if facts.is_server_set(name)]


def integration(session: M3terSession) -> str:
    made = session.post(
        "integrationconfigs",
        {
            "entityType": "Bill",
            "entityId": "b1",
            "destination": "Stripe",
            "destinationId": "d1",
            "name": "S",
            "integrationCredentialsId": "c1",
            "configData": {"mode": "draft"},
            "credentials": {"type": "HTTP_BASIC"},
        },
    )
    return f"integrationconfigs/{made['id']}"


def test_a_put_that_takes_what_get_does_not_give_is_refused_unless_each_of_it_is_set(
    session: M3terSession, sandbox: Sandbox
) -> None:
    path = integration(session)

    with pytest.raises(
        InvalidArgument, match="GET does not give configData and credentials, so a PUT would lose them"
    ):
        session.update(path, {"destinationId": "d2"})
    with pytest.raises(
        InvalidArgument, match="GET does not give configData, so a PUT would lose it: set it too"
    ):
        session.update(path, {"destinationId": "d2", "credentials.type": "HTTP_BASIC"})
    assert sent(sandbox, "PUT") == 0

    changed = session.update(
        path, {"destinationId": "d2", "credentials": {"type": "HTTP_BASIC"}, "configData": {"mode": "live"}}
    )
    assert (changed["destinationId"], changed["name"]) == ("d2", "S")


# --- against a scripted server: what is really sent ---


class Scripted:
    """A session with a server that gives one entity as these bytes, and keeps what is put."""

    def __init__(self, entity: bytes, put: Callable[[bytes], bytes] | None = None) -> None:
        self.entities = [entity]
        self.puts: list[bytes] = []
        self.put = put or (lambda body: answer(200, body))

    def respond(self, seen: Seen) -> list[Any]:
        """Answer one request."""
        if seen.target.endswith("/oauth/token"):
            return [token_answer()]
        if seen.method == "GET":
            entity = self.entities[0] if len(self.entities) == 1 else self.entities.pop(0)
            return [
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % len(entity)
                + entity
            ]
        self.puts.append(seen.body)
        return [self.put(seen.body)]

    def update(self, changes: dict[str, Any], path: str = "products/p1", **more: Any) -> Any:
        """Change the entity through a session of its own."""
        with (
            OddServer(self.respond) as server,
            m3ter_nb.login(Credentials("k", "s", "a test"), base_url=server.url, org_id="o1") as session,
        ):
            return session.update(path, changes, **more)


ODD = (
    b'{"id": "p1", "version": 7, "name": "caf\xc3\xa9 \\u0065\\u0301 \\u3000 \xf0\x9f\x91\xa9\\u200d", '
    b'"a": [1.10, 12345678901234567890.123456789, 1E+2, -0, -0.0, 9007199254740993, 1e400], "zz": {"b": null, "a": true}, "empty": []}'
)


def test_what_was_not_named_is_sent_as_it_was_read() -> None:
    scripted = Scripted(ODD)

    scripted.update({"code": "c"})

    body = scripted.puts[0].decode()
    assert '"a":[1.10,12345678901234567890.123456789,1E+2,-0,-0.0,9007199254740993,1e400]' in body
    assert list(json.loads(body)) == ["id", "version", "name", "a", "zz", "empty", "code"]
    assert json.loads(body)["name"] == json.loads(ODD)["name"]
    assert json.loads(body)["version"] == 7


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
)


def written(value: Any) -> str:
    """Return a value as JSON with its digits; this is what a server might write."""
    if isinstance(value, Decimal):
        text = str(value)
        return text if any(mark in text for mark in ".E") else f"{text}.0"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    return json.dumps(value)


def as_decimals(text: str | bytes) -> Any:
    return json.loads(text, parse_float=Decimal)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(json_values)
def test_reading_and_writing_exactly_loses_nothing(value: Any) -> None:
    text = written(value)

    again = encode_body(decode_exactly(text))

    assert as_decimals(again) == as_decimals(text)
    assert repr(as_decimals(again)) == repr(as_decimals(text))
    assert list(differences(decode_exactly(text), decode_exactly(again))) == []


def test_a_value_of_another_type_that_is_the_same_in_json_is_no_change() -> None:
    kept = b'{"n": 30, "ratio": 1.5, "day": "2026-01-01", "list": [0.1]}'
    scripted = Scripted(b'{"id": "p1", "version": 1, "customFields": %s}' % kept)
    given = {"n": np.int64(30), "ratio": np.float64(1.5), "day": date(2026, 1, 1), "list": (np.float32(0.1),)}

    scripted.update({"customFields": given})

    assert scripted.puts == []


def test_a_number_that_is_set_to_what_it_is_keeps_its_digits() -> None:
    scripted = Scripted(b'{"id": "p1", "version": 1, "customFields": {"price": 1.10, "on": true, "n": 1}}')

    scripted.update({"customFields": {"price": 1.1, "on": 1, "n": True}})

    assert b'"customFields":{"price":1.10,"on":1,"n":true}' in scripted.puts[0]


def test_changes_that_hold_themselves_are_refused_before_anything_is_read(
    session: M3terSession, account: dict[str, Any], sandbox: Sandbox
) -> None:
    endless: dict[str, Any] = {"list": []}
    endless["list"].append(endless)
    before = len(sandbox.log)

    for changes in ({"customFields": endless}, {"customFields.x": endless["list"]}):
        with pytest.raises(InvalidArgument, match=r"Circular reference.*Nothing was sent"):
            session.update(at(account), changes)

    assert len(sandbox.log) == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_hold_is_refused_and_nothing_is_sent(value: Any) -> None:
    scripted = Scripted(b'{"id": "p1", "version": 1}')

    with pytest.raises(InvalidArgument):
        scripted.update({"name": value})

    assert scripted.puts == []


@pytest.mark.parametrize("mask", ["****", "••••", "sk_****1234", "●●●●●●"])
def test_a_mask_that_was_read_is_never_put_back(mask: str) -> None:
    entity = {
        "id": "w1",
        "version": 1,
        "name": "hook",
        "credentials": {"type": "M3TER_SIGNED_REQUEST", "secret": mask},
    }
    scripted = Scripted(json.dumps(entity).encode())

    with pytest.raises(InvalidArgument, match=r"credentials\.secret came masked") as caught:
        scripted.update(
            {"name": "x", "credentials.type": "HTTP_BASIC"}, "integrationdestinations/webhooks/w1"
        )
    assert mask not in str(caught.value)
    assert scripted.puts == []

    scripted.update({"name": "x", "credentials.secret": "new"}, "integrationdestinations/webhooks/w1")
    assert json.loads(scripted.puts[0])["credentials"]["secret"] == "new"


def conflict(_body: bytes) -> bytes:
    return json_answer({"message": "Version mismatch"}, 409)


def test_a_conflict_shows_what_somebody_else_changed_and_overwrites_nothing(
    session: M3terSession, account: dict[str, Any], api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit = read_edit(session, at(account), {"name": "Mine"})
    theirs = {**account, "emailAddress": "other@example.com", "customFields": {"tier": "tin"}}
    assert api.put(at(account), theirs).status_code == 200

    with pytest.raises(
        VersionConflict, match=r"Somebody else changed accounts/.* since it was read .version 1 is now 2.: "
    ) as caught:
        edit.carry_out(session)

    message = str(caught.value)
    assert "emailAddress" in message
    assert "customFields.tier" in message
    assert "lastModified" not in message
    found = {change.key: (change.before, change.after) for change in caught.value.changes}
    assert found["emailAddress"] == ("billing@example.com", "other@example.com")
    assert session.get(at(account))["name"] == "Acme"


@pytest.mark.slow
def test_concurrent_changes_of_other_fields_lose_none(session: M3terSession, account: dict[str, Any]) -> None:
    """Every writer that met a conflict tries again, as its message says; nothing is lost in between."""
    from concurrent.futures import ThreadPoolExecutor

    def write(number: int) -> None:
        while True:
            try:
                session.update(at(account), {f"customFields.w{number}": number})
            except VersionConflict:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(24)))

    stored = session.get(at(account))
    assert stored["customFields"] == {
        "tier": "gold",
        "seats": 12,
        "with.dot": "x",
        **{f"w{n}": n for n in range(24)},
    }
    assert stored["version"] == 25


def test_a_put_whose_answer_was_lost_is_known_for_done() -> None:
    scripted = Scripted(b'{"id": "p1", "version": 1, "name": "old"}', conflict)
    scripted.entities += [b'{"id": "p1", "version": 2, "name": "new"}']

    assert scripted.update({"name": "new"}) == {"id": "p1", "version": 2, "name": "new"}


def test_a_refusal_for_another_reason_stays_what_it_is() -> None:
    scripted = Scripted(b'{"id": "p1", "version": 1, "name": "old", "code": "a"}', conflict)

    with pytest.raises(VersionConflict, match="Version mismatch"):
        scripted.update({"code": "taken"})


@pytest.mark.parametrize("entity", [b'{"data": [], "nextToken": null}', b"[]", b'"x"', b"null"])
def test_what_is_no_entity_is_refused(entity: bytes) -> None:
    scripted = Scripted(entity)

    with pytest.raises(InvalidArgument, match="is not one entity"):
        scripted.update({"name": "x"}, "unknownthings/1")

    assert scripted.puts == []
