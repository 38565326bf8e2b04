"""One hash seed for every process of the loader: texts of a set come in the same order in all of them."""

from __future__ import annotations

import os
import sys

VARIABLE = "PYTHONHASHSEED"


def fix_hash_seed(package: str, folder: str) -> None:
    """Start this process anew with a fixed hash seed, unless it has one; `folder` holds the package.

    Python reads the seed only when it starts, from the environment, which the workers inherit. Source: the
    documentation of PYTHONHASHSEED.
    """
    # Python takes an empty one for none.
    has_seed = (os.environ.get(VARIABLE) or "random") != "random"
    if has_seed or sys.flags.ignore_environment or not sys.executable:
        return
    code = "import runpy, sys; sys.path.append({!r}); runpy.run_module({!r}, run_name='__main__')"
    command = [sys.executable, "-c", code.format(folder, package), *sys.argv[1:]]
    os.execve(sys.executable, command, {**os.environ, VARIABLE: "0"})  # noqa: S606 - this very Python
