"""What haybale asks of the site's image, as far as its Dockerfile tells; `--deep` looks into the image.

Its containers run `python manage.py` in the working directory, and the site's own command.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.site_image import read_dockerfile
from haybale.config import TABLE
from haybale.doctor.finding import Diagnosis, Finding
from haybale.doctor.site import MANAGE
from haybale.errors import HaybaleError
from haybale.image_ref import RELEASE
from haybale.images.stages import STAGES, find_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haybale.adoption.site_image import ImageStage
    from haybale.config import Project, SiteSettings

# Images that have no shell, or nothing at all.
EMPTY_IMAGES = re.compile(r"scratch|.*\bdistroless/.*|.*/chainguard/.*|cgr\.dev/.*")
# Images of other languages: what people write by mistake is the stage that builds their assets.
OTHER_IMAGES = re.compile(r"(?:.*/)?(node|nginx|golang|ruby|php|openjdk|caddy|httpd|solr|postgres)(:.*)?")

# Where images have been made of a site: commands of other servers are fine, that of a bare Python is none.
BARE_PYTHON = re.compile(r"(?:.*/)?(python|debian|ubuntu|alpine)(:.*)?")


def examine_dockerfile(project: Project) -> Diagnosis:
    """Look for the stages that haybale builds, for what makes them, and at the contract with the release."""
    findings: list[Finding] = []
    for name in STAGES:
        try:
            source = find_stage(project, name)
        except HaybaleError as error:
            findings.append(Finding.from_error(error))
            continue
        if name == RELEASE and source.file is not None:
            label = source.file.relative_to(project.root).as_posix()
            read = read_dockerfile(label, source.text)
            stage = next((each for each in read.stages if each.name == source.target), None) if read else None
            if stage is not None:
                findings += check_release(stage, label, project.settings.site)
    name = project.settings.dockerfile or "haybale's own"
    return Diagnosis(subject="Dockerfile", seen=name, findings=tuple(dict.fromkeys(findings)))


def check_release(stage: ImageStage, file: str, site: SiteSettings) -> Iterator[Finding]:
    """Yield what the stage that is deployed lacks; `file` is the Dockerfile's name."""
    place = f"{file}:{stage.line}"
    if EMPTY_IMAGES.fullmatch(stage.base) or OTHER_IMAGES.fullmatch(stage.base):
        yield Finding(
            level="error",
            what=f"{place}: the release stage is made of {stage.base}, which has no python and no shell"
            if EMPTY_IMAGES.fullmatch(stage.base)
            else f"{place}: the release stage is made of {stage.base}, which has no python",
            why="haybale runs python manage.py and sh in it",
            fix=f'release = "NAME" in [{TABLE}.stages], the stage that has the site',
        )
        return
    yield from _check_folder(stage, place, site)
    is_started = site.command or stage.command or stage.entrypoint or not BARE_PYTHON.fullmatch(stage.base)
    if not is_started:
        yield Finding(
            level="error",
            what=f"{place}: the release stage has no CMD",
            why="its container ends at once: nothing starts the site",
            fix=f'CMD in that stage, or command = ["gunicorn", "..."] in [{TABLE}.site]',
        )
    if stage.port is not None and stage.port != site.port:
        yield Finding(
            level="warning",
            what=f"{place}: the release stage exposes port {stage.port}, and site.port is {site.port}",
            why="haybale asks the site there whether it is up",
            fix=f"port = {stage.port} in [{TABLE}.site]",
        )


def _check_folder(stage: ImageStage, place: str, site: SiteSettings) -> Iterator[Finding]:
    """Yield that manage.py is copied elsewhere than to the working directory, where that can be read."""
    copied = [folder for each in stage.copies if (folder := copied_to(*each, site.folder))]
    workdir = site.workdir or stage.folder
    if not copied or workdir is None or PurePosixPath(workdir) in map(PurePosixPath, copied):
        return
    set_by = "site.workdir" if site.workdir else "WORKDIR"
    yield Finding(
        level="error",
        what=f"{place}: manage.py is copied to {copied[-1]}, and {set_by} is {workdir}",
        why="haybale runs python manage.py in the working directory",
        fix=f'workdir = "{copied[-1]}" in [{TABLE}.site]',
    )


def copied_to(source: str, target: str, site_folder: str) -> str | None:
    """Return the folder in the image that manage.py comes to by a COPY; None where it is not part of it.

    None also where the source is a pattern or has a variable: what that is only a build tells.
    """
    if any(char in source or char in target for char in "*?[$"):
        return None
    folder, copied = PurePosixPath(site_folder), PurePosixPath(source.lstrip("/") or ".")
    if copied == folder / MANAGE:
        is_folder = target.endswith("/") or PurePosixPath(target).name != MANAGE
        return str(PurePosixPath(target) if is_folder else PurePosixPath(target).parent)
    if copied == PurePosixPath() or folder.is_relative_to(copied):
        return str(PurePosixPath(target, folder.relative_to(copied)))
    return None
