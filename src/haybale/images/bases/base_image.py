"""A base image: the engine's, else pulled, else built from packages under the same name.

It is built only where no registry can be reached or has it. A refused login or a rate limit is an error: the
image exists, and something else would take its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from haybale.errors import BuildError
from haybale.images.bases import packages
from haybale.images.transfer import PullError, PullRefusal, pull_image
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from haybale.image_ref import ImageRef


@dataclass(frozen=True, kw_only=True)
class BaseImage:
    """A base image on the engine: its name, its digest (its id where no registry has it), its origin."""

    name: ImageRef
    digest: str
    origin: Literal["local", "pulled", "packages"]


def ensure_base_image(
    name: ImageRef, kind: str, env: Mapping[str, str], say: Callable[[str], None]
) -> BaseImage:
    """Make sure that a base image is on the engine; `env` says how this machine reaches packages.

    `kind` is the name of its setting: python, solr, or that of a database's server. Raises `BuildError` where
    it can be neither pulled nor built, `PrerequisiteError` where no engine answers.
    """
    found = sdk.find_image(name)
    if found is not None:
        return BaseImage(name=name, digest=found.digest, origin="local")
    say(f"pulling {name}")
    refusal = _pull(name, kind)
    if refusal is None:
        return BaseImage(name=name, digest=_find_made(name).digest, origin="pulled")
    say(f"{refusal.value}; building {name} from packages (about a minute)")
    packages.build_base_image(name, kind, env, say)
    return BaseImage(name=name, digest=_find_made(name).digest, origin="packages")


def _pull(name: ImageRef, kind: str) -> PullRefusal | None:
    """Pull an image; return why that was not possible where it can be built instead, and raise otherwise."""
    try:
        pull_image(name)
    except PullError as error:
        if error.refusal not in {PullRefusal.UNREACHABLE, PullRefusal.ABSENT}:
            raise
        buildable = packages.buildable_images(kind)
        if str(name) not in buildable:
            error.cause += f"\nhaybale can build only {', '.join(buildable) or 'others'} from packages"
            error.hint = f"load the image (docker load), or set {kind.upper()}_IMAGE to one of these"
            raise
        return error.refusal
    return None


def _find_made(name: ImageRef) -> sdk.ImageInfo:
    found = sdk.find_image(name)
    if found is None:
        raise BuildError(
            f"{name} was made and is missing",
            cause="the engine has no image of that name now",
            hint="try again",
        )
    return found
