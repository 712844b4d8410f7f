"""Run the sandbox from a shell: ``python -m m3ter_nb.sandbox``."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from typing import TYPE_CHECKING, Never

from m3ter_nb.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType


class _Parser(argparse.ArgumentParser):
    """A parser that repeats no word that it does not know: it may be a secret of the real API."""

    def error(self, _message: str) -> Never:
        self.print_usage(sys.stderr)
        self.exit(
            2, "An argument was not understood. The sandbox takes no key and no secret: its own are public.\n"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C (or SIGTERM); return the exit status: 0, or 1 where the sandbox could not start."""
    parser = _Parser(
        prog="python -m m3ter_nb.sandbox",
        description="Run a local m3ter twin on 127.0.0.1. Nothing leaves this machine; its credentials are public.",
    )
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: any free one)")
    parser.add_argument(
        "--token-lifetime",
        type=int,
        default=18_000,
        metavar="SECONDS",
        help="how long a token lives (default: 18000)",
    )
    parser.add_argument(
        "--no-limits", action="store_true", help="do not keep m3ter's documented request rates"
    )
    parser.add_argument(
        "--data", metavar="FILE", help="keep entities and measurements in FILE (default: in memory)"
    )
    parser.add_argument(
        "--visible-after",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="how long accepted measurements take to show in usage and events (default: 0)",
    )
    parser.add_argument(
        "--take-future", action="store_true", help="take measurements with a timestamp in the future"
    )
    options = parser.parse_args(arguments)
    ended = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        ended.set()

    try:
        sandbox = Sandbox(
            options.port,
            options.token_lifetime,
            limits=not options.no_limits,
            data=options.data,
            visible_after=options.visible_after,
            refuse_future=not options.take_future,
        )
        sandbox.start()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with sandbox:
        signal.signal(signal.SIGINT, end)
        signal.signal(signal.SIGTERM, end)
        exports = "".join(f"export {name}={value}\n" for name, value in sandbox.environ.items())
        sys.stdout.write(f"The m3ter sandbox runs at {sandbox.url} (Ctrl-C ends it).\n\n{exports}")
        sys.stdout.flush()
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
