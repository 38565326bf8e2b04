"""Why an index is made again: what the key is made of, what changed against another, and who changed it.

The comparison is pure; git is asked only about the files that it found.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from haybale import config, image_ref
from haybale.dump.reference import resolve_dump
from haybale.errors import ConfigError, PrerequisiteError, UsageError
from haybale.image_ref import ImageRef
from haybale.images import build, store
from haybale.index.key import KEY_LABEL, KEY_LENGTH, KEY_PATTERN, Component, Key, compute_key
from haybale.tools import git
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project

# The version of the document that `--json` prints (docs/why.md).
VERSION = 1

# The file that notes the last key that was indexed here, in haybale's folder.
NOTE = "indexed.json"

# The beginning of a key that is enough to name it.
PREFIX = re.compile(rf"[0-9a-f]{{6,{KEY_LENGTH}}}")

# The components whose values the settings file has.
SETTINGS = ("bases", "core")

DIGEST = re.compile(r"[0-9a-f]{64}")

# Columns of what people read, and the hexadecimal digits of a digest there.
WIDTH = 80
SHORT = 12

Kind = Literal["added", "removed", "changed", "renamed"]

# Who changed a file:
# - commit: a commit of the history checked out, which the other index's does not have.
# - elsewhere: a commit of the other index's history, which the one checked out does not have.
# - earlier: the commit that a shallow clone begins with, or one before it.
# - uncommitted: nobody yet, it is not as in the commit checked out.
# - untouched: no commit since the other index's: it counts only now, or no more, or was not committed then.
# - unknown: git has no commit of it.
Blame = Literal["commit", "elsewhere", "earlier", "uncommitted", "untouched", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Other:
    """What the present key is compared with: its source for people, and the commit it is of ("": unknown).

    `dirty` says that files differed from that commit, `day` when it was made (ISO 8601, "": unknown).
    """

    key: Key
    source: str
    revision: str
    dirty: bool = False
    day: str = ""


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file that differs, who changed it, and the commit that did where that is known.

    `was` is the path that a renamed file had before.
    """

    path: str
    kind: Kind
    was: str = ""
    blame: Blame = "unknown"
    commit: git.CommitSummary | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A component that differs: its files that do, or its values before and after."""

    component: str
    files: tuple[FileChange, ...] = ()
    before: str = ""
    after: str = ""


def compare(old: Key, new: Key) -> tuple[Change, ...]:
    """Return the components of two keys that differ, and what differs in them."""
    changes = []
    for name in sorted({*old.components, *new.components}):
        before = old.components.get(name, Component(name=name, digest=""))
        after = new.components.get(name, Component(name=name, digest=""))
        if before.digest != after.digest:
            changes.append(
                Change(
                    component=name,
                    files=_compare_files(before.files, after.files),
                    before=before.value or "",
                    after=after.value or "",
                )
            )
    return tuple(changes)


def _compare_files(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FileChange, ...]:
    came = {path: digest for path, digest in after.items() if path not in before}
    went = {path: digest for path, digest in before.items() if path not in after}
    # A file has another name now where its content went from one path and came to one path, and no more.
    once = {digest for digest, count in Counter(came.values()).items() if count == 1}
    once &= {digest for digest, count in Counter(went.values()).items() if count == 1}
    names = {digest: path for path, digest in went.items() if digest in once}
    found = [
        FileChange(path=path, kind="changed")
        for path in before
        if path in after and before[path] != after[path]
    ]
    found += [FileChange(path=path, kind="removed") for path in went if went[path] not in once]
    for path, digest in came.items():
        kind: Kind = "renamed" if digest in once else "added"
        found.append(FileChange(path=path, kind=kind, was=names.get(digest, "")))
    return tuple(sorted(found, key=lambda change: change.path))


def tell(project: Project, other: str, *, as_json: bool) -> str:
    """Return what `why` prints about another key: the last one ("", see `last`), a key, or an image's.

    Raises `UsageError` where there is no such key or image.
    """
    present = compute_key(project)
    compared = _find(project, other) if other else last(project)
    changes: tuple[Change, ...] = ()
    if compared:
        changes = compare(compared.key, present)
        if git.read_head(project.root) is not None:
            day = git.commit_date(project.root, compared.revision) or ""
            compared = replace(compared, day=day)
            changes = _blamed(project, changes, compared.revision)
    if as_json:
        return json.dumps(document(present, compared, changes), indent=2)
    return text(present, compared, changes)


def remember(project: Project, made: Key, revision: str) -> None:
    """Note the key that was indexed here last, and the commit that it is of; whole or not at all."""
    file = project.scratch / NOTE
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps({"key": made.to_json(), "revision": revision}), encoding="utf-8")
    aside.replace(file)


def last(project: Project) -> Other | None:
    """Return the key that was indexed here last; else that of the newest index image here; else None."""
    return noted(project) or _newest(project)


def noted(project: Project) -> Other | None:
    """Return what `remember` noted, None where there is no note, or a damaged one."""
    try:
        note = json.loads((project.scratch / NOTE).read_text(encoding="utf-8"))
        return _other(Key.from_json(note["key"]), "the last index made here", str(note["revision"]))
    except (OSError, ValueError, LookupError, TypeError, ConfigError):
        return None


def _newest(project: Project) -> Other | None:
    """Return the key of the newest index image on this engine, None where there is none, or no engine."""
    try:
        identity = sdk.newest_image(project.settings.registry, KEY_LABEL)
        image = sdk.find_image(identity) if identity else None
        return _labelled(image.labels, "the newest index image on this engine") if image else None
    except (PrerequisiteError, ConfigError):
        return None


def _labelled(labels: Mapping[str, str], source: str) -> Other:
    return _other(Key.from_json(labels[KEY_LABEL]), source, labels.get(build.REVISION, ""))


def _other(found: Key, source: str, revision: str) -> Other:
    commit = revision.removesuffix("-dirty")
    known = "" if commit == build.UNKNOWN_REVISION else commit
    return Other(key=found, source=source, revision=known, dirty=commit != revision)


def _find(project: Project, name: str) -> Other:
    reference, labels = index_image(project, name)
    return _labelled(labels, reference)


def index_image(project: Project, name: str) -> tuple[str, Mapping[str, str]]:
    """Return an index image's name and labels, from this engine or the registry.

    `name` is its key, the beginning of a key that this engine has, or the image's name. Raises `UsageError`
    where there is none, or it is no index image.
    """
    reference = _named(project, name) if PREFIX.fullmatch(name) else name
    ImageRef.parse(reference)
    image = sdk.find_image(reference)
    labels = image.labels if image else _labels_there(project, reference)
    if labels is None:
        where = "on this engine" if project.settings.local else "on this engine or in the registry"
        raise UsageError(
            f"there is no image {reference} {where}",
            cause=_known(project),
            hint="give a key, or an image's name such as REGISTRY:solr-KEY",
        )
    if KEY_LABEL not in labels:
        raise UsageError(
            f"{reference} is no index image",
            cause=f"it has no label {KEY_LABEL}; {_known(project)}",
            hint="give a key, or an image's name such as REGISTRY:solr-KEY",
        )
    return reference, labels


def _known(project: Project) -> str:
    """Return a sentence that says which keys this engine has."""
    keys = [name.rpartition("-")[2] for name in _index_images(project)]
    return f"this engine has the keys {', '.join(keys)}" if keys else "this engine has no index image"


def _index_images(project: Project) -> list[str]:
    start = str(image_ref.index_image(ImageRef.parse(project.settings.registry), ""))
    names = sdk.image_names(project.settings.registry)
    return sorted({name for name in names if KEY_PATTERN.fullmatch(name.removeprefix(start))})


def _named(project: Project, start: str) -> str:
    """Return the name of the index image whose key begins with `start`."""
    full = str(image_ref.index_image(ImageRef.parse(project.settings.registry), start))
    if len(start) == KEY_LENGTH:
        return full
    found = [name for name in _index_images(project) if name.startswith(full)]
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} index images on this engine have a key that begins with {start}",
            cause=_known(project),
            hint="give more of it; a key that only the registry has is given whole",
        )
    return found[0]


def _labels_there(project: Project, reference: str) -> Mapping[str, str] | None:
    if (
        project.settings.local
        or ImageRef.parse(reference).repository != ImageRef.parse(project.settings.registry).repository
    ):
        return None
    return store.of(project).labels(reference)


@dataclass(frozen=True, kw_only=True)
class _History:
    """A repository, the other index's commit ("" where this clone does not have it), and its state.

    `uncommitted` are those of the files in question that are not as in HEAD; `first` is `git.shallow_roots`.
    """

    root: Path
    since: str
    first: frozenset[str]
    uncommitted: frozenset[str]


def _blamed(project: Project, changes: Sequence[Change], since: str) -> tuple[Change, ...]:
    """Add to each change the files it is of, and to each file who changed it since the old index was made."""
    root = project.root
    if not changes:
        return ()
    changes = [replace(each, files=_files(project, each)) for each in changes]
    places = {place for each in changes for file in each.files for place in _places(root, file, each)}
    history = _History(
        root=root,
        since=(git.resolve_commit(root, since) if since else None) or "",
        first=git.shallow_roots(root),
        uncommitted=git.uncommitted_files(root, sorted(places)) if places else frozenset(),
    )
    return tuple(replace(each, files=_blamed_files(history, each)) for each in changes)


def _files(project: Project, change: Change) -> tuple[FileChange, ...]:
    """Return the files that a change is of; a component that has only a value is of those that say it."""
    if change.component == "dump":
        paths = _dump_files(project)
    elif change.component == "dockerfile":
        paths = [project.settings.dockerfile]
    elif change.component in SETTINGS:
        paths = [config.FILE]
    else:
        return change.files
    return tuple(FileChange(path=path, kind="changed") for path in paths)


def _blamed_files(history: _History, change: Change) -> tuple[FileChange, ...]:
    if change.component in SETTINGS:
        return _blamed_settings(history, change)
    found = tuple(_blame(history, each, _places(history.root, each, change)) for each in change.files)
    # The dump's link and its file are one input; what did not change says nothing.
    return (_touched(found) or found) if change.component == "dump" else found


def _blamed_settings(history: _History, change: Change) -> tuple[FileChange, ...]:
    """Return the settings file with who wrote the new value there, or took away the old one.

    Most of what is in it is not in the key. Nobody did where the value comes from the environment.
    """
    old, new = change.before.split(), change.after.split()
    words = [word for word in (*new, *old) if (word in old) != (word in new)]
    found = []
    for word in words:
        at_word = replace(history, uncommitted=git.uncommitted_files(history.root, [config.FILE], text=word))
        found += [_blame(at_word, each, [config.FILE], text=word) for each in change.files]
    return _touched(found)[:1]


def _touched(files: Sequence[FileChange]) -> tuple[FileChange, ...]:
    return tuple(each for each in files if each.blame not in {"untouched", "unknown"})


def _blame(history: _History, change: FileChange, places: Sequence[str], *, text: str = "") -> FileChange:
    """Return a file with who changed it in these places; with `text`, who added or removed that."""
    root, since = history.root, history.since
    if not history.uncommitted.isdisjoint(places):
        return replace(change, blame="uncommitted")
    blame: Blame = "commit"
    commit = git.last_change(root, places, since, text=text)
    if commit is None and since:
        blame = "elsewhere"
        commit = git.last_change(root, places, "HEAD", upto=since, text=text)
    if commit is None:
        return replace(change, blame="untouched" if since else "unknown")
    return replace(change, blame="earlier" if commit.hash in history.first else blame, commit=commit)


def _places(root: Path, file: FileChange, change: Change) -> list[str]:
    """Return where a file may have been changed: there, at links on the way, and where these lead."""
    path = root / file.path
    links = [each for each in path.parents if each.is_relative_to(root) and each.is_symlink()]
    places = [file.path, *(each.relative_to(root).as_posix() for each in links)]
    if file.was:
        places.append(file.was)
    # What the dump's link leads to is a file of its own.
    leads = path.parent.resolve() / path.name if change.component == "dump" else path.resolve()
    real = root.resolve()
    if leads.is_relative_to(real):
        places.append(leads.relative_to(real).as_posix())
    return list(dict.fromkeys(places))


def _dump_files(project: Project) -> list[str]:
    resolved = resolve_dump(project.home, project.settings.dump)
    paths: list[Path] = [resolved.link, resolved.target]
    inside = [path for path in paths if path.is_relative_to(project.home)]
    return list(dict.fromkeys(path.relative_to(project.home).as_posix() for path in inside))


def text(present: Key, other: Other | None, changes: Sequence[Change]) -> str:
    """Return an explanation for people."""
    key_is = f"index key {present}"
    if other is None:
        return "\n".join([f"{key_is}: nothing was indexed here yet", "", *_made_of(present)])
    said = f"{other.source}{_of(other)}"
    if not changes:
        return "\n".join([*_wrapped(f"{key_is}: the same as {said}"), "", *_made_of(present)])
    names = ", ".join(change.component for change in changes)
    lines = _wrapped(f"{key_is}: differs from {other.key.value[:SHORT]}: {names}")
    lines += _wrapped(f"({other.key.value[:SHORT]} is {said})")
    for change in changes:
        lines += ["", change.component]
        if change.component in SETTINGS or not change.files:
            lines += [f"  was {_short(change.before)}", f"  is  {_short(change.after)}"]
        for who, files in groupby(change.files, _by):
            lines += [f"  {file.path} ({_kind(file)})" for file in files]
            lines += _wrapped(who, "    ")
    return "\n".join(lines)


def _wrapped(line: str, indent: str = "") -> list[str]:
    wrapped = textwrap.TextWrapper(
        width=WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return wrapped.wrap(line)


def _of(other: Other) -> str:
    if not other.revision:
        return ""
    day = f" of {other.day}" if other.day else ""
    changed = " and what was not committed" if other.dirty else ""
    return f", of commit {other.revision[:SHORT]}{day}{changed}"


def _short(value: str) -> str:
    return value[:SHORT] if DIGEST.fullmatch(value) else value or "nothing"


def _kind(file: FileChange) -> str:
    return f"renamed from {file.was}" if file.was else file.kind


# What is said where no commit did it, by what became of the file.
UNTOUCHED: Mapping[Kind, str] = {
    "added": "no commit since then: it was there, and counts only now",
    "removed": "no commit since then: it counts no more, or was not committed then",
    "changed": "no commit since then: it was not committed as it is when that index was made",
    "renamed": "no commit since then: the one counts only now, the other no more",
}


def _by(file: FileChange) -> str:
    if file.blame == "uncommitted":
        return "not committed"
    if file.blame == "untouched":
        return UNTOUCHED[file.kind]
    if file.commit is None:
        return "by no commit that this clone has"
    by = f"{file.commit.hash[:SHORT]} {file.commit.date} {file.commit.author}: {file.commit.subject}"
    if file.blame == "elsewhere":
        return f"{by} (which is not in the history of what is checked out)"
    if file.blame == "earlier":
        return f"{by} (or one before it, which this shallow clone does not have)"
    return by


def _made_of(present: Key) -> list[str]:
    """Return a line for each component: its name, how many files it has or what it says, its digest."""
    rows = []
    for name, each in sorted(present.components.items()):
        files = f"{len(each.files)} file{'s' * (len(each.files) != 1)}"
        said = "" if DIGEST.fullmatch(each.value or "") else each.value
        rows.append((name, each.digest[:SHORT], said if each.value else files))
    width = max(len(name) for name, _, _ in rows)
    return [f"{name:<{width}}  {digest}  {what}".rstrip() for name, digest, what in rows]


def document(present: Key, other: Other | None, changes: Sequence[Change]) -> dict[str, Any]:
    """Return the explanation as plain values (docs/why.md)."""
    return {
        "version": VERSION,
        "key": present.value,
        "other": other.key.value if other else None,
        "other_source": other.source if other else None,
        "other_revision": other.revision if other else None,
        "other_dirty": other.dirty if other else None,
        "same": other is not None and not changes,
        "components": present.to_dict()["components"],
        "changes": [asdict(change) for change in changes],
    }
