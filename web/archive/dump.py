"""Makes the reference dump from the corpus, the same bytes every time.

Everything that would differ between two runs is fixed: the order and keys of
the rows, the times of the migrations, the layout of the file (by VACUUM), the
bytes that no row uses, the header fields that name the SQLite library, the
zip's times and permissions.
"""

import hashlib
import os
import sqlite3
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.core.management import call_command
from django.db import connections, transaction
from django.utils.text import slugify

from archive import corpus
from archive.models import Address, Party, Passage, President, Term, Topic
from archive.passages import split
from archive.presidents import PRESIDENTS
from archive.topics import RULES, main_topics, topics_of

ALIAS = "dump"
# When the migrations are said to have been applied, and the time of the zip's member.
WHEN = (2026, 11, 23, 0, 0, 0)
MEMBER = "sotu_2026-11-23.sqlite3"

_PAGE = 4096
# The kinds of pages that tables and indexes are made of, with the length of their headers. Any other page
# begins with the number of a page, and its first byte is zero in a file of less than 64 GB.
_BTREE_HEADERS = {2: 12, 5: 12, 10: 8, 13: 8}


@contextmanager
def _database(path: Path) -> Iterator[None]:
    """Let Django know a second database, for as long as it is needed."""
    settings = {**connections.databases["default"], "NAME": str(path)}
    connections.databases[ALIAS] = settings
    try:
        yield
    finally:
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.databases[ALIAS]


def _load(speeches: list[corpus.Speech]) -> None:
    """Write the rows, with keys given by their order."""
    topics = [
        Topic(
            pk=number,
            name=rule.name,
            slug=rule.slug,
            description=rule.description,
            words=rule.words.replace("*", "\N{HORIZONTAL ELLIPSIS}"),
        )
        for number, rule in enumerate(RULES, 1)
    ]
    topic_keys = {topic.slug: topic.pk for topic in topics}
    names = sorted({speech.party for speech in speeches})
    parties = {name: Party(pk=number, name=name, slug=slugify(name)) for number, name in enumerate(names, 1)}
    presidents = {
        person.key: President(
            pk=number, name=person.name, full_name=person.full_name, slug=slugify(person.name)
        )
        for number, person in enumerate(PRESIDENTS, 1)
    }
    terms = sorted(
        (number, start, end, person.key) for person in PRESIDENTS for number, start, end in person.terms
    )
    addresses, passages, address_topics, passage_topics = [], [], [], []
    for sequence, speech in enumerate(speeches, 1):
        president = presidents[speech.president]
        addresses.append(
            Address(
                pk=sequence,
                president=president,
                party=parties[speech.party],
                year=speech.year,
                sequence=sequence,
                title=f"State of the Union Address, {speech.year}",
                slug=f"{speech.year}-{president.slug}",
                words=len(speech.text.split()),
                text_digest=hashlib.sha256(speech.text.encode()).hexdigest(),
            )
        )
        counts: Counter[str] = Counter()
        texts = split(speech.text)
        for place, text in enumerate(texts, 1):
            key = len(passages) + 1
            passages.append(Passage(pk=key, address_id=sequence, place=place, text=text))
            found = topics_of(text)
            counts.update(found)
            passage_topics += [(key, topic_keys[slug]) for slug in found]
        address_topics += [(sequence, topic_keys[slug]) for slug in main_topics(counts, len(texts))]

    def put(objects: list) -> None:
        type(objects[0]).objects.using(ALIAS).bulk_create(objects, batch_size=500)

    with transaction.atomic(using=ALIAS):
        put(topics)
        put(list(parties.values()))
        put(list(presidents.values()))
        put(
            [
                Term(pk=pk, president=presidents[key], number=number, start=start, end=end)
                for pk, (number, start, end, key) in enumerate(terms, 1)
            ]
        )
        put(addresses)
        put(passages)
        for model, owner, pairs in (
            (Address.topics.through, "address_id", address_topics),
            (Passage.topics.through, "passage_id", passage_topics),
        ):
            put(
                [
                    model(**{"pk": pk, owner: key, "topic_id": topic})
                    for pk, (key, topic) in enumerate(pairs, 1)
                ]
            )


def _clear_unused(page: memoryview, start: int) -> None:
    """Overwrite what a page of a table or an index does not use; SQLite leaves there what was before.

    `start` is where the page's header begins. See "B-tree Pages" in SQLite's description of its file format.
    """
    kind = page[start]
    if kind not in _BTREE_HEADERS:  # the rest of a long value: it is used to its end, or zero
        return

    def number(at: int) -> int:
        return int.from_bytes(page[at : at + 2], "big")

    pointers_end = start + _BTREE_HEADERS[kind] + 2 * number(start + 3)
    content = number(start + 5)
    page[pointers_end:content] = bytes(content - pointers_end)
    free = number(start + 1)
    while free:
        size = number(free + 2)
        page[free + 4 : free + size] = bytes(size - 4)
        free = number(free)


def _settle(path: Path) -> None:
    """Fix what SQLite writes of its own accord."""
    moment = "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*WHEN)
    with closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE django_migrations SET applied = ?", (moment,))
        database.commit()
        database.execute(f"PRAGMA page_size = {_PAGE}")
        database.execute("VACUUM")
    content = bytearray(path.read_bytes())
    view = memoryview(content)
    for offset in range(0, len(content), _PAGE):
        _clear_unused(view[offset : offset + _PAGE], start=100 if offset == 0 else 0)
    # The file change counter and where it was valid for, then the library's version.
    for offset, value in ((24, 1), (92, 1), (96, 3_040_000)):
        view[offset : offset + 4] = value.to_bytes(4, "big")
    path.write_bytes(content)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (verdict,) = database.execute("PRAGMA integrity_check").fetchone()
    if verdict != "ok":
        raise RuntimeError(f"the database was damaged while it was made: {verdict}")


def make(package: Path, output: Path) -> None:
    """Make the dump; the output appears whole or not at all."""
    speeches = corpus.read(package)
    with tempfile.TemporaryDirectory(prefix="make-dump-") as folder:
        path = Path(folder, MEMBER)
        with _database(path):
            call_command("migrate", database=ALIAS, verbosity=0)
            _load(speeches)
        _settle(path)
        info = zipfile.ZipInfo(MEMBER, date_time=WHEN)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3  # Unix, wherever it is made
        info.external_attr = 0o100644 << 16
        aside = output.with_name(f".{output.name}.{os.getpid()}")
        try:
            with zipfile.ZipFile(aside, "w") as archive:
                archive.writestr(info, path.read_bytes(), compresslevel=9)
            aside.chmod(0o644)
            aside.replace(output)
        finally:
            aside.unlink(missing_ok=True)
