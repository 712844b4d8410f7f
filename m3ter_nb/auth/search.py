"""The whole search for credentials, in the order that is documented: each place is asked when those before it failed.

The environment, then ``.env``; the secrets of the platform; the remembered profile. Form and prompt come after these,
where somebody can answer. A set is taken whole from one place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from m3ter_nb.auth.settings import find_settings
from m3ter_nb.hiding import without_frames

if TYPE_CHECKING:
    from collections.abc import Mapping

    from m3ter_nb.auth.settings import Settings

__all__ = ["search"]


@without_frames
def search(environ: Mapping[str, str] | None = None, *, take_remembered: bool = True) -> Settings:
    """Find what to log in with, without asking anybody.

    Args:
        environ: variables to read instead of ``os.environ``.
        take_remembered: whether a remembered profile will do; not for a login that is to be remembered itself.

    Returns:
        The first complete set. Where there is none: what is known of host and organization, for a form.

    Raises:
        CredentialsMissing: half of a pair, or ``M3TER_PROFILE`` names a profile that is not remembered.
        CredentialsConflict: as :func:`~m3ter_nb.auth.settings.find_settings`.
        UnsafeDestination: the environment names another host than the one that the credentials are bound to.
    """
    environ = os.environ if environ is None else environ
    known = find_settings(environ)
    if known.complete:
        return known
    from m3ter_nb.auth.bound import look_further

    return look_further(known, environ, take_remembered=take_remembered)
