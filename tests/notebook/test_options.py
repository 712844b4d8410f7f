"""What an empty line of a magic means, and what a line with options does."""

from __future__ import annotations

import re

import pytest
from IPython.core.magic_arguments import MagicArgumentParser

from m3ter_nb.errors import InvalidArgument
from m3ter_nb.notebook.magics import M3terMagics
from m3ter_nb.notebook.options import candidates, option, parsed

MAGICS = [
    M3terMagics.m3ter_login,
    M3terMagics.m3ter_status,
    M3terMagics.m3ter_logout,
    M3terMagics.m3ter_sandbox,
]


@option("--first", metavar="N", type=int, help="the first")
@option("--second-one", action="store_true", help="the second")
@option("words", nargs="*", help="whatever else")
def example(line: str) -> None:
    """Do nothing."""


@pytest.mark.parametrize("magic", [*MAGICS, example], ids=lambda magic: magic.__name__)
def test_an_empty_line_means_what_argparse_makes_of_it(magic: object) -> None:
    parser = MagicArgumentParser()
    for names, settings in magic.options:  # type: ignore[attr-defined]  # set by option
        parser.add_argument(*names, **settings)

    assert parsed(magic, "  ") == parser.parse_args([])  # type: ignore[arg-type]  # a function


def test_two_empty_lines_share_nothing() -> None:
    parsed(example, "").words.append("left over")

    assert parsed(example, "").words == []


def test_options_are_declared_in_the_order_in_which_they_are_written() -> None:
    assert candidates(example, "") == ["--first", "--second-one"]


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("--second-one ", ["--first"]),
        ("--first ", []),
        ("--first 3 ", ["--second-one"]),
        ("--fir", ["--first", "--second-one"]),
    ],
)
def test_an_option_that_is_there_is_not_offered_again_nor_where_a_value_is_due(
    before: str, offered: list[str]
) -> None:
    assert candidates(example, before) == offered


def test_a_line_with_options_is_read() -> None:
    read = parsed(example, "--first 3 'two words' --second-one")

    assert (read.first, read.second_one, read.words) == (3, True, ["two words"])


@pytest.mark.parametrize("line", ["--thrid", "--first three", "--first 'open"])
def test_a_mistake_in_the_line_is_one_line_that_names_the_help(line: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^%example: .*%example\? shows what it takes\.$"):
        parsed(example, line)


@pytest.mark.parametrize("magic", [*MAGICS, example], ids=lambda magic: magic.__name__)
@pytest.mark.parametrize(
    "line",
    [
        "S3CRET",
        "--S3CRET",
        "--S3CRET=S3CRET",
        "-S3CRET",
        "--first S3CRET --unknown",
        "--port S3CRET",
        "--show S3CRET",
        "start S3CRET S3CRET",
        "'S3CRET",
        "M3TER_API_SECRET=S3CRET",
    ],
)
def test_no_word_that_a_magic_does_not_know_is_repeated(magic: object, line: str) -> None:
    try:
        parsed(magic, line)  # type: ignore[arg-type]  # a function
    except InvalidArgument as error:
        assert "S3CRET" not in str(error)  # noqa: PT017 - a word that is taken raises nothing


@pytest.mark.parametrize(
    ("magic", "line", "meant"),
    [
        (M3terMagics.m3ter_login, "--fom", "did you mean --form?"),
        (M3terMagics.m3ter_login, "--basurl=x", "did you mean --base-url?"),
        (M3terMagics.m3ter_sandbox, "stauts", "did you mean status?"),
        (M3terMagics.m3ter_sandbox, "fail 503 --pth /x", "did you mean --path?"),
    ],
)
def test_a_slip_in_an_option_or_an_action_is_told_what_was_meant(
    magic: object, line: str, meant: str
) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(meant)):
        parsed(magic, line)  # type: ignore[arg-type]  # a function


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--show", "--show takes curl or python"),
        ("--show bash", "--show takes curl or python"),
        ("--name", "--name takes a value"),
        ("-h", "there is no such option"),
        ("--naem x", "there is no such option: did you mean --name?"),
        ("-bash", "there is no such option"),
    ],
)
def test_a_mistake_in_the_login_s_line_is_told_without_its_words(line: str, said: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        parsed(M3terMagics.m3ter_login, line)

    assert said in str(caught.value)
    assert "bash" not in str(caught.value)


def test_the_help_of_a_magic_shows_its_options() -> None:
    shown = example.getdoc()  # type: ignore[attr-defined]  # set by option

    assert "Do nothing." in shown
    assert "--first <N>" in shown or "--first N" in shown
    assert "the second" in shown
