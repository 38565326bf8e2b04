"""Solr's home as the images get it: a folder for each core, with its configuration and its index.

What is written here goes over what the Dockerfile's stage `solr` has there (see images/build.py): a stage may
lay out a core itself, and then keeps what it made of it, but for what has to be another way.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.images.stages import SOLR, site_instructions
from haybale.index.solrconfig import SCHEMA, SOLRCONFIG, ServedConfiguration, read_solrconfig, tune

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project

PROPERTIES = "core.properties"


def core_folders(project: Project, cores: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each core's configuration; raises `ConfigError` where one has none."""
    conf = project.settings.solr_conf
    if isinstance(conf, str):
        return dict.fromkeys(cores, project.path(conf))
    missing = [core for core in cores if core not in conf]
    if missing:
        raise ConfigError(
            f"there is no configuration for the core {', '.join(missing)}",
            cause=f"the table `solr_conf` has {', '.join(conf)}; the cores are {', '.join(cores)}",
            hint="add its folder to `solr_conf`, or correct the URL of the connection",
        )
    return {core: project.path(conf[core]) for core in cores}


def lays_out_core(project: Project) -> bool:
    """Return whether the Dockerfile's stage `solr` lays out a core itself: its ARG CORE, the first one."""
    return PROPERTIES in site_instructions(project, (SOLR,))


def write_home(folder: Path, cores: Mapping[str, Path], *, lays_out_first: bool = False) -> None:
    """Write the folder of each core: `cores` maps its name to the folder of its configuration.

    `lays_out_first`: the stage itself lays out the first core.
    """
    for number, (core, conf) in enumerate(cores.items()):
        target = folder / core
        if lays_out_first and number == 0:
            (target / "conf").mkdir(parents=True)
            continue
        shutil.copytree(conf, target / "conf")
        (target / PROPERTIES).write_text(f"name={core}\n", encoding="utf-8")


def tune_home(folder: Path, cores: Mapping[str, Path], heap: str) -> None:
    """Have each core's index made, with so much heap."""
    for core, conf in cores.items():
        tuned = tune(read_solrconfig(conf / SOLRCONFIG), heap)
        (folder / core / "conf" / SOLRCONFIG).write_bytes(tuned)


def serve_core(folder: Path, served: ServedConfiguration, made_conf: Path) -> None:
    """Have the core in `folder` served: `made_conf` is its configuration as the index was made with it."""
    (folder / "conf" / SOLRCONFIG).write_bytes(served.solrconfig)
    schema = next((made_conf / name for name in served.managed_schemas if (made_conf / name).is_file()), None)
    if schema is not None:
        shutil.copyfile(schema, folder / "conf" / SCHEMA)
