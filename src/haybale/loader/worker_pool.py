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

    @staticmethod
    def _send(worker: WorkerHandle, task: Any) -> None:
        try:
            worker.pipe.send(task)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _death(worker) from error

    @staticmethod
    def _receive_from(busy: dict[Any, WorkerHandle]) -> Iterator[tuple[str, Any]]:
        """Yield a value of each worker that has sent one; who sent a result is no longer busy."""
        for pipe in wait(list(busy)):
            try:
                kind, value = busy[pipe].pipe.recv()
            except (EOFError, ConnectionResetError) as error:
                raise _death(busy[pipe]) from error
            if kind == FAILURE:
                raise Failure(**value)
            if kind == RESULT:
                del busy[pipe]
            yield kind, value


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


def _death(worker: WorkerHandle) -> Failure:
    """Return the failure that says how a worker's process ended."""
    worker.process.join()
    code = worker.process.exitcode
    how = "signal {}".format(signal.Signals(-code).name) if code and code < 0 else "exit code {}".format(code)
    cause, hint = "something that it imports ended it, or crashed", "try with index.workers = 1"
    if code == -signal.SIGKILL:
        cause = "it was killed, most probably because memory ran out"
        hint = "give the machine more memory, or set index.workers to a smaller number"
    return Failure("a worker process died ({})".format(how), cause, hint)


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
