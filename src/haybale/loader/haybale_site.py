"""The site's side: its settings, its indexes and its rows, as Haystack's own update_index takes them.

Source: haystack/management/commands/update_index.py, Command.update_backend and do_update.
"""
# Haystack reads the settings when it is imported, so nothing of it is imported before `setup`.
# ruff: noqa: PLC0415

from __future__ import annotations

import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from haybale_documents import ValueRefused, document
from haybale_events import Failure, summary
from haybale_solr import Core

HERE = str(Path(__file__).resolve().parent)

# Frames of the site's code that an error shows.
FRAMES = 5


class Partition(NamedTuple):
    """A part of the work: the rows of a model with after < key <= until (None: no bound), through an alias.

    `label` is such as app.Model. A plain value: it can be sent to whoever is to do the work.
    """

    alias: str
    label: str
    after: Any = None
    until: Any = None


class Source(NamedTuple):
    """One search index of one Haystack connection: what to read, how to prepare it, where to send it."""

    alias: str
    label: str  # app.Model
    type: str  # app.model, as Haystack writes it into django_ct
    core: Core
    index: Any  # haystack.indexes.SearchIndex
    backend: Any  # haystack.backends.solr_backend.SolrSearchBackend

    def whole(self) -> Partition:
        """Return all of the model's rows as one partition."""
        return Partition(self.alias, self.label)

    def queryset(self) -> Any:
        """Return what Haystack would index, in any order."""
        return self.index.build_queryset(using=self.alias)


class Unprepared(Failure):
    """The site could not prepare a row; `field` is the one that it was at, "" where that is not known."""

    def __init__(self, field: str, what: str, cause: str, step: str, log: str) -> None:
        super().__init__(what, cause, step, log)
        self.field = field


class Names(NamedTuple):
    """The fields that Haystack adds to each document (HAYSTACK_ID_FIELD and its like)."""

    id: str
    type: str
    key: str


def setup() -> None:
    """Make the site importable and start Django, as the site's manage.py would. Raises `Failure`."""
    folder = str(Path.cwd())
    # The folder of these scripts goes last: no module of the site's may be hidden by one of ours.
    sys.path[:] = [folder, *(entry for entry in sys.path if entry not in ("", folder, HERE)), HERE]
    module = os.environ.get("DJANGO_SETTINGS_MODULE") or _settings_of_manage(folder)
    if not module:
        raise Failure(
            "DJANGO_SETTINGS_MODULE is not set, and {} has no manage.py that sets it".format(folder),
            cause="the image's working directory is not the site's folder",
            step="set WORKDIR and DJANGO_SETTINGS_MODULE in the Dockerfile",
        )
    os.environ["DJANGO_SETTINGS_MODULE"] = module
    try:
        import django
        from django.apps import apps

        if not apps.ready:
            django.setup()
    except Exception as error:
        raise Failure(
            "the site does not start: " + summary(error),
            cause="its settings ({}) need a variable, a package or a file that is not here".format(module),
            step="try: python -c 'import django; django.setup()' in the site's container",
            log=frames(error),
        ) from error


def _settings_of_manage(folder: str) -> str:
    """Return the settings module that a manage.py names, "" where there is none."""
    try:
        script = (Path(folder) / "manage.py").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)", script)
    return found.group(1) if found else ""


def names() -> Names:
    """Return what this site calls Haystack's own fields."""
    from haystack import constants

    return Names(constants.ID, constants.DJANGO_CT, constants.DJANGO_ID)


def sources(note: Callable[[str], None]) -> list[Source]:
    """Return every index of every Solr connection, in update_index's order. Raises `Failure` for none.

    `note` hears of what is left out.
    """
    from haystack import connections
    from haystack.backends.solr_backend import SolrSearchBackend
    from haystack.exceptions import NotHandled
    from haystack.utils import get_model_ct
    from haystack.utils.app_loading import haystack_get_models, haystack_load_apps

    found: list[Source] = []
    cores: dict[str, Core] = {}
    taken: dict[tuple[str, str], str] = {}
    for alias, options in connections.connections_info.items():
        backend = connections[alias].get_backend()
        if not isinstance(backend, SolrSearchBackend):
            continue
        if type(backend).update is not SolrSearchBackend.update:
            note("connection {}: {}.update is not used".format(alias, type(backend).__name__))
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
            label = model._meta.label  # noqa: SLF001 - Django documents _meta
            first = taken.setdefault((core.url, label), alias)
            if first != alias:
                note("connection {}: {} is in the same core through {} already".format(alias, label, first))
                continue
            found.append(Source(alias, label, get_model_ct(model), core, index, backend))
        for model in missed:
            note("connection {}: update_index does not reach {!r} either".format(alias, model))
    if not found:
        raise Failure(
            "the site has no search index for Solr",
            cause="no app with a search_indexes.py is installed, or no HAYSTACK_CONNECTIONS engine is Solr's",
            step="look at INSTALLED_APPS and HAYSTACK_CONNECTIONS as the site's container has them",
        )
    return found


