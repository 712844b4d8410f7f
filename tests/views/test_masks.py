"""No view shows a secret or a token, and no view hides what is neither."""

from __future__ import annotations

import ast
import io
import json
import re
import sys
from itertools import pairwise
from time import process_time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from IPython.lib.pretty import pretty

from m3ter_nb.api.addresses import url_of
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import InvalidArgument
from m3ter_nb.spelling import MASK
from m3ter_nb.views.masks import mask, masked
from m3ter_nb.views.records import Record, Records
from m3ter_nb.views.table import Table
from m3ter_nb.wire.encoding import encode_body, query_of

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIyOTA2ZDE4ZiJ9.c2lnbmF0dXJl"
TOKEN = Token(JWT, 60)
SIGNED = "https://bucket.s3.amazonaws.com/export.csv?X-Amz-Date=20261101&X-Amz-Signature=0f9e8d7c6b5a"


if TYPE_CHECKING:
    from collections.abc import Iterator


def views(value: Record | Records) -> list[str]:
    """Return whatever shows a value."""
    return [str(value), repr(value), value._repr_html_(), pretty(value), pretty([value]), f"{value}"]


@pytest.mark.parametrize(
    "field",
    [
        "access_token",
        "secret",
        "apiSecret",
        "apiKey",
        "clientSecret",
        "Authorization",
        "credentials",
        "API Secret",
    ],
)
def test_a_text_in_a_secret_field_is_masked_in_every_view(field: str) -> None:
    nested = {"name": "hook", "config": {field: "s3cr3t-value"}, "list": [{field: ["s3cr3t-value"]}]}
    records = Records([{field: "s3cr3t-value"}, nested])

    for view in [*views(records), *views(records[0]), *views(records[1])]:
        assert "s3cr3t-value" not in view
        assert "••••" in view
    assert records[0][field] == "s3cr3t-value"


@pytest.mark.parametrize(
    "text",
    [
        JWT,
        f"Bearer {JWT}",
        f"said: {JWT}.",
        f"https://x.example/?jwt={JWT}&a=1",
        f"prefix_{JWT}",
        JWT.rpartition(".")[0] + ".",
        "Basic c2VjcmV0OnNlY3JldA==",
        "authorization: bearer 0123456789abcdefghij",
        "Bearer abcdefghijabcdefghij",
        "Basic 81c49a54-dfcd-4da5-bbf3-d2885ec025dd",
        "Basic Infrastructure-Monitoring, Basic c2VjcmV0OnNlY3JldA==",
        "x" * 150 + f" {JWT}",
    ],
)
def test_a_token_is_masked_wherever_it_stands(text: str) -> None:
    records = Records([{"note": text}, {"note": [{"deep": text}]}])

    for view in [*views(records), *views(records[1])]:
        assert not re.search("eyJ|c2VjcmV0|0123456789abc|abcdefghij|dfcd-4da5", view)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Basic Subscription"},
        {"name": "Bearer Certificates"},
        {"name": "basic 12345678"},
        {"name": "Basic Infrastructure-Monitoring"},
        {"name": "Bearer instrument-registration."},
        {"name": "BASIC ENTERPRISE_SUBSCRIPTION_2026"},
        {"name": "My basic Acme_Corporation_Subsidiary_EU"},
        {"name": "Basic data/storage/compute/network"},
        {"name": "greyJackets.example.com"},
        {"name": "eyJackets"},
        {"description": "No secret, no password: pay by token"},
        {"nextToken": "cursor"},
        {"integrationCredentialsId": "public"},
        {"tokenType": "Bearer"},
        {"secretSauce": "ketchup"},
        {"url": "https://example.com/?sign=1&page=2"},
        {"token": 1532},
        {"secret": 7, "apiKey": 1.5},
        {"requiresAuthorization": True, "password": False},
        {"secret": ""},
        {"secret": None},
        {"credentials": {"type": "M3TER_SIGNED_REQUEST"}},
    ],
)
def test_what_is_no_secret_is_shown(fields: dict[str, Any]) -> None:
    assert masked(fields) == fields
    assert not any("••••" in view for view in [*views(Record(fields)), *views(Records([fields]))])


