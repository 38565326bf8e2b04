"""A run's log: `.haybale/runs/ID/events.jsonl`, one JSON object a line, only ever added to.

| event    | fields                                                                              |
|----------|-------------------------------------------------------------------------------------|
| planned  | version (of the log's form), run, plan (docs/pipeline.md): the first event          |
| resumed  | the run goes on after it died                                                       |
| started  | state                                                                               |
| finished | state, outcome, seconds, product (what the state made: names, ids, digests)         |
| failed   | state, message                                                                       |
| ended    | outcome (passed, failed): the last event                                            |

Every event has `time`, RFC 3339. A line is on the disk before what it announces begins.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from haybale.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from haybale.pipeline.graph import State

VERSION = 1
EVENTS = "events.jsonl"

# Runs whose logs are kept.
KEPT = 20


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run: its name, its folder, and the open log, which also keeps others from the same run."""

    name: str
    folder: Path
    file: IO[str]

    def write(self, event: str, **fields: Any) -> None:
        """Add an event; returns when it is on the disk."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        self.file.write(json.dumps({"time": now, "event": event, **fields}) + "\n")
        self.file.flush()
        os.fsync(self.file.fileno())


@contextlib.contextmanager
def begin(runs: Path) -> Iterator[Run]:
    """Begin a run of its own name in the folder `runs`; the log is held until the block is left."""
    name = f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    (runs / name).mkdir(parents=True)
    with _held(runs / name) as run:
        yield run


@contextlib.contextmanager
def resume(runs: Path, name: str) -> Iterator[Run]:
    """Go on with a run ("" for the last one); raises `UsageError` where there is none, or it still runs."""
    name = name or max(names(runs), default="")
    if not name or not (runs / name / EVENTS).is_file():
        raise UsageError(
            f"there is no run {name}".rstrip(),
            cause=f"{runs} has: {', '.join(sorted(names(runs))) or 'none'}",
            hint="just pipeline begins one",
        )
    with _held(runs / name) as run:
        yield run


def names(runs: Path) -> list[str]:
    """Return the names of the runs that there are, in any order."""
    return [each.parent.name for each in runs.glob(f"*/{EVENTS}")]


def events(folder: Path) -> list[dict[str, Any]]:
    """Return a run's events. A last line that was cut off by a crash is no event."""
    found = []
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / EVENTS).read_text(encoding="utf-8").splitlines():
            found.append(json.loads(line))  # noqa: PERF401 - what came before the broken line is kept
    return found


def planned(history: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    """Return the plan that a run began with, None where it died before it had one."""
    for event in history:
        if event["event"] == "planned" and event.get("version") == VERSION:
            return dict(event["plan"])
    return None


def ended(history: list[dict[str, Any]]) -> bool:
    """Return whether a run passed."""
    return any(event["event"] == "ended" and event["outcome"] == "passed" for event in history)


def started(history: list[dict[str, Any]], state: State) -> bool:
    """Return whether a run ever came to a state."""
    return any(event["event"] == "started" and event["state"] == state for event in history)


def product(history: list[dict[str, Any]], state: State) -> Mapping[str, Any] | None:
    """Return what a state made when it finished last, None where it did not."""
    for event in reversed(history):
        if event["event"] == "finished" and event["state"] == state:
            return dict(event["product"])
    return None


def dead(runs: Path, living: str) -> Iterator[Run]:
    """Yield the runs that did not pass and that nobody runs, but for `living`; each is held meanwhile."""
    for name in sorted(names(runs)):
        if name == living or ended(events(runs / name)):
            continue
        with contextlib.suppress(UsageError), _held(runs / name) as run:
            yield run


def forget_old(runs: Path) -> None:
    """Remove the logs of runs that passed, but for the last `KEPT`."""
    passed = sorted(name for name in names(runs) if ended(events(runs / name)))
    for name in passed[:-KEPT]:
        shutil.rmtree(runs / name, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[Run]:
    file = folder / EVENTS
    with file.open("a", encoding="utf-8") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"the run {folder.name} is still running",
                cause="another process has it",
                hint="wait for it",
            ) from error
        _drop_half_line(file)
        yield Run(name=folder.name, folder=folder, file=opened)


def _drop_half_line(file: Path) -> None:
    """Drop a last line that a crash cut off, so that the next one begins on its own."""
    content = file.read_bytes()
    if not content.endswith(b"\n"):
        os.truncate(file, content.rfind(b"\n") + 1)
