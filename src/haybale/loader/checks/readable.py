"""Whether update_index could read the rows of each index, before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable

from django.db.models import QuerySet

from ..documents.django_setup import site_frames
from ..documents.site import find_dependence, not_readable
from ..events import summarize

if TYPE_CHECKING:
    from ..documents.site import Source


def check_readable(sources: Iterable[Source]) -> None:
    """Raise `Failure` for an index whose rows update_index cannot read, or not all of them.

    Source: haystack/management/commands/update_index.py, do_update.
    """
    for source in sources:
        rows = source.queryset()
        try:
            first = list(rows.all().order_by("pk")[:1])
            if find_dependence(source):
                # Then that is asked for, too.
                rows.count()
        except Exception as error:
            raise not_readable(source, summarize(error), site_frames(error)) from error
        if first and not hasattr(first[0], "pk"):
            raise not_readable(
                source, "each is a {}, and no {}".format(type(first[0]).__name__, source.label)
            )
        lost = _lost_rows(rows, source.backend.batch_size)
        if lost:
            raise not_readable(source, lost)


def _lost_rows(rows: QuerySet, page: int) -> str | None:
    """Return why update_index does not come to all rows; None where it does."""
    query = rows.query
    if query.combinator and rows.count() > page:
        return "they are a union, which is not filtered, and more than one page ({} rows)".format(page)
    if not query.standard_ordering and rows.count() > page:
        return "their order is reversed, and they are more than one page ({} rows)".format(page)
    if type(rows).count is not QuerySet.count:
        counted, there = rows.count(), query.get_count(using=rows.db)
        if counted < there:
            return "{}.count() says {}, and there are {}".format(type(rows).__name__, counted, there)
    return None
