"""The next version: bump2version, run where it can do no harm, and never before everything was checked.

`bump` is for people: commit and tag arrive on their branch. The pipeline makes its version commit in a folder
beside the work tree, on no branch, so that nothing is seen of it until it is published (docs/adr/0012).
"""

from __future__ import annotations

import re
import shutil
import sys
from configparser import RawConfigParser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from haybale.errors import ConfigError, PrerequisiteError, ReleaseError, UsageError
from haybale.release.remote import remote_refs
from haybale.tools import git, process
from haybale.version import MARKERS, SECTION, VERSION_FILES, Version, read_version, version_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VersionPart = Literal["major", "minor", "patch", "build"]

# The variable that names bump2version's executable, which has an environment of its own (session `bump`).
EXECUTABLE = "HAYBALE_BUMP2VERSION"

# Options of bump2version that would break haybale's rules.
REFUSED_OPTIONS = ("--config-file", "--tag-name", "--no-commit")

DRY_RUN_OPTIONS = frozenset({"--dry-run", "-n"})

# What bump2version has to call a version's tag.
TAG_NAME = "v{new_version}"

# Sections of bump2version's configuration that name further files it writes to (its cli.py).
FILE_SECTION = re.compile(r"bumpversion:(?P<kind>file|glob)(?:\s*\(.*\))?:(?P<path>.+)")

# How many lines are shown of what a tool said that failed.
WORDS = 4

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

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain values."""
        return {**asdict(self), "path": str(self.path), "version": str(self.version)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Return the tree that `to_dict` gave."""
        version = Version.parse(document["version"])
        return cls(**{**document, "path": Path(document["path"]), "version": version})


@dataclass(frozen=True, kw_only=True)
class Bumped:
    """The version that was made, and what bump2version printed; in a dry run nothing was made."""

    version: Version
    is_dry_run: bool
    stdout: str
    stderr: str


def bump_version(
    root: Path, arguments: Sequence[str], env: Mapping[str, str], *, offline: bool = False
) -> Bumped:
    """Make the next version on the branch that is checked out: bump2version's commit and its tag.

    `arguments` are the part (default: build) and bump2version's own. With its --dry-run everything is
    checked and nothing is changed. `offline` does not ask the remote. Raises `UsageError`, `ConfigError`,
    `PrerequisiteError`, or `ReleaseError` where something forbids it; then nothing was changed.
    """
    part, extra = parse_arguments(arguments)
    program = find_bump2version(env)
    raise_if_not_ready(root, allow_dirty="--allow-dirty" in extra)
    _raise_if_it_makes_no_version(root, extra)
    committer = committer_variables(root, env)
    new = _next_version(root, program, part, extra)
    if not offline:
        _raise_if_remote_forbids(root, new)
    is_dry_run = not DRY_RUN_OPTIONS.isdisjoint(extra)
    before = _Snapshot.read(root, _written_files(root, extra))
    done = process.run([program, part, *extra], cwd=root, env=committer)
    problem = None if done.ok else _last_words(done)
    if done.ok and not is_dry_run:
        problem = _find_problem(root, before, new, has_tag="--no-tag" not in extra)
    if problem:
        before.restore(root, new)
        raise ReleaseError(
            f"bump2version failed to make {new}; nothing was changed",
            cause=problem,
            hint="fix that (a hook of the repository, or how it signs) and try again",
        )
    return Bumped(version=new, is_dry_run=is_dry_run, stdout=done.stdout, stderr=done.stderr)


@dataclass(frozen=True, kw_only=True)
class _Snapshot:
    """What bump2version changes, before it does: the commit, the index, and the files, by their paths."""

    commit: str
    index: bytes
    files: Mapping[Path, bytes]

    @classmethod
    def read(cls, root: Path, files: Sequence[str]) -> Self:
        paths = [root / file for file in files]
        index = git.index_file(root)
        return cls(
            commit=git.read_commit(root).hash,
            index=index.read_bytes() if index.is_file() else b"",
            files={path: path.read_bytes() for path in paths},
        )

    def restore(self, root: Path, new: Version) -> None:
        """Put everything back, without the version's commit and tag. That tag did not exist before."""
        with process.uninterrupted():
            git.restore_refs(root, self.commit, absent=f"refs/tags/{new}")
            for path, content in self.files.items():
                if path.read_bytes() != content:
                    path.write_bytes(content)
            if self.index:
                git.index_file(root).write_bytes(self.index)


