"""The git remote of a release: what it has, and getting that. What fails here forbids the release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from haybale.errors import ReleaseError
from haybale.tools import git

if TYPE_CHECKING:
    from pathlib import Path

    from haybale.tools.git import RemoteTag


def remote_refs(root: Path, remote: str, *refs: str) -> dict[str, str]:
    """Return what `git.remote_refs` does; `ReleaseError` where the remote does not answer."""
    try:
        return git.remote_refs(root, remote, *refs)
    except git.RemoteError as error:
        raise ReleaseError(error.message, cause=error.cause, hint=error.hint) from error


def remote_tags(root: Path, remote: str, pattern: str) -> dict[str, RemoteTag]:
    """Return a remote's tags by their names, those that match a pattern (`v1.2.3`, `v*`); `ReleaseError`."""
    return git.parse_tags(remote_refs(root, remote, f"refs/tags/{pattern}"))


def remote_branch(root: Path, remote: str, branch: str) -> str | None:
    """Return the commit that a remote's branch is at, None where it has no such branch; `ReleaseError`."""
    return remote_refs(root, remote, f"refs/heads/{branch}").get(f"refs/heads/{branch}")


def fetch_refs(root: Path, remote: str, *refs: str) -> None:
    """Get what refs of a remote point to; raises `ReleaseError` where it does not give that."""
    done = git.fetch(root, remote, *refs)
    if not done.ok:
        raise ReleaseError(
            f"{', '.join(ref.partition(':')[0] for ref in refs)} could not be fetched from {remote}",
            cause=done.stderr.strip(),
            hint=f"git fetch {remote}, and try again",
        )
