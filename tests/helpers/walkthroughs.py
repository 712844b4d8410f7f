"""The notebooks of this repository, in reading order; ``python tests/helpers/walkthroughs.py`` prints their paths.

A list, so that a notebook of the reader's own beside them is nobody's business.
"""

from __future__ import annotations

import sys

from places import ROOT

__all__ = ["NAMES", "PATHS"]

NAMES = (
    "01_log_in.ipynb",
    "02_service_user_and_keys.ipynb",
    "03_curl.ipynb",
    "04_python.ipynb",
    "05_calling_the_api.ipynb",
    "06_token_life.ipynb",
    "07_usage_in.ipynb",
)
PATHS = [ROOT / "notebooks" / name for name in NAMES]

if __name__ == "__main__":
    sys.stdout.write("".join(f"{path.relative_to(ROOT)}\n" for path in PATHS))
