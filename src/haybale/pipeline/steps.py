"""What the steps of the pipeline do, and whether what one made is still there.

A step is a function from a run's context, and from what the steps before it made, to a result. The result is
written to the run's journal, and read back where the run resumes. Whether it is still there is looked up, not
assumed; that changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self

from haybale.errors import ReleaseError
from haybale.image_ref import ImageRef
from haybale.images.build import BASE_DIGEST, ensure_stage
from haybale.index.build import regenerate
from haybale.index.image import (
    IndexImage,
    find_local_image,
    find_verified_image,
    pull_index_image,
    verify_index_image,
)
from haybale.pipeline.context import Context, R, Result
from haybale.release.bump import ReleaseTree, VersionPart, make_release_tree, read_release_tree
from haybale.release.publish import is_published, push_version, raise_if_taken
from haybale.release.record import ReleaseRecord, Suite, keep_record, read_kept_record, read_records
from haybale.release.remote import REMOTE
from haybale.states import State
from haybale.testing.run import read_results, run_suites
from haybale.testing.stack import TESTED_STAGES
from haybale.tools.engine import sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The plain local name that untagSolrImage gives the index image.
PLAIN = ImageRef.parse("solr:latest")


@dataclass(frozen=True, kw_only=True)
class Step(Generic[R]):
    """A step: what it does, what it makes, and whether that is still there."""

    run: Callable[[Context], R]
    result: type[R]
    is_present: Callable[[Context, R], bool]


@dataclass(frozen=True, kw_only=True)
class NamedImages(Result):
    """Names of images on this engine, and the ids that they stand for; None where they are of no image."""

    images: Mapping[str, str | None]


class TestedImages(NamedImages):
    """All images that are tested together."""


@dataclass(frozen=True, kw_only=True)
class PassedTests(TestedImages):
    """The suites that passed on these images."""

    suites: Mapping[str, Suite]

    def to_dict(self) -> dict[str, Any]:
        """See `Result`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """See `Result`."""
        suites = {name: Suite(**each) for name, each in document["suites"].items()}
        return cls(images=document["images"], suites=suites)


@dataclass(frozen=True, kw_only=True)
class PublishedVersion(Result):
    """A version that others can see, its commit, and the images that were pushed: digests by name."""

    version: str
    commit: str
    images: Mapping[str, str]


def regenerate_index(context: Context) -> IndexImage:
    """Index the dump and bake the image; push it where that is asked for."""
    # A run that died may have come as far as the image, and not as far as writing that down.
    found = find_verified_image(context.checkout, context.key) if context.is_resumed else None
    if found is None:
        found = regenerate(context.checkout, context.key, context.terminal, run=context.run.name)
    return _share(context, found)


def pull_index(context: Context) -> IndexImage:
    """Get the index image from the engine or the registry, verified; push it where that is asked for."""
    found = find_local_image(context.checkout, context.key)
    if found is None:
        found = _pull(context)
    else:
        verify_index_image(context.checkout, found, context.run.name)
    return _share(context, found)


def _share(context: Context, made: IndexImage) -> IndexImage:
    """Push the index image where that is asked for; return what the registry has then."""
    if context.push_index:
        digest = context.store.push_first(made.name)
        here = sdk.find_image(made.name)
        if here is None or digest not in {*here.digests, here.id}:
            context.terminal.say(f"somebody else pushed {made.name} first: using theirs")
            return _pull(context)
    return made


def _pull(context: Context) -> IndexImage:
    return pull_index_image(context.checkout, context.key, context.store, context.run.name)


def is_index_present(context: Context, made: IndexImage) -> bool:
    """Return whether the engine has the index image, verified."""
    found = find_verified_image(context.checkout, context.key)
    return found is not None and found.id == made.id


def tag_index(context: Context, *, name: ImageRef | None = None) -> NamedImages:
    """Give the index image another name (None: the version's)."""
    name = name or context.built.stage_image("solr")
    sdk.tag_image(context.require(IndexImage).id, name)
    return NamedImages(images=_find_ids(name))


def is_tag_present(context: Context, made: NamedImages) -> bool:
    """Return whether the names are the index image's."""
    return set(_find_ids(*map(ImageRef.parse, made.images)).values()) == {context.require(IndexImage).id}


def _find_ids(*names: ImageRef) -> dict[str, str | None]:
    found = {str(name): sdk.find_image(name) for name in names}
    return {name: image.id if image else None for name, image in found.items()}


def bump_version(context: Context, *, part: VersionPart) -> ReleaseTree:
    """Make the commit of the next version, in a work tree of its own."""
    tree = make_release_tree(context.project.root, part, context.run.folder / "tree", context.env)
    context.terminal.say(f"{tree.version} will be commit {tree.commit[:12]}")
    return tree


def is_tree_present(_: Context, made: ReleaseTree) -> bool:
    """Return whether the version's work tree is as it was made."""
    return read_release_tree(made.path) == made


def build_tester(context: Context) -> TestedImages:
    """Build what is released, and what tests it."""
    for stage in TESTED_STAGES:
        if not ensure_stage(context.built, stage, context.terminal.say):
            context.terminal.say(f"the image of the stage {stage} is of this commit already")
    return TestedImages(images=_find_tested(context))


