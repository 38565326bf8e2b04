"""Publishing a version in git: its commit and its tag reach the remote together, or neither does.

The push holds only while main is where the version was made on and the tag is absent (docs/adr/0012).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.errors import ReleaseError
from haybale.release.remote import (
    VERSION_REFS,
    fetch_refs,
    find_versions,
    push_refs,
    remote_refs,
    remote_tags,
    remote_versions,
)
from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from haybale.release.bump import ReleaseTree
    from haybale.release.remote import Refs
    from haybale.version import Version

# Where a release tree keeps its tag until it is published. Refs below this name belong to one work tree only,
# and are removed with it (gitglossary(7), "per-worktree ref").
PENDING_TAG = "refs/worktree/haybale-tag"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version that is on the remote: its commit, its tag's own hash, and what was not done here and why."""

    version: Version
    commit: str
    tag: str
    notes: tuple[str, ...] = ()


class PublishedFirstError(ReleaseError):
    """Somebody else published first; nothing was pushed.

    `version` is the version that they made, None where it was only a commit; `commit` is what main is at
    there, None where main is absent; `who` is the name in their tag, None where that is not known.
    """

    def __init__(self, message: str, *, commit: str | None, version: str | None, who: str | None) -> None:
        super().__init__(
            message,
            cause="that was on the remote before this run came to it",
            hint="bring the branch up to date (git pull) and run it again; --next does that by itself",
        )
        self.version = version
        self.commit = commit
        self.who = who


def raise_if_taken(root: Path, tree: ReleaseTree, remote: str, branch: str) -> None:
    """Raise `PublishedFirstError` where a version cannot be published any more, before its images are pushed.

    Only the push itself decides; this is the last moment at which losing costs nothing. A version that this
    release tree has published already is no loss.
    """
    refs = remote_refs(root, remote, *_refs(tree, branch))
    if not _has_arrived(tree, refs, git.resolve_object(tree.path, PENDING_TAG)):
        _raise_if_lost(root, tree, remote, branch, refs)


def push_version(
    root: Path, tree: ReleaseTree, remote: str, branch: str, message_lines: Sequence[str]
) -> Published:
    """Publish a version: the commit becomes the remote's branch, and a tag with these lines points to it.

    `remote` is the name of a configured one. Called again after it was killed, it sees whether its push
    arrived. Afterwards the branch and the tag are moved here too, where nothing is in the way; `notes` says
    what could not be. Raises `PublishedFirstError` where somebody else was faster, and `ReleaseError` where
    the remote refused or did not answer; then nothing was changed, here or there.
    """
    refs = remote_refs(root, remote, *_refs(tree, branch))
    tag = git.resolve_object(tree.path, PENDING_TAG)
    if tag is None or not _has_arrived(tree, refs, tag):
        _raise_if_lost(root, tree, remote, branch, refs)
        tag = _make_tag(root, tree, tag, tag_message_lines(tree.version, message_lines))
        main_ref, tag_ref = _refs(tree, branch)
        push_refs(
            root, remote, {main_ref: (tree.base, tree.commit), tag_ref: ("", tag)},
            name=str(tree.version),
            watched=(main_ref, tag_ref),
            has_arrived=lambda refs: _has_arrived(tree, refs, tag),
            raise_if_lost=lambda refs: _raise_if_lost(root, tree, remote, branch, refs),
        )  # fmt: skip
    notes = _update_local_refs(root, tree, branch, tag)
    return Published(version=tree.version, commit=tree.commit, tag=tag, notes=notes)


def _make_tag(root: Path, tree: ReleaseTree, pending: str | None, lines: Sequence[str]) -> str:
    """Return the tag to push: the pending one, unless it says something else."""
    # A push of the same tag may still be on its way, where the one who sent it was killed.
    if pending and git.tag_message(root, pending).splitlines()[:-1] == lines[:-1]:
        return pending
    tag = git.create_tag_object(root, str(tree.version), tree.commit, "\n".join(lines))
    git.update_ref(tree.path, PENDING_TAG, tag)
    return tag


def tag_message_lines(version: Version, message_lines: Sequence[str]) -> list[str]:
    """Return the lines of a tag's message. The last one is unique: no two runs make the same tag."""
    return [f"Release {version}", "", *message_lines, f"release-id: {uuid.uuid4().hex}"]


def _refs(tree: ReleaseTree, branch: str) -> tuple[str, str]:
    return f"refs/heads/{branch}", f"refs/tags/{tree.version}"


