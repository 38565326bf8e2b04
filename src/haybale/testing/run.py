"""runTests: the site, with the baked index, under every test.

The site's tests and the browser's run in the tester container, beside the release image and the baked Solr;
the repository's own run here. All of them run, also after one has failed.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.errors import TestsFailedError
from haybale.images.build import ensure_stage
from haybale.images.stack import new_run_name
from haybale.images.store import open_store
from haybale.index.build import regenerate
from haybale.index.image import find_local_image, find_verified_image, pull_index_image, verify_index_image
from haybale.index.key import compute_key
from haybale.release.record import Suite
from haybale.testing.stack import TESTED_STAGES, prepare_test_stack
from haybale.tools import process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.image_ref import ImageRef
    from haybale.index.image import IndexImage
    from haybale.index.key import Key
    from haybale.terminal import Terminal
    from haybale.tools.engine.compose import Compose

# Where the tester's own reports lie, in its container.
REPORTS = "/reports"

# Each leaves reports/SUITE.xml.
SUITES = ("site", "browser", "repository")


def run(checkout: Checkout, terminal: Terminal, *, keep: bool = False) -> None:
    """Run every test with the index of the present inputs, which is made where it is missing.

    Raises as `regenerate` and `tests` do.
    """
    key = compute_key(checkout.project)
    index = find_verified_image(checkout, key) or _obtain(checkout, key, terminal, keep=keep)
    sdk.tag_image(index.id, checkout.stage_image("solr"))
    for stage in TESTED_STAGES:
        ensure_stage(checkout, stage, terminal.say)
    run_suites(checkout, index.name, terminal, keep=keep)


def _obtain(checkout: Checkout, key: Key, terminal: Terminal, *, keep: bool) -> IndexImage:
    """Return the key's index image: verified here now, pulled, or regenerated."""
    image = find_local_image(checkout, key)
    if image is not None:
        terminal.say(f"starting {image.name} to count its documents")
        verify_index_image(checkout, image)
        return image
    store, name = open_store(checkout.project), checkout.index_image(key.value)
    if store.exists(name):
        terminal.say(f"pulling {name}")
        return pull_index_image(checkout, key, store)
    terminal.say(f"there is no index of key {key} yet: regenerating (just why tells what changed)")
    return regenerate(checkout, key, terminal, keep=keep)


def run_suites(
    checkout: Checkout,
    index_image: ImageRef,
    terminal: Terminal,
    *,
    run: str | None = None,
    keep: bool = False,
) -> None:
    """Run every test on the built stages and an index image; reports and logs go to reports/.

    `run` names the services (default: a new name), `keep` leaves them for debugging. Raises
    `TestsFailedError` with the names of the suites that failed.
    """
    project = checkout.project
    services = prepare_test_stack(checkout, run or new_run_name(), index_image, terminal.say)
    shutil.rmtree(project.reports, ignore_errors=True)
    project.reports.mkdir(parents=True)
    failed: list[str] = []
    terminal.say("starting the site with the baked index")
    if keep:
        terminal.say(services.keep_notice)
    with services.up(keep=keep):
        try:
            for suite in ("site", "browser"):
                command = getattr(project.settings.test, suite)
                if command:
                    terminal.say(f"running the {suite} tests")
                    if _in_tester(services, suite, command):
                        failed.append(suite)
        finally:
            sdk.copy_from_container(services.container_id("tester"), REPORTS, project.reports)
            services.save_logs(project.reports / "logs")
    if project.settings.test.repository:
        terminal.say("running the repository's tests")
        if _here(project, project.settings.test.repository):
            failed.append("repository")
    if failed:
        raise TestsFailedError(
            f"tests failed: {', '.join(failed)}",
            cause="see above; logs of the services and JUnit XML are in reports/",
            hint="just ci-dc up -d leaves the same services running for a look",
        )
    terminal.done("all tests passed; reports are in reports/")


def results(project: Project) -> dict[str, Suite]:
    """Return what the reports of the last run say of each suite, by its name (JUnit XML)."""
    found = {}
    for suite in SUITES:
        file = project.reports / f"{suite}.xml"
        if file.is_file():
            counts = [each.attrib for each in ET.parse(file).iter("testsuite")]  # noqa: S314 - our own
            found[suite] = Suite(
                tests=sum(int(each.get("tests", 0)) for each in counts),
                skipped=sum(int(each.get("skipped", 0)) for each in counts),
            )
    return found


def _in_tester(services: Compose, suite: str, command: tuple[str, ...]) -> int:
    report = f"--junit-xml={REPORTS}/{suite}.xml"
    return process.run_attached(services.command("exec", "-T", "tester", *command, report))


def _here(project: Project, command: tuple[str, ...]) -> int:
    report: Path = project.reports / "repository.xml"
    # The tests' own Python: this one, whatever the PATH says.
    here = [sys.executable if word == "python" else word for word in command]
    return process.run_attached([*here, f"--junit-xml={report}"], cwd=project.root, env=dict(os.environ))
