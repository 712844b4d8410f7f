"""How the sandbox signs its tokens: RS256 as m3ter does, or HS256 where ``cryptography`` cannot be had.

Sources: RFC 7515 and RFC 7519; HS256 is an assumption of the sandbox (a page has no ``cryptography`` offline), and
nobody but the sandbox could verify it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import RSAKey

__all__ = ["Signer", "signer"]


class Signer(Protocol):
    """Signs tokens.

    Attributes:
        algorithm: the ``alg`` of the tokens' headers.
    """

    algorithm: str

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """Return a token in the compact form."""

    def public_key(self) -> dict[str, Any] | None:
        """Return what verifies the tokens (JWK, RFC 7517), or None where that is a secret."""


@cache
def signer(slot: int) -> Signer:
    """Return the signer number ``slot`` of this process, its key made at its first use (RSA: about 50 ms)."""
    del slot
    try:
        from joserfc.jwk import RSAKey
    except ImportError:
        return _Hmac()
    return _Rsa(RSAKey.generate_key(2048, private=True))


class _Rsa:
    algorithm = "RS256"

    def __init__(self, key: RSAKey) -> None:
        self._key = key

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        from joserfc import jwt
        from joserfc.jws import JWSRegistry

        # "pt" is a header of m3ter's own, which the strict registry would refuse.
        return jwt.encode(
            dict(header), dict(claims), self._key, registry=JWSRegistry(strict_check_header=False)
        )

    def public_key(self) -> dict[str, Any] | None:
        return dict(self._key.as_dict(private=False))


class _Hmac:
    algorithm = "HS256"

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def sign(self, header: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        signed = b".".join(
            _encoded(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims)
        )
        mac = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return (signed + b"." + _encoded(mac)).decode("ascii")

    def public_key(self) -> dict[str, Any] | None:
        return None


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
