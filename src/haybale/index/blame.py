"""Who changed a file since a commit, as git knows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from haybale.tools import git

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from haybale.tools.git import CommitSummary

# Who changed a file since another commit, the baseline; docs/why.md says what each means.
BlameKind = Literal["commit", "elsewhere", "earlier", "uncommitted", "untouched", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Blame:
    """Who changed a file, and the commit that did where there is one."""

    kind: BlameKind = "unknown"
    commit: CommitSummary | None = None

    @property
    def is_change(self) -> bool:
        """Whether somebody changed the file at all."""
        return self.kind not in {"untouched", "unknown"}


@dataclass(frozen=True, kw_only=True)
class History:
    """What a repository's clone has since a baseline; `since` is its commit, None where the clone lacks it.

    `shallow_roots` are the commits that a shallow clone begins with.
    """

    root: Path
    since: str | None
    shallow_roots: frozenset[str]

    @classmethod
    def read(cls, root: Path, since: str | None) -> History:
        """Return the history since a commit."""
        known = git.resolve_commit(root, since) if since else None
        return cls(root=root, since=known, shallow_roots=git.shallow_roots(root))

    def blame(self, paths: Sequence[str], *, text: str | None = None) -> Blame:
        """Return who changed one of these paths last; with `text`, who added or removed that in them."""
        if git.uncommitted_files(self.root, paths, text=text):
            return Blame(kind="uncommitted")
        kind: BlameKind = "commit"
        commit = git.last_change(self.root, paths, self.since, text=text)
        if commit is None and self.since:
            kind = "elsewhere"
            commit = git.last_change(self.root, paths, "HEAD", up_to=self.since, text=text)
        if commit is None:
            return Blame(kind="untouched" if self.since else "unknown")
        return Blame(kind="earlier" if commit.hash in self.shallow_roots else kind, commit=commit)
