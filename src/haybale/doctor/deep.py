"""What only a start tells: Django in the release image, and Solr with the site's configuration, once each.

No dump is restored and nothing is indexed. The release image is built where it is not of this commit yet.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.made_configuration import describe_made_fields, read_made_fields
from haybale.dump.archive import open_content
from haybale.dump.content import Folder, Stream
from haybale.dump.fetching import find_dump
from haybale.dump.postgresql import PostgreSQL
from haybale.dump.recognition import recognise
from haybale.dump.sqlite import SQLite
from haybale.errors import ConfigError, HaybaleError, ServiceError
from haybale.image_ref import RELEASE
from haybale.images.build import build_solr_image, ensure_stage
from haybale.images.stack import compose_project, new_run_name, unset_variables
from haybale.index.cores import UNSET, ask_schemas, ask_site
from haybale.index.home import core_folders, lays_out_core, read_core, tune_home, write_home
from haybale.index.loader import copy_loader
from haybale.index.solr_start import SERVICE, wait_for_cores, watch_cores
from haybale.index.solrconfig import JVM_OPTIONS, default_heap
from haybale.index.stack import KIND, empty_solr_image, make_core_folders, remove_index_stack
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.index.home import CoreFolder
    from haybale.index.own_configuration import SiteSchema
    from haybale.tools.engine.compose import Compose

# The site as it is released: environment, service, and the command that looks at its whole configuration.
RELEASED_KIND, RELEASED_SERVICE = "ci", "web"
CHECK = ("python", "manage.py", "check")

# Lines of a command's output that a finding shows.
LINES = 8


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the site says of itself: its cores in their order, and the fields of each."""

    cores: tuple[str, ...]
    schemas: Mapping[str, SiteSchema]


@dataclass(frozen=True, kw_only=True)
class Started:
    """What is started for a look: a run's name, the checkout, and the variables of its compose files."""

    run: str
    checkout: Checkout
    variables: Mapping[str, str]

    def compose(self, kind: str, core: str) -> Compose:
        """Return an environment of this run."""
        variables = {**self.variables, "HAYBALE_CORE": core}
        return compose_project(self.checkout.project, kind, self.run, variables, self.checkout.env)


def examine_deeply(checkout: Checkout, say: Callable[[str], None]) -> Iterator[Diagnosis]:
    """Start Django and Solr once, and yield what is wrong with either; nothing of it is left."""
    with prepared(checkout) as started:
        try:
            say("looking whether the release image is of this commit")
            ensure_stage(checkout, RELEASE, say)
            say("starting Django in the release image")
            asked = ask_django(started)
        except HaybaleError as error:
            yield Diagnosis(
                subject="Django", seen="does not start in the release image", findings=(from_start(error),)
            )
            return
        fields = sum(len(each.fields) for each in asked.schemas.values())
        yield Diagnosis(
            subject="Django",
            seen=f"starts; its connections have the cores {', '.join(asked.schemas)}, with {fields} fields",
            findings=(*check_site(started, asked.cores[0]), *check_cores_of_site(checkout.project, asked)),
        )
        try:
            cores = configurations(started, asked)
            findings = tuple(check_schemas(cores, asked.schemas))
            say("starting Solr with the site's configuration and an empty index")
            start_solr(started, cores, say)
        except HaybaleError as error:
            yield Diagnosis(subject="Solr", seen="does not start", findings=(from_start(error),))
            return
        seen = f"opens {', '.join(cores)}"
        if made := read_made_fields(checkout.project):
            seen += f"; {describe_made_fields(made)}"
        yield Diagnosis(subject="Solr", seen=seen, findings=findings)


@contextlib.contextmanager
def prepared(checkout: Checkout) -> Iterator[Started]:
    """Yield what the environments need that are started for a look, and remove it again."""
    project, run = checkout.project, f"doctor-{new_run_name()}"
    loader = project.scratch / "loader" / run
    copy_loader(loader)
    variables = {
        **unset_variables(project),
        "HAYBALE_DATABASE_URL": database_url(project),
        "HAYBALE_RELEASE_IMAGE": str(checkout.stage_image(RELEASE)),
        "HAYBALE_SOLR_EMPTY_IMAGE": str(empty_solr_image(project, run)),
        "HAYBALE_SOLR_HEAP": default_heap(sdk.engine_info().memory),
        "HAYBALE_SOLR_OPTS": " ".join(JVM_OPTIONS),
        "HAYBALE_LOADER": str(loader),
    }
    try:
        yield Started(run=run, checkout=checkout, variables=variables)
    finally:
        remove_index_stack(project, run)
        shutil.rmtree(loader, ignore_errors=True)


