"""What an index image says of itself by its labels: its key, its documents, and how they were verified."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from haybale.errors import UsageError
from haybale.image_ref import ImageRef, index_image
from haybale.images.store import open_store
from haybale.index.image import REPORT_LABEL, add_counts, read_advice, read_cores, read_serving
from haybale.index.key import KEY_LABEL, KEY_LENGTH, KEY_PATTERN, Key
from haybale.index.verification import VerificationReport
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project

# The beginning of a key that is enough to name it.
KEY_START = re.compile(rf"[0-9a-f]{{6,{KEY_LENGTH}}}")


@dataclass(frozen=True, kw_only=True)
class IndexContents:
    """An index image: its name, its key, its documents, and how they were verified.

    `cores` has the documents of each model (app.model -> count) of each core.
    `report` is None where an older haybale made the image; `advice` is how to index faster, `serving` what in
    Solr's configuration is not the site's.
    """

    image: ImageRef
    key: Key
    cores: Mapping[str, Mapping[str, int]]
    report: VerificationReport | None
    advice: tuple[str, ...]
    serving: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The documents of each model (app.model -> count), in all cores together."""
        return add_counts(self.cores)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `components` are those of `why --json`."""
        report = self.report
        return {
            "image": str(self.image),
            "key": self.key.value,
            "components": self.key.to_dict()["components"],
            "counts": self.counts,
            "cores": {core: dict(counts) for core, counts in self.cores.items()},
            "verification": report and {**report.to_dict(), "compared": report.compared},
            "advice": list(self.advice),
            "serving": list(self.serving),
        }


def read_contents(image: ImageRef, labels: Mapping[str, str]) -> IndexContents:
    """Return what an index image's labels say; raises `ConfigError`, `VerifyError` for unreadable ones."""
    report = labels.get(REPORT_LABEL)
    return IndexContents(
        image=image,
        key=Key.from_json(labels[KEY_LABEL]),
        cores=read_cores(labels),
        report=VerificationReport.from_json(report) if report else None,
        advice=read_advice(labels),
        serving=read_serving(labels),
    )


def find_index_image(project: Project, name: str) -> tuple[ImageRef, Mapping[str, str]]:
    """Return an index image's name and labels, from this engine or the registry.

    `name` is its key, the beginning of a key that this engine has, or the image's name. Raises `UsageError`
    where there is none, or it is not an index image.
    """
    repository = ImageRef.parse(project.settings.registry)
    keys = _keys_on_engine(repository)
    known = f"this engine has the keys {', '.join(keys)}" if keys else "this engine has no index image"
    hint = "give a key, or an image's name such as REGISTRY:solr-KEY"
    if KEY_START.fullmatch(name):
        matching = [name] if len(name) == KEY_LENGTH else [key for key in keys if key.startswith(name)]
        if len(matching) != 1:
            raise UsageError(
                f"{len(matching) or 'no'} index images on this engine have a key that begins with {name}",
                cause=known,
                hint="give more of it; a key that only the registry has is given whole",
            )
        image = index_image(repository, matching[0])
    else:
        image = ImageRef.parse(name)
    found, store = sdk.find_image(image), open_store(project)
    labels = found.labels if found else store.labels(image) if store.covers(image) else None
    if labels is None:
        where = "on this engine or in the registry" if store.is_shared else "on this engine"
        raise UsageError(f"there is no image {image} {where}", cause=known, hint=hint)
    if KEY_LABEL not in labels:
        cause = f"it has no label {KEY_LABEL}; {known}"
        raise UsageError(f"{image} is not an index image", cause=cause, hint=hint)
    return image, labels


def _keys_on_engine(repository: ImageRef) -> list[str]:
    prefix = index_image(repository, "").tag or ""
    keys = {tag.removeprefix(prefix) for tag in sdk.repository_tags(repository)}
    return sorted(key for key in keys if KEY_PATTERN.fullmatch(key))
