"""Whether a release still is what its record says.

The two copies of a record, in git and in the registry, are compared; neither is believed alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, HaybaleError, ReleaseError
from haybale.image_ref import ImageRef, stage_image
from haybale.images.build import BASE_DIGEST, REVISION
from haybale.images.store import open_store
from haybale.index.image import read_counts
from haybale.index.key import KEY_LABEL, Key
from haybale.release.record import find_release, read_kept_record
from haybale.release.remote import REMOTE, fetch_refs, remote_refs
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from haybale.config import Project
    from haybale.release.record import Release, ReleaseRecord


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked: whether it is as it has to be, and what was found."""

    name: str
    passed: bool
    detail: str


def verify_release(project: Project, version: str) -> list[Check]:
    """Find a published version and check every part of it; raises as both do."""
    return check_release(project, version, find_release(project.root, version))


def check_release(project: Project, version: str, release: Release) -> list[Check]:
    """Check every part of a release, in git and in the registry.

    Raises `ReleaseError` where git's remote does not answer or this clone is too shallow, and `RegistryError`
    where the registry does not answer: nothing is known then.
    """
    record, commit = release.record, release.commit
    checks = [
        Check(
            name="version",
            passed=record.version == version,
            detail=f"the tag's record is of {record.version}",
        ),
        Check(name="commit", passed=record.commit == commit, detail=f"the tag points to {commit}"),
        _check_main(project, record),
    ]
    if open_store(project).is_shared:
        kept = read_kept_record(project, version)
        found = "the same" if kept == record else "another" if kept else "none"
        checks.append(Check(name="record", passed=kept == record, detail=f"the registry has {found}"))
    return [*checks, *_check_images(project, record)]


def raise_if_invalid(version: str, checks: Iterable[Check]) -> None:
    """Raise `ReleaseError` where a check of a release failed."""
    failures = failure_lines(checks)
    if failures:
        raise ReleaseError(
            f"{version} is not what its record says: {'; '.join(failures)}",
            cause="that is what git and the registry have now",
            hint="put back what is named, or release another version; every part of this one: "
            f"`haybale verify-release {version}`",
        )


def find_image_problem(project: Project, record: ReleaseRecord) -> str | None:
    """Return why a record's images cannot be deployed, None where both exist, as recorded."""
    try:
        return "; ".join(failure_lines(_check_images(project, record))) or None
    except HaybaleError as error:
        return error.message


def failure_lines(checks: Iterable[Check]) -> list[str]:
    """Return what failed, a line each."""
    return [f"{check.name}: {check.detail}" for check in checks if not check.passed]


def _check_main(project: Project, record: ReleaseRecord) -> Check:
    root, main = project.root, project.settings.main
    branch = f"refs/heads/{main}"
    head = remote_refs(root, REMOTE, branch).get(branch)
    if head:
        fetch_refs(root, REMOTE, branch)
    is_on_main = head is not None and git.is_ancestor(root, record.commit, head)
    if head and not is_on_main and git.is_shallow(root):
        raise ReleaseError(
            f"it is not known whether {record.version} is on {main}: this clone does not go back far enough",
            cause="it is shallow",
            hint="git fetch --unshallow, and try again",
        )
    return Check(
        name=main, passed=is_on_main, detail=f"{record.commit[:12]} is {'' if is_on_main else 'not '}on it"
    )


def _check_images(project: Project, record: ReleaseRecord) -> Sequence[Check]:
    images, repository = open_store(project), ImageRef.parse(project.settings.registry)
    checks = []
    for name, image, stage, check_label in (
        ("site", record.site, "release", _check_revision),
        ("index", record.index, "solr", _check_index),
    ):
        tagged = stage_image(repository, record.version, stage)
        labels = images.labels(image)
        digest = images.digest(tagged)
        if labels is None:
            checks.append(Check(name=f"{name} image", passed=False, detail=f"there is no {image}"))
            continue
        found, base = f"{tagged} is {digest or 'absent'}", labels.get(BASE_DIGEST, "")
        is_same_base = base == record.bases.get(name, "")
        checks += [
            Check(name=f"{name} image", passed=digest == image.digest, detail=found),
            check_label(record, labels),
            Check(name=f"{name} base", passed=is_same_base, detail=f"its label says {base or 'none'}"),
        ]
    return checks


def _check_revision(record: ReleaseRecord, labels: Mapping[str, str]) -> Check:
    revision = labels.get(REVISION, "none")
    return Check(name="its commit", passed=revision == record.commit, detail=f"its label says {revision}")


def _check_index(record: ReleaseRecord, labels: Mapping[str, str]) -> Check:
    try:
        key = Key.from_json(labels.get(KEY_LABEL, ""))
    except ConfigError as error:
        return Check(name="its index", passed=False, detail=error.message)
    counts = dict(read_counts(labels))
    dump = key.components["dump"].value if "dump" in key.components else ""
    is_same = {
        "key": key.value == record.key,
        "components": {each.name: each.digest for each in key.components.values()} == record.components,
        "dump": dump == record.dump,
        "counts": counts == record.counts,
    }
    different = [name for name, same in is_same.items() if not same]
    detail = f"key {key.value}, {sum(counts.values()):,} documents"
    if different:
        detail += f"; not the record's: {', '.join(different)}"
    return Check(name="its index", passed=not different, detail=detail)
