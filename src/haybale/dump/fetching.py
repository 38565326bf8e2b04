"""The repository's dump: what its link leads to or, where it is not in git, what a command brings.

A command may bring another file tomorrow. So the settings pin what it has to bring (`database.sha256`), the
file is kept under that digest, and nothing else is ever taken for the dump.
"""

from __future__ import annotations

import hashlib
import secrets
import shlex
from typing import TYPE_CHECKING

from haybale.config import FILE, TABLE
from haybale.dump.reference import Dump, resolve_dump
from haybale.errors import ConfigError, DumpError
from haybale.tools import process

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.config import Project

# In the command: where it has to put the dump.
PLACE = "{file}"


def find_dump(project: Project) -> Dump:
    """Return the reference dump of a repository, fetched first where a setting says how.

    Raises `DumpError` where it is missing or another one than is pinned, `ConfigError` where the settings do
    not say which.
    """
    settings = project.settings
    if not settings.database.fetch:
        return resolve_dump(project.home, settings.dump)
    file = fetched_file(project)
    if file is None or not file.is_file():
        file = _fetch(project, _folder(project), settings.database.sha256)
    return Dump(link=file, target=file)


def fetched_file(project: Project) -> Path | None:
    """Return where the dump that the settings pin is once it was fetched; None where they pin none."""
    wanted = project.settings.database.sha256
    return _folder(project) / wanted if wanted else None


def _folder(project: Project) -> Path:
    return project.scratch / "fetched"


def _fetch(project: Project, folder: Path, wanted: str | None) -> Path:
    """Run the command, check what it brought, and give that its name."""
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"new.{secrets.token_hex(4)}"
    command = [word.replace(PLACE, str(new)) for word in project.settings.database.fetch]
    try:
        done = process.run(command, cwd=project.home)
        if not done.ok:
            raise DumpError(
                "the dump could not be fetched",
                cause=f"the command of the setting database.fetch exited with {done.code}",
                hint=f"run it by hand: {shlex.join(project.settings.database.fetch)}",
                log=done.output,
            )
        if not new.is_file():
            raise DumpError(
                "the command of the setting database.fetch brought no dump",
                cause=f"it exited with 0, and there is no file where {PLACE} was",
                hint=f"have it write to {PLACE}, the path that it is given",
                log=done.output,
            )
        with new.open("rb") as brought:
            found = hashlib.file_digest(brought, "sha256").hexdigest()
        line = f'sha256 = "{found}" in [{TABLE}.database]'
        if wanted is None:
            raise ConfigError(
                f"{FILE}: database.fetch has a command, and database.sha256 does not say which dump is meant",
                cause="tomorrow it may bring another one, and the same commit would have another index",
                hint=f"what it brings now: {line}",
            )
        if found != wanted:
            raise DumpError(
                "another dump was fetched than the settings name",
                cause=f"database.sha256 is {wanted}, and the file that came has {found}",
                hint=f"where the new one is right: {line}; else correct database.fetch",
            )
        new.replace(folder / found)
        return folder / found
    finally:
        new.unlink(missing_ok=True)
