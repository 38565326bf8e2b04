"""Read querysets drawn by chance as update_index reads them: `python -m barn.querysets SEED ROUNDS`.

Haystack's own update_index runs, with pysolr's request taken out of its hands. What it sends at last for each
id must be what the loader sends; where it fails, or does not come to all rows, the loader must refuse. Then
the verification looks at Haystack's documents and must find nothing, and at those of a loader that reads
every queryset by key, where it must find what is wrong with them. Prints what is not so, as JSON.
"""

# ruff: noqa: PLC0415, S311, T201 - models come after `setup`, nothing here is a secret

from __future__ import annotations

import contextlib
import json
import random
import sys
from collections import Counter
from typing import Any

import django

from barn.conformance import read_xml

# Of a partition and of update_index: small, so that there are many of both. And the keys that are drawn from.
ROWS, BATCH, KEYS = 13, 16, 45


class FakeCore:
    """Holds documents as Solr does: of each id the last one."""

    url = "http://nowhere.test/solr/fake"
    name = "fake"
    answer_size = 1000

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}

    def update(self, body: bytes) -> None:
        """Take documents."""
        self.documents.update({each["id"]: each for each in json.loads(body)})

    def select(self, query: dict[str, str]) -> dict[str, Any]:
        """Return documents by id."""
        ids = query["haybale_ids"].split("\x01")
        return {"response": {"docs": [self.documents[each] for each in ids if each in self.documents]}}

    def close(self) -> None:
        """Do nothing."""


