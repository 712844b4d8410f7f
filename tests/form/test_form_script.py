"""What form.js computes, run by the Node.js that Playwright brings along: no page is needed for it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright._impl._driver import compute_driver_executable

import m3ter_nb.form

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPT = Path(m3ter_nb.form.__file__).with_name("form.js")


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[[str], Any]:
    """Return a function that gives the value of an expression on the module's exports."""
    copy = tmp_path / "form.mjs"
    copy.write_text(SCRIPT.read_text("utf-8"), "utf-8")
    node, _ = compute_driver_executable()

    def run(expression: str) -> Any:
        program = (
            f"import * as form from {json.dumps(copy.as_uri())}; console.log(JSON.stringify({expression}))"
        )
        command = [node, "--input-type=module", "--eval", program]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return run


@pytest.mark.parametrize("expires", ["undefined", "null"])
@pytest.mark.parametrize("renews", ["true", "false"])
def test_a_time_that_is_unknown_is_called_so(
    evaluate: Callable[[str], Any], expires: str, renews: str
) -> None:
    assert evaluate(f"form.timeLeft({expires}, {renews}, 1000)") == ["unknown", False]


@pytest.mark.parametrize(
    ("expires", "renews", "shown"),
    [
        (18_940, "true", ["4 h 59 min, renews by itself", False]),
        (1_000, "true", ["renews at the next call", False]),
        (1_725, "false", ["12 min 05 s, not renewed", False]),
        (1_040, "false", ["40 s: log in again soon.", True]),
        (999, "false", ["The token has ended: log in again.", True]),
    ],
)
def test_the_time_left_is_counted_from_now_and_warns(
    evaluate: Callable[[str], Any], expires: int, renews: str, shown: list[Any]
) -> None:
    assert evaluate(f"form.timeLeft({expires}, {renews}, 1000)") == shown
