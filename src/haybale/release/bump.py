"""The next version: bump2version, run where it can do no harm, and never before everything was looked at.

`bump` is for people: commit and tag arrive on their branch. The pipeline makes its version commit in a folder
beside the work tree, on no branch, so that nothing is seen of it until it is published (docs/adr/0012).
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from haybale.errors import ConfigError, PrerequisiteError, ReleaseError, UsageError
from haybale.release.remote import remote_refs
from haybale.tools import git, process
from haybale.version import MARKERS, SECTION, VERSION_FILES, Version, read_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PARTS = ("major", "minor", "patch", "build")

# Names bump2version's executable, which has an environment of its own (session `bump`).
EXECUTABLE = "HAYBALE_BUMP2VERSION"

# Options of bump2version's that would give haybale's rules another content.
OURS = ("--config-file", "--tag-name")

# What bump2version calls doing nothing.
DRY = frozenset({"--dry-run", "-n"})

# Sections of bump2version's configuration that name what else it writes to (its cli.py).
FILES = re.compile(r"bumpversion:(?P<kind>file|glob)(?:\s*\(.*\))?:(?P<path>.+)")

# In git's own folder of a release tree: which part was bumped, on top of which commit.
MARKER = "haybale-release"


@dataclass(frozen=True, kw_only=True)
class ReleaseTree:
    """A folder in which the commit of a version is checked out, on no branch.

    `base` is the commit that it was made on, its only parent.
    """

    path: Path
    commit: str
    version: Version
    base: str


@dataclass(frozen=True, kw_only=True)
class Bumped:
    """What `bump` made, and what bump2version said; with `dry`, it only would have."""

    version: Version
    dry: bool
    out: str
    err: str


def bump(root: Path, arguments: Sequence[str], env: Mapping[str, str], *, offline: bool = False) -> Bumped:
    """Make the next version on the branch that is checked out: bump2version's commit and its tag.

    `arguments` are the part (default: build) and bump2version's own. With its --dry-run everything is asked
    and nothing is changed. `offline` leaves the remote unasked. Raises `UsageError`, `ConfigError`,
    `PrerequisiteError`, or `ReleaseError` where something forbids it; then nothing was changed.
    """
    part, extra = split(arguments)
    program = executable(env)
    ready(root, allow_dirty="--allow-dirty" in extra)
    told = identity(root, env)
    old = read_version(root, {})
    new = _next(root, program, part, extra)
    if git.resolve_commit(root, f"refs/tags/{new}"):
        raise ReleaseError(
            f"the tag {new} exists here already",
            cause=f"{VERSION_FILES[0]} says {old}, which is not the last version that was made",
            hint="bring the branch up to date (git pull); or delete the tag if it is a mistake "
            f"(git tag -d {new})",
        )
    if not offline:
        _remote_allows(root, new)
    before, files = git.resolve_commit(root, "HEAD"), _written(root, extra)
    done = process.run([program, part, *extra], cwd=root, env=told)
    if not done.ok:
        if git.resolve_commit(root, "HEAD") == before and "--allow-dirty" not in extra:
            git.restore_files(root, files)
        raise ReleaseError(
            f"bump2version failed to make {new}",
            cause=_last_line(done),
            hint="mend that (a hook of the repository, perhaps) and try again",
        )
    return Bumped(version=new, dry=bool(DRY.intersection(extra)), out=done.stdout, err=done.stderr)


def split(arguments: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the part, and the arguments that are bump2version's; `UsageError` where they can't be."""
    part, *extra = arguments if arguments and not arguments[0].startswith("-") else ("build", *arguments)
    if part not in PARTS:
        raise UsageError(
            f"{part!r} is no part of a version",
            cause=f"the parts are {', '.join(PARTS)}",
            hint="bump PART [BUMP2VERSION'S OPTIONS]",
        )
    if part == "build" and any(each in PARTS for each in extra):
        raise UsageError("the part stands before the options", hint="bump PART [BUMP2VERSION'S OPTIONS]")
    for option in extra:
        if option.partition("=")[0] in OURS:
            raise UsageError(
                f"{option.partition('=')[0]} is not for here",
                cause=f"the version stands in {VERSION_FILES[0]} and its tag is vM.m.p or vM.m.p-rN",
            )
    return part, tuple(extra)


def executable(env: Mapping[str, str]) -> str:
    """Return bump2version's executable: what HAYBALE_BUMP2VERSION names, beside this Python, on PATH."""
    named = env.get(EXECUTABLE, "")
    beside = Path(sys.executable).with_name("bumpversion")
    found = named or (str(beside) if beside.is_file() else process.find_executable("bumpversion"))
    if not found or process.find_executable(found) is None:
        raise PrerequisiteError(
            f"{EXECUTABLE} is {named}, which can't be run" if named else "bump2version is not installed here",
            cause="it has an environment of its own",
            hint="run the session, which makes it: just bump, or nox -s bump",
        )
    return found


