"""The scripts that an image starts with: which variables they cannot do without, and where they listen."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from haybale.adoption.site_settings import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from haybale.adoption.site_image import ImageStage

USED = re.compile(r"\$(?:\{(?P<braced>[A-Z][A-Z0-9_]+)(?P<operator>:?[-+=?])?|(?P<bare>[A-Z][A-Z0-9_]+))")
ASSIGNED = re.compile(r"^\s*(?:export\s+|readonly\s+|local\s+)?(?P<name>[A-Z][A-Z0-9_]+)=")
# set -u, set -euo pipefail, set -o nounset: a variable that is not set is an error.
NO_UNSET = re.compile(r"^\s*set\s+(-\w*u|-o\s+nounset|-e[^\n]*\s-u)|^#!.*\s-\w*u", re.MULTILINE)
PORT = re.compile(r"(?:0\.0\.0\.0|--bind[= ]|--port[= ]|-[bp]\s|\*|\[::\]):?(\d{2,5})\b")

# What a shell has by itself.
SHELL = {
    "PATH", "HOME", "PWD", "OLDPWD", "HOSTNAME", "USER", "UID", "EUID", "PPID", "SHELL", "IFS", "LINENO",
    "RANDOM", "SECONDS", "BASH_SOURCE", "FUNCNAME", "PIPESTATUS", "OPTARG", "OPTIND", "LANG", "TERM",
}  # fmt: skip


def find_scripts(stage: ImageStage, command: str | None, files: Collection[str]) -> Iterator[str]:
    """Yield the repository's files that a stage's entrypoint and a command run, as it copies them."""
    for text in (stage.entrypoint, command):
        try:
            words = shlex.split(text or "")
        except ValueError:
            continue
        for word in words:
            if file := source_of(stage, word, files):
                yield file


def source_of(stage: ImageStage, path: str, files: Collection[str]) -> str | None:
    """Return the repository's file that a stage has at a path; None for none."""
    wanted = PurePosixPath(stage.folder or "/", path)
    for source, target in reversed(stage.copies):
        here = source.removeprefix("./").rstrip("/") or "."
        there = PurePosixPath(target)
        candidates = [here] if wanted in {there, there / PurePosixPath(here).name} else []
        if wanted.is_relative_to(there):
            # The files of a folder, or the file of that name.
            candidates.append(str(PurePosixPath(here, wanted.relative_to(there))))
        if found := next((each for each in candidates if each in files), None):
            return found
    return None


def needed_variables(file: str, text: str) -> Iterator[Variable]:
    """Yield the variables without which a script ends, where it says that it does."""
    if not NO_UNSET.search(text):
        return
    assigned: set[str] = set()
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("#"):
            continue
        for match in USED.finditer(line):
            name = match["braced"] or match["bare"]
            has_default = match["operator"] not in {None, "?", ":?"}
            if name not in assigned | SHELL and not has_default:
                assigned.add(name)
                yield Variable(name=name, is_required=True, place=f"{file}:{number}")
        if assignment := ASSIGNED.match(line):
            assigned.add(assignment["name"])


def find_port(texts: Collection[str], read: Callable[[str], str] = lambda text: text) -> int | None:
    """Return the port that a command or a script listens at, the first one that says it."""
    found = (match for text in texts if (match := PORT.search(read(text))))
    return next((int(match[1]) for match in found), None)