def _find_tested(context: Context) -> dict[str, str | None]:
    return _find_ids(*map(context.built.stage_image, TESTED_STAGES), context.require(IndexImage).name)


def are_images_present(context: Context, made: TestedImages) -> bool:
    """Return whether the names of what is tested still stand for the same images."""
    return _find_tested(context) == made.images


def run_tests(context: Context) -> PassedTests:
    """Bring up the site with the index image, and run every suite."""
    run_suites(context.built, context.require(IndexImage).name, context.terminal, run=context.run.name)
    images = _raise_if_replaced(context)
    return PassedTests(images=images, suites=read_results(context.built.project))


def _raise_if_replaced(context: Context) -> Mapping[str, str | None]:
    """Return the tested images, name -> id; `ReleaseError` where the names stand for others by now."""
    tested = context.require(TestedImages)
    if not are_images_present(context, tested):
        raise ReleaseError(
            "the images of this run were replaced while it ran",
            cause="their names stand for other images now, or for none, which nobody has tested",
            hint="run one after the other: `haybale pipeline --resume`",
        )
    return tested.images


def publish_version(context: Context) -> PublishedVersion:
    """Push the images, then the version's commit and tag; leave what somebody else published as it is."""
    tree, (site, index) = context.require(ReleaseTree), _names(context)
    _raise_if_replaced(context)
    root, main = context.project.root, context.project.settings.main
    raise_if_taken(root, tree, REMOTE, main)
    try:
        context.terminal.say(f"pushing {site}, and naming the index {index}")
        digests = context.store.push(site), context.store.retag(context.require(IndexImage).name, index)
        record = _make_record(context, *digests)
        if context.store.is_shared:
            keep_record(context.project, record)
        published = push_version(root, tree, REMOTE, main, [record.tag_line])
    finally:
        # Somebody who published the same version meanwhile has pushed images of the same names.
        _repair_names(context, tree)
    for note in published.notes:
        context.terminal.say(note)
    context.terminal.done(f"published {tree.version}")
    images = dict(zip((str(site), str(index)), digests, strict=True))
    return PublishedVersion(version=str(tree.version), commit=tree.commit, images=images)


def _names(context: Context) -> tuple[ImageRef, ImageRef]:
    """Return the names that a version's images have: the site's, the index's."""
    return context.built.stage_image("release"), context.built.stage_image("solr")


def _make_record(context: Context, site: str, index: str) -> ReleaseRecord:
    """Return what the version is made of: `site` and `index` are the digests of its images."""
    tree, tests = context.require(ReleaseTree), context.find(PassedTests)
    repository, components = context.built.repository, context.key.components
    images = dict(zip(("site", "index"), map(sdk.find_image, _names(context)), strict=True))
    return ReleaseRecord(
        version=str(tree.version), commit=tree.commit,
        site=repository.with_digest(site), index=repository.with_digest(index),
        key=str(context.key), dump=components["dump"].value or "",
        components={name: each.digest for name, each in components.items()},
        bases={part: image.labels.get(BASE_DIGEST, "") if image else "" for part, image in images.items()},
        counts=dict(context.require(IndexImage).counts), tests=tests.suites if tests else {},
    )  # fmt: skip


def _repair_names(context: Context, tree: ReleaseTree) -> None:
    """Give the images of a version the names that its record says, whoever published it."""
    version = str(tree.version)
    record = read_records(context.project.root, version).get(version) if context.store.is_shared else None
    if record is None:
        return
    for image, name in zip((record.site, record.index), _names(context), strict=True):
        if context.store.digest(name) != image.digest:
            context.store.retag(image, name)
    if read_kept_record(context.project, version) != record:
        keep_record(context.project, record)


def is_version_published(context: Context, made: PublishedVersion) -> bool:
    """Return whether the version's tag is on the remote."""
    return is_published(context.project.root, REMOTE, made.version, made.commit)


# The states that are only passed, groups and choices, are not among them.
STEPS: Mapping[State, Step[Any]] = {
    State.REGEN_SOLR: Step(run=regenerate_index, result=IndexImage, is_present=is_index_present),
    State.PULL_SOLR_IMAGE: Step(run=pull_index, result=IndexImage, is_present=is_index_present),
    State.UNTAG_SOLR_IMAGE: Step(
        run=partial(tag_index, name=PLAIN), result=NamedImages, is_present=is_tag_present
    ),
    State.BV_PATCH: Step(
        run=partial(bump_version, part="patch"), result=ReleaseTree, is_present=is_tree_present
    ),
    State.BV_MERGE: Step(
        run=partial(bump_version, part="build"), result=ReleaseTree, is_present=is_tree_present
    ),
    State.RETAG_SOLR_IMAGE: Step(run=tag_index, result=NamedImages, is_present=is_tag_present),
    State.BUILD_TEST_RUNNER: Step(run=build_tester, result=TestedImages, is_present=are_images_present),
    State.RUN_TESTS: Step(run=run_tests, result=PassedTests, is_present=are_images_present),
    State.PUBLISH: Step(run=publish_version, result=PublishedVersion, is_present=is_version_published),
}