def ready(root: Path, *, allow_dirty: bool = False) -> None:
    """Raise `ReleaseError` where no version can be made of what is checked out.

    That is in the middle of a merge, with changes that are not committed, and with conflict markers in a file
    that bump2version writes to. Files that git doesn't know are no obstacle. A configuration that can't be
    read is a `ConfigError`.
    """
    if not git.resolve_commit(root, "HEAD"):
        raise ReleaseError(
            f"there is no commit in {root}", hint="make a version of a git repository's commit"
        )
    if not (root / ".git").exists():
        raise ReleaseError(
            f"{root} is not the top of its git repository",
            cause="a version belongs to the whole repository",
            hint="keep pyproject.toml and .bumpversion.cfg at its top",
        )
    begun = git.unfinished_operation(root)
    if begun:
        raise ReleaseError(
            f"a {begun} is not finished here", hint=f"git {begun} --continue, or git {begun} --abort"
        )
    changed = git.changed_files(root)
    if changed and not allow_dirty:
        raise ReleaseError(
            f"there are changes that are not committed: {_some(changed)}",
            cause="a version is exactly what is committed",
            hint="commit or stash them, and try again",
        )
    read_version(root, {})
    for file in _written(root):
        number = marker_line((root / file).read_text(encoding="utf-8", errors="replace"))
        if number:
            raise ReleaseError(
                f"{root / file}:{number}: a conflict marker",
                cause="a merge was committed unresolved",
                hint="resolve it, commit that, and try again",
            )


def marker_line(text: str) -> int:
    """Return the line (from 1) of a text's first conflict marker; 0 where it has none.

    A line of = alone underlines a heading, unless it stands among other markers.
    """
    found = [
        (number, line)
        for number, line in enumerate(text.split("\n"), start=1)
        if MARKERS.match(line.rstrip("\r"))
    ]
    return found[0][0] if any(not line.startswith("=") for _, line in found) else 0


