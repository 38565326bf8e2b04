"""Publishing a version in git: its commit and its tag reach the remote together, or neither does.

Whoever pushes first has the version. The remote decides that, by one atomic push that holds only while main
is where the version was made on and the tag is not there (docs/adr/0012).
"""

from __future__ import annotations

import random
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ReleaseError
from haybale.release.remote import fetch_refs, remote_refs, remote_tags
from haybale.tools import git
from haybale.version import is_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from haybale.release.bump import ReleaseTree
    from haybale.tools import process
    from haybale.version import Version

# The remote that versions are published to.
REMOTE = "origin"

# How often a push is tried that failed and left the remote as it was: somebody else's push may have held the
# refs at that moment. The pause between is between these, in seconds.
ATTEMPTS = 3
PAUSE = (0.2, 1.0)

# Where a release tree keeps its tag until it is published. Refs below this name belong to one folder only,
# and go with it (gitglossary(7), "per-worktree ref").
KEPT = "refs/worktree/haybale-tag"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version that is on the remote: its commit, its tag's own hash, and what was not done here and why."""

    version: Version
    commit: str
    tag: str
    notes: tuple[str, ...] = ()


class LostError(ReleaseError):
    """Somebody else published first; nothing was pushed.

    `version` is the version that they made, "" where it was only a commit; `commit` is what main is at there,
    `who` the name in their tag, "" where that is not known.
    """

    def __init__(self, message: str, *, version: str, commit: str, who: str) -> None:
        super().__init__(
            message,
            cause="two runs were on their way at the same time, or this one began with an old commit",
            hint="bring the branch up to date (git pull) and run it again; --next does that by itself",
        )
        self.version = version
        self.commit = commit
        self.who = who


def check_free(root: Path, tree: ReleaseTree, remote: str, branch: str) -> None:
    """Raise `LostError` where a version can't be published any more, before its images are pushed.

    Only the push itself decides; this is the last moment at which losing costs nothing. A version that this
    release tree has published already is no loss.
    """
    tag = str(tree.version)
    refs = _look(root, remote, branch, tag)
    made = git.resolve_object(tree.path, KEPT)
    if not (made and _arrived(refs, tag, made)):
        _judge(root, tree, remote, branch, refs=refs)


def push_version(
    root: Path, tree: ReleaseTree, remote: str, branch: str, message_lines: Sequence[str]
) -> Published:
    """Publish a version: the commit becomes the remote's branch, and a tag with these lines points to it.

    `remote` is the name of a configured one. Called again after it was killed, it sees whether its push
    arrived. Afterwards the branch and the tag are moved here too, where nothing is in the way; `notes` says
    what could not be. Raises `LostError` where somebody else was faster, and `ReleaseError` where the remote
    refused or did not answer; then nothing was changed, here or there.
    """
    tag = str(tree.version)
    refs = _look(root, remote, branch, tag)
    made = git.resolve_object(tree.path, KEPT)
    if not (made and _arrived(refs, tag, made)):
        # A push of the same tag may still be on its way, where the one who sent it was killed.
        if not made or git.tag_message(root, made).splitlines()[:-1] != annotated(tag, message_lines)[:-1]:
            made = git.create_tag_object(root, tag, tree.commit, "\n".join(annotated(tag, message_lines)))
            git.update_ref(tree.path, KEPT, made)
        _push(root, tree, remote, branch, tag=made, refs=refs)
    return Published(
        version=tree.version, commit=tree.commit, tag=made, notes=_settle(root, tree, branch, made)
    )


def annotated(tag: str, message_lines: Sequence[str]) -> list[str]:
    """Return the lines of a tag's message. The last one is always another: no two runs make the same tag."""
    return [f"Release {tag}", "", *message_lines, f"release-id: {uuid.uuid4().hex}"]


def _push(
    root: Path, tree: ReleaseTree, remote: str, branch: str, *, tag: str, refs: Mapping[str, str]
) -> None:
    """Push until it is decided: returns where the version arrived."""
    main, name = f"refs/heads/{branch}", f"refs/tags/{tree.version}"
    changes = {main: (tree.base, tree.commit), name: ("", tag)}
    done: process.Completed | None = None
    for attempt in range(ATTEMPTS):
        _judge(root, tree, remote, branch, refs=refs)
        if attempt:
            time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret
        done = git.push(root, remote, changes)
        if done.ok:
            return
        # The answer says little about what became of it: it may have been lost on its way.
        refs = _look(root, remote, branch, str(tree.version))
        if _arrived(refs, str(tree.version), tag):
            return
    raise ReleaseError(
        f"{remote} did not take {tree.version}; it is as it was, and so is everything here",
        cause="a rule or a hook refuses it, or the push's credentials may not write",
        hint=f"see what it says, mend that and try again: the commit is to become {branch} of {remote}",
        log=done.stderr.strip() if done else "",
    )


