"""Dumps of PostgreSQL, made by its own pg_dump, become the site's database and its index."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import sqlite3
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.checkout import read_checkout
from haybale.dump.postgresql import PostgreSQL
from haybale.dump.psql_script import ScriptContents
from haybale.dump.reference import identify_dump, resolve_dump, unpack
from haybale.dump.restoration import write_restore_files
from haybale.dump.service import NOBODY, database_variables, restored_database, unpack_dump
from haybale.errors import ConfigError, DumpError, ServiceError
from haybale.image_ref import ImageRef
from haybale.images import site_services
from haybale.images.bases.base_image import ensure_base_image
from haybale.images.build import ensure_stage
from haybale.images.site_services import Facts
from haybale.images.stack import DATABASE_FILE, SERVICES
from haybale.index.image import find_verified_image
from haybale.index.key import compute_key
from haybale.tools.engine import sdk
from haybale.tools.engine.compose import Compose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.conftest import Watch

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

# The run of these tests (conftest.py).
RUN = os.environ["HAYBALE_TEST_RUN"]

# How pg_dump is asked for each of its formats.
FORMATS = {
    "plain": [],
    "custom": ["--format=custom"],
    "tar": ["--format=tar"],
    "directory": ["--format=directory"],
}

ROWS = "SELECT count(*) FROM {}"

# Puts the rows of the SQLite database /old.sqlite3 into the site's own, which has the same tables. A real
# server has roles besides, which somebody made who may.
FILL = """
import django
django.setup()
from django.apps import apps
from django.db import connection, connections, transaction
old = {"ENGINE": "django.db.backends.sqlite3", "NAME": "/old.sqlite3"}
connections.settings["old"] = {**connection.settings_dict, **old}
with transaction.atomic():
    for model in apps.get_app_config("archive").get_models(include_auto_created=True):
        rows = list(model._base_manager.using("old").all())
        model._base_manager.using("default").bulk_create(rows, batch_size=1000)
"""
ROLES = """
CREATE ROLE owner; CREATE ROLE "Quoted Reader"; GRANT owner TO site;
ALTER TABLE archive_party OWNER TO owner; GRANT SELECT ON archive_party TO "Quoted Reader";
"""


class Server:
    """A PostgreSQL with the reference site's database, and what it says of itself."""

    def __init__(self, services: Compose, folder: Path, counts: dict[str, int]) -> None:
        self.services, self.folder, self.counts = services, folder, counts

    def dump(self, name: str, arguments: list[str]) -> Path:
        """Dump it as FOLDER/NAME."""
        inside = f"/tmp/{name}"
        run("docker", "exec", self.container, "pg_dump", "-U", "site", "-d", "site", "-f", inside, *arguments)
        run("docker", "cp", f"{self.container}:{inside}", str(self.folder / name))
        return self.folder / name

    @property
    def container(self) -> str:
        return self.services.container_id("postgres")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def counted(services: Compose) -> dict[str, int]:
    """The rows of each of the site's tables."""
    ask = ["docker", "exec", services.container_id("postgres"), "psql", "-U", "site", "-d", "site", "-Atqc"]
    tables = run(*ask, "SELECT relname FROM pg_stat_user_tables WHERE relname ~ '^archive_'").splitlines()
    return {table: int(run(*ask, ROWS.format(table))) for table in sorted(tables)}


# A site that reads no variable: what is given to it is what stands in the settings of such a one.
WRITTEN_IN = """
[tool.haybale.site.index]
environment = { DATABASE_URL = "postgresql://postgres:s%24cret@db/shop" }
[tool.haybale.site.aliases]
db = "database"
[tool.haybale.database]
name = "shop"
user = "postgres"
password = "s$cret"
"""

# The part of the environments that makes the database, and something that waits for it, as the site does.
WAITING = """
services:
  waiting:
    image: ${HAYBALE_DATABASE_IMAGE}
    pull_policy: never
    init: true
    command: [sleep, infinity]
    depends_on:
      database:
        condition: service_completed_successfully
"""


def services(project: config.Project, name: str, variables: dict[str, str]) -> Compose:
    """Return the services that make the database, by themselves."""
    file = project.scratch / f"{name}.yml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(WAITING, encoding="utf-8")
    made = site_services.ci_services(
        project, Facts(database_url=variables["HAYBALE_DATABASE_URL"], core="none"), {}
    )
    database = project.scratch / f"{name}.json"
    return Compose(
        files=(SERVICES / DATABASE_FILE, database, file),
        folder=project.root,
        written={database: json.dumps({"services": {"database": made["services"]["database"]}})},
        project=f"haybale-test-{RUN}-{name}-{secrets.token_hex(4)}",
        env_file=project.scratch / "env" / f"{name}.env",
        variables={
            "HAYBALE_CORE": "none",
            "HAYBALE_RELEASE_IMAGE": str(read_checkout(project, {}).stage_image("release")),
            **variables,
        },
    )


@pytest.fixture(scope="module")
def project(root: Path) -> config.Project:
    made = config.load(root, {})
    ensure_stage(read_checkout(made, {}), "release", print)
    ensure_base_image(ImageRef.parse(made.settings.images.postgres), "postgres", {}, print)
    return made


