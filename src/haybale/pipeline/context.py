"""What the decision of a push is made from, gathered from git, the engine and the registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from haybale.dump.reference import resolve_dump
from haybale.images.store import open_store
from haybale.index.image import find_local_image
from haybale.pipeline.graph import Facts, Strategy
from haybale.release.event import EventChoice, detect_event
from haybale.release.remote import REMOTE
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Mapping

    from haybale.checkout import Checkout
    from haybale.config import Project
    from haybale.index.key import Key


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for on the command line.

    `again`: a version is made also of a commit that is one already (after somebody else was faster).
    """

    strategy: Strategy = "key"
    event: EventChoice = "auto"
    publish: bool = False
    push_index: bool = False
    again: bool = False


def gather_facts(checkout: Checkout, index_key: Key, options: Options, env: Mapping[str, str]) -> Facts:
    """Return the facts. Asks the registry only for what the engine has not; starts no container.

    Raises `RegistryError` where the registry can't say whether it has an image.
    """
    project = checkout.project
    # Only a run that would make a version asks the remote whether this is one.
    asked = REMOTE if options.publish else None
    event = detect_event(
        project.root, project.settings.main, options.event, env,
        head=checkout.head, version=replace(checkout.version, pull=None), remote=asked,
    )  # fmt: skip
    here = find_local_image(checkout, index_key) is not None
    there = not here and open_store(project).exists(checkout.index_image(index_key.value))
    return Facts(
        event=event.kind,
        evidence=event.reason,
        branch=event.branch,
        pull=event.pull,
        revision=checkout.head.revision if checkout.head else "",
        released=None if options.again else event.released,
        key=index_key.value,
        image_local=here,
        image_in_registry=there,
        dump_at_head=options.strategy == "head" and _dump_at_head(project),
        notest=event.notest and event.notest[:12],
        strategy=options.strategy,
        publish=options.publish,
    )


def _dump_at_head(project: Project) -> bool:
    """Return whether the last commit that touched the dump's link, or its file, is the one checked out."""
    found = resolve_dump(project.root, project.settings.dump)
    last = git.last_change(project.root, [str(found.link), str(found.target)])
    return last is not None and last.hash == git.resolve_commit(project.root, "HEAD")
