"""Logins to the sandbox on clocks that a test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from m3ter_nb.api.login import login
from m3ter_nb.notebook.logins import Logins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clocks import TwoClocks
    from m3ter_nb.api.session import M3terSession
    from m3ter_nb.auth.credentials import Credentials
    from m3ter_nb.sandbox import Sandbox


@pytest.fixture
def open_login(
    sandbox: Sandbox, credentials: Credentials, clocks: TwoClocks, waits: list[float], told: list[str]
) -> Callable[..., M3terSession]:
    """Return a function that logs in to the sandbox, on the settable clocks."""

    def opened(*, refresh: bool = True) -> M3terSession:
        return login(
            credentials,
            base_url=sandbox.url,
            refresh=refresh,
            clock=clocks.clock._replace(sleep=waits.append),
            notify=told.append,
        )

    return opened


@pytest.fixture
def session(open_login: Callable[..., M3terSession]) -> Iterator[M3terSession]:
    """Return a session with the sandbox that renews its token."""
    with open_login() as opened:
        yield opened


@pytest.fixture
def logins() -> Logins:
    """Return the logins of an empty namespace."""
    return Logins({}, lambda _text: None)
