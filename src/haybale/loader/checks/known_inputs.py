"""What may be read while documents are prepared: the inputs that the index key knows, and libraries."""

from __future__ import annotations

import json
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Iterable, NamedTuple

from ..documents.django_setup import PACKAGE

# What belongs to the system (Filesystem Hierarchy Standard).
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc", "/sys", "/dev")


class KnownInputs(NamedTuple):
    """What may be read, and where the site is.

    `inputs` are relative to `folder`, or absolute; `ignored` matches a path (relative to it, or absolute) or
    HOST:PORT, and `roots` are the folders of Python, its packages and the system.
    """

    folder: str
    inputs: frozenset[str]
    ignored: re.Pattern[str]
    roots: tuple[str, ...]

    def name(self, path: str) -> str | None:
        """Return an absolute path as a finding names it (relative in the site's folder); None: known."""
        if path in self.inputs:
            return None
        name = path
        if path.startswith(self.folder + os.sep):
            name = path[len(self.folder) + 1 :]
            if name in self.inputs:
                return None
        return None if self.is_library(path) or self.ignored.fullmatch(name) else name

    def is_library(self, path: str) -> bool:
        """Return whether a path is Python's, a package's or the system's.

        The nearest folder decides: the site may be in /usr/src, or have its virtual environment inside.
        """
        longest = max((root for root in self.roots if path.startswith(root + os.sep)), key=len, default="")
        inside = path.startswith(self.folder + os.sep)
        return bool(longest) and not (inside and len(longest) <= len(self.folder))


def library_folders() -> tuple[str, ...]:
    """Return the folders of this Python, of its packages, of this package and of the system."""
    found = {PACKAGE, *SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    found.update(sysconfig.get_paths().values())
    found.update(path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages"))
    both = found | {os.path.realpath(path) for path in found}
    return tuple(sorted(path.rstrip(os.sep) for path in both if path.rstrip(os.sep)))


def compile_globs(globs: Iterable[str]) -> re.Pattern[str]:
    """Return what matches any of these globs: * and ? stay within a folder, ** spans folders.

    A folder stands for everything in it.
    """
    forms = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = (re.split(r"(\*\*/|\*\*|\*|\?)", glob) for glob in globs)
    each = ("".join(forms.get(part) or re.escape(part) for part in glob) for glob in parts)
    return re.compile("(?:{})(?:/.*)?".format("|".join(each) or "(?!)"))


def read_known_inputs(file: str | None) -> KnownInputs:
    """Return what the host says may be read: {"inputs": [...], "ignore": [...]}; nothing without a file."""
    known = json.loads(Path(file).read_text(encoding="utf-8")) if file else {"inputs": [], "ignore": []}
    inputs, ignored = frozenset(known["inputs"]), compile_globs(known["ignore"])
    return KnownInputs(os.getcwd(), inputs, ignored, library_folders())
