"""Who may do what: service users, their access keys, and the bearer tokens issued to them.

Source: https://docs.m3ter.com/api/authentication (flow and lifetime) and the example token in the OpenAPI document
(header and claims). Names and wordings that no source gives are listed in ``assumptions.py``.
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from m3ter_nb.sandbox.answers import Refusal
from m3ter_nb.sandbox.locks import Lock
from m3ter_nb.sandbox.signing import signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ADMINISTRATOR",
    "DEMO_KEY_ID",
    "DEMO_ORG_ID",
    "DEMO_SECRET",
    "NARROW_KEY_ID",
    "NARROW_SECRET",
    "UPLOAD_ONLY",
    "AccessKey",
    "Bearer",
    "Identity",
    "ServiceUser",
    "invalid_credentials",
]

#: The credentials of the sandbox are public: nobody should type real ones where others can read along.
DEMO_ORG_ID = "5a4db0c5-7e57-4a11-8b0c-0d3a05a4db0c"
DEMO_KEY_ID = "sandbox-demo-key-id"
DEMO_SECRET = "sandbox-demo-api-secret-public"  # noqa: S105 - a public constant
NARROW_KEY_ID = "sandbox-narrow-key-id"
NARROW_SECRET = "sandbox-narrow-api-secret-public"  # noqa: S105 - a public constant

_DEMO_USER_ID = "2b1f6c0e-5a4d-4b0c-9d3a-000000000001"
_NARROW_USER_ID = "2b1f6c0e-5a4d-4b0c-9d3a-000000000002"

#: Permissions have the documented form ``SERVICE#ACTION#ITEM#id``; the wildcard form is an assumption.
ADMINISTRATOR: Mapping[str, bool] = {"*#*#*#*": True}
UPLOAD_ONLY: Mapping[str, bool] = {"MEASUREMENTS#MEASUREMENTS_UPLOAD#ITEM#*": True}

#: Of the tokens issued, so many are remembered: the latest.
_MOST_TOKENS = 10_000
_ENDED = -(2**63)


@dataclass(frozen=True)
class AccessKey:
    """A key id and its secret, as the Console shows them once; the secret is left out of the text form."""

    key_id: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class ServiceUser:
    """A service user: its UUID, its name and its permissions (``SERVICE#ACTION#ITEM#id`` to True)."""

    id: str
    name: str
    permissions: Mapping[str, bool]


@dataclass(frozen=True)
class Bearer:
    """What a valid bearer token says: who, with which permissions, until when (seconds since 1970)."""

    user: ServiceUser
    permissions: Mapping[str, bool]
    expires_at: int

    def may(self, service: str, action: str) -> bool:
        """Say whether the token allows ``action`` on ``service``; ``*`` in a permission matches anything."""
        for permission, granted in self.permissions.items():
            of_service, of_action = (*permission.split("#"), "", "")[:2]
            if granted and of_service in ("*", service) and of_action in ("*", "ALL", action):
                return True
        return False


class _Key:
    """A stored access key."""

    def __init__(self, user: ServiceUser, secret: str) -> None:
        self.user = user
        self.secret = secret
        self.active = True


class Identity:
    """The service users of one sandbox, their access keys and their tokens. Safe to use from several threads.

    Args:
        clock: returns the time in seconds since 1970.
        token_lifetime: seconds that a token is valid.
    """

    def __init__(self, clock: Callable[[], float], token_lifetime: int) -> None:
        self._clock = clock
        self._lock = Lock()
        self.token_lifetime = token_lifetime
        self._slot = 0
        self._issued: dict[str, Bearer] = {}
        self._keys: dict[str, _Key] = {}
        self.reset()

    def reset(self) -> None:
        """Go back to the two demo users and their keys; tokens issued before stay valid."""
        admin = ServiceUser(_DEMO_USER_ID, "Sandbox administrator", ADMINISTRATOR)
        narrow = ServiceUser(_NARROW_USER_ID, "Sandbox measurements upload", UPLOAD_ONLY)
        with self._lock:
            self._keys = {DEMO_KEY_ID: _Key(admin, DEMO_SECRET), NARROW_KEY_ID: _Key(narrow, NARROW_SECRET)}

    def add_service_user(self, name: str, permissions: Mapping[str, bool] = ADMINISTRATOR) -> AccessKey:
        """Create a service user with a first access key; return that key."""
        user = ServiceUser(str(uuid.uuid4()), name, dict(permissions))
        return self._new_key(user)

    def create_key(self, key_id: str = DEMO_KEY_ID) -> AccessKey:
        """Create a further access key for the service user that ``key_id`` belongs to (the first step of a rotation).

        Raises:
            LookupError: there is no such key.
        """
        return self._new_key(self._stored(key_id).user)

    def deactivate_key(self, key_id: str) -> None:
        """Make a key inactive: the token endpoint refuses it from now on; its tokens live on.

        Raises:
            LookupError: there is no such key.
        """
        self._stored(key_id).active = False

    def activate_key(self, key_id: str) -> None:
        """Make a key active again.

        Raises:
            LookupError: there is no such key.
        """
        self._stored(key_id).active = True

    def issue(self, key_id: str, secret: str) -> dict[str, Any]:
        """Return the answer of the token endpoint for these credentials.

        Raises:
            Refusal: 401 in the OAuth error shape (RFC 6749, section 5.2).
        """
        stored = self._keys.get(key_id)
        known = hmac.compare_digest((stored.secret if stored else "").encode(), secret.encode())
        if stored is None or not known or not stored.active:
            raise invalid_credentials()
        now = int(self._clock())
        bearer = Bearer(stored.user, dict(stored.user.permissions), now + self.token_lifetime)
        claims = {
            "sub": stored.user.id,
            "permissions": bearer.permissions,
            "iss": "https://m3ter.com/oauth2",
            "exp": bearer.expires_at,
            "iat": now,
            "orgId": DEMO_ORG_ID,
        }
        with self._lock:
            signing = signer(self._slot)
        header = {
            "typ": "JWT",
            "pt": "service",
            "alg": signing.algorithm,
            "kid": f"serviceUser_{DEMO_ORG_ID}",
        }
        token = signing.sign(header, claims)
        with self._lock:
            self._issued[token] = bearer
            if len(self._issued) > _MOST_TOKENS:
                del self._issued[next(iter(self._issued))]
        return {
            "token_type": "Bearer",
            "access_token": token,
            "expires_in": self.token_lifetime,
            "scope": None,
        }

    def check(self, authorization: str | None) -> Bearer:
        """Return what the ``Authorization`` header of a call stands for.

        Raises:
            Refusal: 403 where the header is missing, is no bearer token of this sandbox, or its token has ended; then
                with the challenge of RFC 6750, section 3.1.
        """
        scheme, _, token = (authorization or "").partition(" ")
        # A token is looked up rather than verified: one bit more or less and it is not in the table.
        bearer = self._issued.get(token.strip()) if scheme.lower() == "bearer" else None
        if bearer is None:
            raise Refusal(403, "Unauthorized")
        if bearer.expires_at <= self._clock():
            raise Refusal(403, "Unauthorized", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return bearer

    def expire_tokens(self) -> None:
        """Make every token issued so far worthless, and sign with another key, so that new tokens differ."""
        with self._lock:
            self._issued = {
                token: replace(bearer, expires_at=_ENDED) for token, bearer in self._issued.items()
            }
            self._slot = 1 - self._slot

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the public signing keys (JWK, RFC 7517), the current one first; none where a secret signs."""
        with self._lock:
            slot = self._slot
        keys = [signer(number).public_key() for number in (slot, 1 - slot)]
        return [key for key in keys if key is not None]

    def _new_key(self, user: ServiceUser) -> AccessKey:
        key = AccessKey(f"sandbox-key-{uuid.uuid4()}", secrets.token_urlsafe(32))
        with self._lock:
            self._keys[key.key_id] = _Key(user, key.secret)
        return key

    def _stored(self, key_id: str) -> _Key:
        try:
            return self._keys[key_id]
        except KeyError:
            # It is not repeated: it may be a real one's, or its secret.
            raise LookupError("The sandbox has no such access key; make one with create_key().") from None


def invalid_credentials() -> Refusal:
    """Return the refusal of the token endpoint (shape and words: see ``assumptions.py``)."""
    body = {"error": "invalid_request", "error_description": "Invalid Credentials"}
    return Refusal(401, "Invalid Credentials", body=body)
