"""Where a repository keeps Solr's configuration, of which cores, and how it is laid out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.index.solrconfig import MANAGED_SCHEMAS, SCHEMA, SOLRCONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCHEMAS = (SCHEMA, *MANAGED_SCHEMAS)
NAME_PROPERTY = re.compile(r"^\s*name\s*=\s*(\S+)", re.MULTILINE)

# Folders that every core's configuration may be in: they are named after no core.
NO_CORE = {
    "conf",
    "solr",
    "solr_conf",
    "config",
    "configs",
    "configsets",
    "cores",
    "data",
    "docker",
    "_default",
}


@dataclass(frozen=True, kw_only=True)
class SolrConfiguration:
    """A folder with solrconfig.xml: its path from the root, the schema's name in it, and the core's.

    `schema` is None where there is none beside solrconfig.xml, `core` where nothing names it;
    `is_instance`: it is the core's instance folder, with more in its folder conf.
    """

    folder: str
    schema: str | None
    core: str | None
    is_instance: bool

    @property
    def layout(self) -> str:
        """How it is laid out, in words."""
        schema = self.schema or "no schema"
        return f"{'instance folder' if self.is_instance else 'conf folder'}, {schema}"


def find_configurations(files: Sequence[str], read: Callable[[str], str]) -> tuple[SolrConfiguration, ...]:
    """Return the folders with Solr's configuration: those with a schema before the others."""
    known = set(files)
    found = []
    for file in files:
        path = PurePosixPath(file)
        if path.name == SOLRCONFIG:
            schema = next((name for name in SCHEMAS if str(path.with_name(name)) in known), None)
            is_instance = any(each.startswith(f"{path.parent}/conf/") for each in known)
            core = _core(path.parent, known, read)
            folder = str(path.parent)
            found.append(SolrConfiguration(folder=folder, schema=schema, core=core, is_instance=is_instance))
    return tuple(sorted(found, key=lambda each: each.schema is None))


def match_cores(
    configurations: Sequence[SolrConfiguration], cores: Sequence[str]
) -> str | Mapping[str, str] | None:
    """Return the folder of the cores, or a table with that of each; None where there is none.

    Several cores share one folder, unless there is one that is named after each.
    """
    complete = [each for each in configurations if each.schema] or list(configurations)
    by_core = {each.core: each.folder for each in reversed(complete) if each.core}
    if len(cores) > 1 and all(core in by_core for core in cores):
        folders = {core: by_core[core] for core in cores}
        return folders if len({*folders.values()}) > 1 else next(iter(folders.values()))
    if cores and cores[0] in by_core:
        return by_core[cores[0]]
    return complete[0].folder if complete else None


def _core(folder: PurePosixPath, known: set[str], read: Callable[[str], str]) -> str | None:
    """Return the core that a folder's configuration is of, by core.properties, else by the folder's name."""
    instance = folder.parent if folder.name == "conf" else folder
    properties = str(instance / "core.properties")
    if properties in known and (match := NAME_PROPERTY.search(read(properties))):
        return match[1]
    return instance.name if instance.name and instance.name.lower() not in NO_CORE else None
