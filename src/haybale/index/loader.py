"""The host's side of the loader: start it, follow its events, and explain how it ended.

The loader itself (`haybale.loader`) runs in the site's container and speaks the protocol that
`haybale/loader/events.py` describes: one JSON object a line. Whoever runs it passes its lines to
`follow_loader`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections import deque
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeVar

from haybale.errors import LoadError
from haybale.index.audit import Unknown
from haybale.index.verification import VerificationReport
from haybale.loader.events import PROTOCOL_VERSION, Advice, LoadedModel, LoadProgress, Refusal
from haybale.tools.process import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")

# Where the loader is in the site's container, and what its package is called there: no module of a site's.
FOLDER = "/haybale"
PACKAGE = "haybale_loader"

# In that folder: what the loader may read (see audit.py).
INPUTS_FILE = "inputs.json"

# What each line of the protocol starts with.
START = '{"haybale":'

# Other lines of the stream that an error shows.
LOG_LINES = 25

KILLED = 137  # 128 + SIGKILL

# What an exit code without an error event means, where it means something.
CAUSES = {
    1: f"python found no loader in {FOLDER}, or could not import it",
    2: "the loader did not understand its arguments",
    126: "python cannot be run in the site's image",
    127: "there is no python in the site's image",
    KILLED: "it was killed (SIGKILL)",
    139: "Python itself crashed (SIGSEGV), in its own code or in an extension module's",
    143: "its container was stopped",
}


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What the loader did. `cores` maps a core to its documents of each type (app.model -> count).

    `unknown` is what it read of the site that is no input (see audit.py). `workers` processes sent up
    to `batch` documents a request, as it was at the end. `report` is None where nothing was verified.
    """

    models: tuple[LoadedModel, ...] = ()
    cores: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = ()
    unknown: Unknown = field(default_factory=Unknown)
    workers: int = 0
    batch: int = 0
    report: VerificationReport | None = None
    advice: tuple[Advice, ...] = ()

    def verification(self) -> VerificationReport:
        """Return the report of the verification; `LoadError` where nothing was verified."""
        if self.report is None:
            raise LoadError("nothing was verified", cause="the loader was not asked for it")
        return self.report

    def counts(self, core: str) -> Mapping[str, int]:
        """Return the documents of each type in a core: {} where the site's indexes put nothing into it."""
        return self.cores.get(core, {})


