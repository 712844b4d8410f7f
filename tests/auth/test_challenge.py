"""Whether a challenge says that the token is to blame, in the spellings that RFC 9110 section 11 allows."""

from __future__ import annotations

import pytest

from m3ter_nb.auth.challenge import blames_the_token


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer error="invalid_token"',
        "Bearer error=invalid_token",
        'bearer realm=x , ERROR = "INVALID_TOKEN"',
        'Bearer\terror\t=\t"invalid_token"',
        r'Bearer error="invalid\_token"',
        'Bearer error="' + "".join(f"\\{letter}" for letter in "invalid_token") + '"',
        "Bearer error='invalid_token'",
        'Basic realm="m", Bearer realm="r", error="invalid_token"',
        'Negotiate abc==, Bearer error="invalid_token"',
        'Bearer, error="invalid_token"',
        'Bearer error_description="a, b", error="invalid_token"',
        r'Bearer realm="a \" error=\"insufficient_scope", error="invalid_token"',
        f'Bearer realm="{"r" * 2_000}", error="invalid_token"',
    ],
)
def test_a_parameter_error_of_invalid_token_blames_the_token(challenge: str) -> None:
    assert blames_the_token(challenge)


@pytest.mark.parametrize(
    "challenge",
    [
        None,
        "",
        "Bearer",
        'Bearer error="insufficient_scope"',
        'Bearer error="invalid_token_x"',
        'Bearer error="invalid_token-x"',
        'Bearer x-error="invalid_token"',
        'Bearer error.x="invalid_token"',
        'Bearer error_description="invalid_token"',
        'Bearer error="insufficient_scope", error_description="error=invalid_token"',
        'Basic realm="error=invalid_token"',
        r'Basic realm="a \" error=invalid_token"',
        'Basic realm="never closed, error=invalid_token',
        'error = "invalid_request"',
    ],
)
def test_nothing_else_blames_the_token(challenge: str | None) -> None:
    assert not blames_the_token(challenge)
