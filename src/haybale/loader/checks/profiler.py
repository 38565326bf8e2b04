"""A profiler for slow indexes: what the time of preparing goes into, and what would help.

A few documents of each index are profiled: the time and the queries of every field. That is a hundredth of
them, so that it costs next to nothing; the document is the same as any other.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Mapping, NamedTuple

from django.db import connections

from ..events import Advice

if TYPE_CHECKING:
    from ..documents.site import Source

# One document of so many is profiled, and these of the first ones (the very first compiles templates).
INTERVAL = 100
FIRST = range(1, 6)

# Advice is given for what takes this share of the time, or runs so many queries a document.
ADVISED_SHARE = 0.4
ADVISED_QUERIES = 0.1

# The share of documents whose field runs the same query again that makes it "always the same".
REPEATED = 0.9

# Different queries that a process remembers.
MAX_QUERIES = 10_000

TABLE = re.compile(r"\bFROM\s+[\"'`\[]?(\w+)", re.IGNORECASE)


class Cost(NamedTuple):
    """What a field, or what belongs to no field (None), took: plain values, to be added up."""

    seconds: float = 0.0
    tables: Mapping[str, int] = {}
    repeats: int = 0

    @property
    def queries(self) -> int:
        """The number of queries."""
        return sum(self.tables.values())

    def plus(self, other: Cost) -> Cost:
        """Return both together."""
        tables = Counter(self.tables) + Counter(other.tables)
        return Cost(self.seconds + other.seconds, tables, self.repeats + other.repeats)


class Profile(NamedTuple):
    """What was measured of an index: documents, all seconds of preparing them, and each field's cost."""

    documents: int = 0
    seconds: float = 0.0
    fields: Mapping[str | None, Cost] = {}

    def plus(self, other: Profile) -> Profile:
        """Return both together."""
        fields = dict(self.fields)
        for name, cost in other.fields.items():
            fields[name] = fields.get(name, Cost()).plus(cost)
        return Profile(self.documents + other.documents, self.seconds + other.seconds, fields)


