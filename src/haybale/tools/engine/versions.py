"""The versions of engine, compose and buildx, and the oldest ones that do what haybale asks of them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from haybale.errors import PrerequisiteError
from haybale.tools import process

# 2.26.1-4, v0.12.1, 26.1.5+dfsg1, 20.10
VERSION = re.compile(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?")

Version = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """Something of Docker's: how its version is asked for, the oldest that does, and for what."""

    name: str
    command: tuple[str, ...]
    minimum: Version
    reason: str


ENGINE = Tool(
    name="engine",
    command=("docker", "version", "--format", "{{.Server.Version}}"),
    minimum=(23, 0, 0),
    reason="haybale's Dockerfiles have heredocs and COPY --link, which are in its BuildKit since then",
)
COMPOSE = Tool(
    name="compose",
    command=("docker", "compose", "version", "--short"),
    minimum=(2, 20, 2),
    reason="haybale's compose files have depends_on.required, which is known since then",
)
BUILDX = Tool(
    name="buildx",
    command=("docker", "buildx", "version"),
    minimum=(0, 10, 0),
    reason="haybale builds with --provenance and --sbom, which are known since then",
)
TOOLS = (ENGINE, COMPOSE, BUILDX)


@dataclass(frozen=True, kw_only=True)
class ToolVersion:
    """A tool as it is here: what it says of its version, "" where it says nothing."""

    tool: Tool
    said: str

    @property
    def number(self) -> Version | None:
        """The version, None where what it says has none."""
        found = VERSION.search(self.said)
        return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None

    @property
    def text(self) -> str:
        """The version for people, as the tool says it: of buildx's words the second."""
        words = self.said.split()
        return next((word for word in words if VERSION.match(word)), self.said or "?")

    @property
    def is_too_old(self) -> bool:
        """Whether it is older than what haybale needs; one that says no version is not."""
        return self.number is not None and self.number < self.tool.minimum

    @property
    def error(self) -> PrerequisiteError:
        """What to tell of one that is too old."""
        wanted = ".".join(map(str, self.tool.minimum))
        return PrerequisiteError(
            f"{self.tool.name} {self.text} is too old: haybale needs {wanted} or newer",
            cause=self.tool.reason,
            hint=f"install a newer {self.tool.name} in the way that this one was installed",
        )


def read_version(tool: Tool) -> ToolVersion:
    """Ask a tool for its version; raises `PrerequisiteError` where there is no docker."""
    return ToolVersion(tool=tool, said=process.run(tool.command).stdout.strip())


@functools.cache
def require_version(tool: Tool) -> None:
    """Make sure that a tool is new enough, once; raises `PrerequisiteError` where it is not."""
    found = read_version(tool)
    if found.is_too_old:
        raise found.error
