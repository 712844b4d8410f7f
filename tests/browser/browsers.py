"""Find the browsers that the tests drive; ``python tests/browser/browsers.py --install`` sees to them.

Looked for in this order: the file named by ``M3TER_NB_CHROMIUM`` or ``M3TER_NB_FIREFOX``, then the browser's commands on
the path, then the build that Playwright downloaded for itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType, Playwright

__all__ = ["BROWSERS", "CHROMIUM", "FIREFOX", "KnownBrowser"]


@dataclass(frozen=True)
class KnownBrowser:
    """A browser, and how it is found, installed and started.

    Attributes:
        name: Playwright's name for its kind.
        commands: what it is called on the path.
        package: of Debian and its like.
        channel: how Playwright is to speak with a build that is not its own; None where that makes no difference.
    """

    name: str
    commands: tuple[str, ...]
    package: str
    channel: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable that may name its file."""
        return f"M3TER_NB_{self.name.upper()}"

    def find(self) -> str | None:
        """Return its path, or None where there is none.

        Raises:
            FileNotFoundError: the variable names a file that is not there.
        """
        if named := os.environ.get(self.variable):
            if not Path(named).is_file():
                raise FileNotFoundError(
                    f"{self.variable} names {named}, which is not a file: correct it or unset it."
                )
            return named
        for command in self.commands:
            if path := shutil.which(command):
                return path
        with sync_playwright() as playwright:
            bundled = self._type(playwright).executable_path
        return bundled if Path(bundled).is_file() else None

    def install(self) -> str:
        """Install it where there is none, and return its path.

        As root on a system with ``apt-get`` the distribution's package and what it depends on, otherwise, or where that
        fails, Playwright's own build. It says so before it does.

        Raises:
            RuntimeError: neither could be had.
        """
        if found := self.find():
            return found
        ways = [[[sys.executable, "-m", "playwright", "install", self.name]]]
        if _is_root() and shutil.which("apt-get"):
            packages = ["apt-get", "install", "-y", "--no-install-recommends", self.package]
            ways.insert(0, [["apt-get", "update"], packages])
        sys.stdout.write(
            f"No {self.name} found: installing one, for the browser tests ({' '.join(ways[0][-1])}).\n"
            f"To use one of your own instead: {self.variable}=/path/to/{self.commands[0]}\n"
        )
        sys.stdout.flush()
        failed = ""
        for way in ways:
            try:
                for step in way:
                    subprocess.run(step, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                failed += f" {error}"
            if found := self.find():
                return found
        raise RuntimeError(
            f"Could not install {self.name}.{failed} Install it yourself, or name one in {self.variable}."
        )

    def launch(self, playwright: Playwright, path: str) -> Browser:
        """Start it without a screen, with no traffic of its own, and with no sandbox where that would refuse root."""
        own_build = path == self._type(playwright).executable_path
        switches: list[str] = []
        if self.name == "chromium":
            switches = [
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
                *(["--no-sandbox"] if _is_root() else []),
            ]
        return self._type(playwright).launch(
            executable_path=path, args=switches, channel=None if own_build else self.channel
        )

    def _type(self, playwright: Playwright) -> BrowserType:
        kind: BrowserType = getattr(playwright, self.name)
        return kind


CHROMIUM = KnownBrowser("chromium", ("chromium", "chromium-browser", "google-chrome"), "chromium")
# A Firefox as everybody has it speaks WebDriver BiDi, and Playwright does so on this channel; only its own build speaks
# what it speaks otherwise.
FIREFOX = KnownBrowser("firefox", ("firefox-esr", "firefox"), "firefox-esr", channel="moz-firefox")
BROWSERS = (CHROMIUM, FIREFOX)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def main() -> int:
    """Print the browsers' paths; with ``--install`` install those that are missing.

    A machine that cannot have one of them can still run the other tests: that is an error only where ``CI`` is set.
    """
    parser = argparse.ArgumentParser(description=(main.__doc__ or "").splitlines()[0])
    parser.add_argument("--install", action="store_true", help="install what is missing")
    options = parser.parse_args()
    missing = []
    for browser in BROWSERS:
        try:
            path = browser.install() if options.install else browser.find()
        except (RuntimeError, FileNotFoundError) as error:
            missing.append(str(error))
            continue
        if path is None:
            missing.append(
                f"No {browser.name} found: --install sees to one, or name it in {browser.variable}."
            )
        else:
            sys.stdout.write(f"{path}\n")
    for text in missing:
        sys.stderr.write(f"{text} Without it, its tests are skipped.\n")
    return int(bool(missing) and (not options.install or bool(os.environ.get("CI"))))


if __name__ == "__main__":
    sys.exit(main())
