"""Print the modules that a login and a number of calls have imported: ``python modules_after.py CALLS``."""

from __future__ import annotations

import json
import sys

import m3ter_nb

PATH = "products/00000000-0000-4000-8000-000000004711"

if __name__ == "__main__":
    with m3ter_nb.login() as session:
        for _ in range(int(sys.argv[1])):
            session.get(PATH)
    print(json.dumps(sorted(sys.modules)))
