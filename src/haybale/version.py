"""The version: what bump2version's configuration says, and the pull request that it is built for."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.image_ref import TAG, TAG_RULE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# bump2version reads the second file only where the first one does not exist (its cli.py,
# "_determine_config_file").
VERSION_FILES = (".bumpversion.cfg", "setup.cfg")
SECTION, OPTION = "bumpversion", "current_version"
VALUE = re.compile(rf"^\[{SECTION}\].*?^(?i:{OPTION})\s*[=:]", re.MULTILINE | re.DOTALL)

# What bump2version writes: no leading zeros, and no build 0.
NUMBER = r"(?:0|[1-9][0-9]*)"
FORM = re.compile(rf"v?({NUMBER})\.({NUMBER})\.({NUMBER})(?:-r([1-9][0-9]*))?")

# The beginnings of the lines that git leaves around two sides of a conflict.
MARKERS = re.compile(r"(?:<{7}|\|{7}|>{7})(?: |$)|={7}$")

PULL = "prNum"
BUILD = re.compile(r"r[0-9]+")


@dataclass(frozen=True, kw_only=True, order=True)
class Version:
    """A version M.m.p or M.m.p-rN, in the order of releases.

    `str` gives v0.4.11, v0.4.11-r1, with -PULL for a pull request.
    """

    major: int
    minor: int
    patch: int
    build: int = 0
    pull: str | None = None

    def __str__(self) -> str:
        build = f"-r{self.build}" if self.build else ""
        pull = f"-{self.pull}" if self.pull else ""
        return f"v{self.major}.{self.minor}.{self.patch}{build}{pull}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Return the version in a text (0.4.11, 0.4.11-r1, or with a v before it), without pull request.

        Raises `ValueError` where it is not one.
        """
        match = FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a version M.m.p or M.m.p-rN")
        major, minor, patch, build = (int(part or 0) for part in match.groups())
        return cls(major=major, minor=minor, patch=patch, build=build)


def is_version(tag: str) -> bool:
    """Return whether a tag has the name of a version: v0.4.11, v0.4.11-r1."""
    return tag.startswith("v") and FORM.fullmatch(tag) is not None


def version_file(root: Path) -> Path:
    """Return the repository's file with bump2version's configuration; the usual one where there is none."""
    return next((root / name for name in VERSION_FILES if (root / name).is_file()), root / VERSION_FILES[0])


def read_version(root: Path, env: Mapping[str, str]) -> Version:
    """Return the repository's version; `prNum` in the environment is the pull request's number.

    Raises `ConfigError` with file and line, or with the variable's name.
    """
    file = version_file(root)
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8: {error}", hint="save it as UTF-8 and try again") from error
    value = _find_value(file, text)
    if value is None:
        raise ConfigError(
            f"no {OPTION} in a [{SECTION}] section of {file}",
            cause="bump2version's configuration is missing",
            hint=f"write [{SECTION}] with {OPTION} = 0.1.0 into {VERSION_FILES[0]}",
        )
    try:
        # The file has no v before it: bump2version would carry it on into the tag's name, vv0.4.11.
        released = Version.parse("" if value.startswith("v") else value)
    except ValueError:
        found = VALUE.search(text)
        line = text.count("\n", 0, found.end()) + 1 if found else 1
        raise ConfigError(
            f"{file}:{line}: {OPTION} is {value!r}",
            cause="a version is M.m.p or M.m.p-rN, such as 0.4.11 or 0.4.11-r1",
            hint="fix it and try again",
        ) from None
    return version_for_pull(released, env.get(PULL))


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


def _find_value(file: Path, text: str) -> str | None:
    """Return the file's current version, None where it has none; raises `ConfigError` with its line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if MARKERS.match(line):
            message, cause = f"{file}:{number}: a conflict marker", "a merge was committed unresolved"
            raise ConfigError(message, cause=cause, hint="resolve it")
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
    return parser.get(SECTION, OPTION, fallback=None)
