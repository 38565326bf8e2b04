"""Prepare rows once more, and compare them with Solr's documents field by field."""

from __future__ import annotations

import functools
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence

from django.db import reset_queries

from ..documents.site import (
    NAMES,
    Partition,
    Source,
    count_rows,
    prepare,
    read_haystacks_pages,
    read_pages,
    update_rows,
)
from ..events import Difference
from .differences import find_differences
from .schema import Field, Schema, describe_fields

if TYPE_CHECKING:
    from ..worker_pool import Report
    from .sample import CompareTask

# Rows and documents that are compared at once, at first and at the least and most: as many as make an answer
# of Solr's of about so many bytes. Each query costs more than a document does.
FIRST, LEAST, MOST = 500, 20, 2500
ANSWER_BYTES = 4_000_000

# Differences that are reported one by one.
MAX_DIFFERENCES = 50

# Between ids in a query: a character that no document can contain (documents/encoding.py drops it).
SEPARATOR = "\x01"

# What was prepared of some rows, by key; None where the index skips one.
Prepared = Mapping[Any, Optional[Mapping[str, Any]]]


class ComparisonResult(NamedTuple):
    """What comparing some rows found: a plain value. Of the rows, those with a document are compared."""

    rows: int = 0
    compared: int = 0
    wrong: int = 0
    differences: tuple[Difference, ...] = ()
    not_comparable: frozenset[str] = frozenset()

    def plus(self, other: ComparisonResult) -> ComparisonResult:
        """Return both together."""
        return ComparisonResult(
            self.rows + other.rows,
            self.compared + other.compared,
            self.wrong + other.wrong,
            (self.differences + other.differences)[:MAX_DIFFERENCES],
            self.not_comparable | other.not_comparable,
        )


