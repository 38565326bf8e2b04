"""Compile the locks of the sessions' environments: requirements/NAME.txt, from pyproject.toml.

`python requirements/compile.py [NAME ...]`, in an environment with pip-tools; existing pins are kept. Where
packages come from is this machine's own business and is written nowhere.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PIP_COMPILE = [
    sys.executable, "-m", "piptools", "compile", "--quiet",
    "--generate-hashes", "--allow-unsafe", "--strip-extras",
    "--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links", "--no-header",
]  # fmt: skip


def inputs() -> dict[str, list[str]]:
    """Return the requirements of each lock: name of the session environment -> requirement lines."""
    document = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    groups = document["dependency-groups"]
    # What an editable install of haybale itself needs, its build backend included.
    own = [*document["project"]["dependencies"], *groups["build"]]
    rehearse = document["project"]["optional-dependencies"]["rehearse"]
    return {
        "launcher": groups["launcher"],
        "haybale": own,
        "rehearse": [*own, *rehearse],
        "tests": [*own, *rehearse, *groups["tests"]],
        "lint": groups["lint"],
        "typecheck": [*own, *rehearse, *groups["tests"], *groups["typecheck"], *groups["launcher"]],
        "requirements": [*own, *groups["requirements"]],
        "bump": [*own, *groups["bump"]],
        "workflows": groups["workflows"],
        "site-build": groups["site-build"],
    }


def main(names: list[str]) -> None:
    """Compile the named locks, or all of them."""
    wanted = inputs()
    for name in names or wanted:
        with tempfile.TemporaryDirectory() as folder:
            # The input's name stands in the lock ("via -r haybale.in"): a plain one, on every machine.
            Path(folder, f"{name}.in").write_text("\n".join(wanted[name]), encoding="utf-8")
            output = HERE / f"{name}.txt"
            subprocess.run([*PIP_COMPILE, "--output-file", str(output), f"{name}.in"], cwd=folder, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
