"""Releases: where their records are, whether what they say holds, and how a record is kept.

A record is in two places: in the annotation of the version's tag, on the git remote, and in the registry, as
an artifact that refers to the site's image (OCI image specification, "Guidance for an artifact author"). They
are compared; neither is believed alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import ConfigError, HaybaleError, RegistryError, ReleaseError
from haybale.image_ref import ImageRef, stage_image
from haybale.images import store
from haybale.images.build import BASE_DIGEST, REVISION
from haybale.index import image as current
from haybale.index.key import KEY_LABEL, Key
from haybale.release import record as records
from haybale.release.remote import REMOTE, fetch_refs, remote_branch, remote_tags
from haybale.tools import git
from haybale.tools.registry.client import Repository
from haybale.version import Version, is_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project
    from haybale.release.record import Record

# The layer under whose name a record is kept in the registry: TAG-record.
LAYER = "record"

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# OCI image specification, "Guidance for an Empty Descriptor".
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a release that was looked at: whether it holds, and what was found."""

    name: str
    holds: bool
    said: str


@dataclass(frozen=True, kw_only=True)
class Release:
    """A published version: its record, and the commit that its tag points to."""

    record: Record
    commit: str


def find(project: Project, version: str) -> Release:
    """Return a published version.

    Raises `ReleaseError` where the remote has no such tag, or where its tag carries no record that can be
    read.
    """
    found = remote_tags(project.root, REMOTE, version).get(version)
    if found is None:
        raise ReleaseError(
            f"{REMOTE} has no version {version}",
            cause=f"published are: {', '.join(published(project)[:5]) or 'none'}",
            hint="name one of them",
        )
    fetch_refs(project.root, REMOTE, f"refs/tags/{version}")
    record = records.of_message(git.tag_message(project.root, found.hash).splitlines())
    if record is None:
        raise ReleaseError(
            f"the tag {version} carries no release record",
            cause="it was made by hand, or by an older haybale",
            hint="release another version (just pipeline --publish)",
        )
    return Release(record=record, commit=found.commit)


def published(project: Project) -> list[str]:
    """Return the versions whose tags are on the remote, the newest first."""
    tags = remote_tags(project.root, REMOTE, "v*")
    return sorted(filter(is_version, tags), key=Version.parse, reverse=True)


def every(project: Project) -> dict[str, Record | None]:
    """Return the record of each published version, None where its tag carries none; `ReleaseError`."""
    tags = remote_tags(project.root, REMOTE, "v*")
    tags = {name: tag for name, tag in tags.items() if is_version(name)}
    if tags:
        fetch_refs(project.root, REMOTE, *(f"refs/tags/{name}" for name in tags))
    return {
        name: records.of_message(git.tag_message(project.root, tag.hash).splitlines())
        for name, tag in tags.items()
    }


def keep(project: Project, record: Record) -> str:
    """Keep a record in the registry, under the version's name; return its digest there.

    The same record is kept as the same bytes, so this may be done again. Raises `RegistryError`.
    """
    repository = Repository(project.settings.registry)
    site = repository.manifest(ImageRef.parse(record.site).digest or "")
    if site is None:
        raise RegistryError(f"{record.site} is not in the registry", hint="push it, and publish again")
    repository.put_blob(EMPTY)
    repository.put_blob(record.document.encode("ascii"))
    subject = {"mediaType": site.media_type, "digest": site.digest, "size": len(site.content)}
    content = manifest(record, subject)
    reference = f"{record.version}-{LAYER}"
    if not repository.put_manifest(reference, content, MANIFEST):
        _refer(repository, subject, content)
    return _sha256(content)


def manifest(record: Record, subject: Mapping[str, Any]) -> bytes:
    """Return the manifest of a record that refers to the site's image, always the same bytes for the same."""
    document = record.document.encode("ascii")
    return _canonical({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": records.MEDIA_TYPE,
        "config": {"mediaType": EMPTY_TYPE, "digest": _sha256(EMPTY), "size": len(EMPTY)},
        "layers": [
            {"mediaType": records.MEDIA_TYPE, "digest": _sha256(document), "size": len(document)}
        ],
        "subject": dict(subject),
        "annotations": {"org.opencontainers.image.version": record.version},
    })  # fmt: skip


def _refer(repository: Repository, subject: Mapping[str, Any], content: bytes) -> None:
    """List a record where a registry without the referrers API is asked for them.

    Source: OCI distribution specification, "Referrers Tag Schema".
    """
    tag = str(subject["digest"]).replace(":", "-", 1)
    found = repository.manifest(tag)
    listed = list(found.document.get("manifests", [])) if found else []
    own = {
        "mediaType": MANIFEST, "digest": _sha256(content), "size": len(content),
        "artifactType": records.MEDIA_TYPE,
    }  # fmt: skip
    if own not in listed:
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, own]}
        repository.put_manifest(tag, _canonical(index), INDEX)


