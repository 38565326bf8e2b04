"""The two environments, each described once: the compose file for indexing and the one for testing.

`solr-dc` and `ci-dc` run docker compose on just what `regen-solr-image` and `test` bring up, so that a
developer looks at the same thing as CI.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.dump.service import database_variables, unpack_dump
from haybale.errors import BuildError
from haybale.files import write_atomically
from haybale.images import build
from haybale.index import image as current
from haybale.index.audit import write_inputs
from haybale.index.key import compute_key
from haybale.index.loader import INPUTS_FILE, copy_loader
from haybale.index.solrconfig import JVM_OPTIONS, SOLRCONFIG, default_heap, read_solrconfig, tune
from haybale.tools.engine import sdk
from haybale.tools.engine.compose import Compose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haybale.config import Project
    from haybale.dump.reference import Unpacked
    from haybale.index.key import Key

SOLR_FILE = "docker-compose.solr.yml"
CI_FILE = "docker-compose.ci.yml"

# The layers that are under test together: what is released, and what tests it.
TESTED = ("release", "tester")

# Commands of docker compose (its reference, "Subcommands"), and those of them that make containers, and so
# need what containers are made of.
CREATING = frozenset({"create", "run", "up", "watch"})
COMMANDS = CREATING | {
    "attach", "build", "commit", "config", "cp", "down", "events", "exec", "export", "images", "kill",
    "logs", "ls", "pause", "port", "ps", "publish", "pull", "push", "restart", "rm", "scale", "start",
    "stats", "stop", "top", "unpause", "version", "volumes", "wait",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Indexing:
    """What is needed to index: the services, the unpacked dump, the Solr image with an empty core."""

    services: Compose
    dump: Unpacked
    empty_image: str


def new_run() -> str:
    """Return a name for a run, that no other has."""
    return secrets.token_hex(4)


def indexing(project: Project, run: str, index_key: Key, say: Callable[[str], None]) -> Indexing:
    """Make what indexing needs, from the dump to the images. `run` is "" for a developer's own environment.

    The loader compares what it reads with what the key knows.

    The dump comes first: a damaged one is found before anything is built or started.
    """
    say(f"checking the dump {project.settings.dump}")
    unpacked = unpack_dump(project)
    release_image = build.image_name(project, "release")
    database = database_variables(project, unpacked, release_image, say)
    build.ensure(project, "release", say=say)
    empty_image = f"{project.settings.name}-solr-empty:{run or 'dev'}"
    heap = project.settings.index.heap or default_heap(sdk.engine_info().memory)
    say("building the solr layer, without an index")
    with tempfile.TemporaryDirectory(prefix="haybale-") as nothing:
        build.solr(project, empty_image, Path(nothing), labels={}, say=say)
    services = _services(
        project, "solr", SOLR_FILE, run,
        {
            "HAYBALE_RELEASE_IMAGE": release_image,
            "HAYBALE_SOLR_EMPTY_IMAGE": empty_image,
            "HAYBALE_SOLR_HEAP": heap,
            "HAYBALE_SOLR_OPTS": " ".join(JVM_OPTIONS),
            "HAYBALE_SOLRCONFIG": str(write_solrconfig(project, run, heap)),
            **database,
            "HAYBALE_LOADER": str(prepare_loader(project, run, index_key)),
        },
    )  # fmt: skip
    return Indexing(services=services, dump=unpacked, empty_image=empty_image)


def testing(project: Project, run: str, index_image: str, say: Callable[[str], None]) -> Compose:
    """Return the services that test the built layers around an index image."""
    unpacked, release_image = unpack_dump(project), build.image_name(project, "release")
    return _services(
        project, "ci", CI_FILE, run,
        {
            "HAYBALE_RELEASE_IMAGE": release_image,
            "HAYBALE_TESTER_IMAGE": build.image_name(project, "tester"),
            "HAYBALE_SOLR_BAKED_IMAGE": index_image,
            **database_variables(project, unpacked, release_image, say),
        },
    )  # fmt: skip


def solr_dc(project: Project, arguments: Sequence[str], say: Callable[[str], None]) -> int:
    """Run docker compose on the environment that indexes; return its exit code."""
    if creates(arguments):
        services = indexing(project, "", compute_key(project), say).services
        services.write_env()
    else:
        services = _as_it_is(project, "solr", SOLR_FILE)
    return services.run_attached(arguments or ["ps"])


def ci_dc(project: Project, arguments: Sequence[str], say: Callable[[str], None]) -> int:
    """Run docker compose on the environment that tests; return its exit code."""
    if creates(arguments):
        index_key = compute_key(project)
        baked = current.on_engine(project, index_key)
        if baked is None:
            raise BuildError(
                f"there is no image {current.name(project, index_key)}",
                cause="these inputs have not been indexed, or not on this machine (just why)",
                hint="just test, or just regen-solr-image",
            )
        for layer in TESTED:
            build.ensure(project, layer, say=say)
        services = testing(project, "", baked.name, say)
        services.write_env()
    else:
        services = _as_it_is(project, "ci", CI_FILE)
    return services.run_attached(arguments or ["ps"])


def creates(arguments: Sequence[str]) -> bool:
    """Return whether a compose command line makes containers: its first word that is a command decides."""
    return next((word for word in arguments if word in COMMANDS), "") in CREATING


def _services(project: Project, short: str, file: str, run: str, variables: dict[str, str]) -> Compose:
    name = "-".join(part for part in (project.settings.name, short, run) if part)
    return Compose(
        file=project.path(file),
        project=name,
        env_file=project.scratch / "env" / f"{name}.env",
        variables={"HAYBALE_CORE": project.settings.core, **variables},
    )


def _as_it_is(project: Project, short: str, file: str) -> Compose:
    """Return the developer's environment as its last `up` left it, without making or checking anything.

    Before the first one, compose still wants a value for each variable.
    """
    unset = dict.fromkeys(
        (
            "HAYBALE_DATABASE_IMAGE",
            "HAYBALE_DUMP_FORMAT",
            "HAYBALE_RELEASE_IMAGE",
            "HAYBALE_TESTER_IMAGE",
            "HAYBALE_SOLR_BAKED_IMAGE",
            "HAYBALE_SOLR_EMPTY_IMAGE",
            "HAYBALE_SOLR_HEAP",
            "HAYBALE_SOLR_OPTS",
            "HAYBALE_SOLRCONFIG",
        ),
        "none",
    )
    folders = dict.fromkeys(("HAYBALE_DUMP", "HAYBALE_FIXTURES", "HAYBALE_LOADER"), str(project.scratch))
    services = _services(project, short, file, "", unset | folders | {"HAYBALE_DATABASE_URL": ""})
    if not services.env_file.is_file():
        services.write_env()
    return services


def write_solrconfig(project: Project, run: str, heap: str) -> Path:
    """Write Solr's configuration for indexing where the engine can mount it; raises `ConfigError`."""
    target = project.scratch / "solrconfig" / f"{run or 'dev'}.xml"
    own = read_solrconfig(project.path(project.settings.solr_conf) / SOLRCONFIG)
    write_atomically(target, tune(own, heap))
    return target


def prepare_loader(project: Project, run: str, index_key: Key) -> Path:
    """Copy the loader to where the site's user can read it, with what the key knows; return the folder."""
    target = project.scratch / "loader" / (run or "dev")
    shutil.rmtree(target, ignore_errors=True)
    copy_loader(target)
    settings = project.settings
    write_inputs(target / INPUTS_FILE, index_key.files, settings.site, settings.index.ignore)
    return target
