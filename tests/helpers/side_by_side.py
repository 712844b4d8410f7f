"""Run commands side by side, and show what each printed when it has ended: what one prints stays together.

One process of pytest for each half of the tests takes a fifth less of the processor than workers to which a further
process hands them out: nothing is collected twice, and no report travels.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock


def _run(lock: Lock, command: str) -> int:
    ended = subprocess.run(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    with lock:
        sys.stdout.buffer.write(ended.stdout)  # as it is: a test that failed may have printed any bytes
        sys.stdout.buffer.flush()
    return ended.returncode


def main(commands: list[str]) -> int:
    """Return 0 where every command did, else 1; say at the end which did not.

    Ctrl-C reaches the commands, too: what they say of it is waited for, and shown.
    """
    with ThreadPoolExecutor(len(commands)) as threads:
        try:
            codes = list(threads.map(partial(_run, Lock()), commands))
        except KeyboardInterrupt:
            threads.shutdown()
            return 1
    failed = [command for command, code in zip(commands, codes, strict=True) if code]
    sys.stdout.writelines(f"Failed: {command}\n" for command in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
