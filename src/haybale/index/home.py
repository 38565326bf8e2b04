"""Solr's home as the images get it: a folder for each core, with its configuration and its index.

A repository keeps the configuration of a core in one of three ways, and `solr_conf` names the folder: that of
the files themselves; a core's own (core.properties, conf, lib); a home with the folders of cores (solr.xml,
lib, configsets). Here each becomes the same, as Solr 9 takes it (solr_upgrade.py).

What is written here goes over what the Dockerfile's stage `solr` has there (see images/build.py): a stage may
lay out a core itself, and then keeps what it made of it, but for what has to be another way.
"""

from __future__ import annotations

import copy
import posixpath
import re
import shutil
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.errors import ConfigError
from haybale.images.stages import SOLR, site_instructions
from haybale.index.inputs import list_files
from haybale.index.serving import SECURITY, close_core, close_solr_xml, open_handlers, security_json
from haybale.index.solr_upgrade import (
    Outdated,
    drop_unused_types,
    upgrade_schema,
    upgrade_solrconfig,
)
from haybale.index.solr_xml import SolrXml, read_xml, to_bytes
from haybale.index.solrconfig import (
    MANAGED_RESOURCES,
    MANAGED_SCHEMAS,
    SCHEMA,
    SOLRCONFIG,
    ServedConfiguration,
    adapt_for_serving,
    managed_schemas,
    read_solrconfig,
    resolve,
    tune,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project

PROPERTIES = "core.properties"
SOLR_XML = "solr.xml"
CONFIGURATION = (*MANAGED_SCHEMAS, SCHEMA, SOLRCONFIG)

# What of a core's folder is no part of its configuration: its index, and what has a place of its own.
ELSEWHERE = ("data/", "lib/", "configsets/")
NO_CONFIGURATION = (PROPERTIES, SOLR_XML, "zoo.cfg")

# Properties of a core that haybale sets, or that only a cloud has (Solr Reference Guide, "Core Discovery").
# The others are kept: a configuration may read them.
OWN_PROPERTIES = frozenset(
    {
        "name", "config", "schema", "dataDir", "ulogDir", "configSet", "instanceDir", "loadOnStartup",
        "transient", "coreNodeName", "collection", "shard", "numShards", "roles", "replicaType",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CoreFolder:
    """Where a core's configuration is: the folder that `solr_conf` names, and in it the core's ("", or X/).

    Messages call the folder `label`.
    """

    folder: Path
    label: str
    core: str = ""

    def name(self, file: str) -> str:
        """Return what messages call a file in the folder."""
        return f"{self.label}/{file}"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which files a core is made of: path in its folder (conf/schema.xml, lib/x.jar) -> path of the file.

    `shared` has those of Solr's home in the same way: solr.xml, and libraries for all cores.
    """

    core: Mapping[str, str]
    shared: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class CoreConfiguration:
    """A core's configuration as Solr 9 takes it.

    `files` and `shared` are those of a `Layout`. `solrconfig` and `schema` (None: there is none) are changed
    already, `outdated` says why; `adapted` has the content of what is another way than its file.
    """

    files: Mapping[str, Path]
    shared: Mapping[str, Path]
    properties: Mapping[str, str]
    solrconfig: SolrXml
    schema: SolrXml | None
    outdated: tuple[Outdated, ...]
    adapted: Mapping[str, bytes]

    @property
    def has_libraries(self) -> bool:
        """Whether there are libraries, which may hold files that the configuration names."""
        return any(path.startswith("lib/") for path in (*self.files, *self.shared))

    def content(self, path: str) -> bytes:
        """Return what Solr gets of a file (its path in the core's folder)."""
        return self.adapted[path] if path in self.adapted else self.files[path].read_bytes()


def core_folders(project: Project, cores: Sequence[str]) -> dict[str, CoreFolder]:
    """Return where each core's configuration is; raises `ConfigError` where one has none."""
    conf = project.settings.solr_conf or {}
    if isinstance(conf, str):
        return {core: _choose_core(project.path(conf), conf, core) for core in cores}
    missing = [core for core in cores if core not in conf]
    if missing:
        raise ConfigError(
            f"there is no configuration for the core {', '.join(missing)}",
            cause=f"the table `solr_conf` has {', '.join(conf)}; the cores are {', '.join(cores)}",
            hint="add its folder to `solr_conf`, or correct the URL of the connection",
        )
    return {core: _choose_core(project.path(conf[core]), conf[core], core) for core in cores}


def _choose_core(folder: Path, label: str, core: str) -> CoreFolder:
    """Return the core's folder in a folder that may be a home of several."""
    found = find_cores(folder, label)
    by_name = [each for each in found if core in {each.core.rstrip("/"), _read_properties(each).get("name")}]
    chosen = by_name or found
    if len(chosen) > 1:
        raise ConfigError(
            f"{label} has no core {core}",
            cause=f"it is a Solr home with the cores {', '.join(each.core.rstrip('/') for each in found)}",
            hint=f'name its folder: solr_conf = {{ {core} = "{label}/{found[0].core.rstrip("/")}" }}',
        )
    return chosen[0]


def find_cores(folder: Path, label: str) -> list[CoreFolder]:
    """Return the cores that a folder holds, one at least; raises `ConfigError` where it cannot be read."""
    found = find_core_folders(set(list_files(folder)))
    return [CoreFolder(folder=folder, label=label, core=core) for core in found]


def find_core_folders(files: Collection[str]) -> list[str]:
    """Return the folders (each ending with /) of the cores among a folder's files; [""] for its own."""
    folders = set()
    for file in files:
        path = PurePosixPath(file)
        if path.name == PROPERTIES or path.name in CONFIGURATION:
            is_in_conf = path.name != PROPERTIES and path.parent.name == "conf"
            folders.add(str(path.parent.parent if is_in_conf else path.parent))
    if not folders or "." in folders:
        return [""]
    return sorted(f"{each}/" for each in folders if not each.startswith("configsets/"))


def lay_out(files: Collection[str], core: str, properties: Mapping[str, str]) -> Layout:
    """Return which of a folder's files a core is made of.

    `core` is one of `find_core_folders`, `properties` what its core.properties says. As in Solr, conf/X goes
    before X, and a configSet before both.
    """
    own = {file.removeprefix(core): file for file in files if file.startswith(core)}
    conf: dict[str, str] = {}
    if name := properties.get("configSet"):
        folders = [f"{at}configsets/{name}/{inner}" for at in ("", core) for inner in ("conf/", "")]
        of_set = next((each for each in folders if any(file.startswith(each) for file in files)), None)
        if of_set:
            conf = {file.removeprefix(of_set): file for file in files if file.startswith(of_set)}
    if not conf:
        beside = {
            path: file
            for path, file in own.items()
            if not path.startswith((*ELSEWHERE, "conf/")) and path not in NO_CONFIGURATION
        }
        conf = beside | {path[len("conf/") :]: file for path, file in own.items() if path.startswith("conf/")}
    for key, usual in (("config", SOLRCONFIG), ("schema", SCHEMA)):
        if (given := properties.get(key, usual)) != usual and given in conf:
            conf[usual] = conf.pop(given)
    libraries = {path: file for path, file in own.items() if path.startswith("lib/")}
    shared = {path: path for path in files if core and path.startswith("lib/")}
    for solr_xml in (f"{core}{SOLR_XML}", SOLR_XML):
        if solr_xml in files:
            shared[SOLR_XML] = solr_xml
    return Layout(core={**{f"conf/{path}": file for path, file in conf.items()}, **libraries}, shared=shared)


def configuration_files(folder: Path) -> set[str]:
    """Return the files, relative to the folder, that the cores in it are made of."""
    files = set(list_files(folder))
    found: set[str] = set()
    for core in find_core_folders(files):
        properties = _read_properties(CoreFolder(folder=folder, label="", core=core))
        layout = lay_out(files, core, properties)
        found |= {*layout.core.values(), *layout.shared.values(), *({f"{core}{PROPERTIES}"} & files)}
    return found


def configuration_texts(place: CoreFolder) -> dict[str, str]:
    """Return the texts of a core's schemas and of its solrconfig.xml, by what messages call these files."""
    layout = _layout_of(place).core
    files = [layout[path] for name in CONFIGURATION if (path := f"conf/{name}") in layout]
    return {
        place.name(file): (place.folder / file).read_text(encoding="utf-8", errors="replace")
        for file in files
    }


def read_core(place: CoreFolder) -> CoreConfiguration:
    """Read a core's configuration, and make it what Solr 9 takes; raises `ConfigError` with file and line."""
    files = set(list_files(place.folder))
    properties = _read_properties(place)
    layout = lay_out(files, place.core, properties)
    core = dict(layout.core)
    usual = f"{place.core}{SOLRCONFIG}"
    config_name = core.get(f"conf/{SOLRCONFIG}", usual)
    config = read_solrconfig(place.folder / config_name, place.name(config_name))
    outdated = _take_libraries(config, core, place, files)
    outdated += _name_schema(config, core, place)
    schema_path = find_schema(config, core)
    schema: SolrXml | None = None
    defaults: dict[str, str] = {}
    adapted: dict[str, bytes] = {}
    if schema_path is not None:
        schema = read_xml(place.folder / core[schema_path], place.name(core[schema_path]))
        found, defaults = upgrade_schema(schema)
        if not any(path.startswith("lib/") for path in (*core, *layout.shared)):
            conf = {path.removeprefix("conf/") for path in core}
            used = {resolve(each.text) for each in config.root.iter("str")}
            found += drop_unused_types(schema, conf, used)
        outdated += found
        if any(each.is_adapted for each in found):
            adapted[schema_path] = schema.to_bytes()
    found = upgrade_solrconfig(config, defaults)
    outdated += found
    if defaults or any(each.is_adapted for each in found):
        adapted[f"conf/{SOLRCONFIG}"] = config.to_bytes()
    shared = dict(layout.shared)
    outdated += _leave_old_solr_xml(shared, place)
    return CoreConfiguration(
        files={path: place.folder / file for path, file in core.items()},
        shared={path: place.folder / file for path, file in shared.items()},
        properties={key: value for key, value in properties.items() if key not in OWN_PROPERTIES},
        solrconfig=config,
        schema=schema,
        outdated=tuple(outdated),
        adapted=adapted,
    )


def find_schema(config: SolrXml, files: Collection[str]) -> str | None:
    """Return the schema that Solr reads (its path in the core's folder), None for none."""
    names = (*managed_schemas(config.root), SCHEMA)
    return next((f"conf/{name}" for name in names if f"conf/{name}" in files), None)


def _name_schema(config: SolrXml, core: dict[str, str], place: CoreFolder) -> list[Outdated]:
    """Give the only schema the name that the schema factory looks for."""
    managed = next((f"conf/{name}" for name in MANAGED_SCHEMAS if f"conf/{name}" in core), None)
    if managed is None or find_schema(config, core) is not None:
        return []
    core[f"conf/{SCHEMA}"] = core.pop(managed)
    what = f"ClassicIndexSchemaFactory reads {SCHEMA}, which is not there"
    name = place.name(core[f"conf/{SCHEMA}"])
    return [Outdated(place=name, what=what, instead=f"this file as {SCHEMA}", is_adapted=True)]


def _take_libraries(
    config: SolrXml, core: dict[str, str], place: CoreFolder, files: Collection[str]
) -> list[Outdated]:
    """Put the libraries of the repository that a <lib> names where Solr looks for them itself."""
    outdated = []
    for element in config.root.iter("lib"):
        named = posixpath.normpath(f"{place.core}{resolve(element.get('dir') or element.get('path'))}")
        pattern = re.compile(resolve(element.get("regex")) or r".*\.jar")
        found = [
            file
            for file in sorted(files)
            if file == named
            or (posixpath.dirname(file) == named and pattern.fullmatch(posixpath.basename(file)))
        ]
        if found and any(file not in core.values() for file in found):
            core |= {f"lib/{posixpath.basename(file)}": file for file in found}
            outdated.append(
                Outdated(
                    place=config.place(element),
                    what="Solr follows no <lib> since 9.8",
                    instead=f"{', '.join(map(posixpath.basename, found))} in the core's folder lib",
                    is_adapted=True,
                )
            )
    return outdated


def _leave_old_solr_xml(shared: dict[str, str], place: CoreFolder) -> list[Outdated]:
    """Leave a solr.xml out that lists its cores: Solr reads none such since 5."""
    if SOLR_XML not in shared:
        return []
    xml = read_xml(place.folder / shared[SOLR_XML], place.name(shared[SOLR_XML]))
    cores = xml.root.find("cores")
    if cores is None and xml.root.tag == "solr":
        return []
    del shared[SOLR_XML]
    what = "<cores> is of Solr 4" if cores is not None else f"<{xml.root.tag}> is not how a {SOLR_XML} starts"
    where = xml.place(xml.root if cores is None else cores)
    return [Outdated(place=where, what=what, instead=None, is_adapted=True)]


def _read_properties(place: CoreFolder) -> dict[str, str]:
    """Return what a core.properties says; {} where there is none."""
    try:
        text = (place.folder / f"{place.core}{PROPERTIES}").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    pairs = re.findall(r"^[ \t]*([^#!\s=:]+)[ \t]*[=:\s][ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return dict(pairs)


def lays_out_core(project: Project) -> bool:
    """Return whether the Dockerfile's stage `solr` lays out a core itself: its ARG CORE, the first one."""
    return PROPERTIES in site_instructions(project, (SOLR,))


def upgrade_changes(cores: Iterable[CoreFolder]) -> tuple[str, ...]:
    """Return what Solr 9 gets otherwise than the configurations have it: FILE:LINE: SENTENCE."""
    found = (each for core in cores for each in read_core(core).outdated if each.is_adapted)
    return tuple(dict.fromkeys(map(str, found)))


def serving_changes(cores: Iterable[CoreFolder], *, is_closed: bool) -> tuple[str, ...]:
    """Return what is served otherwise than Solr 9 would take it: FILE: SENTENCE.

    `is_closed`: searches are all that is answered (the setting index.serve).
    """
    changes = []
    for place in cores:
        core = read_core(place)
        # What is changed is the same for every core that has that folder.
        served = _served(core, "CORE", {} if is_closed else None)
        changes += [f"{core.solrconfig.name}: {each}" for each in served.changes]
        if is_closed and (file := core.shared.get(SOLR_XML)):
            changes += [f"{place.name(SOLR_XML)}: {each}" for each in close_solr_xml(read_xml(file).root)]
    return tuple(dict.fromkeys(changes))


def repository_cores(project: Project) -> list[CoreFolder]:
    """Return every core that the setting `solr_conf` names and that has a solrconfig.xml."""
    found = [
        each for conf in project.settings.solr_conf_folders for each in find_cores(project.path(conf), conf)
    ]
    return [each for each in found if f"conf/{SOLRCONFIG}" in _layout_of(each).core]


def _layout_of(place: CoreFolder) -> Layout:
    return lay_out(set(list_files(place.folder)), place.core, _read_properties(place))


def _served(core: CoreConfiguration, name: str, counts: Mapping[str, int] | None) -> ServedConfiguration:
    """Return how a core is served: closed, where it is known how many documents of each model it has."""
    has_managed_resources = any(fnmatch(path, f"conf/{MANAGED_RESOURCES}") for path in core.files)
    root = copy.deepcopy(core.solrconfig.root)
    served = adapt_for_serving(root, name, has_managed_resources=has_managed_resources)
    if counts is None:
        return served
    changes = (*served.changes, close_core(root, counts))
    return replace(served, solrconfig=to_bytes(root), changes=changes)


def write_home(folder: Path, cores: Mapping[str, CoreFolder], *, lays_out_first: bool = False) -> None:
    """Write the folder of each core. `lays_out_first`: the stage itself lays out the first core.

    Raises `ConfigError` as `read_core` does.
    """
    for number, (name, place) in enumerate(cores.items()):
        core, target = read_core(place), folder / name
        if lays_out_first and number == 0:
            (target / "conf").mkdir(parents=True)
        else:
            _copy_files(core.files, target)
            lines = [f"{key}={value}\n" for key, value in {"name": name, **core.properties}.items()]
            (target / PROPERTIES).write_text("".join(lines), encoding="utf-8")
        for path, content in core.adapted.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_bytes(content)
        _copy_files(core.shared, folder)


def _copy_files(files: Mapping[str, Path], target: Path) -> None:
    for path, file in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, target / path)


def tune_home(folder: Path, cores: Mapping[str, CoreFolder], heap: str) -> None:
    """Have each core's index made, with so much heap."""
    for name, place in cores.items():
        root = copy.deepcopy(read_core(place).solrconfig.root)
        (folder / name / "conf" / SOLRCONFIG).write_bytes(tune(root, heap))


def serve_core(folder: Path, place: CoreFolder, made_conf: Path, counts: Mapping[str, int] | None) -> None:
    """Have the core in `folder` (named as it is) served.

    `made_conf` is its configuration as the index was made with it, `counts` its documents of each model;
    None: it answers whatever it is asked (the setting index.serve).
    """
    core = read_core(place)
    served = _served(core, folder.name, counts)
    content = served.solrconfig or core.content(f"conf/{SOLRCONFIG}")
    (folder / "conf" / SOLRCONFIG).write_bytes(content)
    schema = next((made_conf / name for name in served.managed_schemas if (made_conf / name).is_file()), None)
    if schema is not None:
        shutil.copyfile(schema, folder / "conf" / SCHEMA)


def close_home(folder: Path, cores: Iterable[str]) -> None:
    """Have a server with the cores in `folder`, each closed already, answer nothing but their searches."""
    handlers = (open_handlers(read_solrconfig(folder / core / "conf" / SOLRCONFIG).root) for core in cores)
    paths = sorted({path for each in handlers for path in each})
    (folder / SECURITY).write_text(security_json(paths), encoding="utf-8")
    file = folder / SOLR_XML
    if file.is_file():
        root = read_xml(file).root
        if close_solr_xml(root):
            file.write_bytes(to_bytes(root))
