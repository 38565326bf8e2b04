"""What a repository is: its site, its Solr configuration, its dump, its Dockerfile, its requirements.

Everything is found by reading files; nothing is started, imported or changed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import (
    Connection,
    Variable,
    find_connections,
    find_settings_module,
    find_variables,
)
from haybale.dump.archive import open_content
from haybale.dump.content import Stream
from haybale.dump.recognition import find_database
from haybale.errors import ConfigError, DumpError
from haybale.images.dockerfile import parse_dockerfile
from haybale.index.solrconfig import MANAGED_SCHEMAS, SCHEMA, SOLRCONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from haybale.images.dockerfile import Stage

# Folders that hold no part of a site, besides those whose names begin with a dot.
SKIPPED = frozenset(
    {"node_modules", "__pycache__", "site-packages", "venv", "env", "htmlcov", "dist", "build"}
)
DEEPEST = 6

LOCKS = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv"}

# How files are called that may be dumps; what they are is told by their content.
DUMP_NAME = re.compile(r"\.(sql|sqlite3?|db|dump|pgdump|backup)(\.|$)|latest", re.IGNORECASE)
PYTHON_IMAGE = re.compile(r"(?:^|/)python:(?P<version>3\.[0-9]+)")
VERSION = re.compile(r"3\.[0-9]+")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that was found: its value, and the file (with the line) that says so, from the root."""

    value: str
    place: str


@dataclass(frozen=True, kw_only=True)
class Survey:
    """A repository, as far as reading tells. Paths are relative to its root, with /."""

    root: Path
    site: Found | None = None
    settings_module: Found | None = None
    settings_file: str | None = None
    connections: tuple[Connection, ...] = ()
    variables: tuple[Variable, ...] = ()
    search_indexes: tuple[str, ...] = ()
    solr_configurations: tuple[str, ...] = ()
    dumps: tuple[Found, ...] = ()
    dockerfiles: tuple[tuple[str, tuple[str, ...]], ...] = ()
    compose_files: tuple[str, ...] = ()
    requirements: tuple[Found, ...] = ()
    python: Found | None = None


def survey_repository(root: Path) -> Survey:
    """Return what a repository is; what is not found is None or empty."""
    # What lies highest is most likely the site's own, and comes first.
    files = sorted(list_files(root), key=lambda file: (file.count("/"), file))
    site, module = _find_site(root, files)
    settings_file = _settings_file(site, module, files)
    text = _read(root, settings_file) if settings_file else ""
    try:
        connections, variables = tuple(find_connections(text)), tuple(find_variables(text))
    except SyntaxError:
        connections, variables = (), ()
    dockerfiles = tuple(_dockerfiles(root, files))
    return Survey(
        root=root,
        site=site,
        settings_module=module,
        settings_file=settings_file,
        connections=connections,
        variables=variables,
        search_indexes=tuple(file for file in files if PurePosixPath(file).name == "search_indexes.py"),
        solr_configurations=tuple(_solr_configurations(files)),
        dumps=tuple(_dumps(root, files)),
        dockerfiles=tuple((file, tuple(s.name for s in stages if s.name)) for file, stages in dockerfiles),
        compose_files=tuple(file for file in files if _is_compose(PurePosixPath(file).name)),
        requirements=tuple(_requirements(files)),
        python=_find_python(root, files, dockerfiles),
    )


