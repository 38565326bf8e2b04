"""What was found in a repository, a line for each thing: what it is, where it says so, how sure that is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haybale.adoption.survey import Survey

# How sure it is: written down, the likeliest of several or by a name, not there.
SURE, LIKELY, ABSENT = "sure", "likely", "absent"


@dataclass(frozen=True, kw_only=True)
class Described:
    """Something that was found: what it is, the file (with the line) that says so, and how sure it is."""

    subject: str
    value: str
    place: str = ""
    certainty: str = SURE

    @property
    def text(self) -> str:
        """The finding in a line."""
        place = f" ({self.place})" if self.place else ""
        return f"{self.value}{place}{', likely' if self.certainty == LIKELY else ''}"


def describe_survey(survey: Survey) -> list[Described]:
    """Return what was found, in the order in which one asks."""
    return [*_site(survey), *_search(survey), *_image(survey), *_surroundings(survey)]


def _absent(subject: str) -> Described:
    return Described(subject=subject, value="not found", certainty=ABSENT)


def _site(survey: Survey) -> Iterator[Described]:
    site, module = survey.site, survey.settings_module
    if site is None:
        yield _absent("site")
    else:
        several = sum(each.endswith("manage.py") for each in survey.files) > 1
        certainty = LIKELY if several else SURE
        yield Described(subject="site", value=site.value, place=site.place, certainty=certainty)
    if module is None:
        yield _absent("settings")
    else:
        certainty = SURE if survey.settings_files else LIKELY
        yield Described(subject="settings", value=module.value, place=module.place, certainty=certainty)
    for local in survey.local_modules:
        example = f"its example is {local.example}" if local.example else "no example is there"
        yield Described(subject="settings", value=f"{local.path}, not in git; {example}", place=local.place)
    for each in survey.settings.variables:
        if each.is_required:
            yield Described(subject="variables", value=f"{each.name}, required", place=each.place)
    optional = [each.name for each in survey.settings.variables if not each.is_required]
    if optional:
        yield Described(subject="variables", value=f"{', '.join(optional)}, with defaults")
    for file in survey.env_files:
        yield Described(subject="variables", value="a file of them", place=file)
    if database := survey.settings.database:
        engine = (database.engine or "as a URL").rpartition(".")[2]
        yield Described(subject="database", value=engine, place=database.place)


def _search(survey: Survey) -> Iterator[Described]:
    if not survey.settings.connections:
        yield _absent("connections")
    values = {name: each.value for name, each in survey.values.items()}
    for each in survey.settings.connections:
        url, known = as_text(each.url), each.core_with(values)
        core = f"core {known}" if known else "a core that is not written down"
        what = core if each.is_solr else (each.engine or "an engine that is not written down")
        yield Described(
            subject="connection", value=f"{each.alias}: {what}{f', {url}' if url else ''}", place=each.place,
            certainty=SURE if known or not each.is_solr else LIKELY,
        )  # fmt: skip
    fields = f" with the fields {', '.join(survey.search_fields)}" if survey.search_fields else ""
    yield Described(subject="indexes", value=f"{len(survey.search_indexes)} search_indexes.py{fields}")
    if not survey.solr_configurations:
        yield _absent("Solr files")
    for each_ in survey.solr_configurations:
        core = f", core {each_.core}" if each_.core else ""
        yield Described(subject="Solr files", value=f"{each_.layout}{core}", place=each_.folder)
    if version := survey.solr_version:
        yield Described(subject="Solr", value=version.value, place=version.place)
    if not survey.dumps and not survey.dump_commands:
        yield _absent("dump")
    for number, dump in enumerate(survey.dumps):
        what = dump.format or "a link to a file that is not here"
        certainty = SURE if dump.is_link and not number else LIKELY
        what = what if dump.is_shared else f"{what}, on this machine only"
        yield Described(subject="dump", value=what, place=dump.path, certainty=certainty)
    for command in survey.dump_commands if survey.needs_fetching else ():
        what = f"brought by {shlex.join(command.words)}"
        yield Described(subject="dump", value=what, place=command.place, certainty=LIKELY)


def _image(survey: Survey) -> Iterator[Described]:
    for dockerfile in survey.dockerfiles:
        names = ", ".join(each.name or "one without a name" for each in dockerfile.stages)
        value = f"stages {names}; released: {dockerfile.release.name or 'the last one'}"
        certainty = SURE if len(dockerfile.stages) == 1 else LIKELY
        yield Described(subject="Dockerfile", value=value, place=dockerfile.path, certainty=certainty)
    if not survey.dockerfiles:
        yield _absent("Dockerfile")
    for file in survey.compose_files:
        names = ", ".join(each.name for each in survey.services if each.file == file)
        yield Described(subject="compose", value=names, place=file)
    if service := survey.site_service:
        yield Described(subject="site service", value=service.name, place=service.file, certainty=LIKELY)
    for each in survey.requirements:
        hashes = ", with hashes" if each.has_hashes else ""
        use = ", for development" if each.is_development else ""
        yield Described(subject="requirements", value=f"{each.tool}{hashes}{use}", place=each.path)
    if survey.python:
        yield Described(subject="Python", value=survey.python.value, place=survey.python.place)


def _surroundings(survey: Survey) -> Iterator[Described]:
    if survey.tests is None:
        yield _absent("tests")
    else:
        certainty = SURE if survey.tests.runner == "pytest" else LIKELY
        yield Described(
            subject="tests", value=survey.tests.runner, place=survey.tests.place, certainty=certainty
        )
    for subject, found in (("health", survey.health), ("search page", survey.search)):
        if found:
            yield Described(subject=subject, value=found.value, place=found.place, certainty=LIKELY)
    for file in survey.ci_files:
        yield Described(subject="CI", value="a file of it", place=file)
    for each in survey.deployment:
        yield Described(subject="deployment", value=each.value, place=each.place, certainty=LIKELY)
