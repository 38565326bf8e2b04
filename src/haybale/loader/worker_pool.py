"""Worker processes: plain values go in and come out, over a pipe for each worker.

A worker is made by a function that every process can import, and does one task at a time. It shares nothing
with the others: no connection to a database or to Solr, no lock, no memory. So it does not matter whether
Python forks it, has a server fork it, or starts it anew (multiprocessing, "Contexts and start methods").
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from .events import Failure

START_METHODS = ("fork", "forkserver", "spawn")

# Where the kernel counts the processes of a container that it killed as memory ran out: a line `oom_kill N`
# (Linux, "Control Group v2", memory.events; "Memory Resource Controller" of version 1, memory.oom_control).
OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")

# Kinds of what a worker sends: a report while it works, a task's result, or the failure that ended it.
REPORT, RESULT, FAILURE = "report", "result", "failure"

Report = Callable[[Any], None]


class Worker:
    """What a worker does. Made in its own process, which is ended when it has nothing to do."""

    def do(self, task: Any, report: Report) -> Any:
        """Do a task and return its result; `report` sends something before that. Raises `Failure`."""
        raise NotImplementedError


class WorkerHandle(NamedTuple):
    """A worker's process as its owner sees it."""

    process: Any
    pipe: Connection


class WorkerPool:
    """A number of workers, each made by `make(*arguments)` in its process, ended with the `with` block.

    `before_start` is called before each process is started. `closed` are file descriptors that no forked
    worker may keep open.
    """

    def __init__(
        self,
        make: Callable[..., Worker],
        arguments: tuple[Any, ...],
        before_start: Callable[[], None],
        start_method: str | None = None,
        closed: Iterable[int] = (),
    ) -> None:
        self._make = make
        self._arguments = arguments
        self._before_start = before_start
        self._start_method = start_method or default_start_method()
        self._closed = tuple(closed)
        self._workers: list[WorkerHandle] = []
        self._oom_kills = count_oom_kills()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._workers)

    def start_worker(self) -> None:
        """Start one more worker."""
        self._before_start()
        context: Any = multiprocessing.get_context(self._start_method)
        ours, theirs = context.Pipe()
        # Where the process is forked it has our ends of all pipes, and would keep them open after us.
        inherited: tuple[Any, ...] = ()
        if self._start_method == "fork":
            inherited = (*self._closed, ours, *(worker.pipe for worker in self._workers))
        process = context.Process(
            target=_run_worker, args=(theirs, inherited, self._make, self._arguments), daemon=True
        )
        process.start()
        theirs.close()
        self._workers.append(WorkerHandle(process, ours))

    def run(self, tasks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        """Have the tasks done; yield (REPORT or RESULT, value) as they come.

        A task is asked of `tasks` only when a worker is free for it; `tasks` may start more workers. Raises a
        worker's `Failure`, or one that says how it died.
        """
        remaining = iter(tasks)
        busy: dict[Any, WorkerHandle] = {}
        while True:
            for worker in (each for each in self._workers if each.pipe not in busy):
                task = next(remaining, None)
                if task is None:
                    break
                self._send(worker, task)
                busy[worker.pipe] = worker
            if not busy:
                return
            yield from self._receive_from(busy)

    def run_on_each(self, task: Any) -> Iterator[tuple[str, Any]]:
        """Have every worker do the same task; yield (REPORT or RESULT, value) as they come."""
        busy = {}
        for worker in self._workers:
            self._send(worker, task)
            busy[worker.pipe] = worker
        while busy:
            yield from self._receive_from(busy)

    def terminate(self) -> None:
        """End every worker at once, whatever it is doing."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
            worker.pipe.close()
        self._workers.clear()

    def _send(self, worker: WorkerHandle, task: Any) -> None:
        try:
            worker.pipe.send(task)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._death(worker) from error

    def _receive_from(self, busy: dict[Any, WorkerHandle]) -> Iterator[tuple[str, Any]]:
        """Yield a value of each worker that has sent one; who sent a result is no longer busy."""
        for pipe in wait(list(busy)):
            try:
                kind, value = busy[pipe].pipe.recv()
            except (EOFError, ConnectionResetError) as error:
                raise self._death(busy[pipe]) from error
            if kind == FAILURE:
                raise Failure(**value)
            if kind == RESULT:
                del busy[pipe]
            yield kind, value

    def _death(self, worker: WorkerHandle) -> Failure:
        """Return the failure that says how a worker's process ended."""
        worker.process.join()
        return explain_death(worker.process.exitcode, self._oom_kills, count_oom_kills())


def default_start_method() -> str:
    """Return the quickest way to start a worker that is safe here.

    A fork has everything that is imported already, but only the thread that forks: whatever another one
    holds, a lock say, would be held for good.
    """
    alone = threading.active_count() == 1
    return "fork" if alone and "fork" in multiprocessing.get_all_start_methods() else "spawn"


def available_cpus() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_oom_kills(files: Iterable[str] = OOM_COUNTERS) -> int | None:
    """Return how many processes of this container were killed as memory ran out; None where nothing says."""
    for file in files:
        try:
            with open(file, encoding="ascii") as lines:
                for line in lines:
                    name, _, number = line.partition(" ")
                    if name == "oom_kill":
                        return int(number)
        except OSError:
            continue
    return None


def explain_death(code: int | None, before: int | None, now: int | None) -> Failure:
    """Return the failure that says how a worker's process ended: its exit code, or -N for signal N.

    `before` and `now` are what `count_oom_kills` said when the pool was made, and says now.
    """
    if code is None or code >= 0:
        message = "a worker process died (exit code {})".format(code)
        cause = "something in it ended it: code of the site's, or of a library; what it printed is in the log"
        return Failure(message, cause, "try with index.workers = 1")
    name = signal.Signals(-code).name
    message = "a worker process died (signal {})".format(name)
    if code != -signal.SIGKILL:
        return Failure(message, "that signal ended it", "try with index.workers = 1")
    if before is None or now is None:
        cause = "it was killed; whether memory ran out is not known, as this container has no memory.events"
    elif now > before:
        cause = "memory ran out: the kernel killed it (oom_kill in the container's memory.events)"
    else:
        cause = "somebody killed it: memory did not run out (no oom_kill in the container's memory.events)"
    if before is None or now is None or now > before:
        return Failure(message, cause, "give the engine more memory, or set index.workers to less")
    return Failure(message, cause, "try again")


def _run_worker(
    pipe: Connection, inherited: Iterable[Any], make: Callable[..., Worker], arguments: tuple[Any, ...]
) -> None:
    for each in inherited:
        if isinstance(each, int):
            os.close(each)
        else:
            each.close()
    try:
        worker = make(*arguments)
        while True:
            pipe.send((RESULT, worker.do(pipe.recv(), lambda value: pipe.send((REPORT, value)))))
    except (BrokenPipeError, EOFError, KeyboardInterrupt):
        # Whoever gave the work is gone, or was interrupted.
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner must hear of it
        pipe.send((FAILURE, Failure.from_exception(error).to_dict()))
