"""What the table of the API's facts costs: Tab, and the check of each call: ``python words.py NAME ROUNDS``."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stdout

from alternating import alternate, main
from shells import fresh_shell, run

import m3ter_nb
from m3ter_nb.api.doubts import tell_doubts
from m3ter_nb.wire.encoding import settle_query

OURS = "%m3ter GET bills acc"
EMPTY = "%empty_magic bills acc"
PRODUCT = "products/00000000-0000-4000-8000-000000004711"
CHECKS = 100


def tab(rounds: int) -> dict[str, list[float]]:
    """Measure Tab: the first one of ours, then later ones, beside that after an empty magic; seconds."""
    shell = fresh_shell()
    shell.register_magic_function(lambda _line: None, magic_name="empty_magic")  # type: ignore[no-untyped-call]  # IPython's method has no types
    with redirect_stdout(io.StringIO()):
        run(shell, "%load_ext m3ter_nb", "%m3ter_login")

    def empty() -> None:
        shell.complete("", EMPTY, len(EMPTY))

    def ours() -> None:
        _, found = shell.complete("", OURS, len(OURS))
        assert found == ["accountId="]

    empty()
    started = time.perf_counter()
    ours()
    first = time.perf_counter() - started
    return {"first": [first], **alternate({"ours": ours, "empty": empty}, rounds, times=20)}


def checks(rounds: int) -> dict[str, list[float]]:
    """Measure calls with filters and with a body, and what their check alone takes of it; seconds for one."""
    filters = {"pageSize": 1, "ids": "a"}
    settled = settle_query(filters)  # as a session hands it to the check, and then to the encoding
    body = {"name": "A name", "code": "a_code", "customFields": {"tier": "gold"}}
    with m3ter_nb.login() as session:
        return alternate(
            {
                "call": lambda: session.get("products", filters),
                "check of filters": lambda: [
                    tell_doubts("GET", "products", settled, None) for _ in range(CHECKS)
                ],
                "check of a body": lambda: [tell_doubts("PUT", PRODUCT, None, body) for _ in range(CHECKS)],
            },
            rounds,
            times={"call": 50, "check of filters": 1, "check of a body": 1},
        )


if __name__ == "__main__":
    main({"tab": tab, "checks": checks})
