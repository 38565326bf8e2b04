"""Load the site's whole search index into its empty Solr core, and commit once.

Run in the site's container, with its folder as the working directory: `python /haybale/load.py --batch 1000`.
Speaks the protocol of haybale_events.py. Nothing is deleted, and nothing is committed before the end.
"""

from __future__ import annotations

import argparse
import re
import sqlite3
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import haybale_site as site
from haybale_audit import Audit, known
from haybale_documents import body, encode, flatten
from haybale_events import Events, Failure, run
from haybale_solr import BAD_REQUEST, Core, Refused, bisect

# A request is sent when it holds this many bytes, however few documents they are: memory stays bounded.
BODY = 8_000_000

# Seconds between two progress events.
TICK = 0.2


class Entry(NamedTuple):
    """A document on its way: of which model and row, its id, and its JSON."""

    label: str
    key: str
    id: str
    data: bytes


class Ids:
    """The ids that a core was given. Two documents with one id would be one document in the end.

    In a temporary file of SQLite's own, which keeps what fits in its cache: millions of ids take no memory.
    """

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("PRAGMA synchronous = OFF")
        self._file.execute("CREATE TABLE ids (core, id, label, key, PRIMARY KEY (core, id)) WITHOUT ROWID")
        self._file.execute("BEGIN")

    def add(self, core: Core, entry: Entry) -> None:
        """Note an id; raises `Failure` where another document has it."""
        try:
            self._file.execute(
                "INSERT INTO ids VALUES (?, ?, ?, ?)", (core.url, entry.id, entry.label, entry.key)
            )
        except sqlite3.IntegrityError as error:
            query = "SELECT label, key FROM ids WHERE core = ? AND id = ?"
            label, key = self._file.execute(query, (core.url, entry.id)).fetchone()
            raise Failure(
                "{} {} has the same id as {} {}: {}".format(entry.label, entry.key, label, key, entry.id),
                cause="HAYSTACK_IDENTIFIER_METHOD or a custom prepare gives one id to several documents, of "
                "which Solr would keep only the last",
                step="make the id unique",
            ) from error


class Sender:
    """Sends batches to a core. While Solr indexes one, the next is being prepared; never more than that."""

    def __init__(self, source: site.Source, pool: ThreadPoolExecutor) -> None:
        self._source = source
        self._pool = pool
        self._flying: tuple[list[Entry], Future[None]] | None = None
        self._batch: list[Entry] = []
        self._bytes = 0

    def add(self, entry: Entry) -> None:
        """Take a document; sends when there is enough of them."""
        self._batch.append(entry)
        self._bytes += len(entry.data)
        if self._bytes >= BODY:
            self.flush()

    def flush(self) -> None:
        """Send what there is."""
        batch, self._batch, self._bytes = self._batch, [], 0
        self.wait()
        if batch:
            content = body(entry.data for entry in batch)
            self._flying = (batch, self._pool.submit(self._source.core.update, content))

    def wait(self) -> None:
        """Wait for the batch that is on its way. Raises `Failure` that names the document Solr refuses."""
        if self._flying is None:
            return
        batch, answer = self._flying
        self._flying = None
        try:
            answer.result()
        except Refused as refused:
            if refused.status != BAD_REQUEST:
                raise
            raise _explained(self._source, batch, refused) from refused


def _explained(source: site.Source, batch: list[Entry], refused: Refused) -> Failure:
    position, refused = bisect(source.core, [entry.data for entry in batch], refused)
    unknown = re.search(r"unknown field '([^']*)'", refused.reason)
    if position is None:
        return refused
    entry = batch[position]
    what = "Solr refuses {} {}: {}".format(entry.label, entry.key, refused.reason)
    if unknown:
        return Failure(
            what,
            cause="the schema of the core {} has no field {!r}".format(source.core.name, unknown.group(1)),
            step="add {} to schema.xml".format(_schema_line(source, unknown.group(1))),
        )
    return Failure(
        what,
        cause="the document does not fit the schema of the core {}".format(source.core.name),
        step="change the field's type in schema.xml, or what the search index prepares",
        log="the document: " + entry.data.decode()[:1000],
    )


