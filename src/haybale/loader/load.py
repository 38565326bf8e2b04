"""Load every index of every Solr connection: cut them into partitions by key, which worker processes load.

Nothing is deleted, and nothing is committed before the end.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any, Iterable, Iterator, Mapping, Sequence

from django.conf import settings

from .checks.audit import process_audit
from .checks.commands import check_commands
from .checks.duplicates import explain_missing
from .checks.exempt import check_exempt
from .checks.profiler import advise, merge_profiles
from .checks.readable import check_readable
from .checks.sample import compare_tasks, random_seed
from .checks.schema import check_schemas, read_schema
from .checks.verification import report_verification
from .cores import require_cores
from .documents import site
from .documents.site import NAMES, Partition, Source
from .events import Events, Failure, LoadProgress, Refusal
from .options import ALL_DOCUMENTS, Options
from .startup import make_worker
from .worker import Finish, WorkerResult
from .worker_pool import REPORT, WorkerPool, available_cpus

if TYPE_CHECKING:
    from .documents.loading import Progress
    from .documents.solr import Core

# Rows of a partition: enough that a partition costs nothing, few enough that the workers end together.
LEAST, MOST = 1000, 20_000

# Partitions of a model for each processor, between these bounds.
PARTITIONS_PER_CPU = 16

# While this much of a processor has nothing to do, one more worker is started, up to so many for each.
SPARE_CPU = 0.5
WORKERS_PER_CPU = 4

# Seconds over which that is measured.
IDLE_SECONDS = 1.0

# Seconds between two progress events.
PROGRESS_SECONDS = 0.2

# Advice is sent for an index that takes this share of the time of preparing all documents.
ADVISED_SHARE = 0.05

# Refused documents that an error lists.
MAX_REFUSALS = 20


def load_and_verify(events: Events, options: Options) -> None:
    """Load, commit once, and verify where the options give a sample. Raises `Failure`."""
    audit = process_audit(options.inputs)
    with audit.starting():
        require_cores(options.cores)
        check_commands()
        sources = site.find_sources(lambda text: events.send("note", text=text))
    # Each once, whatever goes into it.
    cores = list({source.core.url: source.core for source in sources}.values())
    for core in cores:
        core.require_empty()
    # Read once: nothing changes them while documents are loaded.
    schemas = {core.url: read_schema(core) for core in cores}
    check_exempt(options.verify_ignore, sources, schemas)
    for text in check_schemas(sources, NAMES.id, schemas):
        events.send("note", text=text)
    check_readable(sources)
    summary = LoadSummary(events)
    start_times = {core.url: core.start_time for core in cores}
    arguments = (options, start_times, schemas)
    close = functools.partial(site.close_connections, cores)
    with WorkerPool(make_worker, arguments, close, options.start, (events.descriptor,)) as pool:
        for _ in range(options.workers or available_cpus()):
            pool.start_worker()
        partitions = split_all(pool, sources, summary, options.rows, grow=not options.workers)
        for result in load_partitions(pool, partitions, summary):
            audit.add(result.audited)
        if summary.refused_total:
            raise refusal_failure(summary)
        seed = options.seed if options.seed is not None else random_seed()
        with ThreadPoolExecutor(1) as thread:
            committing = thread.submit(commit, cores, sources, summary)
            # Solr takes a while to commit: the sample is chosen meanwhile.
            tasks = list(compare_tasks(sources, options.sample, seed)) if options.sample else []
            committing.result()
        for core in cores:
            events.send("counts", core=core.name, field=NAMES.type, counts=summary.types[core.name])
        if options.inputs:
            if audit.problem:
                events.send("note", text="the audit of what is read is not complete: " + audit.problem)
            events.send("unknown-inputs", **audit.report(settings.DATABASES.values()))
        send_advice(events, sources, summary)
        models = list(summary.models.values())
        events.send("loaded", models=models, workers=len(pool), batch=summary.batch)
        if options.sample:
            sample: dict[str, Any] = {"seed": seed, "whole": options.sample == ALL_DOCUMENTS}
            sample["exempt"] = list(options.verify_ignore)
            report_verification(events, sources, summary.models, summary.types, pool.run(tasks), **sample)


class LoadSummary:
    """Adds up what the workers report, and sends events of how far the loading is."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._sent = 0.0
        self.models: dict[tuple[str, str], dict[str, Any]] = {}
        self.types: dict[str, Counter[str]] = {}
        self.refused: list[Refusal] = []
        self.refused_total = 0
        self.batch = 0
        self.profiles: list[Mapping[Any, Any]] = []

    def add_model(self, source: Source) -> dict[str, Any]:
        """Return a model's new entry; the number of its rows is not known yet."""
        model: dict[str, Any] = {"alias": source.alias, "core": source.core.name, "model": source.type}
        model.update(database=None, documents=0, skipped=0)
        self.models[source.alias, source.label] = model
        self.types.setdefault(source.core.name, Counter())
        return model

    def note_dependence(self, source: Source, dependence: str) -> None:
        """Say that a model is read as Haystack reads it, and why."""
        text = "connection {}: {} has {}: it is read page by page ({} rows), as update_index reads it"
        size = source.backend.batch_size
        self._events.send("note", text=text.format(source.alias, source.label, dependence, size))

    def count_rows(self, model: dict[str, Any], source: Source) -> None:
        """Count a model's rows, once."""
        if model["database"] is None:
            model["database"] = site.count_rows(source.queryset())
            self._send_progress(model)

    def add_report(self, report: Progress | Refusal) -> None:
        """Add what a worker reports."""
        if isinstance(report, Refusal):
            self.refused_total += 1
            if len(self.refused) < MAX_REFUSALS:
                self.refused.append(report)
            self._events.send("refused", **report._asdict())
            return
        model = self.models[report.alias, report.label]
        model["documents"] += report.documents
        model["skipped"] += report.skipped
        finished = model["documents"] + model["skipped"] == model["database"]
        if finished or time.monotonic() - self._sent >= PROGRESS_SECONDS:
            self._send_progress(model)

    def add_result(self, result: WorkerResult) -> None:
        """Add what a worker did in all."""
        self.batch = max(self.batch, result.batch)
        self.profiles.append(result.profiles)
        for core, types in result.types.items():
            self.types[core].update(types)

    def _send_progress(self, model: Mapping[str, Any]) -> None:
        if model["database"] is None:
            return
        self._sent = time.monotonic()
        done = model["documents"] + model["skipped"]
        progress = LoadProgress(model["alias"], model["model"], done, model["database"])
        self._events.send("progress", **progress._asdict())


