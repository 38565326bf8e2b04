"""Load the site's whole search index into its empty Solr core, and commit once.

Run in the site's container, with its folder as the working directory: `python /haybale/load.py`. Speaks the
protocol of haybale_events.py. Nothing is deleted, and nothing is committed before the end.

Every index is cut into partitions by key, which worker processes load (haybale_loading.py).
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping

import haybale_site as site
from haybale_audit import Audit, watching
from haybale_doctor import Sample, advise, merged
from haybale_documents import flatten
from haybale_events import Events, Failure, run
from haybale_loading import End, Finish, Loading, Options, Progress, Refusal
from haybale_schema import check, schema_of
from haybale_verify import EVERY, judge, looks, seeded
from haybale_work import METHODS, TICK, TOLD, Crew, processors

if TYPE_CHECKING:
    from haybale_solr import Core

# Rows of a partition: enough that a partition costs nothing, few enough that the workers end together.
LEAST, MOST = 1000, 20_000

# Partitions of a model for each processor, between these bounds.
SHARE = 16

# While this much of a processor has nothing to do, one more worker is hired, up to so many for each.
SPARE = 0.5
EACH = 4

# Seconds between two looks at that.
LOOK = 1.0

# An index is advised about that takes this share of the time of preparing all.
MATTERS = 0.05

# Refused documents that an error lists.
SHOWN = 20


class Tally:
    """Adds up what the workers tell, and tells the host how far the loading is."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._told = 0.0
        self.models: dict[tuple[str, str], dict[str, Any]] = {}
        self.types: dict[str, dict[str, int]] = {}
        self.refused: list[Refusal] = []
        self.refusals = 0
        self.batch = 0
        self.samples: list[Mapping[tuple[str, str], Sample]] = []

    def begin(self, source: site.Source) -> dict[str, Any]:
        """Start a model, and return what will be told of it; the number of its rows is not known yet."""
        model = {
            "alias": source.alias,
            "core": source.core.name,
            "model": source.type,
            "database": None,
            "documents": 0,
            "skipped": 0,
        }
        self.models[source.alias, source.label] = model
        self.types.setdefault(source.core.name, {})
        return model

    def count(self, model: dict[str, Any], source: site.Source) -> None:
        """Count a model's rows, once."""
        if model["database"] is None:
            model["database"] = site.rows(source.queryset())
            self._tell(model)

    def add(self, said: Progress | Refusal) -> None:
        """Add what a worker says."""
        if isinstance(said, Refusal):
            self.refusals += 1
            if len(self.refused) < SHOWN:
                self.refused.append(said)
            self._events.send("refused", **said._asdict())
            return
        model = self.models[said.alias, said.label]
        model["documents"] += said.documents
        model["skipped"] += said.skipped
        done = model["documents"] + model["skipped"] == model["database"]
        if done or time.monotonic() - self._told >= TICK:
            self._tell(model)

    def end(self, worker: End) -> None:
        """Add what a worker did in all."""
        self.batch = max(self.batch, worker.batch)
        self.samples.append(worker.samples)
        for core, types in worker.types.items():
            sums = self.types[core]
            for name, number in types.items():
                sums[name] = sums.get(name, 0) + number

    def _tell(self, model: Mapping[str, Any]) -> None:
        if model["database"] is None:
            return
        self._told = time.monotonic()
        self._events.send(
            "progress",
            alias=model["alias"],
            model=model["model"],
            done=model["documents"] + model["skipped"],
            total=model["database"],
        )


class Idle:
    """How many of the machine's processors have nothing to do. Source: proc(5), /proc/stat."""

    def __init__(self) -> None:
        self._last = self._read()
        self._when = time.monotonic()

    def processors(self) -> float:
        """Return the mean since the last answer; 0.0 where that is too short ago, or not known."""
        if time.monotonic() - self._when < LOOK:
            return 0.0
        idle, every = self._read()
        before, self._last, self._when = self._last, (idle, every), time.monotonic()
        passed = every - before[1]
        return processors() * (idle - before[0]) / passed if passed else 0.0

    @staticmethod
    def _read() -> tuple[int, int]:
        try:
            with open("/proc/stat", encoding="ascii") as file:  # noqa: PTH123 - each second
                times = [int(word) for word in file.readline().split()[1:9]]
        except OSError:
            return 0, 0
        return times[3] + times[4], sum(times)


