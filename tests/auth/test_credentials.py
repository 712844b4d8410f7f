"""Where credentials come from, and what is taken for a paste accident."""

from __future__ import annotations

import copy
import os
import pickle
import traceback
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING

import pytest

import m3ter_nb
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.env_file import read_dotenv
from m3ter_nb.auth.settings import find_host, find_settings
from m3ter_nb.errors import (
    CredentialsConflict,
    CredentialsError,
    CredentialsMissing,
    InvalidArgument,
    M3terError,
    OrganizationMismatch,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from m3ter_nb.sandbox import Sandbox

PAIR = {"M3TER_API_KEY": "key-1", "M3TER_API_SECRET": "s3cret-of-the-environment"}


def write_dotenv(text: str, folder: Path | None = None) -> Path:
    path = (folder or Path.cwd()) / ".env"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_environment_is_taken_first() -> None:
    write_dotenv("M3TER_API_KEY=key-2\nM3TER_API_SECRET=other\n")

    settings = find_settings(PAIR)

    assert settings.credentials is not None
    assert (settings.credentials.key_id, settings.source) == ("key-1", "the environment")


def test_a_dotenv_is_found_from_the_working_directory_upwards(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dotenv("M3TER_API_KEY=key-2\nM3TER_API_SECRET=other\nM3TER_ORG_ID=org\n")
    deep = Path.cwd() / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)

    settings = find_settings({})

    assert settings.credentials is not None
    assert (settings.credentials.key_id, settings.org_id, settings.source) == ("key-2", "org", str(path))


def test_nothing_at_all_is_not_an_error_but_incomplete() -> None:
    assert not find_settings({}).complete


def test_an_empty_variable_counts_as_unset() -> None:
    assert not find_settings({"M3TER_API_KEY": "", "M3TER_API_SECRET": ""}).complete


@pytest.mark.parametrize(
    ("have", "lack"), [("M3TER_API_KEY", "M3TER_API_SECRET"), ("M3TER_API_SECRET", "M3TER_API_KEY")]
)
def test_half_of_the_credentials_names_the_missing_variable_and_the_source_of_the_other(
    have: str, lack: str
) -> None:
    with pytest.raises(CredentialsMissing) as caught:
        find_settings({have: PAIR[have]})

    assert f"{have} comes from the environment, but {lack} is not there" in str(caught.value)
    assert PAIR["M3TER_API_SECRET"] not in str(caught.value)


def test_halves_in_two_places_are_a_conflict_that_names_both() -> None:
    path = write_dotenv("M3TER_API_SECRET=s3cret-of-the-file\n")

    with pytest.raises(CredentialsConflict) as caught:
        find_settings({"M3TER_API_KEY": "key-1"})

    assert "M3TER_API_KEY comes from the environment" in str(caught.value)
    assert f"M3TER_API_SECRET from {path}" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_half_a_pair_in_a_dotenv_is_an_error() -> None:
    write_dotenv("M3TER_API_KEY=key-2\n")

    with pytest.raises(CredentialsMissing, match=r"\.env, but M3TER_API_SECRET is not there"):
        find_settings({})


def test_a_pair_goes_before_a_token_beside_it_and_says_so() -> None:
    """The documented Python code leaves the token that it got in the environment, beside the pair."""
    settings = find_settings({**PAIR, "M3TER_API_TOKEN": "eyJ.a.b"})

    assert settings.credentials == Credentials("key-1", "s3cret-of-the-environment")
    assert settings.token is None
    assert settings.notes == (
        "M3TER_API_TOKEN in the environment is not used: the key beside it gets a token that is renewed.",
    )


@pytest.mark.parametrize("half", PAIR)
def test_a_token_beside_half_a_pair_is_a_conflict(half: str) -> None:
    with pytest.raises(CredentialsConflict, match=f"Both M3TER_API_TOKEN and {half} are set") as caught:
        find_settings({half: PAIR[half], "M3TER_API_TOKEN": "eyJ.a.b"})

    assert PAIR[half] not in str(caught.value)


def test_a_ready_token_is_complete_by_itself() -> None:
    settings = find_settings({"M3TER_API_TOKEN": " eyJ.a.b\n"})

    assert (settings.token, settings.credentials) == ("eyJ.a.b", None)


def test_a_host_that_only_dotenv_names_does_not_go_with_credentials_of_the_environment() -> None:
    write_dotenv("M3TER_BASE_URL=https://attacker.example\nM3TER_ORG_ID=org\n")

    settings = find_settings(PAIR)

    assert (settings.base_url, settings.org_id) == (None, None)


def test_a_host_of_the_environment_goes_before_that_of_dotenv() -> None:
    write_dotenv("M3TER_API_KEY=key-2\nM3TER_API_SECRET=other\nM3TER_BASE_URL=https://a.example\n")

    settings = find_settings({"M3TER_BASE_URL": "https://b.example"})

    assert (settings.base_url, settings.base_url_source) == ("https://b.example", "the environment")


def test_half_a_pair_is_no_obstacle_where_a_person_types_the_credentials() -> None:
    path = write_dotenv("M3TER_API_KEY=key-2\nM3TER_BASE_URL=https://a.example\n")

    known = find_host({})

    assert (known.base_url, known.base_url_source, known.complete) == ("https://a.example", str(path), False)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("pa$$word", "pa$$word"),
        ("${HOME}/x", "${HOME}/x"),
        ("a#b", "a#b"),
        ("a=b==", "a=b=="),
        ("'with # and spaces'", "with # and spaces"),
        ('"dou\'ble"', "dou'ble"),
        ("'half \"quoted\"'", 'half "quoted"'),
        ("pässwörd€", "pässwörd€"),
    ],
)
def test_a_secret_in_dotenv_arrives_as_written(written: str, value: str) -> None:
    write_dotenv(f"M3TER_API_KEY=key-2\nM3TER_API_SECRET={written}\n")

    settings = find_settings({})

    assert settings.credentials is not None
    assert settings.credentials.reveal_secret() == value


