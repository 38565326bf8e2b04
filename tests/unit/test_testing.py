"""Suites and pages: what is run, and what an answer means."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from haybale.config import PageSettings, SuiteSettings
from haybale.errors import ConfigError
from haybale.testing.pages import PageAnswer, write_report
from haybale.testing.suites import suite_command

if TYPE_CHECKING:
    from pathlib import Path


def test_suite_command_puts_the_report_where_it_is_wanted() -> None:
    suite = SuiteSettings(command=("pytest", "/tests", "--junit-xml={report}"))
    assert suite_command("site", suite, "/reports") == ["pytest", "/tests", "--junit-xml=/reports/site.xml"]
    plain = SuiteSettings(command=("python", "manage.py", "test"))
    assert suite_command("site", plain, "/reports") == ["python", "manage.py", "test"]


@pytest.mark.parametrize("runner", [("pytest",), ("python", "-m", "pytest"), ("/venv/bin/pytest",)])
def test_suite_command_leaves_out_tests_that_are_set_aside(runner: tuple[str, ...]) -> None:
    suite = SuiteSettings(command=runner, set_aside=("tests/a.py::test_x",))
    assert suite_command("site", suite, "/reports")[-1] == "--deselect=tests/a.py::test_x"


def test_suite_command_sets_nothing_aside_without_pytest() -> None:
    suite = SuiteSettings(command=("python", "manage.py", "test"), set_aside=("a",))
    with pytest.raises(ConfigError, match=r"test\.suites\.unit\.set_aside needs pytest"):
        suite_command("unit", suite, "/reports")


@pytest.mark.parametrize(
    ("page", "status", "text", "problem"),
    [
        (PageSettings(path="/"), 200, "", None),
        (PageSettings(path="/", contains="found"), 200, "2 found", None),
        (PageSettings(path="/a", contains="found"), 200, "none", "/a: 'found' is not in the answer"),
        (PageSettings(path="/a"), 500, "error", "/a: status 500, not 200"),
        (PageSettings(path="/a", status=302), 302, "", None),
        (PageSettings(path="/a"), None, "refused", "/a: no answer (refused)"),
    ],
)
def test_page_answer_problem(page: PageSettings, status: int | None, text: str, problem: str | None) -> None:
    assert PageAnswer(page=page, status=status, text=text).problem == problem


def test_write_report_is_junit_xml(tmp_path: Path) -> None:
    answers = [
        PageAnswer(page=PageSettings(path="/?a=<b>&c"), status=200, text=""),
        PageAnswer(page=PageSettings(path="/x"), status=500, text="<h1>\x00"),
    ]
    write_report(tmp_path / "pages.xml", answers)
    suite = ET.parse(tmp_path / "pages.xml").getroot()  # noqa: S314 - just written
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite] == ["/?a=<b>&c", "/x"]
    assert suite[1][0].get("message") == "/x: status 500, not 200"
