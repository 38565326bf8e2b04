"""A core's configuration, read without a Solr: what can't be read, what Haystack needs, what Solr 9 lacks.

That Solr loads it is for Solr to say; this names what it would stumble over, with file and line.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from xml.parsers import expat

from haybale.doctor.finding import Finding
from haybale.index.solr_classes import find_module_class, find_replacement, is_removed
from haybale.index.solrconfig import MANAGED_SCHEMAS, SCHEMA, SOLRCONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# By which names Solr knows a schema: the managed one goes before the other
# (Solr Reference Guide, "Schema Factory Configuration").
SCHEMAS = (*MANAGED_SCHEMAS, SCHEMA)

# What Haystack writes into each document (haystack/constants.py).
HAYSTACK_FIELDS = ("id", "django_ct", "django_id")


@dataclass(frozen=True, kw_only=True)
class Element:
    """An element of an XML file: its name, its attributes, and its line (from 1)."""

    name: str
    attributes: Mapping[str, str]
    line: int


def read_elements(file: Path) -> list[Element]:
    """Return the elements of an XML file in their order; raises `OSError`, `expat.ExpatError`."""
    elements: list[Element] = []
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        elements.append(Element(name=name, attributes=attributes, line=parser.CurrentLineNumber))

    parser.StartElementHandler = start
    parser.Parse(file.read_bytes(), True)
    return elements


def find_schema(folder: Path) -> Path | None:
    """Return the schema that Solr would read, None for none."""
    return next((folder / name for name in SCHEMAS if (folder / name).is_file()), None)


def check_configuration(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with the configuration of a core."""
    schema = find_schema(folder)
    if schema is None:
        yield Finding(
            level="error",
            what=f"there is no schema.xml in {folder}",
            why="Solr has no fields without it",
            fix="manage.py build_solr_schema --configure-directory writes one; or correct `solr_conf`",
        )
    for file in (schema, folder / SOLRCONFIG):
        if file is None:
            continue
        try:
            elements = read_elements(file)
        except FileNotFoundError:
            yield Finding(
                level="error",
                what=f"there is no {file}",
                why="a core does not load without it",
                fix="put Solr's solrconfig.xml there, or correct the setting `solr_conf`",
            )
        except (OSError, expat.ExpatError) as error:
            place = f"{file}:{error.lineno}" if isinstance(error, expat.ExpatError) else str(file)
            what = f"{place}: it cannot be read as XML: {error}"
            yield Finding(level="error", what=what, why="Solr cannot read it either", fix="correct that line")
        else:
            yield from check_classes(file, elements)
            if file == schema:
                yield from check_schema(file, elements)


def check_classes(file: Path, elements: list[Element]) -> Iterator[Finding]:
    """Yield the classes that Solr 9 has not, or only in a module."""
    for element in elements:
        name = element.attributes.get("class", "")
        place = f"{file}:{element.line}: {name}"
        if is_removed(name):
            instead = find_replacement(name)
            fix = f'write class="{instead}"' if instead else f"remove this <{element.name}>"
            yield Finding(
                level="warning", what=f"{place} is not in Solr 9", why="the core does not load there", fix=fix
            )
        elif found := find_module_class(name):
            yield Finding(
                level="warning",
                what=f"{place} is part of Solr's module {found.module}",
                why="the core loads only where the image has that module, and the slim images have none",
                fix=f'images.solr with the modules (solr:9), and SOLR_MODULES="{found.module}"',
            )


def check_schema(file: Path, elements: list[Element]) -> Iterator[Finding]:
    """Yield the fields that Haystack writes and the schema lacks."""
    patterns = [
        each.attributes.get("name", "") for each in elements if each.name in {"field", "dynamicField"}
    ]
    for field in HAYSTACK_FIELDS:
        if not any(fnmatchcase(field, pattern) for pattern in patterns):
            yield Finding(
                level="warning",
                what=f"{file}:1: it has no field {field!r}",
                why="Haystack writes it into each document, unless a setting gives it another name",
                fix=f'<field name="{field}" type="string" indexed="true" stored="true"/>',
            )
