"""A core's configuration, read without a Solr: what can't be read, what Haystack needs, what Solr 9 lacks.

That Solr loads it is for Solr to say; this names what it would stumble over, with file and line.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from haybale.doctor.finding import Finding
from haybale.errors import ConfigError
from haybale.index.home import find_cores, read_core
from haybale.index.solr_classes import find_module_class
from haybale.index.solr_upgrade import is_loaded, named_files
from haybale.index.solrconfig import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from xml.etree import ElementTree as ET

    from haybale.index.home import CoreConfiguration
    from haybale.index.solr_upgrade import Outdated
    from haybale.index.solr_xml import SolrXml

SLIM = "-slim"

# What Haystack writes into each document (haystack/constants.py).
HAYSTACK_FIELDS = ("id", "django_ct", "django_id")


def check_configuration(folder: Path, image: str | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the configurations in a folder.

    `image` is the Solr that they are for; None where a stage of the repository's own makes it.
    """
    for place in find_cores(folder, str(folder)):
        try:
            core = read_core(place)
        except ConfigError as error:
            yield Finding.from_error(error)
        else:
            yield from _check_core(core, str(folder / place.core).rstrip("/"), image)


def _check_core(core: CoreConfiguration, folder: str, image: str | None) -> Iterator[Finding]:
    for outdated in core.outdated:
        yield _describe_outdated(outdated)
    yield from _check_modules(core.solrconfig, image)
    yield from _check_files(core, core.solrconfig)
    if core.schema is None:
        yield Finding(
            level="error",
            what=f"there is no schema.xml in {folder}",
            why="Solr has no fields without it",
            fix="manage.py build_solr_schema --configure-directory writes one; or correct `solr_conf`",
        )
        return
    yield from _check_modules(core.schema, image)
    yield from _check_files(core, core.schema)
    yield from _check_fields(core.schema)


def _describe_outdated(outdated: Outdated) -> Finding:
    """Return what was written for an older Solr: a warning where haybale sees to it, else an error."""
    what = f"{outdated.place}: {outdated.what}"
    if not outdated.is_adapted:
        return Finding(level="error", what=what, why="the core does not load", fix=outdated.fix)
    done = f"has {outdated.instead}" if outdated.instead else "is without it"
    return Finding(level="warning", what=what, why=f"the copy that is baked {done}", fix=outdated.fix)


def _check_modules(xml: SolrXml, image: str | None) -> Iterator[Finding]:
    """Yield the classes that Solr 9 has only in a module; a slim image surely lacks them."""
    is_slim = image is not None and image.endswith(SLIM)
    whole = image.removesuffix(SLIM) if image else "solr:9"
    for element in xml.root.iter():
        name = resolve(element.get("class"))
        found = find_module_class(name) if name else None
        if found is None or resolve(element.get("enable", "true")) == "false":
            continue
        does_what = "the core loads" if is_loaded(element) else "it answers"
        yield Finding(
            level="error" if is_slim and is_loaded(element) else "warning",
            what=f"{xml.place(element)}: {name} is part of Solr's module {found.module}",
            why=f"{does_what} only where the image has that module, and "
            + (f"{image} has none" if is_slim else "the slim images have none"),
            fix=f'images.solr = "{whole}", <solr><str name="modules">{found.module}</str></solr> as solr.xml'
            f' in a Solr home that solr_conf names, and class="{found.name}"',
        )


def _check_files(core: CoreConfiguration, xml: SolrXml) -> Iterator[Finding]:
    """Yield the files that are named and not there."""
    if core.has_libraries:  # which may hold them
        return
    places: dict[str, str] = {}
    for element in xml.root.iter():
        for name in named_files(element):
            if f"conf/{name}" not in core.files:
                places.setdefault(name, xml.place(element))
    if not places:
        return
    (first, place), *others = places.items()
    further = f", nor are {', '.join(name for name, _ in others)}" if others else ""
    yield Finding(
        level="error",
        what=f"{place}: it names {first}, which is not there{further}",
        why="the core does not load without it",
        fix=f"put {first} beside it, as it was in the folder conf of your Solr"
        + (", or an empty one" if first.endswith(".txt") else ""),
    )


def _check_fields(schema: SolrXml) -> Iterator[Finding]:
    """Yield the fields that Haystack writes and the schema lacks, those of unknown types, and those twice."""
    elements = [*schema.root.iter("field"), *schema.root.iter("dynamicField")]
    types = {each.get("name") for each in schema.root.iter() if each.tag.lower() == "fieldtype"}
    known: dict[str, ET.Element] = {}
    for element in elements:
        name, kind = element.get("name", ""), element.get("type")
        if kind not in types:
            yield Finding(
                level="error",
                what=f"{schema.place(element)}: the field {name!r} has the type {kind!r}, which is not there",
                why="the core does not load",
                fix=f'add a <fieldType name="{kind}">, or correct its type',
            )
        if name in known:
            first = schema.place(known[name])
            yield Finding(
                level="error",
                what=f"{schema.place(element)}: the field {name!r} is there already, in {first}",
                why="the core does not load",
                fix="remove one of them",
            )
        known[name] = element
    for field in HAYSTACK_FIELDS:
        if not any(fnmatchcase(field, pattern) for pattern in known):
            yield Finding(
                level="warning",
                what=f"{schema.place(schema.root)}: it has no field {field!r}",
                why="Haystack writes it into each document, unless a setting gives it another name",
                fix=f'<field name="{field}" type="string" indexed="true" stored="true"/>',
            )
