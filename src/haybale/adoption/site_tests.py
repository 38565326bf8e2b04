"""How a site's own tests are run: with pytest or Django's runner, configured where, needing what."""

from __future__ import annotations

import configparser
import re
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# pytest's configuration files, in the order in which it looks for them, and the section in each (pytest,
# "Initialization: determining rootdir and configfile").
PYTEST_FILES = (
    ("pytest.ini", "pytest"),
    (".pytest.ini", "pytest"),
    ("pyproject.toml", "tool.pytest.ini_options"),
    ("tox.ini", "pytest"),
    ("setup.cfg", "tool:pytest"),
)

TEST_FILE = re.compile(r"tests?\.py|test_\w+\.py|\w+_tests?\.py")
# Tests that need more than a site, a database and Solr.
BROWSER = re.compile(
    r"^\s*(?:import|from)\s+(selenium|playwright|splinter|pytest_playwright)\b", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class SiteTests:
    """A site's tests: whether pytest or Django's runner runs them, where, and with which settings.

    `place` says so; `folder` has pytest's configuration (or is the site's); `paths` are the folders that are
    looked into, from there, () for everything; `browser` are files that drive a browser.
    """

    runner: str
    place: str
    folder: str
    settings: str | None = None
    paths: tuple[str, ...] = ()
    browser: tuple[str, ...] = ()


def find_tests(
    files: Sequence[str], site: str, read: Callable[[str], str], requirements: str
) -> SiteTests | None:
    """Return how a site is tested; None where there are no tests.

    `files` are all of the repository, `site` its folder, `requirements` the text of what is asked for.
    """
    browser = tuple(each for each in files if _is_test(each) and BROWSER.search(read(each)))
    for folder in dict.fromkeys((site, ".")):
        for name, section in PYTEST_FILES:
            path = str(PurePosixPath(folder, name))
            if path in files and (found := _pytest_section(read(path), name, section)) is not None:
                return SiteTests(
                    runner="pytest",
                    place=path,
                    folder=folder,
                    settings=found.get("DJANGO_SETTINGS_MODULE"),
                    paths=tuple(found.get("testpaths", "").split()),
                    browser=browser,
                )
    tests = [each for each in files if _is_test(each) and (site == "." or each.startswith(f"{site}/"))]
    if not tests:
        return None
    if re.search(r"\bpytest-django\b", requirements, re.IGNORECASE):
        return SiteTests(runner="pytest", place="pytest-django", folder=site, browser=browser)
    return SiteTests(runner="django", place=tests[0], folder=site, browser=browser)


def _is_test(file: str) -> bool:
    return bool(TEST_FILE.fullmatch(PurePosixPath(file).name))


def _pytest_section(text: str, name: str, section: str) -> dict[str, str] | None:
    """Return pytest's options in a file, as text; None where the file has none of them."""
    if name.endswith(".toml"):
        try:
            table: object = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return None
        for key in section.split("."):
            table = table.get(key) if isinstance(table, dict) else None
        if not isinstance(table, dict):
            return None
        return {
            key: " ".join(map(str, value)) if isinstance(value, list) else str(value)
            for key, value in table.items()
        }
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return dict(parser[section]) if parser.has_section(section) else None
