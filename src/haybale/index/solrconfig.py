"""Solr's configuration while an index is made, and while it is served: the site's own, as far as it goes.

An index is made without what only an index in use needs (docs/adr/0015), and served from an image that
nothing is written to (docs/adr/0023). What the site's solrconfig.xml has against either is changed in what
the images get; the site's files stay as they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementInclude
from xml.etree import ElementTree as ET

from haybale.errors import ConfigError
from haybale.images.stages import SOLR_HOME

if TYPE_CHECKING:
    from collections.abc import Iterable

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

# What Solr keeps of stop words and synonyms that are edited over HTTP ("Managed Resources").
MANAGED_RESOURCES = "_schema_*.json"

# Suggesters that keep their dictionary in a folder of its own.
STORED_SUGGESTERS = ("AnalyzingInfixLookupFactory", "BlendedInfixLookupFactory")


@dataclass(frozen=True, kw_only=True)
class ServedConfiguration:
    """How a core's solrconfig.xml is served: its content, and what in it is not the site's, a sentence each.

    Where `managed_schemas` names files, the first of them that the core's folder `conf` has once the index is
    made is the schema, and is served as schema.xml.
    """

    solrconfig: bytes
    changes: tuple[str, ...]
    managed_schemas: tuple[str, ...] = ()


def default_heap(memory: int) -> str:
    """Return Solr's heap (such as 1024m) for a machine with so many bytes of memory."""
    return f"{max(LEAST_HEAP, min(MOST_HEAP, memory // MEMORY_PARTS // 1024**2))}m"


def buffer_size(heap: str) -> int:
    """Return the megabytes of documents that are held before a segment is written, for a heap (512m, 1g)."""
    unit = {"m": 1, "g": 1024}[heap[-1]]
    return int(heap[:-1]) * unit // HEAP_PARTS


def read_solrconfig(file: Path) -> ET.Element:
    """Return a solrconfig.xml with what it includes; `ConfigError` with file and line where it is none."""
    if not file.is_file():
        raise ConfigError(
            f"there is no {file}",
            cause="the setting `solr_conf` names another folder than that of Solr's configuration",
            hint="fix the setting, or put schema.xml and solrconfig.xml there",
        )
    root = _parse(file)
    try:
        # XML Inclusions, which Solr resolves too ("Configuring solrconfig.xml", "XInclude").
        ElementInclude.include(root, _load_included, base_url=str(file))  # type: ignore[arg-type]
    except ElementInclude.FatalIncludeError as error:
        raise ConfigError(f"{file}: an <xi:include> cannot be read: {error}") from error
    if root.tag != "config":
        raise ConfigError(
            f"{file}:1: it starts with <{root.tag}>, not with <config>",
            cause="it is another kind of file",
            hint="put Solr's solrconfig.xml there",
        )
    return root


def _load_included(href: str, parse: str, encoding: str | None = None) -> ET.Element | str:
    file = Path(href)
    try:
        return _parse(file) if parse == "xml" else file.read_text(encoding=encoding or "utf-8")
    except OSError as error:
        raise ConfigError(
            f"{href} cannot be read: {error.strerror}",
            cause=f"an <xi:include> of {SOLRCONFIG} names it",
            hint="correct its href, or restore the file",
        ) from error


def _parse(file: Path) -> ET.Element:
    try:
        return ET.fromstring(file.read_bytes())  # noqa: S314 - the site's own file
    except ET.ParseError as error:
        line, column = error.position
        raise ConfigError(
            f"{file}:{line}: {error}",
            cause=f"it is no well-formed XML (column {column})",
            hint="fix it and try again",
        ) from error


def tune(root: ET.Element, heap: str) -> bytes:
    """Return the configuration for making an index, from the site's own (which is changed by it)."""
    for parent, child in DROPPED:
        _drop(root, parent, child)
    _keep_index_in_core(root)
    for suggester in _stored_suggesters(root):
        _set_option(suggester, "buildOnCommit", "true")
    settings = _find_or_add(root, "indexConfig")
    for each in settings.findall("ramBufferSizeMB") + settings.findall("maxBufferedDocs"):
        settings.remove(each)
    ET.SubElement(settings, "ramBufferSizeMB").text = str(buffer_size(heap))
    return _to_bytes(root)


def adapt_for_serving(conf: Path, core: str) -> ServedConfiguration:
    """Return a core's configuration, of the folder `conf`, as it can be served where nothing is written.

    Raises `ConfigError` as `read_solrconfig` does.
    """
    file = conf / SOLRCONFIG
    root = read_solrconfig(file)
    managed = _managed_schemas(root)
    changes = _keep_index_in_core(root)
    if managed:
        _drop(root, None, "schemaFactory")
        ET.SubElement(root, "schemaFactory", {"class": "ClassicIndexSchemaFactory"})
        changes.append(f"the schema factory is ClassicIndexSchemaFactory: {MANAGED_FACTORY} writes a file")
    for adapt in (_use_single_lock, _drop_update_log, _keep_suggestions):
        changes += adapt(root)
    if any(conf.glob(MANAGED_RESOURCES)):
        changes += _read_managed_resources(root, f"{SOLR_HOME}/{core}/conf")
    content = _to_bytes(root) if changes else file.read_bytes()
    return ServedConfiguration(solrconfig=content, changes=tuple(changes), managed_schemas=managed)


