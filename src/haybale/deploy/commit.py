"""What a deployment points at: the version's commit, with the digests of its images written into it.

Flux applies what the commit behind ENV/deploy holds. That can't be the version's own commit: its images were
built from it, so it can't name their digests. A deployment commit has just that to add (docs/adr/0020).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.image_ref import ImageRef
from haybale.tools import git

if TYPE_CHECKING:
    from haybale.config import Project

# What the manifests call the two images.
SITE, INDEX = "haybale-site", "haybale-index"

# A name and a digest that no image has: manifests that nobody has deployed can't run anything.
NOTHING = f"haybale.invalid/none@sha256:{'0' * 64}"

TEXT = """\
# Written by haybale. On branches the images are none; a deployment has those of its version's release record.
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
labels:
  - pairs:
      app.kubernetes.io/version: {version}
images:
  - name: haybale-index
    newName: {index_name}
    digest: {index_digest}
  - name: haybale-site
    newName: {site_name}
    digest: {site_digest}
"""


def file(project: Project, environment: str) -> str:
    """Return the file of an environment's overlay that says which images run there, from the root."""
    return f"{project.settings.flux.folder}/overlays/{environment}/images/kustomization.yaml"


def text(version: str, *, site: str, index: str) -> str:
    """Return that file for these images (NAME@DIGEST)."""
    ours, solr = ImageRef.parse(site), ImageRef.parse(index)
    return TEXT.format(
        version=version,
        site_name=ours.repository, site_digest=ours.digest,
        index_name=solr.repository, index_digest=solr.digest,
    )  # fmt: skip


def unpinned() -> str:
    """Return that file as it is on branches: there is no image behind it."""
    return text("none", site=NOTHING, index=NOTHING)


def pinned(project: Project, *, commit: str, version: str, environment: str, site: str, index: str) -> str:
    """Return the commit that deploys a version's commit to an environment, made where it is missing.

    `site` and `index` are its images, as NAME@DIGEST. The same arguments give the same commit on every
    machine. No ref points to it, and nothing is pushed. It is the version's own commit where that has no
    file to write the digests into. Raises `PrerequisiteError` where the version's commit is not here.
    """
    path = file(project, environment)
    if git.read_file_at(project.root, commit, path) is None:
        return commit
    message = f"Deploy {version} to {environment}\n\nThe images are those of its release record."
    return git.create_commit(project.root, commit, path, text(version, site=site, index=index), message)
