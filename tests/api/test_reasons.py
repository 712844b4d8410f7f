"""What the server said in a refusal: one line, without a token, read in no time whatever it sent."""

from __future__ import annotations

import json
import time
from http import HTTPStatus

import pytest

from m3ter_nb.api.login import login
from m3ter_nb.api.reasons import reason_of
from m3ter_nb.api.refusals import explain
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import (
    ApiError,
    BadRequest,
    ConnectionFailed,
    Forbidden,
    LoginRefused,
    M3terError,
    RateLimited,
    ServerError,
    UnexpectedAnswer,
)
from m3ter_nb.wire.answer import Answer
from odd_servers import OddServer, RecordingProxy

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvcmdJZCI6Im8ifQ.c2lnbmF0dXJl"


def refused(
    content: bytes = b"",
    status: int = 400,
    method: str = "GET",
    path: str = "products",
    sent: bytes = b"",
    **headers: str,
) -> Answer:
    """Return an answer that refuses a call; ``Retry_After="3"`` is the header ``Retry-After: 3``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, method, f"https://h/organizations/o/{path}?a=1", {}, sent, None, named, content)


HOSTILE = {
    "beginnings of tokens": b"eyJ" * 300_000,
    "a token without end": b"eyJ" + b"a" * 900_000,
    "dots": b"eyJaaaaaaaaa." * 60_000,
    "titles without end": b"<title>" * 130_000,
    "headings without end": b"<h1 " * 200_000,
    "brackets": b"<title>" + b"<" * 900_000,
    "many entities": b"<title>" + b"&#38" * 200_000 + b"</title>",
    "an entity of many digits": b"<title>&#" + b"9" * 900_000 + b";</title>",
    "white space": b" " * 999_999,
    "a long JSON message": b'{"message": "' + b"eyJ" * 300_000 + b'"}',
    "deep JSON": b"[" * 900_000,
}


@pytest.mark.parametrize("charset", ["", "punycode", "idna", "utf-7", "unicode_escape", "zlib", "rot13"])
@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_no_text_takes_long(content: bytes, charset: str) -> None:
    answer = refused(content, Content_Type="x")
    answer.headers = {"Content-Type": f"text/html; charset={charset}"}
    started = time.process_time()

    explain(answer, org_id="o", token=Token(JWT, 60))

    assert time.process_time() - started < 1.0  # of a processor; each of them took seconds, or minutes


@pytest.mark.parametrize(
    "content",
    [
        f'{{"message": "not {JWT} here"}}'.encode(),
        f'{{"message": "{"x" * 290} {JWT}"}}'.encode(),
        f'{{"message": "{" " * 1_990}{JWT}"}}'.encode(),
        f"<title>{JWT}</title>".encode(),
        JWT.encode(),
        b"eyJhbGciOiJSUzI1NiJ9",
    ],
)
def test_no_piece_of_a_token_is_repeated(content: bytes) -> None:
    said = reason_of(refused(content), Token("opaque", 60))

    assert not any(part[3:12] in said for part in JWT.split("."))


@pytest.mark.parametrize("padding", [0, 250, 290, 1_985, 1_999])
def test_no_piece_of_the_token_that_was_sent_is_repeated(padding: int) -> None:
    opaque = "marked-opaque-token-8471" * 4
    for filler in ("x", " "):
        content = f'{{"message": "{filler * padding}{opaque}"}}'.encode()

        assert "marked" not in reason_of(refused(content), Token(opaque, 60))


OPAQUE = "marked/opaque+token~8471" * 4
OTHERWISE_SPELLED = {
    "a slash behind a backslash": json.dumps({"message": OPAQUE}).replace("/", r"\/").encode(),
    "escapes of JSON": json.dumps({"message": OPAQUE}).replace("m", r"\u006d").encode(),
    "an escape in a field's place": b'{"errors": [{"field": "%s", "message": "no"}]}'
    % OPAQUE.replace("/", r"\/").encode(),
    "at the end of what is read": json.dumps({"message": " " * 1_985 + OPAQUE}).replace("/", r"\/").encode(),
    "entities of HTML": f"<title>{OPAQUE.replace('/', '&#x2F;')}</title>".encode(),
    "UTF-16": json.dumps({"message": OPAQUE}).encode("utf-16"),
}


@pytest.mark.parametrize("content", OTHERWISE_SPELLED.values(), ids=OTHERWISE_SPELLED)
def test_the_token_that_was_sent_is_not_repeated_however_it_is_spelled(content: bytes) -> None:
    assert "marked" not in reason_of(refused(content), Token(OPAQUE, 60))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<html><TITLE\nclass=x>Not <b>here</b> &amp; now</TITLE>", "Not here & now"),
        (b"<h1>Gone</h1>", "Gone"),
        (b"<p>nothing</p>", "(a web page)"),
        (b"<title", "(a web page)"),
        (b'{"error": "a", "error_description": "b"}', "a: b"),
        (b"[1]", ""),
        (b'{"Message": "User is not authorized"}', "User is not authorized"),
        (
            b'{"title": "Bad Request", "status": 400, "detail": "code must match"}',
            "Bad Request: code must match",
        ),
        (b'{"error": {"code": "X", "message": "inner"}}', "inner"),
        (b'{"message": ["a", "b"]}', "a: b"),
        (b'{"errors": [{"field": "code", "message": "is blank"}, {"message": "b"}]}', "code is blank: b"),
        (b'{"violations": [{"path": "name", "message": "too long"}]}', "name too long"),
        (b'{"status": 400, "error": "Bad Request", "path": "/x"}', "Bad Request"),
        (b'{"message": "same", "error": "same"}', "same"),
        (b'"a text alone"', "a text alone"),
        (b'{"message": null, "apiKey": "marked", "id": "a"}', ""),
        (
            b"<?xml version='1.0'?><Error><Code>X</Code><Message>Access denied</Message></Error>",
            "Access denied",
        ),
        (b"plain words", "plain words"),
    ],
)
def test_the_reason_is_in_the_server_s_words(content: bytes, said: str) -> None:
    assert reason_of(refused(content)) == said


@pytest.mark.parametrize(
    ("answer", "kind", "advice"),
    [
        (refused(b'{"message": "no name"}'), BadRequest, "no name. Mend the request as it says"),
        (refused(), BadRequest, "It gave no reason: %m3ter_docs GET products shows the fields"),
        (
            refused(status=414, path=f"products?ids={'x' * 1_000}"),
            BadRequest,
            "The URL is too long (1,043 characters): send fewer ids",
        ),
        (refused(status=414), BadRequest, "The request is short, and m3ter takes longer ones."),
        (refused(status=413), BadRequest, "The request is short, and m3ter takes longer ones."),
        (refused(b"<p>No</p>"), BadRequest, "m3ter answers with JSON, not with a page: check the base URL"),
        (
            refused(status=401),
            Forbidden,
            "in order: the token is no longer accepted: log in again; the service user",
        ),
        (refused(status=429, Retry_After="0"), RateLimited, "Try again in 1 s."),
        (refused(status=429, Retry_After="20000"), RateLimited, "Try again in 6 hours."),
        (
            refused(status=504, method="POST"),
            ServerError,
            "may have carried out the call all the same: check before",
        ),
        (
            refused(b'{"message": "Malformed JSON"}', method="POST"),
            BadRequest,
            "sent without a body: %m3ter_docs POST products",
        ),
        (
            refused(b'{"message": "no"}', method="PUT", path="bills/1/lock"),  # takes no body
            BadRequest,
            "no. Mend the request as it says",
        ),
        (refused(status=405, method="DELETE"), BadRequest, "The API has GET and POST there, no DELETE."),
        (refused(status=405, path="elsewhere/x/y/z/q"), BadRequest, "The API has no such path."),
        (refused(status=407), ApiError, "A proxy on the way wants a name and a password"),
        (refused(status=304), ApiError, "something on the way keeps answers"),
        (refused(status=402), BadRequest, "contract does not cover it"),
        (refused(status=406), BadRequest, "no answer in JSON there"),
        (refused(status=408), BadRequest, "did not come whole in time"),
        (refused(status=410), BadRequest, "gone for good"),
        (refused(status=411), BadRequest, "length of the request did not arrive"),
        (refused(status=412), BadRequest, "read it again"),
        (
            refused(status=413, sent=b"x" * 1_000),
            BadRequest,
            "more than is taken there: send it in several parts",
        ),
        (refused(status=415), BadRequest, "does not take JSON there"),
        (refused(status=421), BadRequest, "check the base URL"),
        (refused(status=423), BadRequest, "It is locked"),
        (refused(status=425), BadRequest, "run the cell again"),
        (refused(status=426), BadRequest, "another version of HTTP or TLS"),
        (refused(status=428), BadRequest, "send its version too"),
        (refused(status=431), BadRequest, "The headers are longer"),
        (refused(status=451), BadRequest, "legal reasons"),
        (refused(status=501), ServerError, "To try again is of no use"),
        (refused(status=505), ServerError, "To try again is of no use"),
        (refused(status=511), ServerError, "The network itself wants a login"),
        (refused(status=522), ServerError, "What stands in front of the host did not reach it"),
        (refused(status=500), ServerError, "This is on m3ter's side. Try again in a minute."),
    ],
)
def test_the_advice_fits_the_refusal(answer: Answer, kind: type[ApiError], advice: str) -> None:
    error = explain(answer, org_id="o", token=None)

    assert type(error) is kind
    assert advice in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, LoginRefused, "does not accept the Access Key ID"),
        (404, UnexpectedAnswer, "It gives no tokens there"),
        (405, UnexpectedAnswer, "It gives no tokens there"),
        (407, UnexpectedAnswer, "wants a name and a password"),
        (421, UnexpectedAnswer, "check the base URL"),
        (451, UnexpectedAnswer, "a network on the way blocks the host"),
        (511, ConnectionFailed, "The network itself wants a login"),
        (523, ConnectionFailed, "did not reach it"),
    ],
)
def test_a_login_blames_the_key_only_where_the_key_was_refused(
    status: int, kind: type[M3terError], said: str
) -> None:
    with (
        OddServer(lambda _: [b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status]) as server,
        pytest.raises(kind, match=said) as caught,
    ):
        login(Credentials("k", "s"), base_url=server.url)

    assert ("does not accept the Access Key ID" in str(caught.value)) is (status == HTTPStatus.UNAUTHORIZED)


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "products/1"), ("DELETE", "products/1"), ("POST", "usage/query"), ("POST", "measurements")],
)
def test_what_can_be_repeated_at_no_harm_needs_no_caution(method: str, path: str) -> None:
    assert "check before" not in str(
        explain(refused(status=504, method=method, path=path), org_id="o", token=None)
    )


def test_a_proxy_that_wants_a_password_is_named_by_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy(status=407) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ConnectionFailed, match=r"wants a name and a password \(407\)"):
            login(Credentials("k", "s"), base_url="https://api.example.invalid")
