"""Why an index is made again: what the key is made of, what changed against another, and who changed it.

The comparison is pure; git is asked only about the files that it found.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from haybale.errors import ConfigError, UsageError
from haybale.images import build, refs, store
from haybale.index import dump, key
from haybale.tools import docker, git

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project

# The version of the document that `--json` prints (docs/why.md).
VERSION = 1

# The file that notes the last key that was indexed here, in haybale's folder.
NOTE = "indexed.json"

# The beginning of a key that is enough to name it.
PREFIX = re.compile(rf"[0-9a-f]{{6,{key.LENGTH}}}")

DIGEST = re.compile(r"[0-9a-f]{64}")

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, kw_only=True)
class Other:
    """What the present key is compared with: its source for people, and the commit it is of ("": unknown)."""

    key: key.Key
    source: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file that differs, and the last commit that touched it: None where git knows none.

    `committed` is false where its content is not that of the commit checked out.
    """

    path: str
    kind: Kind
    commit: git.Touch | None = None
    committed: bool = True


@dataclass(frozen=True, kw_only=True)
class Change:
    """A component that differs: its files that do, or its values before and after."""

    component: str
    files: tuple[FileChange, ...] = ()
    before: str = ""
    after: str = ""


def compare(old: key.Key, new: key.Key) -> tuple[Change, ...]:
    """Return the components of two keys that differ, and what differs in them."""
    changes = []
    for name in sorted({*old.components, *new.components}):
        before = old.components.get(name, key.Component(name=name, digest=""))
        after = new.components.get(name, key.Component(name=name, digest=""))
        if before.digest != after.digest:
            changes.append(
                Change(
                    component=name,
                    files=_compare_files(before.files, after.files),
                    before=before.value,
                    after=after.value,
                )
            )
    return tuple(changes)


def _compare_files(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[FileChange, ...]:
    found = []
    for path in sorted({*before, *after}):
        # A key that comes from a label has short digests.
        old, new = before.get(path, "")[: key.SHORT], after.get(path, "")[: key.SHORT]
        if old != new:
            kind: Kind = "added" if not old else "removed" if not new else "changed"
            found.append(FileChange(path=path, kind=kind))
    return tuple(found)


def tell(project: Project, other: str, *, as_json: bool) -> str:
    """Return what `why` prints: about the last index made here ("": default), a key, or an image.

    Raises `UsageError` where there is no such key or image.
    """
    present = key.of(project)
    compared = _find(project, other) if other else last(project)
    changes = compare(compared.key, present) if compared else ()
    if compared and changes:
        changes = _blamed(project, changes, compared.revision)
    if as_json:
        return json.dumps(document(present, compared, changes), indent=2)
    return text(present, compared, changes)


def remember(project: Project, made: key.Key, revision: str) -> None:
    """Note the key that was indexed here last, and the commit that it is of; whole or not at all."""
    file = project.scratch / NOTE
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".new")
    aside.write_text(json.dumps({"key": made.document, "revision": revision}), encoding="utf-8")
    aside.replace(file)


def last(project: Project) -> Other | None:
    """Return the key that was indexed here last, None where none was."""
    try:
        noted = json.loads((project.scratch / NOTE).read_text(encoding="utf-8"))
        found = key.Key.parse(noted["key"])
        revision = str(noted["revision"]).removesuffix("-dirty")
    except (OSError, ValueError, LookupError, TypeError, ConfigError):
        return None
    return Other(key=found, source="the last index made here", revision=revision)


def _find(project: Project, name: str) -> Other:
    """Return the key of an image: by the key (or its beginning), or by the image's name."""
    if PREFIX.fullmatch(name):
        reference = _named(project, name)
    else:
        reference = name
        refs.parse(name)
    image = docker.image(reference)
    labels = image.labels if image else _labels_there(project, reference)
    if labels is None or key.LABEL not in labels:
        raise UsageError(
            f"{reference} is no index image"
            if labels is not None
            else f"there is no image {reference}, neither on this engine nor in the registry",
            cause=f"it has no label {key.LABEL}" if labels is not None else "",
            step="just why KEY, or just why REGISTRY:solr-KEY",
        )
    return Other(
        key=key.Key.parse(labels[key.LABEL]),
        source=reference,
        revision=labels.get(build.REVISION, "").removesuffix("-dirty"),
    )


def _named(project: Project, start: str) -> str:
    """Return the name of the index image whose key begins with `start`."""
    full = refs.index(project.settings.registry, start)
    if len(start) == key.LENGTH:
        return full
    found = sorted({name for name in docker.names(project.settings.registry) if name.startswith(full)})
    if len(found) != 1:
        raise UsageError(
            f"{len(found) or 'no'} index images on this engine have a key that begins with {start}",
            cause=f"they are: {', '.join(found)}" if found else "a key in the registry is given whole",
            step="give more of it",
        )
    return found[0]


