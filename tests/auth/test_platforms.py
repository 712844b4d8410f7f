"""The secrets of notebook platforms, played by modules that raise what the platforms' own source raises.

None of the platforms was at hand: what is held here is what was read.
"""

from __future__ import annotations

import sys
import threading
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import IPython
import keyring
import pytest

from children import forks, in_a_child
from keychains import MemoryKeyring
from m3ter_nb.auth import platforms
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.platforms import not_the_user_s, platform_secrets
from m3ter_nb.auth.search import search
from m3ter_nb.errors import CredentialsMissing, UnsafeDestination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAIR = {"M3TER_API_KEY": "a-key", "M3TER_API_SECRET": "5ecret-of-the-platform"}


class Fake:
    """A platform in play.

    Attributes:
        secrets: by name.
        asked: the names that were asked for, in turn.
        errors: raised for these names; that of ``""`` for every name.
    """

    def __init__(self, missing: Callable[[str], Exception]) -> None:
        self.secrets: dict[str, str] = {}
        self.asked: list[str] = []
        self.errors: dict[str, BaseException] = {}
        self._missing = missing

    def get(self, name: str) -> str:
        """Return a secret, or raise as the platform does."""
        self.asked.append(name)
        error = self.errors.get(name) or self.errors.get("")
        if error is not None:
            raise error
        if name not in self.secrets:
            raise self._missing(name)
        return self.secrets[name]


def named(name: str, base: type[Exception] = Exception) -> type[Exception]:
    """Return an exception's class by its name: none of the platforms' can be imported here."""
    return type(name, (base,), {})


_GOOGLE_ERROR = named("Error")
SECRET_NOT_FOUND = named("SecretNotFoundError", _GOOGLE_ERROR)
TIMEOUT = named("TimeoutException", _GOOGLE_ERROR)
NO_ACCESS = named("NotebookAccessError")
BACKEND_ERROR = named("BackendError")
CREDENTIAL_ERROR = named("CredentialError")
PY4J = named("Py4JJavaError")


@pytest.fixture(autouse=True)
def nothing_asked_yet() -> Iterator[None]:
    """Let each test ask as a new process does."""
    platforms._ASKED.clear()
    yield
    platforms._ASKED.clear()


