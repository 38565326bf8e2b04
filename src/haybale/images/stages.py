"""The stages that haybale builds, and the Dockerfile that each is built from.

What is not in the repository's Dockerfile is haybale's own: all of it where there is none, a tester made of
the release stage, a Solr that the index is put into.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.image_ref import RELEASE
from haybale.images.dockerfile import (
    Dockerfile,
    build_arguments,
    parse_dockerfile,
    raise_if_unknown,
    read_dockerfile,
    required_instructions,
    user_of,
)
from haybale.images.site_dockerfile import (
    IGNORED,
    RELEASE_STAGE,
    development_instructions,
    install_instruction,
    site_dockerfile,
)
from haybale.images.site_services import SQLITE_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from haybale.config import Project

TESTER = "tester"
# The stage that holds the index.
SOLR = "solr"
STAGES = (RELEASE, TESTER, SOLR)

# Names of the stages that haybale adds: a Dockerfile may have any others.
LAST_STAGE = "haybale-release"
TESTER_STAGE = "haybale-tester"
SOLR_STAGE = "haybale-solr-base"
LINK_STAGE, LINKED_STAGE = "haybale-link", "haybale-linked"

# Where Solr's cores are in that stage's image: outside /var/solr, which is a volume in Solr's own image, and
# an older one would hide them.
SOLR_HOME = "/opt/haybale/solr"

# What haybale's own Dockerfile is called in messages.
OWN = "haybale's own Dockerfile"

# A stage with a link to the database where the site opens it. SQLite writes its journal beside what the link
# leads to, where the site's user may. A copied folder leaves user and owners as they are.
LINKED = f"""
FROM {{stage}} AS {LINK_STAGE}
RUN mkdir /tmp/haybale-link && ln -s {SQLITE_PATH} /tmp/haybale-link/{{name}}

FROM {{stage}} AS {LINKED_STAGE}
COPY --from={LINK_STAGE} /tmp/haybale-link/ {{folder}}/
"""

SOLR_DOCKERFILE = f"""\
FROM {{image}} AS {SOLR_STAGE}
ENV SOLR_HOME={SOLR_HOME}
COPY --link --chown=8983:8983 <<'XML' {SOLR_HOME}/solr.xml
<solr>
  <int name="maxBooleanClauses">${{{{solr.max.booleanClauses:1024}}}}</int>
</solr>
XML
"""


@dataclass(frozen=True, kw_only=True)
class StageSource:
    """What a stage is built from: a Dockerfile's text and parts, the stage's name in it, what stays outside.

    `file` is the repository's Dockerfile, None for one of haybale's own; `ignored` are lines of a
    .dockerignore for one that has none. A stage `needs_context` where it may copy files of the repository.
    """

    text: str
    parsed: Dockerfile
    target: str
    file: Path | None
    ignored: tuple[str, ...] = ()
    needs_context: bool = True

    @property
    def name(self) -> str:
        """The Dockerfile's name, for messages."""
        return str(self.file) if self.file else OWN

    def instructions(self, arguments: Mapping[str, str]) -> str:
        """Return what the stage is made of, as `required_instructions` does."""
        return required_instructions(self.parsed, self.name, [self.target], arguments)


@dataclass(frozen=True, kw_only=True)
class _OwnDockerfile:
    """The repository's Dockerfile: where it is, its text, and its parts."""

    file: Path
    text: str
    parsed: Dockerfile


def stage_names(project: Project) -> tuple[str, ...]:
    """Return the names of all stages that can be built: the Dockerfile's in its order, then haybale's own.

    A stage that a setting names is called as haybale calls it. Raises `ConfigError` where the Dockerfile
    cannot be read.
    """
    return _stage_names(project, _read_own(project))


def _stage_names(project: Project, own: _OwnDockerfile | None) -> tuple[str, ...]:
    if own is None:
        return STAGES
    found = [stage.name for stage in own.parsed.stages]
    stages = project.settings.stages
    called = {stages.release or found[-1]: RELEASE, stages.tester: TESTER, stages.solr: SOLR}
    names = [called.get(name, name) for name in found if name]
    return tuple(dict.fromkeys([*names, *STAGES]))


