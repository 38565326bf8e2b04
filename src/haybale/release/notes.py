"""Release notes: what came between two versions, and what that did to the index.

The commits are git's; what became of the index is read from the two release records, so that "the schema
changed" is said where it did, and not where some commit says so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import ReleaseError, UsageError
from haybale.index.key import compute_key
from haybale.release.record import find_record
from haybale.tools import git
from haybale.version import TAG_PATTERNS, Version, find_version_file, is_version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from haybale.config import Project
    from haybale.release.record import ReleaseRecord
    from haybale.tools.git import CommitSummary

# What a component of the index key is to people (docs/index-key.md), in the order of reports.
MEANING: Mapping[str, str] = {
    "dump": "the reference data",
    "fixtures": "the fixtures",
    "solr-conf": "the schema (Solr's configuration)",
    "index-code": "the search indexes or models",
    "templates": "the templates of documents",
    "settings": "the site's settings",
    "lock": "the site's requirements",
    "bases": "the base images",
    "dockerfile": "the Dockerfile",
    "environment": "the files of the environment that indexes",
    "variables": "the site's variables",
    "services": "haybale's own services",
    "loader": "haybale's loader",
    "extra": "further inputs of the index",
    "core": "the core's name",
    "format": "the rules of the index key",
}

# What is not released yet.
UNRELEASED = "HEAD"


@dataclass(frozen=True, kw_only=True)
class IndexChange:
    """What became of the index: whether it was made again, why, and which models have other numbers.

    `rebuilt` is None where that is not known: a version has no record. `counts` maps a model to its documents
    before and after.
    """

    rebuilt: bool | None
    changed: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class ReleaseNotes:
    """What came after `before` (None: the beginning) with `version`, the newest commit first.

    `day` is that of the version's commit (ISO 8601).
    """

    before: str | None
    version: str
    day: str | None
    index: IndexChange
    commits: tuple[CommitSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return {before, version, day, index: {rebuilt, changed, counts}, commits}."""
        return asdict(self)


def collect_notes(project: Project, before: str | None, version: str | None) -> ReleaseNotes:
    """Return the notes of a version against an older one.

    `version` None is what is checked out: its version where it is one, else what is not released yet.
    `before` None is the newest version before that. Raises `UsageError` where this clone has no such version,
    and `ReleaseError` where a tag's record cannot be read.
    """
    root = project.root
    tags = {name: commit for name, commit in git.local_tags(root, *TAG_PATTERNS).items() if is_version(name)}
    head = git.resolve_commit(root, "HEAD")
    if not head:
        raise ReleaseError(f"nothing is committed in {root}", hint="commit, and try again")
    version = version or next((name for name, commit in tags.items() if commit == head), UNRELEASED)
    commit = head if version == UNRELEASED else _find_commit(tags, version)
    before = before or _previous_version(root, tags, version, commit)
    after = _find_commit(tags, before) if before else ""
    old, new = (_read_record(root, name) if name in tags else None for name in (before, version))
    components = new.components if new else None
    if version == UNRELEASED and old:
        components = {name: each.digest for name, each in compute_key(project).components.items()}
    commits = git.list_commits(root, after, commit)
    # With a version file, a version's commit is the tool's; without one it is somebody's change.
    made = set(tags.values()) if find_version_file(root) else set()
    return ReleaseNotes(
        before=before,
        version=version,
        day=git.commit_date(root, commit),
        index=compare_index(old, components, new.counts if new else None),
        commits=tuple(each for each in commits if each.hash not in made),
    )


def compare_index(
    old: ReleaseRecord | None, components: Mapping[str, str] | None, counts: Mapping[str, int] | None
) -> IndexChange:
    """Return what became of the index between a record and what it is made of now; None: not known."""
    if old is None or components is None:
        return IndexChange(rebuilt=None, counts={})
    names = old.components.keys() | components
    changed = {name for name in names if old.components.get(name) != components.get(name)}
    known = [name for name in MEANING if name in changed]
    models = sorted(old.counts.keys() | counts) if counts is not None else []
    numbers = {name: (old.counts.get(name, 0), (counts or {}).get(name, 0)) for name in models}
    return IndexChange(
        rebuilt=bool(changed),
        changed=(*known, *sorted(changed - MEANING.keys())),
        counts={name: (before, after) for name, (before, after) in numbers.items() if before != after},
    )


def _find_commit(tags: Mapping[str, str], version: str) -> str:
    if version not in tags:
        newest = sorted(tags, key=Version.parse, reverse=True)[:5]
        raise UsageError(
            f"there is no version {version!r} here",
            cause=f"the newest are: {', '.join(newest) or 'none'}",
            hint="git fetch --tags, and name one of them",
        )
    return tags[version]


def _previous_version(root: Path, tags: Mapping[str, str], version: str, commit: str) -> str | None:
    """Return the newest version before one, of those that its history has."""
    older = [name for name in tags if version == UNRELEASED or Version.parse(name) < Version.parse(version)]
    found = (name for name in sorted(older, key=Version.parse, reverse=True) if tags[name] != commit)
    return next((name for name in found if git.is_ancestor(root, tags[name], commit)), None)


def _read_record(root: Path, version: str) -> ReleaseRecord | None:
    return find_record(git.tag_message(root, f"refs/tags/{version}").splitlines())
