"""The version: what its file says, its forms, and the pull request that it is built for.

The file is that of bump2version or bump-my-version, in the form that the tool reads. Where a repository has
neither, its versions are git's tags (checkout.py).
"""

from __future__ import annotations

import configparser
import re
import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from haybale.errors import ConfigError
from haybale.image_ref import TAG, TAG_RULE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Tool = Literal["bump2version", "bump-my-version"]

# bump2version reads the second file only where the first one does not exist (its cli.py,
# "_determine_config_file").
INI_FILES = (".bumpversion.cfg", "setup.cfg")
SECTION, OPTION = "bumpversion", "current_version"
VALUE = re.compile(rf"^\[{SECTION}\].*?^(?i:{OPTION})\s*[=:]", re.MULTILINE | re.DOTALL)

# Sections of bump2version's configuration that name further files it writes to (its cli.py).
FILE_SECTION = re.compile(r"bumpversion:(?P<kind>file|glob)(?:\s*\(.*\))?:(?P<path>.+)")

# bump-my-version reads the same, and in TOML a table (its config/files.py, "CONFIG_FILE_SEARCH_ORDER").
TOML_FILE, PROJECT_FILE = ".bumpversion.toml", "pyproject.toml"
TOML_TABLE = "tool.bumpversion"

# What both have where nothing is configured.
DEFAULT_PARSE = r"(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)"

# What these tools have to call a version's tag: it is found by that.
TAG_NAMES = ("v{new_version}", "{new_version}")

# The parts of a version, where nobody says otherwise.
PARTS = ("major", "minor", "patch", "build")

# What bump2version writes: no leading zeros, and no build 0.
NUMBER = r"(?:0|[1-9][0-9]*)"
FORM = re.compile(rf"v?({NUMBER})\.({NUMBER})\.({NUMBER})(?:-r([1-9][0-9]*))?")

# Patterns, as git takes them, that match every version's tag, and others.
TAG_PATTERNS = ("v*", "[0-9]*")

# The beginnings of the lines that git leaves around two sides of a conflict.
MARKERS = re.compile(r"(?:<{7}|\|{7}|>{7})(?: |$)|={7}$")

PULL = "prNum"
BUILD = re.compile(r"r[0-9]+")


@dataclass(frozen=True, kw_only=True, order=True)
class Version:
    """A version M.m.p or M.m.p-rN, in the order of releases.

    `str` gives v0.4.11, v0.4.11-r1, with -PULL for a pull request; that is its tag's name as well. `prefix`
    is what the repository's tags begin with, v or nothing; it makes no other version.
    """

    major: int
    minor: int
    patch: int
    build: int = 0
    pull: str | None = None
    prefix: str = field(default="v", compare=False)

    def __str__(self) -> str:
        build = f"-r{self.build}" if self.build else ""
        pull = f"-{self.pull}" if self.pull else ""
        return f"{self.prefix}{self.major}.{self.minor}.{self.patch}{build}{pull}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Return the version in a text (0.4.11, 0.4.11-r1, or with a v before it), without pull request.

        Raises `ValueError` where it is not one.
        """
        match = FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version M.m.p or M.m.p-rN")
        major, minor, patch, build = (int(part or 0) for part in match.groups())
        prefix = "v" if text.startswith("v") else ""
        return cls(major=major, minor=minor, patch=patch, build=build, prefix=prefix)

    def next(self, part: str) -> Version:
        """Return the version after this one, by a part of `PARTS`."""
        kept = PARTS[: PARTS.index(part)]
        values = {name: getattr(self, name) if name in kept else 0 for name in PARTS}
        return replace(self, **{**values, part: getattr(self, part) + 1})


def is_version(tag: str) -> bool:
    """Return whether a tag has the name of a version: v0.4.11, v0.4.11-r1, 0.4.11."""
    return FORM.fullmatch(tag) is not None


@dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file (or, as a glob, files) that a version file names: its path from the root, and the line there."""

    path: str
    line: int
    is_glob: bool = False
    may_be_missing: bool = False


