"""The official SDK's clients on our token source: one token request, renewed, and nothing of it in logs or errors."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import textwrap
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import pytest

from calls_made import token_requests
from children import forks, in_a_child
from m3ter_nb.api.login import login
from m3ter_nb.api.session import M3terSession
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.source import TokenSource
from m3ter_nb.auth.token import Token
from m3ter_nb.errors import ConnectionFailed, LoginRefused, NotLoggedIn, TokenExpired, UnsafeDestination
from m3ter_nb.extras import install_command
from m3ter_nb.sandbox import DEMO_KEY_ID, DEMO_ORG_ID, DEMO_SECRET, NARROW_KEY_ID, NARROW_SECRET, Sandbox
from m3ter_nb.wire.transport import Timeout, Transport
from odd_servers import (
    OddServer,
    RecordingProxy,
    Seen,
    answer,
    json_answer,
    make_certificate,
    reset,
    token_answer,
)

m3ter = pytest.importorskip("m3ter", reason="the official SDK is in the extra 'sdk'")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from clocks import TwoClocks

SECRET = "marked-secret-8471"
BASIC = "YS1rZXktaWQ6bWFya2VkLXNlY3JldC04NDcx"
TOKEN = "marked-opaque-token-8471"
MEASUREMENT = {
    "uid": "1",
    "meter": "calls",
    "account": "acme",
    "ts": "2023-01-02T03:04:05Z",
    "measure": {"n": 1},
}


@pytest.fixture
def session(sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks) -> Iterator[M3terSession]:
    """Return a session with the sandbox, on settable clocks."""
    with login(credentials, base_url=sandbox.url, clock=clocks.clock) as opened:
        yield opened


@pytest.fixture
def marked() -> Credentials:
    """Return credentials with a marked secret."""
    return Credentials("a-key-id", SECRET)


def finished(call: Callable[[], Any]) -> Any:
    """Await what a call returns, in a loop of its own."""

    async def awaited() -> Any:
        return await call()

    return asyncio.run(awaited())


def in_turn(*turns: Any) -> OddServer:
    """Return a server that gives a token when asked for one, and otherwise these answers in turn."""
    waiting = [turn if isinstance(turn, list) else [turn] for turn in turns]

    def respond(seen: Seen) -> list[Any]:
        if seen.target == "/oauth/token":
            return [token_answer(TOKEN)]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return OddServer(respond)


class PortTeller(BaseHTTPRequestHandler):
    """Answers each list with one item: the port that the client asks from, which tells its connections apart."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        body = json.dumps({"data": [{"id": str(self.client_address[1])}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@forks
def test_a_forked_child_does_not_share_the_connections_of_an_sdk_client() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), PortTeller) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        transport = Transport(f"http://127.0.0.1:{server.server_port}")
        sdk = M3terSession(TokenSource(Token(TOKEN, 600)), transport, org_id="o").sdk()

        def port() -> str:
            return next(iter(sdk.products.list())).id

        before, in_child, after = port(), in_a_child(port), port()
        sdk.close()
        server.shutdown()

    assert in_child.isdigit()
    assert in_child != before
    assert after == before  # and the parent's stays open


# One token request


@pytest.mark.slow
def test_a_hundred_calls_make_one_token_request(session: M3terSession, sandbox: Sandbox) -> None:
    with session.sdk() as sdk:
        for _ in range(100):
            sdk.products.list()

    assert len(sandbox.log) == 101
    assert token_requests(sandbox) == 1


@pytest.mark.slow
def test_a_hundred_async_calls_at_once_make_one_token_request(
    session: M3terSession, sandbox: Sandbox
) -> None:
    async def call_all() -> list[Any]:
        async with session.async_sdk() as sdk:
            return await asyncio.gather(*(sdk.products.list() for _ in range(100)))

    pages = asyncio.run(call_all())

    assert [page.data for page in pages] == [[]] * 100
    assert token_requests(sandbox) == 1


def test_a_retry_of_the_sdk_asks_for_no_token(session: M3terSession, sandbox: Sandbox) -> None:
    sandbox.faults.fail(503)

    session.sdk().products.list()

    assert [record.status for record in sandbox.log] == [200, 503, 200]


def test_the_sdk_works_as_documented(session: M3terSession) -> None:
    sdk = session.sdk()
    made = sdk.products.create(name="P", code="p")

    assert [product.id for product in sdk.products.list()] == [made.id]
    with pytest.raises(m3ter.NotFoundError):
        sdk.products.retrieve("81c49a54-dfcd-4da5-bbf3-d2885ec025dd")


