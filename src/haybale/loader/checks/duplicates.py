"""Find why Solr holds fewer documents than it was sent: two of them have one id."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping

from ..documents.encoding import flatten
from ..documents.site import NAMES, Source, prepare, read_pages, update_rows
from ..events import Failure

if TYPE_CHECKING:
    from ..documents.solr import Core

# Rows that are read at once.
PAGE = 1000


def documents_of(source: Source, row: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a row's documents and those nested in them."""
    for each in update_rows(source, [row]) if source.own_update else [prepare(source, row) or {}]:
        yield from flatten(each)


def explain_missing(core: Core, sources: Iterable[Source], sent: int) -> Failure:
    """Return the failure that names two documents with one id, or that says how many a core should hold.

    Every document is prepared once more for that. The ids are in a temporary file of SQLite's own, which
    keeps what fits in its cache: millions of ids take no memory.
    """
    ids = sqlite3.connect("", isolation_level=None)
    ids.execute("PRAGMA journal_mode = OFF")
    ids.execute("CREATE TABLE ids (id PRIMARY KEY, label, key) WITHOUT ROWID")
    ids.execute("BEGIN")
    rows = (
        (source, row)
        for source in sources
        if source.core.url == core.url
        for page in read_pages(source.queryset(), source.whole(), PAGE)
        for row in page
    )
    for source, row in rows:
        for document in documents_of(source, row):
            if NAMES.id not in document:
                continue
            entry = (str(document[NAMES.id]), source.label, str(row.pk))
            if not ids.execute("INSERT OR IGNORE INTO ids VALUES (?, ?, ?)", entry).rowcount:
                first = ids.execute("SELECT label, key FROM ids WHERE id = ?", entry[:1]).fetchone()
                return Failure(
                    "{1} {2} has the same id as {3} {4}: {0}".format(*entry, *first),
                    cause="HAYSTACK_IDENTIFIER_METHOD or a custom prepare gives one id to several documents, "
                    "of which Solr keeps only the last",
                    hint="make the id unique",
                )
    found = core.count_by(NAMES.type)[0]
    return Failure(
        "the core {} holds {} documents, and was sent {}".format(core.name, found, sent),
        cause="no two documents have the same id, and Solr refused none",
        hint="look at the update processors in solrconfig.xml, and at what else writes into this core",
    )
