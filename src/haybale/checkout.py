"""What a command works on: a repository as it is checked out, read once and carried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from haybale import image_ref
from haybale.errors import ConfigError
from haybale.image_ref import ImageRef
from haybale.tools import git
from haybale.version import PULL, TAG_PATTERNS, Version, find_version_file, is_version, version_for_pull

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from haybale.config import Project, Settings

# The revision outside of a git repository.
UNKNOWN_REVISION = "unknown"


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A repository and its settings, with the version and the commit that are checked out.

    `head` is None outside of a git repository. `env` are the environment variables of the command. The
    temporary work tree that a release is built from is another `Checkout` (`Project.origin`).
    """

    project: Project
    env: Mapping[str, str]
    version: Version
    head: git.Head | None

    @property
    def settings(self) -> Settings:
        """The repository's settings."""
        return self.project.settings

    @property
    def revision(self) -> str:
        """The commit's hash, with -dirty where files differ from it; "unknown" outside of a repository."""
        return self.head.revision if self.head else UNKNOWN_REVISION

    @cached_property
    def repository(self) -> ImageRef:
        """The repository of all images."""
        return ImageRef.parse(self.settings.registry)

    def stage_image(self, stage: str) -> ImageRef:
        """Return the name of a stage's image at this version; `ConfigError` where it is too long."""
        return image_ref.stage_image(self.repository, str(self.version), stage)

    def index_image(self, key: str) -> ImageRef:
        """Return the name of the index image of a key."""
        return image_ref.index_image(self.repository, key)

    def for_pull_request(self, number: str | None) -> Checkout:
        """Return this checkout as a pull request's; `prNum` in `env` (also "", for none) is stronger."""
        if PULL in self.env:
            return self
        return replace(self, version=version_for_pull(self.version, number))


def read_checkout(project: Project, env: Mapping[str, str]) -> Checkout:
    """Read version and commit of a project; `prNum` in `env` is the number of a pull request.

    Raises `ConfigError` where the version cannot be read.
    """
    version, head = read_version(project.root, env), git.read_head(project.root)
    return Checkout(project=project, env=env, version=version, head=head)


def read_version(root: Path, env: Mapping[str, str]) -> Version:
    """Return a repository's version; `prNum` in the environment is the pull request's number.

    That is what its version file says, or the newest of the versions that HEAD has by git's tags, 0.0.0 where
    there is none. Raises `ConfigError` with file and line, or with the variable's name; also in a shallow
    clone that has no version's tag.
    """
    file = find_version_file(root)
    return version_for_pull(file.version if file else _read_tagged_version(root), env.get(PULL))


def _read_tagged_version(root: Path) -> Version:
    names = filter(is_version, git.merged_tags(root, *TAG_PATTERNS))
    newest = max(map(Version.parse, names), default=None)
    if newest is None and git.is_shallow(root):
        raise ConfigError(
            "it is not known which version this is: this clone has no version's tag",
            cause="there is no version file, so versions are git's tags; and the clone is shallow",
            hint="git fetch --unshallow --tags (in CI: fetch the whole history), and try again",
        )
    return newest or Version(major=0, minor=0, patch=0)
