"""Where a repository keeps Solr's configuration, of which cores, and how it is laid out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.index.home import PROPERTIES, SOLR_XML, find_core_folders
from haybale.index.solrconfig import MANAGED_SCHEMAS, SCHEMA, SOLRCONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

SCHEMAS = (SCHEMA, *MANAGED_SCHEMAS)
PROPERTY = re.compile(r"^[ \t]*(name|configSet)[ \t]*[=:][ \t]*(\S+)", re.MULTILINE)

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


class Layout(Enum):
    """How the folder that `solr_conf` names is laid out (index/home.py)."""

    FILES = "conf folder"
    INSTANCE = "instance folder"
    HOME = "Solr home"


@dataclass(frozen=True, kw_only=True)
class SolrConfiguration:
    """A core's configuration: the folder that `solr_conf` names for it, from the root, and what is in it.

    `schema` is the schema's name, None where there is none beside solrconfig.xml; `core` is None where
    nothing names the core.
    """

    folder: str
    kind: Layout
    schema: str | None
    core: str | None

    @property
    def layout(self) -> str:
        """How it is laid out, in words."""
        return f"{self.kind.value}, {self.schema or 'no schema'}"


def find_configurations(files: Sequence[str], read: Callable[[str], str]) -> tuple[SolrConfiguration, ...]:
    """Return the configurations of cores: those with a schema before the others, the shallowest first.

    A core is named by its folder of files, unless there is more that belongs to it: beside these files
    (core.properties, libraries), or in the Solr home above.
    """
    known = set(files)
    marks = {file for file in files if PurePosixPath(file).name in {SOLRCONFIG, PROPERTIES}}
    instances = [PurePosixPath(each) for each in find_core_folders(marks)] if marks else []
    found = [_configuration(each, known, read) for each in instances]
    of_sets = {
        each.parent / "configsets" / name for each in instances if (name := _set_of(each, known, read))
    }
    chosen = [
        configuration
        for instance, configuration in zip(instances, found, strict=True)
        if configuration is not None and instance not in of_sets
    ]
    return tuple(sorted(chosen, key=lambda each: (each.schema is None, each.folder.count("/"))))


def _configuration(
    instance: PurePosixPath, known: Collection[str], read: Callable[[str], str]
) -> SolrConfiguration | None:
    """Return the configuration of a core's folder, None where it has none."""
    home, set_name = instance.parent, _set_of(instance, known, read)
    folders = [instance / "conf", instance]
    if set_name:
        folders = [home / "configsets" / set_name / "conf", home / "configsets" / set_name]
    files = next((each for each in folders if str(each / SOLRCONFIG) in known), None)
    if files is None:
        return None
    is_home = set_name or str(home / SOLR_XML) in known or _has_libraries(home, known)
    is_instance = (
        any(str(instance / each) in known for each in (PROPERTIES, SOLR_XML))
        or _has_libraries(instance, known)
        or (files == instance and any(each.startswith(f"{instance}/conf/") for each in known))
    )
    # At the top of a repository there is much that is none of Solr's.
    is_top = str(home) == "."
    layouts = ((is_home and not is_top, home, Layout.HOME), (is_instance, instance, Layout.INSTANCE))
    folder, kind = next(((folder, kind) for is_so, folder, kind in layouts if is_so), (files, Layout.FILES))
    return SolrConfiguration(
        folder=str(folder),
        kind=kind,
        schema=next((name for name in SCHEMAS if str(files / name) in known), None),
        core=_core(instance, known, read),
    )


def _has_libraries(folder: PurePosixPath, known: Collection[str]) -> bool:
    return any(each.startswith(f"{folder}/lib/") and each.endswith(".jar") for each in known)


def _properties(
    instance: PurePosixPath, known: Collection[str], read: Callable[[str], str]
) -> dict[str, str]:
    file = str(instance / PROPERTIES)
    return dict(PROPERTY.findall(read(file))) if file in known else {}


def _set_of(instance: PurePosixPath, known: Collection[str], read: Callable[[str], str]) -> str | None:
    """Return the configset that a core says it has."""
    return _properties(instance, known, read).get("configSet")


def match_cores(
    configurations: Sequence[SolrConfiguration], cores: Sequence[str]
) -> str | Mapping[str, str] | None:
    """Return the folder of the cores, or a table with that of each; None where there is none.

    Several cores share one folder, unless there is one that is named after each.
    """
    complete = [each for each in configurations if each.schema]
    by_core = {each.core: each.folder for each in reversed(complete) if each.core}
    if len(cores) > 1 and all(core in by_core for core in cores):
        folders = {core: by_core[core] for core in cores}
        return folders if len({*folders.values()}) > 1 else next(iter(folders.values()))
    if cores and cores[0] in by_core:
        return by_core[cores[0]]
    return complete[0].folder if complete else None


def _core(instance: PurePosixPath, known: Collection[str], read: Callable[[str], str]) -> str | None:
    """Return the core that a folder is of, by core.properties, else by its name."""
    name = instance.name if instance.name.lower() not in NO_CORE else None
    return _properties(instance, known, read).get("name") or name or None
