"""The fields of a site's search indexes, as they are read, against the schema of its cores.

The loader compares what Django knows of them before it loads (loader/checks/schema.py).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from haybale.doctor.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from haybale.adoption.search_fields import SearchField

# How Haystack's build_solr_schema writes the fields of each class (haystack/backends/solr_backend.py,
# build_schema); the types are tried in their order: templates of different Haystacks call them otherwise.
TYPES: Mapping[str, tuple[str, ...]] = {
    "DateField": ("pdate", "date", "tdate"), "DateTimeField": ("pdate", "date", "tdate"),
    "IntegerField": ("plong", "long", "tlong", "pint", "int"), "FloatField": ("pfloat", "float", "tfloat"),
    "BooleanField": ("boolean",), "NgramField": ("ngram",), "EdgeNgramField": ("edge_ngram",),
    "LocationField": ("location",), "CharField": ("text_en", "text_general"),
    "DecimalField": ("text_en", "text_general"), "MultiValueField": ("text_en", "text_general"),
}  # fmt: skip


def check_fields(
    fields: Sequence[SearchField], patterns: Sequence[str], types: Sequence[str], schema: str
) -> Iterator[Finding]:
    """Yield the fields that a schema lacks.

    `patterns` are the names of its fields and dynamic fields, `types` those of its types, `schema` its file.
    """
    for field in fields:
        if not any(fnmatchcase(field.name, pattern) for pattern in patterns):
            yield Finding(
                level="error",
                what=f"{field.place}: the field {field.name!r} is not in {schema}",
                why="Solr refuses documents with it (unknown field)",
                fix=f"add to {schema}: {schema_line(field, types)}",
            )


def schema_line(field: SearchField, types: Sequence[str]) -> str:
    """Return what a schema says of a field, with a type that it has; as build_solr_schema writes it."""
    kind = field.kind.removeprefix("Facet")
    wanted = TYPES.get(kind, TYPES["CharField"])
    if field.is_facet and wanted in {TYPES["CharField"], TYPES["NgramField"], TYPES["EdgeNgramField"]}:
        wanted = ("string",)
    type_ = next((each for each in wanted if each in types), wanted[0])
    multiple = ' multiValued="true"' if field.is_multiple else ""
    return f'<field name="{field.name}" type="{type_}" indexed="true" stored="true"{multiple}/>'
