"""git: what is checked out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from haybale.tools import process

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Commit:
    """The commit that is checked out.

    `revision` is its full hash (with `-dirty` where files differ from it), `time` its committer time in
    seconds since 1970, `source` the URL of the remote `origin`, without credentials, or "".
    """

    revision: str
    time: int
    source: str


# Where there is no git, images still get a time, and the same one every time.
NO_COMMIT = Commit(revision="unknown", time=0, source="")


def head(root: Path) -> Commit:
    """Return the commit checked out in `root`; `NO_COMMIT` outside of a repository or without git."""
    if process.find("git") is None:
        return NO_COMMIT
    shown = process.run(["git", "-C", str(root), "show", "-s", "--format=%H %ct", "HEAD"])
    if not shown.ok:
        return NO_COMMIT
    revision, time = shown.stdout.split()
    status = process.run(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    remote = process.run(["git", "-C", str(root), "remote", "get-url", "origin"])
    return Commit(
        revision=f"{revision}-dirty" if status.stdout.strip() else revision,
        time=int(time),
        source=without_credentials(remote.stdout.strip()) if remote.ok else "",
    )


def without_credentials(url: str) -> str:
    """Return a remote's URL without user and password; "" for a path on this machine."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url if "@" in url and ":" in url else ""
    if scheme == "file":
        return ""
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
