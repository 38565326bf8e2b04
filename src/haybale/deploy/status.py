"""What runs where: each environment's version, since when, by whom, and whether its release still holds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from haybale.deploy.tags import (
    deploy_ref,
    deployment_commit,
    is_from_before_haybale,
    last_ref,
    read_deployment,
)
from haybale.errors import HaybaleError
from haybale.images.build import format_timestamp
from haybale.release.record import find_release, read_records
from haybale.release.remote import REMOTE, remote_refs
from haybale.release.verification import check_release, failure_lines
from haybale.tools import git

if TYPE_CHECKING:
    from haybale.config import Project
    from haybale.deploy.tags import Deployment
    from haybale.release.remote import Refs


@dataclass(frozen=True, kw_only=True)
class EnvironmentStatus:
    """An environment: what is deployed there, what was before, and what does not hold (`drift`).

    `since` is a time (RFC 3339), `behind` the number of commits of main that are not there, `after` the
    environment that it comes after and `differs` the number of commits that are there and not here. What
    is not known, or where nothing is deployed, is None. `is_before_haybale`: the environment follows a tag
    that is older than haybale there.
    """

    environment: str
    version: str | None = None
    commit: str | None = None
    since: str | None = None
    by: str | None = None
    last: str | None = None
    site: str | None = None
    index: str | None = None
    key: str | None = None
    behind: int | None = None
    after: str | None = None
    differs: int | None = None
    drift: tuple[str, ...] = ()
    is_before_haybale: bool = False

    @property
    def label(self) -> str:
        """What is there, in a word or two."""
        if self.is_before_haybale:
            return f"before haybale ({(self.commit or '')[:12]})"
        return self.version or "nothing"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for programs."""
        return {**asdict(self), "drift": list(self.drift)}


def read_status(project: Project) -> list[EnvironmentStatus]:
    """Return every declared environment; raises `ReleaseError` where git's remote does not answer."""
    root, main, names = project.root, f"refs/heads/{project.settings.main}", project.settings.environments
    tags = [ref(name) for name in names for ref in (deploy_ref, last_ref)]
    refs = remote_refs(root, REMOTE, main, *tags)
    git.fetch(root, REMOTE, main)
    head, is_shallow = refs.get(main), git.is_shallow(root)
    found = [_read_environment(project, name, refs) for name in names]
    commits = {each.environment: each.commit for each in found}

    def count_between(old: str | None, new: str | None) -> int | None:
        if not (old and new) or is_shallow:
            return None
        is_known = git.resolve_commit(root, old) and git.resolve_commit(root, new)
        return git.count_commits(root, old, new) if is_known else None

    return [
        replace(
            each,
            behind=count_between(each.commit, head),
            differs=count_between(each.commit, commits.get(each.after or "")),
        )
        for each in found
    ]


def _read_environment(project: Project, name: str, refs: Refs) -> EnvironmentStatus:
    after = project.settings.environments[name].after or None
    now = read_deployment(project, refs, deploy_ref(name))
    if now is None:
        return EnvironmentStatus(environment=name, after=after)
    last = read_deployment(project, refs, last_ref(name))
    status = EnvironmentStatus(
        environment=name,
        version=now.version,
        commit=now.commit,
        since=format_timestamp(now.since) if now.since else None,
        by=now.by,
        last=last.version if last else None,
        after=after,
    )
    if is_from_before_haybale(project, now, last, read_records(project.root)):
        return replace(status, is_before_haybale=True)
    if not now.version:
        return replace(status, drift=(f"{name}/deploy is none of haybale's tags: somebody moved it by hand",))
    try:
        return _add_release(project, status, now, now.version)
    except HaybaleError as error:
        return replace(status, drift=(error.message,))


def _add_release(
    project: Project, status: EnvironmentStatus, deployment: Deployment, version: str
) -> EnvironmentStatus:
    """Return a status with its release's record, and with what does not hold."""
    name, release = status.environment, find_release(project.root, version)
    record, drift = release.record, []
    if release.digest != deployment.record:
        drift.append(f"the record of {version} is another one than when it was deployed")
    if deployment_commit(project, record, name) != deployment.commit:
        drift.append(f"{name}/deploy points to {deployment.commit[:12]}, which is not {version}")
    drift += failure_lines(check_release(project, version, release))
    return replace(
        status,
        commit=record.commit,
        site=str(record.site),
        index=str(record.index),
        key=record.key,
        drift=tuple(drift),
    )
