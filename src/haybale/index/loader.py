"""The host's side of the loader: start it, follow it, and know how it ended.

The loader itself (`insite/load.py`) runs in the site's container and speaks the protocol that
`insite/haybale_events.py` describes: one JSON object a line. Whoever runs it hands its lines to `load`.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from haybale.errors import LoadError
from haybale.index import audit
from haybale.tools.process import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

T = TypeVar("T")

# The version of the protocol, and what each of its lines starts with.
VERSION = 1
START = '{"haybale":'

# The sample that stands for all documents.
EVERY = -1

# Other lines of the stream that an error shows.
TAIL = 25

# What an exit code without an explanation means, where it means something.
ENDS = {
    2: "python found no /haybale/load.py, or did not understand its arguments",
    126: "python can't be run in the site's image",
    127: "there is no python in the site's image",
    137: "it was killed, most probably for want of memory",
    139: "Python itself crashed (a broken extension module?)",
    143: "its container was stopped",
}


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a model is: `done` of `total` rows, through the Haystack connection `alias`."""

    alias: str
    model: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model (app.model) that was loaded into a core: rows in the database, documents sent, rows skipped."""

    alias: str
    core: str
    model: str
    database: int
    documents: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A row of a model (app.Model) whose document is not in Solr, and why (`field`: "" where not known)."""

    alias: str
    label: str
    key: str
    field: str
    reason: str
    cause: str
    step: str
    log: str


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What would make a model's index (app.Model) quicker, and the `share` of the time that it is about."""

    alias: str
    label: str
    share: float
    text: str

    def __str__(self) -> str:
        return f"{self.label}: {self.text}"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What the loader did. `cores` maps a core to its documents of each type (app.model -> count).

    `unknown` is what it read of the site that it was not told of (see audit.py). `workers` processes sent up
    to `batch` documents a request, as it was at the end. `verified` is the event of that name (see
    verify.py), empty where nothing was compared.
    """

    models: tuple[Model, ...]
    cores: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = ()
    unknown: audit.Unknown = audit.NOTHING
    workers: int = 0
    batch: int = 0
    verified: Mapping[str, Any] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()

    def counts(self, core: str) -> Mapping[str, int]:
        """Return the documents of each type in a core; `LoadError` where the site loaded nothing into it."""
        if core not in self.cores:
            raise LoadError(
                f"the site loaded nothing into the core {core!r}, but into {', '.join(sorted(self.cores))}",
                cause="the URL of the site's Haystack connection names another core than the setting `core`",
                hint="make them the same",
            )
        return self.cores[core]


def command(
    batch: int = 0, workers: int = 0, sample: int = 0, inputs: str = f"/haybale/{audit.FILE}"
) -> list[str]:
    """Return the loader's command line in the site's container.

    That is for `workers` processes and requests of up to `batch` documents, 0 for as many as pay. `sample`
    documents of each model are compared afterwards (0: nothing is looked at, EVERY: all). `inputs` is the
    file that `audit.write_inputs` wrote, "" for no audit.
    """
    line = ["python", "/haybale/load.py", "--batch", str(batch), "--workers", str(workers)]
    return [*line, "--sample", str(sample), *(["--inputs", inputs] if inputs else [])]


def load(
    lines: Iterable[str],
    progress: Callable[[Progress], None],
    refused: Callable[[Refused], None] = lambda _: None,
    last: str = "loaded",
) -> Loaded:
    """Follow the loader through its lines to its end; `refused` hears of each document that is not in Solr.

    Its `last` event is `verified` where its command asks for a sample.

    Raises `LoadError` with the loader's own explanation, or one of how it died.
    """
    counts: dict[str, Mapping[str, int]] = {}
    notes: list[str] = []
    models: tuple[Model, ...] = ()
    unknown = audit.NOTHING
    workers = batch = 0
    verified: Mapping[str, Any] = {}
    advice: list[Advice] = []
    for event in follow(lines, last):
        if event["event"] == "progress":
            progress(progress_of(event))
        with understood(event):
            match event["event"]:
                case "counts":
                    counts[str(event["core"])] = {str(name): int(n) for name, n in event["counts"].items()}
                case "note":
                    notes.append(str(event["text"]))
                case "unknown-inputs":
                    found = tuple(of(audit.Finding, finding) for finding in event["findings"])
                    unknown = audit.Unknown(findings=found, total=int(event["total"]))
                case "refused":
                    refused(of(Refused, {each.name: event[each.name] for each in fields(Refused)}))
                case "loaded":
                    models = tuple(of(Model, model) for model in event["models"])
                    workers, batch = int(event["workers"]), int(event["batch"])
                case "advice":
                    advice.append(of(Advice, {each.name: event[each.name] for each in fields(Advice)}))
                case "verified":
                    verified = event
                case _:
                    pass
    return Loaded(
        models=models,
        cores=counts,
        notes=tuple(notes),
        unknown=unknown,
        workers=workers,
        batch=batch,
        verified=verified,
        advice=tuple(advice),
    )


def dump(loaded: Loaded) -> str:
    """Return what the loader said as JSON, for `insite/verify.py --loaded`."""
    return json.dumps({"models": [asdict(model) for model in loaded.models], "counts": dict(loaded.cores)})


def progress_of(event: Mapping[str, Any]) -> Progress:
    """Return a progress event's content."""
    with understood(event):
        return of(Progress, {name: event[name] for name in ("alias", "model", "done", "total")})