def _find_problem(root: Path, before: _Snapshot, new: Version, *, has_tag: bool) -> str | None:
    """Return what is missing of a version that bump2version says it made; None where all is there."""
    head = git.read_commit(root)
    if head.parents != (before.commit,):
        return f"it made no commit on top of {before.commit[:12]}"
    file = version_file(root)
    if read_version(root, {}) != new or git.uncommitted_files(root, [file.name]):
        return f"its commit {head.hash[:12]} does not have {new} in {file.name}: a hook may have changed it"
    if not has_tag:
        return None
    if git.read_tag(root, f"refs/tags/{new}") is None:
        return f"it made no annotated tag {new}"
    if git.resolve_commit(root, f"refs/tags/{new}") != head.hash:
        return f"its tag {new} does not point to its commit {head.hash[:12]}"
    return None


def _raise_if_it_makes_no_version(root: Path, extra: Sequence[str]) -> None:
    """Raise `ConfigError` where bump2version's configuration does not lead to a commit and an annotated tag.

    Without `commit` and `tag` it makes neither (its README, "Options"); with an empty `tag_message`, a tag
    that `git push --follow-tags` leaves behind. Options on the command line count more.
    """
    file, configuration = version_file(root), _read_configuration(root)
    for option in ("commit", "tag"):
        if {f"--{option}", f"--no-{option}"}.isdisjoint(extra):
            try:
                is_set = configuration.getboolean(SECTION, option, fallback=False)
            except ValueError:
                is_set = False
            if not is_set:
                found = configuration.get(SECTION, option, fallback=None)
                raise ConfigError(
                    f"{file}:{_option_line(file, option)}: {option} is {found or 'not set'}",
                    cause=f"bump2version makes no {option} then, and a version is a commit and a tag",
                    hint=f"write {option} = True in [{SECTION}]",
                )
    named = any(each.partition("=")[0] == "--tag-message" for each in extra)
    if not named and configuration.get(SECTION, "tag_message", fallback="x") == "":
        raise ConfigError(
            f"{file}:{_option_line(file, 'tag_message')}: tag_message is empty",
            cause="bump2version makes a lightweight tag then, and git push --follow-tags leaves it behind",
            hint="write tag_message = Release v{new_version}, or remove the line",
        )


def _option_line(file: Path, option: str) -> int:
    """Return the line (from 1) of an option of bump2version's section, or that of the section."""
    section, number = 1, 1
    is_inside = False
    for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
        if line.startswith("["):
            is_inside = line.strip() == f"[{SECTION}]"
            section = number if is_inside else section
        elif is_inside and re.match(rf"(?i:{option})\s*[=:]", line):
            return number
    return section


def parse_arguments(arguments: Sequence[str]) -> tuple[VersionPart, tuple[str, ...]]:
    """Return the part, and the arguments that are bump2version's; raises `UsageError`."""
    first, *extra = arguments if arguments and not arguments[0].startswith("-") else ("build", *arguments)
    parts: tuple[VersionPart, ...] = get_args(VersionPart)
    part = next((each for each in parts if each == first), None)
    if part is None:
        raise UsageError(
            f"{first!r} is no part of a version",
            cause=f"the parts are {', '.join(parts)}",
            hint="bump PART [BUMP2VERSION'S OPTIONS]",
        )
    if part == "build" and not set(extra).isdisjoint(parts):
        raise UsageError("the part stands before the options", hint="bump PART [BUMP2VERSION'S OPTIONS]")
    for option in (each.partition("=")[0] for each in extra):
        if option in REFUSED_OPTIONS:
            raise UsageError(
                f"{option} is not available here",
                cause="a version is a commit of bump2version's own file, and a tag vM.m.p or vM.m.p-rN",
            )
    return part, tuple(extra)


