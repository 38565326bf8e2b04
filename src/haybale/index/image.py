"""The index image of a key: where it is, whether it is what it says, and how to get it.

`REGISTRY:solr-KEY` is written once and never again. Its labels and a count of its documents say what it
holds, not its name.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from haybale.errors import ConfigError, HaybaleError, VerifyError
from haybale.files import write_atomically
from haybale.image_ref import ImageRef
from haybale.index import bake
from haybale.index.key import KEY_LABEL, Key
from haybale.index.verification import counts_to_json
from haybale.tools import process
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.checkout import Checkout
    from haybale.images.store import ImageStore
    from haybale.index.verification import VerificationReport

# Labels of an index image (the key's own is `KEY_LABEL`), and of what a run removes again.
COUNTS_LABEL = "io.haybale.counts"
CORES_LABEL = "io.haybale.cores"
REPORT_LABEL = "io.haybale.verification"
ADVICE_LABEL = "io.haybale.advice"
SERVING_LABEL = "io.haybale.serving"
RUN_LABEL = "io.haybale.run"

# The file that lists the ids of images that were verified here, started as they are deployed, in haybale's
# folder.
VERIFIED = "verified-as-deployed.json"


@dataclass(frozen=True, kw_only=True)
class IndexImage:
    """An index image on this engine: its name, its id, and of each core its documents of each model.

    `cores` maps a core to a model (app.model) to its count, the site's first core first. `advice` is what
    would have made it quicker, a sentence each.
    """

    name: ImageRef
    id: str
    cores: Mapping[str, Mapping[str, int]]
    advice: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[str, int]:
        """The documents of each model (app.model -> count), in all cores together."""
        return add_counts(self.cores)

    def to_dict(self) -> dict[str, Any]:
        """Return the image as plain values."""
        return {**asdict(self), "name": str(self.name), "counts": self.counts, "advice": list(self.advice)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the image that `to_dict` gave."""
        name, advice = ImageRef.parse(document["name"]), tuple(document["advice"])
        return cls(name=name, id=document["id"], cores=document["cores"], advice=advice)