def _judge(root: Path, tree: ReleaseTree, remote: str, branch: str, *, refs: Mapping[str, str]) -> None:
    """Raise `LostError` where main is not where the version was made on, or its tag is there."""
    if refs.get(f"refs/heads/{branch}") != tree.base or f"refs/tags/{tree.version}" in refs:
        raise _lost(root, tree, remote, branch, refs)


def _look(root: Path, remote: str, branch: str, tag: str) -> dict[str, str]:
    return remote_refs(root, remote, f"refs/heads/{branch}", f"refs/tags/{tag}")


def _arrived(refs: Mapping[str, str], tag: str, hashed: str) -> bool:
    """Whether a tag is on the remote: its branch came with it, and may have gone on since."""
    return refs.get(f"refs/tags/{tag}") == hashed


def _lost(root: Path, tree: ReleaseTree, remote: str, branch: str, refs: Mapping[str, str]) -> LostError:
    """Return what somebody else did meanwhile."""
    head = refs.get(f"refs/heads/{branch}", "")
    tags = remote_tags(root, remote, "v*")
    made = {tag.commit: name for name, tag in tags.items() if is_version(name)}
    # The version that main is at now; else the one that has our tag's name.
    name = made.get(head) or (str(tree.version) if str(tree.version) in tags else "")
    if not name:
        what = f"{branch} of {remote} is at {head[:12]} now" if head else f"{remote} has no branch {branch}"
        return LostError(
            f"{tree.version} was not published: {what}, not at {tree.base[:12]}",
            version="", commit=head, who="",
        )  # fmt: skip
    # A shallow clone would get an old tag's whole history with it.
    near = name == made.get(head) or not git.is_shallow(root)
    fetched = near and git.fetch(root, remote, f"refs/tags/{name}").ok
    theirs = git.read_tag(root, tags[name].hash) if fetched else None
    who = theirs.tagger if theirs else ""
    return LostError(
        f"{tree.version} was not published: {who or 'somebody'} published {name} first"
        f" (commit {tags[name].commit[:12]})",
        version=name, commit=tags[name].commit, who=who,
    )  # fmt: skip


def _settle(root: Path, tree: ReleaseTree, branch: str, tag: str) -> tuple[str, ...]:
    """Bring what was published to the branch and the tags here; return what could not be, and why."""
    notes = []
    name = f"refs/tags/{tree.version}"
    if not (git.update_ref(root, name, tag, now="") or git.resolve_object(root, name) == tag):
        notes.append(f"the tag {tree.version} here is another one: git fetch --tags --force replaces it")
    head, here = git.resolve_commit(root, "HEAD"), git.current_branch(root)
    if here != branch or not head or git.is_ancestor(root, tree.commit, head):
        return tuple(notes)
    if head != tree.base or not git.fast_forward(root, tree.commit):
        notes.append(
            f"{branch} here was left as it is, your changes too: git pull brings {tree.version} to it"
        )
    return tuple(notes)


def catch_up(root: Path, remote: str, branch: str) -> None:
    """Bring what is checked out up to the remote's branch, with the tags of the versions on the way.

    Only forward, and never over a change of the user's: else a `ReleaseError`, and nothing was changed.
    """
    refs = remote_refs(root, remote, f"refs/heads/{branch}", "refs/tags/v*")
    there, here = refs.get(f"refs/heads/{branch}", ""), git.read_commit(root).hash
    fetch_refs(root, remote, f"refs/heads/{branch}")
    new = set(git.check_output(root, "rev-list", f"{here}..{there}").splitlines())
    if not git.is_ancestor(root, here, there) or not git.fast_forward(root, there):
        raise ReleaseError(
            f"what is checked out can't be brought up to {branch} of {remote}",
            cause="it has commits that are not there, or changes that are in the way",
            hint="git pull, and try again",
        )
    tags = [f"refs/tags/{name}" for name, tag in git.parse_tags(refs).items() if tag.commit in new]
    if tags:
        fetch_refs(root, remote, *(f"{name}:{name}" for name in tags))


def tagged_on_remote(root: Path, remote: str, tag: str) -> str:
    """Return the commit that a remote's tag points to, "" where there is no such tag; `ReleaseError`."""
    found = remote_tags(root, remote, tag).get(tag)
    return found.commit if found else ""


def is_published(root: Path, remote: str, tag: str, commit: str) -> bool:
    """Whether a version's tag is on the remote and points to this commit; `ReleaseError`."""
    return tagged_on_remote(root, remote, tag) == commit


def annotation(root: Path, remote: str, tag: str) -> list[str]:
    """Return the lines of a tag's message on the remote; [] where there is no such tag.

    Raises `ReleaseError` where the remote does not answer, or gives not what it has.
    """
    found = remote_tags(root, remote, tag).get(tag)
    if found is None:
        return []
    fetch_refs(root, remote, f"refs/tags/{tag}")
    return git.tag_message(root, found.hash).splitlines()
