"""What a deployment points at: the version's commit, with the digests of its images written into it.

Flux applies what the commit behind ENV/deploy holds. That cannot be the version's own commit: its images were
built from it, so it cannot name their digests. A deployment commit has just that to add (docs/adr/0020).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from haybale.config import FluxSettings
from haybale.errors import ConfigError
from haybale.image_ref import ImageRef
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haybale.config import Project

# The manifests that haybale writes; a brace is written twice.
TEMPLATES = Path(__file__).with_name("templates")

# What `helm create` calls the site's image, and the same for Solr's.
CHART_VALUES: Mapping[str, str] = {
    "image.repository": "{site_repository}",
    "image.tag": "{site_tag}",
    "solr.image.repository": "{index_repository}",
    "solr.image.tag": "{index_tag}",
}

# An image that does not exist: manifests that nobody has deployed cannot run anything.
NO_IMAGE = ImageRef(domain="haybale.invalid", path="none", digest=f"sha256:{'0' * 64}")


def fill_template(template: str, /, **values: str | None) -> str:
    """Return the text of a file in templates/ with these values in the places of their names."""
    return (TEMPLATES / template).read_text(encoding="utf-8").format(**values)


def overlay_folder(flux: FluxSettings, environment: str) -> str:
    """Return the folder that Flux applies for an environment, from the root."""
    return for_environment(flux.overlay or f"{flux.folder}/overlays/{{environment}}", environment)


def for_environment(path: str, environment: str) -> str:
    """Return a path of the settings for an environment."""
    return path.replace("{environment}", environment)


def images_file(project: Project, environment: str) -> str:
    """Return the file that says which images run in an environment, from the root.

    That is a component of Kustomize's in its overlay, or a file of values for a Helm chart.
    """
    flux = project.settings.flux
    if flux.chart:
        return f"{flux.folder}/images/{environment}.yaml"
    return f"{overlay_folder(flux, environment)}/images/kustomization.yaml"


def render_images_file(
    version: str, *, site: ImageRef, index: ImageRef, flux: FluxSettings | None = None
) -> str:
    """Return that file's text for these images, which have digests.

    Raises `ConfigError` where `flux.values` names a value that is a table for another one.
    """
    flux = flux or FluxSettings()
    if flux.chart:
        return _render_values(flux.values or CHART_VALUES, image_words(version, site=site, index=index))
    return fill_template(
        "images.yaml",
        version=version,
        site_image=flux.site_image, site_name=site.repository, site_digest=site.digest,
        index_image=flux.index_image, index_name=index.repository, index_digest=index.digest,
    )  # fmt: skip


def image_words(version: str, *, site: ImageRef, index: ImageRef) -> dict[str, str]:
    """Return what stands for each word of `flux.values`: {site_repository} and so on."""
    words = {"version": version}
    for name, image, tag in (("site", site, version), ("index", index, f"{version}-solr")):
        words |= {
            name: f"{image.repository}@{image.digest}",
            f"{name}_repository": image.repository,
            f"{name}_digest": str(image.digest),
            # Charts put a tag after a colon; with a digest behind it, only that counts.
            f"{name}_tag": f"{tag}@{image.digest}",
        }
    return words


def _render_values(values: Mapping[str, str], words: Mapping[str, str]) -> str:
    tree: dict[str, Any] = {}
    for name, text in sorted(values.items()):
        *above, last = name.split(".")
        table: Any = tree
        for part in above:
            table = table.setdefault(part, {}) if isinstance(table, dict) else None
        if not isinstance(table, dict) or last in table:
            raise ConfigError(
                f"flux.values: {name} cannot be set beside what is above or below it",
                cause="a value of a chart is either a text or a table",
                hint="name each value of the chart once, in [tool.haybale.flux.values]",
            )
        table[last] = text.format(**words)
    heading = "# Written by haybale. On branches the images are none; a deployment has those of its release."
    return "\n".join([heading, *_yaml_lines(tree, "")]) + "\n"


def _yaml_lines(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield f"{indent}{json.dumps(name)}:"
            yield from _yaml_lines(value, f"{indent}  ")
        else:
            yield f"{indent}{json.dumps(name)}: {json.dumps(value)}"


def placeholder_images_file(flux: FluxSettings | None = None) -> str:
    """Return that file's text as it is on branches: without images."""
    return render_images_file("none", site=NO_IMAGE, index=NO_IMAGE, flux=flux)


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
    text = render_images_file(version, site=site, index=index, flux=project.settings.flux)
    message = f"Deploy {version} to {environment}\n\nThe images are those of its release record."
    return git.create_commit(project.root, commit, path, text, message)