def _has_arrived(tree: ReleaseTree, refs: Refs, tag: str | None) -> bool:
    """Whether a tag is on the remote: its branch came with it, and may have moved on since."""
    return tag is not None and refs.get(f"refs/tags/{tree.version}") == tag


def _raise_if_lost(root: Path, tree: ReleaseTree, remote: str, branch: str, refs: Refs) -> None:
    """Raise `PublishedFirstError` where main is not where the version was made on, or its tag exists.

    `ReleaseError` where main has not come as far as that commit.
    """
    main_ref, tag_ref = _refs(tree, branch)
    head = refs.get(main_ref)
    if head == tree.base and tag_ref not in refs:
        return
    tags = remote_versions(root, remote)
    versions = {tag.commit: name for name, tag in tags.items()}
    # The version that main is at now; else the one that has our tag's name. The remote moves its refs one
    # after the other: a tag may be seen there while main is seen at the old commit.
    name = versions.get(head) if head and head != tree.base else None
    name = name or (str(tree.version) if str(tree.version) in tags else None)
    if name is None:
        if head and git.is_ancestor(root, head, tree.base):
            raise ReleaseError(
                f"{tree.version} was not published: {branch} of {remote} is at {head[:12]}, which is before"
                f" {tree.base[:12]}",
                cause="the version is made of a commit that was not pushed",
                hint=f"git push {remote} {branch}, and again",
            )
        seen = f"{branch} of {remote} is at {head[:12]} now" if head else f"{remote} has no branch {branch}"
        raise PublishedFirstError(
            f"{tree.version} was not published: {seen}, not at {tree.base[:12]}",
            version=None, commit=head, who=None,
        )  # fmt: skip
    who, tag = None, tags[name]
    # A shallow clone would get an old tag's whole history with it.
    if tag.commit == head or not git.is_shallow(root):
        fetched = git.fetch(root, remote, f"refs/tags/{name}").ok and git.read_tag(root, tag.hash)
        who = fetched.tagger if fetched else None
    raise PublishedFirstError(
        f"{tree.version} was not published: {who or 'somebody'} published {name} first"
        f" (commit {tag.commit[:12]})",
        version=name, commit=tag.commit, who=who or None,
    )  # fmt: skip


def _update_local_refs(root: Path, tree: ReleaseTree, branch: str, tag: str) -> tuple[str, ...]:
    """Bring what was published to the branch and the tags here; return what could not be, and why."""
    notes = []
    name = f"refs/tags/{tree.version}"
    if not (git.create_ref(root, name, tag) or git.resolve_object(root, name) == tag):
        notes.append(f"the tag {tree.version} here is another one: git fetch --tags --force replaces it")
    if git.current_branch(root) != branch or git.is_ancestor(root, tree.commit, "HEAD"):
        return tuple(notes)
    if git.resolve_commit(root, "HEAD") != tree.base or not git.fast_forward(root, tree.commit):
        notes.append(
            f"{branch} here was left as it is, your changes too: git pull brings {tree.version} to it"
        )
    return tuple(notes)


def is_in_version(root: Path, lost: PublishedFirstError) -> bool:
    """Return whether the version that somebody published first has the commit that is checked out."""
    if not lost.version or not lost.commit:
        return False
    return git.is_ancestor(root, git.read_commit(root).hash, lost.commit)


def catch_up(root: Path, remote: str, branch: str) -> None:
    """Bring what is checked out up to the remote's branch, with the tags of the versions on the way.

    Only forward, and never over a change of the user's: else a `ReleaseError`, and nothing was changed.
    """
    refs = remote_refs(root, remote, f"refs/heads/{branch}", *VERSION_REFS)
    head, old = refs.get(f"refs/heads/{branch}", ""), git.read_commit(root).hash
    fetch_refs(root, remote, f"refs/heads/{branch}")
    new = set(git.check_output(root, "rev-list", f"{old}..{head}").splitlines())
    if not git.is_ancestor(root, old, head) or not git.fast_forward(root, head):
        raise ReleaseError(
            f"what is checked out cannot be brought up to {branch} of {remote}",
            cause="git cannot move it forward to that commit without losing what is here",
            hint="git pull, and try again",
        )
    tags = [f"refs/tags/{name}" for name, tag in find_versions(refs).items() if tag.commit in new]
    if tags:
        fetch_refs(root, remote, *(f"{name}:{name}" for name in tags))


def is_published(root: Path, remote: str, tag: str, commit: str) -> bool:
    """Whether a version's tag is on the remote and points to this commit; raises `ReleaseError`."""
    found = remote_tags(root, remote, tag).get(tag)
    return found is not None and found.commit == commit