def draw(chance: random.Random) -> tuple[str, Any]:
    """Return a queryset of bales, or something that an index must not return, and how it was made."""
    from django.db.models import Count, Exists, F, Max, OuterRef, QuerySet, Subquery, Value, Window
    from django.db.models.expressions import RawSQL
    from django.db.models.functions import Lag, Length, RowNumber

    from barn.models import Bale, Farm, Harvest

    class Estimated(QuerySet):
        """Counts quickly."""

        def count(self) -> int:
            """Return about how many there are."""
            return max(0, int(super().count() * 0.7))

    neighbours = Bale.objects.filter(farm=OuterRef("farm")).order_by("-title")
    usual = {
        "filter(join)": lambda rows: rows.filter(farm__bales__pk__gte=3),
        "filter(pk__in)": lambda rows: rows.filter(pk__in=Bale.objects.order_by("-title")[:30]),
        "exclude": lambda rows: rows.exclude(title__startswith="hay"),
        "order_by": lambda rows: rows.order_by("fresh", "farm__name"),
        "select_related": lambda rows: rows.select_related("farm__owner"),
        "prefetch": lambda rows: rows.prefetch_related("farm__bales"),
        "only": lambda rows: rows.only("title"),
        "defer": lambda rows: rows.defer("title"),
        "distinct": lambda rows: rows.distinct(),
        "count": lambda rows: rows.annotate(place=Count("farm__bales")),
        "max, having": lambda rows: rows.annotate(place=Max("farm__bales__pk")).filter(place__gte=20),
        "two counts": lambda rows: rows.annotate(place=Count("farm__bales"), more=Count("stack")),
        "count and value": lambda rows: rows.annotate(more=Count("stack"), place=F("farm__bales__title")),
        "own column": lambda rows: rows.annotate(place=F("title")),
        "function": lambda rows: rows.annotate(place=Length("title")),
        "constant": lambda rows: rows.annotate(place=Value("x")),
        "foreign column": lambda rows: rows.annotate(place=F("farm__name")),
        "subquery": lambda rows: rows.annotate(place=Subquery(neighbours.values("title")[:1])),
        "exists": lambda rows: rows.annotate(place=Exists(neighbours)),
        "values of a join": lambda rows: rows.annotate(place=F("farm__bales__title")),
        "distinct values of a join": lambda rows: rows.annotate(place=F("farm__bales__fresh")).distinct(),
        "window": lambda rows: rows.annotate(place=Window(RowNumber(), order_by=F("id").asc())),
        "lag": lambda rows: rows.annotate(place=Window(Lag("title"), order_by=F("title").asc())),
        "raw over": lambda rows: rows.annotate(place=RawSQL("row_number() over (order by barn_bale.id)", ())),
        "raw": lambda rows: rows.annotate(place=RawSQL("barn_bale.count + %s", (1,))),
        "extra select": lambda rows: rows.extra(select={"place": "barn_bale.count"}),
        "extra where": lambda rows: rows.extra(where=["barn_bale.id %% 3 > 0"]),
        "extra order": lambda rows: rows.extra(order_by=["-title"]),
        "extra table": lambda rows: rows.extra(tables=["barn_stack"], select={"place": "barn_stack.height"}),
        "extra table alone": lambda rows: rows.extra(tables=["barn_plaque"]),
        "reverse": lambda rows: rows.reverse(),
        "none": lambda rows: rows.none(),
    }  # fmt: skip
    odd = {
        "slice": lambda rows: rows[: chance.randrange(1, 30)],
        "union": lambda rows: rows.union(Bale.objects.filter(pk__lte=5)),
        "values": lambda rows: rows.values(),
        "values_list": lambda rows: rows.values_list("pk"),
        "list": list,
        "raw query": lambda _: Bale.objects.raw("SELECT * FROM barn_bale"),
        "iterator": lambda rows: rows.iterator(),
        "distinct on": lambda rows: rows.distinct("farm"),
        "nothing": lambda _: None,
        "grouped": lambda rows: rows.values("farm").annotate(number=Count("pk")),
        "a view": lambda _: Harvest.objects.filter(year__isnull=False),
        "another model": lambda _: Farm.objects.all(),
        "estimated": lambda rows: Estimated(Bale).filter(pk__in=rows.order_by().values("pk")),
        "the database's error": lambda rows: rows.extra(where=["nothing = 1"]),
    }
    limit = chance.choice([KEYS, BATCH // 2])
    rows: Any = Bale.objects.filter(pk__lte=limit)
    made = [f"up to {limit}"]
    for name in chance.sample(sorted(usual), chance.randrange(1, 4)):
        # What one annotation is named, another cannot be.
        with contextlib.suppress(TypeError, ValueError):
            rows = usual[name](rows)
            made.append(name)
    if chance.random() < 0.25:
        name = chance.choice(sorted(odd))
        try:
            rows = odd[name](rows)
        except Exception:  # noqa: BLE001 - then an index could not return it
            return ", ".join(made), rows
        made.append(name)
    return ", ".join(made), rows


class Judge:
    """Sends a queryset's rows as update_index does, as the loader does, and verifies them."""

    def __init__(self, chance: random.Random) -> None:
        import haystack
        from haybale_loader.checks.schema import Schema
        from haybale_loader.documents import site
        from haystack import indexes
        from haystack.management.commands import update_index

        from barn.models import Bale

        class DrawnIndex(indexes.SearchIndex):
            """Shows what a row has."""

            text = indexes.CharField(document=True, model_attr="title")

            rows: Any = None
            is_built = False

            def get_model(self) -> type:
                return Bale

            def prepare(self, row: Any) -> Any:
                return {**super().prepare(row), "place": str(getattr(row, "place", ""))}

            def index_queryset(self, using: Any = None) -> Any:
                return self.rows if using else None

            def build_queryset(self, using: Any, start_date: Any, end_date: Any) -> Any:
                if self.is_built:
                    return self.rows
                return super().build_queryset(using, start_date, end_date)

        self.chance = chance
        self.index = DrawnIndex()
        connection = haystack.connections["barn"]
        connection.get_unified_index().build()
        connection.get_unified_index().indexes[Bale] = self.index
        backend = connection.get_backend()
        backend.batch_size = BATCH
        backend.silently_fail = False
        self.sent: list[str] = []
        backend.conn._send_request = lambda _method, _path="", body=None, *_, **__: self.sent.append(body)
        update_index.haystack_get_models = lambda _: [Bale]
        update_index.LOG.disabled = True
        self.core: Any = FakeCore()
        self.source = site.Source("barn", "barn.Bale", "barn.bale", self.core, self.index, backend)
        self.schema = Schema("id", {"*": {"type": "string", "stored": True}}, {"string": "StrField"}, ())

    def haystacks(self) -> Any:
        """Return what update_index sends at last for each id; None where it fails."""
        from django.core.management import call_command

        self.sent.clear()
        try:
            call_command("update_index", "barn", using=["barn"], verbosity=0, max_retries=1)
        except Exception:  # noqa: BLE001 - whatever it is
            return None
        documents = [fields for body in self.sent if "<add" in body for fields in read_xml(body)]
        return {each["id"][0]: {name: value[0] for name, value in each.items()} for each in documents}

    def ours(self, dependence: Any) -> dict[str, Any]:
        """Return what the loader sends at last for each id. Raises `Failure`."""
        from haybale_loader.documents import site
        from haybale_loader.documents.loading import PartitionLoader
        from haybale_loader.events import Failure, Refusal

        self.core.documents.clear()
        loader = PartitionLoader([self.source], 7, site.prepare)
        if dependence(self.source):
            partitions = [self.source.whole()._replace(in_haystacks_pages=True)]
        else:
            partitions = list(site.split_by_key(self.source, lambda: ROWS))
        reports: list[Any] = []
        for partition in partitions:
            loader.load(partition, reports.append)
        loader.finish()
        if refused := [each for each in reports if isinstance(each, Refusal)]:
            raise Failure(refused[0].reason)
        if sum(loader.types.get(self.core.name, {}).values()) != len(self.core.documents):
            raise Failure("documents are counted that replace each other")
        return dict(self.core.documents)

    def differences(self, documents: dict[str, Any], size: int) -> int:
        """Return how many differences the verification finds where Solr holds these documents."""
        from haybale_loader.checks.comparison import IndexComparer
        from haybale_loader.checks.sample import compare_tasks

        self.core.documents = dict(documents)
        tasks = compare_tasks([self.source], size, self.chance.randrange(1000))
        comparer = IndexComparer(self.source, self.schema)
        return sum(comparer.compare(task, lambda _: None)[1].wrong for task in tasks)

    def judge(self) -> tuple[str, str | None]:
        """Return what became of the queryset, and what is not as it should be."""
        from haybale_loader.checks.readable import check_readable
        from haybale_loader.documents import site
        from haybale_loader.events import Failure
        from haybale_loader.options import ALL_DOCUMENTS

        expected = self.haystacks()
        try:
            check_readable([self.source])
            found = self.ours(site.find_dependence)
        except Failure as failure:
            # It reads no row where it counts none.
            is_right = not expected or len(expected) < site.count_rows(self.source.queryset())
            return "refused", None if is_right else failure.message
        if found != expected:
            return "differs", _first(expected, found)
        if any(self.differences(found, size) for size in (10, ALL_DOCUMENTS)):
            return "equal", "the verification finds a difference where there is none"
        try:
            naive = self.ours(lambda _: None)
        except Exception:  # noqa: BLE001 - loud enough
            return "equal", None
        if naive == expected:
            return "equal", None
        is_found = self.differences(naive, ALL_DOCUMENTS) > 0
        return "dependent", None if is_found else "the verification finds no difference where there is one"


def main(seed: int, rounds: int) -> None:
    """Compare as many querysets."""
    django.setup()
    chance = random.Random(seed)
    judge = Judge(chance)
    problems: list[tuple[str, str, str]] = []
    kinds: Counter[str] = Counter()
    for _ in range(rounds):
        name, judge.index.rows = draw(chance)
        judge.index.is_built = chance.random() < 0.2
        kind, problem = judge.judge()
        kinds[kind] += 1
        if problem:
            problems.append((name + ", built" * judge.index.is_built, kind, problem))
    print(json.dumps({"problems": problems, "kinds": kinds}))


def _first(expected: Any, found: dict[str, Any]) -> str:
    if expected is None:
        return "update_index fails"
    differing = [each for each in sorted({*expected, *found}) if expected.get(each) != found.get(each)]
    first = differing[0]
    return f"{len(differing)} of {len(expected)}, {first}: {expected.get(first)} {found.get(first)}"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
