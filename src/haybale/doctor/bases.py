"""The base images of a site: named by tag, which may be another image tomorrow, or by digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.doctor.finding import Diagnosis
from haybale.errors import HaybaleError
from haybale.image_ref import ImageRef
from haybale.images.bases.packages import LABEL
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from haybale.config import Project


def examine_bases(project: Project) -> Diagnosis:
    """Tell how each base image is named, and the name with the digest of what the engine has by that."""
    images = project.settings.images
    names = [ImageRef.parse(name) for name in (images.python, images.solr, images.postgres)]
    return Diagnosis(
        subject="base images", seen=", ".join(describe_base(each, find_digest(each)) for each in names)
    )


def find_digest(name: ImageRef) -> str | None:
    """Return the digest that a registry has an image of the engine by; None where neither is known."""
    try:
        found = sdk.find_image(name)
    except HaybaleError:
        return None  # what is wrong with the engine is said of the engine
    # What was made of packages here, no other machine finds.
    if found is None or LABEL in found.labels:
        return None
    return min(found.digests, default=None)


def describe_base(name: ImageRef, digest: str | None) -> str:
    """Return how a base image is named, and how it would be by digest where that is known."""
    if name.digest:
        return f"{name} (by digest)"
    return f"{name} (by tag; by digest it is {name}@{digest})" if digest else f"{name} (by tag)"
