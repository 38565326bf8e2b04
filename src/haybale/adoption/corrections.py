"""What Django says when it does not start, as one more finding about a repository."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import Variable

if TYPE_CHECKING:
    from haybale.adoption.survey import Survey

# A variable that is not set, as it is told by os.environ, django-environ, environs and python-decouple, and
# in people's own words.
NAME = r"(?P<name>[A-Z][A-Z0-9_]+)"
NOT_SET = tuple(
    map(
        re.compile,
        (
            rf"KeyError: '{NAME}'",
            rf"Set the {NAME} environment variable",
            rf"Environment variable [\"']{NAME}[\"'] not set",
            rf"{NAME} not found\. Declare it as envvar",
            rf"[Ee]nvironment variable:? [\"'`]?{NAME}\b",
            rf"\b{NAME}[\"'`]? (?:environment variable|is not (?:set|defined)|is required|must be set)",
        ),
    )
)
NO_MODULE = re.compile(r"ModuleNotFoundError: No module named '(?P<name>[\w.]+)'")

# Where a finding comes from that Django made.
DJANGO = "Django"


@dataclass(frozen=True, kw_only=True)
class Correction:
    """A repository as Django has it, and what it said that reading did not show, a sentence."""

    survey: Survey
    what: str


def correct_survey(survey: Survey, message: str) -> Correction | None:
    """Return what a failed start (its message) says of a repository; None where that leaves a choice."""
    return _add_variable(survey, message) or _take_own_settings(survey, message)


def _add_variable(survey: Survey, message: str) -> Correction | None:
    """Take a variable for required that is missing; None where it was known to be, and so is set."""
    name = next((match["name"] for each in NOT_SET if (match := each.search(message))), None)
    variables = survey.settings.variables
    if name is None or any(each.name == name and each.is_required for each in variables):
        return None
    read = next((each for each in variables if each.name == name), None)
    found = replace(read, is_required=True) if read else Variable(name=name, is_required=True, place=DJANGO)
    others = tuple(each for each in variables if each.name != name)
    settings = replace(survey.settings, variables=(*others, found))
    return Correction(
        survey=replace(survey, settings=settings), what=f"Django does not start without the variable {name}"
    )


def _take_own_settings(survey: Survey, message: str) -> Correction | None:
    """Take manage.py's settings module where the one that was read is not there."""
    match, module, own = NO_MODULE.search(message), survey.settings_module, survey.manage_module
    if match is None or module is None or survey.site is None or own in {None, module.value}:
        return None
    if not f"{module.value}.".startswith(f"{match['name']}."):
        return None
    return Correction(
        survey=replace(survey, settings_module=replace(module, value=str(own), place=survey.site.place)),
        what=f"{module.value} ({module.place}) is not there; manage.py names {own}",
    )
