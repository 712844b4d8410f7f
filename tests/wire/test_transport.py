"""Where the secret and the token may go, over what, and what each failure of the network is called."""

from __future__ import annotations

import base64
import http.client
import inspect
import logging
import os
import pickle
import re
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING

import pytest
import requests
import urllib3.exceptions

from children import forks, in_a_child
from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.grant import fetch_token
from m3ter_nb.bridges.requests_auth import TokenAuth
from m3ter_nb.errors import (
    ConnectionFailed,
    InvalidArgument,
    M3terError,
    UnexpectedAnswer,
    UnsafeDestination,
)
from m3ter_nb.sandbox import DEMO_ORG_ID
from m3ter_nb.wire.certificates import trusting
from m3ter_nb.wire.clock import Clock
from m3ter_nb.wire.failures import translate
from m3ter_nb.wire.hosts import checked_base_url, is_loopback, origin
from m3ter_nb.wire.proxies import proxy_for
from m3ter_nb.wire.transport import Timeout, Transport
from odd_servers import (
    OddServer,
    RecordingProxy,
    Seen,
    SocksProxy,
    answer,
    json_answer,
    make_certificate,
    reset,
    token_answer,
)

if TYPE_CHECKING:
    from pathlib import Path

    from m3ter_nb.sandbox import Sandbox

SECRET = "marked-secret-8471"
BASIC = "YS1rZXktaWQ6bWFya2VkLXNlY3JldC04NDcx"
TOKEN = "marked-token-8471"

#: Short, so that a bug shows as a failure and not as a hang.
SHORT = Timeout(20.0, 20.0)


@pytest.fixture(autouse=True)
def no_ca_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the machine's own CA bundle."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def marked() -> Credentials:
    """Return credentials with a marked secret."""
    return Credentials("a-key-id", SECRET)


def m3ter(seen: Seen) -> list[bytes]:
    """Answer as m3ter does: a token, then an empty list."""
    if seen.target == "/oauth/token":
        return [token_answer(TOKEN)]
    return [json_answer({"data": [], "host": seen.headers["host"]})]


# Base URLs


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.m3ter.com", "https://api.m3ter.com"),
        ("https://api.m3ter.com/", "https://api.m3ter.com"),
        ("HTTPS://API.m3ter.com", "https://api.m3ter.com"),
        ("  https://api.m3ter.com\n", "https://api.m3ter.com"),
        ("https://proxy.example.com/m3ter/", "https://proxy.example.com/m3ter"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.2", "http://127.0.0.2"),
        ("http://[::1]:80", "http://[::1]:80"),
    ],
)
def test_a_base_url_is_kept_without_its_slash(given: str, kept: str) -> None:
    assert checked_base_url(given) == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://api.m3ter.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://notlocalhost",
        "http://0x7f000001.example",
        "HTTP://api.m3ter.com",
    ],
)
def test_plain_http_is_for_loopback_alone(url: str) -> None:
    with pytest.raises(UnsafeDestination, match="in clear"):
        checked_base_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.m3ter.com",
        "ftp://api.m3ter.com",
        "file:///etc/passwd",
        "https://",
        "https://api.m3ter.com:port",
        "https://api.m3ter.com:0",
        "https://user:pw@api.m3ter.com",
        "https://api.m3ter.com?x=1",
        "https://api.m3ter.com#x",
        "https://[::1",
        "https://api.m3ter.com:99999",
        "https://api.evil.test\\.m3ter.com",
        "https://api.evil.test\\@api.m3ter.com",
        "https://\u0430pi.m3ter.com",
        "https://api.m3ter.com?",
        "https://api.m3ter.com#",
        "https://api.m3ter.com/a b",
        "https://api.m3ter.com/a/../b",
        "https://api.m3ter.com/%2e%2e",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgument):
        checked_base_url(url)


def test_a_password_in_a_base_url_is_not_repeated() -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_base_url("ftp://user:pass-8471@host")

    assert "pass-8471" not in str(caught.value)