def test_reading_dotenv_leaves_the_environment_alone() -> None:
    before = dict(os.environ)
    read_dotenv(write_dotenv("M3TER_API_KEY=key-2\nOTHER=1\n"))

    assert dict(os.environ) == before


def test_a_byte_order_mark_does_not_hide_the_first_variable() -> None:
    Path(".env").write_bytes(b"\xef\xbb\xbfM3TER_API_KEY=key-2\r\nM3TER_API_SECRET=other\r\n")

    assert find_settings({}).complete


def test_a_named_dotenv_is_the_only_source(tmp_path: Path) -> None:
    named = tmp_path / "staging.env"
    named.write_text("M3TER_API_KEY=key-3\nM3TER_API_SECRET=third\n")

    settings = find_settings(PAIR, dotenv=named)

    assert settings.credentials is not None
    assert (settings.credentials.key_id, settings.source) == ("key-3", str(named))


def test_a_named_dotenv_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="There is no file"):
        find_settings(PAIR, dotenv=tmp_path / "none.env")

    empty = tmp_path / "empty.env"
    empty.touch()
    with pytest.raises(CredentialsMissing, match="needs M3TER_API_KEY and M3TER_API_SECRET"):
        find_settings(PAIR, dotenv=empty)


def test_white_space_and_quotes_around_a_paste_are_removed_and_noted() -> None:
    pasted = Credentials.pasted('  "key-1"\n', "\u200b'the secret' ", source="the form")

    assert (pasted.key_id, pasted.reveal_secret()) == ("key-1", "the secret")
    assert pasted.notes == (
        "White space around the Access Key ID was removed.",
        "Quotes around the Access Key ID were removed.",
        "White space around the API Secret was removed.",
        "Quotes around the API Secret were removed.",
    )