@dataclass(frozen=True, kw_only=True)
class VersionFile:
    """A repository's version file, as its tool reads it: the current version, and what the tool is told.

    `parts` are those of its versions, the largest first, `tag_name` what it calls tags, `options` its other
    options by their names; `files` are those that it writes to besides.
    """

    path: Path
    tool: Tool
    version: Version
    parts: tuple[str, ...]
    tag_name: str
    options: Mapping[str, Any]
    files: tuple[NamedFile, ...]

    @property
    def table(self) -> str:
        """The table (the section) with the tool's options, as it is written."""
        return f"[{SECTION}]" if self.tool == "bump2version" else f"[{TOML_TABLE}]"

    def missing_files(self) -> list[NamedFile]:
        """Return the files that it names and that are not there, though the tool needs them."""
        named = (each for each in self.files if not each.is_glob and not each.may_be_missing)
        return [each for each in named if not (self.path.parent / each.path).is_file()]

    def line(self, option: str) -> int:
        """Return the line (from 1) of an option, or that of the table."""
        return _option_line(self.path.read_text(encoding="utf-8"), self.table, option)


def find_version_file(root: Path) -> VersionFile | None:
    """Return the repository's version file; None where there is none.

    Raises `ConfigError` with file and line where it cannot be read, or its version is none.
    """
    for name in (INI_FILES[0], TOML_FILE, INI_FILES[1], PROJECT_FILE):
        file = root / name
        if not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{file} is not UTF-8: {error}", hint="save it as UTF-8 and try again"
            ) from error
        # These two have other purposes besides.
        if name in {INI_FILES[1], PROJECT_FILE} and SECTION not in text:
            continue
        _raise_if_conflict(file, text)
        found = _read_ini(file, text) if name in INI_FILES else _read_toml(file, text)
        if found is not None:
            return found
    return None


def _read_ini(file: Path, text: str) -> VersionFile | None:
    """Read a version file of bump2version's; None for a setup.cfg that has no section of that tool's."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text, source=file.name)
    except configparser.Error as error:
        # A syntax error has several lines, each with its text.
        lines = (getattr(error, "lineno", None), *(number for number, _ in getattr(error, "errors", ())))
        raise ConfigError(
            f"{file}:{next(filter(None, lines), 1)}: cannot be read",
            cause=" ".join(error.message.split()),
            hint="fix it and try again",
        ) from error
    if file.name == INI_FILES[1] and not parser.has_section(SECTION):
        return None
    options = dict(parser.items(SECTION)) if parser.has_section(SECTION) else {}
    found = VALUE.search(text)
    line = text.count("\n", 0, found.end()) + 1 if found else 1
    return _make_version_file(file, "bump2version", options, tuple(_ini_files(parser, text)), line)


def _ini_files(parser: configparser.RawConfigParser, text: str) -> Iterator[NamedFile]:
    for section in parser.sections():
        if match := FILE_SECTION.fullmatch(section):
            line = _line_that_begins(text, f"[{section}]")
            yield NamedFile(path=match["path"], line=line, is_glob=match["kind"] == "glob")
    for path in parser.get(SECTION, "files", fallback="").split():
        yield NamedFile(path=path, line=_option_line(text, f"[{SECTION}]", "files"))


def _read_toml(file: Path, text: str) -> VersionFile | None:
    """Read a version file of bump-my-version's; None where it has no table of that tool's."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file}: {error}", cause="it is not valid TOML", hint="fix it and try again"
        ) from error
    tool = document.get("tool")
    options = tool.get(SECTION) if isinstance(tool, dict) else None
    if not isinstance(options, dict):
        return None
    # Where the table has none, that of the project counts (its config/files.py, "get_pep621_info").
    project = document.get("project")
    own = project.get("version") if isinstance(project, dict) and file.name == PROJECT_FILE else None
    options = {**({OPTION: own} if own else {}), **options}
    line = _option_line(text, f"[{TOML_TABLE}]" if OPTION in text else "[project]", OPTION)
    return _make_version_file(file, "bump-my-version", options, tuple(_toml_files(options, text)), line)


