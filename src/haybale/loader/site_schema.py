"""Which fields the site's search indexes have, for each of its Solr cores: what a schema is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from haystack import connections, constants

from .cores import find_cores
from .events import Failure

if TYPE_CHECKING:
    from .events import Events


def describe_schemas() -> dict[str, dict[str, Any]]:
    """Return what Haystack's own build_solr_schema puts into the schema of each core, by the core's name.

    `key`, `type_field` and `id_field` are Haystack's own fields, `content` is the field that is searched, and
    `fields` maps each other field to its type, and whether it is indexed, stored, and has several values.
    `spelling` is whether the site asks for suggestions. Raises `Failure` where two connections to one core
    have a field in two ways.
    """
    found: dict[str, dict[str, Any]] = {}
    for alias, core in find_cores().items():
        connection = connections[alias]
        backend = connection.get_backend()
        content, fields = backend.build_schema(connection.get_unified_index().all_searchfields())
        schema = found.setdefault(
            core,
            {
                "key": constants.ID,
                "type_field": constants.DJANGO_CT,
                "id_field": constants.DJANGO_ID,
                "content": content,
                "spelling": False,
                "fields": {},
            },
        )
        schema["content"] = schema["content"] or content
        schema["spelling"] = schema["spelling"] or bool(backend.include_spelling)
        for each in fields:
            name, field = each["field_name"], _describe(each)
            if schema["fields"].setdefault(name, field) != field:
                raise Failure(
                    "the field {!r} of the core {} is of two kinds".format(name, core),
                    cause="one connection has it as {}, {} as {}".format(
                        schema["fields"][name], alias, field
                    ),
                    hint="give one of them another index_fieldname, or each connection a core of its own",
                )
    return found


def _describe(field: dict[str, Any]) -> dict[str, Any]:
    """Return a field of `build_schema`, which has truth as the words of XML."""
    return {
        "type": field["type"],
        "indexed": field["indexed"] == "true",
        "stored": field["stored"] == "true",
        "multiple": field["multi_valued"] == "true",
    }


def send_schemas(events: Events) -> None:
    """Send the event `schemas`."""
    events.send("schemas", schemas=describe_schemas())
