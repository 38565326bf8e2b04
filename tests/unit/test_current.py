"""What an image's labels have to say before it is taken for the index of a key."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.errors import VerifyError
from haybale.index import image as current
from haybale.index.key import KEY_LABEL, Component, Key
from haybale.index.verification import VerificationReport, VerifiedModel

if TYPE_CHECKING:
    from pathlib import Path

ONE = Key(value="1" * 32, components={"core": Component(name="core", digest="a" * 64, value="site")})
OTHER = Key(value="2" * 32, components={"core": Component(name="core", digest="b" * 64, value="other")})
COUNTS = {"app.model": 3}
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


@pytest.fixture
def project(tmp_path: Path) -> config.Project:
    settings = config.Settings(name="site", registry="r.example/site", core="site")
    return config.Project(root=tmp_path, settings=settings)


def test_an_index_image_is_named_by_its_key(project: config.Project) -> None:
    assert current.name(project, ONE) == f"r.example/site:solr-{'1' * 32}"


def test_the_labels_of_the_key_s_own_image_pass() -> None:
    labels = current.labels(ONE, COUNTS, REPORT)
    current.check("image", labels, ONE)
    assert current.counts_of(labels) == COUNTS


@pytest.mark.parametrize(
    ("labels", "cause"),
    [
        (current.labels(OTHER, COUNTS, REPORT), f"key {OTHER.value}, not {ONE.value}"),
        ({current.COUNTS_LABEL: '{"app.model":3}'}, "key none"),
        ({KEY_LABEL: ONE.to_json()}, "how many documents"),
        ({KEY_LABEL: ONE.to_json(), current.COUNTS_LABEL: "{}"}, "how many documents"),
        ({KEY_LABEL: ONE.to_json(), current.COUNTS_LABEL: "[1]"}, "how many documents"),
        ({KEY_LABEL: ONE.to_json(), current.COUNTS_LABEL: "nonsense"}, "how many documents"),
        ({KEY_LABEL: "nonsense", current.COUNTS_LABEL: '{"app.model":3}'}, "can't be read"),
        ({}, "key none"),
    ],
)
def test_other_labels_do_not(labels: dict[str, str], cause: str) -> None:
    with pytest.raises(VerifyError, match="not the index that its name says") as refused:
        current.check("image", labels, ONE)
    assert cause in refused.value.cause


def test_what_was_proved_is_remembered_and_nothing_is_forgotten(project: config.Project) -> None:
    assert not current.is_proved(project, "sha256:a")
    current.remember(project, "sha256:a")
    current.remember(project, "sha256:b")
    assert current.is_proved(project, "sha256:a")
    assert current.is_proved(project, "sha256:b")
    assert [file.name for file in project.scratch.iterdir()] == ["proved.json"]


def test_a_damaged_note_proves_nothing(project: config.Project) -> None:
    current.remember(project, "sha256:a")
    (project.scratch / "proved.json").write_text(json.dumps({"a": 1})[:3], encoding="utf-8")
    assert not current.is_proved(project, "sha256:a")
