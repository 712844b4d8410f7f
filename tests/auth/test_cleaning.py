"""What copying leaves around a value is taken off, the same for every value and from every source."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m3ter_nb.auth.cleaning import BASE_URL, KEY_ID, ORG_ID, SECRET, TOKEN, Kind, can_be_bearer, clean
from m3ter_nb.auth.credentials import Credentials
from m3ter_nb.auth.settings import find_settings
from m3ter_nb.auth.token import ready_token
from m3ter_nb.errors import InvalidArgument, M3terError
from worn import WORN

KINDS = pytest.mark.parametrize(
    "kind", [KEY_ID, SECRET, TOKEN, ORG_ID, BASE_URL], ids=lambda kind: kind.label
)


@KINDS
@pytest.mark.parametrize("worn", WORN.values(), ids=WORN)
def test_what_copying_leaves_goes_from_every_kind_of_value(kind: Kind, worn: str) -> None:
    value, notes = clean(worn.format("abc-123"), kind)

    assert value == "abc-123"
    assert all(note.endswith(".") and note.count(".") == 1 and kind.label in note for note in notes)
    assert notes
    assert "abc-123" not in "".join(notes)


@pytest.mark.parametrize("worn", WORN.values(), ids=WORN)
def test_every_variable_of_every_source_is_cleaned_alike(worn: str) -> None:
    raw = {
        "M3TER_API_KEY": worn.format("a-key"),
        "M3TER_API_SECRET": worn.format("a-secret"),
        "M3TER_ORG_ID": worn.format("an-org"),
        "M3TER_BASE_URL": worn.format("https://a.example"),
    }
    _write_dotenv("a.env", raw)

    for settings in (find_settings(raw), find_settings(dotenv="a.env")):
        assert settings.credentials == Credentials("a-key", "a-secret")
        assert (settings.org_id, settings.base_url) == ("an-org", "https://a.example")


def _write_dotenv(name: str, raw: dict[str, str]) -> None:
    """Write values as python-dotenv reads them back, quotes and line breaks included."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in raw.values())
    Path(name).write_text(
        "".join(f'{name}="{value}"\n' for name, value in zip(raw, quoted, strict=True)),
        encoding="utf-8",
        newline="",
    )


@pytest.mark.parametrize(
    "written",
    [
        "Bearer abc.def",
        "bearer abc.def",
        "BEARER\u00a0abc.def",
        '"Bearer abc.def",',
        "Authorization: Bearer abc.def",
    ],
)
def test_the_scheme_before_a_token_goes_in_any_case(written: str) -> None:
    assert ready_token(written, source="a test").reveal() == "abc.def"
    assert find_settings({"M3TER_API_TOKEN": written}).token == "abc.def"
    assert (
        "The word Bearer before the token was removed." in find_settings({"M3TER_API_TOKEN": written}).notes
    )


JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIyOTA2ZDE4ZiJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "written",
    [
        "{}.",
        "{}/",
        "{}==",
        "{}!",
        "{})",
        "{}>.",
        "{}\u3002",
        "{}\uff0c",
        "Bearer {}.",
        '"{}".',
        "{}.\n",
        "{} .",
    ],
)
def test_what_follows_a_jwt_in_a_sentence_or_an_address_goes(written: str) -> None:
    assert ready_token(written.format(JWT), source="a test").reveal() == JWT
    assert find_settings({"M3TER_API_TOKEN": written.format(JWT)}).token == JWT


@pytest.mark.parametrize("written", ["{}...", "{}\u2026", "{}.x", "{}/x", "{}=x", "x{}..", JWT[:30] + "..{}"])
def test_a_jwt_that_is_cut_off_or_more_than_one_is_refused(written: str) -> None:
    text = written.format(JWT)
    if not text.startswith("eyJ"):
        assert clean(text, TOKEN) == (text, ())  # no JWT: of any other token a dot may be a part
        return
    with pytest.raises(InvalidArgument, match="is cut off, or holds a character"):
        ready_token(text, source="a test")


