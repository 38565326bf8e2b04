"""Start the site in this process, under the audit, before anything that needs Haystack is imported.

Haystack reads the site's settings when it is imported. So the modules of this package that import it, at
their top as usual, are imported here, once the site has started, and by nobody else before that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Mapping

from .checks.audit import process_audit
from .documents.django_setup import start_django

if TYPE_CHECKING:
    from .checks.schema import Schema
    from .options import Options
    from .worker_pool import Worker


def import_after_start(module: str, inputs: str | None) -> Any:
    """Start the site, and return a module of this package. `inputs`: see checks/audit.py."""
    with process_audit(inputs).starting():
        start_django()
        return import_module("." + module, __package__)


def make_worker(
    options: Options, start_times: Mapping[str, str | None], schemas: Mapping[str, Schema]
) -> Worker:
    """Make a worker, in its own process. `start_times` and `schemas` are of each core, by its URL."""
    worker: Worker = import_after_start("worker", options.inputs).LoadingWorker(options, start_times, schemas)
    return worker