def identity(root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell git who commits: none where it knows, else what the CI system gives.

    Raises `ReleaseError` where nobody knows.
    """
    if git.has_identity(root):
        return {}
    found = from_ci(env)
    if found is None:
        raise ReleaseError(
            "git does not know who makes the version's commit",
            cause="neither user.name and user.email nor a CI system's variables are set",
            hint="git config user.name NAME, git config user.email ADDRESS, and try again",
        )
    name, address = found
    return {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (
        ("NAME", name), ("EMAIL", address),
    )}  # fmt: skip


def from_ci(env: Mapping[str, str]) -> tuple[str, str] | None:
    """Return name and address of the one for whom a CI system runs; None outside of those known here."""
    name, address = env.get("GITLAB_USER_NAME", ""), env.get("GITLAB_USER_EMAIL", "")
    if name and address:
        return name, address
    actor = env.get("GITHUB_ACTOR", "")
    host = re.sub(r"^\w+://|[:/].*$", "", env.get("GITHUB_SERVER_URL", "").strip())
    if not actor or not host:
        return None
    number = env.get("GITHUB_ACTOR_ID", "")
    # The addresses that forges give to those who keep theirs to themselves.
    hidden = "noreply" if "GITEA_ACTIONS" in env or "FORGEJO_ACTIONS" in env else "users.noreply"
    return actor, f"{number}+{actor}@{hidden}.{host}" if number else f"{actor}@{hidden}.{host}"


def make_release_tree(
    root: Path, part: str, folder: Path, env: Mapping[str, str] = os.environ
) -> ReleaseTree:
    """Make the commit of the next version in `folder`, on top of what is checked out in `root`.

    Neither the work tree of `root` nor any of its branches or tags changes. Called again, also after it was
    killed, it gives the same version; a folder that was finished is kept as it is. Raises `ReleaseError` or
    `PrerequisiteError`, and leaves no folder then.
    """
    base, folder = git.read_commit(root).hash, folder.absolute()
    found = release_tree(folder)
    if found is not None and _marker(folder).read_text(encoding="ascii") == _mark(part, base):
        return found
    program = executable(env)
    ready(root)
    told = identity(root, env)
    remove_release_tree(root, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        git.add_worktree(root, folder, base)
        _marker(folder).write_text(_mark(part, base), encoding="ascii")
        return _bumped(folder, program, part, told)
    except BaseException:
        remove_release_tree(root, folder)
        raise


def _bumped(folder: Path, program: str, part: str, told: Mapping[str, str]) -> ReleaseTree:
    new = _next(folder, program, part, ())
    if git.resolve_commit(folder, f"refs/tags/{new}"):
        raise ReleaseError(
            f"the tag {new} exists here already",
            cause="the branch does not have that version's commit, or the tag was never pushed",
            hint=f"bring the branch up to date (git pull); or delete the tag (git tag -d {new})",
        )
    # The repository's hooks are for what people commit, and may need what is not installed here.
    quiet = git.hookless_environment(os.environ)
    done = process.run([program, part, "--commit", "--no-tag"], cwd=folder, env={**told, **quiet})
    made = release_tree(folder) if done.ok else None
    if made is None or made.version != new:
        raise ReleaseError(f"bump2version failed to make {new}", cause=_last_line(done))
    return made


def release_tree(folder: Path) -> ReleaseTree | None:
    """Return the finished release tree in a folder; None where there is none, or only a part of one."""
    if not (folder / ".git").is_file() or not _marker(folder).is_file():
        return None
    commit = git.resolve_commit(folder, "HEAD")
    if not commit or git.changed_files(folder):
        return None
    parents = git.read_commit(folder).parents
    # The mark may be cut off, where its writer was killed.
    *_, base = _marker(folder).read_text(encoding="ascii").split() or [""]
    if parents != (base,):
        return None
    return ReleaseTree(path=folder, commit=commit, version=read_version(folder, {}), base=base)


def remove_release_tree(root: Path, folder: Path) -> None:
    """Remove a release tree, finished or not, with everything that git keeps of it. Does nothing twice."""
    if (folder / ".git").is_dir():
        raise ReleaseError(f"{folder} is a repository of its own, and is not removed")
    with process.uninterrupted():
        shutil.rmtree(folder, ignore_errors=True)
        git.forget_worktree(root, folder)


def _mark(part: str, base: str) -> str:
    return f"{part} {base}\n"


def _marker(folder: Path) -> Path:
    """Return where a release tree's mark stands: git's own folder for it, which goes when it goes."""
    text = (folder / ".git").read_text(encoding="utf-8")
    return folder / text.removeprefix("gitdir:").strip() / MARKER


def _next(folder: Path, program: str, part: str, extra: Sequence[str]) -> Version:
    """Return the version that bump2version would make; it changes nothing."""
    done = process.run([program, part, *extra, "--dry-run", "--list"], cwd=folder)
    listed = re.findall(r"^new_version=(.*)$", done.stdout, re.MULTILINE)
    if not done.ok or not listed:
        raise ReleaseError(
            f"bump2version can't bump the {part} part", cause=_last_line(done), hint="mend that and try again"
        )
    try:
        new = Version.parse(listed[-1].strip())
    except ValueError as error:
        raise ReleaseError(
            f"bump2version would make the version {listed[-1]}",
            cause=str(error),
            hint=f"set parse and serialize in {VERSION_FILES[0]} as docs/configuration.md shows",
        ) from error
    form = _configuration(folder).get(SECTION, "tag_name", fallback="v{new_version}")
    if form != "v{new_version}":
        raise ConfigError(
            f"{folder / _configuration_file(folder)}: tag_name is {form!r}",
            cause="everything here finds a version by its tag, vM.m.p or vM.m.p-rN",
            hint="set tag_name = v{new_version}",
        )
    return new


def _remote_allows(root: Path, new: Version) -> None:
    """Raise `ReleaseError` where the remote has the version's tag, or commits that are not here."""
    branch = git.current_branch(root)
    upstream = git.find_upstream(root, branch or "HEAD")
    if upstream is None:
        return
    remote, ref = upstream
    try:
        refs = remote_refs(root, remote, f"refs/tags/{new}", *([ref] if branch else []))
    except ReleaseError as error:
        error.hint = "try again when it answers; or bump without asking it: --offline"
        raise
    if f"refs/tags/{new}" in refs:
        raise ReleaseError(
            f"the tag {new} exists on {remote} already",
            cause="somebody else made that version",
            hint="git pull, and try again",
        )
    there, head = refs.get(ref, ""), git.read_commit(root).hash
    if there and not (git.resolve_commit(root, there) and git.is_ancestor(root, there, head)):
        shallow = git.is_shallow(root)
        raise ReleaseError(
            f"{branch} is behind {ref.removeprefix('refs/heads/')} of {remote}, or has gone another way",
            cause=f"{there[:12]} is there and not here"
            + (", as far as this shallow clone goes back" * shallow),
            hint="git fetch --unshallow, git pull, and try again" if shallow else "git pull, and try again",
        )


def _written(root: Path, extra: Sequence[str] = ()) -> list[str]:
    """Return the files that bump2version writes to, as far as they are there: paths from `root`."""
    named = [_configuration_file(root)]
    for section in _configuration(root).sections():
        match = FILES.fullmatch(section)
        if match:
            path = match["path"]
            found = [str(each.relative_to(root)) for each in root.glob(path)]
            named += found if match["kind"] == "glob" else [path]
    named += _configuration(root).get(SECTION, "files", fallback="").split()
    named += [each for each in extra if not each.startswith("-")]
    return [file for file in dict.fromkeys(named) if (root / file).is_file()]


def _configuration_file(root: Path) -> str:
    return next((name for name in VERSION_FILES if (root / name).is_file()), VERSION_FILES[0])


def _configuration(root: Path) -> RawConfigParser:
    """Return bump2version's configuration; read_version has judged the file before."""
    parser = RawConfigParser()
    parser.read(root / _configuration_file(root), encoding="utf-8")
    return parser


def _last_line(done: process.Completed) -> str:
    """Return what bump2version has to say: the end of its traceback, without the traceback."""
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    return re.sub(r"^[\w.]+(?:Error|Exception): ", "", lines[-1]) if lines else f"it exited with {done.code}"


def _some(files: Sequence[str]) -> str:
    more = len(files) - 3
    return ", ".join(files[:3]) + (f" and {more} more" if more > 0 else "")
