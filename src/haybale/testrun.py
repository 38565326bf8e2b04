"""runTests: the site, with the baked index, under every test.

The site's tests and the browser's run in the tester container, beside the release image and the baked Solr;
the repository's own run here. All of them run, also after one has failed.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

from haybale import environments
from haybale.errors import TestsFailedError
from haybale.index import regenerate
from haybale.tools import docker, process

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.config import Project
    from haybale.report.terminal import Terminal
    from haybale.tools.compose import Compose

# Where the tester's own reports lie, in its container.
REPORTS = "/reports"


def run(project: Project, terminal: Terminal, *, keep: bool = False) -> None:
    """Run every test; reports (JUnit XML, the services' logs) go to reports/.

    Makes what is missing first. `keep` leaves the services for debugging. Raises `TestsFailedError` with the
    names of the suites that failed.
    """
    current, reason = regenerate.is_current(project)
    if not current:
        terminal.say(f"{reason}: regenerating")
        regenerate.regenerate(project, terminal, keep=keep)
    services = environments.testing(project, environments.new_run(), terminal.say)
    shutil.rmtree(project.reports, ignore_errors=True)
    project.reports.mkdir(parents=True)
    failed: list[str] = []
    terminal.say("starting the site with the baked index")
    if keep:
        terminal.say(services.kept)
    with services.up(keep=keep):
        try:
            for suite in ("site", "browser"):
                command = getattr(project.settings.test, suite)
                if command:
                    terminal.say(f"running the {suite} tests")
                    if _in_tester(services, suite, command):
                        failed.append(suite)
        finally:
            docker.copy_out(services.container("tester"), REPORTS, project.reports)
            services.save_logs(project.reports / "logs")
    if project.settings.test.repository:
        terminal.say("running the repository's tests")
        if _here(project, project.settings.test.repository):
            failed.append("repository")
    if failed:
        raise TestsFailedError(
            f"tests failed: {', '.join(failed)}",
            cause="see above; logs of the services and JUnit XML are in reports/",
            step="just ci-dc up -d leaves the same services running for a look",
        )
    terminal.done("all tests passed; reports are in reports/")


def _in_tester(services: Compose, suite: str, command: tuple[str, ...]) -> int:
    report = f"--junit-xml={REPORTS}/{suite}.xml"
    return process.hand_over(services.command("exec", "-T", "tester", *command, report))


def _here(project: Project, command: tuple[str, ...]) -> int:
    report: Path = project.reports / "repository.xml"
    # The tests' own Python: this one, whatever the PATH says.
    here = [sys.executable if word == "python" else word for word in command]
    return process.hand_over([*here, f"--junit-xml={report}"], cwd=project.root, env=dict(os.environ))
