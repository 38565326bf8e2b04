"""runTests: the site, with the baked index, under every test.

The suites run in the tester container, in the released site's or here, as the settings say. All of them run,
also after one has failed.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from haybale.dump.service import restored_database
from haybale.errors import TestsFailedError
from haybale.files import make_ignored_folder
from haybale.images.build import ensure_stage
from haybale.images.site_services import REPORTS
from haybale.images.stack import new_run_name
from haybale.images.store import open_store
from haybale.index.build import regenerate
from haybale.index.image import find_local_image, is_verified, pull_index_image, verify_index_image
from haybale.index.key import compute_key
from haybale.index.solr_start import wait_for_cores, watch_cores
from haybale.release.record import Suite
from haybale.testing.pages import PAGES, ask_pages, write_report
from haybale.testing.stack import TESTED_STAGES, find_cores, prepare_test_stack
from haybale.testing.suites import HOST, SuiteResult, run_here, run_in_services
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.image_ref import ImageRef
    from haybale.index.image import IndexImage
    from haybale.terminal import Terminal
    from haybale.tools.engine.compose import Compose


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
    terminal.say(f"there is no index of key {key} yet: regenerating (`haybale why` explains what changed)")
    return regenerate(checkout, key, terminal, keep=keep)


def run_suites(
    checkout: Checkout, index: ImageRef, terminal: Terminal, *, run: str | None = None, keep: bool = False
) -> None:
    """Run every test on the built stages and an index image; reports and logs go to reports/.

    `run` names the services (default: a new name), `keep` leaves them for debugging. Raises
    `TestsFailedError` with the names of the suites that failed, `ServiceError` where there are no reports.
    """
    settings, reports = checkout.settings.test, checkout.project.reports
    inside = {name: suite for name, suite in settings.suites.items() if suite.where != HOST}
    outside = {name: suite for name, suite in settings.suites.items() if suite.where == HOST}
    services = prepare_test_stack(checkout, run or new_run_name(), index, terminal.say)
    shutil.rmtree(reports, ignore_errors=True)
    make_ignored_folder(reports)
    results: list[SuiteResult] = []
    terminal.say("starting the site with the baked index")
    if keep:
        terminal.say(services.keep_notice)
    cores = dict.fromkeys(find_cores(index))
    watch = watch_cores(services, checkout.project, cores)
    with restored_database(services, terminal.advise, reports, keep=keep, watch=watch):
        wait_for_cores(services, checkout.project, cores)
        # Whoever the tests run as.
        services.exec_as_root("tester", ["chmod", "0777", REPORTS])
        try:
            if settings.pages:
                results.append(_look_at_pages(checkout, services, terminal))
            for result in run_in_services(services, inside, terminal.say):
                results.append(result)  # noqa: PERF402 - what has run counts, whatever comes
        finally:
            _copy_reports(services, reports)
            services.save_logs(reports / "logs")
    for name, suite in outside.items():
        terminal.say(f"running the suite {name}")
        results.append(run_here(checkout, name, suite))
    _raise_if_failed(results, terminal)


def _look_at_pages(checkout: Checkout, services: Compose, terminal: Terminal) -> SuiteResult:
    """Ask the released site for the pages of the settings, and say what is wrong with them."""
    settings = checkout.settings
    terminal.say("asking the released site for its pages")
    answers = ask_pages(services, settings.site, settings.test.pages)
    write_report(checkout.project.reports / f"{PAGES}.xml", answers)
    problems = [answer.problem for answer in answers if answer.problem]
    for problem in problems:
        terminal.say(problem)
    return SuiteResult(name=PAGES, code=len(problems), gates=True)


def _raise_if_failed(results: Sequence[SuiteResult], terminal: Terminal) -> None:
    """Raise `TestsFailedError` where a suite failed that gates; say what else is to be known."""
    failed = [result for result in results if result.code]
    for result in failed:
        if not result.gates:
            terminal.advise(
                f"the suite {result.name} failed; it does not gate (test.suites.{result.name}.gates)"
            )
    gating = [result.name for result in failed if result.gates]
    if gating:
        raise TestsFailedError(
            f"tests failed: {', '.join(gating)}",
            cause="JUnit XML and logs of the services are in reports/",
            hint="to look at the same services: `haybale ci-dc up -d`",
        )
    if not results:
        terminal.advise("no test ran: there is no suite in [tool.haybale.test.suites], and no page")
    terminal.done("all tests passed; reports are in reports/")


def read_results(project: Project) -> dict[str, Suite]:
    """Return what the reports of the last run say of each suite, by its name (JUnit XML).

    A suite whose command writes no report is not among them.
    """
    found = {}
    for name in (PAGES, *project.settings.test.suites):
        file = project.reports / f"{name}.xml"
        if file.is_file():
            counts = [each.attrib for each in ET.parse(file).iter("testsuite")]  # noqa: S314 - our own
            tests, skipped = (sum(int(each.get(key, 0)) for each in counts) for key in ("tests", "skipped"))
            found[name] = Suite(tests=tests, skipped=skipped)
    return found


def _copy_reports(services: Compose, reports: Path) -> None:
    sdk.copy_from_container(services.container_id("tester"), REPORTS, reports)