def serving_changes(root: Path, folders: Iterable[str]) -> tuple[str, ...]:
    """Return what is not the site's in the configurations that are served: FOLDER/solrconfig.xml: SENTENCE.

    `folders` are relative to the repository's `root`. Raises `ConfigError` as `read_solrconfig` does.
    """
    # What is changed is the same for every core that has that folder.
    found = {folder: adapt_for_serving(root / folder, "CORE").changes for folder in folders}
    return tuple(f"{folder}/{SOLRCONFIG}: {each}" for folder, changes in found.items() for each in changes)


def _managed_schemas(root: ET.Element) -> tuple[str, ...]:
    """Return the names of the schema's file where Solr writes it itself, which it does by default."""
    factory = root.find("schemaFactory")
    if factory is None:
        return MANAGED_SCHEMAS
    if not _resolve(factory.get("class")).endswith(MANAGED_FACTORY):
        return ()
    own = [_resolve(each.text) for each in factory.findall("str") if "ResourceName" in each.get("name", "")]
    return (*own, *MANAGED_SCHEMAS)


def _keep_index_in_core(root: ET.Element) -> list[str]:
    """Have the index written into the core's own folder, from where it is taken."""
    changes = []
    folder = root.find("dataDir")
    if folder is not None and _resolve(folder.text).rstrip("/") not in OWN_DATA:
        root.remove(folder)
        changes.append(f"the index is in the core's folder, not in {folder.text}")
    directory = root.find("directoryFactory")
    if directory is not None and _resolve(directory.get("class")).endswith("RAMDirectoryFactory"):
        root.remove(directory)
        changes.append("the index is in files: RAMDirectoryFactory keeps it in memory only")
    return changes


def _use_single_lock(root: ET.Element) -> list[str]:
    settings = _find_or_add(root, "indexConfig")
    kind = _resolve(settings.findtext("lockType"))
    if kind not in WRITTEN_LOCKS:
        return []
    _find_or_add(settings, "lockType").text = "single"
    return [f"the lock type is single: {kind or 'native (the default)'} writes a file"]


def _drop_update_log(root: ET.Element) -> list[str]:
    return ["there is no update log: Solr opens it for writing"] if _drop(root, *UPDATE_LOG) else []


def _keep_suggestions(root: ET.Element) -> list[str]:
    changes = []
    for suggester in _stored_suggesters(root):
        if suggester.findtext("*[@name='buildOnStartup']") == "false":
            continue
        _set_option(suggester, "buildOnStartup", "false")
        name = suggester.findtext("str[@name='name']", "default")
        changes.append(f"the suggester {name} was built with the index, and is not built at the start")
    return changes


def _read_managed_resources(root: ET.Element, folder: str) -> list[str]:
    """Have managed stop words and synonyms read: Solr reads none from a folder that it cannot write."""
    manager = _find_or_add(root, "restManager")
    if manager.find("str[@name='storageDir']") is not None:
        return []
    _set_option(manager, "storageDir", folder)
    return ["managed resources are read from the image: by default only where that can be written"]


def _stored_suggesters(root: ET.Element) -> list[ET.Element]:
    """Return the suggesters that are built into files of their own."""
    return [
        suggester
        for suggester in root.findall("searchComponent/lst[@name='suggester']")
        if suggester.find("str[@name='storeDir']") is not None
        or _resolve(suggester.findtext("str[@name='lookupImpl']")).endswith(STORED_SUGGESTERS)
    ]


def _set_option(element: ET.Element, name: str, value: str) -> None:
    """Set an option of a component, as a string: these are read as such."""
    for each in element.findall(f"*[@name='{name}']"):
        element.remove(each)
    ET.SubElement(element, "str", {"name": name}).text = value


def _find_or_add(parent: ET.Element, tag: str) -> ET.Element:
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def _drop(root: ET.Element, parent: str | None, child: str) -> bool:
    """Drop every element of a path; return whether there was one."""
    found = [(each, old) for each in root.findall(parent or ".") for old in each.findall(child)]
    for each, old in found:
        each.remove(old)
    return bool(found)


def _resolve(text: str | None) -> str:
    """Return a value as it is where no property is set."""
    return PROPERTY.sub(r"\1", text or "").strip()


def _to_bytes(root: ET.Element) -> bytes:
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
