"""The site's side: its indexes and its rows, as Haystack's own update_index takes them.

Source: haystack/management/commands/update_index.py, Command.update_backend and do_update. Haystack reads the
settings when it is imported, so this is imported only once the site has started (startup.py).
"""

from __future__ import annotations

import re
import traceback
from typing import Any, Callable, Iterable, Iterator, Mapping, NamedTuple, Sequence

from django.core.exceptions import EmptyResultSet
from django.db import connections as databases
from django.db.models import QuerySet
from haystack import connections, constants
from haystack.exceptions import NotHandled, SkipDocument
from haystack.management.commands.update_index import do_update
from haystack.utils import get_model_ct
from haystack.utils.app_loading import haystack_get_models, haystack_load_apps

from ..events import Failure, summarize
from .django_setup import preparing_field, site_frames
from .encoding import UnsendableValueError, build_document
from .own_update import has_own_update, is_followed, updated_documents
from .solr import Core

# Functions of PostgreSQL and SQLite that make several rows of one (PostgreSQL's documentation, "Set Returning
# Functions", "JSON", "String", "Array Functions"; SQLite's "Table-valued functions").
SET_RETURNING = re.compile(
    r"\b(?:unnest|generate_(?:series|subscripts)|regexp_(?:matches|split_to_table)|string_to_table|json_(?:each|tree)"
    r"|jsonb?_(?:array_elements|each|object_keys|path_query|populate_recordset|to_recordset)(?:_text|_tz)?)\s*\(",
    re.IGNORECASE,
)


class FieldNames(NamedTuple):
    """The fields that Haystack adds to each document (HAYSTACK_ID_FIELD and its like)."""

    id: str
    type: str
    key: str


NAMES = FieldNames(constants.ID, constants.DJANGO_CT, constants.DJANGO_ID)


class Partition(NamedTuple):
    """A part of the work: the rows of a model with after < key <= until (None: no bound), through an alias.

    `label` is such as app.Model. A plain value: it can be sent to another process.
    """

    alias: str
    label: str
    after: Any = None
    until: Any = None
    in_haystacks_pages: bool = False  # where what a row has depends on the others that are read with it


class Source(NamedTuple):
    """One search index of one Haystack connection: what to read, how to prepare it, where to send it."""

    alias: str
    label: str  # app.Model
    type: str  # app.model, as Haystack writes it into django_ct
    core: Core
    index: Any  # haystack.indexes.SearchIndex
    backend: Any  # haystack.backends.solr_backend.SolrSearchBackend
    own_update: bool = False  # documents are made by the backend's own `update`
    later: tuple[Source, ...] = ()  # of the same model and core, through connections that come after this one

    def whole(self) -> Partition:
        """Return all of the model's rows as one partition."""
        return Partition(self.alias, self.label)

    def queryset(self) -> Any:
        """Return what Haystack would index, in any order; without what later connections write again."""
        rows = self._all_rows()
        for each in self.later:
            rows = rows.exclude(pk__in=each._all_rows().order_by().values("pk"))
        return rows

    def _all_rows(self) -> Any:
        """Return the index's queryset, asked for as update_index does.

        Raises `Failure` for what that cannot index.
        """
        try:
            rows = self.index.build_queryset(using=self.alias, start_date=None, end_date=None)
        except Exception as error:
            raise not_readable(self, summarize(error), site_frames(error)) from error
        if not isinstance(rows, QuerySet):
            raise not_readable(self, "its rows are a {}, and no QuerySet".format(type(rows).__name__))
        return rows

    def has_rows_of(self, other: Source) -> bool:
        """Whether both queries are the same for certain, and so are their documents."""
        mine = self._query()
        return mine is not None and bool(mine == other._query())

    def raise_if_not_separable(self, later: Source) -> None:
        """Raise `Failure` where it can't be said in SQL which rows a later connection writes again."""
        mine, others = self._all_rows(), later._all_rows()
        cause = None
        if type(self.index) is not type(later.index):
            cause = "they have different search indexes: {} and {}".format(
                type(self.index).__name__, type(later.index).__name__
            )
        elif mine.db != others.db:
            cause = "their rows are in different databases"
        elif any(_is_sliced(rows.query) or rows.query.combinator for rows in (mine, others)):
            cause = "index_queryset returns a slice or a union"
        if cause:
            raise Failure(
                "the Haystack connections {} and {} both index {} into the core {}".format(
                    self.alias, later.alias, self.label, self.core.name
                ),
                cause=cause + "; which document an id has in the end depends on the order of writing",
                hint="give each connection a core, or leave the index out of one (EXCLUDED_INDEXES)",
            )

    def _query(self) -> Any:
        """Return database, SQL and what is fetched with it; None where that does not say all."""
        rows = self._all_rows()
        # Other objects than names have querysets of their own.
        if not all(isinstance(each, str) for each in rows._prefetch_related_lookups):
            return None
        try:
            return rows.db, rows.query.sql_with_params(), rows._prefetch_related_lookups
        except EmptyResultSet:
            return rows.db, None, ()

    def field_names(self) -> set[str]:
        """Return the names in Solr of the index's fields, Haystack's own among them."""
        return {*NAMES, *(field.index_fieldname for field in self.index.fields.values())}

    def schema_line(self, name: str) -> str:
        """Return the line of schema.xml for a field: Haystack's own proposal, else a plain one."""
        fields = connections[self.alias].get_unified_index().all_searchfields()
        form = '<field name="{}" type="{}" indexed="{}" stored="{}" multiValued="{}"/>'
        attributes = ("type", "indexed", "stored", "multi_valued")
        for field in self.backend.build_schema(fields)[1]:
            if field["field_name"] == name:
                return form.format(name, *(field[each] for each in attributes))
        return form.format(name, "string", "true", "true", "true")


