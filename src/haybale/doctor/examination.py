"""The examinations of `doctor`: each looks at one thing, changes nothing, and is done at once."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.checkout import read_version
from haybale.config import TABLE, SettingValue
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.solr_configuration import check_configuration
from haybale.dump.archive import open_content
from haybale.dump.content import Stream
from haybale.dump.fetching import find_dump
from haybale.dump.recognition import recognise
from haybale.errors import HaybaleError, PrerequisiteError
from haybale.image_ref import ImageRef
from haybale.images.stages import STAGES, find_stage
from haybale.index.inputs import match_globs
from haybale.tools import git
from haybale.tools.engine import install, sdk
from haybale.tools.registry.credentials import find_login
from haybale.version import find_version_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from haybale.config import Project

# The stages that haybale builds.
# The settings that are lists of files.
LISTS = ("fixtures", "site.environment_files")

# Bytes that images, the index and the build cache of a small site take.
LEAST_SPACE = 10 * 1000**3
LEAST_MEMORY = 2 * 1000**3

# Seconds that two clocks may differ.
CLOCK_DIFFERENCE = 60


def examine(
    project: Project, settings: Sequence[SettingValue], env: Mapping[str, str]
) -> Iterator[Diagnosis]:
    """Yield a diagnosis of each thing that a run needs; `settings` are the project's, with their places."""
    examinations: tuple[Callable[[], Diagnosis], ...] = (
        lambda: examine_settings(project, settings),
        lambda: examine_git(project),
        lambda: examine_version(project, env),
        lambda: examine_dump(project),
        lambda: examine_dockerfile(project),
        lambda: examine_solr_configuration(project),
        lambda: examine_engine(env),
        lambda: examine_registry(project, env),
    )
    for each in examinations:
        yield each()


def examine_settings(project: Project, settings: Sequence[SettingValue]) -> Diagnosis:
    """Look for files, folders and globs that settings name and that are not there."""
    findings = []
    wanted = {
        "site.folder": Path.is_dir, "solr_conf": Path.is_dir, "dockerfile": Path.is_file,
        "compose.solr": Path.is_file, "compose.ci": Path.is_file,
    }  # fmt: skip
    for each in settings:
        place = each.source or f"the default of `{each.name}`"
        is_one = each.name in wanted and each.value is not None
        names = [each.value] if is_one else each.value if each.name in LISTS else []
        is_there = wanted.get(each.name, Path.is_file)
        findings += [
            Finding(
                level="error",
                what=f"{place}: {each.name} names {name}, which is not there",
                why=each.description,
                fix=f'{each.name} = "..." in [{TABLE}], or put it there',
            )
            for name in names
            if not is_there(project.path(name))
        ]
        if each.name == "index.inputs":
            try:
                match_globs(project.root, each.value)
            except HaybaleError as error:
                found = Finding.from_error(error)
                findings.append(replace(found, what=f"{place}: {found.what}"))
    given = sum(each.source is not None for each in settings)
    return Diagnosis(subject="settings", seen=f"{given} given in {project.root}", findings=tuple(findings))


def examine_git(project: Project) -> Diagnosis:
    """Look at the repository, its remote, and what would get lost in the folder of reports."""
    head = git.read_head(project.root)
    if head is None:
        why = "images have no revision, and no version can be made or published"
        finding = Finding(
            level="warning", what=f"{project.root} is no git repository", why=why, fix="git init"
        )
        return Diagnosis(subject="git", seen="no repository", findings=(finding,))
    findings = []
    url = git.remote_url(project.root)
    if url is None:
        findings.append(
            Finding(
                level="warning",
                what="there is no remote `origin`",
                why="versions and deployments are published there",
                fix="git remote add origin URL",
            )
        )
    if not git.has_identity(project.root):
        findings.append(
            Finding(
                level="warning",
                what="git does not know who you are",
                why="a version is a commit and a tag, which have an author",
                fix="git config user.name NAME; git config user.email ADDRESS",
            )
        )
    if git.has_tracked_files(project.home, project.reports.name):
        findings.append(
            Finding(
                level="error",
                what=f"{project.reports}/ has files that are in git",
                why="haybale empties that folder before each run of the tests",
                fix=f"git mv {project.reports.name} OTHER_NAME",
            )
        )
    seen = f"{head.revision[:12]}, origin {'is ' + git.scrub_credentials(url) if url else 'is not set'}"
    return Diagnosis(subject="git", seen=seen, findings=tuple(findings))


