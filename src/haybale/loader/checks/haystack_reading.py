"""Read rows as update_index does, by its own code: the loader's way is what is to be checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Iterator

from django.core.exceptions import EmptyResultSet
from haystack.management.commands.update_index import do_update

if TYPE_CHECKING:
    from ..documents.site import Source

# In a statement: a row depends on others of the result, or on the page that it is in.
_DEPENDS = re.compile(
    r"\bOVER\b|\b(?:UNION|INTERSECT|EXCEPT)\b|\bDISTINCT ON\b|\bLIMIT\b|\bFETCH\b", re.IGNORECASE
)


class _Taker:
    """Takes the rows in a backend's place."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def update(self, _: Any, rows: Any, **__: Any) -> None:
        """Take a page."""
        self.rows = list(rows)


def read_haystacks_pages(source: Source, *, first_only: bool = False) -> Iterator[list[Any]]:
    """Yield the rows of each page that update_index gives to the backend, or of the first page."""
    queryset = source.queryset()
    size = source.backend.batch_size
    total = size if first_only else queryset.count()
    last = None
    for start in range(0, total, size):
        taker = _Taker()
        end = min(start + size, total)
        last = do_update(
            taker, source.index, queryset, start, end, total,
            verbosity=0, commit=False, max_retries=1, last_max_pk=last,
        )  # fmt: skip
        yield taker.rows


def depends_on_reading(source: Source) -> bool:
    """Return whether rows may come out otherwise where others are filtered out, by the SQL."""
    queryset = source.queryset()
    try:
        sql = str(queryset.query.sql_with_params()[0])
    except EmptyResultSet:
        return False
    # A join may repeat a key with other values beside it.
    repeats = " JOIN " in sql and " AS " in sql and " GROUP BY " not in sql
    return bool(_DEPENDS.search(sql)) or repeats or not queryset.model._meta.managed
