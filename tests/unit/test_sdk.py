from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import docker.errors
import pytest
import requests

from haybale.errors import PrerequisiteError
from haybale.image_ref import ImageRef
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable

SITE = ImageRef.parse("localhost:5000/site")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that makes the engine's listing fail so many times."""

    def fail(times: int) -> None:
        left = [times]

        def images(_name: str, **_filters: Any) -> list[dict[str, Any]]:
            if left[0]:
                left[0] -= 1
                response = requests.Response()
                response.status_code = 404
                raise docker.errors.NotFound("404", response, "content digest sha256:1: not found")
            return [
                {"Id": "sha256:2", "RepoTags": [f"{SITE}:v1.0.0", "other:v2.0.0"], "RepoDigests": None},
                {"Id": "sha256:3", "RepoTags": [f"{SITE}:solr-k"], "RepoDigests": [f"{SITE}@sha256:4"]},
            ]

        monkeypatch.setattr(sdk, "client", lambda: SimpleNamespace(api=SimpleNamespace(images=images)))

    return fail


@pytest.mark.parametrize("times", [0, sdk.LISTING_ATTEMPTS - 1])
def test_repository_tags_asks_again_where_an_image_vanished_meanwhile(
    engine: Callable[[int], None], times: int
) -> None:
    engine(times)
    assert sdk.repository_tags(SITE) == {"v1.0.0": "sha256:2", "solr-k": "sha256:4"}


def test_repository_tags_never_takes_a_failed_listing_for_an_empty_one(engine: Callable[[int], None]) -> None:
    engine(sdk.LISTING_ATTEMPTS)
    with pytest.raises(PrerequisiteError, match="cannot list") as failure:
        sdk.repository_tags(SITE)
    assert failure.value.cause == "content digest sha256:1: not found"
