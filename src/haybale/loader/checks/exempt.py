"""Fields that the site exempts from the comparison, because they differ by nature (`index.verify_ignore`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Mapping, Sequence

from ..documents.site import NAMES, Source
from ..events import Failure
from .schema import describe_fields

if TYPE_CHECKING:
    from .schema import Schema


def check_exempt(names: Iterable[str], sources: Sequence[Source], schemas: Mapping[str, Schema]) -> None:
    """Raise `Failure` for a name (app.model.field) that is no field of a search index, nor of its schema."""
    for name in names:
        model, _, field = name.rpartition(".")
        found = [source for source in sources if source.type == model]
        known = sorted({each for source in found for each in source.field_names() - {*NAMES}})
        if field in NAMES or not any(_has_field(source, field, schemas) for source in found):
            there = known or sorted({source.type for source in sources})
            raise Failure(
                "verify_ignore names {}, and {}".format(
                    name, "that field identifies documents" if field in NAMES else "there is no such field"
                ),
                cause="{} has: {}".format(model if known else "the site", ", ".join(there)),
                hint="write it as app.model.field, in small letters but for the field: verify_ignore",
            )


def _has_field(source: Source, field: str, schemas: Mapping[str, Schema]) -> bool:
    return bool(describe_fields(schemas[source.core.url], [field])[field].kind)


def exempt_fields(names: Iterable[str], source: Source) -> frozenset[str]:
    """Return the fields of an index that are not compared."""
    split = (name.rpartition(".") for name in names)
    return frozenset(field for model, _, field in split if model == source.type)
