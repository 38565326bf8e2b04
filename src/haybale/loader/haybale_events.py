"""How the scripts in the site's container talk to the host: one JSON object a line, on standard output.

Every line starts with `{"haybale": 1, "event": NAME`, where 1 is the version of this protocol:

| event    | fields                                                                                       |
|----------|----------------------------------------------------------------------------------------------|
| note     | text: something the user should know that is not a failure                                   |
| progress | alias, model (app.model), done, total (documents; total is the database's count)             |
| counts   | core, field (that holds the type, django_ct), counts {type: documents}: one event a core     |
| unknown-inputs | findings [{kind, what, by}] (file, module, socket, program, database; see           |
|          | haybale_audit.py), total: what was read of the site and is no input, with --inputs only      |
| refused  | alias, label, key, field, reason, cause, step, log: a row whose document is not in Solr; the |
|          | others are tried all the same, and at the end comes an error                                 |
| advice   | alias, label, share (of the time of preparing), text: what would make an index quicker        |
| loaded   | models [{alias, core, model, database, documents, skipped}], workers and batch (documents a  |
|          | request) as they were at the end: the last event of load.py                                  |
| verified | what verify.py found, see there: its last event                                              |
| error    | what, cause, step, log: the last event of a script that failed; its exit code is then 1      |

Other lines are the site's own: they may come in between where somebody merged the streams.
"""

from __future__ import annotations

import json
import os
import traceback
from typing import Any, Callable

VERSION = 1


class Failure(Exception):  # noqa: N818 - it is what happened, and becomes an event
    """A failure: what failed, the probable cause, the next step, and the log that shows it."""

    def __init__(self, what: str, cause: str = "", step: str = "", log: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.step = step
        self.log = log


class Events:
    """The stream of events. Whatever else prints on standard output goes to standard error from now on."""

    def __init__(self) -> None:
        # The descriptor is not inheritable: a process that the site starts can't write to it either.
        self._stream = os.dup(1)
        os.dup2(2, 1)

    @property
    def descriptor(self) -> int:
        """The stream's file descriptor, which a forked process must close."""
        return self._stream

    def send(self, event: str, **fields: Any) -> None:
        """Write one event; returns when the whole line is written."""
        line = json.dumps({"haybale": VERSION, "event": event, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self._stream, line) :]


def run(main: Callable[[Events], None]) -> int:
    """Run a script's `main`, turn its failure into an error event, and return the exit code."""
    events = Events()
    try:
        main(events)
    except Failure as failure:
        events.send("error", what=failure.what, cause=failure.cause, step=failure.step, log=failure.log)
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the host must hear of it
        events.send(
            "error",
            what="the site's container failed: " + summary(error),
            cause="not foreseen by haybale; the log shows where",
            step="",
            log=traceback.format_exc(),
        )
        return 1
    return 0


def summary(error: BaseException) -> str:
    """Return an exception as one line, its type first."""
    text = str(error).strip()
    return type(error).__name__ + (": " + text if text else "")
