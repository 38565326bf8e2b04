"""How the loader talks to the host: one JSON object a line, on standard output.

Every line starts with `{"haybale": 2, "event": NAME`, where 2 is the version of this protocol:

| event          | fields                                                                                 |
|----------------|----------------------------------------------------------------------------------------|
| note           | text: something the user should know that is not a failure                             |
| progress       | those of `LoadProgress`                                                                |
| counts         | core, field (with the type, django_ct), counts {type: documents}: one event a core     |
| unknown-inputs | findings [`Finding`], total: what was read and is no input, with --inputs only         |
| refused        | those of `Refusal`; the others are tried all the same, and at the end comes an error   |
| advice         | those of `Advice`                                                                      |
| loaded         | models [`LoadedModel`], workers and batch (documents a request) as they were at the    |
|                | end: the last event without --sample                                                   |
| verified       | those of haybale.index.verification.VerificationReport: the last event with --sample   |
| cores          | cores {alias: core}: of each connection to Solr; the one event of --list-cores         |
| schemas        | schemas {core: see site_schema.py}: the one event of --describe-schemas                |
| error          | message, cause, hint, log: the last event of a loader that failed, with exit code 1    |

Other lines are the site's own: they may come in between where somebody merged the streams.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any, Callable, NamedTuple

PROTOCOL_VERSION = 2


class LoadProgress(NamedTuple):
    """How far a model (app.model) is: `done` of `total` rows, through the Haystack connection `alias`."""

    alias: str
    model: str
    done: int
    total: int


class LoadedModel(NamedTuple):
    """A model (app.model) that was loaded into a core: rows in the database, documents sent, rows skipped."""

    alias: str
    core: str
    model: str
    database: int
    documents: int
    skipped: int


class Refusal(NamedTuple):
    """A row of a model (app.Model) whose document is not in Solr: the site or Solr refuses it, and why."""

    alias: str
    label: str
    key: str
    field: str | None  # None where that is not known
    reason: str
    cause: str
    hint: str
    log: str


class Finding(NamedTuple):
    """Something that was read and is no input: its kind (file, module, socket, program or database) and name.

    `what` is a path (relative to the site's folder, or absolute) or HOST:PORT; `by` is who read it: a method
    such as prepare_topics, or a few words where there is none.
    """

    kind: str
    what: str
    by: str


class Difference(NamedTuple):
    """A field of a row whose value in Solr is not the prepared one (both shortened; None: nothing).

    `varies`: preparing the row once more gives a third value.
    """

    model: str
    key: str
    field: str
    expected: Any
    found: Any
    varies: bool = False


class Advice(NamedTuple):
    """What would make a model's index (app.Model) quicker, and the `share` of the time that it is about."""

    alias: str
    label: str
    share: float
    text: str


class Failure(Exception):  # noqa: N818 - it becomes an event
    """A failure: what failed, the cause (or what was seen), what to do next, and the log that shows it."""

    def __init__(self, message: str, cause: str = "", hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint
        self.log = log

    @classmethod
    def from_exception(cls, error: Exception) -> Failure:
        """Return a failure as it is, or one that reports another exception; call it while that is handled."""
        if isinstance(error, Failure):
            return error
        message = "the site's container failed: " + summarize(error)
        return cls(message, "not foreseen by haybale; the log shows where", log=traceback.format_exc())

    def to_dict(self) -> dict[str, str]:
        """Return the fields of the event `error`, which make the same failure again."""
        return {"message": self.message, "cause": self.cause, "hint": self.hint, "log": self.log}


class Events:
    """The stream of events. Whatever else prints on standard output goes to standard error from now on."""

    def __init__(self) -> None:
        # Not inheritable: a process that the site starts cannot write to it either. A fork must close it.
        self.descriptor = os.dup(1)
        os.dup2(2, 1)

    def send(self, event: str, **fields: Any) -> None:
        """Write one event; returns when the whole line is written."""
        line = json.dumps({"haybale": PROTOCOL_VERSION, "event": event, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self.descriptor, line) :]


def run_reporting_errors(main: Callable[[Events], None]) -> int:
    """Run `main`, turn its failure into an error event, and return the exit code."""
    events = Events()
    try:
        main(events)
    except Exception as error:  # noqa: BLE001 - whatever it is, the host must hear of it
        events.send("error", **Failure.from_exception(error).to_dict())
        return 1
    return 0


def summarize(error: BaseException) -> str:
    """Return an exception as one line, its type first."""
    text = str(error).strip()
    return type(error).__name__ + (": " + text if text else "")
