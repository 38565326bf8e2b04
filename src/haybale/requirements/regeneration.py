"""`regen-requirements`, for each way in which repositories keep their requirements.

What pip-compile made is compiled again, in files that are kept by hand only pins move, and what another tool
makes is left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.requirements import pins, written
from haybale.requirements.compile import (
    check_requirements,
    raise_if_stale,
    raise_if_unknown,
    regenerate_requirements,
    replace_all,
)
from haybale.requirements.layout import CompiledFile, UvFile, WrittenFile, find_layout
from haybale.requirements.lines import read_text, with_included
from haybale.requirements.locks import check_lock, lock_command
from haybale.requirements.logins import read_variables
from haybale.requirements.manager import find_install_commands, find_manager
from haybale.requirements.pins import read_all_pins
from haybale.requirements.recompile import Request, compile_file, read_direct, stale_reasons
from haybale.requirements.target import find_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project
    from haybale.requirements.logins import Variables


@dataclass(frozen=True, kw_only=True)
class Files:
    """A repository's requirements files by how they are made, and the variables in their addresses.

    `roots` are those of the settings that are kept by hand, `texts` the texts of all that are.
    """

    compiled: tuple[CompiledFile, ...]
    made_by_uv: tuple[UvFile, ...]
    roots: tuple[Path, ...]
    texts: Mapping[Path, str]
    variables: Variables

    @property
    def known(self) -> set[str]:
        """The normal names of all that is pinned or asked for."""
        files = [each.file for each in self.compiled]
        pinned = {name for file in files for name in read_all_pins(read_text(file))}
        asked = {name for each in self.compiled for name in read_direct(each)}
        return pinned | asked | {*written.all_pins(self.texts)}


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
    elif settings.source:
        regenerate_requirements(project, upgrade=upgrade, upgrade_packages=upgrade_packages, env=env, say=say)
    else:
        _regenerate_files(
            project, find_files(project, env), upgrade=upgrade, upgrade_packages=upgrade_packages, say=say
        )


def check(project: Project, *, env: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """Raise `RequirementsError` where what is installed is not what compiling would give, and why.

    False where that could not be found out, which is said.
    """
    settings = project.settings.requirements
    if find_manager(settings.production) != "pip":
        return check_lock(project, say)
    if settings.source:
        check_requirements(project, env)
        return True
    return _check_files(project, find_files(project, env), say)


def find_files(project: Project, env: Mapping[str, str]) -> Files:
    """Return the files that the settings name, with all that they are made from.

    Raises `ConfigError` where one is missing, `RequirementsError` where its heading cannot be followed.
    """
    settings = project.settings.requirements
    named = [project.path(name) for name in (settings.production, settings.development) if name]
    if not all(file.with_suffix(".in").is_file() for file in named):
        find_install_commands(project.root, settings)  # it names the setting of a file that is missing
    layout = find_layout(project.root, named)
    by_hand = [each.file for each in layout if isinstance(each, WrittenFile)]
    compiled = tuple(each for each in layout if isinstance(each, CompiledFile))
    read = [*by_hand, *with_included(source for each in compiled for source in each.sources)]
    return Files(
        compiled=compiled,
        made_by_uv=tuple(each for each in layout if isinstance(each, UvFile)),
        roots=tuple(file for file in named if file in by_hand),
        texts={file: file.read_bytes().decode("utf-8") for file in by_hand if read_text(file)},
        variables=read_variables(map(read_text, read), env),
    )


def _regenerate_files(
    project: Project,
    files: Files,
    *,
    upgrade: bool,
    upgrade_packages: Sequence[str],
    say: Callable[[str], None],
) -> None:
    raise_if_unknown(upgrade_packages, files.known if not files.made_by_uv else upgrade_packages)
    texts: dict[Path, str] = {}
    for each, request in _requests(project, files, upgrade=upgrade, upgrade_packages=upgrade_packages):
        say(f"resolving {each.file.relative_to(project.root)} for Python {request.python}")
        texts[each.file] = compile_file(each, request, texts)
    if freed := written.freed_names(files.texts, upgrade=upgrade, upgrade_packages=upgrade_packages):
        request = _request(project, files, None, upgrade=upgrade, upgrade_packages=upgrade_packages)
        say(f"resolving {', '.join(file.name for file in files.roots)} for Python {request.python}")
        resolved = written.resolve(files.roots, files.texts, request, texts)
        moving = {name: pin for name, pin in resolved.items() if name in freed}
        texts |= {file: written.move_pins(text, moving) for file, text in files.texts.items()}
    changed = {file: text for file, text in texts.items() if not _is_same(file, text)}
    before = {file: read_all_pins(read_text(file)) for file in changed}
    replace_all(changed)
    for file, text in changed.items():
        say(f"{file.relative_to(project.root)}:")
        for line in pins.describe_changes(before[file], read_all_pins(text)):
            say(files.variables.hide(line))
    if not changed and (files.compiled or freed):
        say("no pin changed")
    for notice in _notices(project, files, is_moving=bool(freed)):
        say(notice)


def _check_files(project: Project, files: Files, say: Callable[[str], None]) -> bool:
    stale: list[str] = []
    texts: dict[Path, str] = {}
    for each, request in _requests(project, files):
        texts[each.file] = compile_file(each, request, texts)
        stale += [f"{each.file}{reason}" for reason in stale_reasons(each, texts[each.file])]
    raise_if_stale(stale, files.variables, "compiling the inputs gives something else")
    if files.texts and files.roots:
        resolved = written.resolve(files.roots, files.texts, _request(project, files, None), {})
        for line in written.describe(files.texts, resolved):
            say(files.variables.hide(line))
    for made in files.made_by_uv:
        say(f"{made.file.relative_to(project.root)} was NOT checked: uv makes it, with: {made.command}")
    return not files.made_by_uv


def _requests(
    project: Project, files: Files, *, upgrade: bool = False, upgrade_packages: Sequence[str] = ()
) -> list[tuple[CompiledFile, Request]]:
    return [
        (each, _request(project, files, each.python, upgrade=upgrade, upgrade_packages=upgrade_packages))
        for each in files.compiled
    ]


def _request(
    project: Project,
    files: Files,
    python: str | None,
    *,
    upgrade: bool = False,
    upgrade_packages: Sequence[str] = (),
) -> Request:
    """Return what is to be done; `python` is what a file's heading says."""
    settings = project.settings.requirements
    return Request(
        root=project.root,
        python=settings.python or python or find_python(project.settings),
        machine=settings.machine,
        variables=files.variables,
        upgrade=upgrade,
        upgrade_packages=upgrade_packages,
    )


def _is_same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_bytes() == text.encode()


def _notices(project: Project, files: Files, *, is_moving: bool) -> list[str]:
    """Return what a person should know of files that were left as they are."""
    notices = [
        f"{each.file.relative_to(project.root)} is uv's, and was not changed. It is made with: {each.command}"
        for each in files.made_by_uv
    ]
    if files.texts and not is_moving:
        names = ", ".join(str(file.relative_to(project.root)) for file in files.texts)
        notices.append(f"kept by hand, and not changed: {names}. --upgrade-package NAME moves a pin")
    notices += [
        f"{name} is pinned more than once and does not move: {', '.join(places)}"
        for name, places in written.pin_places(files.texts).items()
        if is_moving and len(places) > 1
    ]
    if files.compiled and not project.settings.requirements.python:
        python = find_python(project.settings)
        notices += [
            f"{each.file.relative_to(project.root)} is compiled for Python {each.python}, and images.python"
            f' has {python}: python = "{python}" in [tool.haybale.requirements] moves it'
            for each in files.compiled
            if each.python and each.python != ".".join(python.split(".")[:2])
        ]
    return notices
