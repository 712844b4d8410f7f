"""Find the Chromium that the browser tests drive; ``python tests/browser/chromium.py --install`` sees to one.

Looked for in this order: the file named by ``M3TER_NB_CHROMIUM``, then ``chromium``, ``chromium-browser`` and
``google-chrome`` on the path, then the build that Playwright downloaded for itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

VARIABLE = "M3TER_NB_CHROMIUM"
COMMANDS = ("chromium", "chromium-browser", "google-chrome")


def find() -> str | None:
    """Return the path of a browser, or ``None`` where there is none.

    Raises:
        FileNotFoundError: ``M3TER_NB_CHROMIUM`` names a file that is not there.
    """
    if named := os.environ.get(VARIABLE):
        if not Path(named).is_file():
            raise FileNotFoundError(f"{VARIABLE} names {named}, which is not a file: correct it or unset it.")
        return named
    for command in COMMANDS:
        if path := shutil.which(command):
            return path
    with sync_playwright() as playwright:
        bundled = playwright.chromium.executable_path
    return bundled if Path(bundled).is_file() else None


def arguments() -> list[str]:
    """Return the switches to start it with: no traffic of its own, and no sandbox where it would refuse root."""
    switches = [
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    return [*switches, "--no-sandbox"] if _is_root() else switches


def install() -> str:
    """Install a browser where there is none, and return its path.

    As root on a system with ``apt-get`` the distribution's package, otherwise Playwright's own build.

    Raises:
        RuntimeError: the installation failed, or succeeded and left no browser behind.
    """
    if found := find():
        return found
    if _is_root() and shutil.which("apt-get"):
        steps = [["apt-get", "update"], ["apt-get", "install", "-y", "chromium"]]
    else:
        steps = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    for step in steps:
        try:
            subprocess.run(step, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(
                f"Could not install a browser: `{' '.join(step)}` failed ({error}). Install Chromium or Chrome "
                f"yourself, or name one in {VARIABLE}."
            ) from error
    if found := find():
        return found
    raise RuntimeError(f"`{' '.join(steps[-1])}` left no browser behind: name one in {VARIABLE}.")


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def main() -> int:
    """Print the browser's path; with ``--install`` install one first where there is none."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--install", action="store_true", help="install a browser where there is none")
    try:
        path = install() if parser.parse_args().install else find()
    except (RuntimeError, FileNotFoundError) as error:
        sys.exit(str(error))
    if path is None:
        sys.exit(f"No Chromium found. Run `python {sys.argv[0]} --install`, or name one in {VARIABLE}.")
    sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
