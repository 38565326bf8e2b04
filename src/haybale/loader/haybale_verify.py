"""Look whether Solr holds what the site's database says: every count, and documents field by field.

The event `verified` says what was found:

    seed            of the random sample; give it back with --seed to draw the same one
    whole           whether every document was compared, not a sample
    models          [{alias, core, model, database, documents, skipped, found, queried, sample}]: rows in the
                    database now, documents sent, rows skipped, documents in Solr, those that Haystack itself
                    finds there, documents compared
    cores           [{core, expected {type: n}, found {type: n}, total}]
    wrong           number of fields and documents that differ
    differences     the first of them: [{model, key, field, expected, found}]
    not_comparable  [field]: neither stored nor in doc values, so Solr can't give them back
"""
# Nothing of Haystack is imported before `haybale_site.setup`.
# ruff: noqa: PLC0415

from __future__ import annotations

import itertools
import random
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence

import haybale_site as site
from haybale_compare import Field, Schema, differences, fields_of
from haybale_schema import own, schema_of
from haybale_work import DONE, TOLD, Crew, Tell, Worker, processors

if TYPE_CHECKING:
    from haybale_events import Events

# Rows and documents that are compared at once, at first and at the least and most: as many as make an answer
# of Solr's of about so many bytes. Each question costs more than a document does.
FIRST, LEAST, MOST = 500, 20, 2500
ANSWER = 4_000_000

# Keys that a worker is given at once, of a sample.
HAND = 100

# Rows of a partition, where every document is compared.
PART = 5000

# Differences that are told one by one.
TOLD_SINGLY = 50

# Between ids in a query: a character that no document can contain (haybale_documents drops it).
SEPARATOR = "\x01"

# The sample's size that stands for all documents.
EVERY = -1


# What was prepared of some rows, by key; None where the index skips one.
Prepared = Mapping[Any, Optional[Mapping[str, Any]]]


class Draw(NamedTuple):
    """Documents of each model to compare (EVERY: all), and the seed by which they are drawn."""

    size: int
    seed: int


class Found(NamedTuple):
    """What comparing some rows found: a plain value. Of the rows, those with a document are compared."""

    rows: int = 0
    compared: int = 0
    wrong: int = 0
    differences: tuple[Mapping[str, Any], ...] = ()
    not_comparable: frozenset[str] = frozenset()

    def plus(self, other: Found) -> Found:
        """Return both together."""
        return Found(
            self.rows + other.rows,
            self.compared + other.compared,
            self.wrong + other.wrong,
            (self.differences + other.differences)[:TOLD_SINGLY],
            self.not_comparable | other.not_comparable,
        )


def draw(queryset: Any, size: int, chance: random.Random) -> list[Any]:
    """Return `size` keys by chance (all where there are fewer), reading every key once, in bounded memory.

    Reservoir sampling, Algorithm R (J. Vitter, Random Sampling with a Reservoir, 1985).
    """
    drawn: list[Any] = []
    every = queryset.order_by("pk").values_list("pk", flat=True).iterator(chunk_size=10_000)
    # A join may repeat a key, one after the other in this order.
    for number, (key, _) in enumerate(itertools.groupby(every)):
        if number < size:
            drawn.append(key)
        else:
            place = chance.randint(0, number)
            if place < size:
                drawn[place] = key
    return drawn


