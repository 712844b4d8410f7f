"""Hand-made servers on loopback that answer as no m3ter does: odd bytes, resets, stalls, TLS, a recording proxy."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import json
import selectors
import signal
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Step = bytes | Callable[["Connection"], None]

__all__ = [
    "Connection",
    "DrippingProxy",
    "OddServer",
    "RecordingProxy",
    "Seen",
    "SocksProxy",
    "answer",
    "json_answer",
    "make_certificate",
    "press_ctrl_c",
    "reset",
    "stall",
    "token_answer",
]

_PATIENCE = 20.0


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Connection:
    """One accepted connection: what an odd answer may do to it."""

    def __init__(self, sock: socket.socket, closing: threading.Event) -> None:
        self.sock = sock
        self.closing = closing


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return a whole HTTP answer; ``Retry_After="3"`` is the header ``Retry-After: 3``."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    named = {"Content_Length": str(len(body)), "Content_Type": "application/json"} | headers
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_answer(value: object, status: int = 200, **headers: str) -> bytes:
    """Return a whole HTTP answer with a JSON body."""
    return answer(status, json.dumps(value).encode(), **headers)


def token_answer(access_token: str = "plain-opaque-token", **more: object) -> bytes:
    """Return the documented answer of the token endpoint, fields replaced by name."""
    fields = {"token_type": "Bearer", "access_token": access_token, "expires_in": 18_000, "scope": None}
    return json_answer(fields | more)


def reset(connection: Connection) -> None:
    """Break the connection with a TCP reset."""
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sock.close()


def stall(connection: Connection) -> None:
    """Say nothing more until the server closes."""
    connection.closing.wait(_PATIENCE)


def press_ctrl_c(connection: Connection) -> None:
    """Press Ctrl-C until the client gives up the connection.

    Once is not enough: the first one can come just before the client begins to wait, and then nothing wakes it.
    """
    connection.sock.settimeout(0.5)
    for _ in range(int(_PATIENCE)):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            connection.sock.recv(1)
            return


class _Listener:
    """Listens on a port of 127.0.0.1, and serves each connection in a thread of its own."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.accepted = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            sock.settimeout(_PATIENCE)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        raise NotImplementedError


class OddServer(_Listener):
    """A server on 127.0.0.1 whose answers a test writes out, byte by byte.

    Args:
        respond: given each request, returns what happens in turn: bytes to send, or something done to the connection.
        certificate: a PEM file of key and certificate, for https.

    Attributes:
        seen: the requests, in turn. That nobody asked is to be told from these: whatever dials the port of a server
            that has ended (a Jupyter server looks for its kernels so) can open a connection here.
        accepted: how many connections were opened.
    """

    def __init__(self, respond: Callable[[Seen], list[Step]], *, certificate: Path | None = None) -> None:
        super().__init__()
        self._respond = respond
        self._closing = threading.Event()
        self._tls: ssl.SSLContext | None = None
        if certificate is not None:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._tls.load_cert_chain(certificate)
        self.seen: list[Seen] = []
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"

    @classmethod
    def saying(cls, *answers: bytes) -> OddServer:
        """Return a server that gives these answers in turn, and the last one from then on."""
        waiting = list(answers)
        return cls(lambda _: [waiting.pop(0) if len(waiting) > 1 else waiting[0]])

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        super().__exit__()

    def _serve(self, sock: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            self._tls.wrap_socket(sock, server_side=True) if self._tls else sock as wire,
        ):
            self._answer_all(wire)

    def _answer_all(self, wire: socket.socket) -> None:
        stream = wire.makefile("rb")
        while (request := _read(stream)) is not None:
            self.seen.append(request)
            for step in self._respond(request):
                if isinstance(step, bytes):
                    wire.sendall(step)
                else:
                    stream.close()  # a socket is closed when its last file is
                    step(Connection(wire, self._closing))
                    return


