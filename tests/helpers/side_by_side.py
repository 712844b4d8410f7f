"""Run commands side by side, and show what each printed when it has ended: what one prints stays together.

One process of pytest for each half of the tests takes a fifth less of the processor than workers to which a further
process hands them out: nothing is collected twice, and no report travels.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed


def _run(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        shell=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def main(commands: list[str]) -> int:
    """Return 0 where every command did, else 1; say at the end which did not."""
    failed = []
    with ThreadPoolExecutor(len(commands)) as threads:
        for done in as_completed([threads.submit(_run, command) for command in commands]):
            ended = done.result()
            sys.stdout.write(ended.stdout)
            sys.stdout.flush()
            if ended.returncode:
                failed.append(ended.args)
    sys.stdout.writelines(f"Failed: {command}\n" for command in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