def add_counts(cores: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return the documents of each model, in all cores together."""
    total: Counter[str] = Counter()
    for counts in cores.values():
        total.update(counts)
    return dict(total)


def find_local_image(checkout: Checkout, key: Key) -> IndexImage | None:
    """Return the key's index image where this engine has it; `VerifyError` where it is not the key's."""
    name = checkout.index_image(key.value)
    image = sdk.find_image(name)
    if image is None:
        return None
    raise_if_not_of_key(name, image.labels, key)
    cores, advice = read_cores(image.labels), read_advice(image.labels)
    return IndexImage(name=name, id=image.id, cores=cores, advice=advice)


def find_verified_image(checkout: Checkout, key: Key) -> IndexImage | None:
    """Return the key's index image where this engine has it and it was verified here; else None."""
    image = find_local_image(checkout, key)
    return image if image is not None and is_verified(checkout, image.id) else None


def verify_index_image(checkout: Checkout, image: IndexImage, run: str | None = None) -> None:
    """Start an image once and compare its counts with its label's, unless it was verified here before.

    Raises `VerifyError`, `ServiceError`.
    """
    if is_verified(checkout, image.id):
        return
    run = run or secrets.token_hex(4)
    try:
        is_closed = checkout.settings.index.is_closed
        bake.verify_image(image.id, image.cores, {RUN_LABEL: run}, is_closed=is_closed)
    finally:
        with process.uninterrupted():
            sdk.remove_labelled(RUN_LABEL, run)
    remember_verified(checkout, image.id)


def pull_index_image(checkout: Checkout, key: Key, store: ImageStore, run: str | None = None) -> IndexImage:
    """Pull the key's index image, and verify label and counts before it is used.

    Raises `VerifyError` where it is not what its name says; it loses that name here then.
    """
    name = checkout.index_image(key.value)
    store.pull(name)
    try:
        image = find_local_image(checkout, key)
        if image is None:
            cause = "the engine has no image of that name now"
            raise VerifyError(f"{name} was pulled and is missing", cause=cause, hint="try again")
        verify_index_image(checkout, image, run)
    except HaybaleError:
        sdk.remove_image(name)
        raise
    return image


def is_verified(checkout: Checkout, identity: str) -> bool:
    """Return whether an image (by its id) was verified here."""
    return identity in _read_verified(checkout)


def remember_verified(checkout: Checkout, identity: str) -> None:
    """Note that an image was verified here."""
    identities = sorted({*_read_verified(checkout), identity})
    write_atomically(checkout.project.scratch / VERIFIED, json.dumps(identities))


def read_counts(labels: Mapping[str, str]) -> Mapping[str, int]:
    """Return the counts (app.model -> documents in all cores) of an index image's labels; {} for none."""
    try:
        return {str(model): int(count) for model, count in json.loads(labels[COUNTS_LABEL]).items()}
    except (KeyError, ValueError, AttributeError):
        return {}


def read_cores(labels: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Return the counts of each core that an index image's labels carry; {} for none.

    An older haybale's image has one core, which its key names.
    """
    try:
        if CORES_LABEL not in labels:
            core = Key.from_json(labels[KEY_LABEL]).components["core"].content
            return {core: dict(read_counts(labels))}
        return {
            str(core): {str(model): int(count) for model, count in counts.items()}
            for core, counts in json.loads(labels[CORES_LABEL]).items()
        }
    except (KeyError, ValueError, AttributeError, ConfigError):
        return {}


def read_advice(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return what an index image's labels say would have made it quicker; () for nothing."""
    return _read_sentences(labels, ADVICE_LABEL)


def read_serving(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return what in an index image's configuration is not the site's, by its labels; () for nothing."""
    return _read_sentences(labels, SERVING_LABEL)


def _read_sentences(labels: Mapping[str, str], label: str) -> tuple[str, ...]:
    try:
        return tuple(str(each) for each in json.loads(labels[label]))
    except (KeyError, ValueError, TypeError):
        return ()


def index_labels(
    key: Key,
    cores: Mapping[str, Mapping[str, int]],
    report: VerificationReport,
    advice: Sequence[str] = (),
    serving: Sequence[str] = (),
) -> dict[str, str]:
    """Return the labels that an index image carries."""
    return {
        ADVICE_LABEL: json.dumps(list(advice)),
        SERVING_LABEL: json.dumps(list(serving)),
        KEY_LABEL: key.to_json(),
        COUNTS_LABEL: counts_to_json(add_counts(cores)),
        CORES_LABEL: json.dumps(cores, separators=(",", ":")),
        REPORT_LABEL: report.to_json(),
    }


def raise_if_not_of_key(name: ImageRef, labels: Mapping[str, str], key: Key) -> None:
    """Raise `VerifyError` where an image's labels are not those of the key's index image."""
    cause = _find_mismatch(labels, key)
    if cause:
        raise VerifyError(
            f"{name} is not the index that its name says",
            cause=cause,
            hint=f"remove that image (docker image rm {name}, or from the registry) and try again",
        )


def _find_mismatch(labels: Mapping[str, str], key: Key) -> str | None:
    document = labels.get(KEY_LABEL)
    try:
        found = Key.from_json(document).value if document else "none"
    except ConfigError as error:
        return f"its label {KEY_LABEL} cannot be read: {error.message}"
    if found != key.value:
        return f"its labels say key {found}, not {key}"
    if not read_counts(labels):
        return "its labels do not say how many documents it holds"
    if +Counter(read_counts(labels)) != +Counter(add_counts(read_cores(labels))):
        return "its labels contradict each other on how many documents it holds"
    return None


def _read_verified(checkout: Checkout) -> frozenset[str]:
    try:
        return frozenset(json.loads((checkout.project.scratch / VERIFIED).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()