def main(events: Events) -> None:
    """Load every index of every Solr connection."""
    parser = argparse.ArgumentParser(description="Load the site's search index into its empty Solr core.")
    parser.add_argument("--batch", type=int, default=0, help="documents a request; 0: as many as pays")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: as many as pay")
    parser.add_argument("--rows", type=int, default=0, help="of a partition; 0: by their number")
    parser.add_argument("--start", choices=METHODS, default="", help="how they are started")
    parser.add_argument(
        "--inputs", default="", help="what may be read (JSON, see haybale_audit.py); else no audit"
    )
    parser.add_argument(
        "--sample",
        type=int,
        default=0,
        help="then compare so many documents of each model; {}: all".format(EVERY),
    )
    options = parser.parse_args()
    audit = watching(options.inputs)
    with audit.starting():
        site.setup()
        names = site.names()
        sources = site.sources(lambda text: events.send("note", text=text))
    cores = site.cores_of(sources)
    for core in cores:
        core.require_empty()
    # Nothing changes them meanwhile.
    schemas = {core.url: schema_of(core) for core in cores}
    for text in check(sources, names, schemas):
        events.send("note", text=text)
    tally = Tally(events)
    told = Options(options.batch, options.inputs, {core.url: core.started for core in cores}, schemas)
    crew = Crew(Loading, (told,), lambda: site.let_go(cores), options.start, (events.descriptor,))
    with crew:
        work = tasks(crew, sources, tally, options.rows, grow=not options.workers)
        workers = load(crew, options.workers or processors(), work, tally, audit)
        if tally.refusals:
            raise refused(tally)
        sample = seeded(options.sample)
        with ThreadPoolExecutor(1) as pool:
            committing = pool.submit(commit, cores, sources, names, tally)
            # Solr takes a while for it.
            drawn = list(looks(sources, sample)) if options.sample else []
            committing.result()
        for core in cores:
            events.send("counts", core=core.name, field=names.type, counts=tally.types[core.name])
        if options.inputs:
            tell_unknown(events, audit)
        tell_advice(events, sources, tally)
        models = list(tally.models.values())
        events.send("loaded", models=models, workers=workers, batch=tally.batch)
        if options.sample:
            said = {"models": models, "counts": tally.types}
            judge(events, sources, said, sample, crew.work(drawn))


def load(crew: Crew, workers: int, work: Iterable[site.Partition], tally: Tally, audit: Audit) -> int:
    """Have every partition loaded, by this many workers at first; return how many they were at the end."""
    for _ in range(workers):
        crew.hire()
    for kind, value in crew.work(work):
        if kind == TOLD:
            tally.add(value)
    for kind, value in crew.each(Finish()):
        if kind == TOLD:
            tally.add(value)
        else:
            tally.end(value)
            audit.add(value.seen)
    return len(crew)


def commit(cores: list[Core], sources: list[site.Source], names: site.Names, tally: Tally) -> None:
    """Commit, once, and make sure that Solr then holds as many documents as it was sent. Raises `Failure`."""
    for core in cores:
        core.commit()
        if core.counts(names.type)[0] != sum(tally.types[core.name].values()):
            raise twice(core, sources, names, tally)


