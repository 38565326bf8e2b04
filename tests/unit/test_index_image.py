"""What an image's labels have to say before it is taken for the index of a key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.checkout import Checkout
from haybale.errors import VerifyError
from haybale.image_ref import ImageRef
from haybale.index.image import (
    CORES_LABEL,
    COUNTS_LABEL,
    VERIFIED,
    IndexImage,
    index_labels,
    is_verified,
    raise_if_not_of_key,
    read_cores,
    read_counts,
    remember_verified,
)
from haybale.index.key import KEY_LABEL, Component, Key
from haybale.index.verification import VerificationReport, VerifiedModel
from haybale.version import Version

if TYPE_CHECKING:
    from pathlib import Path

ONE = Key(value="1" * 32, components={"core": Component(name="core", digest="a" * 64, value="site")})
OTHER = Key(value="2" * 32, components={"core": Component(name="core", digest="b" * 64, value="other")})
CORES = {"site": {"app.model": 3}}
REPORT = VerificationReport(
    seed=7,
    whole=False,
    models=(
        VerifiedModel(
            alias="default", core="site", model="app.model",
            database=4, documents=3, skipped=1, found=3, queried=3, sample=2,
        ),
    ),
    cores=(),
    wrong=0,
    differences=(),
    not_comparable=("unseen",),
)  # fmt: skip


NAME = ImageRef.parse("r.example/site:solr-x")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    settings = config.Settings(name="site", registry="r.example/site", core="site")
    project = config.Project(root=tmp_path, settings=settings)
    return Checkout(project=project, env={}, version=Version(major=1, minor=2, patch=3), head=None)


def test_index_image_is_named_by_its_key(checkout: Checkout) -> None:
    assert str(checkout.index_image(ONE.value)) == f"r.example/site:solr-{'1' * 32}"


def test_raise_if_not_of_key_accepts_the_key_s_own_labels() -> None:
    labels = index_labels(ONE, CORES, REPORT)
    raise_if_not_of_key(NAME, labels, ONE)
    assert read_counts(labels) == {"app.model": 3}
    assert read_cores(labels) == CORES


def test_read_cores_keeps_each_core_s_counts_in_their_order() -> None:
    cores = {"en": {"app.model": 3, "app.word": 1}, "de": {"app.model": 2}}
    labels = index_labels(ONE, cores, REPORT)
    raise_if_not_of_key(NAME, labels, ONE)
    assert list(read_cores(labels).items()) == list(cores.items())
    assert read_counts(labels) == {"app.model": 5, "app.word": 1}


def test_read_cores_takes_the_key_s_core_for_an_image_without_the_label() -> None:
    labels = index_labels(ONE, CORES, REPORT)
    del labels[CORES_LABEL]
    raise_if_not_of_key(NAME, labels, ONE)
    assert read_cores(labels) == CORES


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        (index_labels(OTHER, CORES, REPORT), f"key {OTHER.value}, not {ONE.value}"),
        ({COUNTS_LABEL: '{"app.model":3}'}, "key none"),
        ({KEY_LABEL: ONE.to_json()}, "how many documents"),
        ({KEY_LABEL: ONE.to_json(), COUNTS_LABEL: "{}"}, "how many documents"),
        ({KEY_LABEL: ONE.to_json(), COUNTS_LABEL: "[1]"}, "how many documents"),
        ({KEY_LABEL: ONE.to_json(), COUNTS_LABEL: "nonsense"}, "how many documents"),
        ({**index_labels(ONE, CORES, REPORT), CORES_LABEL: '{"site":{"app.model":2}}'}, "contradict"),
        ({**index_labels(ONE, CORES, REPORT), CORES_LABEL: "nonsense"}, "contradict"),
        ({KEY_LABEL: "nonsense", COUNTS_LABEL: '{"app.model":3}'}, "cannot be read"),
        ({}, "key none"),
    ],
)
def test_raise_if_not_of_key_refuses_other_labels(labels: dict[str, str], cause: str) -> None:
    with pytest.raises(VerifyError, match="not the index that its name says") as refused:
        raise_if_not_of_key(NAME, labels, ONE)
    assert cause in refused.value.cause


def test_remember_verified_keeps_what_was_noted_before(checkout: Checkout) -> None:
    assert not is_verified(checkout, "sha256:a")
    remember_verified(checkout, "sha256:a")
    remember_verified(checkout, "sha256:b")
    assert is_verified(checkout, "sha256:a")
    assert is_verified(checkout, "sha256:b")
    assert [file.name for file in checkout.project.scratch.iterdir()] == [VERIFIED]


def test_is_verified_ignores_a_damaged_note(checkout: Checkout) -> None:
    remember_verified(checkout, "sha256:a")
    (checkout.project.scratch / VERIFIED).write_text(json.dumps({"a": 1})[:3], encoding="utf-8")
    assert not is_verified(checkout, "sha256:a")


def test_index_image_from_dict_reads_to_dict() -> None:
    image = IndexImage(name=NAME, id="sha256:a", cores=CORES, advice=("app.model: less",))
    document = json.loads(json.dumps(image.to_dict()))
    assert IndexImage.from_dict(document) == image
    assert document["counts"] == {"app.model": 3}
