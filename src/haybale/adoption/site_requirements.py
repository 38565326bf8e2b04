"""What a site's Python packages are asked for in, and what of them needs more than pip."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOCKS = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv"}

PRODUCTION = re.compile(r"requirements|prod(uction)?|base|main|default|deploy", re.IGNORECASE)
DEVELOPMENT = re.compile(r"dev(el(opment)?)?|tests?(ing)?|local|ci", re.IGNORECASE)
REQUIREMENTS_FILE = re.compile(r"requirements[\w.-]*\.(txt|in)")

# Packages that are built where there is no wheel, or that load a library of the system: Debian's packages
# while they are installed, and while they run.
SYSTEM_PACKAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "psycopg2": (("gcc", "libc6-dev", "libpq-dev"), ("libpq5",)),
    "psycopg": ((), ("libpq5",)),
    "mysqlclient": (("gcc", "libc6-dev", "pkg-config", "default-libmysqlclient-dev"), ("libmariadb3",)),
    "python-ldap": (("gcc", "libc6-dev", "libldap2-dev", "libsasl2-dev"), ("libldap2",)),
    "uwsgi": (("gcc", "libc6-dev"), ()),
    "python-magic": ((), ("libmagic1",)),
    "weasyprint": ((), ("libpango-1.0-0", "libpangoft2-1.0-0")),
    "pycairo": (("gcc", "libc6-dev", "pkg-config", "libcairo2-dev"), ("libcairo2",)),
}
REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9][\w.-]*)(?:\[(?P<extras>[^\]]*)\])?")


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """A file that asks for packages or pins them: its path, and the tool that it is of."""

    path: str
    tool: str
    has_hashes: bool = False
    is_development: bool = False

    @property
    def is_lock(self) -> bool:
        """Whether a tool with a lock of its own makes it."""
        return self.tool in LOCKS.values()


def find_requirements(files: Sequence[str], read: Callable[[str], str]) -> Iterator[Requirements]:
    """Yield the files that say what is installed; `files` in the order of their depth."""
    for file in files:
        path = PurePosixPath(file)
        if tool := LOCKS.get(path.name):
            yield Requirements(path=file, tool=tool)
        elif REQUIREMENTS_FILE.fullmatch(path.name) or (
            path.parent.name == "requirements" and path.suffix in {".txt", ".in"}
        ):
            text = read(file)
            is_compiled = path.suffix == ".in" or "pip-compile" in text[:500]
            yield Requirements(
                path=file,
                tool="pip-tools" if is_compiled else "pip",
                has_hashes="--hash=" in text,
                is_development=_is_development(path),
            )


def package_names(text: str) -> dict[str, str]:
    """Return the packages that a requirements file or a lock names, in normal form, with their extras."""
    if text.lstrip().startswith(("version = ", "# This file is automatically @generated", "[[package]]")):
        try:
            packages = tomllib.loads(text).get("package", [])
        except tomllib.TOMLDecodeError:
            packages = []
        return {_normal(str(each.get("name"))): "" for each in packages if isinstance(each, dict)}
    found = {}
    for line in text.splitlines():
        match = REQUIREMENT.match(line) if not line.lstrip().startswith(("#", "-")) else None
        if match:
            found[_normal(match["name"])] = match["extras"] or ""
    return found


def declared_packages(text: str) -> dict[str, str]:
    """Return the packages that a pyproject.toml asks for, as `package_names` does, in all of its groups."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
    project, tool = _table(document, "project"), _table(document, "tool")
    lists = [project.get("dependencies"), *_table(project, "optional-dependencies").values()]
    lists += _table(document, "dependency-groups").values()
    lines = [each for group in lists if isinstance(group, list) for each in group if isinstance(each, str)]
    poetry = _table(tool, "poetry")
    tables = [_table(poetry, "dependencies"), _table(poetry, "dev-dependencies")]
    tables += [
        _table(_table(_table(poetry, "group"), name), "dependencies") for name in _table(poetry, "group")
    ]
    named = {_normal(name): "" for table in tables for name in table if name != "python"}
    return named | package_names("\n".join(lines))


def _table(document: dict[str, object], name: str) -> dict[str, object]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}


def system_packages(packages: dict[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return Debian's packages that these need: while they are installed, and while they run."""
    building: list[str] = []
    running: list[str] = []
    for name, extras in packages.items():
        if name in SYSTEM_PACKAGES and "binary" not in extras and f"{name}-binary" not in packages:
            building += SYSTEM_PACKAGES[name][0]
            running += SYSTEM_PACKAGES[name][1]
    return tuple(dict.fromkeys(building)), tuple(dict.fromkeys(running))


def _normal(name: str) -> str:
    """Return a package's name as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def find_test_extra(text: str) -> str | None:
    """Return the extra that a pyproject.toml's package has for its tests: the one that asks for pytest."""
    try:
        extras = _table(_table(tomllib.loads(text), "project"), "optional-dependencies")
    except tomllib.TOMLDecodeError:
        return None
    lines = {name: each for name, each in extras.items() if isinstance(each, list)}
    with_pytest = [
        name for name, each in lines.items() if "pytest" in package_names("\n".join(map(str, each)))
    ]
    named = [name for name in with_pytest if "test" in name]
    return next(iter([*named, *with_pytest]), None)


def _is_development(path: PurePosixPath) -> bool:
    names = (path.parent.name, path.stem)
    words = [word for name in names for word in re.split(r"[^a-zA-Z]+", name) if word != "requirements"]
    return any(DEVELOPMENT.fullmatch(word) for word in words)