def kept(project: Project, version: str) -> Record | None:
    """Return the record that the registry has of a version, None where it has none; `RegistryError`."""
    repository = Repository(project.settings.registry)
    found = repository.manifest(f"{version}-{LAYER}")
    if found is None:
        return None
    layers = found.document.get("layers") or [{}]
    content = repository.blob(str(layers[0].get("digest", "")))
    if content is None:
        raise RegistryError(f"the record of {version} is not whole in the registry", hint="publish it again")
    return records.parse(content.decode("utf-8", "replace"))


def verify(project: Project, version: str) -> list[Part]:
    """Find a version and look at every part of it, as `find` and `parts_of` do."""
    return parts_of(project, version, find(project, version))


def parts_of(project: Project, version: str, release: Release) -> list[Part]:
    """Look at every part of a release that was found, in git and in the registry.

    Raises `ReleaseError` where git's remote does not answer or this clone can't tell, and `RegistryError`
    where the registry does not answer: nothing can be said then.
    """
    record, commit = release.record, release.commit
    parts = [
        Part(
            name="version", holds=record.version == version, said=f"the tag's record is of {record.version}"
        ),
        Part(name="commit", holds=record.commit == commit, said=f"the tag points to {commit}"),
        _on_main(project, record),
    ]
    if not project.settings.local:
        there = kept(project, version)
        same = there == record
        said = "the registry has the same" if same else f"the registry has {'another' if there else 'none'}"
        parts.append(Part(name="record", holds=same, said=said))
    return [*parts, *_images(project, record)]


def _on_main(project: Project, record: Record) -> Part:
    root, main = project.root, project.settings.main
    head = remote_branch(root, REMOTE, main) or ""
    if head:
        fetch_refs(root, REMOTE, f"refs/heads/{main}")
    there = bool(head) and git.is_ancestor(root, record.commit, head)
    if head and not there and git.is_shallow(root):
        raise ReleaseError(
            f"whether {record.version} is on {main} can't be told: this clone does not go back far enough",
            cause="it is shallow",
            hint="git fetch --unshallow, and try again",
        )
    return Part(
        name=main, holds=there, said=f"{record.commit[:12]} is {'' if there else 'not '}on it"
    )  # fmt: skip


def _images(project: Project, record: Record) -> list[Part]:
    images = store.of(project)
    repository = ImageRef.parse(project.settings.registry)
    parts = []
    for name, image, tag in (
        ("site image", record.site, str(stage_image(repository, record.version, "release"))),
        ("index image", record.index, str(stage_image(repository, record.version, "solr"))),
    ):
        wanted = image.partition("@")[2]
        labels = images.labels(image) if not project.settings.local else images.labels(tag)
        there = images.digest(tag)
        if labels is None:
            parts.append(Part(name=name, holds=False, said=f"there is no {image}"))
            continue
        parts.append(Part(name=name, holds=there == wanted, said=f"{tag} is {there or 'absent'}"))
        parts.append(_labelled(name, record, labels))
        kind = name.partition(" ")[0]
        base = labels.get(BASE_DIGEST, "")
        parts.append(
            Part(
                name=f"{kind} base", holds=base == record.bases.get(kind, ""),
                said=f"its label says {base or 'none'}",
            )
        )  # fmt: skip
    return parts


def _labelled(name: str, record: Record, labels: Mapping[str, str]) -> Part:
    if name == "site image":
        said = labels.get(REVISION, "none")
        return Part(name="its commit", holds=said == record.commit, said=f"its label says {said}")
    try:
        found = Key.from_json(labels.get(KEY_LABEL, ""))
    except ConfigError as error:
        return Part(name="its index", holds=False, said=error.message)
    counts = dict(current.counts_of(labels))
    dump = found.components["dump"].value if "dump" in found.components else ""
    wrong = [
        what
        for what, same in (
            ("key", found.value == record.key),
            (
                "components",
                {each.name: each.digest for each in found.components.values()} == record.components,
            ),
            ("dump", dump == record.dump),
            ("counts", counts == record.counts),
        )
        if not same
    ]
    said = f"key {found.value}, {sum(counts.values()):,} documents"
    if wrong:
        said += f"; not the record's: {', '.join(wrong)}"
    return Part(name="its index", holds=not wrong, said=said)


def judge(version: str, parts: list[Part]) -> None:
    """Raise `ReleaseError` where a part of a release does not hold."""
    wrong = [part for part in parts if not part.holds]
    if wrong:
        said = "; ".join(f"{part.name}: {part.said}" for part in wrong)
        raise ReleaseError(
            f"{version} is not what its record says: {said}",
            cause="something was moved, removed or replaced since it was published",
            hint=f"just verify-release {version} shows every part",
        )


def holds(project: Project, record: Record) -> str:
    """Return why a record's images can't be deployed: "" where both are there, as recorded."""
    try:
        parts = _images(project, record)
    except HaybaleError as error:
        return error.message
    return "; ".join(f"{part.name}: {part.said}" for part in parts if not part.holds)


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _canonical(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")