def test_a_forgotten_scheme_is_suggested() -> None:
    with pytest.raises(InvalidArgument, match=r"Did you mean https://api\.m3ter\.com\?"):
        checked_base_url("api.m3ter.com")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", False),
        ("127.255.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("localhost.com", False),
        ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine(host: str, loopback: bool) -> None:  # noqa: FBT001 - a table of expectations
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://API.m3ter.com/x", ("https", "api.m3ter.com", 443)),
        ("https://api.m3ter.com:8443", ("https", "api.m3ter.com", 8443)),
        ("https://api.m3ter.com@evil.example", ("https", "evil.example", 443)),
        ("https://api.m3ter.com:x", ("", "", 0)),
        ("products", ("", "", 0)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: tuple[str, str, int]) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("base_url", "ingest_url"),
    [
        ("https://api.m3ter.com", "https://ingest.m3ter.com"),
        ("https://api.eu.m3ter.com", "https://ingest.eu.m3ter.com"),
        ("https://api.m3ter.com.evil.example", "https://api.m3ter.com.evil.example"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
def test_measurements_go_to_the_ingest_host_of_the_same_m3ter(base_url: str, ingest_url: str) -> None:
    assert Transport(base_url).ingest_url == ingest_url


# Other hosts


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_carries_neither_secret_nor_token(marked: Credentials, status: int) -> None:
    with OddServer.saying(answer(200, b"{}")) as elsewhere:
        redirect = answer(status, Location=f"{elsewhere.url}/oauth/token")
        with (
            OddServer.saying(redirect) as server,
            pytest.raises(UnexpectedAnswer, match="does not follow"),
        ):
            login(marked, base_url=server.url, timeout=SHORT)

    assert elsewhere.seen == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_call_that_is_redirected_is_an_error(marked: Credentials, method: str, status: int) -> None:
    with (
        OddServer.saying(answer(200, b"{}")) as elsewhere,
        OddServer.saying(token_answer(TOKEN), answer(status, Location=elsewhere.url)) as server,
        login(marked, base_url=server.url, timeout=SHORT, org_id="o") as session,
        pytest.raises(M3terError, match="a token does not follow"),
    ):
        session.request(method, "products/1", json=None if method in ("GET", "DELETE") else {})

    assert elsewhere.seen == []


def test_the_auth_for_plain_requests_goes_to_the_api_alone(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    with (
        OddServer.saying(answer(200, b"{}")) as elsewhere,
        login(credentials, base_url=sandbox.url) as session,
    ):
        ours = requests.get(session.url("products"), auth=session.auth, timeout=5)
        with pytest.raises(UnsafeDestination, match=r"only, not to 127\.0\.0\.1"):
            requests.get(elsewhere.url, auth=session.auth, timeout=5)

    assert ours.status_code == 200
    assert elsewhere.seen == []
    assert repr(session.auth) == "TokenAuth(token hidden)"
    assert isinstance(session.auth, TokenAuth)


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_does_not_carry_what_the_auth_for_plain_requests_has_set(
    marked: Credentials, status: int
) -> None:
    turns = [token_answer(TOKEN), answer(status, Location="/elsewhere"), answer(200, b"{}")]
    with OddServer.saying(*turns) as server, login(marked, base_url=server.url, org_id="o") as session:
        response = requests.get(session.url("products"), auth=session.auth, timeout=5)

    assert [seen.headers["authorization"] for seen in server.seen[1:]] == [
        f"Bearer {TOKEN}",
        "Bearer <hidden>",
    ]
    assert response.history[0].request.headers["Authorization"] == "Bearer <hidden>"


def test_netrc_never_replaces_the_token(
    sandbox: Sandbox, credentials: Credentials, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert requests.utils.get_netrc_auth(sandbox.url) == ("somebody", "else")

    with login(credentials, base_url=sandbox.url) as session:
        session.get("products")
        plain = requests.get(session.url("products"), auth=session.auth, timeout=5)

    assert plain.status_code == 200
    assert [record.status for record in sandbox.log] == [200, 200, 200]


# Proxies and certificates


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_loopback_never_goes_through_a_proxy(
    sandbox: Sandbox, credentials: Credentials, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        with login(credentials, base_url=sandbox.url) as session:
            session.get("products")

    assert proxy.asked == []


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment_is_used_for_other_hosts(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        with pytest.raises(ConnectionFailed, match=r"proxy on the way to api\.example\.invalid"):
            login(marked, base_url="https://api.example.invalid", timeout=SHORT)

    assert proxy.asked == ["CONNECT api.example.invalid:443"]
    assert BASIC.encode() not in proxy.heard


def test_no_proxy_is_honoured(marked: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "example.invalid")
        with pytest.raises(ConnectionFailed, match="is not known"):
            login(marked, base_url="https://api.example.invalid", timeout=SHORT)

    assert proxy.asked == []


def test_a_proxy_and_a_company_ca_work_together(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, ca = make_certificate(tmp_path, "api.example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    with OddServer(m3ter, certificate=certificate) as server, RecordingProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with login(marked, base_url="https://api.example.invalid", timeout=SHORT, org_id="o") as session:
            answered = session.get("products")

    assert answered == {"data": [], "host": "api.example.invalid"}
    assert server.seen[1].headers["authorization"] == f"Bearer {TOKEN}"
    assert set(proxy.asked) == {"CONNECT api.example.invalid:443"}
    assert not any(text.encode() in proxy.heard for text in (BASIC, TOKEN, SECRET))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_ca_bundle_of_the_environment_is_trusted(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    certificate, ca = make_certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv(variable, str(ca))

    with OddServer(m3ter, certificate=certificate) as server:
        login(marked, base_url=server.url, timeout=SHORT).close()

    assert [seen.headers["authorization"] for seen in server.seen] == [f"Basic {BASIC}"]


def test_an_unknown_certificate_is_a_clear_error(marked: Credentials, tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path, "127.0.0.1")

    with (
        OddServer(m3ter, certificate=certificate) as server,
        pytest.raises(ConnectionFailed, match="REQUESTS_CA_BUNDLE"),
    ):
        login(marked, base_url=server.url, timeout=SHORT)

    assert server.seen == []


def test_a_certificate_for_another_name_is_a_clear_error(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, ca = make_certificate(tmp_path, "api.example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))

    with (
        OddServer(m3ter, certificate=certificate) as server,
        pytest.raises(ConnectionFailed, match="certificate"),
    ):
        login(marked, base_url=server.url, timeout=SHORT)

    assert server.seen == []


def test_a_ca_bundle_that_is_not_there_is_named_and_nothing_is_repeated(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(missing))
    waits: list[float] = []

    with pytest.raises(InvalidArgument, match=re.escape(f"{missing}: mend or unset REQUESTS_CA_BUNDLE")):
        fetch_token(marked, Transport("https://127.0.0.1:9", timeout=SHORT, clock=Clock(sleep=waits.append)))

    assert waits == []


def test_a_proxy_that_is_down_is_named_as_the_proxy(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingProxy() as gone:
        pass
    monkeypatch.setenv("HTTPS_PROXY", gone.url)

    with pytest.raises(ConnectionFailed, match="The proxy on the way"):
        login(marked, base_url="https://api.example.invalid", timeout=SHORT)


def test_an_unknown_proxy_is_named_as_the_proxy(marked: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.invalid:3128")

    with pytest.raises(ConnectionFailed, match="The proxy on the way"):
        login(marked, base_url="https://api.example.invalid", timeout=SHORT)


def test_the_name_and_password_of_a_proxy_go_to_the_proxy_alone(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, ca = make_certificate(tmp_path, "api.example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    with OddServer(m3ter, certificate=certificate) as server, RecordingProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://us%40er:pass@"))
        login(marked, base_url="https://api.example.invalid", timeout=SHORT, org_id="o").close()

    assert b"authorization: basic " + base64.b64encode(b"us@er:pass").lower() in proxy.heard.lower()
    assert "proxy-authorization" not in server.seen[0].headers


def test_a_proxy_without_a_scheme_is_an_http_proxy(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RecordingProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.removeprefix("http://"))
        with pytest.raises(ConnectionFailed, match="The proxy on the way"):
            login(marked, base_url="https://api.example.invalid", timeout=SHORT)

    assert proxy.asked == ["CONNECT api.example.invalid:443"]


@pytest.mark.parametrize("url", ["https://api.example.invalid", "https://api.example.invalid:443/"])
def test_the_proxy_is_used_however_the_same_host_is_written(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str
) -> None:
    certificate, ca = make_certificate(tmp_path, "api.example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    with OddServer(m3ter, certificate=certificate) as server, RecordingProxy(server.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with login(marked, base_url=url, timeout=SHORT, org_id="o") as session:
            session.get("https://API.example.invalid/organizations/o/products")
            session.get("https://api.example.invalid:443/organizations/o/products")

    assert len(server.seen) == 3
    assert set(proxy.asked) == {"CONNECT api.example.invalid:443"}


def test_a_socks_proxy_resolves_the_host_and_nothing_goes_past_it(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SocksProxy() as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        with pytest.raises(ConnectionFailed):
            login(marked, base_url="https://api.example.invalid", timeout=SHORT)

    assert proxy.asked == ["api.example.invalid"]


def test_a_socks_proxy_without_its_package_names_the_package(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    monkeypatch.delitem(sys.modules, "urllib3.contrib.socks", raising=False)
    monkeypatch.setitem(sys.modules, "socks", None)

    with pytest.raises(ConnectionFailed, match="%pip install pysocks"):
        login(marked, base_url="https://api.example.invalid", timeout=SHORT)


@pytest.mark.parametrize("scheme", ["socks5h", "SOCKS5H"])
def test_a_socks_proxy_that_is_down_is_named_as_the_proxy(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    with RecordingProxy() as gone:
        pass
    monkeypatch.setenv("HTTPS_PROXY", gone.url.replace("http", scheme))

    with pytest.raises(ConnectionFailed, match="The proxy on the way"):
        login(marked, base_url="https://api.example.invalid", timeout=SHORT)


@pytest.mark.parametrize(
    ("no_proxy", "host", "way"),
    [
        ("10.0.0.0/8", "10.1.2.3", "direct"),
        ("localhost, 10.0.0.0/8 ,x/y", "10.1.2.3", "direct"),
        ("fd00::/8", "[fd00::1]", "direct"),
        ("10.0.0.0/8", "11.1.2.3", "proxy"),
        ("10.0.0.0/8", "api.example.invalid", "proxy"),
        ("*", "api.example.invalid", "direct"),
        ("api.example.invalid:443", "api.example.invalid:443", "direct"),
        ("api.example.invalid:443", "api.example.invalid", "direct"),
        ("api.example.invalid:8443", "api.example.invalid", "proxy"),
        ("localhost, *", "api.example.invalid", "direct"),
        ("*.example.invalid", "api.example.invalid", "direct"),
        ('"localhost, example.invalid"', "api.example.invalid", "direct"),
        ("localhost example.invalid", "api.example.invalid", "direct"),
        ("API.Example.invalid", "api.example.invalid", "direct"),
        ("ample.invalid,.", "api.example.invalid", "proxy"),
        ("[fd00::1]:443", "[fd00::1]", "direct"),
        ("fd00::1", "[fd00::1]:443", "direct"),
    ],
)
def test_no_proxy_names_hosts_and_networks(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str, host: str, way: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.invalid")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert (proxy_for(f"https://{host}") is None) == (way == "direct")


def test_a_proxy_s_password_is_hidden_and_not_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:marked-8471@proxy.example.invalid")
    transport = Transport()

    assert "marked-8471" not in repr(vars(transport)) + repr(vars(transport._connections))
    with pytest.raises(InvalidArgument):
        pickle.dumps(transport)


def test_a_folder_of_certificates_is_trusted(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, ca = make_certificate(tmp_path, "127.0.0.1")
    folder = tmp_path / "authorities"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(ca.read_bytes())
    subprocess.run(["openssl", "rehash", str(folder)], check=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))

    with OddServer(m3ter, certificate=certificate) as server:
        login(marked, base_url=server.url, timeout=SHORT).close()

    assert len(server.seen) == 1


def test_a_host_that_only_one_of_two_parsers_sees_is_refused(
    sandbox: Sandbox, credentials: Credentials
) -> None:
    with login(credentials, base_url=sandbox.url) as session, OddServer.saying(json_answer({})) as elsewhere:
        host = sandbox.url.removeprefix("http://")
        with pytest.raises(UnsafeDestination, match="leads to another host"):
            session.get(f"{elsewhere.url}\\@{host}/x")

    assert elsewhere.seen == []


def test_close_closes_the_connections(marked: Credentials) -> None:
    with OddServer(m3ter) as server:
        session = login(marked, base_url=server.url, timeout=SHORT, org_id="o")
        session.get("products")
        session._transport.close()
        session.get("products")

    assert server.accepted == 2


@pytest.mark.parametrize(
    "proxy", ["ftp://127.0.0.1:9", "http://", "http://[", "http://127.0.0.1:port", "//["]
)
def test_a_malformed_proxy_is_named_as_the_proxy(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    with pytest.raises(ConnectionFailed, match="The proxy on the way"):
        login(marked, base_url="https://api.example.invalid", timeout=SHORT)


# Debug output


def test_http_client_s_debug_output_holds_no_authorization(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)

    with (
        OddServer(m3ter) as server,
        login(marked, base_url=server.url, timeout=SHORT, org_id="o") as session,
    ):
        session.get("products")
        requests.get(f"{server.url}/plain", timeout=5)

    captured = capfd.readouterr()
    written = captured.out + captured.err
    assert "GET /plain" in written  # the debug output is on
    assert not any(text in written for text in (SECRET, BASIC, TOKEN))


def test_debug_logs_hold_no_secret(
    marked: Credentials, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate, ca = make_certificate(tmp_path, "api.example.invalid")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca))
    with (
        caplog.at_level(logging.DEBUG),
        OddServer(m3ter, certificate=certificate) as server,
        RecordingProxy(server.port) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with login(marked, base_url="https://api.example.invalid", timeout=SHORT, org_id="o") as session:
            session.get("products")

    written = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "/oauth/token" in written  # urllib3 did log
    assert not any(text in written for text in (SECRET, BASIC, TOKEN))


# Every exception of urllib3

RETRIED, FAILED, TIMED_OUT, ODD, WRONG = (
    "ConnectionBroken",
    "ConnectionFailed",
    "ConnectionTimeout",
    "UnexpectedAnswer",
    "InvalidArgument",
)
OF_URLLIB3 = {
    "BodyNotHttplibCompatible": RETRIED,
    "ClosedPoolError": RETRIED,
    "ConnectionError": RETRIED,
    "ConnectTimeoutError": TIMED_OUT,
    "DecodeError": ODD,
    "EmptyPoolError": RETRIED,
    "FullPoolError": RETRIED,
    "HTTPError": RETRIED,
    "HeaderParsingError": RETRIED,
    "HostChangedError": RETRIED,
    "IncompleteRead": RETRIED,
    "InvalidChunkLength": RETRIED,
    "InvalidHeader": ODD,
    "LocationParseError": WRONG,
    "LocationValueError": RETRIED,
    "MaxRetryError": RETRIED,
    "NameResolutionError": FAILED,
    "NewConnectionError": FAILED,
    "PoolError": RETRIED,
    "ProtocolError": RETRIED,
    "ProxyError": FAILED,
    "ProxySchemeUnknown": FAILED,
    "ProxySchemeUnsupported": FAILED,
    "ReadTimeoutError": TIMED_OUT,
    "RequestError": RETRIED,
    "ResponseError": RETRIED,
    "ResponseNotChunked": RETRIED,
    "SSLError": FAILED,
    "TimeoutError": TIMED_OUT,
    "TimeoutStateError": RETRIED,
    "URLSchemeUnknown": WRONG,
    "UnrewindableBodyError": RETRIED,
}


def test_every_exception_of_urllib3_has_our_name_for_it() -> None:
    kinds = {
        name: kind
        for name, kind in inspect.getmembers(urllib3.exceptions, inspect.isclass)
        if issubclass(kind, Exception)
        and not issubclass(kind, Warning)
        and kind.__module__ == "urllib3.exceptions"
    }

    assert {
        name: type(translate(kind.__new__(kind), "a-host", SHORT)).__name__ for name, kind in kinds.items()
    } == OF_URLLIB3


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError(), RETRIED),
        (BrokenPipeError(), RETRIED),
        (ConnectionRefusedError(), FAILED),
        (TimeoutError(), TIMED_OUT),
        (http.client.BadStatusLine("x"), "UnexpectedAnswer"),
        (http.client.RemoteDisconnected(), RETRIED),
        (UnicodeError(), WRONG),
    ],
)
def test_every_failure_of_the_socket_has_our_name_for_it(error: Exception, expected: str) -> None:
    assert type(translate(error, "a-host", SHORT)).__name__ == expected


def test_a_translated_error_repeats_nothing_of_the_library_s_text() -> None:
    error = urllib3.exceptions.ProtocolError("Authorization: marked-8471")

    assert "marked-8471" not in str(translate(error, "a-host", SHORT))


def test_an_exception_that_wraps_itself_is_translated_too() -> None:
    error = urllib3.exceptions.ProtocolError()
    error.args = (error,)

    assert type(translate(error, "a-host", SHORT)).__name__ == RETRIED


def test_a_transport_shows_its_host_alone() -> None:
    assert repr(Transport("http://127.0.0.1:9")) == "Transport('http://127.0.0.1:9')"


def test_a_request_warns_of_nothing(sandbox: Sandbox, credentials: Credentials) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with login(credentials, base_url=sandbox.url) as session:
            session.get(f"/organizations/{DEMO_ORG_ID}/products")


@pytest.mark.parametrize(
    "text",
    [
        "key:the-secret-8471@api.m3ter.com",
        "https:/k:the-secret-8471@h/x",
        "the-secret-8471",
        "https:the-secret-8471",
    ],
)
def test_a_base_url_that_may_be_a_secret_is_not_repeated(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        checked_base_url(text)

    assert "8471" not in str(caught.value)


@forks
def test_a_forked_child_opens_connections_of_its_own(sandbox: Sandbox, credentials: Credentials) -> None:
    with login(credentials, base_url=sandbox.url) as session:
        before = session._transport._connections

        assert in_a_child(lambda: session._transport._connections is before) == "False"
        assert session.get("products") == {"data": []}


def test_in_a_page_a_host_that_names_no_page_is_said_to_be_that_and_not_asked_again(
    marked: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    with OddServer(lambda _: [reset]) as server:
        transport = Transport(server.url, timeout=SHORT, clock=Clock(sleep=waits.append))
        monkeypatch.setattr("m3ter_nb.wire.failures.sys.platform", "emscripten")
        with pytest.raises(
            ConnectionFailed, match=r"does not let this page read .* \(CORS\).*the sandbox here"
        ) as caught:
            fetch_token(marked, transport)

    assert type(caught.value) is ConnectionFailed
    assert (len(server.seen), waits) == (1, [])


def test_authorities_are_read_once_for_all_sessions_and_again_where_they_have_changed(tmp_path: Path) -> None:
    _, ca = make_certificate(tmp_path, "127.0.0.1")
    first = trusting(str(ca))
    again = trusting(str(ca))
    (tmp_path / "other").mkdir()
    _, other = make_certificate(tmp_path / "other", "127.0.0.1")
    ca.write_bytes(other.read_bytes())
    os.utime(ca, ns=(0, 0))

    assert again is first
    assert trusting(str(ca)).get_ca_certs() != first.get_ca_certs()


@pytest.mark.parametrize("content", [b"", b"no certificate"])
def test_a_ca_bundle_that_cannot_be_used_is_named_and_not_blamed_on_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(content)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(bundle))

    with pytest.raises(InvalidArgument, match=r"ca\.pem .*holds no certificate.*CURL_CA_BUNDLE"):
        Transport()


@pytest.mark.parametrize("url", ["/a\x00b", "/a\nb", "/a\x7fb", "/\u0085x"])
def test_a_control_character_in_a_url_is_refused_by_us(url: str) -> None:
    transport = Transport("http://127.0.0.1:9")

    with pytest.raises(InvalidArgument, match="not a URL that can be asked for"):
        transport.send("GET", f"http://127.0.0.1:9{url}", authorization=lambda: "x")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/../x",
        "http://127.0.0.1:9/a/..",
        "http://127.0.0.1:9?a=1",
        "http://127.0.0.1:9/a b",
        "HTTP://127.0.0.1:9/x",
        "http://127.0.0.1:9/a?b=/../c",
    ],
)
def test_an_odd_url_of_our_own_host_leads_to_our_own_host(url: str) -> None:
    where, target = Transport("http://127.0.0.1:9")._destination(url)

    assert where == ("http", "127.0.0.1", 9)
    assert target.startswith("/")
    assert " " not in target


EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


@pytest.mark.parametrize("before", [EARLY, EARLY + b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY])
def test_an_answer_that_only_announces_another_is_not_taken_for_it(
    marked: Credentials, before: bytes
) -> None:
    def respond(seen: Seen) -> list[bytes]:
        if seen.target == "/oauth/token":
            return [before + token_answer(TOKEN)]
        return [before, json_answer({"id": seen.target[-1]})]

    with (
        OddServer(respond) as server,
        login(marked, base_url=server.url, org_id="o", timeout=SHORT) as session,
    ):
        answers = [session.get(f"products/{id_}")["id"] for id_ in "123"]

    assert answers == ["1", "2", "3"]


def test_another_protocol_is_no_answer(marked: Credentials) -> None:
    def respond(seen: Seen) -> list[bytes]:
        if seen.target == "/oauth/token":
            return [token_answer(TOKEN)]
        return [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"]

    with (
        OddServer(respond) as server,
        login(marked, base_url=server.url, org_id="o", timeout=SHORT) as session,
        pytest.raises(ConnectionFailed),
    ):
        session.post("products", {"name": "P"})
