"""The host's side of the audit: what the loader may read, and what follows from anything else.

The audit itself (`haybale/loader/checks/audit.py`) runs in the site's container. An input that the index key
does not know is a fault of the key: when it changes, an old index passes for a new one.
"""

from __future__ import annotations

import glob
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from haybale.errors import InputsError
from haybale.files import write_atomically
from haybale.loader.events import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from haybale.config import Settings

# What was done to each kind of thing.
VERBS = {
    "file": "read",
    "module": "used the code in",
    "socket": "connected to",
    "program": "ran",
    "database": "opened",
}

# HOST:PORT, and not a path.
_ADDRESS = re.compile(r"[^/]+:(\d+|\*)")


@dataclass(frozen=True, kw_only=True)
class Unknown:
    """What the audit found: the first findings, and how many there are in all."""

    findings: tuple[Finding, ...] = ()
    total: int = 0

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Unknown:
        """Return what the event `unknown-inputs` says; `KeyError`, `TypeError` where it is none."""
        findings = tuple(Finding(**finding) for finding in event["findings"])
        return cls(findings=findings, total=int(event["total"]))


def write_inputs(
    file: Path, inputs: frozenset[str], site: str, ignore: Sequence[str], mounted: Iterable[str] = ()
) -> None:
    """Write what the loader may read into a file, for its option --inputs.

    `inputs` are files and `ignore` globs (or HOST:PORT) as seen from the repository's root; the loader sees
    the site's folder `site` only. `mounted` are inputs by their paths in the container.
    """
    anywhere = [each for each in ignore if _is_absolute(each)]
    in_site = _relative_to_site((each for each in ignore if not _is_absolute(each)), site)
    known = {"inputs": sorted({*_relative_to_site(inputs, site), *mounted}), "ignore": [*anywhere, *in_site]}
    write_atomically(file, json.dumps(known, indent=1) + "\n")


def _is_absolute(ignored: str) -> bool:
    """Return whether an entry means the same everywhere: an absolute path, or HOST:PORT."""
    return ignored.startswith("/") or _ADDRESS.fullmatch(ignored) is not None


def _relative_to_site(paths: Iterable[str], site: str) -> Iterable[str]:
    """Yield those of the repository's paths that lie in the site's folder, as seen from there."""
    folder = PurePosixPath(site).parts
    for path in paths:
        parts = PurePosixPath(path).parts
        if parts[:1] == ("**",):
            # A glob that starts anywhere starts in the site's folder too.
            yield path
        elif len(parts) > len(folder) and all(map(fnmatchcase, folder, parts)):
            yield str(PurePosixPath(*parts[len(folder) :]))


def check_unknown_inputs(unknown: Unknown, settings: Settings) -> tuple[str, ...]:
    """Raise `InputsError` for what the key does not know, or return it as warnings, as the settings say."""
    if not unknown.total:
        return ()
    sentences = [_sentence(finding, settings.site.folder) for finding in unknown.findings]
    more = unknown.total - len(sentences)
    if more > 0:
        sentences.append(f"and {more} more")
    if settings.index.unknown == "warn":
        return tuple(f"the index key does not know it: {each}" for each in sentences)
    message = f"{sentences[0]}, which the index key does not know"
    if len(sentences) > 1:
        message = f"preparing documents read {unknown.total} things that the index key does not know"
    raise InputsError(
        message,
        cause="when it changes, the key stays the same, and an old index passes for a new one",
        hint="in pyproject.toml, let it count (inputs) or say that it does not matter (ignore):\n"
        + "\n".join(_setting_lines(unknown.findings, settings)),
        log="\n".join(sentences) if len(sentences) > 1 else "",
    )


def _sentence(finding: Finding, site: str) -> str:
    """Return a finding as a sentence, with paths as seen from the repository's root."""
    verb = VERBS.get(finding.kind, "used")
    return f"`{finding.by}` {verb} `{_in_repository(finding, site)}`"


def _setting_lines(findings: Iterable[Finding], settings: Settings) -> list[str]:
    """Return the lines of pyproject.toml that let the findings count, or not matter; what is there is kept.

    A file of the site can be an input. What else is outside of the repository, and can only be ignored.
    """
    inputs, ignore = set(), set()
    for finding in findings:
        if _is_of_site(finding):
            # A name is no glob, whatever is in it.
            inputs.add(glob.escape(_in_repository(finding, settings.site.folder)))
        else:
            ignore.add(finding.what)
    index = settings.index
    found = {"inputs": _added(index.inputs, inputs), "ignore": _added(index.ignore, ignore)}
    return ["[tool.haybale.index]", *(f"{name} = {_toml(each)}" for name, each in found.items() if each)]


def _added(present: tuple[str, ...], new: set[str]) -> list[str]:
    """Return a setting with what is new added; empty where nothing is."""
    return [*present, *sorted(new - set(present))] if new - set(present) else []


def _is_of_site(finding: Finding) -> bool:
    return finding.kind in ("file", "module", "database") and not finding.what.startswith("/")


def _in_repository(finding: Finding, site: str) -> str:
    return str(PurePosixPath(site, finding.what)) if _is_of_site(finding) else finding.what


def _toml(texts: Iterable[str]) -> str:
    """Return an array of TOML. Its basic strings are JSON's, but for DEL, which no path should have."""
    return "[" + ", ".join(json.dumps(text, ensure_ascii=False) for text in texts) + "]"
