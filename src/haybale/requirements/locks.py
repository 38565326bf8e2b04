"""Locks of other tools: which command makes one, and the tool's own check of it."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.errors import RequirementsError
from haybale.requirements.manager import find_manager
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haybale.config import Project

# The tools' own commands, which change nothing but the lock.
MAKE = {"uv": "uv lock", "poetry": "poetry lock", "pdm": "pdm lock --update-reuse", "pipenv": "pipenv lock"}
UPGRADE = {
    "uv": "uv lock --upgrade",
    "poetry": "poetry update --lock",
    "pdm": "pdm update --no-sync",
    "pipenv": "pipenv update --lock-only",
}
# Before the names of the packages that are to move.
UPGRADE_PACKAGES = {
    "poetry": "poetry update --lock",
    "pdm": "pdm update --no-sync --update-reuse",
    "pipenv": "pipenv upgrade --lock-only",
}
CHECK = {
    "uv": ("uv", "lock", "--check"),
    "poetry": ("poetry", "check", "--lock"),
    "pdm": ("pdm", "lock", "--check"),
    "pipenv": ("pipenv", "verify"),
}


def lock_command(project: Project, *, upgrade: bool = False, packages: Sequence[str] = ()) -> str:
    """Return the command that makes the lock, to be run in the repository's root."""
    lock = project.settings.requirements.production
    tool = find_manager(lock)
    if packages and tool == "uv":
        command = "uv lock " + " ".join(f"--upgrade-package {shlex.quote(name)}" for name in packages)
    elif packages:
        command = f"{UPGRADE_PACKAGES[tool]} {shlex.join(packages)}"
    else:
        command = (UPGRADE if upgrade else MAKE)[tool]
    folder = str(PurePosixPath(lock).parent)
    return command if folder == "." else f"(cd {shlex.quote(folder)} && {command})"


def check_lock(project: Project, say: Callable[[str], None]) -> bool:
    """Run the check of the lock's own tool; False where it is not installed, which is said.

    Raises `RequirementsError` where the tool refuses the lock.
    """
    lock = project.settings.requirements.production
    tool, *arguments = CHECK[find_manager(lock)]
    if process.find_executable(tool) is None:
        say(f"{lock} was NOT checked: {tool}, which does that, is not installed here")
        return False
    done = process.run([tool, *arguments], cwd=project.path(lock).parent)
    if not done.ok:
        raise RequirementsError(
            f"{lock}: `{shlex.join([tool, *arguments])}` fails",
            cause=done.error_line,
            hint=lock_command(project),
            log=done.output,
        )
    return True
