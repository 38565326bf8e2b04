"""A run's journal: `.haybale/runs/RUN/events.jsonl`, one event a line, which is only ever added to.

A line is an event's fields as JSON, with its name (`event`) and its `time` (RFC 3339). It is on the disk
before what it announces begins. The first one is `Planned`, the last one `Ended`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass, fields
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from haybale.errors import UsageError
from haybale.pipeline.plan import Plan
from haybale.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from haybale.pipeline.summary import Outcome

# The version of the form of the events, and of what steps write into them.
FORMAT_VERSION = 2

FILE = "events.jsonl"

# Runs that passed and whose folders are kept.
KEPT = 20


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A run began with this plan (docs/pipeline.md, "The plan")."""

    run: str
    plan: Mapping[str, Any]
    version: int = FORMAT_VERSION


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """A run goes on after it died or failed."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A state was entered."""

    state: State


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A state is done: how, after how many seconds, and what it made (None: nothing)."""

    state: State
    outcome: Outcome
    seconds: float
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A state failed, with this message."""

    state: State
    message: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A run ended by itself."""

    outcome: Literal["passed", "failed"]


@dataclass(frozen=True, kw_only=True)
class Hooked:
    """The commands after a state ran, and none failed."""

    state: State


Event: TypeAlias = Planned | Resumed | Started | Finished | Failed | Ended | Hooked
EVENTS: Mapping[str, type[Event]] = {each.__name__.lower(): each for each in get_args(Event)}


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return an event as plain values, without its time."""
    return {"event": type(event).__name__.lower(), **asdict(event)}


def event_from_dict(document: Mapping[str, Any]) -> Event:
    """Return the event of a line; raises `KeyError`, `TypeError` or `ValueError` where it is none."""
    kind = EVENTS[document["event"]]
    names = {each.name for each in fields(kind)}
    values = {name: value for name, value in document.items() if name in names}
    if "state" in values:
        values["state"] = State(values["state"])
    return kind(**values)


@dataclass(frozen=True, kw_only=True)
class History:
    """What happened in a run so far, in order."""

    events: tuple[Event, ...] = ()

    @property
    def plan(self) -> Plan | None:
        """The plan that the run began with; None where it died before, or another haybale wrote it."""
        for event in self.events:
            if isinstance(event, Planned) and event.version == FORMAT_VERSION:
                with contextlib.suppress(ValueError):
                    return Plan.from_dict(event.plan)
        return None

    @property
    def has_passed(self) -> bool:
        """Whether the run came to its end."""
        return Ended(outcome="passed") in self.events

    def has_started(self, state: State) -> bool:
        """Whether the run ever came to a state."""
        return Started(state=state) in self.events

    def has_hooked(self, state: State) -> bool:
        """Whether the commands after a state ran since it was finished last."""
        for event in reversed(self.events):
            if isinstance(event, Hooked | Finished) and event.state == state:
                return isinstance(event, Hooked)
        return False

    def last_result(self, *states: State) -> Mapping[str, Any] | None:
        """Return what one of these states made when it finished last; None where none did."""
        finished = (event for event in reversed(self.events) if isinstance(event, Finished))
        return next((event.result for event in finished if event.state in states), None)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run: its name, its folder, and the open journal, which keeps others from the same run."""

    name: str
    folder: Path
    file: IO[str]

    def write(self, event: Event) -> None:
        """Add an event; returns when it is on the disk."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        print(json.dumps({"time": now, **event_to_dict(event)}), file=self.file, flush=True)
        os.fsync(self.file.fileno())

    def history(self) -> History:
        """Return what happened in this run so far."""
        return read_history(self.folder)


@contextlib.contextmanager
def begin_run(runs: Path) -> Iterator[Run]:
    """Begin a run with a name of its own in the folder `runs`; it is held until the block is left."""
    name = f"{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    (runs / name).mkdir(parents=True)
    with _hold(runs / name) as run:
        yield run


@contextlib.contextmanager
def resume_run(runs: Path, name: str | None = None) -> Iterator[Run]:
    """Hold a run again (None: the last one); raises `UsageError` where it is missing or still runs."""
    name = name or max(run_names(runs), default=None)
    if name is None or not (runs / name / FILE).is_file():
        message = f"there is no run {name or ''}".rstrip()
        cause = f"{runs} has: {', '.join(sorted(run_names(runs))) or 'none'}"
        raise UsageError(message, cause=cause, hint="begin one: `haybale pipeline`")
    with _hold(runs / name) as run:
        yield run


def run_names(runs: Path) -> list[str]:
    """Return the names of the runs in a folder, in any order."""
    return [each.parent.name for each in runs.glob(f"*/{FILE}")]


def read_history(folder: Path) -> History:
    """Return what happened in a run. A last line that was cut off by a crash is no event."""
    events: list[Event] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        for line in (folder / FILE).read_text(encoding="utf-8").splitlines():
            events.append(event_from_dict(json.loads(line)))  # noqa: PERF401 - keep those before it
    return History(events=tuple(events))


def dead_runs(runs: Path, living: str) -> Iterator[Run]:
    """Yield the runs that did not pass and that no process holds, without `living`; each is held."""
    for name in sorted(run_names(runs)):
        if name == living or read_history(runs / name).has_passed:
            continue
        with contextlib.suppress(UsageError), _hold(runs / name) as run:
            yield run


def remove_old_runs(runs: Path) -> None:
    """Remove the folders of runs that passed, but for the last `KEPT`."""
    passed = sorted(name for name in run_names(runs) if read_history(runs / name).has_passed)
    for name in passed[:-KEPT]:
        shutil.rmtree(runs / name, ignore_errors=True)


@contextlib.contextmanager
def _hold(folder: Path) -> Iterator[Run]:
    file = folder / FILE
    with file.open("a", encoding="utf-8") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = f"the run {folder.name} is still running"
            raise UsageError(message, cause="another process has it", hint="wait for it") from error
        # A last line that a crash cut off is dropped, so that the next one begins on its own.
        content = file.read_bytes()
        if not content.endswith(b"\n"):
            os.truncate(file, content.rfind(b"\n") + 1)
        yield Run(name=folder.name, folder=folder, file=opened)
