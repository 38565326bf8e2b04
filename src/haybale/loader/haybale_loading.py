"""What a worker of the loader does: read the rows of a partition, prepare their documents, send them to Solr.

It has a connection to the database and one to each core for itself. While Solr indexes a batch, the next one
is being prepared; never more than that, so memory stays bounded.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

import haybale_site as site
from haybale_audit import Seen, watching
from haybale_doctor import Doctor, Sample
from haybale_documents import NESTED, body, encode, flatten
from haybale_events import Failure
from haybale_schema import schema_line
from haybale_solr import BAD_REQUEST, Core, Refused, sift
from haybale_verify import Comparisons, Look
from haybale_work import Tell, Worker

if TYPE_CHECKING:
    from haybale_compare import Schema

# Bytes of a request, about: more make it no quicker, and a worker holds two of them.
BODY = 1_000_000

# Seconds that Solr's answer to a request should take. Requests are then few enough to cost nothing, and short
# enough for the first documents to be on their way at once and the last ones to end together.
ANSWER = 0.3

# Documents a request, at first and at the least and most.
FIRST, LEAST, MOST = 100, 20, 5000

# Seconds between two words on how far a partition is.
TICK = 0.2


class Options(NamedTuple):
    """What every worker is told. `starts` and `schemas` have each core's start and schema, by its URL."""

    batch: int  # documents a request, 0: as many as pays
    inputs: str  # see haybale_audit.py
    starts: Mapping[str, str]
    schemas: Mapping[str, Schema]


class Progress(NamedTuple):
    """So many more rows of a model (app.Model) are done."""

    alias: str
    label: str
    documents: int
    skipped: int


class Refusal(NamedTuple):
    """A row whose document is not in Solr: the site could not prepare it, or Solr refuses it."""

    alias: str
    label: str
    key: str
    field: str  # "" where that is not known
    reason: str
    cause: str
    step: str
    log: str


class Finish(NamedTuple):
    """The task that comes after all partitions: to send what is left, and to tell what was done (`End`)."""


class End(NamedTuple):
    """What a worker did in all. `types` maps a core's name to its documents of each type."""

    types: dict[str, dict[str, int]]
    seen: Seen
    batch: int
    samples: Mapping[tuple[str, str], Sample]


class Entry(NamedTuple):
    """A document on its way: of which row, and its JSON."""

    source: site.Source
    key: str
    data: bytes