def copy_loader(folder: Path) -> None:
    """Copy the loader into a folder, which is made, so that any user of a container may read it."""
    with resources.as_file(resources.files("haybale.loader")) as source:
        shutil.copytree(source, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def loader_command(
    *,
    batch: int = 0,
    workers: int = 0,
    sample: int = 0,
    seed: int | None = None,
    cores: Sequence[str] = (),
    list_cores: bool = False,
    describe_schemas: bool = False,
    verify_ignore: Sequence[str] = (),
    inputs: str | None = f"{FOLDER}/{INPUTS_FILE}",
    folder: str = FOLDER,
) -> list[str]:
    """Return the loader's command line in the site's container.

    `workers` processes send requests of up to `batch` documents; 0 lets the loader choose. `sample` documents
    of each model are compared afterwards (0: none, ALL_DOCUMENTS: all), chosen by `seed`. The site's
    connections must name just these `cores` (() for any). `list_cores` lists them, `describe_schemas` their
    fields, and neither does anything else. `verify_ignore` are fields that are not compared
    (app.model.field). `inputs` is the file that `audit.write_inputs` wrote, None for no audit. The loader is
    in `folder`.
    """
    # As `python -m`, which would need PYTHONPATH: that is the site's. Our folder is the last on its path.
    code = (
        f"import runpy, sys; sys.path.append({folder!r}); runpy.run_module({PACKAGE!r}, run_name='__main__')"
    )
    options = {"batch": batch, "workers": workers, "sample": sample, "seed": seed, "inputs": inputs}
    given = ([f"--{name}", str(value)] for name, value in options.items() if value is not None)
    named = ["--cores", ",".join(cores)] if cores else []
    asked = {"--list-cores": list_cores, "--describe-schemas": describe_schemas}
    listed = [option for option, is_asked in asked.items() if is_asked]
    ignored = ["--verify-ignore", ",".join(verify_ignore)] if verify_ignore else []
    return ["python", "-c", code, *itertools.chain.from_iterable(given), *named, *listed, *ignored]


def follow_loader(
    lines: Iterable[str],
    on_progress: Callable[[LoadProgress], None],
    on_refused: Callable[[Refusal], None] = lambda _: None,
    last: str = "loaded",
) -> Loaded:
    """Follow the loader through its lines to its end; `on_refused` gets each document that is not in Solr.

    Its `last` event is `verified` where its command asks for a sample.

    Raises `LoadError` with the loader's own explanation, or one of how it died.
    """
    loaded: dict[str, Any] = {"cores": {}, "notes": (), "advice": ()}
    for event in read_events(lines, last):
        match event["event"]:
            case "progress":
                on_progress(_parse(LoadProgress, event))
            case "refused":
                on_refused(_parse(Refusal, event))
            case "advice":
                loaded["advice"] += (_parse(Advice, event),)
            case _:
                with _parsing(event):
                    _add(loaded, event)
    return Loaded(**loaded)


def _add(loaded: dict[str, Any], event: Mapping[str, Any]) -> None:
    """Add what an event says to the fields of `Loaded`."""
    match event["event"]:
        case "counts":
            counts = {str(name): int(number) for name, number in event["counts"].items()}
            loaded["cores"][str(event["core"])] = counts
        case "note":
            loaded["notes"] += (str(event["text"]),)
        case "unknown-inputs":
            loaded["unknown"] = Unknown.from_event(event)
        case "loaded":
            loaded["models"] = tuple(LoadedModel(**model) for model in event["models"])
            loaded |= {"workers": int(event["workers"]), "batch": int(event["batch"])}
        case "verified":
            loaded["report"] = VerificationReport.from_event(event)
        case _:
            pass


def _parse(kind: Callable[..., T], event: Mapping[str, Any]) -> T:
    """Return what an event says, which has further fields: `haybale` and `event`."""
    with _parsing(event):
        return kind(**{name: value for name, value in event.items() if name not in ("haybale", "event")})


@contextlib.contextmanager
def _parsing(event: object) -> Iterator[None]:
    """Turn what goes wrong in the block, where an event is taken apart, into a `LoadError` that shows it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(
            f"the loader sent something that cannot be understood: {str(event)[:200]}",
            cause="this stands in its stream, where a line of its own begins",
            hint="look at what the site prints while it starts; then try again",
        ) from error


def read_events(lines: Iterable[str], last: str) -> Iterator[Mapping[str, Any]]:
    """Yield the events of the loader's stream, of which `last` is to be the last.

    Lines that are no events are what the site or the engine prints; their tail goes into an error. Raises
    `LoadError` for an event that cannot be understood, and, once the stream (and so the process behind it)
    has ended, for an error event and for an end without `last`.
    """
    log: deque[str] = deque(maxlen=LOG_LINES)
    failure: Mapping[str, Any] | None = None
    finished = False
    code: int | None = None
    try:
        for line in lines:
            printed, start, rest = line.partition(START)
            if printed.strip():
                log.append(printed.rstrip())
            if not start:
                continue
            event = _read_event(start + rest)
            finished = event["event"] == last
            if event["event"] == "error":
                failure = event
            else:
                yield event
    except CommandFailedError as failed:
        code = failed.code
    if failure is not None:
        raise LoadError(
            str(failure.get("message", "the loader failed")),
            cause=str(failure.get("cause", "")),
            hint=str(failure.get("hint", "")),
            log="\n".join(part for part in (*log, str(failure.get("log", ""))) if part),
        )
    if code is not None or not finished:
        raise _death(code, log, finished=finished)


def _read_event(line: str) -> Mapping[str, Any]:
    with _parsing(line):
        event: dict[str, Any] = json.loads(line)
        version, _ = event["haybale"], event["event"]
    if version != PROTOCOL_VERSION:
        raise LoadError(
            f"the loader in the site's container speaks version {version} of the protocol, "
            f"not {PROTOCOL_VERSION}",
            cause=f"{FOLDER} in the container is of another version of haybale",
            hint="mount the loader of this version",
        )
    return event


def _death(code: int | None, log: Iterable[str], *, finished: bool) -> LoadError:
    """Return the error that says how the loader ended without an error event."""
    how = "after its last event" if finished else "before it was done"
    if code is None:
        message = f"the loader's stream ended {how}"
        cause = "docker compose exec ended with 0, and the loader had not said that it was done"
        hint = "docker ps --all says whether the container still runs; then try again"
    else:
        message = f"the loader died {how}, with exit code {code}"
        cause = CAUSES.get(code, "not known; what it printed at last is all that was seen")
        hint = "to look at the site's container afterwards: `haybale regen-solr-image --keep`"
    if code == KILLED:
        hint = "give the engine more memory, or set index.workers and index.batch to less"
    return LoadError(message, cause=cause, hint=hint, log="\n".join(log))
