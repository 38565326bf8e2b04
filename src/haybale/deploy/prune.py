"""Housekeeping: images of the registry and the engine that nothing published or deployed refers to.

What a record in use names is kept by its digest, not by its tag: who removes a manifest removes all its tags.
Where it is not known what is in use, nothing is removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.deploy.tags import is_from_before_haybale, last_ref, read_deployment
from haybale.errors import ReleaseError
from haybale.image_ref import index_image, stage_image
from haybale.images.store import open_store
from haybale.release.record import RECORD_SUFFIX, read_records
from haybale.release.remote import REMOTE, remote_refs
from haybale.tools.engine import sdk
from haybale.tools.registry.client import Repository
from haybale.version import FORM, Version, is_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.index.key import Key
    from haybale.release.record import ReleaseRecord

# The tags of build caches (`cache_images`).
CACHES = re.compile(r"last(-.+)?")

# How the tags of indexes look; and how those of a version's images and its pull requests' begin.
INDEX = re.compile(r"solr-[0-9a-f]+")
OF_VERSION = re.compile(rf"{FORM.pattern}(?=-|$)")

# What a version has, here and in the registry.
SUFFIXES = ("release", "tester", "solr", RECORD_SUFFIX)


@dataclass(frozen=True, kw_only=True)
class InUse:
    """What stays: versions, and the index keys and the digests of images that their records name.

    `first` is the first version with a record, None for none. Where something here is from before haybale
    (`has_older`), it is not known which images that needs.
    """

    versions: frozenset[str]
    keys: frozenset[str]
    digests: frozenset[str]
    first: Version | None
    has_older: bool


@dataclass(frozen=True, kw_only=True)
class UnusedImages:
    """What can be removed: tags of the registry with their digests, those of the engine with ids."""

    registry: Mapping[str, str]
    engine: Mapping[str, str]

    @property
    def count(self) -> int:
        """How many names that are."""
        return len(self.registry) + len(self.engine)


def select_unused(
    tags: Mapping[str, str], used_tags: Iterable[str], used_digests: Iterable[str]
) -> dict[str, str]:
    """Return the tags (tag -> digest) that can be removed: not in use, and of no digest that is.

    A digest that one tag in use has is in use for all its tags. Tags of build caches stay, and so do those by
    which a registry lists what refers to an image in use.
    """
    named = set(used_tags)
    used = set(used_digests) | {digest for tag, digest in tags.items() if tag in named}
    referrers = {digest.replace(":", "-", 1) for digest in used}
    return {
        tag: digest
        for tag, digest in tags.items()
        if digest not in used and tag not in referrers and not CACHES.fullmatch(tag)
    }


def find_unused(checkout: Checkout, key: Key) -> UnusedImages:
    """Return what can be removed; `key` is that of the index of what is checked out.

    Raises `ReleaseError` and `RegistryError` where something does not answer.
    """
    used = find_in_use(checkout.project)
    on_engine = sdk.repository_tags(checkout.repository)
    in_registry: dict[str, str] = {}
    repository = Repository(checkout.repository)
    if open_store(checkout.project).is_shared:
        found = {tag: repository.digest(tag) for tag in repository.tags()}
        in_registry = {tag: digest for tag, digest in found.items() if digest}
    # What is being worked on: the version that is checked out, and those on their way to be published.
    versions = {str(checkout.version), *used.versions, *_newer_versions({*in_registry, *on_engine}, used)}
    images = [stage_image(checkout.repository, version, each) for version in versions for each in SUFFIXES]
    images += [index_image(checkout.repository, each) for each in {key.value, *used.keys}]
    tags = {image.tag for image in images if image.tag}
    if used.has_older:
        tags |= {tag for tag in {*in_registry, *on_engine} if not is_haybales(tag, used.first)}
    digests = used.digests | {in_registry[tag] for tag in tags if tag in in_registry}
    if in_registry:
        digests |= set(_platform_digests(repository, digests & {*in_registry.values(), *used.digests}))
    return UnusedImages(
        registry=select_unused(in_registry, tags, digests), engine=select_unused(on_engine, tags, digests)
    )


def is_haybales(tag: str, first: Version | None) -> bool:
    """Return whether an image's tag is one that haybale gives, since its first version with a record."""
    if INDEX.fullmatch(tag):
        return True
    version = OF_VERSION.match(tag)
    return version is not None and first is not None and Version.parse(version[0]) >= first


def _newer_versions(tags: Iterable[str], used: InUse) -> set[str]:
    """Return the versions among the tags that are newer than every one that was published."""
    newest = max(map(Version.parse, used.versions), default=None)
    return {tag for tag in filter(is_version, tags) if newest is None or Version.parse(tag) > newest}


def _platform_digests(repository: Repository, digests: Iterable[str]) -> Iterator[str]:
    """Yield the digests of the manifests that images of several platforms are made of."""
    for digest in digests:
        found = repository.manifest(digest)
        for each in found.document.get("manifests", []) if found else ():
            yield str(each["digest"])


def find_in_use(project: Project) -> InUse:
    """Return what was published, and what environments run and ran before, declared ones or not.

    Raises `ReleaseError` where git's remote does not answer, or where it is not known what an environment
    runs, though haybale has deployed there.
    """
    published = read_records(project.root)
    records = [record for record in published.values() if record]
    deployed = list(_deployed_versions(project, published))
    images = [image for record in records for image in (record.site, record.index)]
    return InUse(
        versions=frozenset({*published, *filter(None, deployed)}),
        keys=frozenset(record.key for record in records),
        digests=frozenset(image.digest for image in images if image.digest),
        first=min((Version.parse(record.version) for record in records), default=None),
        has_older=None in [*published.values(), *deployed],
    )


def _deployed_versions(project: Project, records: Mapping[str, ReleaseRecord | None]) -> Iterator[str | None]:
    """Yield the versions that the remote's tags of environments have, None for one from before haybale."""
    refs = remote_refs(project.root, REMOTE, "refs/tags/*/deploy")
    found = {ref: read_deployment(project, refs, ref) for ref in refs if not ref.endswith("^{}")}
    for ref, deployment in found.items():
        version = deployment.version if deployment else None
        last = found.get(last_ref(ref.removeprefix("refs/tags/").removesuffix("/deploy")))
        if deployment and is_from_before_haybale(project, deployment, last, records):
            yield None
        elif version is None or not is_version(version):
            name = ref.removeprefix("refs/tags/")
            raise ReleaseError(
                f"what {name} runs is not known, so nothing is removed",
                cause=f"the tag {name} is none of haybale's: somebody made it by hand",
                hint="deploy a version there, or remove the tag from the remote",
            )
        else:
            yield version


def remove_unused(checkout: Checkout, key: Key, unused: UnusedImages) -> UnusedImages:
    """Remove what was found, except what came into use meanwhile; return what was removed.

    Raises `ReleaseError`, and `RegistryError` where the registry does not allow that.
    """
    now = find_unused(checkout, key)
    removed = UnusedImages(
        registry=dict(unused.registry.items() & now.registry.items()),
        engine=dict(unused.engine.items() & now.engine.items()),
    )
    repository = Repository(checkout.repository)
    for digest in sorted(set(removed.registry.values())):
        repository.delete(digest)
    for tag in removed.engine:
        sdk.remove_image(checkout.repository.with_tag(tag))
    return removed
