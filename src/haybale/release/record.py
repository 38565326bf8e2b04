"""The release record: everything that one version is made of, in one document.

Made by the pipeline when all of it is known, carried by the version's tag and kept in the registry beside the
images (docs/deploy.md).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import ConfigError, ReleaseError
from haybale.image_ref import ImageRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT_VERSION = 1

# How the line of a tag's message begins that carries a record.
TAG_PREFIX = "record: "


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
                    raise TypeError(f"its {name} is no text")  # noqa: TRY301 - told as every other mistake
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
