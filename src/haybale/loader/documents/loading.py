"""Load a partition: read its rows, prepare their documents, send them to Solr.

Each process has a connection to the database and one to each core for itself. While Solr indexes a batch, the
next one is being prepared; never more than that, so memory stays bounded.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Iterable, NamedTuple

from django.db import reset_queries

from ..events import Failure, Refusal
from .encoding import NESTED, encode_document, flatten
from .sending import BatchSize, EncodedDocument, Sender
from .site import (
    NAMES,
    HaystacksPage,
    Partition,
    PreparationError,
    Source,
    last_of_each_key,
    read_haystacks_pages,
    read_pages,
    update_rows,
)

if TYPE_CHECKING:
    from ..worker_pool import Report
    from .solr import Core


# Seconds between two reports on how far a partition is.
REPORT_SECONDS = 0.2


class Progress(NamedTuple):
    """So many more rows of a model (app.Model) are done."""

    alias: str
    label: str
    documents: int
    skipped: int


class PartitionLoader:
    """Loads partitions, in requests of `batch` documents (0: as many as is measured to be best).

    `prepare` makes the document of a row, or returns None for one that is skipped. `types` maps a core's name
    to its documents of each type so far.
    """

    def __init__(
        self, sources: Iterable[Source], batch: int, prepare: Callable[[Source, Any], dict[str, Any] | None]
    ) -> None:
        self._sources = {(source.alias, source.label): source for source in sources}
        self._prepare = prepare
        self._batch_size = BatchSize(batch)
        self._senders: dict[str, Sender] = {}
        self.types: dict[str, Counter[str]] = {}

    @property
    def batch(self) -> int:
        """The documents that go into a request now."""
        return self._batch_size.documents

    def load(self, partition: Partition, report: Report) -> None:
        """Load a partition, and report on it now and then; its last documents may still be on their way."""
        alias, label = partition.alias, partition.label
        source = self._sources[alias, label]
        sender = self._sender(source.core, report)
        documents = skipped = 0
        reported = time.monotonic()
        for page, are_again in self._pages(source, partition):
            made = self._made_by_update(source, page, report) if source.own_update else None
            for row in last_of_each_key(page) if partition.in_haystacks_pages else page:
                try:
                    if made is None:
                        fields = self._prepare(source, row)
                        encoded = [] if fields is None else [self._encode(source, row, fields, are_again)]
                    elif row.pk not in made:
                        continue
                    else:
                        encoded = [self._encode(source, row, each, are_again) for each in made[row.pk]]
                except PreparationError as error:
                    report(_preparation_refusal(source, row, error))
                    continue
                if encoded:
                    documents += not are_again
                else:
                    skipped += not are_again
                for document in encoded:
                    sender.add(document)
                if time.monotonic() - reported >= REPORT_SECONDS:
                    report(Progress(alias, label, documents, skipped))
                    documents = skipped = 0
                    reported = time.monotonic()
            # With DEBUG, Django keeps every query.
            reset_queries()
        report(Progress(alias, label, documents, skipped))

    def finish(self) -> None:
        """Send what is left, and close the connections to Solr."""
        for sender in self._senders.values():
            sender.close()

    def _pages(self, source: Source, partition: Partition) -> Iterable[HaystacksPage]:
        if partition.in_haystacks_pages:
            return read_haystacks_pages(source)
        size = source.backend.batch_size if source.own_update else self.batch
        return map(HaystacksPage, read_pages(source.queryset(), partition, size))

    def _sender(self, core: Core, report: Report) -> Sender:
        if core.url not in self._senders:
            self._senders[core.url] = Sender(
                core, self._batch_size, lambda document, reason: report(_refusal(document, reason))
            )
            self.types.setdefault(core.name, Counter())
        return self._senders[core.url]

    @staticmethod
    def _made_by_update(source: Source, page: list[Any], report: Report) -> dict[Any, list[dict[str, Any]]]:
        """Return the documents that the backend's own update makes of a page, by key; refused rows lack."""
        keys = {str(row.pk): row.pk for row in page}
        try:
            documents = update_rows(source, page)
        except PreparationError as failure:
            if len(page) == 1:
                report(_preparation_refusal(source, page[0], failure))
                return {}
            made = {}
            for row in page:
                made.update(PartitionLoader._made_by_update(source, [row], report))
            return made
        made = {key: [] for key in keys.values()}
        for each in documents:
            # What names no row of the page belongs to the page.
            made[keys.get(str(each.get(NAMES.key)), page[0].pk)].append(each)
        return made

    def _encode(self, source: Source, row: Any, fields: dict[str, Any], is_again: bool) -> EncodedDocument:
        """Return a row's document, and count it, unless it takes the place of one that was counted."""
        if NAMES.id not in fields:
            raise Failure("{} {} has no {}".format(source.label, row.pk, NAMES.id))
        # By what the document says: a custom prepare may say another type, nested ones may say none.
        types = self.types[source.core.name]
        for each in flatten(fields) if NESTED in fields else (fields,):
            types[str(each.get(NAMES.type, ""))] += not is_again
        return EncodedDocument(source, row.pk, encode_document(fields))


def _preparation_refusal(source: Source, row: Any, error: PreparationError) -> Refusal:
    """Return what is reported of a row that the site cannot prepare."""
    failure = (error.message, error.cause, error.hint, error.log)
    return Refusal(source.alias, source.label, str(row.pk), error.field, *failure)


def _refusal(document: EncodedDocument, reason: str) -> Refusal:
    """Say why Solr refuses a document, and what to do."""
    source = document.source
    unknown = re.search(r"unknown field '([^']*)'", reason)
    # Solr's sentences: DocumentBuilder ("Error adding field 'x'='y'"), Lucene ("in field="x"").
    found = unknown or re.search(r"field '([^']*)'|field=\"([^\"]*)\"", reason)
    field = next((part for part in found.groups() if part), None) if found else None
    if unknown:
        cause = "the schema of the core {} has no field {!r}".format(source.core.name, field)
        hint = "add {} to schema.xml".format(source.schema_line(field or ""))
    else:
        cause = "the document does not fit the schema of the core {}".format(source.core.name)
        hint = "change the field's type in schema.xml, or what the search index prepares"
    message = "Solr refuses {} {}: {}".format(source.label, document.key, reason)
    log = "the document: " + document.data.decode()[:1000]
    return Refusal(source.alias, source.label, str(document.key), field, message, cause, hint, log)
