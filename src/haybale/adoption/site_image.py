"""A site's Dockerfiles: their stages, what they install and where, and which of them is what.

Read with `haybale.images.dockerfile`, which knows BuildKit's rules; nothing is built.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.images.dockerfile import parse_dockerfile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haybale.images.dockerfile import Stage

PYTHON_IMAGE = re.compile(r"(?:^|/)python:(?P<version>3\.[0-9]+)")
SOLR_IMAGE = re.compile(r"(?:^|/)solr:(?P<version>[0-9]+(\.[0-9]+)*)")

# What installs a site's Python packages.
INSTALLS = re.compile(r"\b(pip3?|uv|poetry|pdm|pipenv)\s+(-\S+\s+)*(pip\s+)?(install|sync)\b")
SITE_FILES = re.compile(r"manage\.py|requirements|pyproject\.toml|uv\.lock|poetry\.lock|Pipfile|setup\.py")

# How people call the stage that is deployed, and one that tests.
RELEASE_NAME = re.compile(r"release|prod(uction)?|runtime|final|live|deploy(ment)?|app|web|site|django")
TEST_NAME = re.compile(r"tests?|tester|testing|ci|pytest")
OTHER_NAME = re.compile(
    r".*(dev|debug|build|lint|doc|deps|asset|node|front|static|base|migrat|worker|celery|nginx).*"
)

VARIABLE = re.compile(r"\$\{?(?P<name>\w+)(?::-(?P<default>[^}]*))?\}?")
APT = re.compile(r"\b(?:apt-get|apt)\s+(?:-\S+\s+)*install\s+(?P<words>[^;&|]*)")


@dataclass(frozen=True, kw_only=True)
class ImageStage:
    """A stage: what it is made of, and what a container of it has.

    `base` is the image below all of its stages, with the defaults of ARGs; `copies` are what it copies from
    the repository: (source, path in the image), both as they are written. What nothing says is None.
    """

    name: str | None
    line: int
    base: str
    folder: str | None = None
    user: str | None = None
    port: int | None = None
    entrypoint: str | None = None
    command: str | None = None
    health: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    installs: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """What it copies from the repository."""
        return tuple(source for source, _ in self.copies)


@dataclass(frozen=True, kw_only=True)
class SiteDockerfile:
    """A Dockerfile (its path from the root) and its stages, with what they have from those before them."""

    path: str
    stages: tuple[ImageStage, ...]

    @property
    def release(self) -> ImageStage:
        """The stage that is most likely deployed: by its name, else the last one that is for nothing else."""
        named = [each for each in self.stages if each.name and RELEASE_NAME.fullmatch(each.name)]
        others = [
            each
            for each in self.stages
            if not (each.name and (TEST_NAME.fullmatch(each.name) or OTHER_NAME.fullmatch(each.name)))
        ]
        return (named or others or self.stages)[-1]

    @property
    def tester(self) -> ImageStage | None:
        """The stage that tests run in, by its name."""
        named = [each for each in self.stages if each.name and TEST_NAME.fullmatch(each.name)]
        return next((each for each in named if any(each.installs)), None)

    @property
    def is_of_site(self) -> bool:
        """Whether it installs Python packages, or has the files of a site in it."""
        release = self.release
        return bool(release.installs) or any(map(SITE_FILES.search, release.sources))


def read_dockerfile(path: str, text: str) -> SiteDockerfile | None:
    """Return a Dockerfile's stages; None where it cannot be read as one."""
    try:
        parsed = parse_dockerfile(text, path)
    except ConfigError:
        return None
    arguments = _declared([line for line in parsed.before if line.upper().startswith("ARG ")])
    stages: list[ImageStage] = []
    for each in parsed.stages:
        stages.append(_read_stage(each, arguments, stages))
    return SiteDockerfile(path=path, stages=tuple(stages))