def find_stage(project: Project, stage: str) -> StageSource:
    """Return what a stage is built from.

    Raises `UsageError` for a stage that there is not, `ConfigError` where the Dockerfile cannot be read, or a
    setting names a stage that it has not.
    """
    own = _read_own(project)
    raise_if_unknown(stage, _stage_names(project, own))
    settings = project.settings
    if stage == SOLR and settings.stages.solr is None:
        text = SOLR_DOCKERFILE.format(image=settings.images.solr)
        parsed = parse_dockerfile(text, OWN)
        return StageSource(text=text, parsed=parsed, target=SOLR_STAGE, file=None, needs_context=False)
    file = own.file if own else None
    ignored: tuple[str, ...] = ()
    if own is None:
        text, release = site_dockerfile(project), RELEASE_STAGE
        parsed = parse_dockerfile(text, OWN)
        ignored = (*IGNORED, *_folder_of_dump(project))
    else:
        text, release = _name_release(own, settings.stages.release)
        parsed = own.parsed if text == own.text else parse_dockerfile(text, str(file))
    named = {RELEASE: release, TESTER: settings.stages.tester, SOLR: settings.stages.solr}.get(stage, stage)
    target = (named or release).lower()
    names = [each.name for each in parsed.stages]
    if target not in names:
        setting = stage if named else RELEASE
        raise ConfigError(
            f"{file or OWN} has no stage {named or release!r}",
            cause=f"the setting stages.{setting} names it; there are {', '.join(filter(None, names))}",
            hint=f"correct stages.{setting}, or name the stage: FROM IMAGE AS {named or release}",
        )
    if settings.database.path and stage in {RELEASE, TESTER}:
        text += _linked(target, PurePosixPath(settings.database.path))
        target, parsed = LINKED_STAGE, parse_dockerfile(text, str(file or OWN))
    if named is None:
        development = development_instructions(project) if own is None else ""
        text += _tester(parsed, target, development, settings.test.install, is_own=own is None)
        target, parsed = TESTER_STAGE, parse_dockerfile(text, str(file or OWN))
    return StageSource(text=text, parsed=parsed, target=target, file=file, ignored=ignored)


def _linked(stage: str, path: PurePosixPath) -> str:
    """Return a stage with a link at `path` to the database of the dump, made of another stage."""
    return LINKED.format(stage=stage, folder=path.parent, name=path.name)


def _read_own(project: Project) -> _OwnDockerfile | None:
    """Read the repository's Dockerfile; None where haybale's own is taken."""
    name = project.settings.dockerfile
    if not name:
        return None
    file = project.path(name)
    text = read_dockerfile(file)
    return _OwnDockerfile(file=file, text=text, parsed=parse_dockerfile(text, str(file)))


def _folder_of_dump(project: Project) -> tuple[str, ...]:
    folder, slash, _ = project.settings.dump.rpartition("/")
    return (folder,) if slash and "*" not in folder else ()


def _name_release(own: _OwnDockerfile, name: str | None) -> tuple[str, str]:
    """Return a Dockerfile and the name of its release stage: the last one, where no setting names it."""
    if name is not None:
        return own.text, name
    last = own.parsed.stages[-1]
    if last.name:
        return own.text, last.name
    lines = own.text.splitlines(keepends=True)
    first = lines[last.line - 1].rstrip()
    if " ".join(first.split()) != " ".join(last.instructions[0].split()):
        raise ConfigError(
            f"{own.file}:{last.line}: the last stage has no name",
            cause="its FROM goes over several lines, so that haybale adds none",
            hint="name it (FROM IMAGE AS NAME), and set stages.release",
        )
    lines[last.line - 1] = f"{first} AS {LAST_STAGE}\n"
    return "".join(lines), LAST_STAGE


def _tester(parsed: Dockerfile, release: str, development: str, install: str | None, *, is_own: bool) -> str:
    """Return the stage that tests the release stage: the same, and what the tests need."""
    lines = ["", f"FROM {release} AS {TESTER_STAGE}"]
    needed = [development] if development else []
    needed += [install_instruction(install, is_own=is_own)] if install else []
    if needed:
        user = user_of(parsed, release) or "root"
        lines += ["USER root", *needed, f"USER {user}"]
    return "\n".join([*lines, ""])


def site_instructions(project: Project, stages: tuple[str, ...]) -> str:
    """Return everything that these stages are made of, a line each; raises as `find_stage` does."""
    arguments = build_arguments(project.settings)
    return "\n".join(find_stage(project, stage).instructions(arguments) for stage in stages)
