"""The index image of a key: where it is, whether it is what it says, and how to get it.

`REGISTRY:solr-KEY` is written once and never again. What it holds is judged by its labels and by counting,
not by its name.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, HaybaleError, VerifyError
from haybale.image_ref import ImageRef, index_image
from haybale.index import bake
from haybale.index.key import KEY_LABEL, Key
from haybale.index.verification import counts_to_json
from haybale.tools import process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from haybale.config import Project
    from haybale.index.verification import VerificationReport

# Labels of an index image (the key's own is `KEY_LABEL`), and of what a run leaves nowhere.
COUNTS_LABEL = "io.haybale.counts"
REPORT_LABEL = "io.haybale.verification"
ADVICE_LABEL = "io.haybale.advice"
RUN_LABEL = "io.haybale.run"


@dataclass(frozen=True, kw_only=True)
class IndexImage:
    """An index image on this engine: its name, its id, its documents of each model (app.model -> count).

    `advice` is what would have made it sooner, a sentence each.
    """

    name: str
    id: str
    counts: Mapping[str, int]
    advice: tuple[str, ...] = ()


def name(project: Project, index_key: Key) -> str:
    """Return the name that the index image of a key has."""
    return str(index_image(ImageRef.parse(project.settings.registry), index_key.value))


def local(project: Project, index_key: Key) -> IndexImage | None:
    """Return the key's index image where this engine has it and it has been proved here; else None."""
    found = on_engine(project, index_key)
    return found if found is not None and is_proved(project, found.id) else None


def on_engine(project: Project, index_key: Key) -> IndexImage | None:
    """Return the key's index image where this engine has it; `VerifyError` where it is not the key's."""
    reference = name(project, index_key)
    image = sdk.find_image(reference)
    return None if image is None else _read(reference, image, index_key)


def prove(project: Project, image: IndexImage, run: str = "") -> None:
    """Start an image once and compare its counts with its label's; an image that was proved here is believed.

    Raises `VerifyError`, `ServiceError`.
    """
    if is_proved(project, image.id):
        return
    run = run or secrets.token_hex(4)
    try:
        bake.verify_image(image.id, project.settings, image.counts, {RUN_LABEL: run})
    finally:
        with process.uninterrupted():
            sdk.remove_labelled(RUN_LABEL, run)
    remember(project, image.id)


def pull(project: Project, index_key: Key, fetch: Callable[[str], None], run: str = "") -> IndexImage:
    """Have the key's index image fetched, and check label and counts before it is used.

    `fetch` brings an image of that name to the engine. Raises `VerifyError` where what came is not what its
    name says; it loses that name here then.
    """
    reference = name(project, index_key)
    fetch(reference)
    try:
        image = on_engine(project, index_key)
        if image is None:
            raise VerifyError(f"{reference} was pulled and is not there", cause="somebody removed it")
        prove(project, image, run)
    except HaybaleError:
        sdk.remove_image(reference)
        raise
    return image


def is_proved(project: Project, identity: str) -> bool:
    """Return whether an image (by its id) was proved here."""
    return identity in _proved(project)


def remember(project: Project, identity: str) -> None:
    """Note that an image was proved here, whole or not at all."""
    file = _notes(project)
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    aside.write_text(json.dumps(sorted({*_proved(project), identity})), encoding="utf-8")
    aside.replace(file)


def counts_of(labels: Mapping[str, str]) -> Mapping[str, int]:
    """Return the counts (app.model -> documents) that an index image's labels carry; {} for none."""
    try:
        return {str(model): int(count) for model, count in json.loads(labels[COUNTS_LABEL]).items()}
    except (KeyError, ValueError, AttributeError):
        return {}


def advice_of(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return what an index image's labels say would have made it sooner; () for nothing."""
    try:
        return tuple(str(each) for each in json.loads(labels[ADVICE_LABEL]))
    except (KeyError, ValueError, TypeError):
        return ()


def labels(
    index_key: Key, counts: Mapping[str, int], report: VerificationReport, advice: Sequence[str] = ()
) -> dict[str, str]:
    """Return the labels that an index image carries."""
    return {
        ADVICE_LABEL: json.dumps(list(advice)),
        KEY_LABEL: index_key.to_json(),
        COUNTS_LABEL: counts_to_json(counts),
        REPORT_LABEL: report.to_json(),
    }


def _read(reference: str, image: sdk.ImageInfo, index_key: Key) -> IndexImage:
    check(reference, image.labels, index_key)
    return IndexImage(
        name=reference, id=image.id, counts=counts_of(image.labels), advice=advice_of(image.labels)
    )


def check(reference: str, found: Mapping[str, str], index_key: Key) -> None:
    """Raise `VerifyError` where an image's labels are not those of the key's index image."""
    cause = _wrong(found, index_key)
    if cause:
        raise VerifyError(
            f"{reference} is not the index that its name says",
            cause=cause,
            hint=f"remove that image (docker image rm {reference}, or from the registry) and try again",
        )


def _wrong(found: Mapping[str, str], index_key: Key) -> str:
    document = found.get(KEY_LABEL)
    try:
        said = Key.from_json(document).value if document else "none"
    except ConfigError as error:
        return f"its label {KEY_LABEL} can't be read: {error.message}"
    if said != index_key.value:
        return f"its labels say key {said}, not {index_key}"
    if not counts_of(found):
        return "its labels do not say how many documents it holds"
    return ""


def _notes(project: Project) -> Path:
    return project.scratch / "proved.json"


def _proved(project: Project) -> frozenset[str]:
    try:
        return frozenset(json.loads(_notes(project).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()