def tasks(
    crew: Crew, sources: list[site.Source], tally: Tally, size: int, *, grow: bool
) -> Iterator[site.Partition]:
    """Yield the partitions of every index; hires while the machine has processors to spare (`grow`)."""
    idle = Idle()
    for source in sources:
        model = tally.begin(source)
        for number, partition in enumerate(site.partitions(source, lambda: size or fitting(model))):  # noqa: B023 - used up here
            yield partition
            # Counting may take a while: by now everybody has something to do.
            if number + 1 == len(crew):
                tally.count(model, source)
            if grow and len(crew) < EACH * processors() and idle.processors() > SPARE:
                crew.hire()
        tally.count(model, source)


def fitting(model: Mapping[str, Any]) -> int:
    """Return the rows of a partition, by the number of all; the least where that is not known yet."""
    return max(LEAST, min(MOST, (model["database"] or 0) // (SHARE * processors())))


def refused(tally: Tally) -> Failure:
    """Return the failure that names the documents which are not in Solr."""
    first, *more = tally.refused
    if tally.refusals == 1:
        return Failure(first.reason, first.cause, first.step, first.log)
    listing = [each.reason for each in more]
    if tally.refusals > SHOWN:
        listing.append("... and {} more".format(tally.refusals - SHOWN))
    return Failure(
        "{} documents can't be indexed. The first: {}".format(tally.refusals, first.reason),
        first.cause,
        first.step,
        "\n".join([*listing, first.log]),
    )


def twice(core: Core, sources: list[site.Source], names: site.Names, tally: Tally) -> Failure:
    """Return the failure that names what Solr does not hold of what it was sent: documents with one id.

    Every id is looked at once more for that, in a temporary file of SQLite's own, which keeps what fits in
    its cache: millions of ids take no memory.
    """
    ids = sqlite3.connect("", isolation_level=None)
    ids.execute("PRAGMA journal_mode = OFF")
    ids.execute("CREATE TABLE ids (id PRIMARY KEY, label, key) WITHOUT ROWID")
    ids.execute("BEGIN")
    for source in (source for source in sources if source.core.url == core.url):
        for page in site.pages(source.queryset(), source.whole(), LEAST):
            for row in page:
                fields = site.prepare(source, row)
                for each in flatten(fields or {}):
                    if names.id not in each:
                        continue
                    entry = (str(each[names.id]), source.label, str(row.pk))
                    try:
                        ids.execute("INSERT INTO ids VALUES (?, ?, ?)", entry)
                    except sqlite3.IntegrityError:
                        query = "SELECT label, key FROM ids WHERE id = ?"
                        label, key = ids.execute(query, entry[:1]).fetchone()
                        return Failure(
                            "{1} {2} has the same id as {3} {4}: {0}".format(*entry, label, key),
                            cause="HAYSTACK_IDENTIFIER_METHOD or a custom prepare gives one id to several "
                            "documents, of which Solr keeps only the last",
                            step="make the id unique",
                        )
    return Failure(
        "the core {} holds {} documents, and was sent {}".format(
            core.name, core.counts(names.type)[0], sum(tally.types[core.name].values())
        ),
        cause="somebody else wrote into it, or its configuration drops documents (an update processor?)",
        step="load again into a fresh core; see Solr's log",
    )


def tell_advice(events: Events, sources: list[site.Source], tally: Tally) -> None:
    """Send what would make an index quicker, by what the workers observed."""
    observed = merged(tally.samples)
    # Seconds that preparing a model's documents takes in all.
    weights = {
        place: tally.models[place]["documents"] * sample.seconds / sample.documents
        for place, sample in observed.items()
    }
    for source in sources:
        place = (source.alias, source.label)
        if weights.get(place, 0.0) > MATTERS * sum(weights.values()):
            for advice in advise(source, observed[place]):
                events.send("advice", **advice._asdict())


def tell_unknown(events: Events, audit: Audit) -> None:
    """Send what was read that is no input."""
    from django.conf import settings  # noqa: PLC0415 - only after `setup`

    if audit.trouble:
        events.send("note", text="the audit of what is read is not complete: " + audit.trouble)
    events.send("unknown-inputs", **audit.report(settings.DATABASES.values()))


if __name__ == "__main__":
    sys.exit(run(main))
