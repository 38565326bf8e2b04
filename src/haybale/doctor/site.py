"""What a site's code says, read and not run: its settings modules, its variables, its search indexes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.index_writers import find_index_writers
from haybale.adoption.search_fields import read_search_fields, search_index_files
from haybale.adoption.settings_reader import read_settings
from haybale.adoption.site_settings import find_settings_module
from haybale.adoption.survey import find_settings_files, is_in, list_files
from haybale.config import TABLE, place_of
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.made_configuration import check_made_fields, read_made_fields
from haybale.doctor.search_fields import check_fields
from haybale.errors import ConfigError
from haybale.index.home import find_cores, read_core

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.adoption.local_modules import LocalModule
    from haybale.adoption.search_fields import SearchField
    from haybale.config import Project

MANAGE = "manage.py"

# What raises for a variable that is not set: django-environ, environs, python-decouple.
LIBRARIES = re.compile(r"^\s*(from|import)\s+(environ|environs|decouple)\b", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class SiteFiles:
    """The files of a repository, by their paths from its root, and where its site is in it."""

    project: Project
    names: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The folder with manage.py, "." for the root."""
        return str(PurePosixPath(self.project.settings.site.folder))

    @property
    def manage(self) -> str:
        """The path of manage.py."""
        return str(PurePosixPath(self.folder, MANAGE))

    def read(self, name: str) -> str:
        """Return a file's text, "" where it cannot be read."""
        try:
            return self.project.path(name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def has_module(self, name: str) -> bool:
        """Whether a module (with dots) is in the site's folder."""
        path = PurePosixPath(self.folder, *name.split("."))
        return any(f"{path}{end}" in self.names for end in (".py", "/__init__.py"))


def list_site_files(project: Project) -> SiteFiles:
    """Return the files of a project."""
    return SiteFiles(project=project, names=tuple(list_files(project.root)))


def examine_site(files: SiteFiles) -> Diagnosis:
    """Look at manage.py, at the settings modules, and at the fields of the search indexes."""
    findings = [*check_manage(files), *check_modules(files)]
    fields: list[SearchField] = []
    incomplete: list[str] = []
    for name in search_index_files(files.names, files.folder):
        try:
            found = read_search_fields(name, files.read(name))
        except (SyntaxError, ValueError) as error:
            findings.append(_not_python(name, error))
            continue
        fields += found.fields
        incomplete += found.incomplete
    if schemas := [*_schemas(files.project)]:
        # Which core a field belongs to is not known from the code: one that has it is enough.
        names, patterns, types = zip(*schemas, strict=True)
        findings += check_fields(fields, [*chain(*patterns)], [*chain(*types)], " or ".join(names))
    findings += check_made_fields(fields, read_made_fields(files.project))
    findings += check_serving(files)
    seen = f"{files.manage}, {len(fields)} fields of search indexes in its code"
    if incomplete:
        seen += f" (not all of those of {', '.join(incomplete)}: --deep asks Django)"
    return Diagnosis(subject="site", seen=seen, findings=tuple(dict.fromkeys(findings)))


def check_serving(files: SiteFiles) -> Iterator[Finding]:
    """Yield what changes the index, where the baked Solr refuses that."""
    settings = files.project.settings
    if settings.index.serve == "open":
        return
    inside = [name for name in files.names if is_in(name, files.folder)]
    writers = find_index_writers(settings_files(files, settings.site.release.settings), inside, files.read)
    for first in writers[:1]:
        others = f" (and {len(writers) - 1} more)" if len(writers) > 1 else ""
        yield Finding(
            level="warning",
            what=f"{first.place} ({first.name}) changes the index{others}, which the baked Solr refuses",
            why="it answers searches only, and Haystack says nothing where a change fails",
            fix=f'serve = "open" in [{TABLE}.index], or leave that to a Solr of the tests\' own',
        )


def check_manage(files: SiteFiles) -> Iterator[Finding]:
    """Yield that the site's folder has no manage.py."""
    if files.manage in files.names or not files.project.path(files.folder).is_dir():
        return
    others = [name for name in files.names if PurePosixPath(name).name == MANAGE]
    where = min(others, key=lambda name: (name.count("/"), name), default=None)
    yield Finding(
        level="error",
        what=f"there is no {files.manage}",
        why="the site's commands are run by it",
        fix=f'folder = "{PurePosixPath(where).parent}" in [{TABLE}.site]'
        if where
        else f"set folder in [{TABLE}.site] to the folder that has it",
    )


def settings_modules(project: Project) -> dict[str, str]:
    """Return the settings modules that settings of haybale name, by the setting."""
    site = project.settings.site
    named = {
        "site.settings": site.settings,
        "site.index.settings": site.index.settings,
        "site.test.settings": site.test.settings,
        "site.release.settings": site.release.settings,
    }
    return {setting: module for setting, module in named.items() if module}


def check_modules(files: SiteFiles) -> Iterator[Finding]:
    """Yield the settings modules that are not in the site's folder, and files of them that are no Python."""
    for setting, module in settings_modules(files.project).items():
        if not files.has_module(module):
            first = module.partition(".")[0]
            is_own = files.has_module(first) or any(
                is_in(name, str(PurePosixPath(files.folder, first))) for name in files.names
            )
            place = place_of(files.project, *setting.split("."))
            yield Finding(
                level="error" if is_own else "warning",
                what=f"{place}: {setting} names {module}, which is not in {files.folder}",
                why="Django does not start without its settings"
                + ("" if is_own else ", unless a package in the image has them"),
                fix=f"correct {setting} in [{TABLE}]",
            )
    yield from missing_modules(files)
    for name in settings_files(files, None):
        try:
            compile(files.read(name), name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            yield _not_python(name, error)


def missing_modules(files: SiteFiles) -> Iterator[Finding]:
    """Yield the modules that settings import, and that are neither in the repository nor mounted."""
    mounted = [each.partition(":")[2] for each in files.project.settings.site.mounts]
    for each in _settings_files(files, None)[1]:
        inside = PurePosixPath(each.path).relative_to(files.folder)
        if any(target.endswith(f"/{inside}") for target in mounted):
            continue
        example = each.example or "YOUR_FILE"
        yield Finding(
            level="error",
            what=f"{each.place}: settings import {each.path}, which is not there",
            why="Django does not start without it",
            fix=f'mounts = ["{example}:WORKDIR_OF_THE_IMAGE/{inside}"] in [{TABLE}.site]',
        )


def settings_files(files: SiteFiles, module: str | None) -> tuple[str, ...]:
    """Return the files that a settings module is made of; of the site's own where none is given."""
    return _settings_files(files, module)[0]


def _settings_files(files: SiteFiles, module: str | None) -> tuple[tuple[str, ...], tuple[LocalModule, ...]]:
    try:
        own = find_settings_module(files.read(files.manage))
    except (SyntaxError, ValueError):
        own = None
    wanted = module or files.project.settings.site.settings or own
    return find_settings_files(files.folder, wanted, files.names, files.read)


def required_variables(files: SiteFiles, module: str | None) -> dict[str, str]:
    """Return the variables without which a settings module does not start, each with its FILE:LINE.

    Only those that surely are: what a site wrote itself to read its variables may have defaults.
    An .env file that the settings read themselves may have any of them.
    """
    names = settings_files(files, module)
    texts = {name: files.read(name) for name in names}
    settings = read_settings([*texts.items()])
    if settings.is_env_file_read:
        return {}
    return {
        each.name: each.place
        for each in settings.variables
        if each.is_required and _is_surely_required(texts, each.place)
    }


def _is_surely_required(texts: Mapping[str, str], place: str) -> bool:
    file, _, line = place.rpartition(":")
    lines = texts[file].splitlines()
    return bool(LIBRARIES.search(texts[file]) or "environ[" in lines[int(line) - 1].replace(" ", ""))


def missing_variable(name: str, place: str, steps: Sequence[str]) -> Finding:
    """Return what to tell of a variable that settings need, in FILE:LINE, and that these steps do not set."""
    return Finding(
        level="warning",
        what=f"{place}: settings need the variable {name}, and nothing sets it in {' and '.join(steps)}",
        why="Django does not start without it (read, not run: --deep starts it)",
        fix=f'{name} = "..." in [{TABLE}.site.environment], or in [{TABLE}.site.secrets]',
    )


def _not_python(name: str, error: Exception) -> Finding:
    line = error.lineno if isinstance(error, SyntaxError) else None
    return Finding(
        level="error",
        what=f"{name}{f':{line}' if line else ''}: it is no valid Python: {error}",
        why="the site does not start with it",
        fix="correct that line",
    )


def _schemas(project: Project) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each core's schema: its file, and the names of its fields and types."""
    for label in project.settings.solr_conf_folders:
        try:
            cores = [read_core(each) for each in find_cores(project.path(label), label)]
        except (ConfigError, OSError):
            continue  # told where Solr's configuration is examined
        for core in cores:
            if core.schema is not None:
                root = core.schema.root
                names = [each.get("name", "") for tag in ("field", "dynamicField") for each in root.iter(tag)]
                types = [each.get("name", "") for each in root.iter() if each.tag.lower() == "fieldtype"]
                yield core.schema.name, names, types
