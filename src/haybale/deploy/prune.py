"""Housekeeping: images of the registry and the engine that nothing published or deployed refers to.

What a record in use names is kept by its digest, not by its tag: who removes a manifest removes all its tags.
Where it can't be told what is in use, nothing may go.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.deploy import tags as deploy
from haybale.errors import ReleaseError
from haybale.image_ref import ImageRef, index_image, stage_image
from haybale.release import releases
from haybale.release.remote import REMOTE, remote_refs
from haybale.tools.engine import sdk
from haybale.tools.registry.client import Repository
from haybale.version import Version, is_version, read_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from haybale.config import Project
    from haybale.index.key import Key

# The tags of build caches (`cache_images`).
CACHES = re.compile(r"last(-.+)?")

# What a version has, here and in the registry.
LAYERS = ("release", "tester", "solr", releases.LAYER)


@dataclass(frozen=True, kw_only=True)
class InUse:
    """What stays: versions, and the index keys and the digests of images that their records name."""

    versions: frozenset[str]
    keys: frozenset[str]
    digests: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Unused:
    """What may go: tags of the registry with their digests, and names on this engine with their ids."""

    registry: Mapping[str, str]
    engine: Mapping[str, str]


def unused(tags: Mapping[str, str], kept: Iterable[str], digests: Iterable[str]) -> dict[str, str]:
    """Return the tags (tag -> digest) that may go: not `kept`, and of no digest that is in use.

    A digest that one kept tag has is in use for all its tags. Tags of build caches stay, and so do those by
    which a registry lists what refers to an image in use.
    """
    named = set(kept)
    used = set(digests) | {digest for tag, digest in tags.items() if tag in named}
    listed = {digest.replace(":", "-", 1) for digest in used}
    return {
        tag: digest
        for tag, digest in tags.items()
        if digest not in used and tag not in listed and not CACHES.fullmatch(tag)
    }


def look(project: Project, index_key: Key) -> Unused:
    """Return what may go. Raises `ReleaseError` and `RegistryError` where something can't be asked."""
    registry = project.settings.registry
    used = in_use(project)
    here = sdk.repository_tags(registry)
    remote: dict[str, str] = {}
    repository = Repository(registry)
    if not project.settings.local:
        found = {tag: repository.digest(tag) for tag in repository.tags()}
        remote = {tag: digest for tag, digest in found.items() if digest}
    # What is being worked on: the version that is checked out, and those on their way to be published.
    kept = {str(read_version(project.root, os.environ)), *used.versions, *_coming({*remote, *here}, used)}
    images = ImageRef.parse(registry)
    names = {stage_image(images, version, layer) for version in kept for layer in LAYERS}
    names |= {index_image(images, key) for key in {index_key.value, *used.keys}}
    tags = {name.tag for name in names if name.tag}
    digests = used.digests | {remote[tag] for tag in tags if tag in remote}
    if remote:
        digests |= set(_parts(repository, digests & {*remote.values(), *used.digests}))
    return Unused(registry=unused(remote, tags, digests), engine=unused(here, tags, digests))


def _coming(tags: Iterable[str], used: InUse) -> set[str]:
    """Return the versions among the tags that are newer than every one that was published."""
    newest = max(map(Version.parse, used.versions), default=None)
    found = {tag for tag in tags if is_version(tag)}
    return {tag for tag in found if newest is None or Version.parse(tag) > newest}


def _parts(repository: Repository, digests: Iterable[str]) -> Iterator[str]:
    """Yield the digests of the manifests that images of several platforms are made of."""
    for digest in digests:
        found = repository.manifest(digest)
        for each in found.document.get("manifests", []) if found else ():
            yield str(each["digest"])


def in_use(project: Project) -> InUse:
    """Return what was published, and what environments run and ran before, declared ones or not.

    Raises `ReleaseError` where git's remote does not answer, or where it can't be told what an environment
    runs.
    """
    published = releases.every(project)
    found = [record for record in published.values() if record is not None]
    return InUse(
        versions=frozenset({*published, *_deployed(project)}),
        keys=frozenset(record.key for record in found),
        digests=frozenset(
            image.partition("@")[2] for record in found for image in (record.site, record.index)
        ),
    )


def _deployed(project: Project) -> Iterator[str]:
    """Yield the versions that the remote's tags of environments have."""
    there = remote_refs(project.root, REMOTE, "refs/tags/*/deploy")
    for ref in there:
        if ref.endswith("^{}"):
            continue
        deployed = deploy.read(project, there, ref)
        if deployed is None or not is_version(deployed.version):
            name = ref.removeprefix("refs/tags/")
            raise ReleaseError(
                f"what {name} runs is not known, so nothing may go",
                cause=f"the tag {name} is none of haybale's: somebody made it by hand",
                hint="deploy a version there, or remove the tag from the remote",
            )
        yield deployed.version


def remove(project: Project, index_key: Key, found: Unused) -> Unused:
    """Remove what was found, except what came into use meanwhile; return what was removed.

    Raises `ReleaseError`, and `RegistryError` where the registry does not allow that.
    """
    now = look(project, index_key)
    gone = Unused(
        registry={tag: digest for tag, digest in found.registry.items() if now.registry.get(tag) == digest},
        engine={tag: digest for tag, digest in found.engine.items() if now.engine.get(tag) == digest},
    )
    repository = Repository(project.settings.registry)
    for digest in sorted(set(gone.registry.values())):
        repository.delete(digest)
    for tag in gone.engine:
        sdk.remove_image(f"{project.settings.registry}:{tag}")
    return gone
