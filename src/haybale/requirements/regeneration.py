"""`regen-requirements`: pip-tools' files are compiled; what another tool made is left to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.requirements.compile import check_requirements, regenerate_requirements
from haybale.requirements.locks import check_lock, lock_command
from haybale.requirements.manager import find_manager

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haybale.config import Project


def regenerate(
    project: Project,
    *,
    upgrade: bool,
    upgrade_packages: Sequence[str],
    env: Mapping[str, str],
    say: Callable[[str], None],
) -> None:
    """Compile the site's requirements as its repository does, or say which command makes them.

    Pins stay as they are unless `upgrade`, or their package is in `upgrade_packages`. Raises
    `RequirementsError` for a conflict, `PrerequisiteError` without pip-tools; no file is changed then.
    """
    settings = project.settings.requirements
    if (manager := find_manager(settings.production)) != "pip":
        command = lock_command(project, upgrade=upgrade, packages=upgrade_packages)
        say(f"{settings.production} is {manager}'s, and nothing was changed. It is made with: {command}")
    else:
        regenerate_requirements(project, upgrade=upgrade, upgrade_packages=upgrade_packages, env=env, say=say)


def check(project: Project, *, env: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """Raise `RequirementsError` where what is installed is not what compiling would give, and why.

    False where that could not be found out, which is said.
    """
    if find_manager(project.settings.requirements.production) != "pip":
        return check_lock(project, say)
    check_requirements(project, env)
    return True
