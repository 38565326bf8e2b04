"""The release record: everything that one version is made of, in one document (docs/deploy.md).

A record is in two places: in the message of the version's tag, on the git remote, and in the registry, as an
artifact that refers to the site's image (OCI image specification, "Guidelines for Artifact Usage").
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import ConfigError, RegistryError, ReleaseError
from haybale.image_ref import ImageRef
from haybale.release.remote import (
    REMOTE,
    VERSION_REFS,
    find_versions,
    read_tag_messages,
    remote_refs,
    remote_tags,
    remote_versions,
)
from haybale.tools import git
from haybale.tools.registry.client import Repository
from haybale.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from haybale.config import Project

FORMAT_VERSION = 1

# How the line of a tag's message begins that carries a record.
TAG_PREFIX = "record: "

# A version's record has the tag VERSION-record in the registry.
RECORD_SUFFIX = "record"
RECORD_TYPE = "application/vnd.haybale.release.v1+json"

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
# OCI image specification, "Guidance for an Empty Descriptor".
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"


@dataclass(frozen=True, kw_only=True)
class Suite:
    """How many tests of a suite ran and how many were skipped; all that ran passed, or there is no record."""

    tests: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class ReleaseRecord:
    """What a version is made of.

    `site` and `index` are its images, by digest; where there is no registry it is the engine's. `components`
    are the digests that the index key `key` is made of, by their names, `dump` the SHA-256 of what was
    dumped. `bases` has the digests of the base images of "site" and "index", `counts` the documents of each
    model (app.model) that were verified, `tests` each suite's, empty where none ran.
    """

    version: str
    commit: str
    site: ImageRef
    index: ImageRef
    key: str
    components: Mapping[str, str]
    dump: str
    bases: Mapping[str, str]
    counts: Mapping[str, int]
    tests: Mapping[str, Suite]

    def to_dict(self) -> dict[str, Any]:
        """Return the document: the fields, and `format`."""
        images = {"site": str(self.site), "index": str(self.index)}
        return {"format": FORMAT_VERSION, **asdict(self), **images}

    def to_json(self) -> str:
        """Return the document as it is kept; one record has one text."""
        return canonical_json(self.to_dict())

    @property
    def digest(self) -> str:
        """The SHA-256 (sha256:...) of the text."""
        return sha256_digest(self.to_json().encode("ascii"))

    @property
    def tag_line(self) -> str:
        """The line of the version's tag that carries it."""
        return TAG_PREFIX + self.to_json()

    @classmethod
    def from_dict(cls, document: Any) -> ReleaseRecord:
        """Return the record in a document; raises `ReleaseError` where it is none of this format."""
        try:
            if document["format"] != FORMAT_VERSION:
                raise ReleaseError(
                    f"the release record has format {document['format']}, not {FORMAT_VERSION}",
                    cause="another version of haybale made it",
                    hint="use a haybale that knows it",
                )
            texts = {name: document[name] for name in ("version", "commit", "site", "index", "key", "dump")}
            for name, text in texts.items():
                if not isinstance(text, str):
                    raise TypeError(f"its {name} is no text")  # noqa: TRY301 - reported as every other mistake
            return cls(
                site=ImageRef.parse(texts.pop("site")),
                index=ImageRef.parse(texts.pop("index")),
                **texts,
                components={str(name): str(digest) for name, digest in document["components"].items()},
                bases={str(name): str(digest) for name, digest in document["bases"].items()},
                counts={str(name): int(count) for name, count in document["counts"].items()},
                tests={
                    str(name): Suite(tests=int(each["tests"]), skipped=int(each["skipped"]))
                    for name, each in document["tests"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            cause = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise ReleaseError(
                f"this is no release record: {json.dumps(document)[:60]}",
                cause=cause,
                hint="see what the version's tag holds: git cat-file tag VERSION",
            ) from error

    @classmethod
    def from_json(cls, text: str) -> ReleaseRecord:
        """Return the record in a text; raises `ReleaseError` where it is none of this format."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise ReleaseError(f"this is no release record: {text[:60]!r}", cause=str(error)) from error
        return cls.from_dict(document)


def find_record_text(message: Iterable[str]) -> str | None:
    """Return the text of the record in the lines of a tag's message, None where there is none."""
    return next((line.removeprefix(TAG_PREFIX) for line in message if line.startswith(TAG_PREFIX)), None)


def find_record(message: Iterable[str]) -> ReleaseRecord | None:
    """Return the record in the lines of a tag's message; raises `ReleaseError` where it cannot be read."""
    text = find_record_text(message)
    return None if text is None else ReleaseRecord.from_json(text)


def canonical_json(document: Mapping[str, Any]) -> str:
    """Return a document as JSON that is always the same: sorted, without blanks, ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def sha256_digest(content: bytes) -> str:
    """Return the SHA-256 of these bytes as registries write it, sha256:..."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A published version: its record, the digest of the record's text, and the commit of its tag."""

    record: ReleaseRecord
    digest: str
    commit: str


def find_release(root: Path, version: str) -> Release:
    """Return a published version.

    Raises `ReleaseError` where the remote has no such tag, or where its tag carries no record that can be
    read.
    """
    tags = remote_tags(root, REMOTE, version)
    if version not in tags:
        raise ReleaseError(
            f"{REMOTE} has no version {version}",
            cause=f"published are: {', '.join(published_versions(root)[:5]) or 'none'}",
            hint="name one of them",
        )
    text = find_record_text(read_tag_messages(root, REMOTE, tags)[version])
    if text is None:
        raise _without_record(root, version, tags[version].commit)
    return Release(
        record=ReleaseRecord.from_json(text), digest=sha256_digest(text.encode()), commit=tags[version].commit
    )


def _without_record(root: Path, version: str, commit: str) -> ReleaseError:
    """Return what is told of a version whose tag carries no record."""
    published = {name: record for name, record in read_records(root).items() if record}
    newest = ", ".join(sorted(published, key=Version.parse, reverse=True)[:3])
    is_before = is_before_haybale(root, commit, published)
    return ReleaseError(
        f"{version} is from before haybale: its tag carries no release record"
        if is_before
        else f"the tag {version} carries no release record",
        cause="so it is not known what it is made of: it can be neither checked nor deployed"
        if is_before
        else "so it is not known what it is made of; `haybale pipeline --publish` writes one into each tag",
        hint=f"name a version with a record ({newest}), or release another one (`haybale pipeline --publish`)"
        if newest
        else "release a version (`haybale pipeline --publish`): that one can be checked and deployed",
    )


def is_before_haybale(root: Path, commit: str, records: Mapping[str, ReleaseRecord | None]) -> bool:
    """Return whether a commit is older than the first version with a record, or beside it.

    `records` are those of the published versions. A shallow clone, which cannot show that, counts as no.
    """
    published = [record for record in records.values() if record]
    if not published:
        return True
    first = min(published, key=lambda record: Version.parse(record.version))
    if git.is_ancestor(root, first.commit, commit):
        return False
    return not git.is_shallow(root)


def published_versions(root: Path) -> list[str]:
    """Return the versions whose tags are on the remote, the newest first."""
    return sorted(remote_versions(root, REMOTE), key=Version.parse, reverse=True)


def read_records(root: Path, *versions: str) -> dict[str, ReleaseRecord | None]:
    """Return the record of each published version (or of these), None where its tag carries none."""
    refs = (f"refs/tags/{version}" for version in versions)
    tags = find_versions(remote_refs(root, REMOTE, *(refs if versions else VERSION_REFS)))
    return {name: find_record(lines) for name, lines in read_tag_messages(root, REMOTE, tags).items()}


def keep_record(project: Project, record: ReleaseRecord) -> None:
    """Keep a record in the registry, under the version's name; the same record is kept as the same bytes.

    Raises `RegistryError`.
    """
    repository = Repository(ImageRef.parse(project.settings.registry))
    site = repository.manifest(record.site.digest or "")
    if site is None:
        raise RegistryError(f"{record.site} is not in the registry", hint="push it, and publish again")
    repository.put_blob(EMPTY)
    repository.put_blob(record.to_json().encode("ascii"))
    subject = {"mediaType": site.media_type, "digest": site.digest, "size": len(site.content)}
    content = record_manifest(record, subject)
    if not repository.put_manifest(f"{record.version}-{RECORD_SUFFIX}", content, MANIFEST_TYPE):
        _list_as_referrer(repository, site.digest, content)


def record_manifest(record: ReleaseRecord, subject: Mapping[str, Any]) -> bytes:
    """Return the manifest of a record that refers to the site's image, always the same bytes for the same."""
    document = record.to_json().encode("ascii")
    return canonical_json({
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": RECORD_TYPE,
        "config": {"mediaType": EMPTY_TYPE, "digest": sha256_digest(EMPTY), "size": len(EMPTY)},
        "layers": [{"mediaType": RECORD_TYPE, "digest": record.digest, "size": len(document)}],
        "subject": dict(subject),
        "annotations": {"org.opencontainers.image.version": record.version},
    }).encode("ascii")  # fmt: skip


def _list_as_referrer(repository: Repository, subject: str, content: bytes) -> None:
    """List a record where a registry without the referrers API is asked for them.

    Source: OCI distribution specification, "Referrers Tag Schema".
    """
    tag = subject.replace(":", "-", 1)
    found = repository.manifest(tag)
    listed = list(found.document.get("manifests", [])) if found else []
    own = {
        "mediaType": MANIFEST_TYPE, "digest": sha256_digest(content), "size": len(content),
        "artifactType": RECORD_TYPE,
    }  # fmt: skip
    if own not in listed:
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*listed, own]}
        repository.put_manifest(tag, canonical_json(index).encode("ascii"), INDEX_TYPE)


def read_kept_record(project: Project, version: str) -> ReleaseRecord | None:
    """Return the record that the registry has of a version, None where it has none; `RegistryError`."""
    repository = Repository(ImageRef.parse(project.settings.registry))
    found = repository.manifest(f"{version}-{RECORD_SUFFIX}")
    if found is None:
        return None
    layers = found.document.get("layers") or [{}]
    content = repository.blob(str(layers[0].get("digest", "")))
    if content is None:
        raise RegistryError(f"the record of {version} is incomplete in the registry", hint="publish it again")
    return ReleaseRecord.from_json(content.decode("utf-8", "replace"))
