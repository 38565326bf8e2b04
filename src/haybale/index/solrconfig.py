"""Solr's configuration while an index is made: the site's own, without what only an index in use needs.

The baked image has the site's configuration, unchanged; this one is mounted over it while the index is made.
What it changes, and what that was found to be worth, is in docs/adr/0015.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

SOLRCONFIG = "solrconfig.xml"

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
DROPPED = (
    ("updateHandler", "updateLog"),
    ("updateHandler", "autoCommit"),
    ("updateHandler", "autoSoftCommit"),
    ("query", "listener"),
)


def default_heap(memory: int) -> str:
    """Return Solr's heap (such as 1024m) for a machine with so many bytes of memory."""
    return f"{max(LEAST_HEAP, min(MOST_HEAP, memory // MEMORY_PARTS // 1024**2))}m"


def buffer_size(heap: str) -> int:
    """Return the megabytes of documents that are held before a segment is written, for a heap (512m, 1g)."""
    unit = {"m": 1, "g": 1024}[heap[-1]]
    return int(heap[:-1]) * unit // HEAP_PARTS


def read_solrconfig(file: Path) -> ET.Element:
    """Return a solrconfig.xml; raises `ConfigError` with file and line where it is none."""
    try:
        root = ET.fromstring(file.read_bytes())  # noqa: S314 - the site's own file
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no {file}",
            cause="the setting `solr_conf` names another folder than that of Solr's configuration",
            hint="fix the setting, or put schema.xml and solrconfig.xml there",
        ) from error
    except ET.ParseError as error:
        line, column = error.position
        raise ConfigError(
            f"{file}:{line}: {error}",
            cause=f"it is no well-formed XML (column {column})",
            hint="fix it and try again",
        ) from error
    if root.tag != "config":
        raise ConfigError(
            f"{file}:1: it starts with <{root.tag}>, not with <config>",
            cause="it is another kind of file",
            hint="put Solr's solrconfig.xml there",
        )
    return root


def tune(root: ET.Element, heap: str) -> bytes:
    """Return the configuration for making an index, from the site's own (which is changed by it)."""
    for parent, child in DROPPED:
        for element in root.findall(parent):
            for each in element.findall(child):
                element.remove(each)
    settings = root.find("indexConfig")
    if settings is None:
        settings = ET.SubElement(root, "indexConfig")
    for each in settings.findall("ramBufferSizeMB") + settings.findall("maxBufferedDocs"):
        settings.remove(each)
    ET.SubElement(settings, "ramBufferSizeMB").text = str(buffer_size(heap))
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))
