"""What runs where: each environment's version, since when, by whom, and whether that still holds."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from haybale.deploy import tags as deploy
from haybale.errors import HaybaleError
from haybale.images.build import timestamp
from haybale.release import releases
from haybale.release.remote import REMOTE, remote_branch
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haybale.config import Project
    from haybale.deploy.tags import Deployment

# Columns of the page.
PAGE = 140

# Digits of a digest or a key that are shown.
SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Place:
    """An environment: what is deployed there, what was before, and what does not hold.

    `since` is a time (RFC 3339), `behind` the number of commits of main that are not there, `after` the
    environment that it comes after and `differs` the commits that are there and not here; both are None where
    that can't be told. Everything is "" where nothing is deployed.
    """

    environment: str
    version: str = ""
    commit: str = ""
    since: str = ""
    by: str = ""
    last: str = ""
    site: str = ""
    index: str = ""
    key: str = ""
    behind: int | None = None
    after: str = ""
    differs: int | None = None
    drift: tuple[str, ...] = ()


def status(project: Project) -> list[Place]:
    """Return every declared environment; raises `ReleaseError` where git's remote does not answer."""
    main = project.settings.main
    head = remote_branch(project.root, REMOTE, main) or ""
    git.fetch(project.root, REMOTE, f"refs/heads/{main}")
    places = []
    for name, environment in project.settings.environments.items():
        refs = deploy.look(project, name)
        now, last = (deploy.read(project, refs, ref(name)) for ref in (deploy.deploy_ref, deploy.last_ref))
        if now is None:
            places.append(Place(environment=name, after=environment.after or ""))
            continue
        places.append(replace(_place(project, name, now, last), after=environment.after or ""))
    commits = {place.environment: place.commit for place in places}
    return [
        replace(
            place,
            behind=_between(project, place.commit, head),
            differs=_between(project, place.commit, commits.get(place.after, "")),
        )
        for place in places
    ]


def _place(project: Project, name: str, now: Deployment, last: Deployment | None) -> Place:
    shown = Place(
        environment=name,
        version=now.version,
        commit=now.commit,
        since=timestamp(now.since) if now.since else "",
        by=now.by,
        last=last.version if last else "",
    )
    if not now.version:
        return _drifted(shown, f"{name}/deploy is none of haybale's tags: somebody moved it by hand")
    try:
        release = releases.find(project, now.version)
        record = release.record
        found = replace(shown, commit=record.commit, site=record.site, index=record.index, key=record.key)
        drift = []
        if record.digest != now.record:
            drift.append(f"the record of {now.version} is another one than when it was deployed")
        if deploy.target(project, record, name) != now.commit:
            drift.append(f"{name}/deploy points to {now.commit[:SHORT]}, which is not {now.version}")
        parts = releases.parts_of(project, now.version, release)
        drift += [f"{part.name}: {part.said}" for part in parts if not part.holds]
        return _drifted(found, *drift)
    except HaybaleError as error:
        return _drifted(shown, error.message)


def _drifted(place: Place, *drift: str) -> Place:
    return replace(place, drift=drift)


def _between(project: Project, here: str, there: str) -> int | None:
    if not (
        here and there and git.resolve_commit(project.root, here) and git.resolve_commit(project.root, there)
    ):
        return None
    if git.is_shallow(project.root):
        return None
    return git.count_commits(project.root, here, there)


def as_json(places: Sequence[Place]) -> dict[str, Any]:
    """Return the document for programs: {environments: [the fields of `Place`]}."""
    return {"environments": [{**asdict(place), "drift": list(place.drift)} for place in places]}


def table(places: Sequence[Place]) -> Table:
    """Return the environments for people."""
    shown = Table(title="environments", title_justify="left")
    for heading in ("environment", "version", "since", "by", "before", "behind main", "index key"):
        shown.add_column(heading, justify="right" if heading.startswith("behind") else "left")
    for place in places:
        style = "yellow" if place.drift else ""
        behind = "" if place.behind is None else str(place.behind)
        cells = (
            place.environment, place.version or "nothing", place.since, place.by, place.last, behind,
            place.key[:SHORT],
        )  # fmt: skip
        shown.add_row(*(Text(cell, style=style) for cell in cells))
    return shown


def html(places: Sequence[Place]) -> str:
    """Return the same as a page of its own."""
    page = Console(record=True, file=io.StringIO(), width=PAGE)
    page.print(table(places))
    for line in drift(places):
        page.print(f"! {line}", markup=False, highlight=False)
    return page.export_html()


def drift(places: Sequence[Place]) -> list[str]:
    """Return what does not hold, a line each."""
    return [f"{place.environment}: {each}" for place in places for each in place.drift]