def database_url(project: Project) -> str:
    """Return where the site would find its database, by the beginning of the dump; without one SQLite's.

    Nothing is there: what only starts does not ask for it.
    """
    settings = project.settings.database
    try:
        with open_content(find_dump(project).target) as content:
            if isinstance(content, Stream):
                return recognise(content).database.url(settings)
            return (PostgreSQL() if isinstance(content, Folder) else SQLite()).url(settings)
    except (HaybaleError, OSError):
        return SQLite().url(settings)


def ask_django(started: Started) -> Asked:
    """Start the site as it is indexed, and ask for its cores and fields; raises as `ask_site`."""
    names = started.checkout.settings.cores or ask_site(started.compose(KIND, UNSET))
    return Asked(cores=names, schemas=ask_schemas(started.compose(KIND, names[0])))


def check_site(started: Started, core: str) -> Iterator[Finding]:
    """Yield what Django's own checks say of the site as it is released."""
    services = started.compose(RELEASED_KIND, core)
    services.write_files()
    program, *arguments = CHECK
    try:
        # Whatever the image would start, such as a script that waits for the database, is left out.
        options = ("--rm", "--no-deps", "--no-TTY", "--entrypoint", program)
        done = services.run("run", *options, RELEASED_SERVICE, *arguments)
    finally:
        services.down()
        services.remove_files()
    if not done.ok:
        yield Finding(
            level="error",
            what=f"{' '.join(CHECK)} fails in the release image (exit code {done.code})",
            why="\n".join(done.output.splitlines()[-LINES:]),
            fix="correct what it names; variables are set in [tool.haybale.site.environment]",
        )


def check_cores_of_site(project: Project, asked: Asked) -> Iterator[Finding]:
    """Yield that the site's connections name other cores than the setting `core`."""
    if {*asked.cores} != {*asked.schemas}:
        yield Finding(
            level="error",
            what=f"HAYSTACK_CONNECTIONS names {', '.join(asked.schemas) or 'no core'}; "
            f"the setting `core` is {', '.join(project.settings.cores)}",
            why="what is indexed would not be where the site searches",
            fix="make them the same, or leave `core` out: then it is what HAYSTACK_CONNECTIONS names",
        )


def configurations(started: Started, asked: Asked) -> dict[str, CoreFolder]:
    """Return where each core's configuration is, made where the repository keeps none."""
    project = started.checkout.project
    if project.settings.solr_conf is None:
        return make_core_folders(project, asked.cores, asked.schemas)
    return core_folders(project, asked.cores)


def check_schemas(cores: Mapping[str, CoreFolder], schemas: Mapping[str, SiteSchema]) -> Iterator[Finding]:
    """Yield the fields that the site's indexes have, as Django knows them, and that a core's schema lacks."""
    for core, place in cores.items():
        schema, wanted = read_core(place).schema, schemas.get(core)
        if schema is None or wanted is None:
            continue
        patterns = [
            each.get("name", "") for tag in ("field", "dynamicField") for each in schema.root.iter(tag)
        ]
        yield from missing_fields(wanted, patterns, schema.name)


def missing_fields(wanted: SiteSchema, patterns: Sequence[str], schema: str) -> Iterator[Finding]:
    """Yield the fields that a schema (a file) lacks, by the names of its fields and dynamic fields."""
    for name, field in wanted.fields.items():
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            options = "".join(
                f' {option}="{str(value).lower()}"'
                for option, value in (
                    ("indexed", field.indexed), ("stored", field.stored), ("multiValued", field.multiple),
                )
            )  # fmt: skip
            yield Finding(
                level="error",
                what=f"the field {name!r} of the search indexes is not in {schema}",
                why="Solr refuses documents with it (unknown field)",
                fix=f'add to {schema}: <field name="{name}" type="{field.type}"{options}/>',
            )


def start_solr(started: Started, cores: Mapping[str, CoreFolder], say: Callable[[str], None]) -> None:
    """Bring Solr up with an empty index until each core answers; raises `ServiceError` with its cause."""
    checkout = started.checkout
    project, first = checkout.project, next(iter(cores))
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        home = Path(folder, "solr")
        write_home(home, cores, lays_out_first=lays_out_core(project))
        tune_home(home, cores, started.variables["HAYBALE_SOLR_HEAP"])
        build_solr_image(checkout, empty_solr_image(project, started.run), home, {}, say, core=first)
    services = started.compose(KIND, first)
    with services.up(watch=watch_cores(services, project, cores), only=(SERVICE,)):
        wait_for_cores(services, project, cores)


def from_start(error: HaybaleError) -> Finding:
    """Return what to tell of something that did not start, with the end of its log if no cause is known."""
    found = Finding.from_error(error)
    log = "\n".join(error.log.splitlines()[-LINES:])
    is_known = isinstance(error, ServiceError | ConfigError) and error.cause
    why = found.why if is_known or not log else "\n".join(filter(None, (found.why, log)))
    return Finding(level="error", what=found.what, why=why, fix=found.fix)
