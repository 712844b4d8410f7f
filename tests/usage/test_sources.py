"""What is read is what the source holds, and where that is not sure, nothing is sent."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from m3ter_nb.errors import InvalidArgument, SubmissionIncomplete
from m3ter_nb.usage import csv_source
from m3ter_nb.usage.sources import rows_at, source_of
from usage_frames import usage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from usage_frames import Used

HEAD = "account,ts,region,requests\n"
GOOD = "acct-1,2026-01-01T00:00:00Z,eu,5\n"
WIDE = "acct-1,2026-01-01T00:00:00Z,eu,1,234\n"


@pytest.mark.parametrize("lines", [WIDE + GOOD, GOOD + WIDE, WIDE, GOOD * 30_000 + WIDE])
def test_a_csv_line_with_a_field_too_much_is_an_error_and_nothing_is_sent(
    used: Used, tmp_path: Path, lines: str
) -> None:
    (tmp_path / "usage.csv").write_text(HEAD + lines, "utf-8")

    line = lines.splitlines().index(WIDE.strip()) + 2
    with pytest.raises(InvalidArgument, match=rf"usage\.csv.*line {line}\b"):
        used.submit(tmp_path / "usage.csv")

    assert used.requests() == 0


def test_a_csv_column_without_a_name_is_shown_with_the_others(tmp_path: Path) -> None:
    (tmp_path / "usage.csv").write_text("account,\nacct-1,x\n", "utf-8")

    rows = rows_at(source_of(tmp_path / "usage.csv"), [0])

    assert rows.to_dict("records") == [{"account": "acct-1", "": "x"}]


@pytest.mark.parametrize("kind", ["frame", "dicts"])
def test_columns_whose_names_are_no_text_are_known_by_their_text(used: Used, kind: str) -> None:
    frame = usage(5).rename(columns={"region": 7, "event_id": ("a", 1)})
    source = frame if kind == "frame" else frame.to_dict("records")

    sent = used.submit(source, columns={"region": "7"})

    assert (sent.confirmed, used.counted()) == (True, (5, frame["requests"].sum()))


def test_columns_that_read_alike_are_an_error(used: Used) -> None:
    for source in (usage(2).assign(**{"7": 1}).rename(columns={"event_id": 7}), [{7: 1, "7": 2}]):
        with pytest.raises(InvalidArgument, match=r"more than one column '7'|read alike"):
            used.submit(source)


def test_a_generator_that_fills_one_dict_again_for_each_row_gives_every_row(used: Used) -> None:
    def rows() -> Iterator[Mapping[Any, Any]]:
        row: dict[str, Any] = {"account": "acct-1", "ts": "2026-01-01T00:00:00Z", "region": "eu"}
        for number in range(5):
            row["requests"] = number
            yield row

    used.submit(rows(), journal=None)

    assert used.counted() == (5, 10)


@pytest.mark.parametrize("change", ["fewer", "more", "account", "measure", "order"])
@pytest.mark.parametrize("how", [{}, {"uid": "event_id"}])
def test_a_file_that_changes_between_check_and_sending_is_not_sent_unchecked(
    used: Used, tmp_path: Path, change: str, how: dict[str, str]
) -> None:
    frame = usage(50)
    path = tmp_path / "usage.csv"
    changed = {
        "fewer": frame.head(20),
        "more": usage(60),
        "account": frame.assign(account=["typo", *frame["account"][1:]]),
        "measure": frame.assign(requests=["x", *frame["requests"][1:]]),
        "order": frame[::-1],
    }[change]
    frame.to_csv(path, index=False)

    with pytest.raises(SubmissionIncomplete, match=r"changed since it was checked: from row 0 on") as caught:
        used.submit(path, approve=lambda _: changed.to_csv(path, index=False), **how)

    assert (used.requests(), caught.value.submission.unsent) == (0, 50)
    assert not [each for each in used.session.pages("accounts") if each["code"] == "typo"]


@pytest.mark.slow
def test_what_was_sent_before_a_source_changed_is_told_and_counts_once(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_source, "PIECE", 1000)
    frame = usage(3000)
    frame.to_csv(tmp_path / "usage.csv", index=False)
    changed = frame.assign(requests=frame["requests"].where(frame.index < 2500, 7))

    with pytest.raises(SubmissionIncomplete, match="from row 2,000 on") as caught:
        used.submit(
            tmp_path / "usage.csv", approve=lambda _: changed.to_csv(tmp_path / "usage.csv", index=False)
        )

    done = caught.value.submission
    assert used.asked("COUNT") == done.accepted <= 2000
    assert (done.unsent, done.doubtful) == (3000 - done.accepted, 0)
    assert used.submit(tmp_path / "usage.csv").confirmed
    assert used.counted() == (3000, changed["requests"].sum())


def test_a_file_that_is_gone_when_it_is_to_be_sent_is_one_error(used: Used, tmp_path: Path) -> None:
    usage(50).to_csv(tmp_path / "usage.csv", index=False)

    with pytest.raises(SubmissionIncomplete, match="not again for the sending") as caught:
        used.submit(tmp_path / "usage.csv", approve=lambda _: (tmp_path / "usage.csv").unlink())

    assert caught.value.submission.unsent == 50


BAD = "acct-1,2026-01-01T00:00:00Z,,5\n"
LINES = [
    pytest.param(GOOD + BAD, [(1, "line 3")], id="plain"),
    pytest.param(GOOD + "\n  \n" + BAD, [(1, "line 5")], id="blank lines"),
    pytest.param(
        'acct-1,2026-01-01T00:00:00Z,"a\nb",5\n' + BAD * 2,
        [(1, "line 4"), (2, "line 5")],
        id="a value of two lines",
    ),
    pytest.param((GOOD + BAD).replace("\n", "\r\n"), [(1, "line 3")], id="ends of Windows"),
    pytest.param(GOOD * 30_000 + BAD, [(30_000, "line 30002")], id="many pieces", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("lines", "places"), LINES)
@pytest.mark.parametrize("kind", [".csv", ".csv.gz", ".csv with a mark"])
def test_a_row_of_a_csv_is_named_with_its_line(
    used: Used, tmp_path: Path, lines: str, places: list[tuple[int, str]], kind: str
) -> None:
    content = (HEAD + lines).encode("utf-8-sig" if "mark" in kind else "utf-8")
    path = tmp_path / f"usage{kind.partition(' ')[0]}"
    path.write_bytes(gzip.compress(content) if kind == ".csv.gz" else content)

    report = used.session.check_usage(path, "api_requests")
    sent = used.submit(path, invalid="skip")

    (problem,) = report.found_problems
    assert list(zip(problem.first, problem.places, strict=True)) == places
    assert f"({places[0][1]}" in report.headline()
    assert f"{places[0][0]} ({places[0][1]})" in repr(report)
    assert report.problems["places"].tolist() == [[place for _, place in places]]
    assert sent.refused[["row", "place"]].to_numpy().tolist() == [[row, place] for row, place in places]


def test_of_several_files_the_one_is_named_that_holds_a_row(used: Used, tmp_path: Path) -> None:
    for name, lines in (("a", GOOD * 3), ("b", GOOD + BAD)):
        (tmp_path / f"{name}.csv").write_text(HEAD + lines, "utf-8")
        pd.read_csv(tmp_path / f"{name}.csv").to_parquet(tmp_path / f"{name}.parquet")

    of_csv = used.session.check_usage(tmp_path / "*.csv", "api_requests")
    of_parquet = used.session.check_usage(tmp_path / "*.parquet", "api_requests")

    assert of_csv.found_problems[0].where() == "row 4 (b.csv line 3)"
    assert ">4&nbsp;(b.csv&nbsp;line&nbsp;3)<" in of_csv._repr_html_()
    assert of_parquet.found_problems[0].where() == "row 4 (b.parquet row 1)"


def test_a_row_of_a_frame_is_named_with_its_label_where_that_is_another_number(used: Used) -> None:
    frame = usage(9).drop(index=[0, 1])
    frame.loc[5, "region"] = None
    for given, place in (
        (frame, " (index 5)"),
        (frame.reset_index(drop=True), ""),
        (frame.set_index(pd.Index(list("abcdefg"))), ""),
        (frame.to_dict("records"), ""),
    ):
        assert used.session.check_usage(given, "api_requests").found_problems[0].where() == f"row 3{place}"


@pytest.mark.parametrize(
    ("name", "mend"), [("u.jsonl", "json.loads"), ("u.json", "json.load"), ("u.xlsx", "read_excel")]
)
def test_a_file_of_another_kind_is_refused_with_how_to_read_it(
    used: Used, tmp_path: Path, name: str, mend: str
) -> None:
    (tmp_path / name).write_text("{}", "utf-8")

    with pytest.raises(InvalidArgument, match=f"neither CSV.*{mend}"):
        used.submit(tmp_path / name)


def test_a_line_of_an_empty_text_in_quotes_is_a_row_with_a_line(used: Used, tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(HEAD + GOOD + '""\n' + BAD, "utf-8")

    sent = used.submit(path, invalid="skip")

    assert sent.refused[["row", "place"]].to_numpy().tolist() == [[1, "line 3"], [2, "line 4"]]
