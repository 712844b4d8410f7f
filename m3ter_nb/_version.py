"""The version, in a module that everything may import; the build reads it too.

Asking the installed metadata for it costs as much as a login.
"""

__version__ = "0.1.0"
