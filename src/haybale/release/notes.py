"""Release notes: what came between two versions, and what that did to the index.

The commits are git's; what became of the index is told by the two release records, so that "the schema
changed" is said where it did, and not where some commit says so.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from haybale.errors import ReleaseError, UsageError
from haybale.index.key import compute_key
from haybale.release import record as records
from haybale.tools import git
from haybale.version import Version, is_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project
    from haybale.release.record import Record
    from haybale.tools.git import CommitSummary

# What a component of the index key is to people (docs/index-key.md), in the order in which it is told.
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
    "environment": "the environment that indexes",
    "loader": "haybale's loader",
    "extra": "further inputs of the index",
    "core": "the core's name",
    "format": "the rules of the index key",
}

# What is not released yet.
UNRELEASED = "HEAD"

SHORT = 9


@dataclass(frozen=True, kw_only=True)
class Index:
    """What became of the index: whether it was made again, why, and which models have other numbers.

    `rebuilt` is None where that is not known: a version has no record. `counts` maps a model to its documents
    before and after.
    """

    rebuilt: bool | None
    changed: tuple[str, ...] = ()
    counts: Mapping[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Notes:
    """What came after `before` ("" for the beginning) with `version`, the newest commit first."""

    before: str
    version: str
    day: str
    index: Index
    commits: tuple[CommitSummary, ...]


def write(project: Project, before: str, version: str) -> Notes:
    """Return the notes of a version against an older one.

    `version` is "" for what is checked out: its version where it is one, else what is not released yet.
    `before` is "" for the newest version before that. Raises `UsageError` where there is no such version
    here, and `ReleaseError` where a tag's record can't be read.
    """
    root = project.root
    tags = {name: commit for name, commit in git.local_version_tags(root).items() if is_version(name)}
    head = git.resolve_commit(root, "HEAD")
    if not head:
        raise ReleaseError(f"nothing is committed in {root}", hint="commit, and try again")
    version = version or next((name for name, commit in tags.items() if commit == head), UNRELEASED)
    commit = head if version == UNRELEASED else _commit(tags, version)
    before = before or _previous(root, tags, version, commit)
    after = _commit(tags, before) if before else ""
    old, new = (_record(root, name) if name in tags else None for name in (before, version))
    components = new.components if new else None
    if version == UNRELEASED and old:
        components = {name: each.digest for name, each in compute_key(project).components.items()}
    made = set(tags.values())
    return Notes(
        before=before,
        version=version,
        day=git.commit_date(root, commit) or "",
        index=index(old, components, new.counts if new else None),
        commits=tuple(each for each in git.list_commits(root, after, commit) if each.hash not in made),
    )


def index(
    old: Record | None, components: Mapping[str, str] | None, counts: Mapping[str, int] | None
) -> Index:
    """Return what became of the index between a record and what it is made of now; None: not known."""
    if old is None or components is None:
        return Index(rebuilt=None, counts={})
    changed = {
        name
        for name in old.components.keys() | components
        if old.components.get(name) != components.get(name)
    }
    known = [name for name in MEANING if name in changed]
    models = sorted(old.counts.keys() | counts) if counts is not None else []
    numbers = {name: (old.counts.get(name, 0), (counts or {}).get(name, 0)) for name in models}
    return Index(
        rebuilt=bool(changed),
        changed=(*known, *sorted(changed - MEANING.keys())),
        counts={name: each for name, each in numbers.items() if each[0] != each[1]},
    )


def _commit(tags: Mapping[str, str], version: str) -> str:
    if version not in tags:
        newest = sorted(tags, key=Version.parse, reverse=True)[:5]
        raise UsageError(
            f"there is no version {version!r} here",
            cause=f"the newest are: {', '.join(newest) or 'none'}",
            hint="git fetch --tags, and name one of them",
        )
    return tags[version]


def _previous(root: Path, tags: Mapping[str, str], version: str, commit: str) -> str:
    """Return the newest version before one, of those that its history has; "" where there is none."""
    older = [name for name in tags if version == UNRELEASED or Version.parse(name) < Version.parse(version)]
    found = (name for name in sorted(older, key=Version.parse, reverse=True) if tags[name] != commit)
    return next((name for name in found if git.is_ancestor(root, tags[name], commit)), "")


def _record(root: Path, version: str) -> Record | None:
    return records.of_message(git.tag_message(root, f"refs/tags/{version}").splitlines())


def markdown(notes: Notes) -> str:
    """Return the notes for people, in Markdown."""
    title = "Not released yet" if notes.version == UNRELEASED else notes.version
    since = f"since {notes.before}" if notes.before else "since the beginning"
    number = len(notes.commits)
    lines = [
        f"# {title} ({notes.day})", "", f"{number} {'change' if number == 1 else 'changes'} {since}.", "",
        "## Index", "", *_index_lines(notes.index), "", "## Changes", "",
        *(f"- {_plain(each.subject)} ({each.hash[:SHORT]}, {_plain(each.author)})" for each in notes.commits),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _index_lines(found: Index) -> Sequence[str]:
    if found.rebuilt is None:
        return ["Not known: one of the two has no release record."]
    if not found.rebuilt:
        return ["Unchanged: the same index as before."]
    lines = [f"- **{MEANING.get(name, name)} changed: index rebuilt**" for name in found.changed]
    for model, (before, after) in found.counts.items():
        lines.append(f"- {model}: {before:,} documents before, {after:,} now")
    return lines


def _plain(text: str) -> str:
    """Return a text that Markdown shows as it is."""
    return "".join(f"\\{each}" if each in "\\`*_[]<>" else each for each in text)


def as_json(notes: Notes) -> str:
    """Return the notes as JSON: {before, version, day, index: {rebuilt, changed, counts}, commits}."""
    return json.dumps(asdict(notes), indent=2)
