"""What a run works with, worked out once; and the facts that its plan is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from haybale import config
from haybale.checkout import Checkout, read_checkout
from haybale.dump.reference import resolve_dump
from haybale.images.store import open_store
from haybale.index.image import find_local_image
from haybale.pipeline.graph import Facts, Strategy
from haybale.release.event import EventChoice, detect_event
from haybale.release.remote import REMOTE
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project
    from haybale.images.store import ImageStore
    from haybale.index.key import Key
    from haybale.pipeline.journal import Run
    from haybale.release.bump import ReleaseTree
    from haybale.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for on the command line.

    `ignore_released`: a version is made also of a commit that is one already (somebody published it first).
    """

    strategy: Strategy = "key"
    event: EventChoice = "auto"
    publish: bool = False
    push_index: bool = False
    ignore_released: bool = False


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every step of a run works with.

    `checkout` is what the run began with, `release` the version's own commit, once the run has made that.
    `push_index`: whether others get the index image; `is_resumed`: whether the run died before.
    """

    checkout: Checkout
    release: Checkout | None = None
    key: Key
    env: Mapping[str, str]
    run: Run
    terminal: Terminal
    push_index: bool
    is_resumed: bool = False

    @property
    def project(self) -> Project:
        """The repository that the run began in."""
        return self.checkout.project

    @property
    def built(self) -> Checkout:
        """What images are built from."""
        return self.release or self.checkout

    @cached_property
    def store(self) -> ImageStore:
        """Where the project's images are kept."""
        return open_store(self.project)

    def with_release(self, tree: ReleaseTree) -> Context:
        """Return this context with a release's work tree."""
        project = replace(config.load(tree.path, self.env), origin=self.project.root)
        return replace(self, release=read_checkout(project, self.env))


def gather_facts(checkout: Checkout, key: Key, options: Options, env: Mapping[str, str]) -> Facts:
    """Return the facts. Asks the registry only for what the engine has not; starts no container.

    Raises `RegistryError` where the registry cannot say whether it has an image.
    """
    project = checkout.project
    # Only a run that would make a version asks the remote whether this is one.
    asked = REMOTE if options.publish else None
    event = detect_event(checkout, options.event, env, remote=asked)
    is_local = find_local_image(checkout, key) is not None
    in_registry = not is_local and open_store(project).exists(checkout.index_image(key.value))
    return Facts(
        event=event.kind, evidence=event.reason, branch=event.branch, pull=event.pull,
        revision=checkout.head.revision if checkout.head else "",
        released=None if options.ignore_released else event.released,
        key=key.value, image_local=is_local, image_in_registry=in_registry,
        dump_at_head=options.strategy == "head" and _is_dump_of_head(checkout),
        notest=event.notest and event.notest[:12], strategy=options.strategy, publish=options.publish,
    )  # fmt: skip


def _is_dump_of_head(checkout: Checkout) -> bool:
    """Return whether the last commit that touched the dump's link, or its file, is the one checked out."""
    root, head = checkout.project.root, checkout.head
    found = resolve_dump(root, checkout.settings.dump)
    last = git.last_change(root, [str(found.link), str(found.target)])
    return last is not None and head is not None and last.hash == head.commit.hash
