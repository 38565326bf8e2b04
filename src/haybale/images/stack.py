"""What the two compose environments have in common: the one that indexes, and the one that tests.

`solr-dc` and `ci-dc` run docker compose on just what `regen-solr-image` and `test` bring up, so that a
developer looks at the same thing as CI. Those environments are named NAME-solr and NAME-ci; a run's have the
name of the run behind that.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from haybale.tools.engine.compose import Compose

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haybale.config import Project

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
    "HAYBALE_CORE", "HAYBALE_DATABASE_IMAGE", "HAYBALE_DUMP_FORMAT", "HAYBALE_RESTORE_MODE",
    "HAYBALE_RELEASE_IMAGE", "HAYBALE_TESTER_IMAGE", "HAYBALE_SOLR_BAKED_IMAGE", "HAYBALE_SOLR_EMPTY_IMAGE",
    "HAYBALE_SOLR_HEAP", "HAYBALE_SOLR_OPTS", "HAYBALE_SOLRCONFIG",
)  # fmt: skip
FOLDERS = ("HAYBALE_DUMP", "HAYBALE_FIXTURES", "HAYBALE_LOADER", "HAYBALE_RESTORE")


def new_run_name() -> str:
    """Return a name for a run, that no other has."""
    return secrets.token_hex(4)


def creates_containers(arguments: Sequence[str]) -> bool:
    """Return whether a compose command line makes containers: its first word that is a command decides."""
    return next((word for word in arguments if word in COMMANDS), "") in CREATING


def compose_project(
    project: Project, kind: str, file: str, run: str | None, variables: dict[str, str]
) -> Compose:
    """Return the environment of a run, None for the developer's own; `kind` is solr or ci."""
    name = "-".join(part for part in (project.settings.name, kind, run) if part)
    env_file = project.scratch / "env" / f"{name}.env"
    return Compose(file=project.path(file), project=name, env_file=env_file, variables=variables)


def last_compose_project(project: Project, kind: str, file: str) -> Compose:
    """Return the developer's environment as its last `up` left it, without making or checking anything.

    Before the first one, compose still wants a value for each variable.
    """
    unset = dict.fromkeys(NAMES, "none") | dict.fromkeys(FOLDERS, str(project.scratch))
    services = compose_project(project, kind, file, None, unset | {"HAYBALE_DATABASE_URL": ""})
    if not services.env_file.is_file():
        services.write_env()
    return services
