"""The environment that tests: the release image, the baked index, the tests beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from haybale.dump.service import database_variables, unpack_dump
from haybale.errors import BuildError
from haybale.images.build import ensure_stage
from haybale.images.stack import RELEASE_START, compose_project, creates_containers, last_compose_project
from haybale.index.image import find_local_image, read_cores
from haybale.index.key import compute_key
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from haybale.checkout import Checkout
    from haybale.image_ref import ImageRef
    from haybale.tools.engine.compose import Compose

KIND = "ci"

# The stages that are under test together: what is released, and what tests it.
TESTED_STAGES = ("release", "tester")


def prepare_test_stack(
    checkout: Checkout, run: str | None, index_image: ImageRef, say: Callable[[str], None]
) -> Compose:
    """Return the services that test the built stages around an index image, of a run or a developer's own."""
    unpacked = unpack_dump(checkout.project)
    release = sdk.find_image(checkout.stage_image("release"))
    variables = {
        "HAYBALE_CORE": next(iter(find_cores(index_image)), ""),
        "HAYBALE_RELEASE_IMAGE": str(checkout.stage_image("release")),
        **({RELEASE_START: json.dumps(release.start)} if release else {}),
        "HAYBALE_TESTER_IMAGE": str(checkout.stage_image("tester")),
        "HAYBALE_SOLR_BAKED_IMAGE": str(index_image),
        **database_variables(checkout, unpacked, say),
    }
    return compose_project(checkout.project, KIND, run, variables, checkout.env)


def find_cores(index_image: ImageRef) -> tuple[str, ...]:
    """Return the cores of an index image on this engine, the site's first one first."""
    image = sdk.find_image(index_image)
    return tuple(read_cores(image.labels if image else {}))


def run_ci_compose(checkout: Checkout, arguments: Sequence[str], say: Callable[[str], None]) -> int:
    """Run docker compose on the environment that tests; return its exit code."""
    if not creates_containers(arguments):
        return last_compose_project(checkout.project, KIND, checkout.env).run_attached(arguments or ["ps"])
    key = compute_key(checkout.project)
    baked = find_local_image(checkout, key)
    if baked is None:
        raise BuildError(
            f"there is no image {checkout.index_image(key.value)}",
            cause="this engine has no index of these inputs (`haybale why`)",
            hint="`haybale test`, or `haybale regen-solr-image`",
        )
    for stage in TESTED_STAGES:
        ensure_stage(checkout, stage, say)
    services = prepare_test_stack(checkout, None, baked.name, say)
    services.write_files()
    return services.run_attached(arguments)
