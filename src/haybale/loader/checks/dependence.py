"""Whether an index's rows depend on how they are read, by another sign than the loader's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.core.exceptions import EmptyResultSet

from ..documents.site import SET_RETURNING

if TYPE_CHECKING:
    from ..documents.site import Source

# In a statement: a row depends on others of the result, or on the page that it is in.
_DEPENDS = re.compile(
    r"\bOVER\b|\b(?:UNION|INTERSECT|EXCEPT)\b|\bDISTINCT ON\b|\bLIMIT\b|\bFETCH\b", re.IGNORECASE
)


def depends_on_reading(source: Source) -> bool:
    """Return whether rows may come out otherwise where others are filtered out, by the SQL."""
    queryset = source.queryset()
    try:
        sql = str(queryset.query.sql_with_params()[0])
    except EmptyResultSet:
        return False
    if _DEPENDS.search(sql) or SET_RETURNING.search(sql) or not queryset.query.standard_ordering:
        return True
    # A join may repeat a key with other values beside it.
    joins = " JOIN " in sql or bool(queryset.query.extra_tables)
    grouped = " GROUP BY " in sql and all(
        each.contains_aggregate for each in queryset.query.annotation_select.values()
    )
    return (joins and " AS " in sql and not grouped) or not queryset.model._meta.managed
