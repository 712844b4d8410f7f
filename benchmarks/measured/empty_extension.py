"""An IPython extension that does nothing: what ``%load_ext`` costs in any case."""

from __future__ import annotations


def load_ipython_extension(_shell: object) -> None:
    """Do nothing."""