def _labels_there(project: Project, reference: str) -> Mapping[str, str] | None:
    if (
        project.settings.local
        or refs.parse(reference).repository != refs.parse(project.settings.registry).repository
    ):
        return None
    return store.of(project).labels(reference)


def _blamed(project: Project, changes: Sequence[Change], since: str) -> tuple[Change, ...]:
    """Add to each file the commit that changed it since the old index was made."""
    found = []
    for change in changes:
        paths = change.files
        if change.component == "dump":
            paths = tuple(FileChange(path=path, kind="changed") for path in _dump_files(project))
        elif change.component == "dockerfile":
            paths = (FileChange(path=project.settings.dockerfile, kind="changed"),)
        files = tuple(_blame(project, each, since) for each in paths)
        if change.component == "dump":
            # The link and its file are one input; what did not change says nothing.
            files = tuple(each for each in files if each.commit or not each.committed) or files
        found.append(
            Change(component=change.component, files=files, before=change.before, after=change.after)
        )
    return tuple(found)


def _blame(project: Project, change: FileChange, since: str) -> FileChange:
    """Return a file with the commit that changed it."""
    places = _places(project.root, change.path)
    return FileChange(
        path=change.path,
        kind=change.kind,
        commit=git.last_touch(project.root, places, since),
        committed=not git.not_committed(project.root, places),
    )


def _places(root: Path, path: str) -> list[str]:
    """Return where a file may have been changed: there, at links on the way, and where these lead."""
    links = [each for each in (root / path).parents if each.is_relative_to(root) and each.is_symlink()]
    places = [path, *(each.relative_to(root).as_posix() for each in links)]
    target, real = (root / path).resolve(), root.resolve()
    if target.is_relative_to(real):
        places.append(target.relative_to(real).as_posix())
    return list(dict.fromkeys(places))


def _dump_files(project: Project) -> list[str]:
    resolved = dump.resolve(project.home, project.settings.dump)
    paths: list[Path] = [resolved.link, resolved.target]
    inside = [path for path in paths if path.is_relative_to(project.home)]
    return list(dict.fromkeys(path.relative_to(project.home).as_posix() for path in inside))


def text(present: key.Key, other: Other | None, changes: Sequence[Change]) -> str:
    """Return an explanation for people."""
    if other is None:
        return "\n".join([f"index key {present}: nothing was indexed here yet", "", *_made_of(present)])
    of = f" (commit {other.revision[:12]})" if other.revision else ""
    if not changes:
        return "\n".join([f"index key {present}: the same as {other.source}{of}", "", *_made_of(present)])
    names = ", ".join(change.component for change in changes)
    lines = [
        f"index key {present}",
        f"is not    {other.key}, {other.source}{of}",
        "",
        f"changed: {names}",
    ]
    for change in changes:
        lines += ["", change.component]
        if not change.files or change.component == "bases":
            lines += [f"  was {change.before or 'nothing'}", f"  is  {change.after or 'nothing'}"]
        for file in change.files:
            lines.append(f"  {file.path} ({file.kind})")
            lines.append(f"    {_by(file)}")
    return "\n".join(lines)


def _by(file: FileChange) -> str:
    if not file.committed:
        return "not committed"
    if file.commit is None:
        return "by no commit that this clone has"
    return f"{file.commit.hash[:12]} {file.commit.date} {file.commit.author}: {file.commit.subject}"


def _made_of(present: key.Key) -> list[str]:
    """Return a line for each component: its name, how many files it has or what it says, its digest."""
    rows = []
    for name, each in sorted(present.components.items()):
        files = f"{len(each.files)} file{'s' * (len(each.files) != 1)}"
        said = "" if DIGEST.fullmatch(each.value) else each.value
        rows.append((name, each.digest[:12], said if each.value else files))
    width = max(len(name) for name, _, _ in rows)
    return [f"{name:<{width}}  {digest}  {what}".rstrip() for name, digest, what in rows]


def document(present: key.Key, other: Other | None, changes: Sequence[Change]) -> dict[str, Any]:
    """Return the explanation as plain values (docs/why.md)."""
    return {
        "version": VERSION,
        "key": present.value,
        "other": other.key.value if other else None,
        "other_source": other.source if other else None,
        "other_revision": other.revision if other else None,
        "same": other is not None and not changes,
        "components": json.loads(present.document)["components"],
        "changes": [asdict(change) for change in changes],
    }
