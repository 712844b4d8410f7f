"""The sandbox in a browser page: no socket, no thread; urllib3's own emscripten connection, on a browser of our own."""

from __future__ import annotations

import importlib
import json
import socket
import subprocess
import sys
import threading
import time
from base64 import urlsafe_b64decode
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import requests
import urllib3

from m3ter_nb.sandbox import Sandbox
from m3ter_nb.sandbox.signing import signer
from sandbox_fixtures import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "urllib3.contrib.emscripten"


class BrowserError(Exception):
    """What urllib3's fetch module raises where the browser reports an error."""

    def __init__(self, message: str | None = None, **about: Any) -> None:
        super().__init__(message, about)
        self.message = message


class BrowserTimeoutError(BrowserError):
    """What it raises where the browser reports a time-out."""


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let urllib3 believe that it is in a page; yield the URLs that reached the browser, which answers none."""
    asked: list[str] = []

    def send(request: Any) -> Any:
        asked.append(request.url)
        raise BrowserError("Failed to fetch", request=request)

    fetch = ModuleType(f"{PACKAGE}.fetch")
    vars(fetch).update(
        _RequestError=BrowserError,
        _TimeoutError=BrowserTimeoutError,
        send_request=send,
        send_streaming_request=send,
    )
    monkeypatch.setitem(sys.modules, fetch.__name__, fetch)
    connection = importlib.import_module(f"{PACKAGE}.connection")
    monkeypatch.setattr(urllib3.HTTPConnectionPool, "ConnectionCls", connection.EmscriptenHTTPConnection)
    monkeypatch.setattr(urllib3.HTTPSConnectionPool, "ConnectionCls", connection.EmscriptenHTTPSConnection)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a page has no sockets"))
    monkeypatch.setattr(threading.Thread, "start", lambda *_: pytest.fail("a page has no threads"))
    monkeypatch.setattr("m3ter_nb.sandbox.life.is_page", lambda: True)
    yield asked
    assert connection.send_request is send
    assert connection.send_streaming_request is send
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


@pytest.fixture
def paged(browser: list[str]) -> Iterator[Client]:
    """Return a logged-in client of a sandbox in the page."""
    with Sandbox(limits=False) as sandbox:
        yield Client(sandbox).log_in()


def test_plain_requests_log_in_and_call_without_leaving_the_process(
    paged: Client, browser: list[str]
) -> None:
    made = paged.post("products", {"name": "P", "code": "p"})
    read = paged.get("products", params={"pageSize": 1})

    assert (made.status_code, read.json()["data"]) == (200, [made.json()])
    assert read.headers["Content-Type"] == "application/json"
    assert browser == []


def test_streamed_answers_and_every_form_of_body_are_understood(paged: Client) -> None:
    for number, body in enumerate([b'{"name": "P", "code": "p0"}', '{"name": "é", "code": "p1"}']):
        assert paged.call("POST", "products", data=body).json()["code"] == f"p{number}"
    assert (
        paged.call("POST", "products", data=iter([b'{"name": "P", ', b'"code": "p2"}'])).json()["code"]
        == "p2"
    )
    streamed = paged.get("products", stream=True)

    assert json.loads(b"".join(streamed.iter_content(10)))["data"][1]["name"] == "é"


def test_localhost_is_the_sandbox_too_and_other_addresses_are_the_browsers(
    paged: Client, browser: list[str]
) -> None:
    port = paged.sandbox.url.rpartition(":")[2]
    assert requests.get(f"http://localhost:{port}/", timeout=5).status_code == 403
    for url in (f"https://127.0.0.1:{port}/", "http://127.0.0.1:1/", f"http://example.com:{port}/"):
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=5)

    assert browser[:1] != []
    assert all(paged.sandbox.url not in url for url in browser)


def test_a_page_of_another_origin_is_refused_there_as_well(paged: Client) -> None:
    assert paged.get("products", headers={"Origin": "https://evil.example"}).status_code == 403


def test_faults_log_and_reset_work(paged: Client) -> None:
    faults = paged.sandbox.faults
    faults.fail(503)
    assert paged.get("products").status_code == 503
    for fault in (faults.drop, faults.cut):
        fault()
        with pytest.raises(requests.ConnectionError):
            paged.post("products", {"name": "P", "code": fault.__name__})
    assert [product["code"] for product in paged.get("products").json()["data"]] == ["cut"]
    faults.expire_tokens()
    assert 'error="invalid_token"' in paged.get("products").headers["WWW-Authenticate"]
    assert [record.status for record in paged.sandbox.log] == [200, 503, 0, 200, 200, 403]
    paged.sandbox.reset()

    assert paged.sandbox.log == []
    assert paged.log_in().get("products").json() == {"data": []}


def test_a_delay_is_waited_for_and_longer_than_the_timeout_it_is_one(paged: Client) -> None:
    paged.sandbox.faults.delay(0.05, times=2)
    started = time.monotonic()
    assert paged.get("products").status_code == 200
    assert time.monotonic() - started >= 0.05
    with pytest.raises(requests.ConnectionError, match="longer than the timeout"):
        paged.session.get(f"{paged.sandbox.url}/", timeout=0.01)


def test_the_limits_hold(browser: list[str]) -> None:
    with Sandbox(clock=lambda: 1.7e9) as sandbox:
        api = Client(sandbox).log_in()

        assert [api.get("products").status_code for _ in range(51)] == [200] * 50 + [429]


def test_a_stopped_sandbox_is_the_browsers_address_again(browser: list[str]) -> None:
    sandbox = Sandbox().start()
    api, url = Client(sandbox).log_in(), sandbox.url
    sandbox.stop()
    sandbox.stop()
    with pytest.raises(requests.ConnectionError):
        api.session.get(f"{url}/", timeout=5)

    assert browser[0] == f"{url}/"


def test_two_sandboxes_have_two_addresses(browser: list[str]) -> None:
    with Sandbox() as first, Sandbox() as second:
        assert first.url != second.url
        assert Client(first).log_in().session.headers["Authorization"] not in second.keys._issued
        with pytest.raises(OSError, match="Another sandbox of this page has port"):
            Sandbox(int(first.url.rpartition(":")[2])).start()


def test_without_cryptography_tokens_are_signed_with_hs256(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "joserfc.jwk", None)
    signer.cache_clear()
    try:
        with Sandbox() as sandbox:
            api = Client(sandbox).log_in()
            header, payload, signature = (
                str(api.session.headers["Authorization"]).removeprefix("Bearer ").split(".")
            )
            accepted = api.get("products").status_code
            sandbox.faults.expire_tokens()
            other = api.log_in().session.headers["Authorization"]
            keys = sandbox.keys.public_keys()
    finally:
        signer.cache_clear()

    assert json.loads(urlsafe_b64decode(header + "=="))["alg"] == "HS256"
    assert json.loads(urlsafe_b64decode(payload + "=="))["permissions"] == {"*#*#*#*": True}
    assert len(urlsafe_b64decode(signature + "==")) == 32
    assert (accepted, keys) == (200, [])
    assert signature not in str(other)


@pytest.mark.slow
def test_it_starts_where_cryptography_is_not_installed() -> None:
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_SECRET, Sandbox\n"
        "print(Sandbox().keys.issue(DEMO_KEY_ID, DEMO_SECRET)['token_type'])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == ("Bearer\n", "")
