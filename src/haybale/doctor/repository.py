"""What a repository lacks for a run: git, the version, the dump, the harness that it installs."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from haybale.checkout import read_version
from haybale.config import TABLE
from haybale.doctor.finding import Diagnosis, Finding
from haybale.dump.archive import open_content
from haybale.dump.content import Stream
from haybale.dump.fetching import PLACE, fetched_file, find_dump
from haybale.dump.recognition import recognise
from haybale.errors import HaybaleError
from haybale.tools import git
from haybale.version import find_version_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from haybale.config import Project
    from haybale.version import VersionFile

# Seconds that a commit may be in the future: clocks of two machines.
FUTURE = 24 * 60 * 60

# Where a repository says which haybale it installs: haybale==1.2.3, with [bump] or {extras} before that.
NOXFILES = ("noxfile.py", "haybale_noxfile.py")
PIN = re.compile(r"\bhaybale(\[[\w, -]*\]|\{\w+\})?==(?P<version>[0-9][\w.+!-]*)")


def examine_git(project: Project) -> Diagnosis:
    """Look at the repository, its remote, its settings, and what would get lost in the folder of reports."""
    head = git.read_head(project.root)
    if head is None:
        why = "images have no revision, and no version can be made or published"
        finding = Finding(
            level="warning", what=f"{project.root} is no git repository", why=why, fix="git init"
        )
        return Diagnosis(subject="git", seen="no repository", findings=(finding,))
    url = git.remote_url(project.root)
    operation = git.unfinished_operation(project.root)
    ahead = head.commit.time - time.time()
    findings = [
        *check_remote(url),
        *check_state(operation, is_shallow=git.is_shallow(project.root), ahead=ahead),
        *check_conversions(
            git.setting(project.root, "core.autocrlf"), git.setting(project.root, "core.symlinks")
        ),
    ]
    if not git.has_identity(project.root):
        findings.append(
            Finding(
                level="warning",
                what="git does not know who you are",
                why="a version is a commit and a tag, which have an author",
                fix="git config user.name NAME; git config user.email ADDRESS",
            )
        )
    if git.has_tracked_files(project.home, project.reports.name):
        findings.append(
            Finding(
                level="error",
                what=f"{project.reports}/ has files that are in git",
                why="haybale empties that folder before each run of the tests",
                fix=f"git mv {project.reports.name} OTHER_NAME",
            )
        )
    changed = len(head.changed_files)
    seen = ", ".join([
        head.commit.hash[:12], head.branch or "no branch",
        f"{changed} changed file{'s' * (changed != 1)}" if changed else "nothing changed",
        f"origin {'is ' + git.scrub_credentials(url) if url else 'is not set'}",
    ])  # fmt: skip
    return Diagnosis(subject="git", seen=seen, findings=tuple(findings))


def check_remote(url: str | None) -> Iterator[Finding]:
    """Yield that there is no remote, by its URL."""
    if url is None:
        yield Finding(
            level="warning",
            what="there is no remote `origin`",
            why="versions and deployments are published there",
            fix="git remote add origin URL",
        )


def check_state(operation: str | None, *, is_shallow: bool, ahead: float) -> Iterator[Finding]:
    """Yield what is odd about what is checked out; `ahead` is by how many seconds HEAD is in the future."""
    if operation:
        yield Finding(
            level="warning",
            what=f"git is in the middle of a {operation}",
            why="no version is made before it is finished",
            fix=f"git {operation} --continue, or git {operation} --abort",
        )
    if is_shallow:
        yield Finding(
            level="warning",
            what="this clone is shallow",
            why="what changed, versions and notes are read from the history",
            fix="git fetch --unshallow --tags (in CI: fetch-depth: 0, GIT_DEPTH: 0)",
        )
    if ahead > FUTURE:
        yield Finding(
            level="warning",
            what=f"the commit checked out is {ahead / 3600:.0f} hours in the future",
            why="images are dated by it; this machine's clock may be wrong, and then certificates fail too",
            fix="date shows this machine's clock; set it",
        )


def check_conversions(autocrlf: str | None, symlinks: str | None) -> Iterator[Finding]:
    """Yield what git changes in files on its way to the disk, by core.autocrlf and core.symlinks."""
    if (autocrlf or "").lower() == "true":
        yield Finding(
            level="warning",
            what="git writes files with Windows' line ends (core.autocrlf is true)",
            why="scripts do not run in containers, and the index key is another one than on other machines",
            fix="git config --global core.autocrlf input, and a new clone",
        )
    if (symlinks or "").lower() == "false":
        yield Finding(
            level="warning",
            what="git writes links as text files (core.symlinks is false)",
            why="the link to the dump is a file with a name in it then",
            fix="git config core.symlinks true, and a new clone on a file system that has links",
        )


def examine_version(project: Project, env: Mapping[str, str], own: str) -> Diagnosis:
    """Read the version, and compare the haybale that runs (version `own`) with the one that is pinned."""
    findings = list(check_pins(project, own))
    try:
        version = read_version(project.root, env)
    except HaybaleError as error:
        findings.insert(0, Finding.from_error(error))
        return Diagnosis(subject="version", seen="not known", findings=tuple(findings))
    file = find_version_file(project.root)
    findings += check_version_file(file) if file else ()
    source = f"in {file.path.name}" if file else "by git's tags"
    seen = f"{version}, {source}; haybale {own}"
    return Diagnosis(subject="version", seen=seen, findings=tuple(findings))


def check_version_file(file: VersionFile) -> Iterator[Finding]:
    """Yield the files that a version is written into, and that are not there."""
    for each in file.missing_files():
        yield Finding(
            level="warning",
            what=f"{file.path}:{each.line}: there is no {each.path}",
            why=f"{file.tool} writes the new version into it, so no version can be made",
            fix="correct the path, or remove what names it",
        )


def check_pins(project: Project, own: str) -> Iterator[Finding]:
    """Yield the noxfiles that install another haybale than the one that runs."""
    for name in NOXFILES:
        file = project.root / name
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        for number, line in enumerate(text.splitlines(), start=1):
            found = PIN.search(line)
            if found and found["version"] != own:
                yield Finding(
                    level="warning",
                    what=f"{name}:{number}: it installs haybale {found['version']}, and this is {own}",
                    why="CI and others run that one, which may take other settings and has other index keys",
                    fix="haybale upgrade, or run the one that is pinned",
                )


def examine_dump(project: Project) -> Diagnosis:
    """Look at the beginning of the dump: what it is, not whether all of it is sound; it is not fetched."""
    database = project.settings.database
    if database.fetch and not ((file := fetched_file(project)) and file.is_file()):
        return Diagnosis(
            subject="dump",
            seen=f"not fetched yet, by {database.fetch[0]}",
            findings=tuple(check_fetch(project)),
        )
    try:
        dump = find_dump(project)
        with open_content(dump.target) as content:
            format_ = recognise(content).format if isinstance(content, Stream) else "several files"
    except HaybaleError as error:
        return Diagnosis(subject="dump", seen="none", findings=(Finding.from_error(error),))
    except OSError as error:
        what, fix = f"{project.settings.dump} cannot be read: {error}", "make it readable"
        finding = Finding(level="error", what=what, why="the index is made of it", fix=fix)
        return Diagnosis(subject="dump", seen="none", findings=(finding,))
    size = 0 if dump.target.is_dir() else dump.target.stat().st_size
    name = "fetched before" if database.fetch else f"{dump.link.name} leads to {dump.target.name}"
    return Diagnosis(subject="dump", seen=f"{name} ({format_}, {size / 1e6:.1f} MB)")


def check_fetch(project: Project) -> Iterator[Finding]:
    """Yield what keeps the command from bringing the dump that is meant."""
    database = project.settings.database
    if not any(PLACE in word for word in database.fetch):
        yield Finding(
            level="error",
            what=f"database.fetch has no {PLACE}",
            why="the command puts the dump there",
            fix=f'fetch = [..., "{PLACE}"] in [{TABLE}.database]',
        )
    if database.sha256 is None:
        yield Finding(
            level="error",
            what="database.fetch has a command, and database.sha256 does not say which dump is meant",
            why="tomorrow it may bring another one, and the same commit would have another index",
            fix=f'sha256 = "..." in [{TABLE}.database], of sha256sum (macOS: shasum -a 256)',
        )
