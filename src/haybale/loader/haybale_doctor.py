"""A doctor for slow indexes: what the time of preparing goes into, and what would help.

A few documents of each index are prepared under observation: the time and the queries of every field. That is
a hundredth of them, so that it costs next to nothing; the document is the same as any other.
"""
# Nothing of Django is imported before `haybale_site.setup`.
# ruff: noqa: PLC0415

from __future__ import annotations

import contextlib
import re
import time
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence

import haybale_site as site

# One document of so many is observed, and these of the first ones (the very first compiles templates).
EACH = 100
FIRST = range(1, 6)

# Advice is given for what takes this share of the time, or runs so many queries a document.
SHARE = 0.4
QUERIES = 0.1

# The share of documents whose field runs the same query again that makes it "always the same".
REPEATED = 0.9

TABLE = re.compile(r"\bFROM\s+[\"'`\[]?(\w+)", re.IGNORECASE)


class Cost(NamedTuple):
    """What a field, or fetching rows (the field ""), took: plain values, to be added up."""

    seconds: float = 0.0
    tables: Mapping[str, int] = {}
    repeats: int = 0

    @property
    def queries(self) -> int:
        """The number of queries."""
        return sum(self.tables.values())

    def plus(self, other: Cost) -> Cost:
        """Return both together."""
        tables = dict(self.tables)
        for table, number in other.tables.items():
            tables[table] = tables.get(table, 0) + number
        return Cost(self.seconds + other.seconds, tables, self.repeats + other.repeats)


class Sample(NamedTuple):
    """What was observed of an index: documents, all seconds of preparing them, and each field's cost."""

    documents: int
    seconds: float
    fields: Mapping[str, Cost]

    def plus(self, other: Sample) -> Sample:
        """Return both together."""
        fields = dict(self.fields)
        for name, cost in other.fields.items():
            fields[name] = fields.get(name, Cost()).plus(cost)
        return Sample(self.documents + other.documents, self.seconds + other.seconds, fields)


class Advice(NamedTuple):
    """What would help an index (app.Model), and the share of the time of preparing that it is about."""

    alias: str
    label: str
    share: float
    text: str