@pytest.fixture(scope="module")
def server(
    project: config.Project, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server that was filled from the smaller reference dump."""
    dump = resolve_dump(template, project.settings.dump)
    unpacked = unpack(dump, tmp_path_factory.mktemp("unpacked"))
    empty = tmp_path_factory.mktemp("empty") / "empty.sql"
    empty.write_text("", encoding="utf-8")
    empty.chmod(0o644)
    restore = empty.parent / "restore"
    write_restore_files(restore, ScriptContents())
    made = services(
        project, "server",
        {
            "COMPOSE_PROFILES": "postgresql",
            "HAYBALE_DATABASE_NAME": "site",
            "HAYBALE_DATABASE_PASSWORD": "only-here",
            "HAYBALE_DATABASE_USER": "site",
            "HAYBALE_DATABASE_URL": PostgreSQL().url(project.settings.database),
            "HAYBALE_DUMP": str(empty),
            "HAYBALE_DUMP_FORMAT": "plain",
            "HAYBALE_FIXTURES": str(empty.parent / "none"),
            "HAYBALE_RESTORE": str(restore),
            "HAYBALE_RESTORE_MODE": "strict",
            "HAYBALE_RESTORE_USER": NOBODY,
            "HAYBALE_DATABASE_IMAGE": project.settings.images.postgres,
        },
    )  # fmt: skip
    with made.up():
        mounted = f"{unpacked.path}:/old.sqlite3:ro"
        run(*made.command("run", "--rm", "--no-deps", "--volume", mounted, "database", "python", "-c", FILL))
        run(
            "docker",
            "exec",
            made.container_id("postgres"),
            "psql",
            "-U",
            "haybale",
            "-d",
            "site",
            "-c",
            ROLES,
        )
        counts = counted(made)
        with contextlib.closing(sqlite3.connect(unpacked.path)) as old:
            assert counts == {table: old.execute(ROWS.format(table)).fetchone()[0] for table in counts}
        assert counts["archive_passage"] > 1000
        yield Server(made, tmp_path_factory.mktemp("dumps"), counts)


def linked(project_root: Path, target: Path) -> None:
    """Let a repository's link lead to another dump."""
    for link in (project_root / "dumps").glob("*latest*"):
        link.unlink()
    (project_root / "dumps/site_latest.sql").symlink_to(target)


@pytest.fixture
def another(project: config.Project, tmp_path: Path) -> config.Project:
    """A repository without a dump, whose images are those of this one."""
    for name in (
        "docker-compose.ci.yml",
        ".bumpversion.cfg",
        "pyproject.toml",
    ):
        (tmp_path / name).write_bytes((project.root / name).read_bytes())
    (tmp_path / "dumps").mkdir()
    return config.load(tmp_path, {})


def restoring(another: config.Project, project: config.Project) -> Compose:
    unpacked = unpack_dump(another)
    variables = database_variables(read_checkout(another, {}), unpacked, print)
    release = str(read_checkout(project, {}).stage_image("release"))
    return services(another, "restore", {**variables, "HAYBALE_RELEASE_IMAGE": release})


@pytest.mark.parametrize("format_", FORMATS)
def test_restore_loads_each_format_of_pg_dump(
    project: config.Project, another: config.Project, server: Server, format_: str
) -> None:
    linked(another.root, server.dump(format_, FORMATS[format_]))
    unpacked = unpack_dump(another)
    assert (unpacked.format, unpacked.server) == (format_, 17)
    made = restoring(another, project)
    with made.up():
        assert counted(made) == server.counts
        if format_ == "plain":
            assert_dump_is_confined(made)


def assert_dump_is_confined(services: Compose) -> None:
    """What runs a dump's code reaches no network, and has of root's only what its image begins with."""
    for service, user in (("postgres", ""), ("restore", NOBODY)):
        (found,) = json.loads(run("docker", "inspect", services.container_id(service)))
        networks = found["NetworkSettings"]["Networks"]
        assert list(networks) == [f"{services.project}_database"]
        assert run("docker", "network", "inspect", "--format", "{{.Internal}}", *networks) == "true"
        assert found["Config"]["User"] == user
        limits = found["HostConfig"]
        assert limits["CapDrop"] == ["ALL"]
        assert {each.removeprefix("CAP_") for each in limits["CapAdd"]} <= {
            "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"
        }  # fmt: skip
        assert limits["SecurityOpt"] == ["no-new-privileges"]
        assert limits["PidsLimit"] > 0
        assert limits["Memory"] > 0
    server = services.container_id("postgres")
    # The second column is where a route leads to: zeros are everywhere.
    routes = run("docker", "exec", server, "cat", "/proc/net/route").splitlines()[1:]
    assert routes
    assert not [route for route in routes if route.split()[1] == "00000000"]
    asked = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname <> 'haybale'"
    assert run("docker", "exec", server, "psql", "-U", "site", "-d", "site", "-Atqc", asked) == "0"


def test_fixtures_are_loaded_after_the_dump(
    project: config.Project, another: config.Project, server: Server
) -> None:
    linked(another.root, server.dump("fixed", ["--format=custom"]))
    (another.root / "party.json").write_text(
        '[{"model": "archive.party", "pk": 9001, "fields": {"name": "Hay", "slug": "hay"}}]', encoding="utf-8"
    )
    settings = another.root / "pyproject.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace('name = "sotu"', 'name = "sotu"\nfixtures = ["party.json"]', 1), "utf-8")
    found = config.load(another.root, {})
    made = restoring(found, project)
    with made.up():
        assert counted(made) == {
            **server.counts, "archive_party": server.counts["archive_party"] + 1
        }  # fmt: skip
    (another.root / "party.json").unlink()
    with pytest.raises(ConfigError, match=r"party\.json is not a file"):
        restoring(found, project)


def test_damage_deep_in_an_archive_is_found_before_anything_starts(
    project: config.Project, another: config.Project, server: Server
) -> None:
    whole = server.dump("whole", ["--format=custom"])
    cut = whole.with_name("cut")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    linked(another.root, cut)
    with pytest.raises(DumpError, match="pg_restore does not read the dump to its end") as told:
        restoring(another, project)
    assert "pg_restore: error:" in told.value.log


def test_restored_database_says_what_failed_and_why_it_ended(
    project: config.Project, another: config.Project, server: Server, tmp_path: Path
) -> None:
    dumped = server.dump("spoiled", [])
    text = dumped.read_text(encoding="utf-8")
    harmless = dumped.with_name("harmless")
    harmless.write_text(f"DROP TABLE nothing;\n{text}", encoding="utf-8")
    linked(another.root, harmless)
    said: list[str] = []
    made = restoring(another, project)
    with restored_database(made, said.append, tmp_path):
        assert counted(made) == server.counts
    assert said[-1] == 'not restored: table "nothing" does not exist (DROP TABLE nothing; at line 1)'
    lost = dumped.with_name("lost")
    lost.write_text(
        text.replace("CREATE TABLE public.archive_party (", "CREATE TABLE public.other ("), "utf-8"
    )
    linked(another.root, lost)
    made = restoring(another, project)
    missing = r"the table public\.archive_party is missing, with its"
    with pytest.raises(DumpError, match=missing) as told, restored_database(made, said.append, tmp_path):
        pass
    assert "public.archive_party" in (tmp_path / "logs/restore.log").read_text(encoding="utf-8")
    assert str(tmp_path / "logs") in told.value.hint
    assert 'relation "public.archive_party" does not exist' in told.value.log


def test_check_server_refuses_a_newer_dump_before_anything_starts(
    project: config.Project, another: config.Project, server: Server, watch_engine: Callable[..., Watch]
) -> None:
    dumped = server.dump("newer", [])
    text = dumped.read_text(encoding="utf-8")
    newer = dumped.with_name("newest")
    newer.write_text(re.sub(r"(Dumped from database version) \d+", r"\1 99", text), encoding="utf-8")
    linked(another.root, newer)
    image = f"haybale-test-{RUN}:17"
    watch = watch_engine(image)
    sdk.tag_image(project.settings.images.postgres, ImageRef.parse(image))
    found = config.load(another.root, {"POSTGRES_IMAGE": image})
    with pytest.raises(DumpError, match=f"the dump is of PostgreSQL 99, and {image} is PostgreSQL 17"):
        restoring(found, project)
    sdk.remove_image(image)
    assert watch.container_count() == 1, "the server was asked for its version"
    assert not watch.leftovers()


def test_check_server_names_an_image_without_a_server(project: config.Project) -> None:
    with pytest.raises((DumpError, ServiceError)) as told:
        PostgreSQL().check_server(ImageRef.parse(project.settings.images.solr), 16)
    assert project.settings.images.solr in str(told.value.message)


def test_regenerate_indexes_a_site_from_postgresql(site: Path, watch: Watch, server: Server) -> None:
    """The dump is a folder, packed as one often is; the site has names and host of its own written in."""
    with (site / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(WRITTEN_IN)
    folder = server.dump("folder", ["--format=directory", "--schema=public"])
    packed = folder.with_name("folder.tar.xz")
    with tarfile.open(packed, "w:xz") as archive:
        archive.add(folder, "folder")
    linked(site, packed)
    done = subprocess.run(
        [sys.executable, "-m", "haybale", "regen-solr-image"],
        cwd=site, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert 'not restored: schema "public" already exists (CREATE SCHEMA public;)' in done.stderr
    spoiled = config.load(site, {})
    made = compute_key(spoiled)
    found = find_verified_image(read_checkout(spoiled, {}), made)
    assert found is not None
    assert found.counts["archive.passage"] == server.counts["archive_passage"]
    assert "postgres" in (made.components["bases"].value or "")
    assert (made.components["restore"].value or "").startswith("lenient ")
    assert identify_dump(resolve_dump(site, "dumps/*latest.sql*"), site / "x").format == "directory"
    left = watch.leftovers()
    assert watch.container_count()
    assert (left.containers, left.volumes, left.networks) == (frozenset(), frozenset(), frozenset())
