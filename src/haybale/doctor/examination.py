"""What `doctor` looks at, in the order in which it tells it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from haybale.doctor.bases import examine_bases
from haybale.doctor.contract import examine_dockerfile
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.machine import examine_engine
from haybale.doctor.made_configuration import describe_made_fields, read_made_fields
from haybale.doctor.registry import examine_registry
from haybale.doctor.repository import examine_dump, examine_git, examine_version
from haybale.doctor.services import examine_services
from haybale.doctor.settings import examine_settings
from haybale.doctor.site import examine_site, list_site_files
from haybale.doctor.solr_configuration import check_configuration
from haybale.errors import HaybaleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from haybale.config import Project, SettingValue

# What waits for docker and git waits side by side.
THREADS = 8


def examine(
    project: Project, settings: Sequence[SettingValue], env: Mapping[str, str], own: str
) -> Iterator[Diagnosis]:
    """Yield a diagnosis of each thing that a run needs; nothing is started and nothing changed.

    `settings` are the project's, with their places, `own` is the version of haybale that runs.
    """
    files = list_site_files(project)
    examinations: Mapping[str, Callable[[], Diagnosis]] = {
        "settings": lambda: examine_settings(project, settings, env),
        "git": lambda: examine_git(project),
        "version": lambda: examine_version(project, env, own),
        "dump": lambda: examine_dump(project),
        "Dockerfile": lambda: examine_dockerfile(project),
        "base images": lambda: examine_bases(project),
        "site": lambda: examine_site(files),
        "Solr's configuration": lambda: examine_solr_configuration(project),
        "environments": lambda: examine_services(files, env),
        "engine": lambda: examine_engine(project, env),
        "registry": lambda: examine_registry(project, env),
    }
    with ThreadPoolExecutor(THREADS) as threads:
        yield from threads.map(lambda each: diagnose(*each), examinations.items())


def diagnose(subject: str, examination: Callable[[], Diagnosis]) -> Diagnosis:
    """Return what an examination finds; one that fails is itself a finding."""
    try:
        return examination()
    except HaybaleError as error:
        return Diagnosis(subject=subject, seen="not known", findings=(Finding.from_error(error),))


def examine_solr_configuration(project: Project) -> Diagnosis:
    """Look at the configuration of each core."""
    folders = [project.path(each) for each in project.settings.solr_conf_folders]
    image = None if project.settings.stages.solr else str(project.settings.images.solr)
    there = [folder for folder in folders if folder.is_dir()]
    findings = tuple(each for folder in there for each in check_configuration(folder, image))
    seen = ", ".join(project.settings.solr_conf_folders)
    if not seen:
        seen = describe_made_fields(read_made_fields(project))
    return Diagnosis(subject="Solr's configuration", seen=seen, findings=findings)
