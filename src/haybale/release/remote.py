"""The git remote that versions and deployments are published to.

Whoever pushes first wins. The remote decides that, by one atomic push that holds only while the refs are what
they were; whether a push arrived is read back from the remote, never from git's output. All errors here are
`ReleaseError`.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from haybale.errors import ReleaseError
from haybale.tools import git
from haybale.version import TAG_PATTERNS, is_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from haybale.tools.git import RemoteTag

    # Refs by their full names: what each must be now ("" for absent), and what it becomes.
    RefChanges = Mapping[str, tuple[str, str]]
    # Refs that a remote has, by their full names: their hashes.
    Refs = Mapping[str, str]

REMOTE = "origin"

# What a remote is asked for to get its versions; it gives others as well.
VERSION_REFS = tuple(f"refs/tags/{pattern}" for pattern in TAG_PATTERNS)

# How often a push is tried that failed and left the remote as it was: somebody else's push may have held the
# refs at that moment. The pause between is between these, in seconds.
ATTEMPTS = 3
PAUSE = (0.2, 1.0)


def push_refs(
    root: Path,
    remote: str,
    changes: RefChanges,
    *,
    name: str,
    watched: Iterable[str],
    has_arrived: Callable[[Refs], bool],
    raise_if_lost: Callable[[Refs], None],
) -> None:
    """Push all of these changes or none, until it is known what became of them; returns where they arrived.

    After a failure the `watched` refs are read from the remote, for `has_arrived` and `raise_if_lost`. Raises
    `ReleaseError` where the remote refuses; `name` says what was pushed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        done = git.push(root, remote, changes)
        if done.ok:
            return
        refs = remote_refs(root, remote, *watched)
        if has_arrived(refs):
            return
        raise_if_lost(refs)
        if attempt == ATTEMPTS:
            raise ReleaseError(
                f"{remote} did not take {name}; nothing was changed, here or there",
                cause=f"git push exited with {done.code}: {done.error_line}",
                hint="see what it says, fix that and try again",
                log=done.stderr.strip(),
            )
        time.sleep(random.uniform(*PAUSE))  # noqa: S311 - no secret


def remote_refs(root: Path, remote: str, *refs: str) -> dict[str, str]:
    """Return what `git.remote_refs` does; raises `ReleaseError` where the remote does not answer."""
    try:
        return git.remote_refs(root, remote, *refs)
    except git.RemoteError as error:
        raise ReleaseError(error.message, cause=error.cause, hint=error.hint) from error


def remote_tags(root: Path, remote: str, pattern: str) -> dict[str, RemoteTag]:
    """Return a remote's tags by their names, those that match a pattern (`v1.2.3`, `v*`)."""
    return git.parse_tags(remote_refs(root, remote, f"refs/tags/{pattern}"))


def find_versions(refs: Refs) -> dict[str, RemoteTag]:
    """Return the tags of versions among a remote's refs, by their names."""
    return {name: tag for name, tag in git.parse_tags(refs).items() if is_version(name)}


def remote_versions(root: Path, remote: str) -> dict[str, RemoteTag]:
    """Return the tags of a remote's versions, by their names; raises `ReleaseError`."""
    return find_versions(remote_refs(root, remote, *VERSION_REFS))


def fetch_refs(root: Path, remote: str, *refs: str) -> None:
    """Fetch what refs of a remote point to; raises `ReleaseError` where it does not give that."""
    done = git.fetch(root, remote, *refs)
    if not done.ok:
        raise ReleaseError(
            f"{', '.join(ref.partition(':')[0] for ref in refs)} could not be fetched from {remote}",
            cause=done.stderr.strip(),
            hint=f"git fetch {remote}, and try again",
        )


def read_tag_messages(root: Path, remote: str, tags: Mapping[str, RemoteTag]) -> dict[str, list[str]]:
    """Return the lines of the messages of a remote's tags, by the tags' names; raises `ReleaseError`."""
    if tags:
        fetch_refs(root, remote, *(f"refs/tags/{name}" for name in tags))
    return {name: git.tag_message(root, tag.hash).splitlines() for name, tag in tags.items()}
