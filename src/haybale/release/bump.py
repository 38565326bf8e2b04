"""The next version: made by the tool of the version file, where it can do no harm, or as a tag alone.

Never before everything was checked. `bump` is for people: commit and tag arrive on their branch. The
pipeline makes its version commit in a folder beside the work tree, on no branch; nothing is seen of it
until it is published (docs/adr/0012). Without a version file there is no such commit: a tag is the version.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from haybale.checkout import read_version
from haybale.errors import ConfigError, ReleaseError, UsageError
from haybale.release.remote import remote_refs
from haybale.release.version_tools import find_version_tool
from haybale.tools import git, process
from haybale.version import MARKERS, PARTS, TAG_NAMES, Version, find_version_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from haybale.release.version_tools import VersionTool
    from haybale.version import VersionFile

VersionPart = Literal["major", "minor", "patch", "build"]

# Options of the tools that would break haybale's rules.
REFUSED_OPTIONS = ("--config-file", "--tag-name", "--no-commit", "--push-tag")

DRY_RUN_OPTIONS = frozenset({"--dry-run", "-n"})

# What `bump` takes where there is no version file.
TAG_OPTIONS = frozenset({*DRY_RUN_OPTIONS, "--allow-dirty"})

# In git's own folder of a release tree: which part was bumped, on top of which commit, to which version.
MARKER = "haybale-release"
MARK = re.compile(r"\w+ (?P<base>[0-9a-f]+) (?P<version>\S+)\n")


@dataclass(frozen=True, kw_only=True)
class ReleaseTree:
    """A folder in which the commit of a version is checked out, on no branch.

    `base` is the commit that it was made on, its only parent; or itself, where there is no version file.
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
    """The version that was made, and what the tool printed; in a dry run nothing was made."""

    version: Version
    is_dry_run: bool
    stdout: str
    stderr: str


def bump_version(
    root: Path, arguments: Sequence[str], env: Mapping[str, str], *, offline: bool = False
) -> Bumped:
    """Make the next version on the branch that is checked out: the tool's commit and its tag, or a tag alone.

    `arguments` are the part (default: build, as far as versions have one) and the tool's own. With its
    --dry-run everything is checked and nothing is changed. `offline` does not ask the remote. Raises
    `UsageError`, `ConfigError`, `PrerequisiteError`, or `ReleaseError` where something forbids it; then
    nothing was changed.
    """
    raise_if_not_ready(root, allow_dirty="--allow-dirty" in arguments)
    file = find_version_file(root)
    part, extra = parse_arguments(arguments, file.parts if file else PARTS)
    tool = find_version_tool(file, env) if file else None
    if file:
        _raise_if_it_makes_no_version(file, extra)
    else:
        _raise_if_not_for_tags(extra)
    committer = committer_variables(root, env)
    new = _next_version(root, tool, part, extra)
    if not offline:
        _raise_if_remote_forbids(root, new)
    is_dry_run = not DRY_RUN_OPTIONS.isdisjoint(extra)
    if tool is None:
        if not is_dry_run:
            _make_tag(root, new, committer)
        return Bumped(version=new, is_dry_run=is_dry_run, stdout="", stderr="")
    before = _Snapshot.read(root, _written_files(root, tool.file, extra))
    done = tool.bump(root, part, extra, committer)
    problem = None if done.ok else tool.explain_failure(done)
    if done.ok and not is_dry_run:
        problem = _find_problem(root, before, new, has_tag="--no-tag" not in extra)
    if problem:
        before.restore(root, new)
        raise ReleaseError(
            f"{tool.name} failed to make {new}; nothing was changed",
            cause=problem,
            hint="fix that (a hook of the repository, or how it signs) and try again",
        )
    return Bumped(version=new, is_dry_run=is_dry_run, stdout=done.stdout, stderr=done.stderr)


def _make_tag(root: Path, new: Version, variables: Mapping[str, str]) -> None:
    """Make a version's tag, which is all of it where there is no version file."""
    done = git.create_tag(root, str(new), f"Release {new}", variables)
    if not done.ok:
        raise ReleaseError(
            f"git did not make the tag {new}; nothing was changed",
            cause="; ".join(line.strip() for line in done.stderr.splitlines() if line.strip()),
            hint="fix that (a hook of the repository, or how it signs) and try again",
        )


