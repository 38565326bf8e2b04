"""Solr's start: its cores answer, or it is told why one does not as soon as Solr says it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from haybale.errors import ServiceError
from haybale.index.core_status import explain_failure
from haybale.index.home import configuration_texts
from haybale.tools.engine import sdk
from haybale.tools.solr import CoreFailedError, Solr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project
    from haybale.index.home import CoreFolder
    from haybale.tools.engine.compose import Compose, Watch

SERVICE, PORT = "solr", 8983

# Seconds that a core gets to answer when Solr does.
PATIENCE = 120


def watch_cores(services: Compose, project: Project, cores: Mapping[str, CoreFolder | None]) -> Watch:
    """Return what looks at the cores while the services come up.

    `cores` maps a core to where its configuration is, None where that is not at hand.

    It raises `ServiceError` with the root cause where Solr cannot open one, whatever else is still starting.
    """
    addresses: list[str] = []

    def watch() -> None:
        if not addresses:
            with contextlib.suppress(ServiceError):  # not yet
                addresses.append(services.published_address(SERVICE, PORT))
        for address, core in ((address, core) for address in addresses for core in cores):
            if failure := Solr(f"http://{address}", core).find_failure():
                raise explain_core(failure, project, cores[core]) from failure

    return watch


def wait_for_cores(services: Compose, project: Project, cores: Mapping[str, CoreFolder | None]) -> None:
    """Wait until every core answers; raises `ServiceError` as `watch_cores`, or where Solr is late."""
    address, container = services.published_address(SERVICE, PORT), services.container_id(SERVICE)
    for core, conf in cores.items():
        try:
            Solr(f"http://{address}", core).wait_ready(PATIENCE, lambda: sdk.is_container_running(container))
        except CoreFailedError as failure:
            raise explain_core(failure, project, conf) from failure


def explain_core(failure: CoreFailedError, project: Project, conf: CoreFolder | None) -> ServiceError:
    """Return what to tell the user of a core that failed; `conf` is as in `watch_cores`."""
    files = {} if conf is None else configuration_texts(conf)
    return explain_failure(failure, image=project.settings.images.solr, files=files)
