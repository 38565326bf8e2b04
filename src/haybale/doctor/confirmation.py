"""Proposed settings, confirmed by starting Django with them before they are written.

What only a start tells becomes one more finding about the repository, of which the settings are proposed
again. The settings that count are those of the step that indexes; Solr is not started.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from haybale import config
from haybale.adoption.corrections import correct_survey
from haybale.checkout import read_checkout
from haybale.doctor.deep import ask_django, check_schemas, check_site, configurations, from_start, prepared
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.made_configuration import describe_made_fields, read_made_fields
from haybale.errors import BuildError, ConfigError, HaybaleError, LoadError
from haybale.files import make_ignored_folder, write_atomically
from haybale.image_ref import RELEASE
from haybale.images.build import ensure_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from haybale.adoption.survey import Survey
    from haybale.checkout import Checkout
    from haybale.doctor.deep import Asked, Started

# So many variables may turn out to be missing, one after the other.
MOST_CORRECTIONS = 20


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """A repository with what Django said of it, and what was seen of that, for a person."""

    survey: Survey
    diagnoses: tuple[Diagnosis, ...]


def confirm_settings(
    survey: Survey, propose: Callable[[Survey], str], env: Mapping[str, str], say: Callable[[str], None]
) -> Confirmation:
    """Build the release image as proposed settings have it, and start Django in it.

    `propose` returns a pyproject.toml for what is known of a repository. Raises `PrerequisiteError` where no
    engine answers; whatever else fails is in the result. Of this nothing is left but the image, and the
    configuration that is made for a site that keeps none, in `.haybale`.
    """
    checkout = read_proposed(survey.root, propose(survey), env)
    make_ignored_folder(checkout.project.scratch)
    with prepared(checkout) as started:
        say("building the release image as these settings have it")
        try:
            ensure_stage(checkout, RELEASE, say)
        except (BuildError, ConfigError) as error:
            failed = Diagnosis(subject="release image", seen="cannot be built", findings=(from_start(error),))
            return Confirmation(survey=survey, diagnoses=(failed,))
        return _start(survey, propose, started, say)


def read_proposed(root: Path, text: str, env: Mapping[str, str]) -> Checkout:
    """Return a repository as if its pyproject.toml were this text; raises `ConfigError`.

    Without what Django needs no confirmation for, and may not be there yet: other services, static files.
    """
    with tempfile.TemporaryDirectory(prefix="haybale-") as folder:
        write_atomically(Path(folder, config.FILE), text)
        proposed = config.load(Path(folder), env)
    settings = replace(
        proposed.settings,
        compose=config.ComposeSettings(),
        image=replace(proposed.settings.image, collectstatic=False),
    )
    return read_checkout(replace(proposed, root=root, settings=settings), env)


def _start(
    survey: Survey, propose: Callable[[Survey], str], started: Started, say: Callable[[str], None]
) -> Confirmation:
    """Start Django, again with each thing that it says is missing, until it starts or nobody knows."""
    corrections: list[Finding] = []
    while True:
        say("starting Django in it")
        try:
            asked = ask_django(started)
        except (LoadError, ConfigError) as error:
            corrected = correct_survey(survey, error.message)
            if corrected is None or len(corrections) == MOST_CORRECTIONS:
                failed = Diagnosis(
                    subject="Django",
                    seen="does not start in the release image",
                    findings=(*corrections, from_start(error)),
                )
                return Confirmation(survey=survey, diagnoses=(failed,))
            corrections.append(_corrected(corrected.what))
            survey = corrected.survey
            started = _with_settings(started, survey, propose)
            continue
        if {*asked.cores} != {*asked.schemas}:
            survey = replace(survey, started_cores=tuple(asked.schemas))
            names = ", ".join(asked.schemas)
            corrections.append(
                _corrected(f"HAYSTACK_CONNECTIONS names {names}, not {', '.join(asked.cores)}")
            )
            asked = replace(asked, cores=survey.started_cores)
            started = _with_settings(started, survey, propose)
        return Confirmation(survey=survey, diagnoses=tuple(_describe(started, asked, corrections)))


def _corrected(what: str) -> Finding:
    return Finding(
        level="warning", what=f"{what}: reading did not show that", fix="done in the settings below"
    )


def _with_settings(started: Started, survey: Survey, propose: Callable[[Survey], str]) -> Started:
    env = started.checkout.env
    return replace(started, checkout=read_proposed(survey.root, propose(survey), env))


def _describe(started: Started, asked: Asked, corrections: list[Finding]) -> Iterator[Diagnosis]:
    """Yield what was seen of Django that starts, and of the configuration for its cores."""
    fields = sum(len(each.fields) for each in asked.schemas.values())
    yield Diagnosis(
        subject="Django",
        seen=f"starts; its connections have the cores {', '.join(asked.schemas)}, with {fields} fields",
        findings=(*corrections, *check_site(started, asked.cores[0])),
    )
    project = started.checkout.project
    try:
        findings = tuple(check_schemas(configurations(started, asked), asked.schemas))
    except HaybaleError as error:
        yield Diagnosis(subject="Solr's configuration", seen="not sound", findings=(from_start(error),))
        return
    conf = ", ".join(project.settings.solr_conf_folders)
    seen = f"{conf} has all fields" if conf else describe_made_fields(read_made_fields(project))
    yield Diagnosis(subject="Solr's configuration", seen=conf if findings else seen, findings=findings)
