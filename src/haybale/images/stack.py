"""What the two compose environments have in common: the one that indexes, and the one that tests.

`solr-dc` and `ci-dc` run docker compose on just what `regen-solr-image` and `test` bring up, so that a
developer looks at the same thing as CI. Those environments are named NAME-solr and NAME-ci; a run's have the
name of the run behind that.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.images.site_services import Facts, ci_services, index_services
from haybale.tools.engine.compose import Compose

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.config import Project

# The compose files that every site's environments are made of, by the kind of the environment; and what makes
# one more file, of what the settings say of the site's containers.
SERVICES = Path(__file__).with_name("services")
DATABASE_FILE = "database.yml"
FILES = {"solr": "index.yml", "ci": "test.yml"}
SITE_SERVICES = {"solr": index_services, "ci": ci_services}
# What brings up the same for a developer.
UP = {"solr": "`haybale solr-dc up -d`", "ci": "`haybale ci-dc up -d`"}

# Commands of docker compose (its reference, "Subcommands"), and those of them that make containers, and so
# need what containers are made of.
CREATING = frozenset({"create", "run", "up", "watch"})
COMMANDS = CREATING | {
    "attach", "build", "commit", "config", "cp", "down", "events", "exec", "export", "images", "kill",
    "logs", "ls", "pause", "port", "ps", "publish", "pull", "push", "restart", "rm", "scale", "start",
    "stats", "stop", "top", "unpause", "version", "volumes", "wait",
}  # fmt: skip

# Every variable of the compose files that names something, or a folder.
NAMES = (
    "HAYBALE_CORE", "HAYBALE_DATABASE_IMAGE", "HAYBALE_DATABASE_NAME", "HAYBALE_DATABASE_PASSWORD",
    "HAYBALE_DATABASE_USER", "HAYBALE_DUMP_FORMAT", "HAYBALE_RESTORE_MODE", "HAYBALE_RESTORE_USER",
    "HAYBALE_RELEASE_IMAGE", "HAYBALE_TESTER_IMAGE", "HAYBALE_SOLR_BAKED_IMAGE",
    "HAYBALE_SOLR_EMPTY_IMAGE", "HAYBALE_SOLR_HEAP", "HAYBALE_SOLR_OPTS", "HAYBALE_SOLRCONFIG",
)  # fmt: skip
# Entry point and command of the release image, as JSON.
RELEASE_START, UNKNOWN_START = "HAYBALE_RELEASE_START", "[[], []]"
FOLDERS = ("HAYBALE_DUMP", "HAYBALE_FIXTURES", "HAYBALE_LOADER", "HAYBALE_RESTORE")


def new_run_name() -> str:
    """Return a name for a run, that no other has."""
    return secrets.token_hex(4)


def creates_containers(arguments: Sequence[str]) -> bool:
    """Return whether a compose command line makes containers: its first word that is a command decides."""
    return next((word for word in arguments if word in COMMANDS), "") in CREATING


def compose_project(
    project: Project, kind: str, run: str | None, variables: Mapping[str, str], env: Mapping[str, str]
) -> Compose:
    """Return the environment of a run, None for the developer's own; `kind` is solr or ci.

    `env` has the site's secrets. Raises `ConfigError` where something that a setting names is not there.
    """
    entrypoint, command = json.loads(variables.get(RELEASE_START) or UNKNOWN_START)
    facts = Facts(
        database_url=variables["HAYBALE_DATABASE_URL"],
        core=variables["HAYBALE_CORE"],
        entrypoint=tuple(entrypoint),
        command=tuple(command),
    )
    # JSON is YAML.
    site = json.dumps(SITE_SERVICES[kind](project, facts, env), indent=1)
    return _compose(project, kind, run, variables, f"{site}\n")


def last_compose_project(project: Project, kind: str, env: Mapping[str, str]) -> Compose:
    """Return the developer's environment as its last `up` left it, without making or checking anything.

    Before the first one, compose still wants a value for each variable.
    """
    unset = unset_variables(project)
    last = _compose(project, kind, None, unset, "")
    if all(file.is_file() for file in (last.env_file, *last.written)):
        return last
    services = compose_project(project, kind, None, unset, env)
    services.write_files()
    return services


def unset_variables(project: Project) -> dict[str, str]:
    """Return a value for each variable of the compose files, with which compose reads them before a run."""
    folders = dict.fromkeys(FOLDERS, str(project.scratch))
    return {**dict.fromkeys(NAMES, "none"), **folders, "HAYBALE_DATABASE_URL": "sqlite://"}


def _compose(
    project: Project, kind: str, run: str | None, variables: Mapping[str, str], site: str
) -> Compose:
    name = "-".join(part for part in (project.settings.name, kind, run) if part)
    file = project.scratch / "env" / f"{name}.json"
    own = _own_file(project, kind)
    return Compose(
        files=(SERVICES / DATABASE_FILE, SERVICES / FILES[kind], file, *([own] if own else [])),
        folder=project.root,
        project=name,
        env_file=file.with_suffix(".env"),
        variables=variables,
        written={file: site},
        hint=f"to look at the same services: {UP[kind]}",
    )


def _own_file(project: Project, kind: str) -> Path | None:
    """Return the repository's compose file for an environment; None where no setting names one."""
    name = getattr(project.settings.compose, kind)
    if name is None:
        return None
    file = project.path(name)
    if not file.is_file():
        raise ConfigError(
            f"{file} is not a file",
            cause=f"the setting compose.{kind} names it",
            hint="restore it, or correct the setting",
        )
    return file
