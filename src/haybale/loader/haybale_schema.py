"""The schema of a core against the fields of the site's search indexes, before anything is loaded."""
# Nothing of Haystack is imported before `haybale_site.setup`.
# ruff: noqa: PLC0415

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any, Iterable, Mapping

from haybale_compare import Field, Schema, fields_of
from haybale_events import Failure

if TYPE_CHECKING:
    import haybale_site as site
    from haybale_solr import Core


def schema_of(core: Core) -> Schema:
    """Return a core's schema. Source: Solr Reference Guide, Schema API."""
    # Solr tells dynamic fields in the order in which it tries them: the longest pattern first.
    fields = [*core.schema("fields")["fields"], *core.schema("dynamicfields")["dynamicFields"]]
    types = core.schema("fieldtypes")["fieldTypes"]
    return Schema(
        key=core.schema("uniquekey")["uniqueKey"],
        fields={field["name"]: field for field in fields},
        kinds={kind["name"]: str(kind.get("class", "")).rpartition(".")[2] for kind in types},
        targets=tuple(str(copy["dest"]) for copy in core.schema("copyfields")["copyFields"]),
    )


def own(source: site.Source, names: site.Names) -> set[str]:
    """Return the names in Solr of an index's fields, Haystack's own among them."""
    return {*names, *(field.index_fieldname for field in source.index.fields.values())}


def check(sources: Iterable[site.Source], names: site.Names, schemas: Mapping[str, Schema]) -> list[str]:
    """Return what may go wrong with the cores' schemas (by URL), a sentence each.

    Raises `Failure` for what must go wrong: an index's field that the schema lacks, another unique key than
    Haystack's id.
    """
    missing: list[str] = []
    lines: list[str] = []
    notes: list[str] = []
    for source in sources:
        schema = schemas[source.core.url]
        if schema.key != names.id:
            raise Failure(
                "the unique key of the core {} is {!r}, and Haystack's is {!r}".format(
                    source.core.name, schema.key, names.id
                ),
                cause="documents would replace each other, or be there twice",
                step="write <uniqueKey>{}</uniqueKey> in schema.xml".format(names.id),
            )
        fields = fields_of(schema, own(source, names))
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
