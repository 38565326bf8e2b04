"""bump2version and bump-my-version: finding them, asking them for the next version, and what they say.

Each has an environment of its own, and reads the repository's version file by itself.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.version import Tool, VersionFile

# What each tool's executable is called, and the variable that names it. Both have another one, `bumpversion`.
EXECUTABLES: Mapping[Tool, tuple[str, str]] = {
    "bump2version": ("bump2version", "HAYBALE_BUMP2VERSION"),
    "bump-my-version": ("bump-my-version", "HAYBALE_BUMP_MY_VERSION"),
}

# How many lines are shown of what a tool said that failed.
WORDS = 4

# The frame that bump-my-version draws around its errors.
FRAMED = re.compile(r"^│ ?(.*?) *│$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class VersionTool:
    """A tool with the version file that it is for, and the program to run."""

    file: VersionFile
    program: str

    @property
    def name(self) -> str:
        """What people call it."""
        return self.file.tool

    def bump(
        self, folder: Path, part: str, extra: Sequence[str], variables: Mapping[str, str]
    ) -> process.Completed:
        """Run it in a folder, to make the next version."""
        return process.run(self._command(part, extra), cwd=folder, env=variables)

    def find_next(self, folder: Path, part: str, extra: Sequence[str]) -> tuple[str | None, str]:
        """Return the version that it would make (None: it cannot), and what it said; changes nothing."""
        if self.file.tool == "bump2version":
            done = process.run([*self._command(part, extra), "--dry-run", "--list"], cwd=folder)
            listed = re.findall(r"^new_version=(.*)$", done.stdout, re.MULTILINE)
            return (listed[-1].strip() if done.ok and listed else None), _last_line(done)
        show = ["show", "--config-file", self.file.path.name, "--increment", part, "new_version"]
        done = process.run([self.program, *show], cwd=folder)
        found = _option_value(extra, "--new-version") or done.stdout.strip()
        return (found if done.ok else None), _last_line(done)

    def explain_failure(self, done: process.Completed) -> str:
        """Return what git, a hook or gpg printed, where it failed because of them; else its last line.

        They print before it does, which says only that they failed.
        """
        if framed := _framed_words(done.stderr):
            return framed
        ours = ("Traceback ", "Failed to run ")
        words = []
        for line in done.stderr.splitlines():
            if line.startswith(ours):
                break
            words.append(line.strip())
        words = [line for line in words if line]
        return "; ".join(words[-WORDS:]) if words else _last_line(done)

    def _command(self, part: str, extra: Sequence[str]) -> list[str]:
        if self.file.tool == "bump2version":
            return [self.program, part, *extra]
        # It would push the tag before anything was checked.
        quiet = ["--no-push-tag"] if self.file.options.get("push_tag") is True else []
        return [self.program, "bump", part, "--config-file", self.file.path.name, *quiet, *extra]


def find_version_tool(file: VersionFile, env: Mapping[str, str]) -> VersionTool:
    """Return the tool of a version file: what its variable names, beside this Python, on PATH."""
    executable, variable = EXECUTABLES[file.tool]
    named = env.get(variable, "")
    beside = Path(sys.executable).with_name(executable)
    found = named or (str(beside) if beside.is_file() else process.find_executable(executable))
    if not found or process.find_executable(found) is None:
        raise PrerequisiteError(
            f"{variable} is {named}, which cannot be run" if named else f"there is no {file.tool}",
            cause=f"{file.path.name} is for it, and it has an environment of its own",
            hint=f"pip install {file.tool}, or {variable}=FILE; its session has it (`haybale bump`)",
        )
    return VersionTool(file=file, program=found)


def _option_value(extra: Sequence[str], option: str) -> str | None:
    """Return the value of an option among arguments, as --option VALUE or --option=VALUE."""
    for number, each in enumerate(extra):
        name, equals, value = each.partition("=")
        if name == option:
            return value if equals else next(iter(extra[number + 1 :]), None)
    return None


def _framed_words(text: str) -> str | None:
    """Return what stands in the frame that bump-my-version draws, None where there is none."""
    return " ".join(" ".join(FRAMED.findall(text)).split()) or None


def _last_line(done: process.Completed) -> str:
    """Return the last line of what it printed, or all that is framed, without its exception's name."""
    if framed := _framed_words(done.stderr):
        return framed
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    return re.sub(r"^[\w.]+(?:Error|Exception): ", "", lines[-1]) if lines else f"it exited with {done.code}"
