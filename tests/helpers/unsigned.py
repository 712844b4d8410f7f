"""A JSON Web Token (RFC 7519) that nobody has signed."""

from __future__ import annotations

import base64
import json

__all__ = ["jwt"]


def jwt(claims: object) -> str:
    """Return an unsigned JWT with these claims."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256"}, claims)
    ]
    return ".".join([*parts, "signature"])
