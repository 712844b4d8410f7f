"""Many rows, through every fault, again from other files and in other requests: counted once."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from m3ter_nb.errors import MeasurementsRefused, SubmissionIncomplete
from m3ter_nb.usage import measurements
from usage_frames import usage

if TYPE_CHECKING:
    from pathlib import Path

    from usage_frames import Used

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def spoil(used: Used, after: int) -> threading.Thread:
    """Let every fault of the sandbox happen once so many requests have come."""

    def wait() -> None:
        ends = time.monotonic() + 300
        while used.requests() < after and time.monotonic() < ends:
            time.sleep(0.01)
        faults = used.sandbox.faults
        for status in (503, 429, 502, 500, 504):
            faults.fail(status, 2, "/measurements")
        faults.drop(3, "/measurements")
        faults.cut(3, "/measurements")
        faults.delay(0.2, 2, "/measurements")

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_200000_rows_through_every_fault_and_again_from_other_files_count_once(
    used: Used, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, journal = usage(200_000), tmp_path / "j.sqlite"
    wanted = (200_000, frame["requests"].sum())
    frame.sample(frac=1, random_state=1).to_csv(tmp_path / "usage.csv", index=False)
    frame.sample(frac=1, random_state=2).to_parquet(tmp_path / "usage.parquet")
    used.sandbox.faults.delay(0.01, 20, "/measurements")
    used.sandbox.faults.fail(403, 1, "/measurements")
    with pytest.raises(SubmissionIncomplete):
        used.submit(frame, journal=journal)
    used.sandbox.faults.clear()

    monkeypatch.setattr(measurements, "MOST_ROWS", 700)
    spoiler = spoil(used, used.requests() + 50)
    sent = used.submit(tmp_path / "usage.csv", journal=journal)
    spoiler.join()

    assert used.counted() == wanted
    assert (sent.confirmed, sent.accepted + sent.already, len(sent.refused)) == (True, 200_000, 0)
    before = used.requests()
    again = used.submit(tmp_path / "usage.parquet", journal=journal)
    assert (again.already, again.confirmed, used.requests() - before) == (200_000, True, 0)
    monkeypatch.setattr(measurements, "MOST_ROWS", 1000)
    few = used.submit(frame.sample(20_000, random_state=3), journal=None)
    assert (few.already, few.confirmed, used.counted()) == (20_000, True, wanted)


def test_ten_bad_rows_of_50000_come_back_with_their_reasons(used: Used) -> None:
    frame = usage(50_000)
    rows = np.arange(7, 50_000, 5000)
    frame.loc[rows, "account"] = frame.loc[rows, "account"].str.upper()
    spoiler = spoil(used, 10)

    with pytest.raises(MeasurementsRefused, match=r"10 refused \(10 InvalidAccountCode\)") as caught:
        used.submit(frame, new_accounts="create")
    spoiler.join()

    sent = caught.value.submission
    assert sent.refused[["row", "reason", "event_id"]].to_numpy().tolist() == [
        [row, "InvalidAccountCode", f"e1-{row}"] for row in rows
    ]
    assert (sent.ingested, sent.confirmed, sent.accepted + sent.already) == (49_990, True, 49_990)
    assert used.counted() == (49_990, frame["requests"].drop(rows).sum())
