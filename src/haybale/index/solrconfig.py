"""Solr's configuration while an index is made, and while it is served: the site's own, as far as it goes.

An index is made without what only an index in use needs (docs/adr/0015), and served from an image that
nothing is written to (docs/adr/0023). What the site's solrconfig.xml has against either is changed in what
the images get; the site's files stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.errors import ConfigError
from haybale.images.stages import SOLR_HOME
from haybale.index.solr_xml import SolrXml, read_xml, to_bytes

if TYPE_CHECKING:
    from pathlib import Path

SOLRCONFIG = "solrconfig.xml"
SCHEMA = "schema.xml"

# The heap in MB: one part of so many of the memory, within what an index needs and what still pays.
MEMORY_PARTS = 4
LEAST_HEAP, MOST_HEAP = 512, 2048

# Lucene writes a segment when one part of so many of the heap is full: few, large segments need no merging.
HEAP_PARTS = 5

# For the JVM (SOLR_OPTS). Its second compiler inlines less: an index is made before most of what that
# compiles has paid. Only HotSpot knows these options.
JVM_OPTIONS = (
    "-XX:+IgnoreUnrecognizedVMOptions",
    "-XX:MaxInlineLevel=6",
    "-XX:InlineSmallCode=1000",
    "-XX:FreqInlineSize=100",
)

# What an index in use needs, as paths in solrconfig.xml: a log to replay, commits by the clock, queries that
# warm up each new searcher. An index that is being made is searched by nobody, and made again if that fails.
UPDATE_LOG = ("updateHandler", "updateLog")
DROPPED = (
    UPDATE_LOG,
    ("updateHandler", "autoCommit"),
    ("updateHandler", "autoSoftCommit"),
    ("query", "listener"),
)

# ${name} and ${name:default} (Solr Reference Guide, "Substituting Properties in Solr Config Files").
PROPERTY = re.compile(r"\$\{[^:}]*:?([^}]*)\}")

# Where an index is found afterwards: in the core's own folder `data`.
OWN_DATA = ("", "data", "./data")

# Lock types that write a file beside the index; without one Solr takes `native` (SolrIndexConfig).
WRITTEN_LOCKS = ("", "native", "simple")

MANAGED_FACTORY = "ManagedIndexSchemaFactory"
# The file that Solr writes the schema to, and what that was called once; the first one counts.
MANAGED_SCHEMAS = ("managed-schema.xml", "managed-schema")

PING = "/admin/ping"

# What Solr keeps of stop words and synonyms that are edited over HTTP ("Managed Resources").
MANAGED_RESOURCES = "_schema_*.json"

# Suggesters that keep their dictionary in a folder of its own.
STORED_SUGGESTERS = ("AnalyzingInfixLookupFactory", "BlendedInfixLookupFactory")


@dataclass(frozen=True, kw_only=True)
class ServedConfiguration:
    """How a core's solrconfig.xml is served: its content (None: as it is), what was changed, a sentence each.

    Where `managed_schemas` names files, the first of them that the core's folder `conf` has once the index is
    made is the schema, and is served as schema.xml.
    """

    solrconfig: bytes | None
    changes: tuple[str, ...]
    managed_schemas: tuple[str, ...] = ()


def default_heap(memory: int) -> str:
    """Return Solr's heap (such as 1024m) for a machine with so many bytes of memory."""
    return f"{max(LEAST_HEAP, min(MOST_HEAP, memory // MEMORY_PARTS // 1024**2))}m"


def memory_limit(heap: str) -> str:
    """Return what Solr's container may have of memory (such as 3072m), for a heap (512m, 1g).

    As much again as the heap is for what Java needs besides, and for the index's pages; so is a gigabyte.
    """
    return f"{2 * _megabytes(heap) + 1024}m"


def buffer_size(heap: str) -> int:
    """Return the megabytes of documents that are held before a segment is written, for a heap (512m, 1g)."""
    return _megabytes(heap) // HEAP_PARTS


def _megabytes(heap: str) -> int:
    return int(heap[:-1]) * {"m": 1, "g": 1024}[heap[-1]]


def read_solrconfig(file: Path, name: str | None = None) -> SolrXml:
    """Return a solrconfig.xml with what it includes; `ConfigError` with file and line where it is none."""
    if not file.is_file():
        raise ConfigError(
            f"there is no {name or file}",
            cause="the setting `solr_conf` names another folder than that of Solr's configuration",
            hint="fix the setting, or put schema.xml and solrconfig.xml there",
        )
    xml = read_xml(file, name)
    if xml.root.tag != "config":
        raise ConfigError(
            f"{xml.place(xml.root)}: it starts with <{xml.root.tag}>, not with <config>",
            cause="it is another kind of file",
            hint="put Solr's solrconfig.xml there",
        )
    return xml


def tune(root: ET.Element, heap: str) -> bytes:
    """Return the configuration for making an index, from the site's own (which is changed by it)."""
    for parent, child in DROPPED:
        _drop(root, parent, child)
    _keep_index_in_core(root)
    _answer_pings(root)
    for suggester in _stored_suggesters(root):
        set_option(suggester, "buildOnCommit", "true")
    settings = find_or_add(root, "indexConfig")
    for each in settings.findall("ramBufferSizeMB") + settings.findall("maxBufferedDocs"):
        settings.remove(each)
    ET.SubElement(settings, "ramBufferSizeMB").text = str(buffer_size(heap))
    return to_bytes(root)