class Comparison:
    """Compares rows of one index with Solr's documents, held as a schema says.

    `fitting` is how many rows are best compared at once.
    """

    def __init__(self, source: site.Source, names: site.Names, schema: Schema) -> None:
        self._source = source
        self._names = names
        self._schema = schema
        self._fields: dict[str, Field] = {}
        self.fitting = FIRST

    def compare(self, pages: Iterable[Sequence[Any]]) -> Iterator[Found]:
        """Prepare rows again and compare them with what Solr has, page by page.

        While Solr answers for a page, the next one is prepared; so two of them are held at most.
        """
        with ThreadPoolExecutor(1) as pool:
            before: tuple[Prepared, Future[dict[str, Any]]] | None = None
            for rows in pages:
                prepared = {row.pk: site.prepare(self._source, row) for row in rows}
                # Whatever is asked of Solr is asked there: there is one connection.
                page = (prepared, pool.submit(self._stored, prepared))
                if before is not None:
                    yield self._judged(before[0], before[1].result())
                before = page
            if before is not None:
                yield self._judged(before[0], before[1].result())

    def _judged(self, prepared: Prepared, found: Mapping[str, Any]) -> Found:
        """Compare what was prepared with Solr's documents, by id."""
        names, held_as = self._names, self._fields
        wrong: list[dict[str, Any]] = []
        for key, fields in prepared.items():
            if fields is None:
                continue
            here = found.get(fields[names.id])
            if here is None:
                wrong.append(self._wrong(key, names.id, fields[names.id], None))
            else:
                wrong += [self._wrong(key, *each) for each in differences(fields, here, held_as)]
        lost = frozenset(name for name, field in held_as.items() if not field.source)
        compared = sum(1 for fields in prepared.values() if fields is not None)
        return Found(len(prepared), compared, len(wrong), tuple(wrong[:TOLD_SINGLY]), lost)

    def _wrong(self, key: Any, field: str, expected: Any, found: Any) -> dict[str, Any]:
        return {
            "model": self._source.type,
            "key": str(key),
            "field": field,
            "expected": expected,
            "found": found,
        }

    def _stored(self, prepared: Prepared) -> dict[str, Any]:
        """Return Solr's documents by id; looks up how Solr holds what fields are new."""
        names, source = self._names, self._source
        unknown = own(source, names).union(*(fields for fields in prepared.values() if fields))
        if not self._fields.keys() >= unknown:
            # Another mapping: the page before may be compared by this one just now.
            self._fields = {**self._fields, **fields_of(self._schema, unknown - self._fields.keys())}
        ids = [str(fields[names.id]) for fields in prepared.values() if fields]
        if not ids:
            return {}
        # Some fields are given back only when asked for by name.
        extra = [name for name, field in self._fields.items() if field.explicit]
        answer = source.core.select(
            {
                # `ids` itself is a parameter of Solr's own distributed search.
                "q": "{!terms f=%s separator=$haybale_separator v=$haybale_ids}" % names.id,
                "haybale_separator": SEPARATOR,
                "haybale_ids": SEPARATOR.join(ids),
                "fl": ",".join(["*", *extra]),
                "rows": str(len(ids)),
            }
        )
        self.fitting = max(LEAST, min(MOST, len(ids) * ANSWER // source.core.answered))
        return {document[names.id]: document for document in answer["response"]["docs"]}


class Look(NamedTuple):
    """What is to be compared: a partition, or just these keys of it."""

    partition: site.Partition
    keys: tuple[Any, ...] | None = None


class Comparisons:
    """Compares rows of any index. `schemas` maps a core's URL to its schema."""

    def __init__(
        self, sources: Iterable[site.Source], names: site.Names, schemas: Mapping[str, Schema]
    ) -> None:
        self._every = {
            (source.alias, source.label): (source, Comparison(source, names, schemas[source.core.url]))
            for source in sources
        }

    def do(self, look: Look, tell: Tell) -> tuple[site.Partition, Found]:
        """Compare what is to be compared; return its partition with what was found."""
        from django.db import reset_queries

        part = look.partition
        source, comparison = self._every[part.alias, part.label]
        if look.keys is not None:
            pages: Iterable[Sequence[Any]] = [list(source.queryset().filter(pk__in=look.keys))]
        else:
            pages = site.pages(source.queryset(), part, comparison.fitting)
        found = Found()
        for each in comparison.compare(pages):
            found = found.plus(each)
            if look.keys is None:
                tell((part, each.rows))
            reset_queries()
        return part, found


class Comparing(Worker):
    """Compares only."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        site.setup()
        self._comparisons = Comparisons(site.sources(lambda _: None), site.names(), schemas)

    def do(self, task: Look, tell: Tell) -> tuple[site.Partition, Found]:
        """Compare."""
        return self._comparisons.do(task, tell)


def looks(sources: Sequence[site.Source], sample: Draw) -> Iterator[Look]:
    """Yield what is to be compared of every index."""
    for number, source in enumerate(sources):
        if sample.size == EVERY:
            yield from (Look(partition) for partition in site.partitions(source, lambda: PART))
            continue
        chance = random.Random((sample.seed or 0) + number)  # noqa: S311 - a sample, not a secret
        keys = draw(source.queryset(), sample.size, chance)
        for start in range(0, len(keys), HAND):
            yield Look(source.whole(), tuple(keys[start : start + HAND]))


def look(
    events: Events,
    sources: Sequence[site.Source],
    loaded: Mapping[str, Any],
    sample: Draw,
) -> None:
    """Look at everything, with workers of its own, and send the event `verified`."""
    cores = site.cores_of(sources)
    schemas = {core.url: schema_of(core) for core in cores}
    with Crew(Comparing, (schemas,), lambda: site.let_go(cores), closed=(events.descriptor,)) as crew:
        for _ in range(processors()):
            crew.hire()
        judge(events, sources, loaded, sample, crew.work(looks(sources, sample)))


def seeded(size: int, seed: int | None = None) -> Draw:
    """Return a sample of this size, with a seed by chance where none is given."""
    return Draw(size, random.SystemRandom().randrange(2**32) if seed is None else seed)


def judge(
    events: Events,
    sources: Sequence[site.Source],
    loaded: Mapping[str, Any],
    sample: Draw,
    work: Iterable[tuple[str, Any]],
) -> None:
    """Count everything, add up what the workers find, and send the event `verified`.

    `loaded` is what load.py said (models, counts), `work` what a crew yields that has something to look at.
    """
    cores = {source.core.name: source.core for source in sources}
    field = site.names().type
    counted = {name: core.counts(field) for name, core in cores.items()}
    models = {
        (source.alias, source.label): model_of(source, loaded, counted[source.core.name][1])
        for source in sources
    }
    total = Found()
    done = dict.fromkeys(models, 0)
    for kind, value in work:
        if kind == TOLD:
            part, rows = value
            done[part.alias, part.label] += rows
            progress(events, models[part.alias, part.label], done[part.alias, part.label])
        elif kind == DONE:
            part, found = value
            models[part.alias, part.label]["sample"] += found.compared
            total = total.plus(found)
    for core in cores.values():
        core.close()
    events.send(
        "verified",
        seed=sample.seed,
        whole=sample.size == EVERY,
        models=list(models.values()),
        cores=[
            {"core": name, "expected": loaded["counts"].get(name, {}), "found": types, "total": number}
            for name, (number, types) in counted.items()
        ],
        wrong=total.wrong,
        differences=total.differences,
        not_comparable=sorted(total.not_comparable),
    )


def progress(events: Events, model: Mapping[str, Any], done: int) -> None:
    """Tell how far the comparison is."""
    events.send("progress", alias=model["alias"], model=model["model"], done=done, total=model["database"])


def model_of(source: site.Source, loaded: Mapping[str, Any], found: Mapping[str, int]) -> dict[str, Any]:
    """Return a model's counts: the database's now, what load.py said, Solr's, and what Haystack finds."""
    said: Mapping[str, Any] = next(
        (each for each in loaded["models"] if (each["alias"], each["model"]) == (source.alias, source.type)),
        {},
    )
    # As a search of the site's goes: through its backend, Solr's handler and the schema. No rows: to make
    # Python's values of them, Haystack needs libraries that not every site has (GDAL for places).
    answer = source.backend.search("*:*", models={source.index.get_model()}, start_offset=0, end_offset=0)
    return {
        "alias": source.alias,
        "core": source.core.name,
        "model": source.type,
        "database": site.rows(source.queryset()),
        "documents": said.get("documents", 0),
        "skipped": said.get("skipped", 0),
        "found": found.get(source.type, 0),
        "queried": answer["hits"],
        "sample": 0,
    }