def list_files(root: Path) -> Iterator[str]:
    """Yield the files of a repository that may say something, from its root, with /."""
    for folder, subfolders, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        subfolders[:] = [
            name
            for name in subfolders
            if not name.startswith(".")
            and name not in SKIPPED
            and len(inside.parts) < DEEPEST
            and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        for name in names:
            yield (inside / name).as_posix()


def _read(root: Path, file: str) -> str:
    try:
        return (root / file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _find_site(root: Path, files: Sequence[str]) -> tuple[Found | None, Found | None]:
    """Return the folder with manage.py, and the settings module that it names; the shallowest is the site."""
    managers = [file for file in files if PurePosixPath(file).name == "manage.py"]
    for file in managers:
        folder = str(PurePosixPath(file).parent)
        try:
            module = find_settings_module(_read(root, file))
        except SyntaxError:
            module = None
        return Found(value=folder, place=file), Found(value=module, place=file) if module else None
    return None, None


def _settings_file(site: Found | None, module: Found | None, files: Sequence[str]) -> str | None:
    """Return the file of the settings module: the one with the Haystack connections may be beside it."""
    if site is None or module is None:
        return None
    path = PurePosixPath(site.value, *module.value.split("."))
    candidates = (str(path.with_name(f"{path.name}.py")), str(path / "base.py"), str(path / "__init__.py"))
    found = next((each for each in candidates if each in files), None)
    # settings/local.py and its like take everything from settings/base.py.
    base = str(path.with_name("base.py"))
    return base if found and base in files else found


def _solr_configurations(files: Sequence[str]) -> Iterator[str]:
    """Yield the folders with a schema and a solrconfig.xml, the same one or its subfolder conf."""
    known = set(files)
    for file in files:
        folder = PurePosixPath(file).parent
        if PurePosixPath(file).name != SOLRCONFIG:
            continue
        if any(str(folder / schema) in known for schema in (SCHEMA, *MANAGED_SCHEMAS)):
            yield str(folder)


def _dumps(root: Path, files: Sequence[str]) -> Iterator[Found]:
    """Yield what is a dump by its content: links first, as they say which one is meant."""
    candidates = [file for file in files if DUMP_NAME.search(PurePosixPath(file).name)]
    for file in sorted(candidates, key=lambda each: not (root / each).is_symlink()):
        path = root / file
        try:
            with open_content(path.resolve(strict=True)) as content:
                if not isinstance(content, Stream):
                    continue
                found = find_database(path, content.peek())
        except (DumpError, OSError):
            continue
        if found:
            yield Found(value=file, place=f"{found.database.name}, {found.format}")


def _dockerfiles(root: Path, files: Sequence[str]) -> Iterator[tuple[str, list[Stage]]]:
    for file in files:
        name = PurePosixPath(file).name
        if name == "Dockerfile" or name.startswith("Dockerfile.") or name.endswith(".Dockerfile"):
            try:
                stages = parse_dockerfile(_read(root, file), file).stages
            except ConfigError:
                continue
            yield file, stages


def _is_compose(name: str) -> bool:
    return bool(re.fullmatch(r"(docker-)?compose([.-][\w.-]*)?\.ya?ml", name))


def _requirements(files: Sequence[str]) -> Iterator[Found]:
    """Yield the files that pin what the site needs, and the tool that makes them."""
    for file in files:
        path = PurePosixPath(file)
        if tool := LOCKS.get(path.name):
            yield Found(value=file, place=tool)
        elif re.fullmatch(r"requirements[\w.-]*\.(txt|in)", path.name) or (
            path.parent.name == "requirements" and path.suffix in {".txt", ".in"}
        ):
            yield Found(value=file, place="pip-tools" if path.suffix == ".in" else "pip")


def _find_python(
    root: Path, files: Sequence[str], dockerfiles: Sequence[tuple[str, list[Stage]]]
) -> Found | None:
    """Return the Python that the site runs on: its image's before what is meant for developers."""
    for file, stages in dockerfiles:
        for stage in stages:
            if match := PYTHON_IMAGE.search(stage.instructions[0].split()[1]):
                return Found(value=match["version"], place=f"{file}:{stage.line}")
    for file in (".python-version", "runtime.txt"):
        if (root / file).is_file() and (match := VERSION.search(_read(root, file))):
            return Found(value=match[0], place=file)
    for file in files:
        text = _read(root, file) if PurePosixPath(file).name == "pyproject.toml" else ""
        for number, line in enumerate(text.splitlines(), start=1):
            if re.match(r"(requires-python|python)\s*=", line) and (match := VERSION.search(line)):
                return Found(value=match[0], place=f"{file}:{number}")
    return None
