"""Files behind pre-signed URLs: no token, no redirect, no plain http to elsewhere, and the URL in no message."""

from __future__ import annotations

import logging

import pytest
import urllib3

from m3ter_nb.errors import ConnectionFailed, UnexpectedAnswer, UnsafeDestination
from m3ter_nb.wire import download as module
from m3ter_nb.wire.download import download
from odd_servers import OddServer, answer, reset

SECRET = "X-Amz-Signature=cafe0123"


def test_a_file_is_fetched_without_a_token() -> None:
    with OddServer.saying(answer(200, b"[1]")) as server:
        assert download(f"{server.url}/file?{SECRET}", api=server.url) == b"[1]"

    (seen,) = server.seen
    assert seen.target == f"/file?{SECRET}"
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("head", ["", "broken header\r\n"], ids=["plain", "with a header that is none"])
def test_the_url_is_in_no_log_either(caplog: pytest.LogCaptureFixture, head: str) -> None:
    said = f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{head}\r\n[]".encode()
    with OddServer.saying(said) as server, caplog.at_level(logging.DEBUG):
        download(f"{server.url}/file?{SECRET}", api=server.url)
        assert SECRET not in caplog.text

        urllib3.request("GET", f"{server.url}/file?{SECRET}")

    assert SECRET in caplog.text  # urllib3 logs what others ask for


@pytest.mark.parametrize(
    "url", ["http://files.example/x", "ftp://127.0.0.1/x", "nonsense", "", "https:///x", "file:///etc/passwd"]
)
def test_a_url_that_is_not_https_is_not_fetched(url: str) -> None:
    with pytest.raises(UnsafeDestination):
        download(url, api="http://127.0.0.1:1")


def test_plain_http_on_this_machine_is_for_an_api_on_this_machine() -> None:
    with OddServer.saying(answer(200, b"[]")) as server, pytest.raises(UnsafeDestination):
        download(f"{server.url}/file", api="https://api.m3ter.com")

    assert server.seen == []


@pytest.mark.parametrize("status", [302, 403, 404])
def test_a_redirect_is_not_followed_and_a_refusal_is_an_error_without_the_url(status: int) -> None:
    server = OddServer.saying(answer(status, Location="http://127.0.0.1:1/"))
    with server, pytest.raises(UnexpectedAnswer, match=str(status)) as caught:
        download(f"{server.url}/file?{SECRET}", api=server.url)

    assert len(server.seen) == 1
    assert SECRET not in str(caught.value)


def test_a_broken_connection_and_too_many_bytes_are_errors_without_the_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_LONGEST", 10)
    with OddServer(lambda _: [reset]) as server, pytest.raises(ConnectionFailed) as caught:
        download(f"{server.url}/file?{SECRET}", api=server.url)
    assert SECRET not in str(caught.value)
    server = OddServer.saying(answer(200, b"x" * 5000))
    with server, pytest.raises(UnexpectedAnswer, match="more than 10 bytes"):
        download(f"{server.url}/file?{SECRET}", api=server.url)
