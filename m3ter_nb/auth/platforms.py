"""The secrets that a notebook platform keeps: Google Colab, Kaggle, Databricks.

Asked only where the platform is recognised, by what is its own and nothing else, and once a process, for asking may open
a pop-up. Whatever it raises falls through with one sentence; after a time-out no second name is asked for.

What each raises was read in its source, not tried on the platform:
https://github.com/googlecolab/colabtools/blob/main/google/colab/userdata.py,
https://github.com/Kaggle/docker-python/blob/main/patches/kaggle_secrets.py,
https://github.com/databricks/databricks-sdk-py/blob/main/databricks/sdk/dbutils.py.
"""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any, Self

from m3ter_nb.auth.binder import on_binder
from m3ter_nb.auth.variables import HOST_VARIABLE, KEY_VARIABLE, ORG_VARIABLE, SECRET_VARIABLE, TOKEN_VARIABLE
from m3ter_nb.hiding import without_frames
from m3ter_nb.spelling import with_literal_repr

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PlatformSecrets", "not_the_user_s", "platform_secrets"]

_DATABRICKS_SCOPE = "m3ter"


@with_literal_repr
@dataclass(frozen=True, slots=True, repr=False)
class PlatformSecrets:
    """What a platform gave.

    Attributes:
        source: which, as a phrase that fits after "from".
        values: by the names of our variables.
        trouble: one sentence, where the platform did not answer as it should; else ``""``.
    """

    source: str
    values: dict[str, str]
    trouble: str = ""

    def __repr__(self) -> str:
        return f"PlatformSecrets({self.source!r}, hidden)"


@dataclass(frozen=True, slots=True)
class _Platform:
    """A platform, how it is recognised, and how it is asked.

    Attributes:
        source: as of :class:`PlatformSecrets`.
        here: whether this process runs on it.
        opened: returns what gives the secret of a name.
        missing: whether an exception says that there is no secret of that name.
        advice: where its secrets are set.
    """

    source: str
    here: Callable[[], bool]
    opened: Callable[[], Callable[[str], str | None]]
    missing: Callable[[Exception], bool]
    advice: str


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _on_colab() -> bool:
    # Colab Enterprise has the same shell, and no such secrets.
    return "google.colab" in str(_shell()) and os.environ.get("VERTEX_PRODUCT") != "COLAB_ENTERPRISE"


def _open_colab() -> Callable[[str], str | None]:
    from google.colab import userdata

    get: Callable[[str], str | None] = userdata.get
    return get


def _open_kaggle() -> Callable[[str], str | None]:
    from kaggle_secrets import UserSecretsClient

    get: Callable[[str], str | None] = UserSecretsClient().get_secret
    return get


def _open_databricks() -> Callable[[str], str | None]:
    # Never imported from databricks.sdk: outside of Databricks that would build a client.
    secrets = _shell().user_ns["dbutils"].secrets
    return lambda name: secrets.get(_DATABRICKS_SCOPE, name)


_PLATFORMS = (
    _Platform(
        "Colab's secrets",
        _on_colab,
        _open_colab,
        lambda error: type(error).__name__ == "SecretNotFoundError",
        "Colab keeps secrets itself (the key at the left)",
    ),
    _Platform(
        "Kaggle's secrets",
        lambda: bool(os.environ.get("KAGGLE_KERNEL_RUN_TYPE")),
        _open_kaggle,
        lambda error: type(error).__name__ == "BackendError",
        "Kaggle keeps secrets itself (Add-ons > Secrets)",
    ),
    _Platform(
        f"Databricks' secrets (scope {_DATABRICKS_SCOPE})",
        lambda: bool(os.environ.get("DATABRICKS_RUNTIME_VERSION")),
        _open_databricks,
        lambda error: "does not exist" in str(error)[:1000],
        f"Databricks keeps secrets itself (scope {_DATABRICKS_SCOPE})",
    ),
)

# The last one is in use. A forked child has its own: the thread that asks in the parent is not in there.
_LOCKS = [threading.Lock()]
_ASKED: list[PlatformSecrets | None] = []


def platform_secrets() -> PlatformSecrets | None:
    """Return what the platform keeps for us, None where none is recognised; asked once a process."""
    with _LOCKS[-1]:
        if not _ASKED:
            _ASKED.append(next((_ask(platform) for platform in _PLATFORMS if platform.here()), None))
        return _ASKED[0]


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=lambda: _LOCKS.append(threading.Lock()))


def not_the_user_s() -> str:
    """Say why this is no computer to remember a secret on, and what to do instead; ``""`` where it may be one."""
    for platform in _PLATFORMS:
        if platform.here():
            return f"{platform.advice}: {KEY_VARIABLE} and {SECRET_VARIABLE}"
    if on_binder():
        return "Binder machines are public: real credentials do not belong here"
    if sys.platform == "emscripten":
        return "a page in the browser has no keychain: real credentials do not belong here"
    return ""


class _Caught:
    """Keeps what a platform raised within its block; an interrupt goes through."""

    error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        self.error = error if isinstance(error, Exception) else None
        return self.error is not None


@without_frames
def _ask(platform: _Platform) -> PlatformSecrets:
    values: dict[str, str] = {}
    with _Caught() as caught:
        get = platform.opened()
        for names in ((KEY_VARIABLE, SECRET_VARIABLE), (TOKEN_VARIABLE,)):
            values |= _given(platform, get, names)
            if values:
                values |= _given(platform, get, (HOST_VARIABLE, ORG_VARIABLE))
                break
    if caught.error is None:
        return PlatformSecrets(platform.source, values)
    trouble = f"Nothing was taken from {platform.source} ({type(caught.error).__name__})."
    return PlatformSecrets(platform.source, {}, trouble)


def _given(platform: _Platform, get: Callable[[str], str | None], names: tuple[str, ...]) -> dict[str, str]:
    """Return the secrets of these names that there are; the first trouble ends the asking."""
    values = {}
    for name in names:
        with _Caught() as caught:
            value = get(name)
            if not isinstance(value, (str, NoneType)):
                raise TypeError
            if value:
                values[name] = value
        if caught.error is not None and not platform.missing(caught.error):
            raise caught.error
    return values
