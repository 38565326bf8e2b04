"""The release record: everything that one version is made of, in one document.

Made by the pipeline when all of it is known, carried by the version's tag and kept in the registry beside the
images (docs/deploy.md). Pure: `releases.py` has the effects.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORMAT = 1

# What the registry calls it (OCI image specification, "Guidance for an artifact author").
MEDIA_TYPE = "application/vnd.haybale.release.v1+json"

# How the line of a tag's message begins that carries it.
LINE = "record: "


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What became of a suite's tests; all that ran passed, or there is no record."""

    tests: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class Record:
    """A release.

    `site` and `index` are its images, NAME@DIGEST; where there is no registry the digest is the engine's.
    `components` are the digests that the index key `key` is made of, by their names, `dump` the SHA-256 of
    what was dumped. `bases` has the digests of the base images "site" and "index" stand on, `counts` the
    documents of each model (app.model) that were verified, `tests` each suite's, empty where none ran.
    """

    version: str
    commit: str
    site: str
    index: str
    key: str
    components: Mapping[str, str]
    dump: str
    bases: Mapping[str, str]
    counts: Mapping[str, int]
    tests: Mapping[str, Suite]

    @property
    def document(self) -> str:
        """The record as JSON: sorted, without blanks, ASCII; one record has one text."""
        return json.dumps(
            {"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":"), ensure_ascii=True
        )

    @property
    def digest(self) -> str:
        """The SHA-256 (sha256:...) of the document."""
        return f"sha256:{hashlib.sha256(self.document.encode('ascii')).hexdigest()}"

    @property
    def line(self) -> str:
        """The line of the version's tag that carries it."""
        return LINE + self.document


def parse(text: str) -> Record:
    """Return the record that a document holds; raises `ReleaseError` where it is none of this format."""
    try:
        said: Any = json.loads(text)
        if said["format"] != FORMAT:
            raise ReleaseError(
                f"the release record has format {said['format']}, not {FORMAT}",
                cause="another version of haybale made it",
                hint="use a haybale that knows it",
            )
        return Record(
            version=_text(said, "version"),
            commit=_text(said, "commit"),
            site=_text(said, "site"),
            index=_text(said, "index"),
            key=_text(said, "key"),
            components=_texts(said, "components"),
            dump=_text(said, "dump"),
            bases=_texts(said, "bases"),
            counts={str(name): int(count) for name, count in said["counts"].items()},
            tests={
                str(name): Suite(tests=int(each["tests"]), skipped=int(each["skipped"]))
                for name, each in said["tests"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise ReleaseError(
            "this is no release record"
            if len(text) < len("{}")
            else f"this is no release record: {text[:60]}",
            cause=missing,
            hint="see what the version's tag holds: git cat-file tag VERSION",
        ) from error


def of_message(lines: Iterable[str]) -> Record | None:
    """Return the record that a version's tag carries, None where it carries none; `ReleaseError`."""
    found = [line.removeprefix(LINE) for line in lines if line.startswith(LINE)]
    return parse(found[0]) if found else None


def _text(said: Mapping[str, Any], name: str) -> str:
    if not isinstance(said[name], str):
        raise TypeError(f"its {name} is no text")
    return str(said[name])


def _texts(said: Mapping[str, Any], name: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in said[name].items()}