def not_readable(source: Source, what: str, log: str = "") -> Failure:
    """Return the failure of an index whose rows update_index cannot read either."""
    return Failure(
        "connection {}: the rows of {} cannot be read: {}".format(source.alias, source.label, what),
        cause="update_index reads {}.build_queryset() ordered and filtered by key, page by page".format(
            type(source.index).__name__
        ),
        hint="return a QuerySet of the model without slices, values() or a union; filter with pk__in instead",
        log=log,
    )


class PreparationError(Failure):
    """The site could not prepare a row; `field` is the one that it was at, None where that is not known."""

    def __init__(self, field: str | None, message: str, cause: str, hint: str, log: str) -> None:
        super().__init__(message, cause, hint, log)
        self.field = field


def find_sources(note: Callable[[str], None]) -> list[Source]:
    """Return every index of every Solr connection, in update_index's order. Raises `Failure` for none.

    `note` is told what is left out.
    """
    found: list[Source] = []
    cores: dict[str, Core] = {}
    for alias, options in connections.connections_info.items():
        backend = connections[alias].get_backend()
        if not is_followed(alias, backend, options.get("URL", "")):
            continue
        own_update = has_own_update(alias, backend)
        if own_update:
            message = "connection {}: documents are made by {}.update, at its speed"
            note(message.format(alias, type(backend).__name__))
        core = Core(options["URL"], options.get("KWARGS", {}))
        core = cores.setdefault(core.url, core)
        unified = connections[alias].get_unified_index()
        missed = set(unified.get_indexed_models())
        for model in (model for app in haystack_load_apps() for model in haystack_get_models(app)):
            try:
                index = unified.get_index(model)
            except NotHandled:
                continue
            missed.discard(model)
            source = Source(alias, model._meta.label, get_model_ct(model), core, index, backend, own_update)
            found = _add_source(found, source, note)
        for model in missed:
            note("connection {}: update_index does not reach {!r} either".format(alias, model))
    if not found:
        raise Failure(
            "the site has no search index for Solr",
            cause="Haystack finds none in the apps, for any connection whose engine is Solr's",
            hint="look at INSTALLED_APPS and HAYSTACK_CONNECTIONS as the site's container has them",
        )
    return found


def _add_source(found: list[Source], source: Source, note: Callable[[str], None]) -> list[Source]:
    """Return the sources with one more: it overwrites what others of its model wrote into its core."""
    earlier = [each for each in found if (each.core.url, each.label) == (source.core.url, source.label)]
    for each in earlier:
        each.raise_if_not_separable(source)
    same = next((each for each in earlier if not each.later and each.has_rows_of(source)), None)
    if same:
        message = "connection {}: {} is in the same core through {} already"
        note(message.format(source.alias, source.label, same.alias))
        return found
    for each in earlier:
        message = "connection {}: rows of {} that connection {} has too are indexed through that one"
        note(message.format(each.alias, each.label, source.alias))
    return [each._replace(later=(*each.later, source)) if each in earlier else each for each in found] + [
        source
    ]


def close_connections(cores: Iterable[Core]) -> None:
    """Close every connection that a process which is now started would share."""
    databases.close_all()
    for core in cores:
        core.close()


def count_rows(queryset: Any) -> int:
    """Return the number of rows: of keys, for a join may repeat a row, which is one document all the same."""
    query = queryset.query
    if not query.combinator:
        repeats = len(query.alias_map) > 1 or query.extra_tables or not queryset.model._meta.managed
        keys = queryset.order_by().values("pk")
        # Without a join no key is there twice, and counting is many times as quick.
        query = (keys.distinct() if repeats else keys).query
    # Not by the queryset's `count`, which a site may have made quicker and less exact.
    return int(query.get_count(using=queryset.db))