def cores_of(sources: Iterable[Source]) -> list[Core]:
    """Return the cores of sources, each once."""
    return list({source.core.url: source.core for source in sources}.values())


def let_go(cores: Iterable[Core]) -> None:
    """Close every connection that a process which is now started would share."""
    from django.db import connections

    connections.close_all()
    for core in cores:
        core.close()


def rows(queryset: Any) -> int:
    """Return the number of rows: of keys, for a join may repeat a row, which is one document all the same."""
    query = queryset.query
    keys = queryset.order_by().values("pk")
    repeats = len(query.alias_map) > 1 or query.extra_tables or query.combinator
    # Without a join no key is there twice, and counting is many times as quick.
    return int((keys.distinct() if repeats else keys).count())


def partitions(source: Source, size: Callable[[], int]) -> Iterator[Partition]:
    """Yield all of a model's rows in partitions of about `size()` (a join may repeat rows), by key.

    The bounds are asked of the database one by one, each from the last: all of them cost it one walk along
    the keys.
    """
    ordered = source.queryset().order_by("pk").values_list("pk", flat=True)
    after = None
    while True:
        beyond = ordered if after is None else ordered.filter(pk__gt=after)
        last = size()
        bound = _read(source.label, after, beyond[last - 1 : last])
        until = bound[0] if bound else None
        yield Partition(source.alias, source.label, after, until)
        if until is None:
            return
        after = until


def _read(label: str, after: Any, rows: Any) -> list[Any]:
    """Return the rows of a query. Raises `Failure`."""
    try:
        return list(rows)
    except Exception as error:
        raise Failure(
            "reading {} after key {!r} failed: {}".format(label, after, summary(error)),
            cause="the database, or index_queryset of the model's search index",
            step="has the dump this version's schema? Run the site's migrations",
            log=frames(error),
        ) from error


def pages(queryset: Any, partition: Partition, size: int) -> Iterator[list[Any]]:
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
        page = _read(partition.label, last, (ordered if last is None else ordered.filter(pk__gt=last))[:size])
        if not page:
            return
        last = page[-1].pk
        yield [row for number, row in enumerate(page) if not number or row.pk != page[number - 1].pk]
        if len(page) < size:
            return


def prepare(source: Source, row: Any) -> dict[str, Any] | None:
    """Return the document that Haystack would send for a row; None where the index skips it.

    Raises `Unprepared` that names model, key, field and the site's code.
    """
    from haystack.exceptions import SkipDocument

    try:
        return document(source.index.full_prepare(row))
    except SkipDocument:
        return None
    except ValueRefused as refused:
        error: BaseException = refused.__cause__ or refused
        field, where = refused.field, "the value of field {}".format(refused.field)
    except Exception as caught:  # noqa: BLE001 - whatever the site's code raises
        error = caught
        field, method = preparation(frame for frame, _ in traceback.walk_tb(caught.__traceback__))
        where = (
            ", ".join(part for part in (method and method + "()", field and "field " + field) if part)
            or "prepare()"
        )
    raise Unprepared(
        field,
        "{} {} can't be prepared: {}: {}".format(source.label, row.pk, where, summary(error)),
        cause="the search index {} does not cope with this row".format(type(source.index).__name__),
        step="mend the index or the row; SkipDocument leaves a row out on purpose",
        log=frames(error),
    ) from error


def preparation(frames: Iterable[Any]) -> tuple[str, str]:
    """Return which field frames (outermost first) prepare, and by which method of the site; "" for none.

    By the frames of haystack/indexes.py.
    """
    field = method = ""
    for frame in frames:
        name = frame.f_code.co_name
        if frame.f_globals.get("__name__") == "haystack.indexes" and name in ("prepare", "full_prepare"):
            field = str(frame.f_locals.get("field_name", ""))
        elif name.startswith("prepare") and "haystack" not in str(frame.f_globals.get("__name__")):
            method = name
    return field, method


def frames(error: BaseException) -> str:
    """Return where an exception came from: the last frames in the site's code, else the last ones of all."""
    every = traceback.extract_tb(error.__traceback__)
    library = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
    site = [
        frame
        for frame in every
        if "site-packages" not in frame.filename
        and "dist-packages" not in frame.filename
        and not frame.filename.startswith((*library, HERE, "<frozen"))
    ]
    lines = traceback.format_list((site or list(every))[-FRAMES:])
    return "".join(lines) + summary(error)
