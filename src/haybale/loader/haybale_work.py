"""Worker processes: plain values go in and come out, over a pipe for each worker.

A worker is made by a function that every process can import, and takes one task at a time. It shares nothing
with the others: no connection to a database or to Solr, no lock, no memory. So it does not matter whether
Python forks it, has a server fork it, or starts it anew (multiprocessing, "Contexts and start methods").
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from multiprocessing.connection import Connection, wait
from typing import Any, Callable, Iterable, Iterator, NamedTuple

from haybale_events import Failure, summary

METHODS = ("fork", "forkserver", "spawn")

# Seconds between two chances for the crew's owner to look at how the work goes.
TICK = 0.2

# How a worker says what kind of value follows.
TOLD, DONE, FAILED = "told", "done", "failed"

Tell = Callable[[Any], None]


class Worker:
    """What a worker does. Made in its own process, which is ended when it has nothing to do."""

    def do(self, task: Any, tell: Tell) -> Any:
        """Do a task and return its result; `tell` says something before that. Raises `Failure`."""
        raise NotImplementedError


class Hand(NamedTuple):
    """A worker's process as its owner sees it."""

    process: Any
    pipe: Connection


class Crew:
    """A number of workers. `make(*arguments)` makes one; `before` is called before each process is started.

    `closed` are file descriptors that no forked worker may keep open.
    """

    def __init__(
        self,
        make: Callable[..., Worker],
        arguments: tuple[Any, ...],
        before: Callable[[], None],
        method: str = "",
        closed: Iterable[int] = (),
    ) -> None:
        self._make = make
        self._arguments = arguments
        self._before = before
        self._method = method or default_method()
        self._closed = tuple(closed)
        self._hands: list[Hand] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        """End every worker."""
        self.dismiss()

    def __len__(self) -> int:
        """Return the number of workers."""
        return len(self._hands)

    def hire(self) -> None:
        """Start one more worker."""
        self._before()
        context: Any = multiprocessing.get_context(self._method)
        ours, theirs = context.Pipe()
        # Where the process is forked it has our ends of all pipes, and would keep them open after us.
        inherited: tuple[Any, ...] = ()
        if self._method == "fork":
            inherited = (*self._closed, ours, *(hand.pipe for hand in self._hands))
        process = context.Process(
            target=_main, args=(theirs, inherited, self._make, self._arguments), daemon=True
        )
        process.start()
        theirs.close()
        self._hands.append(Hand(process, ours))

    def work(self, tasks: Iterable[Any]) -> Iterator[tuple[str, Any]]:
        """Have the tasks done; yield ("told" or "done", value) as they come, and ("", None) now and then.

        A task is taken from `tasks` only when a worker is free for it. Raises a worker's `Failure`, or one
        that says how it died.
        """
        left = iter(tasks)
        busy: list[Hand] = []
        idle = list(self._hands)
        known = len(self._hands)
        more = True
        while True:
            # Whoever was hired meanwhile.
            idle += self._hands[known:]
            known = len(self._hands)
            while more and idle:
                task = next(left, None)
                more = task is not None
                if more:
                    hand = idle.pop()
                    self._send(hand, task)
                    busy.append(hand)
            if not busy:
                return
            for pipe in wait([hand.pipe for hand in busy], TICK):
                hand = next(each for each in busy if each.pipe is pipe)
                kind, value = self._receive(hand)
                if kind == DONE:
                    busy.remove(hand)
                    idle.append(hand)
                yield kind, value
            yield "", None

    def each(self, task: Any) -> Iterator[tuple[str, Any]]:
        """Have every worker do the same task; yield ("told" or "done", value) as they come."""
        for hand in self._hands:
            self._send(hand, task)
        left = list(self._hands)
        while left:
            for pipe in wait([hand.pipe for hand in left], TICK):
                hand = next(each for each in left if each.pipe is pipe)
                kind, value = self._receive(hand)
                if kind == DONE:
                    left.remove(hand)
                yield kind, value

    def dismiss(self) -> None:
        """End every worker at once, whatever it is doing."""
        for hand in self._hands:
            hand.process.kill()
        for hand in self._hands:
            hand.process.join()
            hand.pipe.close()
        self._hands.clear()

    def _send(self, hand: Hand, value: Any) -> None:
        try:
            hand.pipe.send(value)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise _died(hand) from error

    def _receive(self, hand: Hand) -> tuple[str, Any]:
        try:
            kind, value = hand.pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise _died(hand) from error
        if kind == FAILED:
            raise Failure(*value)
        return kind, value


def default_method() -> str:
    """Return the quickest way to start a worker that is safe here.

    A fork has everything that is imported already, but only the thread that forks: whatever another one
    holds, a lock say, would be held for good.
    """
    alone = threading.active_count() == 1
    return "fork" if alone and "fork" in multiprocessing.get_all_start_methods() else "spawn"


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _died(hand: Hand) -> Failure:
    hand.process.join()
    code = hand.process.exitcode
    how = "signal {}".format(signal.Signals(-code).name) if code and code < 0 else "exit code {}".format(code)
    return Failure(
        "a worker process died ({})".format(how),
        cause="it was killed, most probably for want of memory"
        if code == -signal.SIGKILL
        else "something that it imports ended it, or crashed",
        step="give the machine more memory, or set index.workers to a smaller number"
        if code == -signal.SIGKILL
        else "try with index.workers = 1",
    )


def _main(
    pipe: Connection, inherited: Iterable[Any], make: Callable[..., Worker], arguments: tuple[Any, ...]
) -> None:
    for each in inherited:
        if isinstance(each, int):
            os.close(each)
        else:
            each.close()

    def tell(value: Any) -> None:
        pipe.send((TOLD, value))

    try:
        worker = make(*arguments)
        while True:
            pipe.send((DONE, worker.do(pipe.recv(), tell)))
    except Failure as failure:
        pipe.send((FAILED, (failure.what, failure.cause, failure.step, failure.log)))
    except (BrokenPipeError, EOFError, KeyboardInterrupt):
        # Whoever gave the work is gone, or was interrupted.
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - whatever it is, the owner must hear of it
        what, cause = "the site's container failed: " + summary(error), "not foreseen by haybale; see the log"
        pipe.send((FAILED, (what, cause, "", traceback.format_exc())))