class IdleCpus:
    """How many of the machine's processors have nothing to do. Source: proc(5), /proc/stat."""

    def __init__(self) -> None:
        self._last = self._read()
        self._when = time.monotonic()

    def mean(self) -> float:
        """Return the mean since the last answer; 0.0 where that is too short ago, or not known."""
        if time.monotonic() - self._when < IDLE_SECONDS:
            return 0.0
        before, self._last, self._when = self._last, self._read(), time.monotonic()
        idle, passed = (now - then for now, then in zip(self._last, before))
        return available_cpus() * idle / passed if passed else 0.0

    @staticmethod
    def _read() -> tuple[int, int]:
        """Return the time that was idle, and all time."""
        try:
            with open("/proc/stat", encoding="ascii") as file:
                times = [int(word) for word in file.readline().split()[1:9]]
        except OSError:
            return 0, 0
        return times[3] + times[4], sum(times)


def split_all(
    pool: WorkerPool, sources: Sequence[Source], summary: LoadSummary, rows: int, *, grow: bool
) -> Iterator[Partition]:
    """Yield the partitions of every index; with `grow`, start workers while processors have nothing to do."""
    idle_cpus = IdleCpus()
    for source in sources:
        model = summary.add_model(source)
        dependence = site.find_dependence(source)
        if dependence:
            summary.note_dependence(source, dependence)
            partitions: Iterable[Partition] = [source.whole()._replace(in_haystacks_pages=True)]
        else:
            partitions = site.split_by_key(source, lambda: rows or partition_rows(model))  # noqa: B023 - used up here
        for number, partition in enumerate(partitions):
            yield partition
            # Counting may take a while: by now every worker has something to do.
            if number + 1 == len(pool):
                summary.count_rows(model, source)
            if grow and len(pool) < WORKERS_PER_CPU * available_cpus() and idle_cpus.mean() > SPARE_CPU:
                pool.start_worker()
        summary.count_rows(model, source)


def partition_rows(model: Mapping[str, Any]) -> int:
    """Return the rows of a partition, by the number of all; the least where that is not known yet."""
    return max(LEAST, min(MOST, (model["database"] or 0) // (PARTITIONS_PER_CPU * available_cpus())))


def load_partitions(
    pool: WorkerPool, partitions: Iterable[Partition], summary: LoadSummary
) -> Iterator[WorkerResult]:
    """Have every partition loaded; yield each worker's result."""
    for kind, value in chain(pool.run(partitions), pool.run_on_each(Finish())):
        if kind == REPORT:
            summary.add_report(value)
        elif isinstance(value, WorkerResult):
            summary.add_result(value)
            yield value


def commit(cores: Iterable[Core], sources: Sequence[Source], summary: LoadSummary) -> None:
    """Commit, once, and make sure that Solr then holds as many documents as it was sent. Raises `Failure`."""
    for core in cores:
        core.commit()
        sent = sum(summary.types[core.name].values())
        if core.count_by(NAMES.type)[0] != sent:
            raise explain_missing(core, sources, sent)


def refusal_failure(summary: LoadSummary) -> Failure:
    """Return the failure that names the documents which are not in Solr."""
    first, *more = summary.refused
    message = first.reason
    if more:
        message = "{} documents cannot be indexed. The first: {}".format(summary.refused_total, message)
    log = [each.reason for each in more]
    if summary.refused_total > MAX_REFUSALS:
        log.append("... and {} more".format(summary.refused_total - MAX_REFUSALS))
    return Failure(message, first.cause, first.hint, "\n".join([*log, first.log]))


def send_advice(events: Events, sources: Iterable[Source], summary: LoadSummary) -> None:
    """Send what would make an index quicker, by what the workers measured."""
    profiles = merge_profiles(summary.profiles)
    # Seconds that preparing a model's documents takes in all.
    seconds = {
        place: summary.models[place]["documents"] * profile.seconds / profile.documents
        for place, profile in profiles.items()
    }
    for source in sources:
        place = (source.alias, source.label)
        if seconds.get(place, 0.0) > ADVISED_SHARE * sum(seconds.values()):
            for advice in advise(source, profiles[place]):
                events.send("advice", **advice._asdict())
