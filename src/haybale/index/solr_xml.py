"""Solr's XML files, read with the line of each element, so that what is wrong in one can be named."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementInclude
from xml.etree import ElementTree as ET
from xml.parsers import expat

from haybale.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class SolrXml:
    """A file's elements with what it includes, and the place (FILE:LINE) of each as it was read."""

    name: str
    root: ET.Element
    places: Mapping[ET.Element, str]

    def place(self, element: ET.Element) -> str:
        """Return FILE:LINE; of an element that was added since, the file."""
        return self.places.get(element, self.name)

    def to_bytes(self) -> bytes:
        """Return the file as it is now, without comments."""
        return to_bytes(self.root)


def to_bytes(root: ET.Element) -> bytes:
    """Return a file with these elements."""
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def read_xml(file: Path, name: str | None = None) -> SolrXml:
    """Read a file with what it includes and what its entities name; messages call it `name`.

    Raises `ConfigError`, with file and line for what is no well-formed XML.
    """
    name = name or str(file)
    places: dict[ET.Element, str] = {}
    root = _parse(file, name, places)

    def load(href: str, parse: str, encoding: str | None = None) -> ET.Element | str:
        where = _beside(name, os.path.relpath(href, file.parent))
        if parse == "xml":
            return _parse(Path(href), where, places)
        return _read(Path(href), where).decode(encoding or "utf-8", "replace")

    try:
        # XML Inclusions, which Solr resolves too ("Configuring solrconfig.xml", "XInclude").
        ElementInclude.include(root, load, base_url=str(file))  # type: ignore[arg-type]
    except ElementInclude.FatalIncludeError as error:
        raise ConfigError(f"{name}: an <xi:include> cannot be read: {error}") from error
    return SolrXml(name=name, root=root, places=places)


def _read(file: Path, name: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{name} cannot be read: {error.strerror}",
            cause="it is part of Solr's configuration, by its name, an <xi:include> or an <!ENTITY>",
            hint="restore it, or correct what names it",
        ) from error


def _beside(name: str, href: str) -> str:
    return "/".join([*name.split("/")[:-1], href])


def _parse(file: Path, name: str, places: dict[ET.Element, str]) -> ET.Element:
    """Return a file's root; `places` gets the place of each element."""
    builder = ET.TreeBuilder()
    reading = [(expat.ParserCreate(namespace_separator="}"), name)]

    def start(tag: str, attributes: dict[str, str]) -> None:
        parser, where = reading[-1]
        element = builder.start(_qualify(tag), {_qualify(key): value for key, value in attributes.items()})
        places[element] = f"{where}:{parser.CurrentLineNumber}"

    def read_entity(context: str, _base: str | None, system: str | None, _public: str | None) -> int:
        # <!ENTITY types SYSTEM "types.xml">, which is how schemas were put together before XInclude.
        if system is None:
            return 0
        inner = reading[-1][0].ExternalEntityParserCreate(context)
        reading.append((inner, _beside(name, system)))
        inner.Parse(_read(file.parent / system, reading[-1][1]), True)
        reading.pop()
        return 1

    parser = reading[0][0]
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: builder.end(_qualify(tag))
    parser.CharacterDataHandler = builder.data
    parser.ExternalEntityRefHandler = read_entity
    try:
        parser.Parse(_read(file, name), True)
    except expat.ExpatError as error:
        raise ConfigError(
            f"{reading[-1][1]}:{error.lineno}: it cannot be read as XML: {error}",
            cause=f"it is no well-formed XML (column {error.offset})",
            hint="fix it and try again",
        ) from error
    return builder.close()


def _qualify(name: str) -> str:
    """Return a name with its namespace as ElementTree writes it."""
    return f"{{{name}" if "}" in name else name