class Pace:
    """How many documents go into a request: those that Solr takes in `ANSWER` seconds, `BODY` bytes at most.

    As many rows are read at once, so this bounds what a worker holds, however large the documents are.
    """

    def __init__(self, fixed: int) -> None:
        self._fixed = fixed
        self.size = fixed or FIRST

    def took(self, documents: int, size: int, seconds: float) -> None:
        """Learn from a request of `size` bytes; at most twice or half as many the next time."""
        if self._fixed or (documents < self.size and size < BODY):
            return
        fitting = int(documents * min(ANSWER / max(seconds, 0.001), BODY / size))
        self.size = max(LEAST, min(MOST, max(documents // 2, min(documents * 2, fitting))))


class Sender:
    """Sends batches to a core, one at a time."""

    def __init__(self, core: Core, pace: Pace, tell: Tell) -> None:
        self._core = core
        self._pace = pace
        self._tell = tell
        self._pool = ThreadPoolExecutor(1)
        self._flying: tuple[list[Entry], Future[None]] | None = None
        self._batch: list[Entry] = []
        self._bytes = 0

    def add(self, entry: Entry) -> None:
        """Take a document; sends when there is enough of them."""
        self._batch.append(entry)
        self._bytes += len(entry.data)
        if len(self._batch) >= self._pace.size or self._bytes >= BODY:
            self.flush()

    def flush(self) -> None:
        """Send what there is, once the batch before is answered."""
        batch, self._batch, self._bytes = self._batch, [], 0
        self.wait()
        if batch:
            self._flying = (batch, self._pool.submit(self._send, batch))

    def wait(self) -> None:
        """Wait for the batch that is on its way; tells of each document that Solr refuses."""
        if self._flying is None:
            return
        batch, answer = self._flying
        self._flying = None
        try:
            answer.result()
        except Refused as refused:
            if refused.status != BAD_REQUEST:
                raise
            for position, each in sift(self._core, [entry.data for entry in batch]):
                self._tell(refusal(batch[position], self._core, each.reason))

    def close(self) -> None:
        """Send the rest, wait for it and close the connection."""
        self.flush()
        self.wait()
        self._pool.shutdown()
        self._core.close()

    def _send(self, batch: list[Entry]) -> None:
        content = body(entry.data for entry in batch)
        started = time.perf_counter()
        self._core.update(content)
        self._pace.took(len(batch), len(content), time.perf_counter() - started)


class Loading(Worker):
    """Loads partitions."""

    def __init__(self, options: Options) -> None:
        self._audit = watching(options.inputs)
        with self._audit.starting():
            site.setup()
            self._names = site.names()
            found = site.sources(lambda _: None)
        self._sources = {(source.alias, source.label): source for source in found}
        for source in found:
            source.core.started = options.starts[source.core.url]
        self._pace = Pace(options.batch)
        self._doctor = Doctor()
        self._comparisons = Comparisons(found, self._names, options.schemas)
        self._senders: dict[str, Sender] = {}
        self._types: dict[str, dict[str, int]] = {}

    def do(self, task: site.Partition | Finish | Look, tell: Tell) -> Any:
        """Load a partition, or send what is left and return an `End`, or compare what is to be compared."""
        if isinstance(task, Look):
            return self._comparisons.do(task, tell)
        if isinstance(task, Finish):
            return self._finish()
        return self._load(task, tell)

    def _load(self, partition: site.Partition, tell: Tell) -> None:
        """Load a partition; the last of it may still be on its way at the end."""
        from django.db import reset_queries  # noqa: PLC0415 - only after `setup`

        source = self._sources[partition.alias, partition.label]
        sender = self._sender(source.core, tell)
        tally = Tally(source, tell)
        with self._audit.preparing(source.label):
            for page in site.pages(source.queryset(), partition, self._pace.size):
                for row in page:
                    entry = self._prepared(source, row, tally)
                    if entry is not None:
                        sender.add(entry)
                # With DEBUG, Django keeps every query.
                reset_queries()
        tally.tell()

    def _finish(self) -> End:
        for sender in self._senders.values():
            sender.close()
        return End(self._types, self._audit.seen(), self._pace.size, self._doctor.samples)

    def _sender(self, core: Core, tell: Tell) -> Sender:
        if core.url not in self._senders:
            self._senders[core.url] = Sender(core, self._pace, tell)
            self._types.setdefault(core.name, {})
        return self._senders[core.url]

    def _prepared(self, source: site.Source, row: Any, tally: Tally) -> Entry | None:
        """Return a row's document on its way; None where there is none."""
        try:
            fields = self._doctor.prepare(source, row)
            if fields is None:
                tally.count(skipped=1)
                return None
            if self._names.id not in fields:
                raise Failure("{} {} has no {}".format(source.label, row.pk, self._names.id))
        except site.Unprepared as failure:
            tally.refuse(row.pk, failure)
            return None
        # By what the document says: a custom prepare may say another type, nested ones may say none.
        types = self._types[source.core.name]
        for each in flatten(fields) if NESTED in fields else (fields,):
            name = str(each.get(self._names.type, ""))
            types[name] = types.get(name, 0) + 1
        tally.count(documents=1)
        return Entry(source, str(row.pk), encode(fields))


class Tally:
    """Counts the rows of a partition, and tells of them now and then."""

    def __init__(self, source: site.Source, tell: Tell) -> None:
        self._source = source
        self._tell = tell
        self._documents = 0
        self._skipped = 0
        self._told = time.monotonic()

    def count(self, documents: int = 0, skipped: int = 0) -> None:
        """Count rows."""
        self._documents += documents
        self._skipped += skipped
        if time.monotonic() - self._told >= TICK:
            self.tell()

    def refuse(self, key: Any, failure: site.Unprepared) -> None:
        """Tell of a row that could not be prepared."""
        source = self._source
        self._tell(
            Refusal(
                source.alias, source.label, str(key), failure.field, failure.what, failure.cause,
                failure.step, failure.log,
            )
        )  # fmt: skip

    def tell(self) -> None:
        """Tell what was counted since the last time."""
        self._told = time.monotonic()
        self._tell(Progress(self._source.alias, self._source.label, self._documents, self._skipped))
        self._documents = self._skipped = 0


def refusal(entry: Entry, core: Core, reason: str) -> Refusal:
    """Say why Solr refuses a document, and what to do."""
    source = entry.source
    unknown = re.search(r"unknown field '([^']*)'", reason)
    # Solr's sentences: DocumentBuilder ("Error adding field 'x'='y'"), Lucene ("in field="x"").
    field = unknown or re.search(r"field '([^']*)'|field=\"([^\"]*)\"", reason)
    name = next((part for part in field.groups() if part), "") if field else ""
    what = "Solr refuses {} {}: {}".format(source.label, entry.key, reason)
    if unknown:
        cause = "the schema of the core {} has no field {!r}".format(core.name, name)
        step = "add {} to schema.xml".format(schema_line(source, name))
    else:
        cause = "the document does not fit the schema of the core {}".format(core.name)
        step = "change the field's type in schema.xml, or what the search index prepares"
    log = "the document: " + entry.data.decode()[:1000]
    return Refusal(source.alias, source.label, entry.key, name, what, cause, step, log)