def find_bump2version(env: Mapping[str, str]) -> str:
    """Return bump2version's executable: what HAYBALE_BUMP2VERSION names, beside this Python, on PATH."""
    named = env.get(EXECUTABLE, "")
    beside = Path(sys.executable).with_name("bumpversion")
    found = named or (str(beside) if beside.is_file() else process.find_executable("bumpversion"))
    if not found or process.find_executable(found) is None:
        raise PrerequisiteError(
            f"{EXECUTABLE} is {named}, which cannot be run" if named else "there is no bump2version",
            cause="it has an environment of its own",
            hint="run the session, which makes it: just bump, or nox -s bump",
        )
    return found


def raise_if_not_ready(root: Path, *, allow_dirty: bool = False) -> None:
    """Raise `ReleaseError` where no version can be made of what is checked out.

    That is in the middle of a merge, with changes that are not committed, and with conflict markers in a file
    that bump2version writes to. Untracked files are no obstacle. A configuration that cannot be read is a
    `ConfigError`.
    """
    head = git.read_head(root)
    if head is None:
        hint = "make a version of a git repository's commit"
        raise ReleaseError(f"there is no commit in {root}", hint=hint)
    if not (root / ".git").exists():
        raise ReleaseError(
            f"{root} is not the top of its git repository",
            cause="a version belongs to the whole repository",
            hint="keep pyproject.toml and .bumpversion.cfg at its top",
        )
    operation = git.unfinished_operation(root)
    if operation:
        raise ReleaseError(
            f"a {operation} is not finished here",
            hint=f"git {operation} --continue, or git {operation} --abort",
        )
    if head.changed_files and not allow_dirty:
        raise ReleaseError(
            f"there are changes that are not committed: {_first_three(head.changed_files)}",
            cause="a version is exactly what is committed",
            hint="commit or stash them, and try again",
        )
    read_version(root, {})
    for file in _written_files(root):
        number = conflict_marker_line((root / file).read_text(encoding="utf-8", errors="replace"))
        if number is not None:
            raise ReleaseError(
                f"{root / file}:{number}: a conflict marker",
                cause="a merge was committed unresolved",
                hint="resolve it, commit that, and try again",
            )


def conflict_marker_line(text: str) -> int | None:
    """Return the line (from 1) of a text's first conflict marker.

    A line of = alone underlines a heading, unless it stands among other markers.
    """
    lines = enumerate(text.split("\n"), start=1)
    markers = {number: line for number, line in lines if MARKERS.match(line.rstrip("\r"))}
    return min(markers) if any(not line.startswith("=") for line in markers.values()) else None


