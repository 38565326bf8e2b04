"""apt: the sources of this machine's Debian packages, and installing packages."""

from __future__ import annotations

import email
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import PrerequisiteError
from haybale.tools import process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OS_RELEASE = Path("/etc/os-release")

# Where an installer writes the distribution's own sources, in one-line style or deb822; and all others.
SOURCES = ("sources.list", "sources.list.d/debian.sources", "sources.list.d/ubuntu.sources")
OTHER_SOURCES = ("sources.list.d/*.list", "sources.list.d/*.sources")

# Seconds that apt waits for another apt or dpkg to end.
LOCK_TIMEOUT = 120


@dataclass(frozen=True, kw_only=True)
class Source:
    """A package source (sources.list(5)); `uris` and `signed_by` as they stand there, "" where absent."""

    uris: str
    suites: tuple[str, ...]
    signed_by: str = ""

    def stanza(self) -> str:
        """Return the source in deb822 style."""
        signed = f"Signed-By: {self.signed_by}\n" if self.signed_by else ""
        return f"Types: deb\nURIs: {self.uris}\nSuites: {' '.join(self.suites)}\nComponents: main\n{signed}"


def read_os_release() -> Mapping[str, str]:
    """Return os-release(5) of this machine, empty where it has none."""
    return parse_os_release(OS_RELEASE.read_text(encoding="utf-8")) if OS_RELEASE.is_file() else {}


def parse_os_release(text: str) -> dict[str, str]:
    """Return os-release(5) as a mapping."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def package_sources(folder: Path = Path("/etc/apt")) -> tuple[Source, ...]:
    """Return the distribution's own package sources, as this machine has them.

    Files of other names count only where the usual ones have none: they are mostly other people's.
    """
    for patterns in (SOURCES, OTHER_SOURCES):
        files = sorted(file for pattern in patterns for file in folder.glob(pattern))
        found = [source for file in files for source in _read(file)]
        if found:
            return tuple(found)
    return ()


def _read(file: Path) -> list[Source]:
    text = file.read_text(encoding="utf-8")
    return parse_one_line(text) if file.suffix == ".list" else parse_deb822(text)


def parse_deb822(text: str) -> list[Source]:
    """Return the enabled binary sources of a deb822 file."""
    found = []
    for stanza in text.split("\n\n"):
        lines = (line for line in stanza.splitlines() if line and not line.startswith("#"))
        fields = email.message_from_string("\n".join(lines))
        if "deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no":
            suites = tuple(fields.get("Suites", "").split())
            signed_by = fields.get("Signed-By", "")
            found.append(Source(uris=fields.get("URIs", ""), suites=suites, signed_by=signed_by))
    return found


def parse_one_line(text: str) -> list[Source]:
    """Return the binary sources of a file in one-line style."""
    found = []
    for line in text.splitlines():
        kind, _, rest = line.partition("#")[0].strip().partition(" ")
        if kind != "deb":
            continue
        options, signed = "", ""
        if rest.lstrip().startswith("["):
            options, _, rest = rest.lstrip()[1:].partition("]")
        for option in options.split():
            name, _, value = option.partition("=")
            signed = value if name == "signed-by" else signed
        uri, suite, *_ = [*rest.split(), "", ""]
        found.append(Source(uris=uri, suites=(suite,), signed_by=signed))
    return found


def sources_of_suite(
    present: Sequence[Source], codename: str, suite: str, parts: Sequence[str]
) -> list[Source]:
    """Return the sources of another release of a distribution, from those of its release `codename`.

    `parts` are the suffixes wanted, of "", "-updates" and "-security". Other people's sources are left out.
    """
    wanted = {f"{codename}{part}": f"{suite}{part}" for part in parts}
    found = []
    for source in present:
        suites = tuple(wanted[name] for name in source.suites if name in wanted)
        if source.uris and suites:
            found.append(Source(uris=source.uris, suites=suites, signed_by=source.signed_by))
    return found


def is_root() -> bool:
    """Return whether this process may install packages."""
    return os.geteuid() == 0


def install_packages(*packages: str) -> None:
    """Update the lists and install packages; raises `PrerequisiteError` with the end of apt's output.

    Nothing is removed for them: what is in their way is somebody's choice.
    """
    _apt_get("update")
    _apt_get("install", "--yes", "--no-install-recommends", "--no-remove", *packages)


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "--quiet", f"--option=DPkg::Lock::Timeout={LOCK_TIMEOUT}", *arguments]
    done = process.run_merged(command, env={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
    if not done.ok:
        message = f"apt-get {arguments[0]} failed (exit code {done.code})"
        hint = f"correct what it names, and try again: {shlex.join(['apt-get', *arguments])}"
        log = "\n".join(done.stdout.splitlines()[-25:])
        raise PrerequisiteError(message, cause=done.error_line, hint=hint, log=log)
