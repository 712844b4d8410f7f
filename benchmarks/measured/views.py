"""The HTML view of 10,000 rows, ours beside pandas' of the same data: ``python views.py NAME ROUNDS``."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from alternating import alternate, main
from shells import fresh_shell, run

PRODUCTS = 10_000


def html(rounds: int) -> dict[str, list[float]]:
    """Measure ``_repr_html_`` of the records, and of the frame that they become."""
    shell = fresh_shell()
    with redirect_stdout(io.StringIO()):
        run(shell, "%load_ext m3ter_nb", "%m3ter_login", "products = %m3ter GET products --all")
    records = shell.user_ns["products"]
    frame = records.to_frame()
    if not len(records) == len(frame) == PRODUCTS:
        raise AssertionError("the two views are not of the same rows")
    return alternate({"records": records._repr_html_, "pandas": frame._repr_html_}, rounds, times=10)


if __name__ == "__main__":
    main({"html": html})
