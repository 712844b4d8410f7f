"""Where things of this repository lie."""

from pathlib import Path

#: The repository's top folder.
ROOT = Path(__file__).resolve().parents[2]