def substitute(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with its variables replaced; unknown ones by their default, else left as they are."""
    return VARIABLE.sub(
        lambda match: variables.get(
            match["name"], match[0] if match["default"] is None else match["default"]
        ),
        text,
    )


def python_of(base: str) -> str | None:
    """Return the Python (M.m) of an image's name; None where it says none."""
    match = PYTHON_IMAGE.search(base)
    return match["version"] if match else None


def _declared(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        for word in line.split()[1:]:
            name, is_set, value = word.partition("=")
            if is_set:
                found[name] = value.strip("\"'")
    return found


def _read_stage(stage: Stage, arguments: Mapping[str, str], before: Sequence[ImageStage]) -> ImageStage:
    words = [word for word in stage.instructions[0].split()[1:] if not word.startswith("--")]
    base = substitute(words[0], arguments)
    parent = next((each for each in reversed(before) if each.name == base.lower()), None)
    state = _State(parent, dict(arguments))
    for line in stage.instructions[1:]:
        verb, _, rest = line.partition(" ")
        state.apply(verb.upper(), rest.strip())
    return ImageStage(
        name=stage.name, line=stage.line, base=parent.base if parent else base, folder=state.folder,
        user=state.user, port=state.port, entrypoint=state.entrypoint, command=state.command,
        health=state.health, environment=state.environment, packages=tuple(state.packages),
        installs=tuple(state.installs), copies=tuple(state.copies),
    )  # fmt: skip


class _State:
    """What a stage has, instruction by instruction."""

    def __init__(self, parent: ImageStage | None, arguments: dict[str, str]) -> None:
        self.folder = parent.folder if parent else None
        self.user = parent.user if parent else None
        self.port = parent.port if parent else None
        self.entrypoint = parent.entrypoint if parent else None
        self.command = parent.command if parent else None
        self.health = parent.health if parent else None
        self.environment = dict(parent.environment) if parent else {}
        self.packages = list(parent.packages) if parent else []
        self.installs = list(parent.installs) if parent else []
        self.copies = list(parent.copies) if parent else []
        self.arguments = arguments

    def apply(self, verb: str, rest: str) -> None:
        """Take an instruction into account; those that say nothing here are passed over."""
        rest = rest if verb in {"CMD", "ENTRYPOINT", "RUN"} else substitute(rest, self._variables())
        if verb == "ARG":
            self.arguments |= _declared([f"ARG {rest}"])
        elif verb == "ENV":
            self.environment |= _pairs(rest)
        elif verb == "WORKDIR":
            # An absolute path replaces what was before.
            self.folder = str(PurePosixPath(self.folder or "/", rest.strip("\"'")))
        elif verb == "USER":
            self.user = rest.partition(":")[0]
        elif verb == "EXPOSE":
            ports = [word.partition("/")[0] for word in rest.split()]
            self.port = next((int(each) for each in ports if each.isdigit()), self.port)
        else:
            self._apply_content(verb, rest)

    def _apply_content(self, verb: str, rest: str) -> None:
        if verb == "CMD":
            self.command = _command(rest)
        elif verb == "ENTRYPOINT":
            # Docker: an entrypoint takes the place of the command that the base had.
            self.entrypoint, self.command = _command(rest), None
        elif verb == "HEALTHCHECK":
            self.health = rest
        elif verb == "RUN":
            if INSTALLS.search(rest):
                self.installs.append(rest)
            for match in APT.finditer(rest):
                words = match["words"].replace("\\", " ").split()
                self.packages += [word for word in words if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", word)]
        elif verb in {"COPY", "ADD"} and "--from=" not in rest:
            words = [word for word in _words(rest) if not word.startswith("--")]
            if words and not words[0].startswith("<<"):
                # PurePosixPath takes the / from the end, which says that it is a folder.
                end = "/" if words[-1].endswith("/") or words[-1] == "." else ""
                target = f"{PurePosixPath(self.folder or '/', words[-1])}{end}"
                self.copies += [(source, target) for source in words[:-1]]

    def _variables(self) -> dict[str, str]:
        return {**self.arguments, **self.environment}


def _pairs(text: str) -> dict[str, str]:
    """Return what ENV sets, in both forms: NAME=VALUE ..., and NAME VALUE."""
    if not re.match(r"\S+=", text):
        name, _, value = text.partition(" ")
        return {name: value.strip()}
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return {name: value for name, is_set, value in (word.partition("=") for word in words) if is_set}


def _words(text: str) -> list[str]:
    """Return the words of a COPY or an ADD, in both forms: words, and a JSON list behind its options."""
    options, bracket, listed = text.partition("[")
    if bracket:
        try:
            return [*options.split(), *json.loads(bracket + listed)]
        except (ValueError, TypeError):
            pass
    return text.split()


def _command(text: str) -> str:
    """Return a command as a shell would take it."""
    if text.startswith("["):
        try:
            return shlex.join(json.loads(text))
        except (ValueError, TypeError):
            return text
    return text