def split_by_key(source: Source, size: Callable[[], int], after: Any = None) -> Iterator[Partition]:
    """Yield a model's rows in partitions of about `size()` (a join may repeat rows), by key, from `after` on.

    The bounds are asked of the database one by one, each from the last: all of them cost it one walk along
    the keys.
    """
    ordered = source.queryset().order_by("pk").values_list("pk", flat=True)
    while True:
        beyond = ordered if after is None else ordered.filter(pk__gt=after)
        last = size()
        bound = _read_rows(source.label, after, beyond[last - 1 : last])
        until = bound[0] if bound else None
        yield Partition(source.alias, source.label, after, until)
        if until is None:
            return
        after = until


def find_dependence(source: Source) -> str | None:
    """Return why rows must be read just as update_index reads them; None where filters change no row.

    Filters on the key then give other values: a window counts only what they leave.
    """
    rows = source.queryset()
    try:
        sql = str(rows.query.sql_with_params()[0])
    except EmptyResultSet:
        return None
    return next((reason for reason, holds in DEPENDENCES.items() if holds(rows, sql)), None)


def _reads_in_own_way(rows: Any, _: str) -> bool:
    return any(name in vars(kind) for kind in _own_classes(rows) for name in READING)


def _has_own_groups(rows: Any, _: str) -> bool:
    """Return whether a query groups rows otherwise than by their key."""
    groups, key = rows.query.group_by, rows.model._meta.pk
    if not isinstance(groups, (tuple, list)):
        return False
    return not any(getattr(each, "target", None) == key for each in groups)


def _joins_repeating_view(rows: Any, _: str) -> bool:
    joins = (getattr(table, "join_field", None) for table in rows.query.alias_map.values())
    models = {join.related_model for join in joins if join is not None}
    return any(not model._meta.managed and _repeats_keys(model, rows.db) for model in models)


def _repeats_keys(model: Any, database: str) -> bool:
    """Return whether a key is there twice: nothing makes sure of a view's."""
    keys = model._base_manager.using(database).order_by().values("pk")
    return bool(keys.count() != keys.distinct().count())


def _has_values_of_repeating_join(rows: Any, _: str) -> bool:
    query = rows.query
    annotations = query.annotation_select.values()
    plain = all(getattr(each, "contains_aggregate", False) for each in annotations)
    may_repeat = bool(query.extra_tables) or any(map(_may_repeat, query.alias_map.values()))
    return bool(query.extra_select or not plain) and may_repeat


def _is_repeating_view(rows: Any, _: str) -> bool:
    return not rows.model._meta.managed and bool(rows.order_by().count() != count_rows(rows))


# Why rows must be read as update_index reads them, and whether that is so, by a queryset and its SQL.
DEPENDENCES: Mapping[str, Callable[[Any, str], bool]] = {
    "a union": lambda rows, _: bool(rows.query.combinator),
    "a reversed order": lambda rows, _: not rows.query.standard_ordering,
    "distinct on fields": lambda rows, _: bool(rows.query.distinct_fields),
    "a queryset with a way of reading of its own": _reads_in_own_way,
    "a window function": lambda _, sql: bool(re.search(r"\bOVER\b", sql, re.IGNORECASE)),
    "a function that makes several rows of one": lambda _, sql: bool(SET_RETURNING.search(sql)),
    "groups of rows": _has_own_groups,
    "a join with a view whose key several rows have": _joins_repeating_view,
    "values of a join that repeats keys": _has_values_of_repeating_join,
    "a key that several rows have, of which the last one counts": _is_repeating_view,
}


def _is_sliced(query: Any) -> bool:
    """Return whether a query has a first or a last row; before Django 3.0 it does not say so itself."""
    return bool(query.low_mark) or query.high_mark is not None


# Methods of a queryset by which rows come out of it.
READING = ("__iter__", "__getitem__", "_fetch_all", "iterator", "count")


def _own_classes(rows: Any) -> list[type]:
    """Return a queryset's classes that are not Django's."""
    return [
        kind for kind in type(rows).__mro__ if kind.__module__.partition(".")[0] not in ("django", "builtins")
    ]


def _may_repeat(table: Any) -> bool:
    """Return whether joining a table may repeat rows; not where it is the one that a foreign key names."""
    field = getattr(table, "join_field", None)
    if field is None:
        return getattr(table, "join_type", None) is not None
    return not (getattr(field, "many_to_one", False) or getattr(field, "one_to_one", False))