def adapt_for_serving(
    root: ET.Element, core: str, *, has_managed_resources: bool = False
) -> ServedConfiguration:
    """Return a core's configuration (which is changed by it) as it can be served where nothing is written.

    `has_managed_resources`: it has stop words or synonyms that were edited over HTTP (`MANAGED_RESOURCES`).
    """
    managed = managed_schemas(root)
    changes = _keep_index_in_core(root)
    if managed:
        _drop(root, None, "schemaFactory")
        ET.SubElement(root, "schemaFactory", {"class": "ClassicIndexSchemaFactory"})
        changes.append(f"the schema factory is ClassicIndexSchemaFactory: {MANAGED_FACTORY} writes a file")
    for adapt in (_use_single_lock, _drop_update_log, _keep_suggestions, _answer_pings):
        changes += adapt(root)
    if has_managed_resources:
        changes += _read_managed_resources(root, f"{SOLR_HOME}/{core}/conf")
    content = to_bytes(root) if changes else None
    return ServedConfiguration(solrconfig=content, changes=tuple(changes), managed_schemas=managed)


def managed_schemas(root: ET.Element) -> tuple[str, ...]:
    """Return the names of the schema's file where Solr writes it itself (it does by default), else none."""
    factory = root.find("schemaFactory")
    if factory is None:
        return MANAGED_SCHEMAS
    if not resolve(factory.get("class")).endswith(MANAGED_FACTORY):
        return ()
    own = [resolve(each.text) for each in factory.findall("str") if "ResourceName" in each.get("name", "")]
    return (*own, *MANAGED_SCHEMAS)


def _keep_index_in_core(root: ET.Element) -> list[str]:
    """Have the index written into the core's own folder, from where it is taken."""
    changes = []
    folder = root.find("dataDir")
    if folder is not None and resolve(folder.text).rstrip("/") not in OWN_DATA:
        root.remove(folder)
        changes.append(f"the index is in the core's folder, not in {folder.text}")
    directory = root.find("directoryFactory")
    if directory is not None and resolve(directory.get("class")).endswith("RAMDirectoryFactory"):
        root.remove(directory)
        changes.append("the index is in files: RAMDirectoryFactory keeps it in memory only")
    return changes


def _use_single_lock(root: ET.Element) -> list[str]:
    settings = find_or_add(root, "indexConfig")
    kind = resolve(settings.findtext("lockType"))
    if kind not in WRITTEN_LOCKS:
        return []
    find_or_add(settings, "lockType").text = "single"
    return [f"the lock type is single: {kind or 'native (the default)'} writes a file"]


def _drop_update_log(root: ET.Element) -> list[str]:
    return ["there is no update log: Solr opens it for writing"] if _drop(root, *UPDATE_LOG) else []


def _keep_suggestions(root: ET.Element) -> list[str]:
    changes = []
    for suggester in _stored_suggesters(root):
        if suggester.findtext("*[@name='buildOnStartup']") == "false":
            continue
        set_option(suggester, "buildOnStartup", "false")
        name = suggester.findtext("str[@name='name']", "default")
        changes.append(f"the suggester {name} was built with the index, and is not built at the start")
    return changes


def _answer_pings(root: ET.Element) -> list[str]:
    """Have pings answered, by which an image's health is told: by Solr's own handler, which asks for all."""
    changes = []
    for handler in root.findall(f"requestHandler[@name='{PING}']"):
        if handler.find("str[@name='healthcheckFile']") is not None:
            changes.append("pings are answered by Solr's own handler: the site's waits for a file")
        elif any(":" not in resolve(each.text) for each in handler.findall("lst/str[@name='q']")) and not any(
            each.find("lst/str[@name='df']") is not None
            for each in (handler, *(each for each in root.findall("initParams") if _applies_to_ping(each)))
        ):
            changes.append("pings are answered by Solr's own handler: the site's has no field (df) to search")
        else:
            continue
        root.remove(handler)
    return changes


def _applies_to_ping(parameters: ET.Element) -> bool:
    """Return whether initParams are also those of pings ("initParams", "Wildcards in initParams")."""
    paths = (each.strip() for each in parameters.get("path", "").split(","))
    return any(each in {PING, "/admin/*", "/admin/**", "/**"} for each in paths)


def _read_managed_resources(root: ET.Element, folder: str) -> list[str]:
    """Have managed stop words and synonyms read: Solr reads none from a folder that it cannot write."""
    manager = find_or_add(root, "restManager")
    if manager.find("str[@name='storageDir']") is not None:
        return []
    set_option(manager, "storageDir", folder)
    return ["managed resources are read from the image: by default only where that can be written"]


def _stored_suggesters(root: ET.Element) -> list[ET.Element]:
    """Return the suggesters that are built into files of their own."""
    return [
        suggester
        for suggester in root.findall("searchComponent/lst[@name='suggester']")
        if suggester.find("str[@name='storeDir']") is not None
        or resolve(suggester.findtext("str[@name='lookupImpl']")).endswith(STORED_SUGGESTERS)
    ]


def set_option(element: ET.Element, name: str, value: str) -> None:
    """Set an option of a component, as a string: these are read as such."""
    for each in element.findall(f"*[@name='{name}']"):
        element.remove(each)
    ET.SubElement(element, "str", {"name": name}).text = value


def find_or_add(parent: ET.Element, tag: str) -> ET.Element:
    """Return a child, which is added where there is none."""
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def _drop(root: ET.Element, parent: str | None, child: str) -> bool:
    """Drop every element of a path; return whether there was one."""
    found = [(each, old) for each in root.findall(parent or ".") for old in each.findall(child)]
    for each, old in found:
        each.remove(old)
    return bool(found)


def resolve(text: str | None) -> str:
    """Return a value as it is where no property is set."""
    return PROPERTY.sub(r"\1", text or "").strip()
