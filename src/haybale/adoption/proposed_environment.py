"""The variables that a site is proposed to get, and what of its settings no variable can change."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from haybale.addresses import SOLR_HOST, SOLR_PORT
from haybale.adoption.site_settings import Purpose, Reference
from haybale.adoption.variables import (
    SECRET,
    Question,
    database_value,
    purpose_of,
    solr_values,
    to_service,
    value_for_tests,
)
from haybale.config import USUAL_ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haybale.adoption.site_settings import Variable
    from haybale.adoption.survey import Survey

# Where a site is in an image of haybale's own Dockerfile.
WORKDIR = "/app"

# Values of variables that mean yes, as people write them.
YES = {"1", "true", "yes", "on"}


@dataclass(frozen=True, kw_only=True)
class ProposedEnvironment:
    """Variables of the site and the file that has others; `questions` are those whose values are guesses."""

    file: str | None
    variables: Mapping[str, str]
    questions: tuple[Question, ...]


def propose_environment(
    survey: Survey, workdir: str | None, answers: Mapping[str, str]
) -> ProposedEnvironment:
    """Return what a site is told: placeholders for what haybale knows, else what files of theirs say.

    `workdir` is the site's folder in its image, `answers` are values that a person gave.
    """
    proposer = _Proposer(survey, _environment_file(survey), workdir or WORKDIR, database_kind(survey))
    variables = dict(proposer.variables(answers))
    # haybale sets the usual ones by itself, and takes the file's; what says the same needs no line.
    weaker = dict(USUAL_ENVIRONMENT)
    facts = {"{solr_host}": SOLR_HOST, "{solr_port}": str(SOLR_PORT), "{core}": survey.first_core}
    for name, each in survey.values.items():
        if each.place == proposer.file:
            weaker[name] = next((fact for fact, value in facts.items() if value == each.value), each.value)
    variables = {name: each for name, each in variables.items() if weaker.get(name) != each}
    return ProposedEnvironment(file=proposer.file, variables=variables, questions=tuple(proposer.questions))


def database_kind(survey: Survey) -> str:
    """Return which database the dump is of (`sqlite`, `postgresql`), else the settings'."""
    dump = survey.dumps[0] if survey.dumps else None
    if dump and dump.database:
        return dump.database.lower()
    database = survey.settings.database
    return "sqlite" if database and "sqlite" in (database.engine or "") else "postgresql"


def check_kind(survey: Survey) -> Iterator[str]:
    """Yield that the dump is of another database than the settings'."""
    kind, database = database_kind(survey), survey.settings.database
    if database and database.engine and survey.dumps and ("sqlite" in database.engine) != (kind == "sqlite"):
        yield (
            f"{survey.dumps[0].path}: the dump is of {kind}, and {database.place} has the engine"
            f" {database.engine}"
        )


def _environment_file(survey: Survey) -> str | None:
    """Return the file of variables that everybody has, where it says something that settings need."""
    required = {each.name for each in survey.settings.variables if each.is_required}
    files = {each.place for name, each in survey.values.items() if name in required}
    return next((each for each in survey.env_files if each in files), None)


@dataclass
class _Proposer:
    survey: Survey
    file: str | None
    workdir: str
    database: str
    questions: list[Question] = field(default_factory=list)

    def variables(self, answers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        known = {name: each.value for name, each in self.survey.values.items()}
        solr = solr_values(self.survey.settings.connections, known)
        for variable in sorted(self.survey.settings.variables, key=lambda each: each.name):
            value = answers.get(variable.name)
            if value is None:
                value = self._value(variable, solr)
            if value is None and variable.is_required:
                value = self._known_or_asked(variable)
            if value is not None:
                yield variable.name, value

    def _value(self, variable: Variable, solr: Mapping[str, str]) -> str | None:
        """Return the value of a variable whose purpose is known, or that leads to a service, else None."""
        purpose = purpose_of(variable)
        if purpose is None:
            return self._service_value(variable)
        if purpose is Purpose.SOLR:
            return solr.get(variable.name)
        database = self.survey.settings.database
        options = database.options.values() if database else ()
        reads_it = (each for each in options if any(_names(part, variable.name) for part in each))
        if value := database_value(purpose, next(reads_it, ()), self.database):
            return value
        known = self.survey.values.get(variable.name)
        is_development = known is not None and known.value.lower() in YES
        return {
            Purpose.SECRET_KEY: SECRET if variable.is_required else None,
            Purpose.HOSTS: "*",
            Purpose.ORIGINS: "{site_url}" if variable.is_required else None,
            Purpose.DEBUG: "0" if variable.is_required or is_development else None,
            Purpose.FOLDER: self.workdir if variable.is_required else None,
        }.get(purpose)

    def _service_value(self, variable: Variable) -> str | None:
        """Return the value of a variable that leads to a service of the repository's compose files."""
        names = [each.name for each in self.survey.needed_services]
        known = self.survey.values.get(variable.name)
        value = known.value if known else variable.default
        if value is None or not names:
            return None
        address = value.rpartition("://")[2]
        if any(re.search(rf"(^|@){re.escape(name)}(:|/|$)", address) for name in names):
            return value if value != variable.default else None
        return to_service(value, names)

    def _known_or_asked(self, variable: Variable) -> str | None:
        known = self.survey.values.get(variable.name)
        if known is not None:
            return known.value if known.place != self.file else None
        default = value_for_tests(variable.name)
        question = Question(variable=variable.name, place=variable.place, default=default)
        self.questions.append(question)
        return question.default


def _names(part: str | Reference | None, variable: str) -> bool:
    return isinstance(part, Reference) and part.variable == variable
