"""runTests: the site, with the baked index, under every test.

The site's tests and the browser's run in the tester container, beside the release image and the baked Solr;
the repository's own run here. All of them run, also after one has failed.
"""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.dump.service import restored_database
from haybale.errors import ServiceError, TestsFailedError
from haybale.images.build import ensure_stage
from haybale.images.stack import new_run_name
from haybale.images.store import open_store
from haybale.index.build import regenerate
from haybale.index.image import find_local_image, is_verified, pull_index_image, verify_index_image
from haybale.index.key import compute_key
from haybale.release.record import Suite
from haybale.testing.stack import TESTED_STAGES, prepare_test_stack
from haybale.tools.engine import sdk
from haybale.tools.process import run_attached
from haybale.version import PULL

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.checkout import Checkout
    from haybale.image_ref import ImageRef
    from haybale.index.image import IndexImage
    from haybale.terminal import Terminal
    from haybale.tools.engine.compose import Compose

# The folder of the reports in the tester container.
REPORTS = "/reports"

# Each leaves reports/SUITE.xml.
SUITES = ("site", "browser", "repository")


def run_tests(checkout: Checkout, terminal: Terminal, *, keep: bool = False) -> None:
    """Run every test with the index of the present inputs, which is made where it is missing.

    Raises as `regenerate` and `run_suites` do.
    """
    index = _get_index(checkout, terminal, keep=keep)
    sdk.tag_image(index.id, checkout.stage_image("solr"))
    for stage in TESTED_STAGES:
        ensure_stage(checkout, stage, terminal.say)
    run_suites(checkout, index.name, terminal, keep=keep)


def _get_index(checkout: Checkout, terminal: Terminal, *, keep: bool) -> IndexImage:
    """Return the index image of the present inputs: verified on this engine, pulled, or regenerated."""
    key = compute_key(checkout.project)
    image = find_local_image(checkout, key)
    if image is not None:
        if not is_verified(checkout, image.id):
            terminal.say(f"starting {image.name} to count its documents")
        verify_index_image(checkout, image)
        return image
    store, name = open_store(checkout.project), checkout.index_image(key.value)
    if store.exists(name):
        terminal.say(f"pulling {name}")
        return pull_index_image(checkout, key, store)
    terminal.say(f"there is no index of key {key} yet: regenerating (just why explains what changed)")
    return regenerate(checkout, key, terminal, keep=keep)


def run_suites(
    checkout: Checkout, index: ImageRef, terminal: Terminal, *, run: str | None = None, keep: bool = False
) -> None:
    """Run every test on the built stages and an index image; reports and logs go to reports/.

    `run` names the services (default: a new name), `keep` leaves them for debugging. Raises
    `TestsFailedError` with the names of the suites that failed, `ServiceError` where there are no reports.
    """
    settings, reports = checkout.settings.test, checkout.project.reports
    services = prepare_test_stack(checkout, run or new_run_name(), index, terminal.say)
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    failed: list[str] = []
    terminal.say("starting the site with the baked index")
    if keep:
        terminal.say(services.keep_notice)
    with restored_database(services, terminal.advise, keep=keep):
        try:
            for suite, command in (("site", settings.site), ("browser", settings.browser)):
                if command:
                    terminal.say(f"running the {suite} tests")
                    report = f"--junit-xml={REPORTS}/{suite}.xml"
                    if run_attached(services.command("exec", "-T", "tester", *command, report)):
                        failed.append(suite)
        finally:
            _copy_reports(services, reports)
            services.save_logs(reports / "logs")
    if settings.repository:
        terminal.say("running the repository's tests")
        if _run_here(checkout, settings.repository):
            failed.append("repository")
    if failed:
        raise TestsFailedError(
            f"tests failed: {', '.join(failed)}",
            cause="JUnit XML and logs of the services are in reports/",
            hint="just ci-dc up -d starts the same services, to look at them",
        )
    terminal.done("all tests passed; reports are in reports/")


def read_results(reports: Path) -> dict[str, Suite]:
    """Return what the reports of the last run say of each suite, by its name (JUnit XML)."""
    found = {}
    for suite in SUITES:
        file = reports / f"{suite}.xml"
        if file.is_file():
            counts = [each.attrib for each in ET.parse(file).iter("testsuite")]  # noqa: S314 - our own
            tests, skipped = (sum(int(each.get(name, 0)) for each in counts) for name in ("tests", "skipped"))
            found[suite] = Suite(tests=tests, skipped=skipped)
    return found


def _copy_reports(services: Compose, reports: Path) -> None:
    try:
        sdk.copy_from_container(services.container_id("tester"), REPORTS, reports)
    except ServiceError as error:
        error.hint = error.hint or f"the stage tester makes the folder {REPORTS}, for its user"
        raise


def _run_here(checkout: Checkout, command: tuple[str, ...]) -> int:
    # The tests' own Python: this one, whatever the PATH says.
    here = [sys.executable if word == "python" else word for word in command]
    report = f"--junit-xml={checkout.project.reports / 'repository.xml'}"
    pull = checkout.version.pull
    return run_attached([*here, report], cwd=checkout.project.root, env={PULL: pull} if pull else None)
