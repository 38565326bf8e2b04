"""The schema of a core against the fields of the site's search indexes, before anything is loaded."""
# Nothing of Haystack is imported before `haybale_site.setup`.
# ruff: noqa: PLC0415

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Iterable, Mapping

from haybale_compare import Field, fields_of
from haybale_events import Failure

if TYPE_CHECKING:
    import haybale_site as site


def held(source: site.Source, names: Iterable[str]) -> dict[str, Field]:
    """Return how the source's core holds these fields."""
    wanted = sorted(names)
    full = {"showDefaults": "true"}
    return fields_of(
        source.core.schema("fields", {**full, "includeDynamic": "true", "fl": ",".join(wanted)})["fields"],
        source.core.schema("fieldtypes", full)["fieldTypes"],
        source.core.schema("copyfields", {})["copyFields"],
        wanted,
    )


def own(source: site.Source, names: site.Names) -> set[str]:
    """Return the names in Solr of an index's fields, Haystack's own among them."""
    return {*names, *(field.index_fieldname for field in source.index.fields.values())}


def check(sources: Iterable[site.Source], names: site.Names) -> list[str]:
    """Return what in a schema may go wrong, a sentence each. Raises `Failure` for what must.

    That is a field of an index which the schema lacks, and another unique key than Haystack's id.
    """
    missing: list[str] = []
    lines: list[str] = []
    notes: list[str] = []
    for source in sources:
        key = source.core.schema("uniquekey", {})["uniqueKey"]
        if key != names.id:
            raise Failure(
                "the unique key of the core {} is {!r}, and Haystack's is {!r}".format(
                    source.core.name, key, names.id
                ),
                cause="documents would replace each other, or be there twice",
                step="write <uniqueKey>{}</uniqueKey> in schema.xml".format(names.id),
            )
        fields = held(source, own(source, names))
        known = {name for name, field in fields.items() if field.kind}
        for name in sorted(set(fields) - known):
            line = schema_line(source, name)
            missing.append("field `{}` is in {} and not in the schema".format(name, place(source.index)))
            if line not in lines:
                lines.append(line)
        notes += single(source, fields)
    if missing:
        more = " and {} more".format(len(missing) - 1) if len(missing) > 1 else ""
        raise Failure(
            missing[0] + more,
            cause="schema.xml is older than the search index, or of another site",
            step="add to schema.xml: " + " ".join(lines),
            log="\n".join(missing),
        )
    return notes


def single(source: site.Source, fields: Mapping[str, Field]) -> list[str]:
    """Return a sentence for each field that may have several values and can hold one."""
    return [
        "field `{}` is multi-valued in {} and not in the schema: Solr refuses a second value".format(
            field.index_fieldname, place(source.index)
        )
        for field in source.index.fields.values()
        if field.is_multivalued
        and field.index_fieldname in fields
        and not fields[field.index_fieldname].multiple
    ]


def place(index: Any) -> str:
    """Return where a search index is defined: FILE:LINE, relative to the site's folder."""
    kind = type(index)
    try:
        return "{}:{}".format(
            os.path.relpath(inspect.getsourcefile(kind) or ""), inspect.getsourcelines(kind)[1]
        )
    except (OSError, TypeError):
        return "{}.{}".format(kind.__module__, kind.__name__)


def schema_line(source: site.Source, name: str) -> str:
    """Return the line of schema.xml for a field: Haystack's own proposal, else a plain one."""
    from haystack import connections

    fields = connections[source.alias].get_unified_index().all_searchfields()
    form = '<field name="{}" type="{}" indexed="{}" stored="{}" multiValued="{}"/>'
    for field in source.backend.build_schema(fields)[1]:
        if field["field_name"] == name:
            return form.format(name, field["type"], field["indexed"], field["stored"], field["multi_valued"])
    return form.format(name, "string", "true", "true", "true")