@pytest.mark.parametrize(
    ("key_id", "secret", "says"),
    [
        ("", "the secret", "The Access Key ID from arguments is empty"),
        ("k", "", "The API Secret from arguments is empty"),
        ("k:s", "the secret", "holds a colon"),
        ("same-text", "same-text", "are the same text"),
        ("k", "two\nlines", "control character"),
        ("k", "not-utf-8\udcff", "not UTF-8"),
        ("eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "the secret", "looks like a bearer token"),
        ("k", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "M3TER_API_TOKEN"),
    ],
)
def test_what_cannot_be_credentials_is_refused_before_anything_is_sent(
    key_id: str, secret: str, says: str
) -> None:
    with pytest.raises(CredentialsError) as caught:
        Credentials(key_id, secret)

    assert says in str(caught.value)
    assert not secret or secret not in str(caught.value)


def test_the_secret_is_in_no_repr_and_no_pickle() -> None:
    credentials = Credentials("AKIAIOSFODNN7", "wJalrXUtnFEMI")

    assert repr(credentials) == "Credentials(hidden, from arguments)"
    with pytest.raises(InvalidArgument, match="not pickled"):
        pickle.dumps(credentials)
    assert copy.deepcopy(credentials) is credentials


def walked(root: object) -> list[str]:
    """Return every text that a debugger's tree or an error reporter finds in a value, seven levels deep.

    It opens containers, ``__dict__``, slots, the fields of data classes and properties, and takes texts as they show.
    """
    texts: list[str] = []
    level = [root]
    for _ in range(7):
        level = [child for item in level for child in children(item, texts)]
    return texts


def children(item: object, texts: list[str]) -> list[object]:
    if isinstance(item, (str, bytes)):
        texts.append(repr(item))
        return []
    if isinstance(item, dict):
        return [*item, *item.values()]
    if isinstance(item, (list, tuple, set, frozenset)):
        return list(item)
    if isinstance(item, (int, float, type(None), type, ModuleType, FunctionType, MethodType)):
        return []
    names = [name for name in dir(item) if not name.startswith("__")]
    return [value for name in names if (value := getattr(item, name, None)) is not item]


def test_a_debugger_s_tree_of_what_holds_a_secret_shows_none(sandbox_environ: Sandbox) -> None:
    secret = sandbox_environ.environ["M3TER_API_SECRET"]
    settings = find_settings()
    ready = find_settings({"M3TER_API_TOKEN": "eyJhbGciOi.e30.c2lnbmF0dXJl"})
    with m3ter_nb.login() as session:
        token = session.token.reveal()
        shown = " ".join(text for item in (settings, ready, session) for text in walked(item))

    assert "the environment" in shown  # the walk arrives at what they hold
    assert "eyJhbGciOi.e30" not in shown
    assert secret not in shown
    assert token not in shown


def test_the_walk_finds_a_secret_that_lies_open() -> None:
    holder = type("Holder", (), {})()
    holder.inside = [("pair", {"secret": "wide-open"})]

    assert "'wide-open'" in walked(holder)


WRONG: dict[str, Callable[[str], object]] = {
    "a wrong keyword": lambda secret: Credentials("key-1", api_secret=secret),
    "one argument too many": lambda secret: Credentials("key-1", secret, "x", (), secret),
    "None as key id": lambda secret: Credentials.pasted(None, secret, source="x"),
    "bytes as secret": lambda secret: Credentials("key-1", secret.encode()),
    "no text as source": lambda secret: Credentials("key-1", secret, [secret]),
    "no source": lambda secret: Credentials.pasted("key-1", secret),
    "a tuple": lambda secret: m3ter_nb.login(("key-1", secret)),
    "a text": m3ter_nb.login,
    "the secret as base URL": lambda secret: m3ter_nb.login(Credentials("key-1", secret), base_url=secret),
    "bytes as base URL": lambda secret: m3ter_nb.login(Credentials("k", secret), base_url=secret.encode()),
    "a list as organization": lambda secret: m3ter_nb.login(Credentials("k", secret), org_id=[secret]),
    "the secret as organization": lambda secret: m3ter_nb.login(org_id=secret),
    "a wrong keyword of the login": lambda secret: m3ter_nb.login(secret=secret),
    "the secret as file": lambda secret: m3ter_nb.login(dotenv=f"M3TER_API_SECRET={secret}"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_call_shows_no_secret_in_any_frame_of_ours(
    wrong: Callable[[str], object], sandbox_environ: Sandbox
) -> None:
    secret = "5ecret-of-a-wrong-call"
    with pytest.raises((M3terError, TypeError)) as caught:
        wrong(secret)

    # The frames of the caller hold what the caller wrote; below them there is nothing.
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    below = [frame for frame in shown.stack if frame.filename != __file__]
    assert secret not in str(caught.value)
    assert [frame.name for frame in below if secret in str(frame.locals)] == []
    assert caught.value.__context__ is None


def test_what_is_asked_for_goes_before_the_environment_and_is_cleaned(sandbox_environ: Sandbox) -> None:
    environ = sandbox_environ.environ

    with m3ter_nb.login(
        base_url=f' "{sandbox_environ.url}/" ', org_id=f"{environ['M3TER_ORG_ID']},"
    ) as session:
        assert (session.base_url, session.org_id) == (sandbox_environ.url, environ["M3TER_ORG_ID"])


def test_another_organization_than_the_token_s_is_not_repeated(sandbox_environ: Sandbox) -> None:
    with pytest.raises(OrganizationMismatch) as caught:
        m3ter_nb.login(org_id="perhaps-a-secret")

    assert "perhaps-a-secret" not in str(caught.value)
    assert sandbox_environ.environ["M3TER_ORG_ID"] in str(caught.value)
