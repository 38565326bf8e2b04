"""What a worker process of the loader does: it loads partitions, and compares what was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple

from .checks.audit import AuditResult, process_audit
from .checks.comparison import IndexComparer
from .checks.exempt import exempt_fields
from .checks.profiler import Profile, Profiler
from .checks.sample import CompareTask
from .documents.loading import PartitionLoader
from .documents.site import Partition, find_sources, prepare
from .worker_pool import Report, Worker

if TYPE_CHECKING:
    from .checks.schema import Schema
    from .options import Options


class Finish(NamedTuple):
    """The task that comes after all partitions: to send what is left, and return a `WorkerResult`."""


class WorkerResult(NamedTuple):
    """What a worker did in all. `types` maps a core's name to its documents of each type."""

    types: Mapping[str, Mapping[str, int]]
    audited: AuditResult
    batch: int
    profiles: Mapping[tuple[str, str], Profile]


class LoadingWorker(Worker):
    """Loads partitions, and compares."""

    def __init__(
        self, options: Options, start_times: Mapping[str, str | None], schemas: Mapping[str, Schema]
    ) -> None:
        self._audit = process_audit(options.inputs)
        with self._audit.starting():
            # What is left out, the main process notes.
            sources = find_sources(lambda _: None)
        self._comparers = {}
        for source in sources:
            source.core.start_time = start_times[source.core.url]
            exempt = exempt_fields(options.verify_ignore, source)
            comparer = IndexComparer(source, schemas[source.core.url], exempt)
            self._comparers[source.alias, source.label] = comparer
        self._profiler = Profiler(prepare)
        self._loader = PartitionLoader(sources, options.batch, self._profiler.prepare)

    def do(self, task: Partition | Finish | CompareTask, report: Report) -> Any:
        """Load a partition, or send what is left and return a `WorkerResult`, or compare."""
        if isinstance(task, CompareTask):
            return self._comparers[task.partition.alias, task.partition.label].compare(task, report)
        if isinstance(task, Finish):
            self._loader.finish()
            types, batch = self._loader.types, self._loader.batch
            return WorkerResult(types, self._audit.result(), batch, self._profiler.profiles)
        with self._audit.preparing(task.label):
            return self._loader.load(task, report)
