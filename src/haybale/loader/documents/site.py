"""The site's side: its indexes and its rows, as Haystack's own update_index takes them.

Source: haystack/management/commands/update_index.py, Command.update_backend and do_update. Haystack reads the
settings when it is imported, so this is imported only once the site has started (startup.py).
"""

from __future__ import annotations

import re
import traceback
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from django.core.exceptions import EmptyResultSet
from django.db import connections as databases
from haystack import connections, constants
from haystack.exceptions import NotHandled, SkipDocument
from haystack.utils import get_model_ct
from haystack.utils.app_loading import haystack_get_models, haystack_load_apps

from ..events import Failure, summarize
from .django_setup import preparing_field, site_frames
from .encoding import UnsendableValueError, build_document
from .own_update import has_own_update, is_followed, updated_documents
from .solr import Core


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
    page: int = 0  # the rows of each page, where what a row has depends on them; else as many as are quick


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
        return self.index.build_queryset(using=self.alias)

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
        elif any(rows.query.is_sliced or rows.query.combinator for rows in (mine, others)):
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
    if query.combinator:
        # Django makes nothing else of it.
        return int(queryset.count())
    keys = queryset.order_by().values("pk")
    repeats = len(query.alias_map) > 1 or query.extra_tables or not queryset.model._meta.managed
    # Without a join no key is there twice, and counting is many times as quick.
    return int((keys.distinct() if repeats else keys).count())


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


def find_dependence(source: Source) -> str | None:  # noqa: PLR0911 - a reason each
    """Return why rows must be read just as update_index reads them; None where filters change no row.

    Filters on the key then give other values: a window counts only what they leave.
    """
    rows = source.queryset()
    query = rows.query
    if query.combinator:
        return "a union"
    if query.is_sliced:
        return "a slice"
    if query.distinct_fields:
        return "distinct on fields"
    if any(name in vars(kind) for kind in _own_classes(rows) for name in READING):
        return "a queryset with a way of reading of its own"
    try:
        sql = str(query.sql_with_params()[0])
    except EmptyResultSet:
        return None
    if re.search(r"\bOVER\b", sql, re.IGNORECASE):
        return "a window function"
    plain = all(getattr(each, "contains_aggregate", False) for each in query.annotation_select.values())
    if (query.extra_select or not plain) and any(map(_may_repeat, query.alias_map.values())):
        return "values of a join that repeats keys"
    if not rows.model._meta.managed and rows.order_by().count() != count_rows(rows):
        return "a key that several rows have, of which the last one counts"
    return None


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
        # The last one, as in Solr where all are sent.
        yield [row for row, after in zip(page, [*page[1:], None]) if after is None or row.pk != after.pk]
        if len(page) < size:
            return


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
