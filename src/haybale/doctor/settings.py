"""Settings that name what is not there: files, folders, globs, secrets, commands."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.config import TABLE
from haybale.doctor.finding import Diagnosis, Finding
from haybale.errors import HaybaleError
from haybale.images.site_services import read_secrets, site_environment
from haybale.index.inputs import match_globs
from haybale.testing.suites import suite_command
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from haybale.config import Project, SettingValue

# What each of these names, or each part of it, is.
FILES: Mapping[str, Callable[[Path], bool]] = {
    "site.folder": Path.is_dir, "solr_conf": Path.is_dir, "dockerfile": Path.is_file,
    "compose.solr": Path.is_file, "compose.ci": Path.is_file, "fixtures": Path.is_file,
    "site.environment_files": Path.is_file, "requirements.development": Path.is_file,
    "requirements.dev_source": Path.is_file,
}  # fmt: skip
# Files that are read where somebody says so; their defaults are those of the reference site.
WHERE_GIVEN = ("requirements.source",)

SUITE = re.compile(r"test\.suites\.(?P<name>[^.]+)\.(?P<part>mounts|folder|command)")
HOOK = re.compile(r"hooks\.[^.]+\.(before|after)")


def examine_settings(project: Project, settings: Sequence[SettingValue], env: Mapping[str, str]) -> Diagnosis:
    """Look for what the settings name and what is not there; `settings` are the project's, with places."""
    findings = [finding for each in settings for finding in check_setting(project, each)]
    site = project.settings.site
    readers: list[Callable[[], object]] = [lambda: read_secrets(project, env)]
    readers += [
        functools.partial(suite_command, name, suite, "reports")
        for name, suite in project.settings.test.suites.items()
    ]
    if all(project.path(each).is_file() for each in site.environment_files):
        readers.append(lambda: site_environment(project, site.release))
    for read in readers:
        try:
            read()
        except HaybaleError as error:
            findings.append(Finding.from_error(error))
    given = sum(each.source is not None for each in settings)
    return Diagnosis(
        subject="settings", seen=f"{given} given in {project.root}", findings=tuple(dict.fromkeys(findings))
    )


def check_setting(project: Project, setting: SettingValue) -> Iterator[Finding]:
    """Yield what a setting names that is not there."""
    name, place = setting.name, setting.source or f"the default of `{setting.name}`"
    for path, is_there in wanted_paths(project, setting):
        if not is_there:
            yield Finding(
                level="error",
                what=f"{place}: {name} names {path}, which is not there",
                why=setting.description,
                fix=f"correct {name} in [{TABLE}], or put it there",
            )
    if name == "index.inputs":
        try:
            match_globs(project.root, setting.value)
        except HaybaleError as error:
            found = Finding.from_error(error)
            yield replace(found, what=f"{place}: {found.what}")
    yield from _check_commands(project, setting, place)


def wanted_paths(project: Project, setting: SettingValue) -> Iterator[tuple[str, bool]]:
    """Yield each path of the repository that a setting names, and whether it is there."""
    name, value = setting.name, setting.value
    if value is None or (name in WHERE_GIVEN and setting.source is None):
        return
    suite = SUITE.fullmatch(name)
    if name in FILES or name in WHERE_GIVEN:
        is_there = FILES.get(name, Path.is_file)
        for each in _parts(value):
            yield each, is_there(project.path(each))
    elif name == "site.mounts" or (suite and suite["part"] == "mounts"):
        for each in value:
            source = each.partition(":")[0]
            yield source, project.path(source).exists()
    elif suite and suite["part"] == "folder" and _runs_here(project, suite["name"]):
        yield value, project.path(value).is_dir()


def _check_commands(project: Project, setting: SettingValue, place: str) -> Iterator[Finding]:
    """Yield the commands of this machine that it does not have."""
    suite = SUITE.fullmatch(setting.name)
    is_suite = suite is not None and suite["part"] == "command" and _runs_here(project, suite["name"])
    commands: Sequence[str] = ()
    if is_suite or setting.name == "database.fetch":
        commands = setting.value[:1]
    elif HOOK.fullmatch(setting.name):
        commands = [shlex.split(each)[0] for each in setting.value]
    for each in commands:
        is_path = "/" in each
        if not (project.path(each).is_file() if is_path else process.find_executable(each)):
            yield Finding(
                level="error",
                what=f"{place}: {setting.name} runs {each}, which is not "
                + ("there" if is_path else "on PATH"),
                why=setting.description,
                fix=f"install it, or correct {setting.name} in [{TABLE}]",
            )


def _parts(value: str | Mapping[str, str] | Sequence[str]) -> list[str]:
    """Return the strings of a setting: one, a list, or those of a table."""
    if isinstance(value, str):
        return [value]
    return [*(value.values() if isinstance(value, Mapping) else value)]


def _runs_here(project: Project, suite: str) -> bool:
    return project.settings.test.suites[suite].where == "host"