def _schema_line(source: site.Source, name: str) -> str:
    """Return the line of schema.xml for a field: Haystack's own proposal, else a plain one."""
    from haystack import connections  # noqa: PLC0415 - only after `setup`

    fields = connections[source.alias].get_unified_index().all_searchfields()
    form = '<field name="{}" type="{}" indexed="{}" stored="{}" multiValued="{}"/>'
    for field in source.backend.build_schema(fields)[1]:
        if field["field_name"] == name:
            return form.format(name, field["type"], field["indexed"], field["stored"], field["multi_valued"])
    return form.format(name, "string", "true", "true", "true")


def load_partition(
    source: site.Source, partition: site.Partition, batch: int, sender: Sender, tally: Tally
) -> None:
    """Prepare and send a partition's documents; the last batch may still be on its way at the end."""
    from django.db import reset_queries  # noqa: PLC0415 - only after `setup`

    for page in site.pages(source.queryset(), partition, batch):
        for row in page:
            fields = site.prepare(source, row)
            entry = tally.count(source, row, fields)
            if entry is not None:
                sender.add(entry)
        sender.flush()
        # With DEBUG, Django keeps every query.
        reset_queries()


class Tally:
    """Counts what was sent and skipped, and tells how far the loading is."""

    def __init__(self, events: Events, names: site.Names) -> None:
        self._events = events
        self._names = names
        self._ids = Ids()
        self._told = 0.0
        self.models: list[dict[str, Any]] = []
        self.types: dict[str, dict[str, int]] = {}

    def begin(self, source: site.Source) -> None:
        """Start a model."""
        self.models.append(
            {
                "alias": source.alias,
                "core": source.core.name,
                "model": source.type,
                "database": site.rows(source.queryset()),
                "documents": 0,
                "skipped": 0,
            }
        )
        self.types.setdefault(source.core.name, {})
        self.tell()

    def count(self, source: site.Source, row: Any, fields: dict[str, Any] | None) -> Entry | None:
        """Count a row and return its document on its way, None where it is skipped."""
        model = self.models[-1]
        entry = None
        if fields is None:
            model["skipped"] += 1
        else:
            if self._names.id not in fields:
                raise Failure("{} {} has no {}".format(source.label, row.pk, self._names.id))
            entry = Entry(source.label, str(row.pk), str(fields[self._names.id]), encode(fields))
            self._ids.add(source.core, entry)
            model["documents"] += 1
            # By what the document says: a custom prepare may say another type, nested ones may say none.
            types = self.types[source.core.name]
            for each in flatten(fields):
                name = str(each.get(self._names.type, ""))
                types[name] = types.get(name, 0) + 1
        if time.monotonic() - self._told >= TICK:
            self.tell()
        return entry

    def tell(self) -> None:
        """Send a progress event."""
        model = self.models[-1]
        self._told = time.monotonic()
        self._events.send(
            "progress",
            alias=model["alias"],
            model=model["model"],
            done=model["documents"] + model["skipped"],
            total=model["database"],
        )


def main(events: Events) -> None:
    """Load every index of every Solr connection."""
    parser = argparse.ArgumentParser(description="Load the site's search index into its empty Solr core.")
    parser.add_argument("--batch", type=int, default=1000, help="documents a request")
    parser.add_argument(
        "--inputs", default="", help="what may be read (JSON, see haybale_audit.py); else no audit"
    )
    options = parser.parse_args()
    audit = Audit(known(options.inputs))
    if options.inputs:
        audit.install()
    with audit.starting():
        site.setup()
        names = site.names()
        sources = site.sources(lambda text: events.send("note", text=text))
    cores = list({source.core.url: source.core for source in sources}.values())
    for core in cores:
        core.require_empty()
    tally = Tally(events, names)
    with ThreadPoolExecutor(max_workers=1) as pool:
        for source in sources:
            sender = Sender(source, pool)
            with audit.preparing(source.label):
                tally.begin(source)
                load_partition(source, source.whole(), options.batch, sender, tally)
            sender.wait()
            tally.tell()
    for core in cores:
        core.commit()
        core.close()
    for core in cores:
        events.send("counts", core=core.name, field=names.type, counts=tally.types[core.name])
    if options.inputs:
        tell_unknown(events, audit)
    events.send("loaded", models=tally.models)


def tell_unknown(events: Events, audit: Audit) -> None:
    """Send what was read that is no input."""
    from django.conf import settings  # noqa: PLC0415 - only after `setup`

    if audit.trouble:
        events.send("note", text="the audit of what is read is not complete: " + audit.trouble)
    events.send("unknown-inputs", **audit.report(settings.DATABASES.values()))


if __name__ == "__main__":
    sys.exit(run(main))
