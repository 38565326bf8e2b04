"""The environment that indexes: Solr with an empty core, and the loader in the site's container."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.dump.service import database_variables, unpack_dump
from haybale.errors import ConfigError
from haybale.files import write_atomically
from haybale.image_ref import ImageRef
from haybale.images.build import build_solr_image, ensure_stage
from haybale.images.stack import compose_project, creates_containers, last_compose_project
from haybale.index.audit import write_inputs
from haybale.index.cores import UNSET, ask_schemas, ask_site
from haybale.index.home import (
    CoreFolder,
    core_folders,
    lays_out_core,
    read_core,
    tune_home,
    write_home,
)
from haybale.index.inputs import mounted_files
from haybale.index.key import compute_key
from haybale.index.loader import INPUTS_FILE, copy_loader
from haybale.index.own_configuration import make_configuration
from haybale.index.solrconfig import JVM_OPTIONS, SOLRCONFIG, default_heap, memory_limit
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.index.key import Key
    from haybale.index.own_configuration import SiteSchema
    from haybale.tools.engine.compose import Compose

KIND = "solr"

# What a developer's own environment has in place of a run's name.
OWN = "dev"

# In haybale's own folder: the configurations that it makes, a folder for each core.
OWN_CONFIGURATIONS = "solr_conf"


@dataclass(frozen=True, kw_only=True)
class IndexStack:
    """The services of the environment that indexes, and the folder of each core's configuration."""

    services: Compose
    cores: Mapping[str, CoreFolder]


def prepare_index_stack(
    checkout: Checkout, run: str | None, key: Key, say: Callable[[str], None]
) -> IndexStack:
    """Make what indexing needs, from the dump to the images; its services are not started yet.

    `run` is None for a developer's own environment. The dump comes first: a damaged one is found before
    anything is built or started. The loader compares what it reads with what the key knows.
    """
    project, settings, name = checkout.project, checkout.settings, run or OWN
    say(f"checking the dump {settings.dump}")
    database = database_variables(checkout, unpack_dump(project), say)
    ensure_stage(checkout, "release", say)
    heap = settings.index.heap or default_heap(sdk.engine_info().memory)
    empty_image = empty_solr_image(project, name)
    variables = {
        "HAYBALE_RELEASE_IMAGE": str(checkout.stage_image("release")),
        "HAYBALE_SOLR_EMPTY_IMAGE": str(empty_image),
        "HAYBALE_SOLR_HEAP": heap,
        "HAYBALE_SOLR_MEMORY": memory_limit(heap),
        "HAYBALE_SOLR_OPTS": " ".join(JVM_OPTIONS),
        "HAYBALE_SOLRCONFIG": str(solrconfig_file(project, name)),
        "HAYBALE_LOADER": str(prepare_loader(project, name, key)),
        **database,
    }
    names = settings.cores
    if not names:
        asked = compose_project(project, KIND, run, {**variables, "HAYBALE_CORE": UNSET}, checkout.env)
        names = ask_site(asked)
        say(f"HAYSTACK_CONNECTIONS names the core{'s' * (len(names) > 1)} {', '.join(names)}")
    services = compose_project(project, KIND, run, {**variables, "HAYBALE_CORE": names[0]}, checkout.env)
    if settings.solr_conf is None:
        say("making Solr's configuration of the site's search indexes")
        cores = make_core_folders(project, names, ask_schemas(services))
    else:
        cores = core_folders(project, names)
    for outdated in dict.fromkeys(each for conf in cores.values() for each in read_core(conf).outdated):
        say(f"{'adapted to Solr 9' if outdated.is_adapted else 'not for Solr 9'}: {outdated}")
    say("building the stage solr, without an index")
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        home = Path(folder, "solr")
        write_home(home, cores, lays_out_first=lays_out_core(project))
        tune_home(home, cores, heap)
        # A compose file may mount it as well: in a folder of haybale's the engine can.
        tuned = (home / names[0] / "conf" / SOLRCONFIG).read_bytes()
        write_atomically(solrconfig_file(project, name), tuned)
        build_solr_image(checkout, empty_image, home, {}, say, core=names[0])
    return IndexStack(services=services, cores=cores)


def make_core_folders(
    project: Project, cores: Sequence[str], schemas: Mapping[str, SiteSchema]
) -> dict[str, CoreFolder]:
    """Write the configuration that haybale makes for each core, and return where it is.

    It stays there, to be looked at, or to be taken over into the repository. Raises `ConfigError` for a core
    that no connection names.
    """
    missing = [core for core in cores if core not in schemas]
    if missing:
        raise ConfigError(
            f"no Haystack connection has the core {', '.join(missing)}",
            cause=f"HAYSTACK_CONNECTIONS names {', '.join(schemas) or 'none'}",
            hint="correct `core`, or leave it out: then the cores are those that HAYSTACK_CONNECTIONS names",
        )
    folders = {}
    for core in cores:
        folder = project.scratch / OWN_CONFIGURATIONS / core
        for name, content in make_configuration(schemas[core]).items():
            write_atomically(folder / name, content)
        folders[core] = CoreFolder(folder=folder, label=folder.relative_to(project.home).as_posix())
    return folders


def run_solr_compose(checkout: Checkout, arguments: Sequence[str], say: Callable[[str], None]) -> int:
    """Run docker compose on the environment that indexes; return its exit code."""
    if not creates_containers(arguments):
        return last_compose_project(checkout.project, KIND, checkout.env).run_attached(arguments or ["ps"])
    services = prepare_index_stack(checkout, None, compute_key(checkout.project), say).services
    services.write_files()
    return services.run_attached(arguments)


def empty_solr_image(project: Project, run: str) -> ImageRef:
    """Return the name of a run's Solr with an empty core."""
    return ImageRef.parse(f"{project.settings.name}-solr-empty:{run}")


def solrconfig_file(project: Project, run: str) -> Path:
    """Return the file with the solrconfig.xml that a run's index is made with."""
    return project.scratch / "solrconfig" / f"{run}.xml"


def prepare_loader(project: Project, run: str, key: Key) -> Path:
    """Copy the loader to where the site's user can read it, with what the key knows; return the folder."""
    target = project.scratch / "loader" / run
    shutil.rmtree(target, ignore_errors=True)
    copy_loader(target)
    settings = project.settings
    mounted = mounted_files(project.root, settings.site.mounts).values()
    write_inputs(target / INPUTS_FILE, key.files, settings.site.folder, settings.index.ignore, mounted)
    return target


def remove_index_stack(project: Project, run: str) -> None:
    """Remove what `prepare_index_stack` made for a run."""
    sdk.remove_image(empty_solr_image(project, run))
    shutil.rmtree(project.scratch / "loader" / run, ignore_errors=True)
    solrconfig_file(project, run).unlink(missing_ok=True)