def _read_rows(label: str, after: Any, rows: Any) -> list[Any]:
    """Return the rows of a query. Raises `Failure`."""
    try:
        return list(rows)
    except Exception as error:
        raise Failure(
            "reading {} after key {!r} failed: {}".format(label, after, summarize(error)),
            cause="the queryset of the model's search index (index_queryset) raised it while it was read",
            hint="correct index_queryset, or what `database.commands` makes of the dump",
            log=site_frames(error),
        ) from error


def read_pages(queryset: Any, partition: Partition, size: int) -> Iterator[list[Any]]:
    """Yield the partition's objects in pages of up to `size`, by key, each key once.

    By key and not by OFFSET: each page costs the same however far in it is, and the database may change
    meanwhile without a row being met twice.
    """
    # A clone each time: the pages must not stay in the queryset's cache.
    ordered = queryset.all().order_by("pk")
    if partition.until is not None:
        ordered = ordered.filter(pk__lte=partition.until)
    last = partition.after
    while True:
        rows = ordered if last is None else ordered.filter(pk__gt=last)
        page = _read_rows(partition.label, last, rows[:size])
        if not page:
            return
        last = page[-1].pk
        yield last_of_each_key(page)
        if len(page) < size:
            return


def last_of_each_key(page: Sequence[Any]) -> list[Any]:
    """Return the rows of a page, by key, of which Solr keeps the documents where all are sent."""
    return [row for row, after in zip(page, [*page[1:], None]) if after is None or row.pk != after.pk]


class _Taker:
    """Takes the rows in a backend's place."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def update(self, _: Any, rows: Any, **__: Any) -> None:
        """Take a page."""
        self.rows = list(rows)


class HaystacksPage(NamedTuple):
    """Rows that update_index gives to the backend at once; `are_again`: it had each of them before."""

    rows: list[Any]
    are_again: bool = False


def read_haystacks_pages(source: Source, *, first_only: bool = False) -> Iterator[HaystacksPage]:
    """Yield the pages that update_index gives to the backend, or the first one, read by its own code.

    Where keys repeat it comes to the end before it has read as many pages as it counted rows for. Then it
    reads the remaining ones by their place in the whole, once more. Raises `Failure` where they cannot be
    read.
    """
    queryset = source.queryset()
    size = source.backend.batch_size
    total = size if first_only else queryset.count()
    last = None
    are_again = False
    for start in range(0, total, size):
        taker = _Taker()
        end = min(start + size, total)
        try:
            last = do_update(
                taker, source.index, queryset, start, end, total,
                verbosity=0, commit=False, max_retries=1, last_max_pk=last,
            )  # fmt: skip
        except Exception as error:
            raise not_readable(source, summarize(error), site_frames(error)) from error
        if taker.rows:
            yield HaystacksPage(taker.rows, are_again)
        else:
            are_again = True


def prepare(source: Source, row: Any) -> dict[str, Any] | None:
    """Return the document that Haystack would send for a row; None where the index skips it.

    Raises `PreparationError` that names model, key, field and the site's code.
    """
    try:
        return build_document(source.index.full_prepare(row))
    except SkipDocument:
        return None
    except UnsendableValueError as unsendable:
        error: BaseException = unsendable.__cause__ or unsendable
        field: str | None = unsendable.field
        place = "the value of field {}".format(field)
    except Exception as caught:  # noqa: BLE001 - whatever the site's code raises
        error = caught
        field, method = preparing_field(frame for frame, _ in traceback.walk_tb(caught.__traceback__))
        parts = (method and method + "()", field and "field " + field)
        place = ", ".join(part for part in parts if part) or "prepare()"
    raise PreparationError(
        field,
        "{} {} cannot be prepared: {}: {}".format(source.label, row.pk, place, summarize(error)),
        cause="the search index {} cannot handle this row".format(type(source.index).__name__),
        hint="fix the index or the row; SkipDocument leaves a row out on purpose",
        log=site_frames(error),
    ) from error


def update_rows(source: Source, rows: list[Any]) -> list[dict[str, Any]]:
    """Return the documents that the backend's `update` makes of rows. Raises `PreparationError`."""
    try:
        return updated_documents(source.alias, source.backend, source.index, rows)
    except Failure:
        raise
    except Exception as error:
        field, _ = preparing_field(frame for frame, _ in traceback.walk_tb(error.__traceback__))
        raise PreparationError(
            field,
            "{} {} cannot be prepared: {}".format(source.label, rows[0].pk, summarize(error)),
            cause="{}.update cannot handle this row".format(type(source.backend).__name__),
            hint="fix the backend, the index or the row; SkipDocument leaves a row out on purpose",
            log=site_frames(error),
        ) from error
