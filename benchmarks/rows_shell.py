"""Rows about a kernel: loading, the first login, memory, the check before each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from processes import MEASURED
from results import Goal, Line, Samples
from server import KEY_ID, SECRET

if TYPE_CHECKING:
    from kernels import Cost
    from processes import Bench

__all__ = ["cells", "first_login", "keychain_login", "loading", "memory"]

_CELL: Final = (
    "the hooks alone take 7 µs in a loop; between two cells, where the processor has turned to other things, they take "
    "about 18: whether the token is fresh is asked before each cell, so that its variable is good in it"
)
_LOG_IN: Final = "%load_ext m3ter_nb\n%m3ter_login"
# The SDK logs in with its first call, and with every other one.
_SDK_LOG_IN: Final = "import m3ter\nclient = m3ter.M3ter()\nme = client.users.me()"


def loading(bench: Bench) -> list[Line]:
    """Measure ``%load_ext`` in fresh kernels."""
    seconds, _ = _by_turns(
        bench,
        {"empty": "%load_ext empty_extension", "ours": "%load_ext m3ter_nb", "sdk": "import m3ter"},
        bench.rounds(15),
    )
    what = "`%load_ext m3ter_nb` in a running kernel"
    return [
        Line(what, "an empty extension", seconds["ours"], seconds["empty"], Goal("difference", 0.005)),
        Line(what, "`import m3ter`, the official SDK", seconds["ours"], seconds["sdk"], Goal("ratio", 0.03)),
    ]


def first_login(bench: Bench) -> list[Line]:
    """Measure the first login of a kernel, imports included."""
    script = (MEASURED / "documented_script.py").read_text("utf-8")
    for placeholder, real in (
        ("https://api.m3ter.com", bench.url),
        ("your_access_key_id", KEY_ID),
        ("your_api_secret", SECRET),
    ):
        script = script.replace(placeholder, real)
    seconds, _ = _by_turns(
        bench, {"documented": script, "ours": _LOG_IN, "requests": "import requests"}, bench.rounds(20)
    )
    what = "first login of a kernel: `%load_ext`, `%m3ter_login`"
    return [
        Line(
            what,
            "the documented Python script",
            seconds["ours"],
            seconds["documented"],
            Goal("ratio", 1.1),
        ),
        Line(what, "`import requests` alone", seconds["ours"], seconds["requests"]),
    ]


def keychain_login(bench: Bench) -> list[Line]:
    """Measure the first login of a kernel from a remembered profile, the import of keyring included."""
    bench.cost_of_cell(f"{_LOG_IN} --remember")
    forget = "import os\ndel os.environ['M3TER_API_KEY'], os.environ['M3TER_API_SECRET']"
    seconds, _ = _by_turns(
        bench, {"environment": _LOG_IN, "keychain": f"{forget}\n{_LOG_IN}"}, bench.rounds(15)
    )
    return [
        Line(
            "first login of a kernel, from the keychain (by a backend that is a file)",
            "from the environment",
            seconds["keychain"],
            seconds["environment"],
            Goal("difference", 0.15),
        )
    ]


def memory(bench: Bench) -> list[Line]:
    """Measure the memory that a kernel has for itself (unique set size) once a cell has run."""
    _, sizes = _by_turns(
        bench,
        {"nothing": "pass", "requests": "import requests", "ours": _LOG_IN, "sdk": _SDK_LOG_IN},
        bench.rounds(6),
    )
    return [
        Line(
            "memory of the kernel after login",
            "`import requests` alone",
            sizes["ours"],
            sizes["requests"],
            Goal("difference", 5e6),
        ),
        Line(
            "memory that a login adds to the kernel",
            "the official SDK's first call",
            sizes["ours"].minus(sizes["nothing"]),
            sizes["sdk"].minus(sizes["nothing"]),
            Goal("ratio", 0.5),
        ),
    ]


def cells(bench: Bench) -> list[Line]:
    """Measure what the hooks add to each cell."""
    figures = bench.run("cells.py", "empty_cell", str(bench.rounds(25)))
    hooks = bench.run("cells.py", "hooks_alone", str(bench.rounds(25)))
    return [
        Line(
            "an empty cell, logged in",
            "the cell without the extension",
            Samples("s", tuple(figures["with"])),
            Samples("s", tuple(figures["without"])),
            Goal("difference", 20e-6, limited_by=_CELL),
        ),
        Line(
            "the hooks of each cell, alone",
            "the cell without the extension",
            Samples("s", tuple(hooks["hooks"])),
            Samples("s", tuple(figures["without"])),
        ),
    ]


def _by_turns(
    bench: Bench, cells: dict[str, str], rounds: int
) -> tuple[dict[str, Samples], dict[str, Samples]]:
    """Run each cell in fresh kernels, by turns; return their seconds and the bytes of their processes."""
    costs: dict[str, list[Cost]] = {name: [] for name in cells}
    for number in range(rounds + 1):
        for name in list(cells) if number % 2 else reversed(cells):
            cost = bench.cost_of_cell(cells[name])
            if number:  # the first one may have to compile what it imports
                costs[name].append(cost)
    return (
        {name: Samples("s", tuple(cost.seconds for cost in taken)) for name, taken in costs.items()},
        {name: Samples("B", tuple(float(cost.bytes) for cost in taken)) for name, taken in costs.items()},
    )
