"""Housekeeping: images of the registry and the engine that nothing published or deployed refers to.

What a record in use names is kept by its digest, not by its tag: who removes a manifest removes all its tags.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.images import refs
from haybale.release import deploy, publish, releases
from haybale.release import record as records
from haybale.release import version as versions
from haybale.release.version import is_version
from haybale.tools import docker
from haybale.tools.registry import Repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from haybale.config import Project
    from haybale.index import key as keys
    from haybale.release.record import Record

# The tags of build caches (refs.cache).
CACHES = re.compile(r"last(-.+)?")


# What a version that is checked out may have here.
LAYERS = ("release", "tester", "solr")


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


def look(project: Project, index_key: keys.Key) -> Unused:
    """Return what may go. Raises `ReleaseError` and `RegistryError` where something can't be asked."""
    records = in_use(project)
    kept = {refs.parse(refs.index(project.settings.registry, index_key.value)).tag}
    # What is being worked on here.
    current = str(versions.read(project.root, os.environ))
    kept |= {refs.parse(refs.step_tag(project.settings.registry, current, layer)).tag for layer in LAYERS}
    for record in records:
        kept |= {record.version, f"{record.version}-solr", f"{record.version}-{releases.LAYER}"}
        kept.add(refs.parse(refs.index(project.settings.registry, record.key)).tag)
    digests = {image.partition("@")[2] for record in records for image in (record.site, record.index)}
    remote: dict[str, str] = {}
    if not project.settings.local:
        repository = Repository(project.settings.registry)
        found = {tag: repository.digest(tag) for tag in repository.tags()}
        remote = {tag: digest for tag, digest in found.items() if digest}
    here = docker.tags(project.settings.registry)
    return Unused(registry=unused(remote, kept, digests), engine=unused(here, kept, digests))


def in_use(project: Project) -> list[Record]:
    """Return the records of every published version, and so of every environment's, now and before."""
    versions = set(releases.published(project))
    for name in project.settings.environments:
        at = deploy.look(project, name)
        for ref in (deploy.deploy_ref(name), deploy.last_ref(name)):
            there = deploy.read(project, at, ref)
            if there and is_version(there.version):
                versions.add(there.version)
    carried = {version: publish.annotation(project.root, publish.REMOTE, version) for version in versions}
    return [found for lines in carried.values() if (found := records.of_message(lines)) is not None]


def remove(project: Project, found: Unused) -> None:
    """Remove it; raises `RegistryError` where the registry does not allow that."""
    repository = Repository(project.settings.registry)
    for digest in sorted(set(found.registry.values())):
        repository.delete(digest)
    for tag in found.engine:
        docker.remove_image(f"{project.settings.registry}:{tag}")
