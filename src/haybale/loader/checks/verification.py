"""Verify that Solr holds what the site's database says: every count, and documents field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable, Mapping, Sequence

from ..documents.site import NAMES, Source, count_rows
from ..events import LoadProgress
from ..worker_pool import REPORT
from .comparison import ComparisonResult

if TYPE_CHECKING:
    from ..events import Events


def report_verification(
    events: Events,
    sources: Sequence[Source],
    loaded: Mapping[tuple[str, str], Mapping[str, Any]],
    expected: Mapping[str, Mapping[str, int]],
    comparisons: Iterable[tuple[str, Any]],
    **sample: Any,
) -> None:
    """Count everything, add up what the comparisons find, and send the event `verified`.

    `loaded` maps (alias, label) to what was loaded of a model, `expected` a core to the documents of each
    type that it was sent. `comparisons` is what a pool yields whose workers compare, `sample` the fields
    `seed`, `whole` and `exempt`.
    """
    cores = {source.core.name: source.core for source in sources}
    counts = {name: core.count_by(NAMES.type) for name, core in cores.items()}
    models = {
        (source.alias, source.label): {
            **loaded[source.alias, source.label],
            **_count(source, counts[source.core.name][1]),
            "sample": 0,
        }
        for source in sources
    }
    total = ComparisonResult()
    done = dict.fromkeys(models, 0)
    for kind, (partition, value) in comparisons:
        place = (partition.alias, partition.label)
        model = models[place]
        if kind == REPORT:
            done[place] += value
            progress = LoadProgress(model["alias"], model["model"], done[place], model["database"])
            events.send("progress", **progress._asdict())
        else:
            model["sample"] += value.compared
            total = total.plus(value)
    for core in cores.values():
        core.close()
    events.send(
        "verified",
        models=list(models.values()),
        cores=[
            {"core": name, "expected": expected.get(name, {}), "found": types, "total": number}
            for name, (number, types) in counts.items()
        ],
        wrong=total.wrong,
        differences=[each._asdict() for each in total.differences],
        not_comparable=sorted(total.not_comparable),
        **sample,
    )


def _count(source: Source, types: Mapping[str, int]) -> dict[str, int]:
    """Return a model's counts: the database's now, Solr's, and what Haystack finds there."""
    # As the site itself searches: through its backend, Solr's handler and the schema. No rows: to make
    # Python's values of them, Haystack needs libraries that not every site has (GDAL for places).
    answer = source.backend.search("*:*", models={source.index.get_model()}, start_offset=0, end_offset=0)
    return {
        "database": count_rows(source.queryset()),
        "found": types.get(source.type, 0),
        "queried": answer["hits"],
    }