def examine_version(project: Project, env: Mapping[str, str]) -> Diagnosis:
    """Read the version."""
    try:
        version = read_version(project.root, env)
    except HaybaleError as error:
        return Diagnosis(subject="version", seen="not known", findings=(Finding.from_error(error),))
    file = find_version_file(project.root)
    if file is None:
        return Diagnosis(subject="version", seen=f"{version}, by git's tags")
    findings = tuple(
        Finding(
            level="warning",
            what=f"{file.path}:{each.line}: there is no {each.path}",
            why=f"{file.tool} writes the new version into it, so no version can be made",
            fix="correct the path, or remove what names it",
        )
        for each in file.missing_files()
    )
    return Diagnosis(subject="version", seen=f"{version}, in {file.path.name}", findings=findings)


def examine_dump(project: Project) -> Diagnosis:
    """Look at the beginning of the dump: what it is, not whether all of it is sound."""
    try:
        dump = find_dump(project)
        with open_content(dump.target) as content:
            format_ = recognise(content).format if isinstance(content, Stream) else "several files"
    except HaybaleError as error:
        return Diagnosis(subject="dump", seen="none", findings=(Finding.from_error(error),))
    except OSError as error:
        what, fix = f"{project.settings.dump} cannot be read: {error}", "make it readable"
        finding = Finding(level="error", what=what, why="the index is made of it", fix=fix)
        return Diagnosis(subject="dump", seen="none", findings=(finding,))
    size = 0 if dump.target.is_dir() else dump.target.stat().st_size
    seen = f"{dump.link.name} leads to {dump.target.name} ({format_}, {size / 1e6:.1f} MB)"
    return Diagnosis(subject="dump", seen=seen)


def examine_dockerfile(project: Project) -> Diagnosis:
    """Look for the stages that haybale builds, and for what makes them."""
    findings = []
    for stage in STAGES:
        try:
            find_stage(project, stage)
        except HaybaleError as error:
            findings.append(Finding.from_error(error))
    name = project.settings.dockerfile or "haybale's own"
    return Diagnosis(subject="Dockerfile", seen=name, findings=tuple(dict.fromkeys(findings)))


def examine_solr_configuration(project: Project) -> Diagnosis:
    """Look at the configuration of each core."""
    folders = [project.path(each) for each in project.settings.solr_conf_folders]
    findings = tuple(each for folder in folders if folder.is_dir() for each in check_configuration(folder))
    seen = ", ".join(project.settings.solr_conf_folders) or "haybale makes it of the site's search indexes"
    return Diagnosis(subject="Solr's configuration", seen=seen, findings=findings)


def examine_engine(env: Mapping[str, str]) -> Diagnosis:
    """Ask the container engine: its tools, its memory, its space, its clock."""
    machine = install.inspect_machine(env)
    if machine.missing:
        try:
            install.plan_installation(machine)
            why, fix = "", "`haybale engine` installs and starts it"
        except PrerequisiteError as error:
            why, fix = error.cause or error.message, error.hint
        finding = Finding(level="error", what=f"missing: {machine.missing}", why=why, fix=fix)
        return Diagnosis(subject="engine", seen="not complete", findings=(finding,))
    engine = sdk.engine_info()
    findings = []
    if engine.memory < LEAST_MEMORY:
        what = f"the engine has {engine.memory / 1e9:.1f} GB of memory"
        why, fix = "Solr, the site and the build need more", "give it more (Docker Desktop: Resources)"
        findings.append(Finding(level="warning", what=what, why=why, fix=fix))
    # Where the engine is another machine's, its folder is not here.
    if engine.folder.is_dir() and (free := shutil.disk_usage(engine.folder).free) < LEAST_SPACE:
        what = f"there are {free / 1e9:.1f} GB left in {engine.folder}"
        why, fix = "images and the build cache go there", "docker system df shows what takes the space"
        findings.append(Finding(level="warning", what=what, why=why, fix=fix))
    if abs(engine.clock - time.time()) > CLOCK_DIFFERENCE:
        what = f"the engine's clock differs by {abs(engine.clock - time.time()):.0f} s from this machine's"
        why, fix = "certificates and builds depend on it", "set the clocks; Docker Desktop: restart it"
        findings.append(Finding(level="warning", what=what, why=why, fix=fix))
    return Diagnosis(subject="engine", seen=install.engine_versions(), findings=tuple(findings))


def examine_registry(project: Project, env: Mapping[str, str]) -> Diagnosis:
    """Look for a login for the registry, where there is one; it is not asked."""
    if project.settings.local:
        return Diagnosis(subject="registry", seen="none: images stay on the engine")
    host = ImageRef.parse(project.settings.registry).domain
    try:
        login = find_login(host, env)
    except HaybaleError as error:
        return Diagnosis(subject="registry", seen=host, findings=(Finding.from_error(error),))
    if login is None:
        finding = Finding(
            level="warning",
            what=f"there is no login for {host}",
            why="it may let nobody push without one",
            fix=f"docker login {host}",
        )
        return Diagnosis(subject="registry", seen=f"{host}, no login", findings=(finding,))
    return Diagnosis(subject="registry", seen=f"{host}, with a login")
