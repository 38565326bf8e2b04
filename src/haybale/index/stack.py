"""The two environments, each described once: the compose file for indexing and the one for testing.

`solr-dc` and `ci-dc` run docker compose on just what `regen-solr-image` and `test` bring up, so that a
developer looks at the same thing as CI.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.dump import postgresql
from haybale.dump import reference as dump
from haybale.errors import BuildError, ConfigError
from haybale.images import bases as base
from haybale.images import build
from haybale.index import audit
from haybale.index import image as current
from haybale.index import solrconfig as tuning
from haybale.index.key import compute_key
from haybale.tools.engine import sdk
from haybale.tools.engine.compose import Compose

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haybale.config import Project
    from haybale.index.key import Key

SOLR_FILE = "docker-compose.solr.yml"
CI_FILE = "docker-compose.ci.yml"

# Where the site finds its database, by what the dump is of, as docker-compose.database.yml has it.
DATABASE_URLS = {
    "sqlite": "sqlite:////data/db.sqlite3",
    "postgresql": "postgresql://site:only-here@postgres:5432/site",
}

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
    dump: dump.Unpacked
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
    database = _database(project, unpacked, say)
    build.ensure(project, "release", say=say)
    empty_image = f"{project.settings.name}-solr-empty:{run or 'dev'}"
    heap = project.settings.index.heap or tuning.heap(sdk.engine_info().memory)
    say("building the solr layer, without an index")
    with tempfile.TemporaryDirectory(prefix="haybale-") as nothing:
        build.solr(project, empty_image, Path(nothing), labels={}, say=say)
    services = _services(
        project, "solr", SOLR_FILE, run,
        {
            "HAYBALE_RELEASE_IMAGE": build.image_name(project, "release"),
            "HAYBALE_SOLR_EMPTY_IMAGE": empty_image,
            "HAYBALE_SOLR_HEAP": heap,
            "HAYBALE_SOLR_OPTS": " ".join(tuning.JVM),
            "HAYBALE_SOLRCONFIG": str(write_solrconfig(project, run, heap)),
            **database,
            "HAYBALE_INSITE": str(copy_insite(project, run, index_key)),
        },
    )  # fmt: skip
    return Indexing(services=services, dump=unpacked, empty_image=empty_image)


def testing(project: Project, run: str, index_image: str, say: Callable[[str], None]) -> Compose:
    """Return the services that test the built layers around an index image."""
    unpacked = unpack_dump(project)
    return _services(
        project, "ci", CI_FILE, run,
        {
            "HAYBALE_RELEASE_IMAGE": build.image_name(project, "release"),
            "HAYBALE_TESTER_IMAGE": build.image_name(project, "tester"),
            "HAYBALE_SOLR_BAKED_IMAGE": index_image,
            **_database(project, unpacked, say),
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


def _database(project: Project, unpacked: dump.Unpacked, say: Callable[[str], None]) -> dict[str, str]:
    """Return the variables of docker-compose.database.yml; a server that the dump needs is made available.

    Raises `ConfigError` where a fixture is not there, `DumpError` where the server is older than the dump.
    """
    image = project.settings.images.postgres
    restored = unpacked.format.database == "postgresql"
    fixtures = copy_fixtures(project)
    if restored:
        base.ensure(image, "postgres", say)
        postgresql.check_server(unpacked.server, image)
    return {
        "COMPOSE_PROFILES": "postgresql" if restored else "",
        "HAYBALE_DATABASE_URL": DATABASE_URLS[unpacked.format.database],
        "HAYBALE_DUMP": str(unpacked.path),
        "HAYBALE_DUMP_FORMAT": unpacked.format,
        "HAYBALE_FIXTURES": str(fixtures),
        "HAYBALE_POSTGRES_IMAGE": image,
        "HAYBALE_RESTORE_IMAGE": image if restored else build.image_name(project, "release"),
    }


def copy_fixtures(project: Project) -> Path:
    """Copy the fixtures to where the site's user can read them, each to FOLDER/NUMBER/; return the folder.

    Raises `ConfigError` where one is no file.
    """
    fixtures = project.settings.fixtures
    missing = [each for each in fixtures if not (project.root / each).is_file()]
    if missing:
        raise ConfigError(
            f"{project.root / missing[0]} is no file",
            cause="the setting `fixtures` names it, for Django's loaddata",
            hint="put it there, or mend the setting",
        )
    contents = [(project.root / each).read_bytes() for each in fixtures]
    parts = (
        part for name, content in zip(fixtures, contents, strict=True) for part in (name.encode(), content)
    )
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()
    target = project.scratch / "fixtures" / digest[:16]
    if target.is_dir():
        return target
    aside = Path(tempfile.mkdtemp(prefix="new-", dir=_made(target.parent)))
    for number, (name, content) in enumerate(zip(fixtures, contents, strict=True), start=1):
        file = _made(aside / f"{number:03}") / Path(name).name
        file.write_bytes(content)
        file.chmod(0o644)
    aside.chmod(0o755)
    try:
        aside.rename(target)
    except OSError:  # another run made it meanwhile
        shutil.rmtree(aside)
    return target


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    return folder


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
            "HAYBALE_DUMP_FORMAT",
            "HAYBALE_POSTGRES_IMAGE",
            "HAYBALE_RELEASE_IMAGE",
            "HAYBALE_RESTORE_IMAGE",
            "HAYBALE_TESTER_IMAGE",
            "HAYBALE_SOLR_BAKED_IMAGE",
            "HAYBALE_SOLR_EMPTY_IMAGE",
            "HAYBALE_SOLR_HEAP",
            "HAYBALE_SOLR_OPTS",
            "HAYBALE_SOLRCONFIG",
        ),
        "none",
    )
    folders = dict.fromkeys(("HAYBALE_DUMP", "HAYBALE_FIXTURES", "HAYBALE_INSITE"), str(project.scratch))
    services = _services(project, short, file, "", unset | folders | {"HAYBALE_DATABASE_URL": ""})
    if not services.env_file.is_file():
        services.write_env()
    return services


def unpack_dump(project: Project) -> dump.Unpacked:
    """Check and unpack the reference dump; raises `DumpError`."""
    found = dump.resolve(project.home, project.settings.dump)
    return dump.unpack(found, project.scratch / "dump")


def write_solrconfig(project: Project, run: str, heap: str) -> Path:
    """Write Solr's configuration for indexing where the engine can mount it; raises `ConfigError`."""
    target = project.scratch / "solrconfig" / f"{run or 'dev'}.xml"
    tuned = tuning.tuned(tuning.read(project.path(project.settings.solr_conf) / tuning.FILE), heap)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(".new")
    aside.write_bytes(tuned)
    aside.chmod(0o644)
    aside.rename(target)
    return target


def copy_insite(project: Project, run: str, index_key: Key) -> Path:
    """Copy the scripts of the site's container to where its user can read, with what the key knows."""
    target = project.scratch / "insite" / (run or "dev")
    aside = target.with_name(f"{target.name}.new")
    with resources.as_file(resources.files("haybale") / "loader") as source:
        shutil.copytree(source, aside, ignore=shutil.ignore_patterns("__pycache__"))
    audit.write_inputs(aside, index_key.files, project.settings.site, project.settings.index.ignore)
    for file in (aside, *aside.rglob("*")):
        file.chmod(0o755 if file.is_dir() else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    return target
