"""How the loader talks to the host: one JSON object a line, on standard output.

Every line starts with `{"haybale": 2, "event": NAME`, where 2 is the version of this protocol:

| event    | fields                                                                                       |
|----------|----------------------------------------------------------------------------------------------|
| note     | text: something the user should know that is not a failure                                   |
| progress | alias, model (app.model), done, total (documents; total is the database's count)             |
| counts   | core, field (that holds the type, django_ct), counts {type: documents}: one event a core     |
| unknown-inputs | findings [{kind, what, by}] (file, module, socket, program, database; see              |
|          | checks/audit.py), total: what was read of the site and is no input, with --inputs only       |
| refused  | alias, label, key, field (null where not known), reason, cause, hint, log: a row whose       |
|          | document is not in Solr; the others are tried all the same, and at the end comes an error    |
| advice   | alias, label, share (of the time of preparing), text: what would make an index quicker       |
| loaded   | models [{alias, core, model, database, documents, skipped}], workers and batch (documents a  |
|          | request) as they were at the end: the last event without --sample                            |
| verified | what the verification found, see checks/verification.py: the last event with --sample        |
| error    | message, cause, hint, log: the last event of a loader that failed; its exit code is then 1   |

Other lines are the site's own: they may come in between where somebody merged the streams.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any, Callable

PROTOCOL_VERSION = 2


class Failure(Exception):  # noqa: N818 - it becomes an event
    """A failure: what failed, the probable cause, what to do next, and the log that shows it."""

    def __init__(self, message: str, cause: str = "", hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.hint = hint
        self.log = log

    @classmethod
    def unforeseen(cls, error: Exception) -> Failure:
        """Return the failure that reports an exception which nobody expected; call it while it is handled."""
        message = "the site's container failed: " + summarize(error)
        return cls(message, "not foreseen by haybale; the log shows where", log=traceback.format_exc())


class Events:
    """The stream of events. Whatever else prints on standard output goes to standard error from now on."""

    def __init__(self) -> None:
        # The descriptor is not inheritable: a process that the site starts cannot write to it either.
        self._stream = os.dup(1)
        os.dup2(2, 1)

    @property
    def descriptor(self) -> int:
        """The stream's file descriptor, which a forked process must close."""
        return self._stream

    def send(self, event: str, **fields: Any) -> None:
        """Write one event; returns when the whole line is written."""
        line = json.dumps({"haybale": PROTOCOL_VERSION, "event": event, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self._stream, line) :]

    def send_error(self, failure: Failure) -> None:
        """Write the last event of a loader that failed."""
        self.send("error", message=failure.message, cause=failure.cause, hint=failure.hint, log=failure.log)


def run_reporting_errors(main: Callable[[Events], None]) -> int:
    """Run `main`, turn its failure into an error event, and return the exit code."""
    events = Events()
    try:
        main(events)
    except Failure as failure:
        events.send_error(failure)
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the host must hear of it
        events.send_error(Failure.unforeseen(error))
        return 1
    return 0


def summarize(error: BaseException) -> str:
    """Return an exception as one line, its type first."""
    text = str(error).strip()
    return type(error).__name__ + (": " + text if text else "")