class RecordingProxy(_Listener):
    """A proxy on 127.0.0.1 that writes down what is asked for and tunnels CONNECT to one port of loopback, or nowhere.

    Args:
        port: where every tunnel ends, whatever host was asked for; None refuses.
        status: with which it refuses.
    """

    def __init__(self, port: int | None = None, *, status: int = 403) -> None:
        super().__init__()
        self._to = port
        self._status = status
        self.asked: list[str] = []
        self.heard = b""
        self.url = f"http://127.0.0.1:{self.port}"

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = sock.recv(4096)
                if not piece:
                    return
                head += piece
            self.heard += head
            self.asked.append(head.split(b" HTTP/", 1)[0].decode())
            if self._to is None or not head.startswith(b"CONNECT "):
                sock.sendall(answer(self._status))
                return
            with socket.create_connection(("127.0.0.1", self._to)) as onward:
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._tunnel(sock, onward)

    def _tunnel(self, inward: socket.socket, onward: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(inward, selectors.EVENT_READ, onward)
            selector.register(onward, selectors.EVENT_READ, inward)
            while True:
                for key, _ in selector.select(_PATIENCE):
                    piece = key.fileobj.recv(65_536)  # type: ignore[union-attr]  # only sockets are registered
                    if not piece:
                        return
                    if key.fileobj is inward:
                        self.heard += piece
                    key.data.sendall(piece)


class DrippingProxy(_Listener):
    """A proxy on 127.0.0.1 that begins to answer a CONNECT, and goes on for ever, one header after another."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"http://127.0.0.1:{self.port}"

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.recv(65_536)
            sock.sendall(b"HTTP/1.1 200 Connection established\r\n")
            while True:
                sock.sendall(b"X: ")
                for _ in range(1_000):
                    sock.sendall(b"x")
                sock.sendall(b"\r\n")


class SocksProxy(_Listener):
    """A SOCKS5 proxy on 127.0.0.1 (RFC 1928) that writes down which host it is asked for, and refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.url = f"socks5h://127.0.0.1:{self.port}"

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError, ValueError, IndexError):
            stream = sock.makefile("rb")
            _, methods = stream.read(2)
            stream.read(methods)
            sock.sendall(b"\x05\x00")
            length = stream.read(5)[4]  # version, command, reserved, "a name", its length
            self.asked.append(stream.read(length).decode())
            stream.read(2)
            sock.sendall(b"\x05\x02\x00\x01" + bytes(6))  # not allowed by the ruleset


def make_certificate(folder: Path, *names: str, days: tuple[int, int] = (-1, 1)) -> tuple[Path, Path]:
    """Make a certificate authority and a certificate it signs for these names; return the server's PEM and the CA's.

    ``days`` from today on, in which the certificate is valid.
    """
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    now = dt.datetime.now(dt.UTC)

    def builder(
        name: str, public_key: ec.EllipticCurvePublicKey, days: tuple[int, int] = (-1, 1)
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
        )

    def alternative(name: str) -> x509.GeneralName:
        try:
            return x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            return x509.DNSName(name)

    # Python 3.13 verifies strictly (RFC 5280): a CA says what its key is for, and both say which key.
    may_sign = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    ca = (
        builder("Test CA", ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(may_sign, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    leaf = (
        builder("server", key.public_key(), days)
        .add_extension(x509.SubjectAlternativeName([alternative(name) for name in names]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )
    server_pem, ca_pem = folder / "server.pem", folder / "ca.pem"
    server_pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + leaf.public_bytes(serialization.Encoding.PEM)
    )
    ca_pem.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    return server_pem, ca_pem


def _read(stream: object) -> Seen | None:
    """Read one request; None where the client has closed."""
    readline = stream.readline  # type: ignore[attr-defined]  # a file
    first = readline().decode("latin-1").split()
    if not first:
        return None
    headers: dict[str, str] = {}
    while (line := readline().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", "0")))  # type: ignore[attr-defined]  # a file
    return Seen(first[0], first[1], headers, body)