@pytest.mark.parametrize(
    "text", ["abc.def.", "abc/", "abc==", "abc~", "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"]
)
def test_of_a_token_that_is_no_jwt_nothing_is_taken_off(text: str) -> None:
    assert ready_token(text, source="a test").reveal() == text


@pytest.mark.parametrize(
    "mask",
    ["****", "\u2022\u2022\u2022\u2022", "<hidden>", "<m3ter token \u2026, expired; .reveal() shows it>"],
)
def test_a_mask_is_no_secret_no_key_id_and_no_token(mask: str) -> None:
    for paste in (
        lambda: Credentials.pasted("a-key", mask, source="a test"),
        lambda: Credentials.pasted(mask, "a-secret", source="a test"),
        lambda: ready_token(mask, source="a test"),
    ):
        with pytest.raises(M3terError):
            paste()


def test_a_secret_may_begin_with_the_word_bearer() -> None:
    assert clean("bearer of news", SECRET) == ("bearer of news", ())


@pytest.mark.parametrize(
    "text", ["a b", "t\u00e4glich", "abc\u2026", "a,b", 'a"b', "abc=def", "=", "a\nb", "a\x00"]
)
def test_what_cannot_be_a_bearer_token_is_refused_at_login(text: str) -> None:
    assert not can_be_bearer(text)
    with pytest.raises(InvalidArgument, match="no bearer token has") as caught:
        ready_token(text, source="the environment")

    assert text not in str(caught.value)


@pytest.mark.parametrize("text", ["eyJhbGciOi.e30.c2ln-_", "abc123==", "a~b+c/d", "0"])
def test_what_can_be_a_bearer_token_is_taken(text: str) -> None:
    assert can_be_bearer(text)


def test_a_variable_of_which_cleaning_leaves_nothing_counts_as_unset() -> None:
    assert not find_settings(
        {"M3TER_API_TOKEN": " \u200b", "M3TER_API_KEY": '""', "M3TER_API_SECRET": "\u00a0"}
    ).complete


@pytest.mark.parametrize(
    "worn", ["{} # of production", '"{}"\t# of production', "export M3TER_API_TOKEN='{}'  # mine"]
)
@pytest.mark.parametrize("kind", [TOKEN, ORG_ID, BASE_URL], ids=lambda kind: kind.label)
def test_a_comment_goes_from_what_cannot_hold_blanks(kind: Kind, worn: str) -> None:
    assert clean(worn.format("abc-123"), kind)[0] == "abc-123"


def test_characters_without_width_go_from_within_a_value_too() -> None:
    value, notes = clean("ab\u200bcd\u00adef", SECRET)

    assert value == "abcdef"
    assert notes == ("Characters without width were removed from the API Secret.",)


@KINDS
@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp", "Cf"))))
def test_cleaning_is_done_once_and_for_all(kind: Kind, text: str) -> None:
    once, _ = clean(text, kind)

    assert clean(once, kind) == (once, ())


@given(st.text("abcXYZ019!#$%&()*+-./:;<=>?@[]^_{|}~äß表", min_size=1))
def test_a_value_without_blanks_quotes_and_trailing_commas_is_never_changed(secret: str) -> None:
    assert clean(secret, SECRET) == (secret, ())


@pytest.mark.parametrize("secret", ["'tis", 'inch"', "5'10\"", "a,b", "a'b'c", "a#b", "#ab", "aM3TER_X=b"])
def test_a_quote_or_a_comma_that_belongs_to_a_secret_stays(secret: str) -> None:
    assert clean(secret, SECRET) == (secret, ())


def test_cleaning_leaves_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_ORG_ID", ' "an-org" ')

    assert find_settings().org_id == "an-org"
    assert os.environ["M3TER_ORG_ID"] == ' "an-org" '


@pytest.mark.slow
def test_quotes_without_end_take_no_time() -> None:
    started = time.process_time()
    clean("\u201c" * 20_000 + "x" + "\u201d" * 20_000, SECRET)
    assert time.process_time() - started < 5