@dataclass(frozen=True, kw_only=True)
class _Snapshot:
    """What the tool changes, before it does: the commit, the index, and the files, by their paths."""

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
    """Return what is missing of a version that the tool says it made; None where all is there."""
    head, file = git.read_commit(root), find_version_file(root)
    if head.parents != (before.commit,):
        return f"it made no commit on top of {before.commit[:12]}"
    if file is None or file.version != new or git.uncommitted_files(root, [file.path.name]):
        name = file.path.name if file else "the version file"
        return f"its commit {head.hash[:12]} does not have {new} in {name}"
    if not has_tag:
        return None
    if git.read_tag(root, f"refs/tags/{new}") is None:
        return f"it made no annotated tag {new}"
    if git.resolve_commit(root, f"refs/tags/{new}") != head.hash:
        return f"its tag {new} does not point to its commit {head.hash[:12]}"
    return None


def _raise_if_not_for_tags(extra: Sequence[str]) -> None:
    """Raise `UsageError` for an option of a tool's, where there is no version file and so no tool."""
    unknown = [each for each in extra if each not in TAG_OPTIONS]
    if unknown:
        raise UsageError(
            f"{unknown[0]} is not available here",
            cause="there is no version file: bump makes the version's tag, and no tool runs",
            hint="bump [PART] [--dry-run] [--allow-dirty] [--offline]",
        )


def _raise_if_it_makes_no_version(file: VersionFile, extra: Sequence[str]) -> None:
    """Raise `ConfigError` where a tool's configuration does not lead to a commit and an annotated tag.

    Without `commit` and `tag` it makes neither (bump2version's README, "Options"); with an empty
    `tag_message`, a tag that `git push --follow-tags` leaves behind. Options on the command line count more.
    """
    true = "True" if file.tool == "bump2version" else "true"
    for option in ("commit", "tag"):
        found = file.options.get(option)
        is_set = found is True or str(found).lower() in {"1", "yes", "true", "on"}
        if {f"--{option}", f"--no-{option}"}.isdisjoint(extra) and not is_set:
            raise ConfigError(
                f"{file.path}:{file.line(option)}: {option} is {'not set' if found is None else found}",
                cause=f"{file.tool} makes no {option} then, and a version is a commit and a tag",
                hint=f"write {option} = {true} in {file.table}, or bump PART --commit --tag",
            )
    named = any(each.partition("=")[0] == "--tag-message" for each in extra)
    if not named and file.options.get("tag_message") == "":
        raise ConfigError(
            f"{file.path}:{file.line('tag_message')}: tag_message is empty",
            cause=f"{file.tool} makes a lightweight tag then, and git push --follow-tags leaves it behind",
            hint="write a tag_message, such as Release v{new_version}, or remove the line",
        )
    if file.options.get("moveable_tags") and "--no-tag" not in extra:
        raise ConfigError(
            f"{file.path}:{file.line('moveable_tags')}: moveable_tags",
            cause=f"{file.tool} moves them on the remote at once, before the version itself is there",
            hint="remove the line, and move these tags where the version is published",
        )


def parse_arguments(arguments: Sequence[str], parts: Sequence[str] = PARTS) -> tuple[str, tuple[str, ...]]:
    """Return the part, of those that versions have, and the arguments that are the tool's; `UsageError`."""
    default = choose_part("build", parts)
    first, *extra = arguments if arguments and not arguments[0].startswith("-") else (default, *arguments)
    hint = "bump PART [OPTIONS OF THE VERSION FILE'S TOOL]"
    if first not in parts:
        cause = f"the parts are {', '.join(parts)}"
        raise UsageError(f"{first!r} is no part of a version", cause=cause, hint=hint)
    if tuple(arguments) == tuple(extra) and not set(extra).isdisjoint(parts):
        raise UsageError("the part stands before the options", hint=hint)
    for option in (each.partition("=")[0] for each in extra):
        if option in REFUSED_OPTIONS:
            raise UsageError(
                f"{option} is not available here",
                cause="a version is a commit of its version file, and a tag vM.m.p or vM.m.p-rN",
                hint="leave it out",
            )
    return first, tuple(extra)


