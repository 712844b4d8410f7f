"""Where credentials come from, and what is taken for a paste accident."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.auth.credentials import Credentials, find_host, find_settings, read_dotenv
from m3ter_nb.errors import CredentialsConflict, CredentialsError, CredentialsMissing, InvalidArgument

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


def test_a_token_beside_a_key_is_a_conflict() -> None:
    with pytest.raises(
        CredentialsConflict, match="Both M3TER_API_TOKEN and M3TER_API_KEY and M3TER_API_SECRET"
    ):
        find_settings({**PAIR, "M3TER_API_TOKEN": "eyJ.a.b"})


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
        ("'with # and spaces '", "with # and spaces "),
        ('"dou\'ble"', "dou'ble"),
        ("'\"quoted\"'", '"quoted"'),
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


def test_a_dotenv_that_is_not_text_is_a_clear_error() -> None:
    Path(".env").write_bytes(b"M3TER_API_KEY=\xff\xfe\n")

    with pytest.raises(InvalidArgument, match="UTF-8 text file"):
        find_settings({})


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


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf")), min_size=1))
def test_a_secret_without_white_space_or_quotes_around_it_is_never_changed(secret: str) -> None:
    if len(secret) > 2 and secret[0] in "\"'`“‘«" and secret[-1] in "\"'`”’»":  # noqa: RUF001 - what is stripped
        return
    if secret == "key-1" or secret.startswith("eyJ"):
        return

    assert Credentials.pasted("key-1", secret, source="a test").reveal_secret() == secret


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
