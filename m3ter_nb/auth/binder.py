"""Whether this is a Binder session: such machines are public, and no real secret belongs there."""

from __future__ import annotations

import os

__all__ = ["on_binder"]

# Set by BinderHub in every session (https://binderhub.readthedocs.io, "environment variables").
_VARIABLES = ("BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST", "BINDER_REPO_URL")


def on_binder() -> bool:
    """Whether this is a Binder session, where no real secret belongs."""
    return any(os.environ.get(name) for name in _VARIABLES)