def start_colab(monkeypatch: pytest.MonkeyPatch) -> Fake:
    class Shell:
        def __str__(self) -> str:
            return "<google.colab._shell.Shell object at 0x7f0000000000>"

    fake = Fake(lambda name: SECRET_NOT_FOUND(f"Secret {name} does not exist."))
    colab, userdata = ModuleType("google.colab"), ModuleType("google.colab.userdata")
    userdata.get = fake.get  # type: ignore[attr-defined]  # of a module made here
    colab.userdata = userdata  # type: ignore[attr-defined]  # likewise
    for name, module in {
        "google": ModuleType("google"),
        "google.colab": colab,
        "google.colab.userdata": userdata,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(IPython, "get_ipython", Shell)
    return fake


def start_kaggle(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake(
        lambda name: BACKEND_ERROR(f"Unexpected response from the service. Response: {{'{name}': 5}}")
    )
    module = ModuleType("kaggle_secrets")
    module.UserSecretsClient = lambda: SimpleNamespace(get_secret=fake.get)  # type: ignore[attr-defined]  # likewise
    monkeypatch.setitem(sys.modules, "kaggle_secrets", module)
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    return fake


def start_databricks(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake(
        lambda name: PY4J(
            "An error occurred while calling o345.get.\n: java.lang.IllegalArgumentException: "
            f"Secret does not exist with scope: m3ter and key: {name}"
        )
    )

    def get(scope: str, key: str) -> str:
        assert scope == "m3ter"
        return fake.get(key)

    shell = SimpleNamespace(user_ns={"dbutils": SimpleNamespace(secrets=SimpleNamespace(get=get))})
    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "15.4")
    return fake


PLATFORMS = {
    "Colab's secrets": start_colab,
    "Kaggle's secrets": start_kaggle,
    "Databricks' secrets (scope m3ter)": start_databricks,
}


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Return each platform in turn."""
    fake: Fake = PLATFORMS[request.param](monkeypatch)
    return fake


@pytest.mark.parametrize("source", PLATFORMS)
def test_a_platform_s_pair_is_taken_and_its_source_named(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    PLATFORMS[source](monkeypatch).secrets |= {**PAIR, "M3TER_ORG_ID": ' "org-1", '}

    settings = search({})

    assert settings.credentials == Credentials(*PAIR.values())
    assert (settings.source, settings.org_id, settings.base_url) == (source, "org-1", "https://api.m3ter.com")


def test_a_platform_s_pair_goes_to_its_own_base_url(platform: Fake) -> None:
    platform.secrets |= {**PAIR, "M3TER_BASE_URL": "https://a.example"}

    assert search({}).base_url == "https://a.example"


@pytest.mark.parametrize("own", [{}, {"M3TER_BASE_URL": "https://a.example"}], ids=["m3ter's", "its own"])
def test_another_host_than_the_platform_s_is_an_error(platform: Fake, own: dict[str, str]) -> None:
    platform.secrets |= {**PAIR, **own}

    with pytest.raises(UnsafeDestination, match=r"https://b\.example"):
        search({"M3TER_BASE_URL": "https://b.example"})
    with pytest.raises(UnsafeDestination, match=r"https://b\.example"):
        search({}).directed("https://b.example", None)


def test_the_environment_goes_first_and_the_platform_is_not_asked(platform: Fake) -> None:
    platform.secrets |= PAIR

    assert search({"M3TER_API_KEY": "k", "M3TER_API_SECRET": "s"}).source == "the environment"
    assert platform.asked == []


def test_a_ready_token_of_a_platform_is_taken(platform: Fake) -> None:
    platform.secrets["M3TER_API_TOKEN"] = "abc.def"

    assert search({}).token == "abc.def"


def test_half_a_pair_of_a_platform_is_an_error_that_names_it(platform: Fake) -> None:
    platform.secrets["M3TER_API_KEY"] = "a-key"

    with pytest.raises(CredentialsMissing, match=r"M3TER_API_KEY comes from .* secrets"):
        search({})


def test_what_a_platform_lacks_is_silent_and_the_keychain_is_next(platform: Fake) -> None:
    before = keyring.get_keyring()
    memory = MemoryKeyring()
    memory.entries["m3ter_nb", "default"] = (
        '{"profile": "default", "host": "https://a.example", "org_id": null, "key_id": "k", "secret": "s"}'
    )
    keyring.set_keyring(memory)
    try:
        settings = search({})
    finally:
        keyring.set_keyring(before)

    assert (settings.profile, settings.notes) == ("default", ())
    assert platform.asked == ["M3TER_API_KEY", "M3TER_API_SECRET", "M3TER_API_TOKEN"]


TROUBLE = {
    "a time-out": TIMEOUT("Requesting secret M3TER_API_KEY timed out."),
    "no access": NO_ACCESS("Notebook does not have access to secret M3TER_API_KEY"),
    "no internet": ConnectionError("Connection error trying to communicate with service."),
    "no token of the platform's": CREDENTIAL_ERROR("A JWT Token is required"),
    "a permission": PY4J("PermissionDenied: User does not have READ permission on scope m3ter: 5ecret"),
    "anything": ZeroDivisionError("5ecret"),
}


@pytest.mark.parametrize("error", TROUBLE.values(), ids=TROUBLE)
def test_whatever_a_platform_raises_falls_through_with_one_sentence_and_no_second_question(
    platform: Fake, error: Exception
) -> None:
    platform.errors[""] = error

    settings = search({})
    again = search({})

    assert not settings.complete
    assert len(settings.notes) == 1
    assert settings.notes == again.notes
    assert settings.notes[0].endswith(f"({type(error).__name__}).")
    assert "5ecret" not in settings.notes[0]
    assert platform.asked == ["M3TER_API_KEY"]


@pytest.mark.parametrize("odd", [b"5ecret", 5, True, ["5ecret"], object()])
@pytest.mark.parametrize("name", ["M3TER_API_SECRET", "M3TER_BASE_URL", "M3TER_ORG_ID"])
def test_a_secret_that_is_no_text_is_not_taken(platform: Fake, odd: Any, name: str) -> None:
    platform.secrets = {**PAIR, name: odd}

    given = platform_secrets()

    assert given is not None
    assert given.values == {}
    assert given.trouble.endswith("(TypeError).")


def test_ctrl_c_in_a_pop_up_ends_the_login(platform: Fake) -> None:
    platform.errors[""] = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        search({})


def test_a_time_out_after_the_first_half_takes_nothing(platform: Fake) -> None:
    platform.secrets["M3TER_API_KEY"] = "a-key"
    platform.errors["M3TER_API_SECRET"] = TIMEOUT("Requesting secret M3TER_API_SECRET timed out.")

    settings = search({})

    assert not settings.complete
    assert len(settings.notes) == 1
    assert platform.asked == ["M3TER_API_KEY", "M3TER_API_SECRET"]


def test_a_platform_is_asked_once_a_process(platform: Fake) -> None:
    platform.secrets |= PAIR
    search({})
    asked = list(platform.asked)

    assert search({}).complete
    assert platform.asked == asked


@forks
def test_a_child_that_was_forked_while_a_platform_was_asked_asks_by_itself(
    platform: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.secrets = PAIR
    asked, answered = threading.Event(), threading.Event()
    get = platform.get

    def wait_for_a_person(name: str) -> str:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
            answered.wait(10)
        return get(name)

    monkeypatch.setattr(platforms, "_given", lambda *_: {name: wait_for_a_person(name) for name in PAIR})
    asking = threading.Thread(target=platform_secrets)
    asking.start()
    assert asked.wait(10)

    in_child = in_a_child(lambda: sorted(platform_secrets().values))  # type: ignore[union-attr]  # there is one

    answered.set()
    asking.join()
    assert in_child == str(sorted(PAIR))


def test_kaggle_without_its_token_falls_through(monkeypatch: pytest.MonkeyPatch) -> None:
    start_kaggle(monkeypatch)

    def refuse() -> Any:
        raise CREDENTIAL_ERROR("A JWT Token is required")

    monkeypatch.setattr(sys.modules["kaggle_secrets"], "UserSecretsClient", refuse)

    assert search({}).notes == ("Nothing was taken from Kaggle's secrets (CredentialError).",)


def test_colab_enterprise_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = start_colab(monkeypatch)
    monkeypatch.setenv("VERTEX_PRODUCT", "COLAB_ENTERPRISE")

    assert platform_secrets() is None
    assert fake.asked == []


def test_elsewhere_nothing_is_asked_and_nothing_of_a_platform_imported() -> None:
    assert platform_secrets() is None
    assert not {"google.colab", "kaggle_secrets", "databricks"} & set(sys.modules)


def test_no_platform_is_a_place_to_remember_a_secret_on(platform: Fake) -> None:
    assert "M3TER_API_KEY and M3TER_API_SECRET" in not_the_user_s()


def test_binder_and_a_page_are_no_places_to_remember_a_secret_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not_the_user_s() == ""
    monkeypatch.setattr(sys, "platform", "emscripten")
    assert "page in the browser" in not_the_user_s()
    monkeypatch.setenv("BINDER_SERVICE_HOST", "x")
    assert "Binder" in not_the_user_s()
