"""Why an index is made again: what differs between its key and another one, and who changed it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from haybale import config
from haybale.checkout import UNKNOWN_REVISION
from haybale.dump.fetching import find_dump
from haybale.errors import ConfigError, PrerequisiteError
from haybale.files import write_atomically
from haybale.image_ref import ImageRef
from haybale.images.build import REVISION
from haybale.index.blame import Blame, History
from haybale.index.contents import find_index_image
from haybale.index.key import KEY_LABEL, Component, Key, compute_key
from haybale.tools import git
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project

# The version of the document that `--json` prints (docs/why.md).
FORMAT_VERSION = 1

# The file that notes the last key that was indexed here, in haybale's folder.
NOTE = "indexed.json"

# The components whose values the settings file has.
SETTINGS_COMPONENTS = ("bases", "core")

FileChangeKind = Literal["added", "removed", "changed", "renamed"]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a key is compared with: another key, its source for people, and the commit that it is of.

    `commit` and its date (ISO 8601) are None where not known; `is_dirty` says that files differed from it.
    """

    key: Key
    source: str
    commit: str | None = None
    is_dirty: bool = False
    date: str | None = None


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file that differs, and who changed it. `was` is the path that a renamed file had before."""

    path: str
    kind: FileChangeKind
    was: str | None = None
    blame: Blame = field(default_factory=Blame)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        blame = {"blame": self.blame.kind, "commit": self.blame.commit and asdict(self.blame.commit)}
        return {"path": self.path, "kind": self.kind, "was": self.was or "", **blame}


@dataclass(frozen=True, kw_only=True)
class ComponentChange:
    """A component that differs: its files that do, or its values before and after."""

    component: str
    files: tuple[FileChange, ...] = ()
    before: str | None = None
    after: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        values = {"before": self.before or "", "after": self.after or ""}
        return {"component": self.component, "files": [each.to_dict() for each in self.files], **values}


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A key, its baseline (None where nothing was indexed here yet), and what changed since that."""

    key: Key
    baseline: Baseline | None
    changes: tuple[ComponentChange, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (docs/why.md)."""
        baseline = self.baseline
        return {
            "version": FORMAT_VERSION,
            "key": self.key.value,
            "other": baseline and baseline.key.value,
            "other_source": baseline and baseline.source,
            "other_revision": baseline and (baseline.commit or ""),
            "other_dirty": baseline and baseline.is_dirty,
            "same": baseline is not None and not self.changes,
            "components": self.key.to_dict()["components"],
            "changes": [each.to_dict() for each in self.changes],
        }


def explain(project: Project, name: str | None = None) -> Explanation:
    """Return what changed in the index key since a baseline.

    That is a key or an index image by its `name`, else the last index. Raises `UsageError` where there is no
    such key or image.
    """
    key = compute_key(project)
    if name:
        image, labels = find_index_image(project, name)
        baseline: Baseline | None = _labelled_baseline(labels, str(image))
    else:
        baseline = noted_baseline(project) or _newest_baseline(project)
    if baseline is None:
        return Explanation(key=key, baseline=None)
    changes = compare_keys(baseline.key, key)
    if git.read_head(project.root) is not None:
        baseline = replace(baseline, date=git.commit_date(project.root, baseline.commit or ""))
        history = History.read(project.root, baseline.commit)
        changes = tuple(replace(each, files=_blame_files(project, history, each)) for each in changes)
    return Explanation(key=key, baseline=baseline, changes=changes)


def remember_key(project: Project, key: Key, revision: str) -> None:
    """Note the key that was indexed here last, and the revision that it is of."""
    write_atomically(project.scratch / NOTE, json.dumps({"key": key.to_json(), "revision": revision}))


def noted_baseline(project: Project) -> Baseline | None:
    """Return what `remember_key` noted, None where there is no note, or a damaged one."""
    try:
        note = json.loads((project.scratch / NOTE).read_text(encoding="utf-8"))
        return _baseline(note["key"], "the last index made here", str(note["revision"]))
    except (OSError, ValueError, LookupError, TypeError, ConfigError):
        return None


def _newest_baseline(project: Project) -> Baseline | None:
    """Return the key of the newest index image on this engine, None where there is none, or no engine."""
    try:
        image = sdk.find_newest_image(ImageRef.parse(project.settings.registry), KEY_LABEL)
        return _labelled_baseline(image.labels, "the newest index image on this engine") if image else None
    except (PrerequisiteError, ConfigError):
        return None


def _labelled_baseline(labels: Mapping[str, str], source: str) -> Baseline:
    return _baseline(labels[KEY_LABEL], source, labels.get(REVISION, UNKNOWN_REVISION))


def _baseline(key: str, source: str, revision: str) -> Baseline:
    name = revision.removesuffix("-dirty")
    commit = None if name == UNKNOWN_REVISION else name
    return Baseline(key=Key.from_json(key), source=source, commit=commit, is_dirty=name != revision)


def compare_keys(old: Key, new: Key) -> tuple[ComponentChange, ...]:
    """Return the components of two keys that differ, and what differs in them."""
    changes = []
    for name in sorted({*old.components, *new.components}):
        missing = Component(name=name, digest="")
        was, now = old.components.get(name, missing), new.components.get(name, missing)
        if was.digest != now.digest:
            files = _compare_files(was.files, now.files)
            changes.append(ComponentChange(component=name, files=files, before=was.value, after=now.value))
    return tuple(changes)


def _compare_files(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FileChange, ...]:
    added = {path: digest for path, digest in after.items() if path not in before}
    removed = {path: digest for path, digest in before.items() if path not in after}
    # A file was renamed where its content went from one path and came to one path, and no more.
    went, came = Counter(removed.values()), Counter(added.values())
    renamed = {digest: path for path, digest in removed.items() if went[digest] == came[digest] == 1}
    both = before.keys() & after.keys()
    changes = [FileChange(path=path, kind="changed") for path in both if before[path] != after[path]]
    changes += [FileChange(path=path, kind="removed") for path in removed.keys() - renamed.values()]
    for path, digest in added.items():
        was = renamed.get(digest)
        changes.append(FileChange(path=path, kind="renamed" if was else "added", was=was))
    return tuple(sorted(changes, key=lambda change: change.path))


def _blame_files(project: Project, history: History, change: ComponentChange) -> tuple[FileChange, ...]:
    if change.component in SETTINGS_COMPONENTS:
        return _blame_settings(history, change)
    if change.component == "dump":
        # The dump's link and its file are one input; what did not change says nothing.
        files = tuple(_blame_file(history, _changed(path), is_dump=True) for path in _dump_paths(project))
        return tuple(each for each in files if each.blame.is_change) or files
    dockerfile = project.settings.dockerfile if change.component == "dockerfile" else None
    files = (_changed(dockerfile),) if dockerfile else change.files
    return tuple(_blame_file(history, each) for each in files)


def _changed(path: str) -> FileChange:
    return FileChange(path=path, kind="changed")


def _dump_paths(project: Project) -> list[str]:
    if project.settings.database.fetch:
        return [config.FILE]
    dump = find_dump(project)
    inside = [path for path in (dump.link, dump.target) if path.is_relative_to(project.home)]
    return list(dict.fromkeys(path.relative_to(project.home).as_posix() for path in inside))


def _blame_settings(history: History, change: ComponentChange) -> tuple[FileChange, ...]:
    """Return the settings file with who wrote the new value there, or removed the old one.

    Most of what is in it is not in the key. Nobody did where the value comes from the environment.
    """
    old, new = (change.before or "").split(), (change.after or "").split()
    words = [word for word in (*new, *old) if (word in old) != (word in new)]
    blames = (history.blame([config.FILE], text=word) for word in words)
    return tuple(replace(_changed(config.FILE), blame=blame) for blame in blames if blame.is_change)[:1]


def _blame_file(history: History, file: FileChange, *, is_dump: bool = False) -> FileChange:
    """Add who changed a file: there, at links on the way, or where these lead."""
    root = history.root
    path = root / file.path
    links = [each for each in path.parents if each.is_relative_to(root) and each.is_symlink()]
    places = [file.path, *(each.relative_to(root).as_posix() for each in links)]
    if file.was:
        places.append(file.was)
    # What the dump's link points to is a file of its own.
    target = path.parent.resolve() / path.name if is_dump else path.resolve()
    if target.is_relative_to(root.resolve()):
        places.append(target.relative_to(root.resolve()).as_posix())
    return replace(file, blame=history.blame(list(dict.fromkeys(places))))
