"""Prove that Solr holds what the site's database says: counts of every model, and a sample field by field.

Run in the site's container after load.py: `python /haybale/verify.py --sample 200 --loaded '{"models": ..}'`,
where --loaded is what load.py said (its `models`, and `counts` {core: {type: documents}}). Speaks the
protocol of haybale_events.py; its last event is `verified`:

    seed            of the random sample; give it back with --seed to draw the same one
    models          [{alias, core, model, database, documents, skipped, found, sample}]: rows in the database
                    now, documents sent, rows skipped, documents in Solr, documents compared
    cores           [{core, expected {type: n}, found {type: n}, total}]
    wrong           number of fields and documents that differ
    differences     the first of them: [{model, key, field, expected, found}]
    not_comparable  [field]: neither stored nor in doc values, so Solr can't give them back
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
from typing import Any, Mapping

import haybale_site as site
from haybale_compare import Field, differences, fields_of
from haybale_events import Events, run

# Documents fetched from Solr and rows fetched from the database at once.
CHUNK = 100

# Differences that are told one by one.
TOLD = 50

# Between ids in a query: a character that no document can contain (haybale_documents drops it).
SEPARATOR = "\x01"


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


def schema(source: site.Source, names: set[str]) -> dict[str, Field]:
    """Return how the source's core holds these fields."""
    full = {"showDefaults": "true"}
    return fields_of(
        source.core.schema("fields", {**full, "includeDynamic": "true", "fl": ",".join(sorted(names))})[
            "fields"
        ],
        source.core.schema("fieldtypes", full)["fieldTypes"],
        source.core.schema("copyfields", {})["copyFields"],
        sorted(names),
    )


def stored(source: site.Source, names: site.Names, ids: list[str], extra: list[str]) -> dict[str, Any]:
    """Return Solr's documents by id. `extra` fields are given back only when asked for by name."""
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
    return {document[names.id]: document for document in answer["response"]["docs"]}


class Report:
    """What was found so far."""

    def __init__(self) -> None:
        self.wrong = 0
        self.differences: list[dict[str, Any]] = []
        self.not_comparable: set[str] = set()

    def add(self, source: site.Source, key: Any, field: str, expected: Any, found: Any) -> None:
        """Note a difference; only the first ones are told one by one."""
        self.wrong += 1
        if len(self.differences) < TOLD:
            self.differences.append(
                {"model": source.type, "key": str(key), "field": field, "expected": expected, "found": found}
            )


def compare_sample(source: site.Source, names: site.Names, keys: list[Any], report: Report) -> int:
    """Prepare these rows again and compare them with Solr's documents; return how many were compared."""
    queryset = source.queryset()
    own = {names.id, names.type, names.key}
    own.update(field.index_fieldname for field in source.index.fields.values())
    compared = 0
    known: dict[str, Field] = {}
    for start in range(0, len(keys), CHUNK):
        rows = queryset.filter(pk__in=keys[start : start + CHUNK])
        prepared = {row.pk: site.prepare(source, row) for row in rows}
        unknown = own.union(*(fields for fields in prepared.values() if fields)) - set(known)
        if unknown:
            known.update(schema(source, unknown))
        report.not_comparable.update(name for name, field in known.items() if not field.source)
        ids = [str(fields[names.id]) for fields in prepared.values() if fields]
        extra = [name for name, field in known.items() if field.explicit]
        found = stored(source, names, ids, extra) if ids else {}
        for key, fields in prepared.items():
            if fields is None:
                continue
            compared += 1
            if fields[names.id] not in found:
                report.add(source, key, names.id, fields[names.id], None)
                continue
            for difference in differences(fields, found[fields[names.id]], known):
                report.add(source, key, *difference)
    return compared


def model_report(source: site.Source, loaded: Mapping[str, Any], found: Mapping[str, int]) -> dict[str, Any]:
    """Return the counts of a model: the database's now, what load.py said, and Solr's."""
    said: Mapping[str, Any] = next(
        (each for each in loaded["models"] if (each["alias"], each["model"]) == (source.alias, source.type)),
        {},
    )
    return {
        "alias": source.alias,
        "core": source.core.name,
        "model": source.type,
        "database": site.rows(source.queryset()),
        "documents": said.get("documents", 0),
        "skipped": said.get("skipped", 0),
        "found": found.get(source.type, 0),
    }


def main(events: Events) -> None:
    """Verify every index of every Solr connection."""
    parser = argparse.ArgumentParser(description="Prove that Solr holds what the site's database says.")
    parser.add_argument("--loaded", type=json.loads, required=True, help="what load.py said, JSON")
    parser.add_argument("--sample", type=int, default=200, help="documents of each model to compare")
    parser.add_argument("--seed", type=int, default=None, help="of the sample; by chance")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    site.setup()
    names = site.names()
    # What is left out, load.py has told already.
    sources = site.sources(lambda _: None)
    cores = {source.core.name: source.core for source in sources}
    found = {name: core.counts(names.type) for name, core in cores.items()}
    report = Report()
    models = []
    for number, source in enumerate(sources):
        model = model_report(source, options.loaded, found[source.core.name][1])
        events.send("progress", alias=source.alias, model=source.type, done=0, total=model["database"])
        chance = random.Random(seed + number)  # noqa: S311 - a sample, not a secret
        keys = draw(source.queryset(), options.sample, chance)
        model["sample"] = compare_sample(source, names, keys, report)
        models.append(model)
        events.send(
            "progress", alias=source.alias, model=source.type, done=model["database"], total=model["database"]
        )
    for core in cores.values():
        core.close()
    events.send(
        "verified",
        seed=seed,
        models=models,
        cores=[
            {
                "core": name,
                "expected": options.loaded["counts"].get(name, {}),
                "found": types,
                "total": total,
            }
            for name, (total, types) in found.items()
        ],
        wrong=report.wrong,
        differences=report.differences,
        not_comparable=sorted(report.not_comparable),
    )


if __name__ == "__main__":
    sys.exit(run(main))
