"""The suites of tests (`[tool.haybale.test.suites]`): their command lines, and how one is run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.config import FILE
from haybale.errors import ConfigError
from haybale.images.site_services import REPORTS
from haybale.tools.process import run_attached
from haybale.version import PULL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haybale.checkout import Checkout
    from haybale.config import SuiteSettings
    from haybale.tools.engine.compose import Compose

# In a suite's command: where its JUnit XML goes.
REPORT = "{report}"
HOST = "host"


@dataclass(frozen=True, kw_only=True)
class SuiteResult:
    """How a suite ended: the exit code of its command, and whether that fails the run."""

    name: str
    code: int
    gates: bool


def suite_command(name: str, suite: SuiteSettings, reports: str) -> list[str]:
    """Return a suite's command line, with its report in the folder `reports`, without the tests set aside.

    Raises `ConfigError` where tests are set aside and pytest is not what runs.
    """
    command = [word.replace(REPORT, f"{reports}/{name}.xml") for word in suite.command]
    if suite.set_aside and not any(word.rpartition("/")[2] in {"pytest", "py.test"} for word in command):
        raise ConfigError(
            f"{FILE}: test.suites.{name}.set_aside needs pytest; the command is {' '.join(suite.command)}",
            cause="other runners have no option that leaves out one test by its id",
            hint="leave set_aside out, and exclude the test as its runner does",
        )
    return [*command, *(f"--deselect={each}" for each in suite.set_aside)]


def run_in_services(
    services: Compose, suites: Mapping[str, SuiteSettings], say: Callable[[str], None]
) -> Iterator[SuiteResult]:
    """Run the suites that belong into a container, one after the other; yield how each ended."""
    for name, suite in suites.items():
        say(f"running the suite {name}")
        options = [f"--env={key}={value}" for key, value in suite.environment.items()]
        options += [f"--workdir={suite.folder}"] if suite.folder else []
        command = suite_command(name, suite, REPORTS)
        code = run_attached(services.command("exec", "-T", *options, suite.where, *command))
        yield SuiteResult(name=name, code=code, gates=suite.gates)


def run_here(checkout: Checkout, name: str, suite: SuiteSettings) -> SuiteResult:
    """Run a suite on this machine, in the work tree that is tested."""
    project = checkout.project
    # The tests' own Python: this one, whatever the PATH says.
    command = suite_command(name, suite, str(project.reports))
    here = [sys.executable if word == "python" else word for word in command]
    folder = project.path(suite.folder) if suite.folder else project.root
    pull = checkout.version.pull
    env = {**suite.environment, **({PULL: pull} if pull else {})}
    return SuiteResult(name=name, code=run_attached(here, cwd=folder, env=env), gates=suite.gates)