class Profiler:
    """Has documents prepared by `prepare`, and profiles some of them. `profiles` are by (alias, label)."""

    def __init__(self, prepare: Callable[[Source, Any], dict[str, Any] | None]) -> None:
        self._prepare = prepare
        self._prepared: dict[tuple[str, str], int] = {}
        self._queries: set[tuple[str, str | None, str]] = set()
        self.profiles: dict[tuple[str, str], Profile] = {}

    def prepare(self, source: Source, row: Any) -> dict[str, Any] | None:
        """Prepare a row."""
        place = (source.alias, source.label)
        number = self._prepared[place] = self._prepared.get(place, -1) + 1
        if not number or (number % INTERVAL and number not in FIRST):
            return self._prepare(source, row)
        costs: dict[str | None, Cost] = {}
        with self._measured(source, costs):
            began = time.perf_counter()
            document = self._prepare(source, row)
            seconds = time.perf_counter() - began
        self.profiles[place] = self.profiles.get(place, Profile()).plus(Profile(1, seconds, costs))
        return document

    @contextlib.contextmanager
    def _measured(self, source: Source, costs: dict[str | None, Cost]) -> Iterator[None]:
        """Measure the fields of an index for the length of the block; nothing is left of it."""
        current: list[str] = []

        def query(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
            name = current[-1] if current else None
            table = TABLE.search(str(sql))
            same = (source.label, name, "{} {!r}".format(sql, params))
            cost = Cost(0.0, {table.group(1) if table else "?": 1}, int(same in self._queries))
            if len(self._queries) < MAX_QUERIES:
                self._queries.add(same)
            costs[name] = costs.get(name, Cost()).plus(cost)
            return execute(sql, params, many, context)

        def timed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def prepare(*args: Any, **options: Any) -> Any:
                current.append(name)
                began = time.perf_counter()
                try:
                    return call(*args, **options)
                finally:
                    costs[name] = costs.get(name, Cost()).plus(Cost(time.perf_counter() - began))
                    current.pop()

            return prepare

        with contextlib.ExitStack() as stack:
            for connection in connections.all():
                stack.enter_context(connection.execute_wrapper(query))
            for name, field in source.index.fields.items():
                for owner, method in ((field, "prepare"), (source.index, "prepare_" + name)):
                    if hasattr(owner, method):
                        replacement = timed(name, getattr(owner, method))
                        stack.enter_context(_attribute_replaced(owner, method, replacement))
            yield


@contextlib.contextmanager
def _attribute_replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
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


def advise(source: Source, profile: Profile) -> list[Advice]:
    """Return what would help an index, the largest share first."""
    found = []
    for name, cost in profile.fields.items():
        # What is in no field is in a `prepare` of the index's own.
        in_fields = sum(each.seconds for each in profile.fields.values())
        seconds = profile.seconds - in_fields if name is None else cost.seconds
        share = seconds / profile.seconds if profile.seconds else 0.0
        queries = cost.queries / profile.documents
        author = _prepared_by(source, name)
        if queries >= ADVISED_QUERIES:
            remedy = _remedy(source, cost, profile)
            text = "{} runs {:.1f} queries a document: {}".format(author, queries, remedy)
        elif share >= ADVISED_SHARE:
            text = "{} takes {:.0%} of the time of preparing".format(author, share)
        else:
            continue
        found.append(Advice(source.alias, source.label, round(share, 3), text))
    return sorted(found, key=lambda advice: -advice.share)


def _prepared_by(source: Source, name: str | None) -> str:
    """Return what prepares a field, as its author calls it."""
    if name is None:
        return "`prepare` of {}".format(type(source.index).__name__)
    if hasattr(source.index, "prepare_" + name):
        return "`prepare_{}`".format(name)
    field = source.index.fields[name]
    if field.use_template:
        default = "search/indexes/{}_{}.txt".format(source.type.replace(".", "/"), field.instance_name)
        named = field.template_name or default
        return "template {}".format(named if isinstance(named, str) else " or ".join(named))
    return "field `{}`".format(name)


def _remedy(source: Source, cost: Cost, profile: Profile) -> str:
    """Return what would spare the queries."""
    if cost.repeats >= max(REPEATED * max(1, profile.documents - 1), REPEATED * cost.queries - 1):
        return "it is always the same one, ask once and keep the answer"
    model = source.index.get_model()
    ways = [way for table in cost.tables if (way := find_prefetch(model, table))]
    if ways:
        return " and ".join("add `{}` to `index_queryset`".format(way) for way in sorted(set(ways)))
    own = model._meta.db_table
    if own in cost.tables:
        return "`index_queryset` defers a column that it needs (only, defer)"
    return "tables {}; fetch them for all rows at once".format(", ".join(sorted(cost.tables)))


def find_prefetch(model: Any, table: str, depth: int = 2) -> str | None:
    """Return what fetches the rows of a table together with a model's: select_related('x').

    Looks along relations, nearest first, `depth` of them.
    """
    level: list[tuple[Any, tuple[str, ...], bool]] = [(model, (), False)]
    for _ in range(depth):
        following = []
        for each, path, many in level:
            for field, name, several in _relations(each):
                to = field.related_model
                relation = (to, (*path, name), many or several)
                if table in (to._meta.db_table, _through(field)):
                    kind = "prefetch_related" if relation[2] else "select_related"
                    return "{}('{}')".format(kind, "__".join(relation[1]))
                following.append(relation)
        level = following
    return None


def _relations(model: Any) -> Iterable[tuple[Any, str, bool]]:
    """Yield a model's relations: (field, name in a lookup, whether it leads to several rows)."""
    for field in model._meta.get_fields():
        if field.is_relation and field.related_model is not None:
            several = bool(field.one_to_many or field.many_to_many)
            name = field.get_accessor_name() if field.auto_created and not field.concrete else field.name
            if name:
                yield field, name, several


def _through(field: Any) -> str | None:
    """Return the table between both sides of a many-to-many relation."""
    through = getattr(getattr(field, "remote_field", None), "through", None) or getattr(
        field, "through", None
    )
    return str(through._meta.db_table) if through is not None else None


def merge_profiles(profiles: Iterable[Mapping[tuple[str, str], Profile]]) -> dict[tuple[str, str], Profile]:
    """Return what several workers measured, together."""
    merged: dict[tuple[str, str], Profile] = {}
    for each in profiles:
        for place, profile in each.items():
            merged[place] = merged.get(place, Profile()).plus(profile)
    return merged