def choose_part(wanted: str, parts: Sequence[str]) -> str:
    """Return the part that is bumped where `wanted` was: that, else the patch, else the smallest there is."""
    return next((each for each in (wanted, "patch") if each in parts), parts[-1])


def raise_if_not_ready(root: Path, *, allow_dirty: bool = False) -> None:
    """Raise `ReleaseError` where no version can be made of what is checked out.

    That is in the middle of a merge, with changes that are not committed, and with conflict markers in a file
    that the tool writes to. Untracked files are no obstacle. A version file that cannot be read, or that
    names a file which is not there, is a `ConfigError`.
    """
    head = git.read_head(root)
    if head is None:
        hint = "make a version of a git repository's commit"
        raise ReleaseError(f"there is no commit in {root}", hint=hint)
    if not (root / ".git").exists():
        raise ReleaseError(
            f"{root} is not the top of its git repository",
            cause="a version belongs to the whole repository",
            hint="keep pyproject.toml and the version file at its top",
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
    version_file = find_version_file(root)
    if version_file is None:
        return
    _raise_if_file_is_missing(version_file)
    for file in _written_files(root, version_file):
        number = conflict_marker_line((root / file).read_text(encoding="utf-8", errors="replace"))
        if number is not None:
            raise ReleaseError(
                f"{root / file}:{number}: a conflict marker",
                cause="a merge was committed unresolved",
                hint="resolve it, commit that, and try again",
            )


def raise_if_no_tool(root: Path, env: Mapping[str, str]) -> None:
    """Raise what would stop a version file's tool, and is known before anything is started.

    That is `PrerequisiteError` where the tool is not there, and `ConfigError` for what its configuration
    says. Nothing where there is no version file.
    """
    file = find_version_file(root)
    if file:
        _raise_if_other_tags(file)
        _raise_if_file_is_missing(file)
        find_version_tool(file, env)


def _raise_if_other_tags(file: VersionFile) -> None:
    """Raise `ConfigError` where tags get a name by which no version is found."""
    if file.tag_name not in TAG_NAMES:
        raise ConfigError(
            f"{file.path}:{file.line('tag_name')}: tag_name is {file.tag_name!r}",
            cause="everything here finds a version by its tag, vM.m.p or vM.m.p-rN, with or without the v",
            hint=f"set tag_name = {TAG_NAMES[0]} or {TAG_NAMES[1]}",
        )


def _raise_if_file_is_missing(version_file: VersionFile) -> None:
    """Raise `ConfigError` where a version file names files that are not there."""
    missing = version_file.missing_files()
    if missing:
        lines = (f"{version_file.path}:{each.line}: there is no {each.path}" for each in missing)
        raise ConfigError(
            "\n".join(lines),
            cause=f"{version_file.tool} writes the new version into it, and fails",
            hint="correct the path, or remove what names it, and commit that",
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
    tree = read_release_tree(folder)
    if tree is not None and _marker_file(folder).read_text(encoding="ascii").startswith(f"{part} {base} "):
        return tree
    raise_if_not_ready(root)
    file = find_version_file(root)
    tool = find_version_tool(file, env) if file else None
    committer = committer_variables(root, env)
    remove_release_tree(root, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        git.add_worktree(root, folder, base)
        new = _next_version(folder, tool, choose_part(part, file.parts if file else PARTS), ())
        _marker_file(folder).write_text(f"{part} {base} {new}\n", encoding="ascii")
        # The repository's hooks are for what people commit, and may need what is not installed here.
        return _commit_version(folder, tool, part, new, {**committer, **git.WITHOUT_HOOKS})
    except BaseException:
        remove_release_tree(root, folder)
        raise


def _commit_version(
    folder: Path, tool: VersionTool | None, part: str, new: Version, variables: Mapping[str, str]
) -> ReleaseTree:
    """Make the version's commit, where there is a version file; return the finished tree."""
    problem = "git changed its folder meanwhile"
    if tool:
        part = choose_part(part, tool.file.parts)
        done = tool.bump(folder, part, ["--commit", "--no-tag"], variables)
        problem = tool.explain_failure(done)
    tree = read_release_tree(folder)
    if tree is None or tree.version != new:
        message, hint = f"{tool.name if tool else 'git'} failed to make {new}", "correct that, and try again"
        raise ReleaseError(message, cause=problem, hint=hint)
    return tree


def read_release_tree(folder: Path) -> ReleaseTree | None:
    """Return the finished release tree in a folder; None where there is none, or only a part of one."""
    if not (folder / ".git").is_file() or not _marker_file(folder).is_file():
        return None
    head, mark = git.read_head(folder), _marker_file(folder).read_text(encoding="ascii")
    # The mark may be cut off, where its writer was killed.
    found = MARK.fullmatch(mark)
    if found is None or head is None or head.changed_files:
        return None
    base, version, file = found["base"], Version.parse(found["version"]), find_version_file(folder)
    is_made = head.commit.parents == (base,) and file.version == version if file else head.commit.hash == base
    return ReleaseTree(path=folder, commit=head.commit.hash, version=version, base=base) if is_made else None


def remove_release_tree(root: Path, folder: Path) -> None:
    """Remove a release tree, finished or not, with everything that git keeps of it. Does nothing twice."""
    if (folder / ".git").is_dir():
        hint = f"move it away, or remove it yourself: {folder}"
        raise ReleaseError(f"{folder} is a repository of its own, and is not removed", hint=hint)
    with process.uninterrupted():
        shutil.rmtree(folder, ignore_errors=True)
        git.forget_worktree(root, folder)


def _marker_file(folder: Path) -> Path:
    """Return where a release tree's mark stands: git's own folder for it, which is removed with it."""
    text = (folder / ".git").read_text(encoding="utf-8")
    return folder / text.removeprefix("gitdir:").strip() / MARKER


def _next_version(folder: Path, tool: VersionTool | None, part: str, extra: Sequence[str]) -> Version:
    """Return the version that would be made; it changes nothing.

    Raises `ReleaseError` where none can be made, or its tag exists in this clone.
    """
    file = tool.file if tool else None
    new = _ask_tool(folder, tool, part, extra) if tool else read_version(folder, {}).next(part)
    if git.resolve_commit(folder, f"refs/tags/{new}"):
        says = (
            f"{file.path.name} says {file.version}"
            if file
            else f"{read_version(folder, {})} is the last here"
        )
        raise ReleaseError(
            f"the tag {new} exists here already",
            cause=f"{says}, which is not the last version made",
            hint=_hint_for_existing_tag(folder, new),
        )
    return new


def _ask_tool(folder: Path, tool: VersionTool, part: str, extra: Sequence[str]) -> Version:
    """Return the version that a tool would make, with its tag's prefix."""
    file = tool.file
    _raise_if_other_tags(file)
    found, said = tool.find_next(folder, part, extra)
    if found is None:
        raise ReleaseError(
            f"{tool.name} cannot bump the {part} part", cause=said, hint="fix that and try again"
        )
    try:
        new = Version.parse(found)
    except ValueError as error:
        raise ReleaseError(
            f"{tool.name} would make the version {found}",
            cause=str(error),
            hint=f"set parse and serialize in {file.path.name} as docs/configuration.md shows",
        ) from error
    return replace(new, prefix=file.version.prefix)


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
            cause="the version was made there, and this clone does not have it",
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


def _written_files(root: Path, file: VersionFile, extra: Sequence[str] = ()) -> list[str]:
    """Return the files that the tool writes to, as far as they exist: paths from `root`."""
    named = [file.path.name]
    for each in file.files:
        found = (
            [str(path.relative_to(root)) for path in root.glob(each.path)] if each.is_glob else [each.path]
        )
        named += found
    named += [each for each in extra if not each.startswith("-")]
    return [path for path in dict.fromkeys(named) if (root / path).is_file()]


def _first_three(files: Sequence[str]) -> str:
    more = len(files) - 3
    return ", ".join(files[:3]) + (f" and {more} more" if more > 0 else "")
