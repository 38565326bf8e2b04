"""Both stores behave as `ImageStore` says: the registry's with a real one, the engine's with the engine."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from haybale import config
from haybale.errors import HaybaleError
from haybale.image_ref import ImageRef
from haybale.images.store import ImageStore, open_store
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("engine")]

LABELS = {"io.haybale.test": os.environ["HAYBALE_TEST_RUN"], "answer": "42"}
ABSENT = f"sha256:{'0' * 64}"


@pytest.fixture(params=[True, False], ids=["engine", "registry"])
def settings(request: pytest.FixtureRequest, registry: str) -> config.Settings:
    name = f"{registry}/store-{secrets.token_hex(4)}"
    return config.Settings(name="site", registry=name, core="site", local=request.param)


@pytest.fixture
def store(settings: config.Settings, root: Path) -> ImageStore:
    return open_store(config.Project(root=root, settings=settings))


@pytest.fixture
def build(settings: config.Settings) -> Iterator[Callable[[str, str], ImageRef]]:
    """Give a function that makes an image of a tag on the engine, with a text in it."""
    repository = ImageRef.parse(settings.registry)

    def make(tag: str, text: str) -> ImageRef:
        image = repository.with_tag(tag)
        labels = [word for label, value in LABELS.items() for word in ("--label", f"{label}={value}")]
        subprocess.run(
            ["docker", "buildx", "build", "--load", "--tag", str(image), *labels, "--provenance=false", "-"],
            input=f"FROM scratch\nCOPY <<EOF /text\n{text}\nEOF\n".encode(), capture_output=True, check=True,
        )  # fmt: skip
        return image

    yield make
    for tag in sdk.repository_tags(repository):
        sdk.remove_image(repository.with_tag(tag))


def test_an_absent_image_has_no_digest_and_no_labels(store: ImageStore, settings: config.Settings) -> None:
    repository = ImageRef.parse(settings.registry)
    for image in (repository.with_tag("none"), repository.with_digest(ABSENT)):
        assert not store.exists(image)
        assert store.digest(image) is None
        assert store.labels(image) is None
        for reach in (store.pull, lambda image: store.retag(image, repository.with_tag("other"))):
            with pytest.raises(HaybaleError):
                reach(image)


def test_a_pushed_image_is_found_by_its_tag_and_its_digest(
    store: ImageStore, build: Callable[[str, str], ImageRef]
) -> None:
    image = build("one", "a")
    digest = store.push(image)
    for name in (image, image.with_digest(digest)):
        assert store.covers(name)
        assert store.exists(name)
        assert store.digest(name) == digest
        assert (store.labels(name) or {}).items() >= LABELS.items()
    store.pull(image)
    found = sdk.find_image(image)
    assert found
    assert digest in {*found.digests, found.id}


def test_push_replaces_what_has_the_name(store: ImageStore, build: Callable[[str, str], ImageRef]) -> None:
    first = store.push(build("one", "a"))
    image = build("one", "b")
    assert store.push(image) == store.digest(image) != first


def test_push_first_returns_the_digest_of_the_store_s(
    store: ImageStore, build: Callable[[str, str], ImageRef]
) -> None:
    image = build("one", "a")
    assert store.push_first(image) == store.push_first(image) == store.digest(image)


@pytest.mark.parametrize("by_digest", [False, True])
def test_retag_gives_the_same_image_another_name(
    store: ImageStore, build: Callable[[str, str], ImageRef], *, by_digest: bool
) -> None:
    image = build("one", "a")
    digest = store.push(image)
    target = image.with_tag("two")
    assert store.retag(image.with_digest(digest) if by_digest else image, target) == digest
    assert store.digest(target) == digest


def test_only_the_registry_is_shared(store: ImageStore, settings: config.Settings) -> None:
    assert store.is_shared is not settings.local
    foreign = replace(ImageRef.parse(settings.registry), path="another/site", tag="one")
    assert store.covers(foreign) is settings.local
