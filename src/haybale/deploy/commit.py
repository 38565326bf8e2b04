"""What a deployment points at: the version's commit, with the digests of its images written into it.

Flux applies what the commit behind ENV/deploy holds. That cannot be the version's own commit: its images were
built from it, so it cannot name their digests. A deployment commit has just that to add (docs/adr/0020).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from haybale.image_ref import ImageRef
from haybale.tools import git

if TYPE_CHECKING:
    from haybale.config import Project

# The manifests that haybale writes; a brace is written twice.
TEMPLATES = Path(__file__).with_name("templates")

# An image that does not exist: manifests that nobody has deployed cannot run anything.
NO_IMAGE = ImageRef(domain="haybale.invalid", path="none", digest=f"sha256:{'0' * 64}")


def fill_template(template: str, /, **values: str | None) -> str:
    """Return the text of a file in templates/ with these values in the places of their names."""
    return (TEMPLATES / template).read_text(encoding="utf-8").format(**values)


def images_file(project: Project, environment: str) -> str:
    """Return the file of an environment's overlay that says which images run there, from the root."""
    return f"{project.settings.flux.folder}/overlays/{environment}/images/kustomization.yaml"


def render_images_file(version: str, *, site: ImageRef, index: ImageRef) -> str:
    """Return that file's text for these images, which have digests."""
    return fill_template(
        "images.yaml",
        version=version,
        site_name=site.repository, site_digest=site.digest,
        index_name=index.repository, index_digest=index.digest,
    )  # fmt: skip


def placeholder_images_file() -> str:
    """Return that file's text as it is on branches: without images."""
    return render_images_file("none", site=NO_IMAGE, index=NO_IMAGE)


def make_deployment_commit(
    project: Project, *, commit: str, version: str, environment: str, site: ImageRef, index: ImageRef
) -> str:
    """Return the commit that deploys a version's commit to an environment, made where it is missing.

    The same arguments give the same commit on every machine. No ref points to it, and nothing is pushed. It
    is the version's own commit where that has no file to write the digests into. Raises `PrerequisiteError`
    where the version's commit is not in this clone.
    """
    path = images_file(project, environment)
    if git.read_file_at(project.root, commit, path) is None:
        return commit
    text = render_images_file(version, site=site, index=index)
    message = f"Deploy {version} to {environment}\n\nThe images are those of its release record."
    return git.create_commit(project.root, commit, path, text, message)
