"""Why a connection did not come about: each cause by its own name, and what to do about that one."""

from __future__ import annotations

import errno
import os
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from urllib3 import exceptions as u3

from m3ter_nb.api.login import login
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.errors import ConnectionFailed, UnexpectedAnswer
from m3ter_nb.wire.failures import translate
from odd_servers import OddServer, json_answer, make_certificate, token_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from IPython.core.interactiveshell import InteractiveShell

MARKED = Credentials("a-key-id", "marked-secret-8471")


def said_of(url: str) -> str:
    """Return what a login there says."""
    with pytest.raises(ConnectionFailed) as caught:
        login(MARKED, base_url=url, org_id="o")
    return str(caught.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ECONNREFUSED, "refused the connection. Is it running"),
        (errno.ENETUNREACH, "no way to api.example: check the network"),
        (errno.EHOSTUNREACH, "no way to api.example: check the network"),
        (errno.EACCES, "lets no connection out to api.example: a firewall"),
        (errno.EPERM, "lets no connection out to api.example: a firewall"),
        (errno.EMFILE, "too many files or connections open"),
        (errno.ECONNRESET, "broke the connection as soon as it stood"),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else None,
)
def test_what_the_system_says_of_a_connection_is_said(code: int, said: str) -> None:
    error = u3.NewConnectionError(None, "text of urllib3")  # type: ignore[arg-type]  # no connection is at hand
    error.__cause__ = OSError(code, os.strerror(code))

    ours = translate(error, "api.example", (5, 30))

    assert type(ours) is ConnectionFailed
    assert said in str(ours)


def test_a_call_to_a_sandbox_that_has_gone_names_the_sandbox(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in ("%m3ter_sandbox", "%m3ter_login", "%m3ter_sandbox stop", "%m3ter GET products"):
        capsys.readouterr()
        shell.run_cell(line)
    gone = capsys.readouterr().out

    for line in ("%m3ter_sandbox", "%m3ter GET products"):
        capsys.readouterr()
        shell.run_cell(line)
    moved = capsys.readouterr().out

    for said in (gone, moved):
        assert "refused the connection: nothing runs there. Was it the sandbox? %m3ter_sandbox" in said
        assert "then %m3ter_login" in said


@pytest.mark.parametrize(
    ("days", "named", "said"),
    [
        ((-9, -2), "127.0.0.1", "it has expired. Check the clock"),
        ((2, 9), "127.0.0.1", "it is not valid yet. Check the clock"),
        ((-1, 1), "10.0.0.1", "it is that of another host. Check the base URL"),
        ((-1, 1), "localhost", "it is that of another host. Check the base URL"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: tuple[int, int], named: str, said: str
) -> None:
    server_pem, ca_pem = make_certificate(tmp_path, named, days=days)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_pem))

    with OddServer(lambda _: [token_answer()], certificate=server_pem) as server:
        assert f"could not be verified: {said}" in said_of(server.url)


def test_a_certificate_that_nobody_known_has_signed_is_said(tmp_path: Path) -> None:
    server_pem, _ = make_certificate(tmp_path, "127.0.0.1")

    with OddServer(lambda _: [token_answer()], certificate=server_pem) as server:
        assert "nobody whom this computer trusts has signed it" in said_of(server.url)


@pytest.fixture
def no_tls() -> Iterator[str]:
    """Return the https URL of a server that answers a handshake as a server of plain HTTP does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer_all() -> None:
            with suppress(OSError):
                while True:
                    with listening.accept()[0] as wire:
                        wire.recv(65_536)
                        wire.sendall(json_answer({"message": "Bad request version"}, 400))

        threading.Thread(target=answer_all, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"


def test_https_to_a_port_of_plain_http_is_not_blamed_on_a_certificate(no_tls: str) -> None:
    said = said_of(no_tls)

    assert "speaks no TLS there. Check the base URL: its scheme" in said
    assert "certificate" not in said


@pytest.mark.parametrize(
    "said", [b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"\x15\x03\x03\x00\x02\x02\x16\r\n"]
)
def test_what_speaks_no_http_is_said_and_not_asked_again(said: bytes) -> None:
    with OddServer(lambda _: [said]) as server, pytest.raises(UnexpectedAnswer, match="what is no HTTP"):
        login(MARKED, base_url=server.url, org_id="o")

    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (204, "answered the token request with 204. m3ter does not answer so"),
        (304, "answered the token request with 304. m3ter does not answer so"),
        (307, "sent the token request elsewhere (307)"),
        (404, "It gives no tokens there"),
        (407, "A proxy on the way wants a name and a password"),
        (409, "m3ter does not answer so: check the base URL"),
        (410, "m3ter does not answer so: check the base URL"),
        (413, "m3ter does not answer so: check the base URL"),
        (414, "m3ter does not answer so: check the base URL"),
        (415, "m3ter does not answer so: check the base URL"),
        (422, "m3ter does not answer so: check the base URL"),
        (428, "m3ter does not answer so: check the base URL"),
        (511, "The network itself wants a login"),
    ],
)
def test_a_status_that_says_nothing_of_the_key_does_not_blame_it_nor_what_is_stored(
    status: int, said: str
) -> None:
    with OddServer.saying(json_answer({}, status)) as server:
        text = said_of(server.url)

    assert said in text
    for wrong in ("Access Key", "entity", "a list shows", "several parts", "fewer ids"):
        assert wrong not in text