def _toml_files(options: Mapping[str, Any], text: str) -> Iterator[NamedFile]:
    entries = options.get("files")
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        path = entry.get("glob") or entry.get("filename")
        if isinstance(path, str):
            missing = entry.get("ignore_missing_file", options.get("ignore_missing_files", False))
            quoted = re.search(rf"[\"']{re.escape(path)}[\"']", text)
            line = text.count("\n", 0, quoted.start()) + 1 if quoted else 1
            yield NamedFile(path=path, line=line, is_glob="glob" in entry, may_be_missing=missing is True)


def _make_version_file(
    file: Path, tool: Tool, options: Mapping[str, Any], files: tuple[NamedFile, ...], line: int
) -> VersionFile:
    """Return a version file; `line` is that of its version. Raises `ConfigError`."""
    table = f"[{SECTION}]" if tool == "bump2version" else f"[{TOML_TABLE}]"
    value = options.get(OPTION)
    if not isinstance(value, str):
        example = "0.1.0" if tool == "bump2version" else '"0.1.0"'
        raise ConfigError(
            f"{file}:{_line_that_begins(file.read_text(encoding='utf-8'), table)}: no {OPTION} in {table}",
            cause=f"it is {tool}'s configuration, and says no version",
            hint=f"write {OPTION} = {example} below {table}",
        )
    try:
        # The file has no v before it: the tool would carry it on into the tag's name, vv0.4.11.
        version = Version.parse("" if value.startswith("v") else value)
    except ValueError:
        raise ConfigError(
            f"{file}:{line}: {OPTION} is {value!r}",
            cause="a version is M.m.p or M.m.p-rN, such as 0.4.11 or 0.4.11-r1",
            hint="fix it and try again",
        ) from None
    tag_name = str(options.get("tag_name", TAG_NAMES[0]))
    pattern = options.get("parse", DEFAULT_PARSE)
    try:
        parts = tuple(re.compile(str(pattern)).groupindex) or PARTS
    except re.error as error:
        number = _option_line(file.read_text(encoding="utf-8"), table, "parse")
        raise ConfigError(f"{file}:{number}: parse: {error}", hint="fix it and try again") from error
    return VersionFile(
        path=file, tool=tool, version=replace(version, prefix="" if tag_name == TAG_NAMES[1] else "v"),
        parts=parts, tag_name=tag_name, options=options, files=files,
    )  # fmt: skip


def _raise_if_conflict(file: Path, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if MARKERS.match(line.rstrip("\r")):
            message, cause = f"{file}:{number}: a conflict marker", "a merge was committed unresolved"
            raise ConfigError(message, cause=cause, hint="resolve it")


def _line_that_begins(text: str, words: str) -> int:
    """Return the first line (from 1) that begins with these words; 1 where none does."""
    lines = enumerate(text.split("\n"), start=1)
    return next((number for number, line in lines if line.strip().startswith(words)), 1)


def _option_line(text: str, table: str, option: str) -> int:
    """Return the line (from 1) of an option below a table's heading; else that of the heading, or 1."""
    section, is_inside = 1, False
    for number, line in enumerate(text.split("\n"), start=1):
        if line.startswith("["):
            is_inside = line.strip() == table
            section = number if is_inside else section
        elif is_inside and re.match(rf"(?i:{option})\s*[=:]", line):
            return number
    return section


def version_for_pull(released: Version, number: str | None) -> Version:
    """Return the version for a pull request; its number stands in it as it is.

    Raises `ConfigError` where it cannot be a part of a version.
    """
    if not number:
        return released
    version = replace(released, pull=number)
    # As a build it would be a version that is to be released, and overwrite that one's images.
    if BUILD.fullmatch(number) or not TAG.fullmatch(str(version)):
        raise ConfigError(
            f"the environment variable {PULL} is {number!r}: {version} cannot be the version",
            cause=f"it becomes part of image tags: {TAG_RULE}; and -rN is a build",
            hint="set it to the pull request's number, or unset it",
        )
    return version
