"""How a site's requirements and tests are proposed to be installed and run."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from haybale.adoption.proposed_environment import WORKDIR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.adoption.site_image import SiteDockerfile
    from haybale.adoption.site_requirements import Requirements
    from haybale.adoption.survey import Survey

PYTEST = "pip install pytest pytest-django"


def propose_requirements(survey: Survey, site: str) -> dict[str, Any]:
    """Return what is installed: a lock as it is, or a file of requirements, and the one for the tests.

    `site` is the site's folder; what lies in it comes before what lies elsewhere.
    """
    chosen = find_production(survey.requirements, site)
    if chosen is None:
        return {}
    if chosen.is_lock:
        return {"production": chosen.path}
    development = find_development(survey.requirements, chosen)
    return {"production": chosen.path, "development": development.path if development else None}


def find_production(requirements: Sequence[Requirements], site: str) -> Requirements | None:
    """Return the file that says what the released site has; None where there is none."""
    found = [each for each in requirements if not each.path.endswith(".in") and not each.is_development]
    near = [each for each in found if site == "." or each.path.startswith(f"{site}/")] or found
    named = [each for each in near if PurePosixPath(each.path).stem.startswith(("prod", "requirements.prod"))]
    return next((each for each in near if each.is_lock), None) or next(iter([*named, *near]), None)


def find_development(requirements: Sequence[Requirements], production: Requirements) -> Requirements | None:
    """Return the file that says what the tests need: one that lies where the other one does comes first."""
    folder = PurePosixPath(production.path).parent
    found = [each for each in requirements if each.is_development and not each.path.endswith(".in")]
    near = [each for each in found if folder in {*PurePosixPath(each.path).parents}]
    named = [each for each in near if "test" in PurePosixPath(each.path).stem]
    return next(iter([*named, *near, *found]), None)


def propose_suites(
    survey: Survey, site: str, dockerfile: SiteDockerfile | None, texts: Mapping[str, str]
) -> dict[str, Any]:
    """Return the suite of the site's own tests, and what installs what it needs; {} where there are none.

    `texts` are the contents of the files of requirements.
    """
    tests = survey.tests
    if tests is None:
        return {}
    if tests.runner != "pytest":
        return {"suites": {"site": {"command": ["python", "manage.py", "test", "--noinput"]}}}
    suite: dict[str, Any] = {"command": ["pytest", "--junit-xml={report}"]}
    if tests.folder != site and dockerfile is None:
        # haybale's own image has the site's folder only.
        paths = tests.paths or ("tests",)
        suite["mounts"] = [f"{each}:{WORKDIR}/{each}" for each in paths]
        suite["command"] += [f"{WORKDIR}/{each}" for each in paths]
    return {"install": _install(survey, site, dockerfile, texts), "suites": {"site": suite}}


def _install(
    survey: Survey, site: str, dockerfile: SiteDockerfile | None, texts: Mapping[str, str]
) -> str | None:
    """Return what installs pytest; None where the image has it, or gets it by other settings."""
    if dockerfile and dockerfile.tester and dockerfile.tester is not dockerfile.release:
        return None
    production = find_production(survey.requirements, site)
    if production is None:
        # The image was made of the package at the top, so its extra is there as well.
        return f"pip install -e '.[{survey.test_extra}]'" if survey.test_extra and dockerfile else PYTEST
    if not production.is_lock and "pytest" in texts.get(production.path, ""):
        return None
    development = find_development(survey.requirements, production)
    if dockerfile is None:
        # haybale's own tester has what a lock has for development, or requirements.development.
        is_there = production.is_lock or development is not None
        return None if is_there else PYTEST
    if development is None:
        return PYTEST
    return f"pip install -r {development.path}"