class Doctor:
    """Prepares documents, and observes some of them."""

    def __init__(self) -> None:
        self._met: dict[tuple[str, str], int] = {}
        self._asked: dict[tuple[str, str, str], int] = {}
        self.samples: dict[tuple[str, str], Sample] = {}

    def prepare(self, source: site.Source, row: Any) -> dict[str, Any] | None:
        """Prepare a row as `haybale_site.prepare` does."""
        place = (source.alias, source.label)
        number = self._met[place] = self._met.get(place, -1) + 1
        if not number or (number % EACH and number not in FIRST):
            return site.prepare(source, row)
        observed: dict[str, Cost] = {}
        with self._observed(source, observed):
            began = time.perf_counter()
            document = site.prepare(source, row)
            seconds = time.perf_counter() - began
        sample = Sample(1, seconds, observed)
        self.samples[place] = self.samples[place].plus(sample) if place in self.samples else sample
        return document

    @contextlib.contextmanager
    def _observed(self, source: site.Source, costs: dict[str, Cost]) -> Iterator[None]:
        """Observe the fields of an index for the length of the block; nothing is left of it."""
        from django.db import connections

        now: list[str] = []

        def query(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
            name = now[-1] if now else ""
            table = TABLE.search(str(sql))
            same = (source.label, name, "{} {!r}".format(sql, params))
            before = self._asked.get(same, 0)
            if len(self._asked) < EACH * EACH:
                self._asked[same] = before + 1
            cost = Cost(0.0, {table.group(1) if table else "?": 1}, 1 if before else 0)
            costs[name] = costs.get(name, Cost()).plus(cost)
            return execute(sql, params, many, context)

        def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def prepare(*args: Any, **options: Any) -> Any:
                now.append(name)
                began = time.perf_counter()
                try:
                    return call(*args, **options)
                finally:
                    costs[name] = costs.get(name, Cost()).plus(Cost(time.perf_counter() - began))
                    now.pop()

            return prepare

        with contextlib.ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(query))
            for name, field in source.index.fields.items():
                stack.enter_context(_replaced(field, "prepare", timed(name, field.prepare)))
                own = "prepare_" + name
                if hasattr(source.index, own):
                    stack.enter_context(_replaced(source.index, own, timed(name, getattr(source.index, own))))
            yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an object an attribute of its own for the length of the block."""
    had = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if had:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


def advise(source: site.Source, sample: Sample) -> list[Advice]:
    """Return what would help an index, the largest share first."""
    found = []
    for name, cost in sample.fields.items():
        # What is in no field is in a `prepare` of the index's own.
        seconds = (
            cost.seconds if name else sample.seconds - sum(each.seconds for each in sample.fields.values())
        )
        share = seconds / sample.seconds if sample.seconds else 0.0
        each = cost.queries / sample.documents
        who = _who(source, name)
        if each >= QUERIES:
            remedy = _remedy(source, cost, sample)
            text = "{} runs {:.1f} queries a document: {}".format(who, each, remedy)
        elif share >= SHARE:
            text = "{} takes {:.0%} of the time of preparing".format(who, share)
        else:
            continue
        found.append(Advice(source.alias, source.label, round(share, 3), text))
    return sorted(found, key=lambda advice: -advice.share)


def _who(source: site.Source, name: str) -> str:
    """Return what prepares a field, as its author calls it."""
    if not name:
        return "`prepare` of {}".format(type(source.index).__name__)
    if hasattr(source.index, "prepare_" + name):
        return "`prepare_{}`".format(name)
    field = source.index.fields[name]
    if field.use_template:
        default = "search/indexes/{}_{}.txt".format(source.type.replace(".", "/"), field.instance_name)
        named = field.template_name or default
        return "template {}".format(named if isinstance(named, str) else " or ".join(named))
    return "field `{}`".format(name)


def _remedy(source: site.Source, cost: Cost, sample: Sample) -> str:
    """Return what would spare the queries."""
    if (
        cost.repeats >= REPEATED * max(1, sample.documents - 1)
        and cost.repeats >= REPEATED * cost.queries - 1
    ):
        return "it is always the same one, ask once and keep the answer"
    model = source.index.get_model()
    ways = [way for table in cost.tables if (way := related(model, table))]
    if ways:
        return " and ".join("add `{}` to `index_queryset`".format(way) for way in sorted(set(ways)))
    own = model._meta.db_table  # noqa: SLF001 - Django documents _meta
    if own in cost.tables:
        return "`index_queryset` defers a column that it needs (only, defer)"
    return "tables {}; fetch them for all rows at once".format(", ".join(sorted(cost.tables)))


def related(model: Any, table: str, depth: int = 2) -> str:
    """Return what fetches the rows of a table together with a model's: select_related('x'), or "".

    Looks along relations, nearest first, `depth` of them.
    """
    level: list[tuple[Any, tuple[str, ...], bool]] = [(model, (), False)]
    for _ in range(depth):
        following = []
        for each, path, many in level:
            for field, name, several in _relations(each):
                to = field.related_model
                step = (to, (*path, name), many or several)
                if table in (to._meta.db_table, _through(field)):  # noqa: SLF001
                    kind = "prefetch_related" if step[2] else "select_related"
                    return "{}('{}')".format(kind, "__".join(step[1]))
                following.append(step)
        level = following
    return ""


def _relations(model: Any) -> Iterable[tuple[Any, str, bool]]:
    """Yield a model's relations: (field, name in a lookup, whether it leads to several rows)."""
    for field in model._meta.get_fields():  # noqa: SLF001
        if field.is_relation and field.related_model is not None:
            several = bool(field.one_to_many or field.many_to_many)
            name = field.get_accessor_name() if field.auto_created and not field.concrete else field.name
            if name:
                yield field, name, several


def _through(field: Any) -> str:
    """Return the table between both sides of a many-to-many relation, "" for others."""
    through = getattr(getattr(field, "remote_field", None), "through", None) or getattr(
        field, "through", None
    )
    return str(through._meta.db_table) if through is not None else ""  # noqa: SLF001


def merged(samples: Sequence[Mapping[tuple[str, str], Sample]]) -> dict[tuple[str, str], Sample]:
    """Return what several workers observed, together."""
    every: dict[tuple[str, str], Sample] = {}
    for each in samples:
        for place, sample in each.items():
            every[place] = every[place].plus(sample) if place in every else sample
    return every
