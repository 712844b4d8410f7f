"""Which certificate authorities are trusted."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from m3ter_nb.errors import InvalidArgument

if TYPE_CHECKING:
    import ssl

__all__ = ["ca_bundle", "trusting"]


def ca_bundle() -> str | None:
    """Return the CA file or folder that the environment names, in the variables of requests and curl, or None.

    Raises:
        InvalidArgument: it is not there, cannot be read, or holds no certificate.
    """
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(variable)
        if path:
            _check(path, variable)
            return path
    return None


def _check(path: str, variable: str) -> None:
    if not Path(path).exists():
        raise InvalidArgument(f"There is no CA bundle {path}: mend or unset {variable}.")
    try:
        trusting(path)
    except (OSError, ValueError):  # of which ssl.SSLError is one
        raise InvalidArgument(
            f"The CA bundle {path} cannot be read, or holds no certificate in PEM form: mend or unset {variable}."
        ) from None


def trusting(ca: str | None) -> ssl.SSLContext:
    """Return a context for TLS that verifies certificate and host name.

    Args:
        ca: the file or folder of the certificate authorities to trust; None for those of ``certifi``.

    Raises:
        OSError: it cannot be read, or holds no certificate.
    """
    import certifi

    path = Path(ca or certifi.where()).absolute()
    return _context(path, path.stat().st_mtime_ns)


@cache
def _context(path: Path, _changed: int) -> ssl.SSLContext:
    """Read the authorities of a file or folder, once for each change of it: that takes as long as a login."""
    from urllib3.util.ssl_ import create_urllib3_context

    context = create_urllib3_context()
    folder = path.is_dir()
    context.load_verify_locations(cafile=None if folder else path, capath=path if folder else None)
    return context