def of(kind: type[T], values: Mapping[str, Any]) -> T:
    """Return a dataclass filled from an event's values; `TypeError` where they are not the same."""
    return kind(**values)


@contextlib.contextmanager
def understood(event: object) -> Iterator[None]:
    """Turn what goes wrong in the block, where an event is taken apart, into a `LoadError` that shows it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(
            f"the loader said something that can't be understood: {str(event)[:200]}",
            cause="something else wrote into its stream, or it was cut off",
            hint="try again",
        ) from error


def follow(lines: Iterable[str], last: str) -> Iterator[Mapping[str, Any]]:
    """Yield the events of a script's stream, of which `last` is to be the last.

    Lines that are no events are what the site or the engine prints; their tail goes into an error. Raises
    `LoadError` for an event that can't be understood, and, once the stream (and so the process behind it) has
    ended, for an error event and for an end without `last`.
    """
    log: deque[str] = deque(maxlen=TAIL)
    failure: Mapping[str, Any] | None = None
    finished = False
    code: int | None = None
    try:
        for line in lines:
            said, start, rest = line.partition(START)
            if said.strip():
                log.append(said.rstrip())
            if not start:
                continue
            event = _event(start + rest)
            finished = event["event"] == last
            if event["event"] == "error":
                failure = event
            else:
                yield event
    except CommandFailedError as failed:
        code = failed.code
    if failure is not None:
        raise LoadError(
            str(failure.get("what", "the loader failed")),
            cause=str(failure.get("cause", "")),
            hint=str(failure.get("step", "")),
            log="\n".join(part for part in (*log, str(failure.get("log", ""))) if part),
        )
    if code is not None or not finished:
        raise _died(code, log, finished=finished)


def _event(line: str) -> Mapping[str, Any]:
    with understood(line):
        event: dict[str, Any] = json.loads(line)
        version, _ = event["haybale"], event["event"]
    if version != VERSION:
        raise LoadError(
            f"the scripts in the site's container speak version {version} of the protocol, not {VERSION}",
            cause="/haybale in the container is of another version of haybale",
            hint="mount the scripts of this version",
        )
    return event


def _died(code: int | None, log: Iterable[str], *, finished: bool) -> LoadError:
    how = "after its last event" if finished else "before it was done"
    if code is None:
        return LoadError(
            f"the loader's stream ended {how}",
            cause="its container is gone, or the engine stopped",
            hint="look at the engine and at the container's log",
            log="\n".join(log),
        )
    return LoadError(
        f"the loader died {how}, with exit code {code}",
        cause=ENDS.get(code, "its log may tell; its container may be gone"),
        hint="give the machine more memory, or make batches smaller (index.batch)"
        if code == 137  # noqa: PLR2004 - 128 + SIGKILL
        else "look at the site's container",
        log="\n".join(log),
    )
