"""The version: what bump2version's configuration says, and the pull request that it is built for."""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Where bump2version looks, in its order (bump2version README, "Configuration file").
FILES = (".bumpversion.cfg", "setup.cfg")
SECTION, OPTION = "bumpversion", "current_version"
FORM = re.compile(r"(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)(-r(?P<build>\d+))?")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version M.m.p or M.m.p-rN; `str` gives v0.4.11, v0.4.11-r1, with -PULL for a pull request."""

    major: int
    minor: int
    patch: int
    build: int = 0
    pull: str = ""

    def __str__(self) -> str:
        build = f"-r{self.build}" if self.build else ""
        pull = f"-{self.pull}" if self.pull else ""
        return f"v{self.major}.{self.minor}.{self.patch}{build}{pull}"


def read(root: Path, env: Mapping[str, str]) -> Version:
    """Return the repository's version; `prNum` in the environment is the pull request's number.

    Raises `ConfigError` with file and line, or with the variable's name.
    """
    for name in FILES:
        file = root / name
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            found = _find(file, text)
            if found is not None:
                return _parse(file, text, found, pull(env))
    raise ConfigError(
        f"no {OPTION} in a [{SECTION}] section of {root / FILES[0]}",
        cause="bump2version's configuration is missing",
        step=f"write [{SECTION}] with {OPTION} = 0.1.0 into {FILES[0]}",
    )


def pull(env: Mapping[str, str]) -> str:
    """Return the pull request's number, "" where there is none."""
    number = env.get("prNum", "").strip()
    if number and not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", number):
        raise ConfigError(
            f"the environment variable prNum is {number!r}",
            cause="it becomes part of image tags: letters, digits, _ . and - only",
            step="set it to the pull request's number, or unset it",
        )
    return number


def _find(file: Path, text: str) -> str | None:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise ConfigError(
                f"{file}:{number}: a conflict marker",
                cause="a merge was committed unresolved",
                step="resolve it",
            )
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        place = getattr(error, "lineno", None) or 1
        raise ConfigError(f"{file}:{place}: {error.message}", step="mend it and try again") from error
    return parser.get(SECTION, OPTION, fallback=None)


def _parse(file: Path, text: str, value: str, pull: str) -> Version:
    match = FORM.fullmatch(value)
    if match is None:
        line = next(
            (n for n, each in enumerate(text.splitlines(), start=1) if each.strip().startswith(OPTION)), 1
        )
        raise ConfigError(
            f"{file}:{line}: {OPTION} is {value!r}",
            cause="a version is M.m.p or M.m.p-rN, such as 0.4.11 or 0.4.11-r1",
            step="mend it and try again",
        )
    parts = {name: int(number or 0) for name, number in match.groupdict().items()}
    return Version(**parts, pull=pull)