@pytest.mark.parametrize("derive", ["copy", "with_options"])
def test_a_copy_of_a_client_stays_on_the_session(
    session: M3terSession, sandbox: Sandbox, derive: str
) -> None:
    getattr(session.sdk(), derive)(max_retries=0).products.list()

    assert token_requests(sandbox) == 1


@pytest.mark.parametrize("derive", ["copy", "with_options"])
def test_a_copy_of_an_async_client_stays_on_the_session(
    session: M3terSession, sandbox: Sandbox, derive: str
) -> None:
    finished(getattr(session.async_sdk(), derive)(max_retries=0).products.list)

    assert token_requests(sandbox) == 1


def test_raw_answers_work(session: M3terSession) -> None:
    assert session.sdk().products.with_raw_response.list().parse().data == []


# Renewal


def test_an_expired_token_is_renewed_on_the_way(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    sdk = session.sdk()
    sdk.products.list()
    clocks.advance(18_000)
    sandbox.faults.expire_tokens()

    sdk.products.list()
    sdk.products.list()

    assert [record.status for record in sandbox.log] == [200] * 5
    assert token_requests(sandbox) == 2


def test_an_expired_token_is_renewed_once_for_many_async_calls(
    session: M3terSession, sandbox: Sandbox, clocks: TwoClocks
) -> None:
    clocks.advance(18_000)
    sandbox.faults.expire_tokens()

    async def call_all() -> None:
        async with session.async_sdk() as sdk:
            await asyncio.gather(*(sdk.products.list() for _ in range(30)))

    asyncio.run(call_all())

    assert token_requests(sandbox) == 2


def refused_at_its_end(sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks) -> M3terSession:
    """Return a session whose token the sandbox refuses, and which is near its end, but not renewed just now."""
    session = login(
        credentials,
        base_url=sandbox.url,
        clock=clocks.clock._replace(sleep=lambda _: None),
        notify=lambda _: None,
    )
    clocks.advance(18_000 - 250)
    sandbox.faults.fail(503, times=4, path="/oauth/token")
    assert not session.token.expired  # a renewal fails here, and pauses
    sandbox.faults.expire_tokens()
    return session


def test_a_refusal_at_the_end_of_the_token_s_life_is_tried_once_more(
    sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks
) -> None:
    sdk = refused_at_its_end(sandbox, credentials, clocks).sdk()

    made = sdk.products.create(name="P", code="p")

    assert made.code == "p"
    assert [record.status for record in sandbox.log] == [200, *[503] * 4, 403, 200, 200]


def test_an_async_refusal_at_the_end_of_the_token_s_life_is_tried_once_more(
    sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks
) -> None:
    sdk = refused_at_its_end(sandbox, credentials, clocks).async_sdk()

    made = finished(lambda: sdk.products.create(name="P", code="p"))

    assert made.code == "p"
    assert [record.status for record in sandbox.log] == [200, *[503] * 4, 403, 200, 200]


def test_a_fresh_token_that_is_refused_is_not_renewed(sandbox: Sandbox) -> None:
    with (
        login(Credentials(NARROW_KEY_ID, NARROW_SECRET), base_url=sandbox.url) as session,
        pytest.raises(m3ter.PermissionDeniedError),
    ):
        session.sdk().products.list()

    assert [record.status for record in sandbox.log] == [200, 403]


# Our errors come through


def test_a_closed_session_is_our_error_at_once(session: M3terSession, sandbox: Sandbox) -> None:
    sdk = session.sdk()
    session.close()

    with pytest.raises(NotLoggedIn, match="This session is closed"):
        sdk.products.list()
    assert len(sandbox.log) == 1


def test_a_closed_session_is_our_error_for_the_async_client_too(session: M3terSession) -> None:
    sdk = session.async_sdk()
    session.close()

    with pytest.raises(NotLoggedIn, match="This session is closed"):
        finished(sdk.products.list)


def test_a_token_that_is_not_renewed_ends_with_our_error(
    sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks
) -> None:
    session = login(credentials, base_url=sandbox.url, clock=clocks.clock, refresh=False)
    clocks.advance(18_000)

    with pytest.raises(TokenExpired):
        session.sdk().products.list()


def test_a_refused_renewal_is_our_error(session: M3terSession, sandbox: Sandbox, clocks: TwoClocks) -> None:
    clocks.advance(18_000)
    sandbox.faults.refuse_key(DEMO_KEY_ID)

    with pytest.raises(LoginRefused) as caught:
        session.sdk().products.list()

    assert token_requests(sandbox) == 2
    assert caught.value.__context__ is None


def test_a_renewal_that_is_refused_in_mid_call_is_our_error(
    sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks
) -> None:
    session = refused_at_its_end(sandbox, credentials, clocks)
    sandbox.faults.refuse_key(DEMO_KEY_ID)

    with pytest.raises(LoginRefused):
        session.sdk(max_retries=0).products.list()


# Where the token may go


def test_the_token_goes_to_no_other_host(session: M3terSession, sandbox: Sandbox) -> None:
    with OddServer.saying(json_answer({"data": []})) as elsewhere:
        for client in (
            session.sdk(base_url=elsewhere.url),
            session.sdk().with_options(base_url=elsewhere.url),
        ):
            with pytest.raises(UnsafeDestination, match=r"goes to 127\.0\.0\.1"):
                client.products.list()
        with pytest.raises(UnsafeDestination):
            session.sdk().get(f"{elsewhere.url}/products", cast_to=object)
        with pytest.raises(UnsafeDestination):
            finished(session.async_sdk(base_url=elsewhere.url).products.list)

    assert elsewhere.seen == []
    assert len(sandbox.log) == 1


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_is_not_followed(marked: Credentials, status: int) -> None:
    with OddServer.saying(json_answer({"data": []})) as elsewhere:
        redirect = answer(status, Location=f"{elsewhere.url}/products")
        with in_turn(redirect) as server, login(marked, base_url=server.url, org_id="o") as session:
            with pytest.raises(m3ter.APIStatusError):
                session.sdk().products.create(name="P", code="p")
            with pytest.raises(m3ter.APIStatusError):
                finished(session.async_sdk().products.list)

    assert elsewhere.seen == []


def test_the_environment_s_base_url_moves_no_client(
    session: M3terSession, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", "https://api.example.invalid")
    monkeypatch.setenv("M3TER_API_TOKEN", "another token")

    session.sdk().products.list()

    assert [record.status for record in sandbox.log] == [200, 200]


def test_loopback_never_goes_through_a_proxy(session: M3terSession, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy() as proxy:
        for variable in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        session.sdk().products.list()
        finished(session.async_sdk().products.list)

    assert proxy.asked == []


def test_a_proxy_and_a_company_ca_serve_the_sdk_too(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, ca = make_certificate(tmp_path, "api.example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))

    def respond(seen: Seen) -> list[bytes]:
        return [token_answer(TOKEN) if seen.target == "/oauth/token" else json_answer({"data": []})]

    with OddServer(respond, certificate=certificate) as server, RecordingProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with login(marked, base_url="https://api.example.invalid", org_id="o") as session:
            page = session.sdk().products.list()
            async_page = finished(session.async_sdk().products.list)

    assert (page.data, async_page.data) == ([], [])
    assert proxy.asked == ["CONNECT api.example.invalid:443"] * 3
    assert [seen.headers["authorization"] for seen in server.seen[1:]] == [f"Bearer {TOKEN}"] * 2


PROXIES = {
    "a network in NO_PROXY": ("https://10.1.2.3", {"NO_PROXY": "10.0.0.0/8"}, False),
    "an IPv6 network in NO_PROXY": ("https://[fd00::1]", {"NO_PROXY": "fd00::/8,::1"}, False),
    "another host in NO_PROXY": ("https://api.example.invalid", {"NO_PROXY": "10.0.0.0/8,::1"}, True),
    "a proxy in quotes": ("https://api.example.invalid", {"HTTPS_PROXY": '"{proxy}"'}, True),
    "a proxy without a scheme": ("https://api.example.invalid", {"HTTPS_PROXY": "{bare}"}, True),
}


@pytest.mark.parametrize(("base_url", "environ", "proxied"), PROXIES.values(), ids=PROXIES)
def test_the_sdk_takes_the_way_that_the_session_takes(
    monkeypatch: pytest.MonkeyPatch,
    base_url: str,
    environ: dict[str, str],
    proxied: bool,  # noqa: FBT001 - a table of expectations
) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        for name, value in environ.items():
            monkeypatch.setenv(name, value.format(proxy=proxy.url, bare=proxy.url.removeprefix("http://")))
        patience = 5.0 if proxied else 0.2  # the proxy refuses at once; nobody is at the other addresses
        transport = Transport(base_url, timeout=Timeout(patience, patience))
        session = M3terSession(TokenSource(Token(TOKEN)), transport, org_id="o")
        sdk = session.sdk(max_retries=0, timeout=patience)
        with pytest.raises(ConnectionFailed):
            session.get("products")
        with pytest.raises(m3ter.APIConnectionError):
            sdk.products.list()
        with pytest.raises(m3ter.APIConnectionError):
            finished(session.async_sdk(max_retries=0, timeout=patience).products.list)

    assert len(proxy.asked) == (3 if proxied else 0)


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:marked-8471@[",
        "http://user:marked-8471@127.0.0.1:port",
        "ftp://user:marked-8471@127.0.0.1:9",
    ],
)
@pytest.mark.parametrize("client", ["sdk", "async_sdk"])
def test_a_proxy_that_cannot_be_used_is_our_error_and_its_password_is_nowhere(
    monkeypatch: pytest.MonkeyPatch, proxy: str, client: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    session = M3terSession(TokenSource(Token(TOKEN)), Transport("https://api.example.invalid"), org_id="o")

    with pytest.raises(ConnectionFailed, match="The proxy on the way") as caught:
        getattr(session, client)()

    assert "8471" not in all_of(caught.value)


def test_a_socks_proxy_without_its_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    session = M3terSession(TokenSource(Token(TOKEN)), Transport("https://api.example.invalid"), org_id="o")

    with pytest.raises(ConnectionFailed, match=r"%pip install 'httpx\[socks\]'"):
        session.sdk()


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_error_s_own_request_holds_no_token(marked: Credentials, status: int) -> None:
    with (
        in_turn(json_answer({"message": "no"}, status)) as server,
        login(marked, base_url=server.url, org_id="o") as session,
    ):
        for call in (
            session.sdk(max_retries=0).products.list,
            lambda: finished(session.async_sdk(max_retries=0).products.list),
        ):
            with pytest.raises(m3ter.APIStatusError) as caught:
                call()
            assert caught.value.request.headers["Authorization"] == "Bearer <hidden>"


@pytest.mark.parametrize("client", ["sdk", "async_sdk"])
def test_a_refusal_that_names_the_token_renews_it_once(
    marked: Credentials, clocks: TwoClocks, client: str
) -> None:
    refusal = json_answer({"message": "no"}, 401, WWW_Authenticate='Bearer error="invalid_token"')
    with (
        in_turn(refusal, json_answer({"data": []})) as server,
        login(marked, base_url=server.url, org_id="o", clock=clocks.clock) as session,
    ):
        sdk = getattr(session, client)(max_retries=0)
        page = sdk.products.list() if client == "sdk" else finished(sdk.products.list)

    assert page.data == []
    assert [seen.target for seen in server.seen].count("/oauth/token") == 2


def test_measurements_go_to_the_sandbox(session: M3terSession, sandbox: Sandbox) -> None:
    submitted = session.sdk().usage.submit(measurements=[MEASUREMENT])

    assert submitted.result == "accepted"
    assert sandbox.log[-1].path == f"/organizations/{DEMO_ORG_ID}/measurements"


def test_measurements_of_production_go_to_the_ingest_host(monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        session = M3terSession(TokenSource(Token(TOKEN)), Transport(), org_id="o")
        sdk = session.sdk(max_retries=0)
        for call in (
            lambda: sdk.usage.submit(measurements=[MEASUREMENT]),
            lambda: sdk.with_options(timeout=5).usage.submit(measurements=[MEASUREMENT]),
            sdk.products.list,
        ):
            with pytest.raises(m3ter.APIConnectionError):
                call()

    assert proxy.asked == [
        "CONNECT ingest.m3ter.com:443",
        "CONNECT ingest.m3ter.com:443",
        "CONNECT api.m3ter.com:443",
    ]


# Nothing shows


def test_the_sdk_s_debug_log_shows_neither_secret_nor_token(
    marked: Credentials, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.DEBUG),
        in_turn(json_answer({"data": []}), json_answer({"message": "no"}, 400)) as server,
        login(marked, base_url=server.url, org_id="o") as session,
    ):
        session.sdk().products.list()
        with pytest.raises(m3ter.BadRequestError):
            finished(session.async_sdk().products.list)

    written = caplog.text + "".join(repr(vars(record)) for record in caplog.records)
    assert "Request options" in written
    assert not any(text in written for text in (SECRET, BASIC, TOKEN))


@pytest.mark.slow
def test_m3ter_log_debug_prints_neither_secret_nor_token(sandbox: Sandbox) -> None:
    script = """
        import logging, m3ter_nb
        logging.getLogger().setLevel(logging.DEBUG)
        with m3ter_nb.login() as session:
            session.sdk().products.list()
            print("TOKEN", session.token.reveal())
    """
    done = _run(script, sandbox.environ | {"M3TER_LOG": "debug"})
    token = done.stdout.split()[-1]

    assert "Request options" in done.stderr
    assert token.startswith("eyJ")
    assert not any(text in done.stderr for text in (DEMO_SECRET, "Basic ", token, token.rpartition(".")[2]))


@pytest.mark.parametrize("how", ["reset", "refused", "async"])
def test_a_connection_error_prints_no_token_in_any_frame(marked: Credentials, how: str) -> None:
    with in_turn([reset]) as server, login(marked, base_url=server.url, org_id="o") as session:
        if how == "refused":
            server.__exit__()
        client = session.async_sdk(max_retries=0) if how == "async" else session.sdk(max_retries=0)
        call = (lambda: finished(client.products.list)) if how == "async" else client.products.list
        with pytest.raises(m3ter.APIConnectionError) as caught:
            call()

    assert caught.value.__cause__ is not None  # what happened is still told
    assert TOKEN not in all_of(caught.value)


class BrokenNetwork(httpcore.NetworkBackend, httpcore.NetworkStream):
    """A network, and its one connection, which raises when it is written to; the frames above hold the request."""

    def __init__(self, error: type[BaseException]) -> None:
        self._error = error

    def connect_tcp(self, *_args: Any, **_options: Any) -> httpcore.NetworkStream:
        """Connect."""
        return self

    def write(self, *_args: Any, **_options: Any) -> None:
        """Raise."""
        raise self._error("while writing")

    def close(self) -> None:
        """Do nothing."""

    def get_extra_info(self, info: str) -> None:
        """Know nothing."""


@pytest.mark.parametrize(
    ("error", "expected"), [(KeyboardInterrupt, KeyboardInterrupt), (RuntimeError, m3ter.APIConnectionError)]
)
def test_what_ends_a_call_in_mid_request_prints_no_token_in_any_frame(
    marked: Credentials, error: type[BaseException], expected: type[BaseException]
) -> None:
    transport = httpx.HTTPTransport()
    transport._pool = httpcore.ConnectionPool(network_backend=BrokenNetwork(error))
    with in_turn([reset]) as server, login(marked, base_url=server.url, org_id="o") as session:
        sdk = session.sdk(max_retries=0, http_client=httpx.Client(transport=transport))
        with pytest.raises(expected) as caught:
            sdk.products.list()

    assert "while writing" in all_of(caught.value)
    assert TOKEN not in all_of(caught.value)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_error_of_the_sdk_prints_no_token_in_any_frame(marked: Credentials, status: int) -> None:
    with (
        in_turn(json_answer({"message": "no"}, status)) as server,
        login(marked, base_url=server.url, org_id="o") as session,
        pytest.raises(m3ter.APIStatusError) as caught,
    ):
        session.sdk(max_retries=0).products.list()

    assert TOKEN not in all_of(caught.value)


def test_the_clients_show_nothing(marked: Credentials) -> None:
    with in_turn(json_answer({})) as server, login(marked, base_url=server.url, org_id="o") as session:
        for client in (session.sdk(), session.async_sdk()):
            shown = f"{client!r} {vars(client)}"
            assert not any(text in shown for text in (SECRET, BASIC, TOKEN))


def all_of(error: BaseException | None) -> str:
    """Return what a verbose traceback can print of an error: texts, chain, the locals of every frame but the test's."""
    printed: list[str] = []
    while error is not None:
        printed += [repr(error), str(error)]
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        printed += [repr(frame.f_locals) for frame in frames if frame.f_code.co_filename != __file__]
        error = error.__cause__ or error.__context__
    return "\n".join(printed)


# Without the extra


@pytest.mark.slow
@pytest.mark.parametrize("client", ["sdk", "async_sdk"])
def test_without_the_sdk_the_error_names_the_extra(sandbox: Sandbox, client: str) -> None:
    script = f"""
        import sys
        sys.modules["m3ter"] = None  # as if it were not installed
        import m3ter_nb
        with m3ter_nb.login() as session:
            print(session.get("products"))
            try:
                session.{client}()
            except m3ter_nb.M3terError as error:
                print(type(error).__name__, error)
    """
    done = _run(script, sandbox.environ)

    answered, refused = done.stdout.splitlines()
    assert answered == "{'data': []}"
    assert refused == f"MissingExtra The official SDK is not installed: run  {install_command('sdk')}"


def _run(script: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done
