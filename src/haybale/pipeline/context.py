"""What a run works with, worked out once; and the facts that its plan is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from haybale import config
from haybale.checkout import Checkout, read_checkout
from haybale.config import FILE
from haybale.dump.reference import resolve_dump
from haybale.errors import ReleaseError
from haybale.images.store import open_store
from haybale.index.image import find_local_image
from haybale.pipeline.graph import Facts, Strategy
from haybale.release.bump import ReleaseTree
from haybale.release.event import EventChoice, detect_event
from haybale.release.remote import REMOTE
from haybale.tools import git
from haybale.version import PULL, version_for_pull

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.config import Project
    from haybale.images.store import ImageStore
    from haybale.index.key import Key
    from haybale.pipeline.journal import Run
    from haybale.terminal import Terminal


class Result(Protocol):
    """What a step made: plain values for the journal, and back. By itself, its fields."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return what `to_dict` gave."""
        return cls(**document)


R = TypeVar("R", bound=Result)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for on the command line."""

    strategy: Strategy = "key"
    event: EventChoice = "auto"
    publish: bool = False
    push_index: bool = False


@dataclass(frozen=True, kw_only=True)
class Context:
    """What every step of a run works with.

    `checkout` is what the run began with, `built` what images are built from: that, until the run has made
    the version's own commit. `push_index`: whether others get the index image; `is_resumed`: whether the run
    died before; `results`: what its steps made so far.
    """

    checkout: Checkout
    built: Checkout
    key: Key
    store: ImageStore
    env: Mapping[str, str]
    run: Run
    terminal: Terminal
    push_index: bool
    is_resumed: bool = False
    results: tuple[Result, ...] = ()

    @property
    def project(self) -> Project:
        """The repository that the run began in."""
        return self.checkout.project

    def with_result(self, result: Result) -> Context:
        """Return this context after a step: with what it made, and built from a release's work tree then."""
        built = self.built
        if isinstance(result, ReleaseTree):
            project = replace(config.load(result.path, self.env), origin=self.project.root)
            # Where versions are git's tags, this one's is not there yet.
            built = replace(
                read_checkout(project, self.env), version=version_for_pull(result.version, self.env.get(PULL))
            )
        return replace(self, built=built, results=(*self.results, result))

    def find(self, kind: type[R]) -> R | None:
        """Return the last result of a kind; None where no step has made one."""
        return next((each for each in reversed(self.results) if isinstance(each, kind)), None)

    def require(self, kind: type[R]) -> R:
        """Return the last result of a kind; `ReleaseError` where the plan has no step that makes one."""
        found = self.find(kind)
        if found is None:
            raise ReleaseError(f"the plan has no step that makes the {kind.__name__} that this one needs")
        return found


def gather_facts(checkout: Checkout, key: Key, options: Options, env: Mapping[str, str]) -> Facts:
    """Return the facts. Asks the registry only for what the engine has not; starts no container.

    Raises `RegistryError` where the registry cannot say whether it has an image.
    """
    project = checkout.project
    # Only a run that would make a version asks the remote whether this is one.
    event = detect_event(checkout, options.event, env, remote=REMOTE if options.publish else None)
    is_local = find_local_image(checkout, key) is not None
    in_registry = not is_local and open_store(project).exists(
        checkout.index_image(key.value), is_before_push=True
    )
    return Facts(
        event=event.kind, evidence=event.reason, branch=event.branch, pull=event.pull,
        revision=checkout.head.revision if checkout.head else "",
        released=event.released,
        key=key.value, image_local=is_local, image_in_registry=in_registry,
        dump_at_head=options.strategy == "head" and _is_dump_of_head(checkout),
        notest=event.notest and event.notest[:12], strategy=options.strategy, publish=options.publish,
    )  # fmt: skip


def _is_dump_of_head(checkout: Checkout) -> bool:
    """Return whether the last commit that touched the dump (its link, file or pin) is the one checked out."""
    root, head = checkout.project.root, checkout.head
    if checkout.settings.database.fetch:
        # There it is pinned.
        files = [FILE]
    else:
        found = resolve_dump(root, checkout.settings.dump)
        files = [str(found.link), str(found.target)]
    last = git.last_change(root, files)
    return last is not None and head is not None and last.hash == head.commit.hash