def committer_variables(root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that tell git who commits: none where it knows, else what the CI system gives.

    Raises `ReleaseError` where nobody knows.
    """
    if git.has_identity(root):
        return {}
    found = read_ci_user(env)
    if found is None:
        raise ReleaseError(
            "git does not know who makes the version's commit",
            cause="neither user.name and user.email nor a CI system's variables are set",
            hint="git config user.name NAME, git config user.email ADDRESS, and try again",
        )
    name, address = found
    return {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", address))
    }


def read_ci_user(env: Mapping[str, str]) -> tuple[str, str] | None:
    """Return name and address of the user for whom a CI system runs; None outside of those known here."""
    name, address = env.get("GITLAB_USER_NAME", ""), env.get("GITLAB_USER_EMAIL", "")
    if name and address:
        return name, address
    actor = env.get("GITHUB_ACTOR", "")
    host = re.sub(r"^\w+://|[:/].*$", "", env.get("GITHUB_SERVER_URL", "").strip())
    if not actor or not host:
        return None
    number = env.get("GITHUB_ACTOR_ID", "")
    # The addresses that forges give to those who hide their own.
    hidden = "noreply" if "GITEA_ACTIONS" in env or "FORGEJO_ACTIONS" in env else "users.noreply"
    return actor, f"{number}+{actor}@{hidden}.{host}" if number else f"{actor}@{hidden}.{host}"


def make_release_tree(root: Path, part: VersionPart, folder: Path, env: Mapping[str, str]) -> ReleaseTree:
    """Make the commit of the next version in `folder`, on top of what is checked out in `root`.

    Neither the work tree of `root` nor any of its branches or tags changes. Called again, also after it was
    killed, it gives the same version; a folder that was finished is kept as it is. Raises `ReleaseError` or
    `PrerequisiteError`, and leaves no folder then.
    """
    base, folder = git.read_commit(root).hash, folder.absolute()
    mark = f"{part} {base}\n"
    tree = read_release_tree(folder)
    if tree is not None and _marker_file(folder).read_text(encoding="ascii") == mark:
        return tree
    program = find_bump2version(env)
    raise_if_not_ready(root)
    committer = committer_variables(root, env)
    remove_release_tree(root, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        git.add_worktree(root, folder, base)
        _marker_file(folder).write_text(mark, encoding="ascii")
        # The repository's hooks are for what people commit, and may need what is not installed here.
        return _commit_version(folder, program, part, {**committer, **git.WITHOUT_HOOKS})
    except BaseException:
        remove_release_tree(root, folder)
        raise


def _commit_version(
    folder: Path, program: str, part: VersionPart, variables: Mapping[str, str]
) -> ReleaseTree:
    new = _next_version(folder, program, part, ())
    done = process.run([program, part, "--commit", "--no-tag"], cwd=folder, env=variables)
    tree = read_release_tree(folder) if done.ok else None
    if tree is None or tree.version != new:
        raise ReleaseError(f"bump2version failed to make {new}", cause=_last_words(done))
    return tree


def read_release_tree(folder: Path) -> ReleaseTree | None:
    """Return the finished release tree in a folder; None where there is none, or only a part of one."""
    if not (folder / ".git").is_file() or not _marker_file(folder).is_file():
        return None
    head = git.read_head(folder)
    # The mark may be cut off, where its writer was killed.
    *_, base = _marker_file(folder).read_text(encoding="ascii").split() or [""]
    if head is None or head.changed_files or head.commit.parents != (base,):
        return None
    return ReleaseTree(path=folder, commit=head.commit.hash, version=read_version(folder, {}), base=base)


def remove_release_tree(root: Path, folder: Path) -> None:
    """Remove a release tree, finished or not, with everything that git keeps of it. Does nothing twice."""
    if (folder / ".git").is_dir():
        raise ReleaseError(f"{folder} is a repository of its own, and is not removed")
    with process.uninterrupted():
        shutil.rmtree(folder, ignore_errors=True)
        git.forget_worktree(root, folder)


def _marker_file(folder: Path) -> Path:
    """Return where a release tree's mark stands: git's own folder for it, which is removed with it."""
    text = (folder / ".git").read_text(encoding="utf-8")
    return folder / text.removeprefix("gitdir:").strip() / MARKER


def _next_version(folder: Path, program: str, part: VersionPart, extra: Sequence[str]) -> Version:
    """Return the version that bump2version would make; it changes nothing.

    Raises `ReleaseError` where it cannot make one, or its tag exists in this clone.
    """
    done = process.run([program, part, *extra, "--dry-run", "--list"], cwd=folder)
    listed = re.findall(r"^new_version=(.*)$", done.stdout, re.MULTILINE)
    if not done.ok or not listed:
        raise ReleaseError(
            f"bump2version cannot bump the {part} part", cause=_last_line(done), hint="fix that and try again"
        )
    try:
        new = Version.parse(listed[-1].strip())
    except ValueError as error:
        raise ReleaseError(
            f"bump2version would make the version {listed[-1]}",
            cause=str(error),
            hint=f"set parse and serialize in {VERSION_FILES[0]} as docs/configuration.md shows",
        ) from error
    name = _read_configuration(folder).get(SECTION, "tag_name", fallback=TAG_NAME)
    if name != TAG_NAME:
        raise ConfigError(
            f"{version_file(folder)}: tag_name is {name!r}",
            cause="everything here finds a version by its tag, vM.m.p or vM.m.p-rN",
            hint=f"set tag_name = {TAG_NAME}",
        )
    if git.resolve_commit(folder, f"refs/tags/{new}"):
        raise ReleaseError(
            f"the tag {new} exists here already",
            cause=f"{VERSION_FILES[0]} says {read_version(folder, {})}, which is not the last version made",
            hint=_hint_for_existing_tag(folder, new),
        )
    return new


def _hint_for_existing_tag(root: Path, new: Version) -> str:
    """Return the next step; a tag is only advised to be deleted where the remote answers and has none."""
    upstream = git.find_upstream(root, git.current_branch(root) or "HEAD")
    try:
        known = remote_refs(root, upstream[0], f"refs/tags/{new}") if upstream else {"": ""}
    except ReleaseError:
        known = {"": ""}
    if known:
        return "bring the branch up to date (git pull)"
    return f"bring the branch up to date (git pull); or delete the tag if it is a mistake (git tag -d {new})"


def _raise_if_remote_forbids(root: Path, new: Version) -> None:
    """Raise `ReleaseError` where the remote has the version's tag, or commits that are not here."""
    branch = git.current_branch(root)
    upstream = git.find_upstream(root, branch or "HEAD")
    if upstream is None:
        return
    remote, ref = upstream
    try:
        refs = remote_refs(root, remote, f"refs/tags/{new}", *([ref] if branch else []))
    except ReleaseError as error:
        error.hint = "try again when it answers; or bump without asking the remote: --offline"
        raise
    if f"refs/tags/{new}" in refs:
        raise ReleaseError(
            f"the tag {new} exists on {remote} already",
            cause="somebody else made that version",
            hint="git pull, and try again",
        )
    commit = refs.get(ref)
    if commit and not (git.resolve_commit(root, commit) and git.is_ancestor(root, commit, "HEAD")):
        is_shallow = git.is_shallow(root)
        raise ReleaseError(
            f"{branch} is behind {ref.removeprefix('refs/heads/')} of {remote}, or has diverged from it",
            cause=f"{commit[:12]} is there and not here"
            + (", as far as this shallow clone goes back" if is_shallow else ""),
            hint=f"{'git fetch --unshallow, ' if is_shallow else ''}git pull, and try again",
        )


def _written_files(root: Path, extra: Sequence[str] = ()) -> list[str]:
    """Return the files that bump2version writes to, as far as they exist: paths from `root`."""
    named, configuration = [version_file(root).name], _read_configuration(root)
    for match in filter(None, map(FILE_SECTION.fullmatch, configuration.sections())):
        found = [str(each.relative_to(root)) for each in root.glob(match["path"])]
        named += found if match["kind"] == "glob" else [match["path"]]
    named += configuration.get(SECTION, "files", fallback="").split()
    named += [each for each in extra if not each.startswith("-")]
    return [file for file in dict.fromkeys(named) if (root / file).is_file()]


def _read_configuration(root: Path) -> RawConfigParser:
    """Return bump2version's configuration; read_version has checked the file before."""
    parser = RawConfigParser()
    parser.read(version_file(root), encoding="utf-8")
    return parser


def _last_line(done: process.Completed) -> str:
    """Return the last line of what bump2version printed, without its exception's name."""
    lines = [line.strip() for line in done.output.splitlines() if line.strip()]
    return re.sub(r"^[\w.]+(?:Error|Exception): ", "", lines[-1]) if lines else f"it exited with {done.code}"


def _last_words(done: process.Completed) -> str:
    """Return what git, a hook or gpg printed, where bump2version failed because of them; else its last line.

    They print before bump2version does, which says only that they failed.
    """
    ours = ("Traceback ", "Failed to run ")
    words = []
    for line in done.stderr.splitlines():
        if line.startswith(ours):
            break
        words.append(line.strip())
    words = [line for line in words if line]
    return "; ".join(words[-WORDS:]) if words else _last_line(done)


def _first_three(files: Sequence[str]) -> str:
    more = len(files) - 3
    return ", ".join(files[:3]) + (f" and {more} more" if more > 0 else "")