class IndexComparer:
    """Compares rows of one index with Solr's documents, held as a schema says; but for `exempt` fields."""

    def __init__(self, source: Source, schema: Schema, exempt: frozenset[str] = frozenset()) -> None:
        self._exempt = exempt
        self._source = source
        self._schema = schema
        self._fields: dict[str, Field] = {}
        self._page_size = FIRST

    def compare(self, task: CompareTask, report: Report) -> tuple[Partition, ComparisonResult]:
        """Compare what the task names; return its partition with what was found.

        Of a whole partition, the rows so far are reported page by page: (partition, rows).
        """
        rows = self._source.queryset()
        pages: Iterable[Sequence[Any]]
        if task.pages is not None:
            pages = self._haystacks_pages(task)
        elif task.keys is None:
            pages = read_pages(rows, task.partition, self._page_size)
        else:
            pages = [list(rows.filter(pk__in=task.keys).order_by("pk"))]
        # The quicker way, for very many; those of the first page are made by Haystack's own.
        quick = task.pages is None and task.keys is None
        result = ComparisonResult()
        for each in self._compare_pages(pages, self._prepare if quick else self._update):
            result = result.plus(each)
            if task.keys is None:
                report((task.partition, each.rows))
            reset_queries()
        return task.partition, result

    def _haystacks_pages(self, task: CompareTask) -> Iterator[Sequence[Any]]:
        """Yield the chosen rows of each page of Haystack's, each where it is given to the backend at last."""
        is_first = task.pages == "first"
        wanted = None if task.keys is None else set(task.keys)
        # The page in which a key is for the last time, for those that Haystack reads again.
        final: dict[Any, int] = {}
        rows = self._source.queryset()
        if not is_first and rows.count() > count_rows(rows):
            for number, page in enumerate(read_haystacks_pages(self._source)):
                if page.are_again:
                    final.update((row.pk, number) for row in page.rows)
        for number, page in enumerate(read_haystacks_pages(self._source, first_only=is_first)):
            yield [
                row
                for row in page.rows
                if (wanted is None or row.pk in wanted) and final.get(row.pk, number) == number
            ]

    def _prepare(self, rows: Sequence[Any]) -> Prepared:
        """Return the documents of rows, by key, as the loader makes them."""
        return {row.pk: prepare(self._source, row) for row in rows}

    def _update(self, rows: Sequence[Any]) -> Prepared:
        """Return the documents of rows as the backend's `update` gives them to pysolr, by Haystack's key."""
        made: dict[Any, Mapping[str, Any] | None] = {}
        for number, fields in enumerate(update_rows(self._source, list(rows)) if rows else ()):
            key = fields.get(NAMES.key)
            made[(key, number) if key in made else key] = fields
        return made

    def _compare_pages(
        self, pages: Iterable[Sequence[Any]], make: Callable[[Sequence[Any]], Prepared]
    ) -> Iterator[ComparisonResult]:
        """Prepare rows again and compare them with what Solr has, page by page.

        While Solr answers for a page, the next one is prepared; so two of them are held at most.
        """
        with ThreadPoolExecutor(1) as thread:
            before: tuple[Callable[[], Prepared], Prepared, Future[dict[str, Any]]] | None = None
            for rows in pages:
                prepared = make(rows)
                # All queries to Solr are made there: there is one connection.
                page = (functools.partial(make, rows), prepared, thread.submit(self._query, prepared))
                if before is not None:
                    yield self._compare_page(*before)
                before = page
            if before is not None:
                yield self._compare_page(*before)

    def _compare_page(
        self, make_again: Callable[[], Prepared], prepared: Prepared, answer: Future[dict[str, Any]]
    ) -> ComparisonResult:
        """Compare what was prepared with Solr's documents, by id."""
        found = answer.result()
        fields = self._fields
        model = self._source.type
        wrong: list[Difference] = []
        for key, expected in prepared.items():
            if expected is None:
                continue
            document = found.get(expected[NAMES.id])
            if document is None:
                wrong.append(Difference(model, str(key), NAMES.id, expected[NAMES.id], None))
            else:
                differences = find_differences(expected, document, fields)
                wrong += [
                    Difference(model, str(key), *each) for each in differences if each[0] not in self._exempt
                ]
        not_comparable = frozenset(name for name, field in fields.items() if field.source is None)
        compared = sum(1 for each in prepared.values() if each is not None)
        first = tuple(_marked(wrong[:MAX_DIFFERENCES], prepared, make_again()) if wrong else ())
        return ComparisonResult(len(prepared), compared, len(wrong), first, not_comparable)

    def _query(self, prepared: Prepared) -> dict[str, Any]:
        """Return Solr's documents by id; finds out how Solr holds those fields that are new."""
        core = self._source.core
        names = self._source.field_names().union(*(fields for fields in prepared.values() if fields))
        if not self._fields.keys() >= names:
            # Another mapping: the page before may be compared by this one just now.
            self._fields = {**self._fields, **describe_fields(self._schema, names - self._fields.keys())}
        ids = [str(fields[NAMES.id]) for fields in prepared.values() if fields]
        if not ids:
            return {}
        # Some fields are given back only when asked for by name.
        explicit = [name for name, field in self._fields.items() if field.explicit]
        query = {"fl": ",".join(["*", *explicit]), "rows": str(len(ids))}
        query["q"] = "{!terms f=%s separator=$haybale_separator v=$haybale_ids}" % NAMES.id
        # `ids` itself is a parameter of Solr's own distributed search.
        query.update(haybale_separator=SEPARATOR, haybale_ids=SEPARATOR.join(ids))
        answer = core.select(query)
        self._page_size = max(LEAST, min(MOST, len(ids) * ANSWER_BYTES // core.answer_size))
        return {document[NAMES.id]: document for document in answer["response"]["docs"]}


def _marked(wrong: Iterable[Difference], prepared: Prepared, again: Prepared) -> Iterator[Difference]:
    """Yield differences, with those marked whose value is another each time that it is prepared."""
    before, now = ({str(key): fields or {} for key, fields in each.items()} for each in (prepared, again))
    for each in wrong:
        values = (made.get(each.key, {}).get(each.field) for made in (before, now))
        yield each._replace(varies=len({repr(value) for value in values}) > 1)
