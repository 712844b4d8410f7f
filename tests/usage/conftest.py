"""A session on the sandbox with a meter and accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pandas", reason="usage needs the extra 'pandas'")

import m3ter_nb
from clocks import short_waits
from usage_frames import Used, used_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from m3ter_nb import Credentials
    from m3ter_nb.sandbox import Sandbox


@pytest.fixture
def used(sandbox: Sandbox, credentials: Credentials) -> Iterator[Used]:
    """Return a session on a sandbox that has the meter and ten accounts."""
    with m3ter_nb.login(credentials, base_url=sandbox.url, clock=short_waits(20)) as session:
        yield used_of(session, sandbox)