def test_a_field_that_is_named_by_a_token_is_not_shown() -> None:
    for view in [*views(Record({JWT: 1})), *views(Records([{"a": {JWT: 1}}]))]:
        assert "eyJ" not in view


def test_of_a_signed_url_all_but_the_query_is_shown() -> None:
    record = Record({"url": SIGNED, "n": 1})

    for view in views(record):
        assert "https://bucket.s3.amazonaws.com/export.csv?••••" in view
        assert "0f9e8d7c6b5a" not in view


@pytest.mark.parametrize(
    "fields",
    [{"secret": "s3cr3t"}, {"name": f"said: {JWT}"}, {"a": [{"url": SIGNED}]}, {"apiKey": ["k", "l"]}],
)
def test_a_masked_view_is_never_sent_as_a_value(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="Nothing was sent"):
        encode_body(masked(fields))
    assert encode_body(fields)


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "ascii"])
@pytest.mark.parametrize(
    "fields", [{"secret": "s3cr3t"}, {"url": SIGNED}, {"note": JWT}, {"list": [*range(9)]}, {"token": TOKEN}]
)
def test_a_mask_is_known_again_however_it_was_shown_and_wherever_it_is_put(
    monkeypatch: pytest.MonkeyPatch, encoding: str, fields: dict[str, Any]
) -> None:
    for shown in _shown(fields, encoding, monkeypatch):
        for put in (
            lambda shown=shown: encode_body({"fields": [{"name": shown}]}),
            lambda shown=shown: encode_body({shown: 1}),
            lambda shown=shown: query_of({"ids": shown}),
            lambda shown=shown: query_of({"ids": ["a", shown]}),
            lambda shown=shown: query_of(urlencode({"ids": shown})),
            lambda shown=shown: url_of("https://a.example", f"products/{quote(shown, safe='')}", lambda: "o"),
        ):
            with pytest.raises(InvalidArgument, match="holds what a view shows"):
                put()


def _shown(fields: dict[str, Any], encoding: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield what a person can copy of the one field that is not shown whole."""
    (name,) = fields
    if isinstance(fields[name], Token):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
            yield str(fields[name])
        return
    text = Table.text(Record(fields)._table(9), 300, encoding).split(maxsplit=1)[1]
    if name == "list":
        yield json.loads(text.replace("\\u", "\\\\u"))[-1]
        return
    yield text.strip()
    yield f' "{text}"'
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        literal = repr(Record(fields))
    yield ast.literal_eval(literal)[name]
    yield literal.split(": ", 1)[1].rstrip("}")


@pytest.mark.parametrize(
    "name",
    ["Visa •••• 4242", "***", "a****", "And 7 more", "5 more", "Why?", "What?****", "to be continued…"],
)
def test_a_value_that_only_looks_like_a_mask_is_sent(name: str) -> None:
    assert encode_body({"name": name})
    assert query_of({"name": name})


@pytest.mark.parametrize("piece", ["eyJ", "eyJ.", "bearer ", "Basic\t", "a-", ".", "https://?", "?sig"])
def test_a_longer_text_takes_no_more_time_a_character(piece: str) -> None:
    def seconds(length: int) -> float:
        text = piece * (length // len(piece))
        start = process_time()
        mask(text)
        return process_time() - start

    for shorter, longer in pairwise([seconds(length) for length in (20_000, 200_000)]):
        assert longer < 40 * shorter + 0.2


def test_data_of_any_depth_is_masked() -> None:
    deep: Any = {"secret": "s3cr3t"}
    for _ in range(300):
        deep = [deep]

    assert "s3cr3t" not in repr(Records(deep))
    assert MASK in repr(masked([[{"secret": "s3cr3t"}]]))
