"""The schema of a core against the fields of the site's search indexes, before anything is loaded."""

from __future__ import annotations

import inspect
import os
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Iterable, Mapping, NamedTuple

from ..events import Failure

if TYPE_CHECKING:
    from ..documents.site import Source
    from ..documents.solr import Core


class Field(NamedTuple):
    """How Solr holds a field: `kind` is its type's class, `source` where its values come back from."""

    kind: str
    source: str | None  # "stored", "doc values", or None where Solr does not give them back
    explicit: bool  # must be asked for by name
    multiple: bool
    added: bool  # others add to it: it is the target of a copyField, or has a default


class Schema(NamedTuple):
    """A core's schema: a plain value.

    `key` is its unique key. `fields` maps a field's name, or the pattern of a dynamic one (*_s, in the order
    in which Solr tries them), to what its schema API says of it; `kinds` a type's name to its class
    (StrField). `targets` are the names and patterns that copyFields add to.
    """

    key: str
    fields: Mapping[str, Mapping[str, Any]]
    kinds: Mapping[str, str]
    targets: tuple[str, ...]


def read_schema(core: Core) -> Schema:
    """Return a core's schema. Source: Solr Reference Guide, Schema API."""
    # Solr lists dynamic fields in the order in which it tries them: the longest pattern first.
    fields = [*core.schema_part("fields")["fields"], *core.schema_part("dynamicfields")["dynamicFields"]]
    types = core.schema_part("fieldtypes")["fieldTypes"]
    return Schema(
        key=core.schema_part("uniquekey")["uniqueKey"],
        fields={field["name"]: field for field in fields},
        kinds={kind["name"]: str(kind.get("class", "")).rpartition(".")[2] for kind in types},
        targets=tuple(str(copy["dest"]) for copy in core.schema_part("copyfields")["copyFields"]),
    )


def describe_fields(schema: Schema, names: Iterable[str]) -> dict[str, Field]:
    """Return how Solr holds each of `names`."""
    found = {}
    for name in names:
        field = schema.fields.get(name)
        if field is None:
            patterns = (each for each in schema.fields if "*" in each and fnmatchcase(name, each))
            field = schema.fields.get(next(patterns, ""), {})
        source = "stored" if field.get("stored") else "doc values" if field.get("docValues") else None
        found[name] = Field(
            kind=schema.kinds.get(field.get("type", ""), ""),
            source=source,
            explicit=source == "doc values" and not field.get("useDocValuesAsStored", True),
            multiple=bool(field.get("multiValued")),
            added="default" in field or any(fnmatchcase(name, target) for target in schema.targets),
        )
    return found


def check_schemas(sources: Iterable[Source], id_field: str, schemas: Mapping[str, Schema]) -> list[str]:
    """Return what may go wrong with the cores' schemas (by URL), a sentence each.

    Raises `Failure` for what must go wrong: an index's field that the schema lacks, another unique key than
    `id_field`, Haystack's id.
    """
    missing: list[str] = []
    lines: list[str] = []
    notes: list[str] = []
    for source in sources:
        schema = schemas[source.core.url]
        if schema.key != id_field:
            raise Failure(
                "the unique key of the core {} is {!r}, and Haystack's is {!r}".format(
                    source.core.name, schema.key, id_field
                ),
                cause="documents would replace each other, or be there twice",
                hint="write <uniqueKey>{}</uniqueKey> in schema.xml".format(id_field),
            )
        fields = describe_fields(schema, source.field_names())
        for name in sorted(name for name, field in fields.items() if not field.kind):
            place = definition_place(source.index)
            missing.append("field `{}` is in {} and not in the schema".format(name, place))
            lines.append(source.schema_line(name))
        notes += _multiple_in_single(source, fields)
    if missing:
        more = " and {} more".format(len(missing) - 1) if len(missing) > 1 else ""
        raise Failure(
            missing[0] + more,
            cause="Solr would refuse every document that has it",
            hint="add to schema.xml: " + " ".join(dict.fromkeys(lines)),
            log="\n".join(missing),
        )
    return notes


def _multiple_in_single(source: Source, fields: Mapping[str, Field]) -> list[str]:
    """Return a sentence for each field that may have several values and can hold one."""
    return [
        "field `{}` is multi-valued in {} and not in the schema: Solr refuses a second value".format(
            field.index_fieldname, definition_place(source.index)
        )
        for field in source.index.fields.values()
        if field.is_multivalued and not fields[field.index_fieldname].multiple
    ]


def definition_place(index: Any) -> str:
    """Return where a search index is defined: FILE:LINE, relative to the site's folder."""
    kind = type(index)
    try:
        line = inspect.getsourcelines(kind)[1]
        return "{}:{}".format(os.path.relpath(inspect.getsourcefile(kind) or ""), line)
    except (OSError, TypeError):
        return "{}.{}".format(kind.__module__, kind.__name__)
